"""What is due: a function of a source's schedule, of what is known of it, and of the moment. No clock, no warehouse.

When a schedule fires, the interval since the tick before it has ended and is due, with the look-back before it, unless
it was read already. After it comes what was missed: windows that were never read to their end, or not once more after
their look-back had passed, the newest first. A window that failed is due again at the next tick; where the service was
away, the source rests for as long as that has lasted by then, and is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.schedule.intervals import intervals_before, tick_after, ticks_before, window_of
from tallyline.warehouse import Covered
from tallyline.warehouse.coverage import joined_windows
from tallyline.window import Grain, Window, gaps, start_of_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.plan import Retention
    from tallyline.sources import Options
    from tallyline.warehouse import Failure, Progress

__all__ = ["Due", "due", "is_cleaning_due", "newest_tick", "next_change", "next_due", "rests_until"]

SHORTEST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
_CLEANING = "@daily"


@dataclass(frozen=True, slots=True)
class Due:
    """A window that is to be read; one that was `missed` comes after the newest."""

    window: Window
    missed: bool = False


def due(options: Options, progress: Progress, now: datetime, zone: ZoneInfo) -> list[Due]:
    """Return what is to be read of a source at a moment, the most urgent first.

    `progress` has the runs that failed since the newest tick, or since a later moment where those before it are not to
    count. Of a snapshot, only the present can be due.

    >>> from datetime import UTC, datetime
    >>> from zoneinfo import ZoneInfo
    >>> from tallyline.sources import Options
    >>> from tallyline.warehouse import Progress
    >>> utc = ZoneInfo("UTC")
    >>> daily = Options(schedule="@daily", start=datetime(2026, 1, 1).date(), lookback=timedelta())
    >>> for each in due(daily, Progress(), datetime(2026, 1, 3, 9, tzinfo=UTC), utc):
    ...     print(each.window.text(utc), each.missed)
    2026-01-02 00:00 … 2026-01-03 00:00 False
    2026-01-01 00:00 … 2026-01-02 00:00 True
    """
    interval = _newest_interval(options, now, zone)
    if interval is None or now < rests_until(options, progress, now, zone):
        return []
    if options.snapshot:
        return list(_present(options, progress, interval.until, now, zone))
    newest = _in_whole_days(window_of(options, interval, zone), progress.cleaned_until, zone)
    unread = [(Due(part, missed=True), part) for part in _missed(options, progress, newest.since, zone)]
    if _is_unread(options, interval, progress, zone):
        unread.insert(0, (Due(newest), interval))
    not_failed = [each for each, part in unread if not _has_failed(part, progress)]
    return sorted(not_failed, key=lambda each: (each.missed, _was_tried(each.window, progress)))


def next_due(options: Options, progress: Progress, now: datetime, zone: ZoneInfo) -> datetime:
    """Return when something of a source is due next: the newest tick where something is due already."""
    tick = newest_tick(options, now, zone)
    return tick if tick and due(options, progress, now, zone) else next_change(options, progress, now, zone)


def next_change(options: Options, progress: Progress, now: datetime, zone: ZoneInfo) -> datetime:
    """Return when more of a source may be due than at a moment: at the next tick, or when it has rested."""
    start, rested = _start(options, zone), rests_until(options, progress, now, zone)
    tick = tick_after(options.schedule, max(now, start) if start else now, zone)
    return min(tick, rested) if rested > now else tick


def newest_tick(options: Options, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return when the schedule fired last, None where it never did."""
    return next(ticks_before(options.schedule, now, zone), None)


def rests_until(options: Options, progress: Progress, now: datetime, zone: ZoneInfo) -> datetime:
    """Return up to when a source is left alone: as long again as its service has been away since the newest tick.

    That is at least a minute and as long as the service asks for, and at most an hour otherwise. Where it was not away,
    the moment is not a later one than `now`.
    """
    last = progress.failures[-1] if progress.failures else None
    tick = newest_tick(options, now, zone)
    if last is None or last.wait is None or tick is None:
        return now
    away = min(max(last.ended_at - tick, SHORTEST_REST), LONGEST_REST)
    return last.ended_at + max(away, last.wait)


def is_cleaning_due(retention: Retention, cleaned_at: datetime | None, now: datetime, zone: ZoneInfo) -> bool:
    """Say whether what was kept long enough is to be removed: once a business day."""
    if retention.keeps_all:
        return False
    return cleaned_at is None or cleaned_at < next(ticks_before(_CLEANING, now, zone))


def _newest_interval(options: Options, now: datetime, zone: ZoneInfo) -> Window | None:
    interval = next(intervals_before(options.schedule, now, zone), None)
    start = _start(options, zone)
    return None if interval is None or (start and interval.until <= start) else interval


def _start(options: Options, zone: ZoneInfo) -> datetime | None:
    return start_of_day(options.start, zone) if options.start else None


def _present(options: Options, progress: Progress, tick: datetime, now: datetime, zone: ZoneInfo) -> Iterator[Due]:
    told = any(piece.is_read and piece.window.until >= tick for piece in progress.coverage)
    if not told and not any(failure.wait is None for failure in progress.failures):
        yield Due(Window(options.facts.floor(now, zone), options.facts.after(now, zone)))


def _is_unread(options: Options, interval: Window, progress: Progress, zone: ZoneInfo) -> bool:
    start = _start(options, zone)
    begun = Window(max(interval.since, start), interval.until) if start else interval
    return any(gaps(begun, [piece.window for piece in progress.coverage if piece.is_read]))


def _missed(options: Options, progress: Progress, until: datetime, zone: ZoneInfo) -> Iterator[Window]:
    """Yield the windows before a moment that are not settled, the newest first, none longer than is read at once."""
    settled = [piece.window for piece in progress.coverage if piece.is_read and piece.state is not Covered.PROVISIONAL]
    begin = _start(options, zone) or min((piece.window.since for piece in progress.coverage), default=until)
    stretches = gaps(Window(begin, until), settled) if begin < until else []
    whole = (_in_whole_days(each.widened(options.facts, zone), progress.cleaned_until, zone) for each in stretches)
    for stretch in reversed(joined_windows(whole)):
        yield from reversed(stretch.parts(options.at_once, zone))


def _in_whole_days(window: Window, cleaned_until: datetime | None, zone: ZoneInfo) -> Window:
    """Return the window with the rest of those of its days whose hours were cleaned away: they are read as a whole."""
    if cleaned_until is None:
        return window
    days = window.widened(Grain.DAY, zone)
    since = days.since if days.since < cleaned_until else window.since
    return Window(since, days.until if window.until < cleaned_until else window.until)


def _has_failed(target: Window, progress: Progress) -> bool:
    """Say whether a run failed on a window for good, as far as this tick is concerned."""
    return any(failure.wait is None for failure in _tries(target, progress))


def _was_tried(window: Window, progress: Progress) -> bool:
    return any(True for _ in _tries(window, progress))


def _tries(window: Window, progress: Progress) -> Iterator[Failure]:
    return (each for each in progress.failures if each.window.since < window.until and window.since < each.window.until)
