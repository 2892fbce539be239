"""Reading values: totals over series, split by a dim where asked, at any grain."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, null, select

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric
from tallyline.warehouse import schema
from tallyline.warehouse.ledger import last_done
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.engine import Connection

__all__ = ["Query", "Value", "metrics", "query"]

_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: a metric, the grain, from when (`since`) up to and without `until`.

    `where` keeps the series whose dims have these values; `split` names a dim whose values are told apart.
    """

    metric: str
    by: Grain = Grain.DAY
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, str] | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a bucket that began at `time` (UTC). `part` is the split dim's value, None where it has none.

    `complete` is False while the bucket was not read to its end.
    """

    time: datetime
    value: float
    part: str | None
    complete: bool


def metrics(connection: Connection) -> dict[str, Metric]:
    """Return the metrics that have been written, by name."""
    table = schema.metric
    return {
        row.name: Metric(row.name, row.title, row.unit, Kind(row.kind))
        for row in connection.execute(select(table).order_by(table.c.name))
    }


def query(connection: Connection, asked: Query, zone: ZoneInfo) -> list[Value]:
    """Return the values asked for, in the order of time and part. Sums are right to twelve significant digits."""
    known = metrics(connection)
    if asked.metric not in known:
        raise UnknownName("metric in the warehouse called", asked.metric, known)
    kind = known[asked.metric].kind
    rows = [(row.bucket, row.part, row.total) for row in connection.execute(_totals(asked, kind, zone))]
    if not rows and asked.by is Grain.HOUR:
        _refuse_hours_of_days(connection, asked)
    if asked.by not in {Grain.HOUR, Grain.DAY}:
        rows = _rolled_up(rows, kind, asked.by, zone)
    read_until = _read_until(connection, asked.metric)
    values = [
        Value(time, _rounded(value), part, read_until is not None and asked.by.after(time, zone) <= read_until)
        for time, part, value in rows
    ]
    return sorted(values, key=lambda value: (value.time, value.part is None, value.part or ""))


def _totals(asked: Query, kind: Kind, zone: ZoneInfo) -> Select[Any]:
    table = schema.hourly_value if asked.by is Grain.HOUR else schema.daily_value
    part = _dim(asked.split) if asked.split else null()
    totals = (
        select(table.c.bucket, part.label("part"), _over_series(kind, table.c.value).label("total"))
        .join(schema.series, schema.series.c.id == table.c.series_id)
        .join(schema.metric, schema.metric.c.id == schema.series.c.metric_id)
        .where(schema.metric.c.name == asked.metric)
        .group_by(table.c.bucket, *([part] if asked.split else []))
        .order_by(table.c.bucket)
    )
    for name, value in (asked.where or {}).items():
        totals = totals.where(_dim(name) == value)
    if asked.since is not None:
        totals = totals.where(table.c.bucket >= asked.by.floor(asked.since, zone))
    if asked.until is not None:
        totals = totals.where(table.c.bucket < asked.by.ceil(asked.until, zone))
    return totals


def _over_series(kind: Kind, value: ColumnElement[float]) -> ColumnElement[float]:
    if kind is Kind.MINIMUM:
        return func.min(value)
    return func.max(value) if kind is Kind.MAXIMUM else func.sum(value)


def _dim(name: str) -> ColumnElement[str | None]:
    dim: ColumnElement[str | None] = schema.series.c.dims[name].as_string()
    return dim


def _rolled_up(
    rows: Iterable[tuple[datetime, str | None, float]], kind: Kind, grain: Grain, zone: ZoneInfo
) -> list[tuple[datetime, str | None, float]]:
    collected: defaultdict[datetime, list[tuple[datetime, str | None, float]]] = defaultdict(list)
    for day, part, value in rows:
        collected[grain.floor(day, zone)].append((day, part, value))
    return [(bucket, part, value) for bucket, days in collected.items() for part, value in _one_bucket(days, kind)]


def _one_bucket(days: list[tuple[datetime, str | None, float]], kind: Kind) -> list[tuple[str | None, float]]:
    last = days[-1][0]
    parts: defaultdict[str | None, list[float]] = defaultdict(list)
    for day, part, value in days:
        if kind is not Kind.LEVEL or day == last:
            parts[part].append(value)
    return [(part, kind.over_time(of_part)) for part, of_part in parts.items()]


def _read_until(connection: Connection, metric: str) -> datetime | None:
    owners = _series_of(metric).with_only_columns(schema.series.c.source).distinct()
    return min(last_done(connection, list(connection.execute(owners).scalars())).values(), default=None)


def _series_of(metric: str) -> Select[tuple[object, ...]]:
    named = schema.metric.c.id == schema.series.c.metric_id
    return select(schema.series).join(schema.metric, named).where(schema.metric.c.name == metric)


def _refuse_hours_of_days(connection: Connection, asked: Query) -> None:
    owned = _series_of(asked.metric).with_only_columns(schema.series.c.id)
    has_hours = select(schema.hourly_value.c.series_id).where(schema.hourly_value.c.series_id.in_(owned)).limit(1)
    if connection.execute(has_hours).first() is None:
        msg = f"{asked.metric} is known by the day, not by the hour; ask by day, week, month, quarter or year"
        raise Refused(msg)


def _rounded(value: float) -> float:
    return value if value.is_integer() else float(f"{value:.{_SIGNIFICANT}g}")
