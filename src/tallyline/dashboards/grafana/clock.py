"""When the clock of a time zone is changed, as SQL that needs no zones of the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

__all__ = ["ahead_at_first", "ahead_in_winter", "changes_of"]

_A_DAY, _A_SECOND = timedelta(days=1), timedelta(seconds=1)
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


def ahead_at_first(zone: ZoneInfo) -> int:
    """Return how many seconds the clock is ahead of UTC before all changes."""
    return _ahead(zone, _FIRST)


def ahead_in_winter(zone: ZoneInfo) -> int:
    """Return how many seconds the clock is ahead of UTC where it is not put forward.

    >>> from zoneinfo import ZoneInfo
    >>> ahead_in_winter(ZoneInfo("Europe/Paris"))
    3600
    """
    return min(_ahead(zone, datetime(2026, month, 1, tzinfo=UTC)) for month in (1, 7))


@lru_cache(maxsize=8)
def changes_of(zone: ZoneInfo) -> str:
    """Return when the clock is changed, in seconds since 1970, and by how many seconds: rows of two columns.

    >>> from zoneinfo import ZoneInfo
    >>> changes_of(ZoneInfo("Asia/Kolkata"))
    'VALUES (0, 0)'
    """
    listed = ", ".join(f"({begins}, {shift})" for begins, shift in _changes(zone))
    return f"VALUES {listed or '(0, 0)'}"


def _changes(zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    day = _FIRST
    while day < _LAST:
        if shift := _ahead(zone, day + _A_DAY) - _ahead(zone, day):
            yield int(_change_in(zone, day).timestamp()), shift
        day += _A_DAY


def _change_in(zone: ZoneInfo, day: datetime) -> datetime:
    before, after = day, day + _A_DAY
    while after - before > _A_SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (before, middle) if _ahead(zone, middle) != _ahead(zone, day) else (middle, after)
    return after


def _ahead(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101  # the moment is aware
    return int(offset.total_seconds())
