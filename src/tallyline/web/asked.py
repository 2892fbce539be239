"""What the browser asks for in the address: a range of time and a grain."""

from __future__ import annotations

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
    in_hours = query.get("last", "").strip().lower().endswith("h")
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
    if since:
        end = parse_moment(until, zone) if until else Grain.DAY.after(now, zone)
        window = Window(parse_moment(since, zone), end)
    else:
        window = parse_last(last or DEFAULT_LAST, now, zone)
    if window.since.year < _FIRST_YEAR or window.until.year > _LAST_YEAR:
        msg = f"the range leaves the years from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise Refused(msg)
    return window
