"""Metrics and series: which of them there are, which source owns them, and the ids by which values are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tallyline.errors import RunFailed
from tallyline.plan import Kind
from tallyline.warehouse import schema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Select, Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Plan, SeriesKey
    from tallyline.warehouse.reading import Reading

__all__ = ["Owned", "check_metrics", "keep_metrics", "keep_series", "known_since", "look_up"]


@dataclass(frozen=True, slots=True)
class Owned:
    """The series of a source: their ids by metric and dims, and of each id the metric and its kind.

    `adopted` are series of sources that are no more. Series that are not kept yet have ids below zero.
    """

    ids: Mapping[SeriesKey, int]
    kinds: Mapping[int, tuple[str, Kind]]
    keys: Mapping[int, SeriesKey]
    adopted: Sequence[int]
    new: Sequence[SeriesKey]

    def with_ids(self, kept: Mapping[int, int]) -> Owned:
        """Return the same, new series under the ids that they were given when they were kept."""
        ids = {key: kept.get(number, number) for key, number in self.ids.items()}
        kinds = {kept.get(number, number): kind for number, kind in self.kinds.items()}
        return replace(self, ids=ids, kinds=kinds, keys={number: key for key, number in ids.items()}, adopted=())


def look_up(connection: Connection, reading: Reading, plan: Plan) -> Owned:
    """Return the series that a reading is about and all others of its source.

    Raises RunFailed where one belongs to another source, or where there would be too many new ones at once.
    """
    wanted = reading.points.series.keys()
    names = {metric for metric, _ in wanted}
    ids: dict[SeriesKey, int] = {}
    kinds: dict[int, tuple[str, Kind]] = {}
    adopted: list[int] = []
    for number, metric, kind, dims, source in connection.execute(_known(reading, names)):
        key = (metric, _canonical(dims))
        if source != reading.source and source in reading.sources:
            _check_owner(key, wanted, source)
            continue
        ids[key], kinds[number] = number, (metric, Kind(kind))
        if source != reading.source:
            adopted.append(number)
    new = sorted(key for key in wanted if key not in ids)
    _check_cardinality(reading, new)
    for number, key in enumerate(new, start=1):
        ids[key], kinds[-number] = -number, (key[0], plan[key[0]].kind)
    return Owned(ids, kinds, {number: key for key, number in ids.items()}, adopted, new)


def check_metrics(connection: Connection, names: Collection[str], plan: Plan) -> None:
    """Refuse metrics whose kind is not what it was when their values were written."""
    table = schema.metric
    known = select(table.c.name, table.c.kind).where(table.c.name.in_(names))
    for name, kind in connection.execute(known):
        if kind != plan[name].kind:
            msg = (
                f'{name} is kept as "{kind}" and the plan now calls it "{plan[name].kind}"; '
                "its days were rolled up as the former: give the metric of the new kind a new name"
            )
            raise RunFailed(msg)


def keep_metrics(connection: Connection, names: Collection[str], plan: Plan) -> dict[str, int]:
    """Keep metrics with their units and titles of now, and return their ids."""
    table = schema.metric
    rows: list[dict[str, object]] = [
        {"name": name, "kind": str(plan[name].kind), "unit": plan[name].unit, "title": plan[name].label}
        for name in sorted(names)
    ]
    found = select(table.c.name, table.c.id, table.c.unit, table.c.title).where(table.c.name.in_(names))
    known = {row.name: row for row in connection.execute(found)}
    _insert_missing(connection, table, [row for row in rows if row["name"] not in known])
    for row in rows:
        before = known.get(row["name"])
        if before is not None and (before.unit, before.title) != (row["unit"], row["title"]):
            changed = update(table).where(table.c.id == before.id)
            connection.execute(changed.values(unit=row["unit"], title=row["title"]))
    return {row.name: row.id for row in connection.execute(found)}


def keep_series(connection: Connection, reading: Reading, owned: Owned, metrics: Mapping[str, int]) -> dict[int, int]:
    """Keep new series and adopt others; return the ids of the new ones by those that stood for them."""
    table = schema.series
    if owned.adopted:
        connection.execute(update(table).where(table.c.id.in_(owned.adopted)).values(source=reading.source))
    rows = [
        {"metric_id": metrics[metric], "digest": _digest(dims), "dims": json.loads(dims), "source": reading.source}
        for metric, dims in owned.new
    ]
    if not rows:
        return {}
    adding = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    ids = connection.execute(adding, rows).scalars()
    return {-number: kept for number, kept in enumerate(ids, start=1)}


def known_since(
    connection: Connection, run: int, reading: Reading, metrics: Mapping[str, int], *, adopts: bool
) -> None:
    """Keep since when the source tells of its metrics: from the first window on in which it told of them.

    Each earlier beginning is kept beside those before it, so that it is known what was known. A source that adopts
    series of sources that are no more goes on where these began.
    """
    table, first = schema.metric_source, reading.window.since
    if adopts:
        others = [name for name in reading.sources if name != reading.source]
        orphaned = table.c.metric_id.in_(metrics.values()) & table.c.source.not_in([*others, reading.source])
        for row in connection.execute(select(table).where(orphaned)).all():
            known = {"metric_id": row.metric_id, "source": reading.source, "since": row.since, "run_id": row.run_id}
            _insert_missing(connection, table, [known])
        connection.execute(delete(table).where(orphaned))
    mine = table.c.metric_id.in_(metrics.values()) & (table.c.source == reading.source)
    begins = select(table.c.metric_id, func.min(table.c.since)).where(mine).group_by(table.c.metric_id)
    before = {metric: since for metric, since in connection.execute(begins)}  # noqa: C416  # rows are no pairs to dict
    rows = [
        {"metric_id": metric, "source": reading.source, "since": first, "run_id": run}
        for metric in metrics.values()
        if metric not in before or first < before[metric]
    ]
    _insert_missing(connection, table, rows)


def _check_owner(key: SeriesKey, wanted: Collection[SeriesKey], owner: str) -> None:
    if key in wanted:
        msg = f'{key[0]} {key[1]} is written by the source "{owner}" already: two sources cannot write one series'
        raise RunFailed(msg)


def _known(reading: Reading, names: Collection[str]) -> Select[Any]:
    series, metric = schema.series, schema.metric
    about: list[ColumnElement[bool]] = [series.c.source == reading.source]
    if names:
        about.append(metric.c.name.in_(names))
    columns = (series.c.id, metric.c.name, metric.c.kind, series.c.dims, series.c.source)
    return select(*columns).join(metric, metric.c.id == series.c.metric_id).where(or_(*about))


def _check_cardinality(reading: Reading, new: Sequence[SeriesKey]) -> None:
    if len(new) > reading.most_new_series:
        metric, dims = new[0]
        msg = (
            f"{len(new):,} new series at once, such as {metric} {dims}; at most {reading.most_new_series:,} are taken. "
            "Leave out dims that are different for each row (ids, times, addresses), "
            "or allow more: most_new_series of the source"
        )
        raise RunFailed(msg)


def _insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(inserting(table).on_conflict_do_nothing(), rows)


def _canonical(dims: Mapping[str, str]) -> str:
    return json.dumps(dims, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _digest(dims: str) -> str:
    return hashlib.blake2b(dims.encode(), digest_size=16).hexdigest()
