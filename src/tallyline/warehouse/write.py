"""Publishing what a read has collected: the window is replaced, only what differs is written, days are rolled up."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tallyline.errors import RunFailed
from tallyline.plan import Kind, Point
from tallyline.warehouse import schema
from tallyline.warehouse.ledger import Changes
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Plan
    from tallyline.window import Window

    Values = dict[tuple[int, datetime], float]

__all__ = ["Reading", "publish"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave for a window. `sources` are the names of all sources of the project."""

    source: str
    window: Window
    grain: Grain
    points: Collection[Point]
    sources: Collection[str] = ()


def publish(connection: Connection, reading: Reading, plan: Plan, zone: ZoneInfo) -> Changes:
    """Replace the window of the source by what was read, and roll up the days that it touches.

    Values that are as they were are not written again; values of the window that were not read again are removed.
    Raises RunFailed where a series belongs to another source or a metric's kind is not what it was.
    """
    metrics = _metric_ids(connection, {point.metric for point in reading.points}, plan)
    ids = _series_ids(connection, reading, metrics)
    new = {(ids[point.metric, point.dims], point.bucket): point.value for point in reading.points}
    if reading.grain is Grain.DAY:
        hours_before = _values(connection, schema.hourly_value, reading, reading.window)  # had it told hours until now
        _replace(connection, schema.hourly_value, hours_before, {})
        days_before = _values(connection, schema.daily_value, reading, reading.window)
        return _replace(connection, schema.daily_value, days_before, new)
    days = reading.window.widened(Grain.DAY, zone)
    around = _values(connection, schema.hourly_value, reading, days)
    present = {key: value for key, value in around.items() if key[1] in reading.window}
    changes = _replace(connection, schema.hourly_value, present, new)
    if changes.total:
        hours = {key: value for key, value in around.items() if key not in present} | new
        rolled = _rolled_up(hours, _metrics_of(connection, reading.source), zone)
        _replace(connection, schema.daily_value, _values(connection, schema.daily_value, reading, days), rolled)
    return changes


def _metric_ids(connection: Connection, names: set[str], plan: Plan) -> dict[str, int]:
    metric = schema.metric
    rows: list[dict[str, object]] = [
        {"name": name, "kind": str(plan[name].kind), "unit": plan[name].unit, "title": plan[name].label}
        for name in sorted(names)
    ]
    known = {row.name: row for row in connection.execute(select(metric).where(metric.c.name.in_(names)))}
    _insert_missing(connection, metric, [row for row in rows if row["name"] not in known])
    for row in rows:
        before = known.get(row["name"])
        if before is None:
            continue
        if before.kind != row["kind"]:
            msg = (
                f'{row["name"]} is kept as "{before.kind}" and the plan now calls it "{row["kind"]}"; '
                "its days were rolled up as the former: give the metric of the new kind a new name"
            )
            raise RunFailed(msg)
        if (before.unit, before.title) != (row["unit"], row["title"]):
            connection.execute(
                update(metric).where(metric.c.id == before.id).values(unit=row["unit"], title=row["title"])
            )
    found = select(metric.c.name, metric.c.id).where(metric.c.name.in_(names))
    return dict(connection.execute(found).all())


def _series_ids(connection: Connection, reading: Reading, metrics: Mapping[str, int]) -> dict[tuple[str, str], int]:
    wanted = {(metrics[point.metric], _digest(point.dims)): (point.metric, point.dims) for point in reading.points}
    known = _known_series(connection, metrics.values())
    _insert_missing(
        connection,
        schema.series,
        [
            {"metric_id": key[0], "digest": key[1], "dims": json.loads(dims), "source": reading.source}
            for key, (_, dims) in wanted.items()
            if key not in known
        ],
    )
    _check_owners(reading, {known[key]: named for key, named in wanted.items() if key in known})
    _adopt(connection, reading, metrics.values())
    known = _known_series(connection, metrics.values())
    return {named: known[key][0] for key, named in wanted.items()}


def _known_series(connection: Connection, metrics: Iterable[int]) -> dict[tuple[int, str], tuple[int, str]]:
    series = schema.series
    known = select(series.c.metric_id, series.c.digest, series.c.id, series.c.source).where(
        series.c.metric_id.in_(list(metrics))
    )
    return {(metric, digest): (number, source) for metric, digest, number, source in connection.execute(known)}


def _check_owners(reading: Reading, series: Mapping[tuple[int, str], tuple[str, str]]) -> None:
    for (_, owner), (metric, dims) in series.items():
        if owner != reading.source and owner in reading.sources:
            msg = f'{metric} {dims} is written by the source "{owner}" already: two sources cannot write one series'
            raise RunFailed(msg)


def _adopt(connection: Connection, reading: Reading, metrics: Iterable[int]) -> None:
    """Take over all series of the metrics whose sources are no more, as those of a source that has been renamed."""
    series = schema.series
    orphaned = series.c.metric_id.in_(list(metrics)) & series.c.source.not_in([*reading.sources, reading.source])
    connection.execute(update(series).where(orphaned).values(source=reading.source))


def _insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(inserting(table).on_conflict_do_nothing(), rows)


def _values(connection: Connection, table: Table, reading: Reading, window: Window) -> Values:
    present = (
        select(table.c.series_id, table.c.bucket, table.c.value)
        .join(schema.series, schema.series.c.id == table.c.series_id)
        .where(
            schema.series.c.source == reading.source,
            table.c.bucket >= window.since,
            table.c.bucket < window.until,
        )
    )
    return {(series, bucket): value for series, bucket, value in connection.execute(present)}


def _metrics_of(connection: Connection, source: str) -> dict[int, tuple[int, Kind]]:
    series, metric = schema.series, schema.metric
    owned = (
        select(series.c.id, metric.c.id, metric.c.kind)
        .join(metric, metric.c.id == series.c.metric_id)
        .where(series.c.source == source)
    )
    return {number: (metric_id, Kind(kind)) for number, metric_id, kind in connection.execute(owned)}


def _rolled_up(hours: Values, metrics: Mapping[int, tuple[int, Kind]], zone: ZoneInfo) -> Values:
    days = {bucket: Grain.DAY.floor(bucket, zone) for bucket in {bucket for _, bucket in hours}}
    collected: defaultdict[tuple[int, datetime], list[tuple[datetime, float]]] = defaultdict(list)
    last: dict[tuple[int, datetime], datetime] = {}
    for (series, bucket), value in sorted(hours.items(), key=lambda item: item[0][1]):
        collected[series, days[bucket]].append((bucket, value))
        last[metrics[series][0], days[bucket]] = bucket
    return dict(_daily(collected, last, metrics))


def _daily(
    collected: Mapping[tuple[int, datetime], list[tuple[datetime, float]]],
    last: Mapping[tuple[int, datetime], datetime],
    metrics: Mapping[int, tuple[int, Kind]],
) -> Iterator[tuple[tuple[int, datetime], float]]:
    for (series, day), values in collected.items():
        metric, kind = metrics[series]
        if kind is Kind.LEVEL and values[-1][0] != last[metric, day]:
            continue
        yield (series, day), kind.over_time([value for _, value in values])


def _replace(connection: Connection, table: Table, present: Values, new: Values) -> Changes:
    added = [key for key in new if key not in present]
    changed = [key for key, value in present.items() if key in new and new[key] != value]
    removed = [key for key in present if key not in new]
    at = (table.c.series_id == bindparam("at_series")) & (table.c.bucket == bindparam("at_bucket"))
    for keys in _chunks(sorted(added)):
        rows = [{"series_id": series, "bucket": bucket, "value": new[series, bucket]} for series, bucket in keys]
        connection.execute(insert(table), rows)
    for keys in _chunks(sorted(changed)):
        rows = [{"at_series": series, "at_bucket": bucket, "now": new[series, bucket]} for series, bucket in keys]
        connection.execute(update(table).where(at).values(value=bindparam("now")), rows)
    for keys in _chunks(sorted(removed)):
        connection.execute(
            delete(table).where(at), [{"at_series": series, "at_bucket": bucket} for series, bucket in keys]
        )
    return Changes(len(added), len(changed), len(removed), len(present) - len(changed) - len(removed))


def _chunks(keys: list[tuple[int, datetime]]) -> Iterator[list[tuple[int, datetime]]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def _digest(dims: str) -> str:
    return hashlib.blake2b(dims.encode(), digest_size=16).hexdigest()
