"""`tallyline record`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tallyline.cli.options import example, opened, project_option
from tallyline.cli.progress import console, following
from tallyline.errors import Refused, RunFailed, SourceFailed, UnexpectedAnswer
from tallyline.project import load_project
from tallyline.recording import FOLDER, Recording, record
from tallyline.runner import choose_window
from tallyline.secret import masked
from tallyline.window import Window, parse_moment, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rich.console import Console

    from tallyline.project import Project
    from tallyline.runner import ReadResult
    from tallyline.sources import Source

__all__ = ["command"]

LONGEST = timedelta(days=7)
NOTICE = (
    "Secrets are masked; what the services tell of people stands there as it was told. Read the file before you share "
    "it, and leave fields out with --drop NAME."
)


@click.command(
    "record",
    epilog=example("tallyline record orders\ntallyline record orders --since 2026-07-14 --drop email"),
)
@click.argument("source")
@click.option("--since", metavar="TIME", help="Record from this date or time on.")
@click.option("--until", metavar="TIME", help="Record up to, and without, this date or time.")
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to keep it.  [default: recordings/SOURCE.json in the project]",
)
@click.option("--drop", metavar="NAME", multiple=True, help="Leave out the values of fields and columns of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
@project_option
def command(
    source: str,
    *,
    since: str | None,
    until: str | None,
    file: Path | None,
    drop: tuple[str, ...],
    as_json: bool,
    folder: Path,
) -> None:
    """Keep what SOURCE is answered, secrets removed, in a file that its tests replay offline.

    The source is read and nothing is written to the warehouse. Without --since, the next window is read, of which at
    most the last seven days.
    """
    project = load_project(folder)
    chosen, now = project.source(source), utc_now()
    window = _window(project, chosen, since, until, now)
    to = file or project.folder / FOLDER / f"{source}.json"
    result, recording = _recorded(project, chosen, window, now, drop, None if as_json else console())
    kept = _is_worth_keeping(result.error)
    if kept:
        recording.write(to)
    if as_json:
        click.echo(json.dumps(_as_data(result, recording, to if kept else None), indent=2, ensure_ascii=False))
    else:
        _tell(console(), result, recording, to if kept else None)
    if result.error is not None:
        said = f"{source} failed; {'what it was answered is kept' if kept else 'nothing is kept'}: {result.error}"
        raise Refused(said) if isinstance(result.error, Refused) else RunFailed(said)


def _window(project: Project, source: Source, since: str | None, until: str | None, now: datetime) -> Window:
    begin, end = (parse_moment(text, project.zone) if text else None for text in (since, until))
    if begin and end and not source.options.snapshot:
        return Window(begin, end).widened(source.options.facts, project.zone)
    with opened(project) as warehouse:
        window = choose_window(source, warehouse, project.zone, now=now, since=begin, until=end)
    shortest = window.until - LONGEST
    if begin or shortest <= window.since:
        return window
    return Window(shortest, window.until).widened(source.options.facts, project.zone)


def _recorded(
    project: Project,
    source: Source,
    window: Window,
    now: datetime,
    drop: tuple[str, ...],
    screen: Console | None,
) -> tuple[ReadResult, Recording]:
    if screen is None:
        return record(project, source, window, now=now, drop=drop)
    screen.print(f"[bold]{source.name}[/]  [dim]{window.text(project.zone)}[/]")
    with following(screen) as follow:
        told = record(project, source, window, now=now, drop=drop, observe=follow.observe)
        follow.end()
    return told


def _is_worth_keeping(error: BaseException | None) -> bool:
    """Say whether the services answered: a source that fails on their answers can be mended by them."""
    while error is not None:
        if isinstance(error, SourceFailed | Refused) and not isinstance(error, UnexpectedAnswer):
            return False
        error = error.__cause__
    return True


def _tell(screen: Console, result: ReadResult, recording: Recording, file: Path | None) -> None:
    for line in _heard(recording) if file is not None else ():
        screen.print(f"   {line}", markup=False)
    if result.error is None:
        screen.print(f"   {_counted(result.changes.added, 'value')}")
    if file is not None:
        screen.print(f"Kept in [bold]{file}[/], {file.stat().st_size / 1000:,.1f} kB.")
        screen.print(NOTICE, style="dim")


def _heard(recording: Recording) -> Iterator[str]:
    for service in recording.services:
        answers = [each for each in recording.answers if each["service"] == service]
        rows = sum(len(each.get("rows", ())) for each in answers)
        yield f"{service}: {_counted(len(answers), 'answer')}" + (f", {_counted(rows, 'row')}" if rows else "")
    if not recording.answers:
        yield "it asked no HTTP service or database of the project: a replay runs it as it is"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _as_data(result: ReadResult, recording: Recording, file: Path | None) -> dict[str, object]:
    return {
        "source": recording.source,
        "since": recording.window.since.isoformat(),
        "until": recording.window.until.isoformat(),
        "now": recording.now.isoformat(),
        "state": "done" if result.error is None else "failed",
        "error": None if result.error is None else masked(str(result.error)),
        "file": None if file is None else str(file),
        "answers": {name: sum(each["service"] == name for each in recording.answers) for name in recording.services},
        "values": result.changes.added,
    }
