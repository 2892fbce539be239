"""When a schedule fires in the business zone, and the intervals between: no clock, no warehouse."""

from __future__ import annotations

from datetime import UTC, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from cronsim import CronSim

from tallyline.errors import Refused
from tallyline.window import Window, start_of_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.sources import Options

__all__ = ["as_cron", "intervals_before", "tick_after", "ticks_before", "window_of"]

_NAMED = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 1", "@monthly": "0 0 1 * *"}
_A_MINUTE = timedelta(minutes=1)
_LATELY = timedelta(hours=4)


def as_cron(schedule: str) -> str:
    """Return a schedule as a cron line, in the business zone; weeks begin on Monday.

    >>> as_cron("@weekly")
    '0 0 * * 1'
    """
    return _NAMED.get(schedule, schedule)


def ticks_before(schedule: str, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield when the schedule fired up to and with a moment, in UTC, the newest first.

    A time that the clock skips is made up for right after it; one that comes twice counts once, but for every hour.

    >>> from datetime import datetime
    >>> from zoneinfo import ZoneInfo
    >>> ticks = ticks_before("30 2 * * *", datetime(2026, 3, 29, 12, tzinfo=UTC), ZoneInfo("Europe/Paris"))
    >>> [next(ticks).isoformat() for _ in range(2)]
    ['2026-03-29T01:00:00+00:00', '2026-03-28T01:30:00+00:00']
    """
    after = moment + _A_MINUTE + _turned_back(moment, zone)
    newest = after
    for tick in CronSim(as_cron(schedule), after.astimezone(zone), reverse=True):
        fired = tick.astimezone(UTC)
        if fired <= moment and fired < newest:
            yield fired
            newest = fired


def tick_after(schedule: str, moment: datetime, zone: ZoneInfo) -> datetime:
    """Return when the schedule fires next after a moment, in UTC."""
    ticks = CronSim(as_cron(schedule), moment.astimezone(zone))
    return next(fired for tick in ticks if (fired := tick.astimezone(UTC)) > moment)


def intervals_before(schedule: str, moment: datetime, zone: ZoneInfo) -> Iterator[Window]:
    """Yield the intervals between ticks that had ended at a moment, the newest first.

    >>> from datetime import datetime
    >>> from zoneinfo import ZoneInfo
    >>> utc = ZoneInfo("UTC")
    >>> next(intervals_before("@daily", datetime(2026, 3, 29, 12, tzinfo=UTC), utc)).text(utc)
    '2026-03-28 00:00 … 2026-03-29 00:00'
    """
    for until, since in pairwise(ticks_before(schedule, moment, zone)):
        yield Window(since, until)


def window_of(options: Options, interval: Window, zone: ZoneInfo) -> Window:
    """Return what is read for an interval: the interval and the look-back before it, in whole buckets of the source.

    Nothing before the source's start is read; an interval that ends before it is refused.
    """
    since = interval.since - options.lookback
    if options.start is not None:
        start = start_of_day(options.start, zone)
        if interval.until <= start:
            msg = f"the interval {interval.text(zone)} ends before the source starts, on {options.start}"
            raise Refused(msg)
        since = max(since, start)
    return Window(since, interval.until).widened(options.facts, zone)


def _turned_back(moment: datetime, zone: ZoneInfo) -> timedelta:
    """Return by how much the clock was turned back lately: times told by it, as CronSim goes by, come twice then."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    before = (moment - _LATELY).astimezone(zone).utcoffset() or timedelta()
    return max(before - offset, timedelta())
