"""Publishing what a read has collected: the window is replaced, only what differs is written, days are rolled up."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from tallyline.plan import Kind
from tallyline.warehouse import facts
from tallyline.warehouse.column import Column, joined
from tallyline.warehouse.difference import Difference, Range, compare
from tallyline.warehouse.retention import cleaned_until, take_over_marks
from tallyline.warehouse.rollup import Days, roll_up, touched_days
from tallyline.warehouse.series import check_metrics, keep_metrics, keep_series, known_since, look_up
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

    from tallyline.plan import Plan
    from tallyline.warehouse.facts import Stored
    from tallyline.warehouse.ledger import Changes
    from tallyline.warehouse.reading import Reading
    from tallyline.warehouse.series import Owned

__all__ = ["Differing", "Preview", "Published", "preview", "publish"]

_NOT_A_RUN = 0


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing changed: the numbers of values, and the buckets that differ from what was known of them."""

    changes: Changes
    touched: Sequence[datetime]


class Differing(NamedTuple):
    """A value that is published, and what would be published in its place; None where there is no value."""

    metric: str
    dims: str
    time: datetime
    before: float | None
    after: float | None


class Preview(NamedTuple):
    """What publishing would change: the numbers of values, and the first of the published ones that would differ."""

    changes: Changes
    differing: list[Differing]


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """Let Python not look through all of the process for garbage, again and again, while much is made that stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_nothing_is_garbage()
def publish(connection: Connection, run: int, reading: Reading, plan: Plan, zone: ZoneInfo) -> Published:
    """Replace the window of the source by what was read, and roll up the days that it touches.

    Values that are as they were are not written again; values of the window that were not read again are removed. What
    was there before is kept as restated by `run`. Raises RunFailed where a series belongs to another source, a
    metric's kind is not what it was, or too many series are new.
    """
    names = {metric for metric, _ in reading.points.series}
    check_metrics(connection, names, plan)
    owned = look_up(connection, reading, plan)
    metrics = keep_metrics(connection, names, plan)
    known_since(connection, run, reading, metrics, adopts=bool(owned.adopted))
    if owned.adopted:
        take_over_marks(connection, reading)
    kept = keep_series(connection, reading, owned, metrics)
    difference = _Work.on(connection, run, reading, owned.with_ids(kept), zone).replace()
    buckets = set().union(*(column.buckets for column in difference.touched))
    touched = [datetime.fromtimestamp(bucket, UTC) for bucket in sorted(buckets)]
    cleaned = cleaned_until(connection, reading.grain, reading.source)
    return Published(difference.changes, [bucket for bucket in touched if cleaned is None or bucket >= cleaned])


@_nothing_is_garbage()
def preview(connection: Connection, reading: Reading, plan: Plan, zone: ZoneInfo, most: int) -> Preview:
    """Return what `publish` would change, and the first of the values that differ from published ones."""
    check_metrics(connection, {metric for metric, _ in reading.points.series}, plan)
    owned = look_up(connection, reading, plan)
    difference = _Work.on(connection, _NOT_A_RUN, reading, owned, zone).compare()
    return Preview(difference.changes, _differing(difference, owned)[:most])


@dataclass(frozen=True, slots=True)
class _Work:
    """A reading on its way into the tables."""

    connection: Connection
    run: int
    reading: Reading
    owned: Owned
    new: Mapping[int, Column]
    days: Days
    zone: ZoneInfo

    @classmethod
    def on(cls, connection: Connection, run: int, reading: Reading, owned: Owned, zone: ZoneInfo) -> _Work:
        seconds = _Seconds()
        new: dict[int, Column] = {}
        for key, values in reading.points.series.items():
            buckets, series, runs = seconds.of(tuple(values)), owned.ids[key], (run,) * len(values)
            new[series] = Column(series, buckets, tuple(values.values()), runs).in_order()
        return cls(connection, run, reading, owned, new, Days(zone), zone)

    def compare(self) -> Difference:
        """Return how the window differs, at the grain of the source."""
        window = self.reading.window
        before = self._read(self.reading.grain, window)
        difference = compare(before, self.new)
        if not difference.unchanged:
            difference.whole = Range(list(before), int(window.since.timestamp()), int(window.until.timestamp()))
        return difference

    def replace(self) -> Difference:
        """Write what differs, and the days that follow from it."""
        if self.reading.grain is not Grain.HOUR:
            self._remove_hours()
            difference = self.compare()
            self._write(self.reading.grain, difference)
            return difference
        difference = self.compare()
        self._write(Grain.HOUR, difference)
        cleaned = cleaned_until(self.connection, Grain.HOUR, self.reading.source)
        has_cleaned_days = cleaned is not None and self.reading.window.since < cleaned
        if difference.changes.total or has_cleaned_days:
            self._roll_up(difference, cleaned if has_cleaned_days else None)
        return difference

    def _roll_up(self, difference: Difference, cleaned: datetime | None) -> None:
        touched = touched_days(difference.touched, self.owned.kinds, self.days)
        whole = self.reading.window.widened(Grain.DAY, self.zone)
        before = self._read(Grain.DAY, whole)
        for series in filter(self._is_rolled_up, before) if cleaned else ():
            # the hours of these days were cleaned away, so that nothing tells what has changed: they are made anew
            touched[series] |= {day for day in before[series].buckets if cleaned and day < cleaned.timestamp()}
        rolled = roll_up(self._hours(whole), self.owned.kinds, touched, self.days, self.run)
        there = {series: column.within(touched[series]) for series, column in before.items() if series in touched}
        self._write(Grain.DAY, compare(there, rolled))

    def _hours(self, whole: Window) -> dict[int, Column]:
        """Return the hours of whole days: those that were read, and around them those that are kept."""
        read = self.reading.window
        parts = [
            self._read(Grain.HOUR, Window(whole.since, read.since)) if whole.since < read.since else {},
            self.new,
            self._read(Grain.HOUR, Window(read.until, whole.until)) if read.until < whole.until else {},
        ]
        return {series: joined(part[series] for part in parts if series in part) for series in set().union(*parts)}

    def _remove_hours(self) -> None:
        """Remove hours of the window that a source told which now tells days; distinct counts may have both."""
        hours = self._read(Grain.HOUR, self.reading.window)
        former = {series: column for series, column in hours.items() if self._is_rolled_up(series)}
        self._write(Grain.HOUR, compare(former, {}))

    def _is_rolled_up(self, series: int) -> bool:
        return self.owned.kinds[series][1] is not Kind.DISTINCT

    def _read(self, grain: Grain, window: Window) -> Stored:
        since, until = int(window.since.timestamp()), int(window.until.timestamp())
        return facts.read(self.connection, grain, self.reading.source, self.owned.adopted, since, until)

    def _write(self, grain: Grain, difference: Difference) -> None:
        facts.replace(self.connection, grain, self.run, difference)


class _Seconds(dict[datetime, int]):
    """Moments as seconds since 1970, each worked out once."""

    def __init__(self) -> None:
        super().__init__()
        self._moments: tuple[datetime, ...] = ()
        self._seconds: tuple[int, ...] = ()

    def __missing__(self, moment: datetime) -> int:
        seconds = self[moment] = int(moment.timestamp())
        return seconds

    def of(self, moments: tuple[datetime, ...]) -> tuple[int, ...]:
        """Return several, remembered for the next time: most series of a reading have the same ones."""
        if moments != self._moments:
            self._moments, self._seconds = moments, tuple(map(self.__getitem__, moments))
        return self._seconds


def _differing(difference: Difference, owned: Owned) -> list[Differing]:
    changed = [
        Differing(*owned.keys[before.series], datetime.fromtimestamp(bucket, UTC), was, becomes)
        for before, after in difference.changed
        for bucket, was, becomes in zip(before.buckets, before.kept[0], after.kept[0], strict=True)
    ]
    gone = [
        Differing(*owned.keys[column.series], datetime.fromtimestamp(bucket, UTC), was, None)
        for column in difference.removed
        for bucket, was in zip(column.buckets, column.kept[0], strict=True)
    ]
    return sorted([*changed, *gone], key=lambda differing: (differing.time, differing.metric, differing.dims))
