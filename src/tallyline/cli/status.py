"""`tallyline status`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.cli.progress import console
from tallyline.monitor import SourceStatus, source_status
from tallyline.project import load_project
from tallyline.window import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.sources import Source
    from tallyline.warehouse import Warehouse
    from tallyline.window import Window

__all__ = ["command"]

MOST_WINDOWS = 5
STYLES = {"failed": "red", "lost": "red", "stopped": "yellow", "running": "cyan", "never read": "yellow"}


@click.command("status", epilog=example("tallyline status\ntallyline status --json"))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@project_option
def command(*, as_json: bool, folder: Path) -> None:
    """Tell for each source how its last run ended, up to when it was read, when it is due, and which windows are amiss.

    Those were not read, or in vain, or the source itself does not know them; of many, the newest five are told.
    Where values changed later than the look-back reaches, or never so late, another look-back is proposed.
    """
    project, now = load_project(folder), utc_now()
    with opened(project) as warehouse:
        told = [
            (source_status(source, warehouse, now), _due_at(source, warehouse, now, project.zone))
            for source in project.sources.values()
        ]
    if as_json:
        data = [_as_data(status) | {"due_at": _iso(due_at)} for status, due_at in told]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    screen = console()
    for status, due_at in told:
        screen.print(f"[bold]{status.source}[/]  ", end="")
        screen.print(status.state, style=STYLES.get(status.state, "green"), end="")
        screen.print(_reached(status, project.zone), end="")
        screen.print(f"  due {'since' if due_at <= now else 'at'} {_at(due_at, project.zone)}")
        for line in _lines(status, project.zone):
            screen.print(line, markup=False)


def _due_at(source: Source, warehouse: Warehouse, now: datetime, zone: ZoneInfo) -> datetime:
    from tallyline.schedule.due import newest_tick, next_due  # noqa: PLC0415  # only where it is needed

    tick = newest_tick(source.options, now, zone) or now
    return next_due(source.options, warehouse.progress(source.name, tick), now, zone)


def _reached(status: SourceStatus, zone: ZoneInfo) -> str:
    if status.read_until is None:
        return ""
    return f"  read up to {_at(status.read_until, zone)}, final up to {_at(status.final_until, zone)}"


def _lines(status: SourceStatus, zone: ZoneInfo) -> Iterator[str]:
    if status.error:
        yield f"   {status.error}"
    yield from _newest("not read", status.gaps, zone)
    yield from _newest("failed", status.failed, zone)
    yield from _newest("not known to the source", status.missing, zone)
    if status.advice:
        yield f"   {status.advice}"


def _newest(what: str, windows: Sequence[Window], zone: ZoneInfo) -> Iterator[str]:
    older = len(windows) - MOST_WINDOWS
    if older > 0:
        yield f"   {what}: {older} before {windows[older].since.astimezone(zone):%Y-%m-%d %H:%M} (--json has them all)"
    yield from (f"   {what}: {window.text(zone)}" for window in windows[-MOST_WINDOWS:])


def _at(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" if moment else "nothing yet"


def _as_data(status: SourceStatus) -> dict[str, object]:
    return {
        "source": status.source,
        "state": status.state,
        "error": status.error,
        "read_until": _iso(status.read_until),
        "final_until": _iso(status.final_until),
        "gaps": [_ends(gap) for gap in status.gaps],
        "failed": [_ends(failed) for failed in status.failed],
        "missing": [_ends(missing) for missing in status.missing],
        "latest_change_seconds": _seconds(status.latest_change),
        "advice": status.advice,
    }


def _ends(window: Window) -> dict[str, str]:
    return {"since": window.since.isoformat(), "until": window.until.isoformat()}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span is not None else None
