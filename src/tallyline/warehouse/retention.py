"""Retention: what has been kept long enough is removed, hours only where their days remain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, exists, func, insert, not_, or_, select

from tallyline.errors import Refused, RunFailed
from tallyline.warehouse import schema, settings
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Retention
    from tallyline.warehouse.reading import Reading

__all__ = ["Cleaned", "check_hours_are_there", "check_known_then", "clean", "cleaned_until", "take_over_marks"]

_RESTATEMENTS = "restatements cleaned until"


@dataclass(slots=True)
class Cleaned:
    """What a clean removed of a source, or would remove, in numbers of rows.

    `refused` are metrics with hours that are old enough to go, and were never rolled up into days.
    """

    hours: int = 0
    days: int = 0
    restatements: int = 0
    runs: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many rows."""
        return self.hours + self.days + self.restatements + self.runs


def clean(
    connection: Connection, source: str, retention: Retention, now: datetime, zone: ZoneInfo, *, write: bool
) -> Cleaned:
    """Remove what is older than the retention says, or without `write` only count it."""
    cleaned = Cleaned()
    if retention.restatements is not None:  # at first: of cleaned hours and days they go uncounted
        old_runs = select(schema.run.c.id).where(schema.run.c.ended_at < now - retention.restatements)
        for table in schema.RESTATEMENTS.values():
            old = table.c.replaced_by.in_(old_runs) & _of(table, source)
            cleaned.restatements += _removed(connection, table, old, write=write)
        if write:
            settings.put_later(connection, _RESTATEMENTS, now - retention.restatements)
    hours = retention.hours or retention.days  # hours never outlive their days
    if hours is not None:
        _clean_hours(connection, source, Grain.DAY.floor(now - hours, zone), zone, cleaned, write=write)
    if retention.days is not None:
        until = Grain.DAY.floor(now - retention.days, zone)
        old = (schema.daily_value.c.bucket < until) & _of(schema.daily_value, source)
        cleaned.days = _removed(connection, schema.daily_value, old, write=write)
        if write:
            restated = schema.RESTATEMENTS[Grain.DAY]
            connection.execute(delete(restated).where((restated.c.bucket < until) & _of(restated, source)))
            _mark(connection, Grain.DAY, source, until)
    if retention.runs is not None:
        cleaned.runs = _clean_runs(connection, source, now - retention.runs, write=write)
        if write:
            settings.put_later(connection, _RESTATEMENTS, now - retention.runs)
            settings.put_later(connection, f"runs of {source} cleaned until", now - retention.runs)
    if write:
        _remove_empty_series(connection, source)
    return cleaned


def check_hours_are_there(connection: Connection, reading: Reading, zone: ZoneInfo) -> None:
    """Refuse to read a part of a day whose other hours were cleaned away: its day would be rolled up wrongly."""
    owners = [reading.source, *_former_owners(connection, reading)]
    marks = [mark for owner in owners if (mark := cleaned_until(connection, Grain.HOUR, owner)) is not None]
    until, whole = max(marks, default=None), reading.window.widened(Grain.DAY, zone)
    if until is None or reading.grain is not Grain.HOUR:
        return
    edges = ((whole.since, reading.window.since), (whole.until, reading.window.until))
    if any(full != edge and min(full, edge) < until for full, edge in edges):
        msg = (
            f"{reading.source} is read for a part of a day whose hours were cleaned away (those before "
            f"{until.astimezone(zone):%Y-%m-%d}); read whole days: --since {whole.since.astimezone(zone):%Y-%m-%d}"
        )
        raise RunFailed(msg)


def check_known_then(connection: Connection, moment: datetime) -> None:
    """Refuse to tell what was known at a moment from which on restated values were cleaned away."""
    cleaned = settings.moment(connection, _RESTATEMENTS)
    if cleaned is not None and moment < cleaned:
        msg = f"what was known before {cleaned:%Y-%m-%d} was cleaned away; ask for a later day"
        raise Refused(msg)


def cleaned_until(connection: Connection, grain: Grain, source: str) -> datetime | None:
    """Return up to when the hours or days of a source were cleaned away, None where they never were."""
    table = schema.cleaned
    kept = select(table.c.until).where(table.c.source == source, table.c.grain == grain)
    until: datetime | None = connection.execute(kept).scalar()
    return until


def take_over_marks(connection: Connection, reading: Reading) -> None:
    """Keep of a source what was cleaned away of those that are no more, whose series it takes over."""
    table = schema.cleaned
    marks = select(table).where(table.c.source.in_(_former_owners(connection, reading)))
    for row in connection.execute(marks).all():
        _mark(connection, Grain(row.grain), reading.source, row.until)


def _former_owners(connection: Connection, reading: Reading) -> Sequence[str]:
    """Return the sources that are no more and own series of a reading's metrics, if something of them was cleaned."""
    names, series = {metric for metric, _ in reading.points.series}, schema.series
    owners = (
        select(schema.cleaned.c.source)
        .join(series, series.c.source == schema.cleaned.c.source)
        .join(schema.metric, schema.metric.c.id == series.c.metric_id)
        .where(series.c.source.not_in([reading.source, *reading.sources]), schema.metric.c.name.in_(names))
        .distinct()
    )
    return connection.execute(owners).scalars().all()


def _clean_hours(
    connection: Connection, source: str, until: datetime, zone: ZoneInfo, cleaned: Cleaned, *, write: bool
) -> None:
    hours = schema.hourly_value
    first = connection.execute(select(func.min(hours.c.bucket)).where(_of(hours, source))).scalar()
    if first is None or first >= until:
        return
    for day in _days(first, until, zone):
        there, rolled_up = _metrics_in(connection, hours, source, day), _rolled_up(connection, source, day)
        for name in there.keys() - rolled_up:
            cleaned.refused[name] = cleaned.refused.get(name, 0) + there[name]
        old = _in(hours, day) & _of(hours, source, but=there.keys() - rolled_up)
        cleaned.hours += _removed(connection, hours, old, write=write)
    if write and cleaned.hours:
        restated = schema.RESTATEMENTS[Grain.HOUR]
        gone = (restated.c.bucket < until) & _of(restated, source, but=cleaned.refused)
        connection.execute(delete(restated).where(gone))
        _mark(connection, Grain.HOUR, source, until)


def _days(first: datetime, until: datetime, zone: ZoneInfo) -> Iterator[Window]:
    for day in Window(Grain.DAY.floor(first, zone), until).buckets(Grain.DAY, zone):
        yield Window(day, Grain.DAY.after(day, zone))


def _metrics_in(connection: Connection, table: Table, source: str, day: Window) -> dict[str, int]:
    counted = (
        select(schema.metric.c.name, func.count())
        .select_from(table)
        .join(schema.series, schema.series.c.id == table.c.series_id)
        .join(schema.metric, schema.metric.c.id == schema.series.c.metric_id)
        .where(schema.series.c.source == source, _in(table, day))
        .group_by(schema.metric.c.name)
    )
    return {row[0]: row[1] for row in connection.execute(counted)}


def _rolled_up(connection: Connection, source: str, day: Window) -> set[str]:
    return set(_metrics_in(connection, schema.daily_value, source, day))


def _clean_runs(connection: Connection, source: str, before: datetime, *, write: bool) -> int:
    run = schema.run
    newest = select(func.max(run.c.id)).where(run.c.source == source, run.c.state == "done").scalar_subquery()
    replaced = [run.c.id.in_(select(table.c.replaced_by)) for table in schema.RESTATEMENTS.values()]
    old = and_(
        run.c.source == source, run.c.ended_at < before, run.c.id != func.coalesce(newest, 0), not_(or_(*replaced))
    )
    if write:
        for table in (schema.run_node, schema.run_missing):
            connection.execute(delete(table).where(table.c.run_id.in_(select(run.c.id).where(old))))
    return _removed(connection, run, old, write=write)


def _remove_empty_series(connection: Connection, source: str) -> None:
    series = schema.series
    tables = [*schema.FACTS.values(), *schema.RESTATEMENTS.values()]
    unused = [~exists().where(table.c.series_id == series.c.id) for table in tables]
    connection.execute(delete(series).where(series.c.source == source, *unused))


def _removed(connection: Connection, table: Table, old: ColumnElement[bool], *, write: bool) -> int:
    if write:
        return connection.execute(delete(table).where(old)).rowcount
    return int(connection.execute(select(func.count()).select_from(table).where(old)).scalar_one())


def _in(table: Table, window: Window) -> ColumnElement[bool]:
    inside: ColumnElement[bool] = (table.c.bucket >= window.since) & (table.c.bucket < window.until)
    return inside


def _of(table: Table, source: str, *, but: Collection[str] = ()) -> ColumnElement[bool]:
    owned: Any = select(schema.series.c.id).where(schema.series.c.source == source)
    if but:
        owned = owned.join(schema.metric, schema.metric.c.id == schema.series.c.metric_id)
        owned = owned.where(schema.metric.c.name.not_in(but))
    inside: ColumnElement[bool] = table.c.series_id.in_(owned)
    return inside


def _mark(connection: Connection, grain: Grain, source: str, until: datetime) -> None:
    table, before = schema.cleaned, cleaned_until(connection, grain, source)
    connection.execute(delete(table).where(table.c.source == source, table.c.grain == grain))
    row = {"source": source, "grain": str(grain), "until": max(until, before or until)}
    connection.execute(insert(table).values(row))
