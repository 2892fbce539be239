"""What the browser asks for in the address: a range of time and a grain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.errors import Refused, UnknownName
from tallyline.window import Grain, Window, parse_last, parse_moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

__all__ = ["DEFAULT_LAST", "Asked", "read_asked"]

DEFAULT_LAST = "30d"

_LONGEST_TEXT = 40
_MOST_OF_LAST = re.compile(r"\s*\d{1,5}[a-zA-Z]\s*")
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


@dataclass(frozen=True, slots=True)
class Asked:
    """A window and the grain to cut it in, None for each panel's own.

    A range told in hours is `in_hours`: panels that have hours show them, unless a grain was asked for.
    """

    window: Window
    by: Grain | None = None
    in_hours: bool = False


def read_asked(query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Asked:
    """Read `last`, or `since` and `until`, and `by`; raise Refused with what is wrong with them.

    >>> from datetime import UTC, datetime
    >>> from zoneinfo import ZoneInfo
    >>> utc = ZoneInfo("UTC")
    >>> read_asked({"since": "2026-05-01", "by": "week"}, datetime(2026, 5, 3, 12, tzinfo=UTC), utc).window.text(utc)
    '2026-05-01 00:00 … 2026-05-04 00:00'
    """
    for name in ("last", "since", "until", "by"):
        if len(query.get(name, "")) > _LONGEST_TEXT:
            msg = f'"{name}" has {len(query[name])} characters; {_LONGEST_TEXT} are enough for a time'
            raise Refused(msg)
    last = query.get("last", "")
    in_hours = last.strip().lower().endswith("h")
    return Asked(_window(query, now, zone), _grain(query.get("by", "")), in_hours)


def _grain(by: str) -> Grain | None:
    if not by:
        return None
    try:
        return Grain(by)
    except ValueError:
        raise UnknownName("grain", by, list(Grain)) from None


def _window(query: Mapping[str, str], now: datetime, zone: ZoneInfo) -> Window:
    last, since, until = (query.get(name, "") for name in ("last", "since", "until"))
    if last and (since or until):
        msg = 'choose either "last" or "since" and "until"'
        raise Refused(msg)
    if until and not since:
        msg = '"until" needs a "since"'
        raise Refused(msg)
    try:
        if since:
            window = Window(parse_moment(since, zone), parse_moment(until, zone) if until else _tomorrow(now, zone))
        else:
            window = _last(last or DEFAULT_LAST, now, zone)
    except OverflowError:
        window = None
    if window is None or window.since.year < _FIRST_YEAR or window.until.year > _LAST_YEAR:
        msg = f"the range leaves the years from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise Refused(msg)
    return window


def _tomorrow(now: datetime, zone: ZoneInfo) -> datetime:
    return Grain.DAY.after(now, zone)


def _last(last: str, now: datetime, zone: ZoneInfo) -> Window:
    if last.strip()[:1].isdigit() and not _MOST_OF_LAST.fullmatch(last):
        msg = f'"{last}" is no length of time that can be shown; write one such as 24h, 30d or 2y'
        raise Refused(msg)
    return parse_last(last, now, zone)
