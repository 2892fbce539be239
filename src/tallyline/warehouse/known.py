"""What is known of a metric: for which buckets all sources that tell of it were read."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from tallyline.warehouse import coverage, schema
from tallyline.warehouse.retention import cleaned_until
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

    from tallyline.window import Grain

__all__ = ["Known"]


@dataclass(frozen=True, slots=True)
class Known:
    """The windows in which everything is known of a metric, apart from each other and in order.

    `since` is when its sources began to tell of it.
    """

    windows: Sequence[Window]
    since: datetime | None
    zone: ZoneInfo

    @classmethod
    def of(
        cls, connection: Connection, metric: str, facts: Grain, zone: ZoneInfo, as_of: datetime | None = None
    ) -> Known:
        """Return what is known of a metric by its facts of a grain, or was at a moment: what all its sources have read.

        What was cleaned away is not known any more.
        """
        tells, named = schema.metric_source, schema.metric
        owners = (
            select(tells.c.source, func.min(tells.c.since))
            .join(named, named.c.id == tells.c.metric_id)
            .where(named.c.name == metric)
            .group_by(tells.c.source)
        )
        if as_of is not None:
            done = select(schema.run.c.id).where(schema.run.c.ended_at > as_of)
            owners = owners.where(tells.c.run_id.not_in(done))
        windows: list[Window] | None = None
        since: datetime | None = None
        for source, first in connection.execute(owners).all():
            pieces = coverage.as_of(connection, source, as_of) if as_of else coverage.pieces(connection, source)
            read = list(_after(coverage.joined(pieces), cleaned_until(connection, facts, source)))
            windows = read if windows is None else list(_common(windows, read))
            since = first if since is None else max(since, first)
        return cls(windows or [], since, zone)

    def is_complete(self, bucket: datetime, grain: Grain) -> bool:
        """Say whether the bucket was read to its end."""
        return self._window_of(bucket, grain.after(bucket, self.zone)) is not None

    def buckets(self, since: datetime, until: datetime | None, grain: Grain) -> Iterator[datetime]:
        """Yield the beginnings of buckets that are known, if only in part, between two moments."""
        begin = max(grain.floor(since, self.zone), grain.floor(self.since or since, self.zone))
        last: datetime | None = None
        for window in self.windows:
            first = max(grain.floor(window.since, self.zone), begin)
            end = window.until if until is None else min(window.until, until)
            if first >= end:
                continue
            for bucket in Window(first, end).buckets(grain, self.zone):
                if last is None or bucket > last:
                    last = bucket
                    yield bucket

    def _window_of(self, since: datetime, until: datetime) -> Window | None:
        index = bisect_right(self.windows, since, key=lambda window: window.since) - 1
        if index < 0:
            return None
        window = self.windows[index]
        return window if until <= window.until else None


def _after(windows: Iterable[Window], moment: datetime | None) -> Iterator[Window]:
    for window in windows:
        since = window.since if moment is None else max(window.since, moment)
        if since < window.until:
            yield Window(since, window.until)


def _common(some: Iterable[Window], others: Iterable[Window]) -> Iterator[Window]:
    for one in some:
        for other in others:
            since, until = max(one.since, other.since), min(one.until, other.until)
            if since < until:
                yield Window(since, until)
