"""`tallyline read`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, astuple
from functools import partial
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.cli.progress import console, following
from tallyline.errors import Refused, RunFailed
from tallyline.project import load_project
from tallyline.runner import ReadResult, choose_window, read_in_parts
from tallyline.secret import masked, masked_data
from tallyline.warehouse import Changes
from tallyline.window import parse_moment, utc_now

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from rich.console import Console

    from tallyline.project import Project
    from tallyline.sources import Source
    from tallyline.warehouse import Differing, Warehouse
    from tallyline.window import Window

__all__ = ["command", "read_all"]

MOST_DIFFERING = 10


@click.command(
    "read",
    epilog=example("tallyline read all --write\ntallyline read signups --since 2026-01-01 --until 2026-02-01"),
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…|all")
@click.option("--write", is_flag=True, help="Publish to the warehouse; without it only say what would change.")
@click.option("--since", metavar="TIME", help="Read from this date or time on.")
@click.option("--until", metavar="TIME", help="Read up to, and without, this date or time.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@project_option
def command(
    sources: tuple[str, ...],
    *,
    write: bool,
    since: str | None,
    until: str | None,
    as_json: bool,
    folder: Path,
) -> None:
    """Read SOURCEs of the project, or all of them.

    Without --since, a source goes on from where it was last read without a gap, less its look-back; the first time it
    begins at its start. What was read replaces what was published for the same window. A long window is read in parts;
    when it is ended, the same command goes on after those that were written. Times without an offset are in the
    business time zone.
    """
    project = load_project(folder)
    named = [project.source(name) for name in dict.fromkeys(sources) if name != "all"]
    chosen = list(project.sources.values()) if "all" in sources else named
    if not chosen:
        raise click.UsageError("the project has no sources yet; declare one in tallyline.toml or in sources.py")
    results = read_all(
        project, chosen, write=write, since=since, until=until, screen=console() if not as_json else None
    )
    if as_json:
        click.echo(json.dumps([_as_data(result) for result in results], indent=2, ensure_ascii=False))
    failed = [result for result in results if result.error is not None]
    if failed:
        msg = f"{len(failed)} of {len(results)} sources failed: {', '.join(result.source for result in failed)}"
        raise Refused(msg) if all(isinstance(result.error, Refused) for result in failed) else RunFailed(msg)


def read_all(
    project: Project,
    sources: list[Source],
    *,
    write: bool,
    screen: Console | None,
    since: str | None = None,
    until: str | None = None,
) -> list[ReadResult]:
    """Read one source after the other, and tell on `screen` how each goes; one that fails does not keep the rest."""
    began = time.monotonic()
    begin = parse_moment(since, project.zone) if since else None
    end = parse_moment(until, project.zone) if until else None
    with opened(project, write=write) as warehouse:
        results = [_read(project, source, warehouse, begin, end, write=write, screen=screen) for source in sources]
    if screen and len(results) > 1:
        changed = sum(result.changes.total for result in results)
        written = "values written" if write else "values would be written; --write writes them"
        screen.print(f"[bold]{len(results)} sources[/], {changed:,} {written}, {time.monotonic() - began:.1f} s")
    return results


def _read(
    project: Project,
    source: Source,
    warehouse: Warehouse,
    since: datetime | None,
    until: datetime | None,
    *,
    write: bool,
    screen: Console | None,
) -> ReadResult:
    now = utc_now()
    try:
        window = choose_window(source, warehouse, project.zone, now=now, since=since, until=until)
    except Refused as refused:
        if screen:
            screen.print(f"[bold]{source.name}[/]")
        result = ReadResult(source.name, None, error=refused)
    else:
        resume = f"{since.isoformat()} {until and until.isoformat()}" if since else ""
        result = _run(project, source, warehouse, window, now, write=write, resume=resume, screen=screen)
    if screen:
        _tell(result, screen, project, write=write)
    return result


def _tell(result: ReadResult, screen: Console, project: Project, *, write: bool) -> None:
    error = None if result.error is None else masked(str(result.error))
    if error is None:
        screen.print(f"   {_told(result, write=write)}")
    elif not write or result.changes == Changes():
        console(error=True).print(f"   failed, nothing was written: {error}", style="red", markup=False)
    else:
        screen.print(f"   {_told(result, write=write)}")
        rest = "the windows before stay written, and the same command goes on from there"
        console(error=True).print(f"   failed; {rest}: {error}", style="red", markup=False)
    for differing in result.differing[:MOST_DIFFERING]:
        screen.print(f"   {_differs(differing, project)}", markup=False)
    if len(result.differing) > MOST_DIFFERING:
        screen.print("   … and others; --json lists up to 100 for each window")


def _differs(differing: Differing, project: Project) -> str:
    time = f"{differing.time.astimezone(project.zone):%Y-%m-%d %H:%M}"
    after = "gone" if differing.after is None else f"{differing.after:,.12g}"
    return f"{time}  {differing.metric} {differing.dims}  {differing.before:,.12g} → {after}"


def _run(
    project: Project,
    source: Source,
    warehouse: Warehouse,
    window: Window,
    now: datetime,
    *,
    write: bool,
    resume: str,
    screen: Console | None,
) -> ReadResult:
    read = partial(read_in_parts, project, source, warehouse, window, now=now, write=write, resume=resume)
    if screen is None:
        return read()
    screen.print(f"[bold]{source.name}[/]  [dim]{window.text(project.zone)}[/]")
    with following(screen) as follow:
        result = read(observe=follow.observe, progress=follow.progress)
        follow.end()
    return result


def _told(result: ReadResult, *, write: bool) -> str:
    new, changed, removed, same = astuple(result.changes)
    told = f"{new:,} new, {changed:,} changed, {removed:,} removed, {same:,} as before"
    return told if write else f"would be: {told}"


def _as_data(result: ReadResult) -> dict[str, object]:
    return {
        "source": result.source,
        "since": result.window and result.window.since.isoformat(),
        "until": result.window and result.window.until.isoformat(),
        "state": "done" if result.error is None else "failed",
        "error": None if result.error is None else masked(str(result.error)),
        "changes": asdict(result.changes),
        "differing": [
            {**differing._asdict(), "dims": json.loads(differing.dims), "time": differing.time.isoformat()}
            for differing in result.differing
        ],
        "report": masked_data(result.report.as_dict()),
    }
