"""A project's DAGs: built one by one, so that one that cannot be takes no other with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_parsing_context

from tallyline.errors import Problem, ProjectError
from tallyline.schedule.airflow import PREFIX
from tallyline.schedule.airflow.folder import check_prefix
from tallyline.schedule.airflow.inside.operators import FOLDER, CleanOperator, PlanOperator, ReadOperator, asset_alias
from tallyline.schedule.airflow.inside.retries import retry_policy
from tallyline.schedule.airflow.timed import read_timed
from tallyline.schedule.intervals import as_cron, ticks_before
from tallyline.window import start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.schedule.airflow.timed import Timed

__all__ = ["Building"]

CLEANING = "30 3 * * *"
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
}
_WHEN = "A date or a time; without an offset it is in the business zone, {zone}."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Building:
    """How the DAGs of a project are built."""

    folder: Path
    prefix: str = PREFIX
    catchup: bool = True
    assets: bool = True
    default_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a prefix that no DAG can have."""
        check_prefix(self.prefix)

    def dags(self) -> dict[str, Any]:
        """Return the DAGs by their ids, or only that of the task that is starting."""
        starting = get_parsing_context().dag_id
        if starting is not None and not starting.startswith(f"{self.prefix}."):
            return {}
        problems = list[Problem]()
        made = dict(self._made(starting, problems))
        if problems and not made:
            raise ProjectError(problems)
        for problem in problems if starting is None else ():
            _log.warning("%s", problem)
        return made

    def raise_problems(self) -> None:
        """Raise whatever keeps a source from having its DAG, or from having the right one."""
        problems = list[Problem]()
        dict(self._made(None, problems))
        if problems:
            raise ProjectError(problems)

    def _made(self, starting: str | None, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
        project = read_timed(self.folder)
        problems += project.problems
        plans: dict[str, Callable[[], Any]] = {
            f"{self.prefix}.read.{source.name}": partial(self._reading, source, project.zone)
            for source in project.sources
        }
        plans[f"{self.prefix}.clean.all"] = partial(self._cleaning, project.zone)
        for dag_id, build in plans.items():
            if starting in {None, dag_id}:
                try:
                    yield dag_id, build()
                except Exception as error:  # noqa: BLE001  # whatever it is, it is to keep one DAG away, not all
                    problems.append(Problem(dag_id, f"{type(error).__name__}: {error}"))

    def _reading(self, source: Timed, zone: ZoneInfo) -> Any:  # noqa: ANN401  # Airflow's own
        start = _first_tick(source, zone)
        dag = DAG(
            f"{self.prefix}.read.{source.name}",
            schedule=CronDataIntervalTimetable(as_cron(source.schedule), timezone=zone.key),
            start_date=start,
            catchup=self.catchup and start is not None and not source.snapshot,
            max_active_runs=1,
            default_args=RETRIES | retry_policy() | self.default_args,
            params={} if source.snapshot else _window_params(zone),
            description=f"Reads the source {source.name}.",
            doc_md=_documented(source, zone),
            tags=["tallyline", self.prefix],
            user_defined_macros={FOLDER: str(self.folder)},
            auto_register=False,
        )
        with dag:
            plan = PlanOperator(task_id="plan", source=source.name)
            ReadOperator.partial(
                task_id="read",
                source=source.name,
                outlets=[asset_alias(self.prefix, source.name)] if self.assets else [],
                max_active_tis_per_dag=1,  # a source is read by one process at a time
                map_index_template="{{ task.part['name'] }}",
            ).expand(part=plan.output)
        dag.validate()
        return dag

    def _cleaning(self, zone: ZoneInfo) -> Any:  # noqa: ANN401  # Airflow's own
        dag = DAG(
            f"{self.prefix}.clean.all",
            schedule=CronDataIntervalTimetable(CLEANING, timezone=zone.key),
            start_date=None,
            catchup=False,
            max_active_runs=1,
            default_args=RETRIES | retry_policy() | self.default_args,
            description="Removes what the project keeps no longer.",
            tags=["tallyline", self.prefix],
            user_defined_macros={FOLDER: str(self.folder)},
            auto_register=False,
        )
        with dag:
            CleanOperator(task_id="clean")
        dag.validate()
        return dag


def _first_tick(source: Timed, zone: ZoneInfo) -> datetime | None:
    """Return when the interval begins that has the source's first day: not all schedules fire on it."""
    if source.start is None:
        return None
    return next(ticks_before(source.schedule, start_of_day(source.start, zone), zone))


def _window_params(zone: ZoneInfo) -> dict[str, Any]:
    return {
        name: Param(
            None,
            type=["null", "string"],
            format="date-time",
            title=title,
            description=_WHEN.format(zone=zone.key),
        )
        for name, title in (("start", "Read from"), ("end", "Read up to"))
    }


def _documented(source: Timed, zone: ZoneInfo) -> str:
    if source.snapshot:
        return f"A snapshot, which tells only the present, on `{source.schedule}` in {zone.key}."
    return (
        f"Read on `{source.schedule}` in {zone.key}: each interval, and the look-back before it. "
        "With `start` and `end`, a run reads what lies between them."
    )
