"""When a project's sources are read, told without running any of its code: what Airflow asks for every half a minute.

`tallyline.toml` is read as it stands. What is declared in Python is not, since that would run it: its schedules are
those that `tallyline airflow compile` wrote down.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tallyline.errors import Problem, ProjectError, Refused
from tallyline.schedule.airflow.manifest import read_manifest
from tallyline.sources import check_schedule
from tallyline.window import parse_zone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

__all__ = ["FILE", "Timed", "TimedProject", "read_timed"]

FILE = "tallyline.toml"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Timed:
    """When a source is read: on its schedule, from its start on; a snapshot tells only the present."""

    name: str
    schedule: str = "@hourly"
    start: date | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class TimedProject:
    """The sources that have a schedule, in the order of their names, and what is wrong with others."""

    zone: ZoneInfo
    sources: tuple[Timed, ...]
    problems: tuple[Problem, ...]


def read_timed(folder: Path) -> TimedProject:
    """Read when the sources of the project in `folder` are read.

    Raises ProjectError or Refused where that can be told of none of them.
    """
    content = _content(folder)
    settings = _table(content, "project")
    zone, start = _zone(settings), _date(settings.get("start"), "project.start")
    manifest = read_manifest(folder)
    declared = [*_table(content, "sources").items(), *manifest.sources.items()]
    problems, sources = list(manifest.problems), list[Timed]()
    problems += [_twice(name) for name, count in Counter(name for name, _ in declared).items() if count > 1]
    for name, table in sorted(dict(reversed(declared)).items()):
        try:
            sources.append(_timed(name, table, start))
        except ProjectError as wrong:
            problems += wrong.problems
    return TimedProject(zone, tuple(sources), tuple(problems))


def _content(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"there is no project in {folder}: it has no {FILE}; give the folder that has it"
        raise Refused(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError([Problem(FILE, f"this is not TOML: {error}")]) from None


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise _wrong(name, f"{table!r} is no table of keys and values")
    return table


def _zone(settings: Mapping[str, Any]) -> ZoneInfo:
    name = settings.get("timezone", "UTC")
    try:
        return parse_zone(str(name))
    except Refused as refused:
        raise _wrong("project.timezone", str(refused)) from None


def _timed(name: str, table: object, start: date | None) -> Timed:
    place = f"sources.{name}"
    if not _NAME.fullmatch(name) or name == "all":
        raise _wrong(place, f'"{name}" cannot be a source\'s name; use lower case letters, digits, _ and -')
    if not isinstance(table, dict):
        raise _wrong(place, f"{table!r} is no table of keys and values")
    schedule, snapshot = table.get("schedule", "@hourly"), table.get("snapshot", False)
    if not isinstance(snapshot, bool):
        raise _wrong(place, f"snapshot is {snapshot!r}, neither true nor false")
    try:
        check_schedule(str(schedule))
    except Refused as refused:
        of_schedule = f"{place}.schedule"
        raise _wrong(of_schedule, str(refused)) from None
    return Timed(name, schedule, _date(table.get("start"), f"{place}.start") or start, snapshot)


def _date(value: object, place: str) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise _wrong(place, f"{value!r} is no date; write 2026-01-31") from None


def _twice(name: str) -> Problem:
    return Problem(f"{FILE} sources.{name}", "two sources have this name, and one of them is in code")


def _wrong(place: str, message: str) -> ProjectError:
    return ProjectError([Problem(f"{FILE} {place}", message)])
