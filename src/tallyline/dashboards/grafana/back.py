"""Which bucket one is compared with, in SQL: the same as `bucket_before` tells, found in the calendar.

Days and longer ones are found by a moment in the middle of a day, so that a change of the clock does not matter. Hours
are found by what the clock shows, for which it has to be known when it was changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.dashboards.grafana.clock import ahead_in_winter, changes_of
from tallyline.warehouse.wording import from_, select
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from tallyline.dashboards.grafana.words import SQLite

__all__ = ["LONGEST", "backs", "bucket_of", "may_be_compared", "moment_before", "usual"]

LONGEST = {
    Grain.HOUR: timedelta(hours=2),
    Grain.DAY: timedelta(hours=26),
    Grain.WEEK: timedelta(days=8),
    Grain.MONTH: timedelta(days=40),
    Grain.QUARTER: timedelta(days=100),
    Grain.YEAR: timedelta(days=380),
}
"""More than the longest time from a bucket back to the one that it is compared with."""

_DAYS = {Grain.DAY: 1, Grain.WEEK: 7}
_MONTHS = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}
_WEEKS_OF_A_YEAR = 52
_A_DAY = timedelta(days=1)
_NOON = timedelta(hours=12)
_A_SECOND = timedelta(seconds=1)


def usual(grain: Grain) -> Grain:
    """Return how far before the bucket lies that one is compared with, where nothing else is said."""
    return Grain.WEEK if grain in {Grain.HOUR, Grain.DAY} else grain


def may_be_compared(grain: Grain, compare: Grain) -> bool:
    """Say whether a bucket of a grain can be compared with the one so long before: not where it is longer itself."""
    return list(Grain).index(grain) <= list(Grain).index(compare)


def bucket_of(moment: str, grain: str) -> str:
    """Return the beginning of the bucket that holds a moment; nothing where that was never read."""
    held = f"FROM calendar WHERE grain = {grain} AND time <= {moment} ORDER BY time DESC LIMIT 1"
    return f"(SELECT CASE WHEN until > {moment} THEN time END {held})"


def moment_before(begin: str, grain: Grain, compare: Grain, zone: ZoneInfo, words: SQLite) -> str:
    """Return a moment within the bucket before the one that begins then: of days and longer, a noon.

    Of hours it is so many times 24 hours before, whatever the clock shows.
    """
    if grain is Grain.HOUR and compare is Grain.HOUR:
        return f"{begin} - {_length(_A_SECOND, words)}"
    if compare in _MONTHS and not (grain is Grain.WEEK and compare is Grain.YEAR):
        return words.noon_before(f"({begin} + {_length(_NOON, words)})", _MONTHS[compare], ahead_in_winter(zone))
    days = _DAYS.get(compare, _DAYS[Grain.WEEK] * _WEEKS_OF_A_YEAR)
    middle = timedelta() if grain is Grain.HOUR else _NOON
    return f"{begin} - {_length(days * _A_DAY - middle, words)}"


def backs(  # the buckets, and what they are compared with
    relation: str, grains: Mapping[Grain, str], compare: Grain, zone: ZoneInfo, words: SQLite
) -> dict[str, str]:
    """Return what tells, as `_back`, of each `time` of a relation the bucket a `compare` before, as `back`.

    `grains` are those that the buckets may have, each with SQL that says whether they have it, if any.
    """
    needed: dict[str, str] = {}
    told: list[str] = []
    for grain in grains:
        if grain is Grain.HOUR and compare is not Grain.HOUR:
            needed = {"_change": _changes(zone, words)}
            needed["_clock"] = _clock(relation, grains[grain], compare, zone, words)
        else:
            told.append(_back(relation, grains[grain], moment_before("time", grain, compare, zone, words), grain))
    return {**needed, "_back": "\nUNION ALL\n".join([*([_hours_back(words)] if needed else []), *told])}


def _back(relation: str, condition: str, moment: str, grain: Grain) -> str:
    conditions = [f"WHERE {condition}"] if condition else []
    return _found(select(["time", f"{moment} AS moment"], f"FROM {relation}", *conditions), grain)


def _found(moments: str, grain: Grain) -> str:
    return select(["time", f"{bucket_of('moment', repr(str(grain)))} AS back"], *from_(moments, "asked"))


def _clock(relation: str, condition: str, compare: Grain, zone: ZoneInfo, words: SQLite) -> str:
    """Return of each hour what the clock shows, since midnight, and the day that it is compared with."""
    hours = select(
        [
            "hour.time AS time",
            f"hour.time - hour.day + coalesce(_change.shift, {words.length('0')}) AS clock",
            f"{moment_before('hour.day', Grain.DAY, compare, zone, words)} AS moment",
        ],
        f"FROM {relation}",
        f"JOIN calendar AS hour ON hour.grain = 'hour' AND hour.time = {relation}.time",
        "LEFT JOIN _change ON _change.begins >= hour.day AND _change.begins <= hour.time",
        *([f"WHERE {condition}"] if condition else []),
    )
    return select(["time", "clock", f"{bucket_of('moment', repr('day'))} AS day"], *from_(hours, "asked"))


def _hours_back(words: SQLite) -> str:
    """Return the hours at which the clock showed the same on the earlier day; what it skipped is counted on."""
    hours = select(
        [
            "_clock.time AS time",
            f"_clock.day + _clock.clock - coalesce(_change.shift, {words.length('0')}) AS moment",
        ],
        "FROM _clock",
        "LEFT JOIN _change ON _change.begins >= _clock.day"
        " AND _change.begins + _change.skipped <= _clock.day + _clock.clock",
    )
    return _found(hours, Grain.HOUR)


def _changes(zone: ZoneInfo, words: SQLite) -> str:
    """Return when the clock is changed, by how much, and how much of that is skipped."""
    columns = [
        f"{words.moment('column1')} AS begins",
        f"{words.length('column2')} AS shift",
        f"{words.length('CASE WHEN column2 > 0 THEN column2 ELSE 0 END')} AS skipped",
    ]
    return select(columns, *from_(changes_of(zone), "listed"))


def _length(length: timedelta, words: SQLite) -> str:
    return words.length(str(int(length.total_seconds())))
