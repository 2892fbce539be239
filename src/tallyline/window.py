"""Windows of time, the grains they are cut in, and the business time zone that says where to cut.

Inside, every moment is an aware datetime in UTC. The business zone decides where hours, days, weeks, months,
quarters and years begin, so a day may last 23 or 25 hours and still be one day.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from tallyline.errors import Refused

__all__ = [
    "Clock",
    "Grain",
    "Window",
    "bucket_before",
    "gaps",
    "parse_last",
    "parse_moment",
    "parse_span",
    "parse_zone",
    "start_of_day",
    "utc_now",
]

Clock = Callable[[], datetime]

_HOUR = timedelta(hours=1)
_REMEMBERED_MONTHS = 1_024
_REMEMBERED = 65_536  # moments: two years of hours in three zones
_MOST_DIGITS = 5
_SPAN = re.compile(r"(\d+)(min|h|d|w)")
_SPANS = {"min": timedelta(minutes=1), "h": _HOUR, "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LAST = re.compile(r"(\d+)(h|d|w|m|q|y)")


class Grain(StrEnum):
    """How finely time is cut: facts are kept by hour and day, the rest is cut when reading."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    def floor(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return when the bucket holding `moment` began, in UTC.

        >>> paris = ZoneInfo("Europe/Paris")
        >>> Grain.DAY.floor(datetime(2026, 3, 29, 12, tzinfo=UTC), paris).isoformat()
        '2026-03-28T23:00:00+00:00'
        >>> Grain.WEEK.floor(datetime(2026, 3, 29, 12, tzinfo=UTC), paris).isoformat()  # ISO: from Monday
        '2026-03-22T23:00:00+00:00'
        """
        return _floor(self, moment.astimezone(UTC), zone)  # as UTC, since Python takes 02:30 for 02:30 an hour later

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return when the bucket after the one holding `moment` begins, in UTC.

        >>> Grain.MONTH.after(datetime(2026, 12, 5, tzinfo=UTC), ZoneInfo("UTC")).isoformat()
        '2027-01-01T00:00:00+00:00'
        """
        return _after(self, moment.astimezone(UTC), zone)

    def ceil(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return `moment` itself where a bucket begins, otherwise when the next one does."""
        floor = self.floor(moment, zone)
        return floor if floor == moment else self.after(moment, zone)


_DAYS_BACK = {Grain.DAY: 1, Grain.WEEK: 7}
_MONTHS_BACK = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}
_LONGEST_DAYS = {Grain.DAY: 1, Grain.WEEK: 7, Grain.MONTH: 31, Grain.QUARTER: 92, Grain.YEAR: 366}


@dataclass(frozen=True, slots=True)
class Window:
    """The time from `since` up to, and without, `until`; both aware.

    >>> Window(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    Traceback (most recent call last):
    tallyline.errors.Refused: the window ends (2026-01-01 00:00 UTC) before it begins (2026-01-02 00:00 UTC)
    """

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        """Refuse naive moments and a window that ends when it begins, or before."""
        for moment in (self.since, self.until):
            if moment.tzinfo is None:
                msg = f"{moment} has no time zone: a window needs aware datetimes"
                raise Refused(msg)
        if self.since == self.until:
            msg = f"the window is empty: it begins and ends at {_stamp(self.since)}"
            raise Refused(msg)
        if self.since > self.until:
            msg = f"the window ends ({_stamp(self.until)}) before it begins ({_stamp(self.since)})"
            raise Refused(msg)

    def __contains__(self, moment: datetime) -> bool:
        """Say whether `moment` lies in the window; its end does not."""
        return self.since <= moment < self.until

    def widened(self, grain: Grain, zone: ZoneInfo) -> Window:
        """Return the smallest window of whole buckets that holds this one."""
        return Window(grain.floor(self.since, zone), grain.ceil(self.until, zone))

    def buckets(self, grain: Grain, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield the beginnings of the buckets that begin in the window, in order.

        >>> change = Window(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
        >>> len(list(change.buckets(Grain.HOUR, ZoneInfo("Europe/Paris"))))  # the clock goes back
        25
        """
        return (datetime.fromtimestamp(seconds, UTC) for seconds in self.bucket_seconds(grain, zone))

    def bucket_seconds(self, grain: Grain, zone: ZoneInfo) -> list[int]:
        """Return the beginnings of the buckets that begin in the window as seconds since 1970, in order."""
        since, until = (math.ceil(moment.timestamp()) for moment in (self.since, self.until))
        first, last = (moment.year * 12 + moment.month - 1 for moment in map(_as_utc, (self.since, self.until)))
        months = [_seconds_of_month(grain, *divmod(month, 12), zone) for month in range(first, last + 1)]
        months[-1] = months[-1][: bisect_left(months[-1], until)]
        months[0] = months[0][bisect_left(months[0], since) :]
        return list(chain.from_iterable(months))

    def parts(self, longest: timedelta, zone: ZoneInfo) -> list[Window]:
        """Return the window in parts that are at most so long, cut between business days.

        >>> utc = ZoneInfo("UTC")
        >>> days = Window(datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC))
        >>> [part.text(utc) for part in days.parts(timedelta(days=3), utc)]
        ['2026-01-01 12:00 … 2026-01-04 00:00', '2026-01-04 00:00 … 2026-01-06 00:00']
        """
        parts, since = [], self.since
        while since < self.until:
            cut = Grain.DAY.floor(since + longest, zone) if since + longest < self.until else self.until
            until = min(cut if cut > since else Grain.DAY.after(since, zone), self.until)
            parts.append(Window(since, until))
            since = until
        return parts

    def text(self, zone: ZoneInfo) -> str:
        """Return the window as a user reads it, in the business zone.

        >>> year = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        >>> year.text(ZoneInfo("UTC"))
        '2026-01-01 00:00 … 2027-01-01 00:00'
        """
        return " … ".join(f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (self.since, self.until))


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC: the clock used where no other is given."""
    return datetime.now(UTC)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a business day, in UTC, also where midnight is skipped or comes twice.

    >>> start_of_day(date(2026, 7, 1), ZoneInfo("Europe/Paris")).isoformat()
    '2026-06-30T22:00:00+00:00'
    """
    return datetime.combine(day, time(), zone).astimezone(UTC)


def bucket_before(bucket: datetime, by: Grain, back: Grain, zone: ZoneInfo) -> datetime:
    """Return the beginning of the bucket that one is compared with: the same an hour, a day … a year earlier.

    Hours and days go back by the calendar of the zone. Weeks go back a year by 52 weeks, so that they stay weeks.

    >>> paris = ZoneInfo("Europe/Paris")
    >>> bucket_before(start_of_day(date(2026, 3, 30), paris), Grain.DAY, Grain.WEEK, paris).isoformat()
    '2026-03-22T23:00:00+00:00'
    """
    if by is Grain.HOUR and back is Grain.HOUR:
        return by.floor(bucket - timedelta(microseconds=1), zone)
    local = bucket.astimezone(zone)
    if by is Grain.WEEK and back is Grain.YEAR:
        earlier = local.replace(tzinfo=None) - timedelta(weeks=52)
    elif back in _DAYS_BACK:
        earlier = local.replace(tzinfo=None) - timedelta(days=_DAYS_BACK[back])
    else:
        earlier = _months_before(local.replace(tzinfo=None), _MONTHS_BACK[back])
    return by.floor(earlier.replace(tzinfo=zone), zone)


def parse_zone(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name, or say which names are near.

    >>> parse_zone("Europe/Pariss")
    Traceback (most recent call last):
    tallyline.errors.Refused: there is no time zone "Europe/Pariss"; did you mean "Europe/Paris"? ...
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), n=1)
        there_are = "ime zones are IANA names such as Europe/Paris or UTC"
        guess = f'did you mean "{near[0]}"? T{there_are}' if near else f"t{there_are}"
        msg = f'there is no time zone "{name}"; {guess}'
        raise Refused(msg) from None


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """Read a date or a time as people write it; without an offset it is in `zone`. Returns UTC.

    >>> parse_moment("2026-07-01", ZoneInfo("Europe/Paris")).isoformat()
    '2026-06-30T22:00:00+00:00'
    >>> parse_moment("2026-07-01T10:00Z", ZoneInfo("Europe/Paris")).isoformat()
    '2026-07-01T10:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except ValueError:
        msg = f'"{text}" is not a time; write 2026-01-31, 2026-01-31T10:00 or 2026-01-31T10:00+02:00'
        raise Refused(msg) from None
    except OverflowError:
        msg = f'"{text}" is further away than the calendar goes'
        raise Refused(msg) from None


def parse_last(text: str, now: datetime, zone: ZoneInfo) -> Window:
    """Return the window of the last so many hours, days, weeks, months, quarters or years, the running one included.

    >>> parse_last("2d", datetime(2026, 5, 3, 12, tzinfo=UTC), ZoneInfo("UTC")).text(ZoneInfo("UTC"))
    '2026-05-02 00:00 … 2026-05-04 00:00'
    """
    match = _LAST.fullmatch(text.strip().lower())
    if match is None or not _count(match):
        msg = f'"{text}" is not a length of time; write a number and h, d, w, m, q or y, such as 30d'
        raise Refused(msg)
    grain = next(grain for grain in Grain if grain.startswith(match[2]))
    until = grain.after(now, zone)
    since = until
    try:
        for _ in range(_count(match)):
            since = grain.floor(since - timedelta(seconds=1), zone)
    except OverflowError:
        msg = f'"{text}" goes back further than the calendar does'
        raise Refused(msg) from None
    return Window(since, until)


def parse_span(text: str) -> timedelta:
    """Read a length of time in minutes, hours, days or weeks.

    >>> parse_span("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        msg = f'"{text}" is not a length of time; write a number and min, h, d or w, such as 2d'
        raise Refused(msg)
    return _count(match) * _SPANS[match[2]]


def gaps(window: Window, covered: Iterable[Window]) -> Iterator[Window]:
    """Yield the parts of `window` that none of the `covered` windows holds, in order.

    >>> day = [datetime(2026, 1, n, tzinfo=UTC) for n in range(1, 6)]
    >>> [str(gap.since.day) for gap in gaps(Window(day[0], day[4]), [Window(day[1], day[2])])]
    ['1', '3']
    """
    reached = window.since
    for part in sorted(covered, key=lambda part: part.since):
        if part.since >= window.until:
            break
        if part.since > reached:
            yield Window(reached, part.since)
        reached = max(reached, part.until)
    if reached < window.until:
        yield Window(reached, window.until)


@lru_cache(maxsize=_REMEMBERED)
def _floor(grain: Grain, moment: datetime, zone: ZoneInfo) -> datetime:
    if grain is Grain.HOUR:
        return _start_of_hour(moment, zone)
    return start_of_day(_first_day(grain, _business_day(moment, zone)), zone)


@lru_cache(maxsize=_REMEMBERED)
def _after(grain: Grain, moment: datetime, zone: ZoneInfo) -> datetime:
    if grain is Grain.HOUR:
        return _end_of_hour(_start_of_hour(moment, zone), zone)
    first = _first_day(grain, _business_day(moment, zone))
    return start_of_day(_first_day(grain, first + timedelta(days=_LONGEST_DAYS[grain])), zone)


@lru_cache(maxsize=_REMEMBERED_MONTHS)
def _seconds_of_month(grain: Grain, year: int, month: int, zone: ZoneInfo) -> array[int]:
    """Return when the buckets begin that begin in a month, counted from 0, of the calendar in UTC."""
    begin = datetime(year, month + 1, 1, tzinfo=UTC)
    seconds, bucket = array("q"), grain.ceil(begin, zone)
    while (bucket.year, bucket.month) == (begin.year, begin.month):
        seconds.append(int(bucket.timestamp()))
        bucket = grain.after(bucket, zone)
    return seconds


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _months_before(local: datetime, months: int) -> datetime:
    year, month = divmod(local.year * 12 + local.month - 1 - months, 12)
    first = local.replace(year=year, month=month + 1, day=1)
    last_day = (_first_day(Grain.MONTH, first.date() + timedelta(days=31)) - timedelta(days=1)).day
    return first.replace(day=min(local.day, last_day))


def _count(match: re.Match[str]) -> int:
    if len(match[1]) > _MOST_DIGITS:
        msg = f'"{match[0]}" is too long a time; write a number of at most {_MOST_DIGITS} digits'
        raise Refused(msg)
    return int(match[1])


def _first_day(grain: Grain, day: date) -> date:
    if grain is Grain.WEEK:
        return day - timedelta(days=day.weekday())
    if grain is Grain.MONTH:
        return day.replace(day=1)
    if grain is Grain.QUARTER:
        return day.replace(month=day.month - (day.month - 1) % 3, day=1)
    if grain is Grain.YEAR:
        return day.replace(month=1, day=1)
    return day


def _business_day(moment: datetime, zone: ZoneInfo) -> date:
    local = moment.astimezone(zone)
    day = local.date()
    if local.fold:  # where the clock went from 00:01 back to 23:01, the day that had begun goes on
        tomorrow = day + timedelta(days=1)
        return tomorrow if start_of_day(tomorrow, zone) <= moment else day
    return day


def _start_of_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone)
    start = (local.astimezone(UTC) - _past_full_hour(local)).astimezone(zone)
    if start.utcoffset() != local.utcoffset():
        return _clock_change(start, zone)
    return start.astimezone(UTC)


def _end_of_hour(start: datetime, zone: ZoneInfo) -> datetime:
    local = start.astimezone(zone)
    end = start + _HOUR - _past_full_hour(local)
    if end.astimezone(zone).utcoffset() != local.utcoffset():
        return _clock_change(local, zone)
    return end


def _past_full_hour(local: datetime) -> timedelta:
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _clock_change(before: datetime, zone: ZoneInfo) -> datetime:
    """Return when, in the hour that follows, the clock is changed."""
    since = before.astimezone(UTC)

    def is_changed(seconds: int) -> bool:
        return (since + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != before.utcoffset()

    return since + timedelta(seconds=bisect_left(range(3600), True, key=is_changed))  # noqa: FBT003  # what is looked for


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
