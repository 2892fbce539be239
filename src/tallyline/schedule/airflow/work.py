"""What the tasks of a DAG do, without a word of Airflow: plan the windows of a run, read one of them, clean."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tallyline.errors import Refused, RunFailed, TallylineError, may_work_later
from tallyline.project import load_project
from tallyline.runner import read_source
from tallyline.schedule.airflow.asked import parts_of, window_asked
from tallyline.schedule.airflow.connections import database_url, from_connections
from tallyline.secret import masked_data
from tallyline.warehouse import open_warehouse
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tallyline.project import Project
    from tallyline.runner import ReadResult
    from tallyline.schedule.airflow.asked import Asked
    from tallyline.schedule.airflow.connections import Connection
    from tallyline.warehouse import Cleaned, Warehouse

    LookUp = Callable[[str], Connection | None]

__all__ = ["WAREHOUSE", "clean", "is_worth_another_try", "planned", "read", "told"]

WAREHOUSE = "tallyline_warehouse"


def planned(folder: Path, source: str, asked: Asked, now: datetime) -> list[dict[str, str]]:
    """Return the parts of the window that a run is to read: `since` and `until`, and how people call it."""
    project = load_project(folder, only=[source])
    zone, named = project.zone, project.source(source)
    parts = parts_of(window_asked(asked, named, zone, now), named, zone)
    return [
        {"since": part.since.isoformat(), "until": part.until.isoformat(), "name": part.text(zone)} for part in parts
    ]


def read(folder: Path, source: str, part: Mapping[str, str], look_up: LookUp, now: datetime) -> ReadResult:
    """Read a part of a source's window into the warehouse; a snapshot is of the moment that it is taken at."""
    project = _loaded(folder, [source], look_up)
    named = project.source(source)
    window = Window(datetime.fromisoformat(part["since"]), datetime.fromisoformat(part["until"]))
    if named.options.snapshot:
        window = named.window(now, project.zone)
    with _opened(project) as warehouse:
        return read_source(project, named, warehouse, window, now=now, write=True)


def clean(folder: Path, look_up: LookUp) -> dict[str, dict[str, object]]:
    """Remove what the project keeps no longer, and return what went of each source; {} where it keeps everything.

    Raises in the end, when the others are clean, where a source is being read, or has hours that were never rolled up.
    """
    project = _loaded(folder, (), look_up)
    if project.retention.keeps_all:
        return {}
    cleaned: dict[str, Cleaned] = {}
    errors: list[TallylineError] = []
    with _opened(project) as warehouse:
        for name in project.sources:
            try:
                cleaned[name] = warehouse.clean(name, project.retention, write=True)
            except RunFailed as error:
                errors.append(error)
        if any(each.total for each in cleaned.values()):
            warehouse.give_space_back()
    kept = [name for name, each in cleaned.items() if each.refused]
    if kept:
        msg = f"hours of {', '.join(kept)} were never rolled up into days, and were kept: they would be lost"
        errors.append(Refused(msg))
    if errors:
        raise errors[-1]
    return {name: asdict(each) for name, each in cleaned.items()}


def told(result: ReadResult) -> dict[str, object]:
    """Return what a read did as plain data without secrets, for whoever comes after the task."""
    return {
        "source": result.source,
        "since": result.window and result.window.since.isoformat(),
        "until": result.window and result.window.until.isoformat(),
        "run": result.run,
        "changes": asdict(result.changes),
        "metrics": sorted(result.metrics),
        "report": masked_data(result.report.as_dict()),
    }


def is_worth_another_try(error: TallylineError) -> bool:
    """Say whether the same may work later: a service was away, the source was being read, or the warehouse refused."""
    return may_work_later(error) or type(error) is RunFailed


def _loaded(folder: Path, only: Collection[str], look_up: LookUp) -> Project:
    project = load_project(folder, only=only)
    warehouse = look_up(WAREHOUSE)
    return replace(
        project,
        services=from_connections(project.services, look_up, folder),
        warehouse=database_url(warehouse) if warehouse else project.warehouse,
    )


def _opened(project: Project) -> AbstractContextManager[Warehouse]:
    return open_warehouse(project.warehouse_url, project.zone, folder=project.folder, write=True, plan=project.plan)
