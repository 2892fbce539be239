"""`tallyline why`."""

from __future__ import annotations

import json
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, pairs, project_option
from tallyline.cli.progress import console
from tallyline.errors import RunFailed
from tallyline.plan import kept_as, named
from tallyline.project import load_project
from tallyline.window import Grain, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.warehouse import History, RunRecord, Version

__all__ = ["command"]


@click.command(
    "why",
    epilog=example("tallyline why users.new 2026-07-14\ntallyline why users.new 2026-07-14T10:00 --dim country=FR"),
)
@click.argument("metric")
@click.argument("time")
@click.option("--dim", "where", metavar="DIM=VALUE", multiple=True, help="Only the series with this value of a dim.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@project_option
def command(metric: str, time: str, *, where: tuple[str, ...], as_json: bool, folder: Path) -> None:
    """Tell where the values of METRIC in the day or hour of TIME come from, and what they were before.

    TIME is a date for the day, or a date and a time for the hour.
    """
    project = load_project(folder)
    meant = named(project.plan, metric)
    moment = parse_moment(time, project.zone)
    by = Grain.HOUR if "T" in time or ":" in time else Grain.DAY
    names = meant.parsed.metrics if meant.formula else (metric,)
    kept = dict.fromkeys(kept_as(project.plan, name) for name in names)
    with opened(project) as warehouse:
        asked, known = pairs(where), warehouse.metrics()
        found = [each for name in kept if name in known for each in warehouse.history(name, moment, by=by, where=asked)]
    if as_json:
        click.echo(json.dumps([_as_data(each) for each in found], indent=2, ensure_ascii=False))
    elif not found:
        msg = f"nothing was ever known of {metric} for that {by}"
        raise RunFailed(msg)
    else:
        screen = console()
        if meant.formula:
            screen.print(f"{metric} = {meant.parsed}", markup=False)
        for each in found:
            screen.print("\n".join(_lines(each, project.zone)), markup=False)
        for definition in dict.fromkeys(filter(None, (_definition(each, project.zone) for each in found))):
            screen.print(definition, markup=False)


def _lines(history: History, zone: ZoneInfo) -> Iterator[str]:
    shape = "%d %b %Y %H:%M" if history.grain is Grain.HOUR else "%d %b %Y"
    dims = " ".join(f"{name}={value}" for name, value in history.dims.items())
    yield f"{history.metric} {dims}".rstrip() + f", {history.time.astimezone(zone).strftime(shape)}"
    if history.now is None:
        yield f"  nothing{_since(history.newest_run, zone)}, by {_named(history.newest_run)}"
    for version in history.versions:
        yield f"  {_version(version, zone)}"


def _definition(history: History, zone: ZoneInfo) -> str:
    """Return what the newest run has read, with its window."""
    run = history.newest_run
    if run is None or not history.definition:
        return ""
    since, until = _at(run.window.since, zone), _at(run.window.until, zone)
    text = indent(dedent(history.definition).strip("\n"), "    ")
    return f"run {run.id} read of {history.source} ({run.definition}), from {since} up to {until}:\n{text}"


def _version(version: Version, zone: ZoneInfo) -> str:
    until = f" until {_at(version.replaced_by.ended_at, zone)}" if version.replaced_by else ""
    return f"{version.value:,.12g}{_since(version.run, zone)}{until}, by {_named(version.run)}"


def _named(run: RunRecord | None) -> str:
    return f"run {run.id} of {run.source}, Tallyline {run.version}" if run else "a run that the ledger has no more"


def _since(run: RunRecord | None, zone: ZoneInfo) -> str:
    return f" since {_at(run.ended_at, zone)}" if run else ""


def _at(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "now"


def _as_data(history: History) -> dict[str, object]:
    return {
        "metric": history.metric,
        "dims": dict(history.dims),
        "source": history.source,
        "grain": str(history.grain),
        "time": history.time.isoformat(),
        "now": history.now,
        "definition": history.definition,
        "versions": [
            {"value": version.value, "run": _run(version.run), "replaced_by": _run(version.replaced_by)}
            for version in history.versions
        ],
    }


def _run(run: RunRecord | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {
        "id": run.id,
        "source": run.source,
        "since": run.window.since.isoformat(),
        "until": run.window.until.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "version": run.version,
        "code": run.definition,
    }
