"""A query as SQL over the public views, to be pasted into Grafana or any other tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyline.errors import Refused
from tallyline.plan import Kind
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.warehouse.read import Query

__all__ = ["as_sql"]

_TOTALS = {
    Kind.COUNT: "sum(value)",
    Kind.LEVEL: "sum(value)",
    Kind.MEAN: "sum(value)",
    Kind.MINIMUM: "min(value)",
    Kind.MAXIMUM: "max(value)",
}
_ADDED_OVER_TIME = (Kind.COUNT, Kind.MINIMUM, Kind.MAXIMUM)


def as_sql(asked: Query, kind: Kind, zone: ZoneInfo, dialect: str) -> str:
    """Return the query as SQL; buckets for which nothing is kept are missing in its answer, also where a count is zero.

    Raises Refused for kinds and grains that one plain query cannot tell.
    """
    _check(asked, kind, dialect)
    view = "hourly" if asked.by is Grain.HOUR else "daily"
    time = _time(asked.by, zone)
    columns = [time if time == "time" else f"{time} AS time", f"{_TOTALS[kind]} AS value"]
    if asked.split:
        columns.insert(1, f"dims ->> {_text(asked.split)} AS part")
    groups = ", ".join(str(number) for number in range(1, len(columns)))
    lines = [
        f"SELECT {', '.join(columns)}",
        f"FROM {view}",
        f"WHERE {' AND '.join(_conditions(asked, zone, dialect))}",
        f"GROUP BY {groups}",
        f"ORDER BY {groups}",
    ]
    return "\n".join(lines)


def _check(asked: Query, kind: Kind, dialect: str) -> None:
    name, by = asked.metric, asked.by
    if kind not in _TOTALS:
        msg = f"{name} is a {kind}: one plain query over the views cannot tell it; use the Python interface or --json"
        raise Refused(msg)
    if by not in {Grain.HOUR, Grain.DAY} and (kind not in _ADDED_OVER_TIME or dialect == "sqlite"):
        why = "SQLite knows no time zones" if dialect == "sqlite" else f"a {kind} is not added up over days"
        msg = f"the {by}s of {name} cannot be told by one plain query: {why}; ask by hour or by day"
        raise Refused(msg)
    if asked.as_of is not None or asked.compare is not None:
        msg = "--sql tells values as they are now, without a comparison"
        raise Refused(msg)


def _time(by: Grain, zone: ZoneInfo) -> str:
    if by in {Grain.HOUR, Grain.DAY}:
        return "time"
    there = f"AT TIME ZONE {_text(zone.key)}"
    return f"date_trunc({_text(by)}, time {there}) {there}"


def _conditions(asked: Query, zone: ZoneInfo, dialect: str) -> Iterator[str]:
    yield f"metric = {_text(asked.metric)}"
    yield from (f"dims ->> {_text(name)} = {_text(value)}" for name, value in (asked.where or {}).items())
    if asked.since is not None:
        yield f"time >= {_moment(asked.by.floor(asked.since, zone), dialect)}"
    if asked.until is not None:
        yield f"time < {_moment(asked.by.ceil(asked.until, zone), dialect)}"


def _moment(moment: datetime, dialect: str) -> str:
    return str(int(moment.timestamp())) if dialect == "sqlite" else f"'{moment.isoformat()}'"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
