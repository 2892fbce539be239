"""What is known of a metric: for which buckets all sources that tell of it were read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from tallyline.plan import Kind
from tallyline.warehouse import coverage, schema
from tallyline.warehouse.retention import cleaned_until
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Select
    from sqlalchemy.engine import Connection

    from tallyline.window import Grain

__all__ = ["Known", "Told"]


@dataclass(frozen=True, slots=True)
class Known:
    """The windows in which everything is known of a metric, apart from each other and in order.

    `since` is when its sources began to tell of it; `cleaned` says whether some of it was cleaned away.
    """

    windows: Sequence[Window]
    since: datetime | None
    cleaned: bool
    zone: ZoneInfo

    @classmethod
    def now(cls, told: Told, facts: Grain, zone: ZoneInfo) -> Known:
        """Return what is known of a metric by its facts of a grain: what all its sources have read.

        What was cleaned away is not known any more, even where a part of it was read again.
        """
        return cls._of(
            [(teller.since, teller.cleaned.get(facts), teller.windows) for teller in told.tellers.values()], zone
        )

    @classmethod
    def then(cls, connection: Connection, metric: str, facts: Grain, zone: ZoneInfo, moment: datetime) -> Known:
        """Return what was known of a metric at a moment; what was cleaned away since is not known any more."""
        later = select(schema.run.c.id).where(schema.run.c.ended_at > moment)
        begins = connection.execute(_BEGINS.where(_tells.c.run_id.not_in(later)), {"metric": metric})
        read = (
            (since, cleaned_until(connection, facts, source), coverage.as_of(connection, source, moment))
            for source, since in begins
        )
        return cls._of([(since, cleaned, [piece.window for piece in pieces]) for since, cleaned, pieces in read], zone)

    @classmethod
    def _of(cls, read: Sequence[tuple[datetime, datetime | None, Iterable[Window]]], zone: ZoneInfo) -> Known:
        by_each = [list(_after(coverage.joined_windows(windows), cleaned)) for _, cleaned, windows in read]
        together = reduce(lambda some, others: list(_common(some, others)), by_each) if read else []
        since = max((since for since, _, _ in read), default=None)
        return cls(together, since, any(cleaned for _, cleaned, _ in read), zone)

    def complete(self, buckets: Sequence[int], grain: Grain) -> set[int]:
        """Return those of some buckets, given in order as seconds since 1970, that were read to their end."""
        whole: set[int] = set()
        for window in self.windows:
            since, until = window.since.timestamp(), grain.floor(window.until, self.zone).timestamp()
            whole.update(buckets[bisect_left(buckets, since) : bisect_left(buckets, until)])
        return whole

    def buckets(self, since: datetime, until: datetime | None, grain: Grain) -> set[int]:
        """Return the buckets that are known, if only in part, between two moments, as seconds since 1970."""
        begin = max(grain.floor(since, self.zone), grain.floor(self.since or since, self.zone))
        known: set[int] = set()
        for window in self.windows:
            first = max(grain.floor(window.since, self.zone), begin)
            end = window.until if until is None else min(window.until, until)
            if first < end:
                known.update(Window(first, end).bucket_seconds(grain, self.zone))
        return known


@dataclass(slots=True)
class _Teller:
    """A source that tells of a metric: since when, up to when its facts of a grain were cleaned away, what it read."""

    since: datetime
    cleaned: dict[str, datetime] = field(default_factory=dict)
    windows: dict[Window, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """The kind of a metric, and the sources that tell of it."""

    kind: Kind
    tellers: dict[str, _Teller] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, metric: str, other: str) -> dict[str, Told]:
        """Return those of two metrics that there are, by name."""
        found: dict[str, Told] = {}
        rows = connection.execute(_TOLD, {"metric": metric, "other": other})
        for name, kind, source, begins, grain, cleaned, since, until in rows:
            told = found.setdefault(name, cls(Kind(kind)))
            if source is None:
                continue
            teller = told.tellers.setdefault(source, _Teller(begins))
            if grain is not None:
                teller.cleaned[grain] = cleaned
            if since is not None:
                teller.windows[Window(since, until)] = None
        return found


_tells = schema.metric_source
_BEGINS = (
    select(_tells.c.source, func.min(_tells.c.since).label("since"))
    .join(schema.metric, schema.metric.c.id == _tells.c.metric_id)
    .where(schema.metric.c.name == bindparam("metric"))
    .group_by(_tells.c.source)
)


def _told() -> Select[Any]:
    metric, covered, cleaned = schema.metric, schema.covered, schema.cleaned
    named = (metric.c.name == bindparam("metric")) | (metric.c.name == bindparam("other"))
    begins = select(_tells.c.metric_id, _tells.c.source, func.min(_tells.c.since).label("since"))
    of_metric = metric.c.id == _tells.c.metric_id
    teller = begins.join(metric, of_metric).where(named).group_by(*_tells.c["metric_id", "source"]).subquery()
    is_read = (covered.c.source == teller.c.source) & (covered.c.state.in_(list(map(str, coverage.KNOWN))))
    sources = (metric.c.name, metric.c.kind, teller.c.source, teller.c.since)
    return (
        select(*sources, cleaned.c.grain, cleaned.c.until, covered.c.since, covered.c.until)
        .select_from(metric)
        .outerjoin(teller, teller.c.metric_id == metric.c.id)
        .outerjoin(covered, is_read)
        .outerjoin(cleaned, cleaned.c.source == teller.c.source)
        .where(named)
    )


_TOLD = _told()


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
