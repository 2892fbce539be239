"""What is known of a metric: for which buckets all sources that tell of it were read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

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

__all__ = ["Known"]


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
    def of(
        cls, connection: Connection, metric: str, facts: Grain, zone: ZoneInfo, as_of: datetime | None = None
    ) -> Known:
        """Return what is known of a metric by its facts of a grain, or was at a moment: what all its sources have read.

        What was cleaned away is not known any more, even where a part of it was read again.
        """
        tellers = _tellers_then(connection, metric, facts, as_of) if as_of else _tellers(connection, metric, facts)
        read = [list(_after(coverage.joined_windows(teller.windows), teller.cleaned)) for teller in tellers]
        together = reduce(lambda some, others: list(_common(some, others)), read) if read else []
        since = max((teller.since for teller in tellers), default=None)
        return cls(together, since, any(teller.cleaned for teller in tellers), zone)

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
    """A source that tells of a metric: since when, which windows it has read, up to when these were cleaned away."""

    since: datetime
    cleaned: datetime | None
    windows: list[Window] = field(default_factory=list)


_tells = schema.metric_source
_BEGINS = (
    select(_tells.c.source, func.min(_tells.c.since).label("since"))
    .join(schema.metric, schema.metric.c.id == _tells.c.metric_id)
    .where(schema.metric.c.name == bindparam("metric"))
    .group_by(_tells.c.source)
)


def _all_tellers() -> Select[Any]:
    teller, covered, cleaned = _BEGINS.subquery("teller"), schema.covered, schema.cleaned
    is_read = (covered.c.source == teller.c.source) & (covered.c.state.in_(list(map(str, coverage.KNOWN))))
    is_cleaned = (cleaned.c.source == teller.c.source) & (cleaned.c.grain == bindparam("grain"))
    columns = (teller.c.source, teller.c.since, cleaned.c.until, covered.c.since, covered.c.until)
    return select(*columns).select_from(teller).outerjoin(covered, is_read).outerjoin(cleaned, is_cleaned)


_TELLERS = _all_tellers()


def _tellers(connection: Connection, metric: str, facts: Grain) -> list[_Teller]:
    tellers: dict[str, _Teller] = {}
    for source, begins, cleaned, since, until in connection.execute(_TELLERS, {"metric": metric, "grain": facts}):
        teller = tellers.setdefault(source, _Teller(begins, cleaned))
        if since is not None:
            teller.windows.append(Window(since, until))
    return list(tellers.values())


def _tellers_then(connection: Connection, metric: str, facts: Grain, moment: datetime) -> list[_Teller]:
    """Return what was told at a moment; what was cleaned away since is not known any more."""
    later = select(schema.run.c.id).where(schema.run.c.ended_at > moment)
    begins = connection.execute(_BEGINS.where(_tells.c.run_id.not_in(later)), {"metric": metric})
    return [
        _Teller(
            since,
            cleaned_until(connection, facts, source),
            [piece.window for piece in coverage.as_of(connection, source, moment)],
        )
        for source, since in begins
    ]


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
