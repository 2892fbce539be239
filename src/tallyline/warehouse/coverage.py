"""Coverage: for each source, which windows were read, and whether their values are final, provisional or failed.

A window is covered up to the moment it was read at. It is provisional until it is read once more after its look-back
has passed, or for good if it never is; then it is final. A window that was tried in vain, and never read, has failed.
One that was read, but of which the source itself said that it does not know, is missing: it is not tried again and
again, and nothing in it is zero.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from tallyline.warehouse import schema, settings
from tallyline.window import Grain, Window, gaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection, Row

    from tallyline.warehouse.reading import Reading

__all__ = [
    "KNOWN",
    "Coverage",
    "Covered",
    "after_failure",
    "after_read",
    "as_of",
    "covers_since",
    "from_ledger",
    "joined",
    "joined_windows",
    "keep_missing",
    "known_windows",
    "lateness",
    "missing_until",
    "partly",
    "pieces",
    "replace_pieces",
]

_A_DAY = timedelta(hours=25)


class Covered(StrEnum):
    """What is known of a window."""

    FINAL = "final"
    PROVISIONAL = "provisional"
    MISSING = "missing"
    FAILED = "failed"


KNOWN = (Covered.FINAL, Covered.PROVISIONAL)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A window of a source, what is known of it, and the newest run that read or failed to read it."""

    window: Window
    state: Covered
    run: int

    @property
    def is_read(self) -> bool:
        """Whether the source has answered for it."""
        return self.state is not Covered.FAILED

    @property
    def is_known(self) -> bool:
        """Whether its values are known."""
        return self.state in KNOWN


def pieces(connection: Connection, source: str) -> list[Coverage]:
    """Return what is known of a source's windows, in the order of time."""
    table = schema.covered
    known = select(table).where(table.c.source == source).order_by(table.c.since)
    return [Coverage(Window(row.since, row.until), Covered(row.state), row.run_id) for row in connection.execute(known)]


def covers_since(before: Sequence[Coverage], reading: Reading, zone: ZoneInfo) -> datetime:
    """Return from when on a read covers its source.

    A snapshot covers the time since the one before it, too. Before the first window of a source that tells all there
    is, there is nothing to be known: the rest of that year, and of its first week, is covered with it.
    """
    since = reading.window.since
    if reading.snapshot:
        return min(since, max((piece.window.until for piece in before if piece.is_read), default=since))
    return Grain.WEEK.floor(Grain.YEAR.floor(since, zone), zone) if reading.tells_all else since


def after_read(
    before: Sequence[Coverage], run: int, read_at: datetime, reading: Reading, zone: ZoneInfo
) -> list[Coverage]:
    """Return the coverage once a source was read at a moment."""
    since = covers_since(before, reading, zone)
    after = _read(before, run, since, reading.window.until, read_at, reading.lookback)
    missing = [Coverage(window, Covered.MISSING, run) for window in missing_until(reading, read_at)]
    for piece in missing:
        after = _without(after, piece.window)
    return _merged([*after, *missing])


def missing_until(reading: Reading, read_at: datetime) -> list[Window]:
    """Return the windows of a reading that its source does not know, up to the moment it was read at."""
    reached = [(window.since, min(window.until, read_at)) for window in reading.missing]
    return joined_windows(Window(since, until) for since, until in reached if since < until)


def keep_missing(connection: Connection, run: int, windows: Iterable[Window]) -> None:
    """Enter in the ledger which windows a run was told to be missing."""
    rows = [{"run_id": run, "since": window.since, "until": window.until} for window in windows]
    if rows:
        connection.execute(insert(schema.run_missing), rows)


def lateness(
    before: Sequence[Coverage], touched: Sequence[datetime], grain: Grain, read_at: datetime, zone: ZoneInfo
) -> timedelta | None:
    """Return how long after its end the oldest bucket still changed that had been read to its end before."""
    for window in known_windows(before):
        for bucket in sorted(bucket for bucket in touched if window.since <= bucket < window.until):
            end = grain.after(bucket, zone)
            if end <= window.until:
                return read_at - end
    return None


def after_failure(before: Sequence[Coverage], window: Window, run: int, tried_at: datetime) -> list[Coverage]:
    """Return the coverage once a run failed: what was read before stays so, the rest of the window has failed."""
    until = min(window.until, tried_at)
    if until <= window.since:
        return list(before)
    tried = Window(window.since, until)
    failed = [
        Coverage(gap, Covered.FAILED, run) for gap in gaps(tried, [piece.window for piece in before if piece.is_read])
    ]
    older = [piece for piece in before if not piece.is_read]
    for gap in failed:
        older = _without(older, gap.window)
    return _merged([*(piece for piece in before if piece.is_read), *older, *failed])


def replace_pieces(connection: Connection, source: str, after: Sequence[Coverage], zone: ZoneInfo) -> None:
    """Keep the coverage of a source, and which of its hours and days are not covered to their end."""
    table = schema.covered
    connection.execute(delete(table).where(table.c.source == source))
    rows = [
        {
            "source": source,
            "since": piece.window.since,
            "until": piece.window.until,
            "state": str(piece.state),
            "run_id": piece.run,
        }
        for piece in after
    ]
    if rows:
        connection.execute(insert(table), rows)
    _replace_incomplete(connection, source, after, zone)


def joined(coverage: Iterable[Coverage]) -> list[Window]:
    """Return the windows that were read, those that touch each other as one."""
    return joined_windows(piece.window for piece in coverage if piece.is_read)


def known_windows(coverage: Iterable[Coverage]) -> list[Window]:
    """Return the windows whose values are known, those that touch each other as one."""
    return joined_windows(piece.window for piece in coverage if piece.is_known)


def joined_windows(windows: Iterable[Window]) -> list[Window]:
    """Return windows in the order of time, those that touch each other as one."""
    whole: list[Window] = []
    for window in sorted(windows, key=lambda window: window.since):
        if whole and window.since <= whole[-1].until:
            whole[-1] = Window(whole[-1].since, max(whole[-1].until, window.until))
        else:
            whole.append(window)
    return whole


def partly(read: Iterable[Window], grain: Grain, zone: ZoneInfo) -> set[datetime]:
    """Return the beginnings of buckets that were read in part: those in which a window begins or ends."""
    edges = [moment for window in read for moment in (window.since, window.until)]
    floors = {moment: grain.floor(moment, zone) for moment in edges}
    return {floor for moment, floor in floors.items() if floor != moment}


def _touched(windows: Iterable[Window], grain: Grain, zone: ZoneInfo) -> Iterator[datetime]:
    for window in windows:
        yield from window.widened(grain, zone).buckets(grain, zone)


def from_ledger(connection: Connection, zone: ZoneInfo) -> None:
    """Work out the coverage from the runs that a release without it has kept."""
    sources = connection.execute(select(schema.run.c.source).where(schema.run.c.state == "done").distinct())
    for source in sources.scalars().all():
        replace_pieces(connection, source, _told_by_runs(connection, source, None, {}), zone)


def as_of(connection: Connection, source: str, moment: datetime | None = None) -> list[Coverage]:
    """Return the coverage of a source as its runs in the ledger tell it, those that had ended at a moment."""
    return _told_by_runs(connection, source, moment, _missing(connection, source))


def _told_by_runs(
    connection: Connection, source: str, moment: datetime | None, missing: Mapping[int, Sequence[Window]]
) -> list[Coverage]:
    run = schema.run
    columns = (run.c.id, run.c.since, run.c.until, run.c.started_at, run.c.covers_since)
    done = select(*columns).where(
        run.c.source == source, run.c.state == "done", *([run.c.ended_at <= moment] if moment else [])
    )
    known = _before_the_ledger(connection, source)
    for row in connection.execute(done.order_by(run.c.ended_at, run.c.id)):
        since = row.covers_since or _covered_since(row, known)
        known = _read(known, row.id, since, row.until, row.started_at, timedelta())
        for window in missing.get(row.id, ()):
            known = _without(known, window)
    return known


def _missing(connection: Connection, source: str) -> dict[int, list[Window]]:
    table, missing = schema.run_missing, defaultdict(list)
    told = select(table).join(schema.run, schema.run.c.id == table.c.run_id).where(schema.run.c.source == source)
    for row in connection.execute(told):
        missing[row.run_id].append(Window(row.since, row.until))
    return missing


def _covered_since(row: Row[*tuple[Any, ...]], known: Sequence[Coverage]) -> datetime:
    """Return from when on a run of the first release covered: one of the running bucket alone was a snapshot."""
    since: datetime = row.since
    if since <= row.started_at < row.until and row.until - since <= _A_DAY:
        return min(since, max((piece.window.until for piece in known), default=since))
    return since


def _before_the_ledger(connection: Connection, source: str) -> list[Coverage]:
    """Return what was read by runs that were cleaned away: what is read now, up to the first that is kept."""
    cleaned = settings.moment(connection, f"runs of {source} cleaned until")
    if cleaned is None:
        return []
    read = [piece for piece in pieces(connection, source) if piece.is_known and piece.window.since < cleaned]
    return [replace(each, window=Window(each.window.since, min(each.window.until, cleaned))) for each in read]


def _read(
    before: Sequence[Coverage], run: int, since: datetime, until: datetime, read_at: datetime, lookback: timedelta
) -> list[Coverage]:
    reached = min(until, read_at)
    if reached <= since:
        return list(before)
    settled = min(max(read_at - lookback, since), reached)
    added = [*_piece(since, settled, Covered.FINAL, run), *_piece(settled, reached, Covered.PROVISIONAL, run)]
    return _merged([*_without(before, Window(since, until)), *added])


def _replace_incomplete(connection: Connection, source: str, after: Sequence[Coverage], zone: ZoneInfo) -> None:
    table, read = schema.incomplete, known_windows(after)
    missing = [piece.window for piece in after if piece.state is Covered.MISSING]
    connection.execute(delete(table).where(table.c.source == source))
    rows = [
        {"source": source, "grain": str(grain), "bucket": bucket}
        for grain in schema.FACTS
        for bucket in {*partly(read, grain, zone), *_touched(missing, grain, zone)}
    ]
    if rows:
        connection.execute(insert(table), rows)


def _piece(since: datetime, until: datetime, state: Covered, run: int) -> Iterator[Coverage]:
    if since < until:
        yield Coverage(Window(since, until), state, run)


def _without(before: Iterable[Coverage], window: Window) -> list[Coverage]:
    kept = []
    for piece in before:
        ends = [(piece.window.since, min(piece.window.until, window.since))]
        ends.append((max(piece.window.since, window.until), piece.window.until))
        kept += [replace(piece, window=Window(since, until)) for since, until in ends if since < until]
    return kept


def _merged(coverage: Iterable[Coverage]) -> list[Coverage]:
    merged: list[Coverage] = []
    for piece in sorted(coverage, key=lambda piece: piece.window.since):
        last = merged[-1] if merged else None
        if last and last.window.until == piece.window.since and last.state is piece.state:
            merged[-1] = Coverage(Window(last.window.since, piece.window.until), piece.state, max(last.run, piece.run))
        else:
            merged.append(piece)
    return merged
