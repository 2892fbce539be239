"""When schedules fire: beside a clock that is looked at every minute, at clock changes of every kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.errors import Refused
from tallyline.schedule.intervals import as_cron, intervals_before, tick_after, ticks_before, window_of
from tallyline.sources import Options, check_schedule
from tallyline.window import Grain, Window
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, window

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

CHANGES = [
    (PARIS, datetime(2026, 3, 29, 1, tzinfo=UTC)),  # 02:00 to 03:00
    (PARIS, datetime(2026, 10, 25, 1, tzinfo=UTC)),  # 03:00 back to 02:00
    (ZoneInfo("America/Sao_Paulo"), datetime(2018, 2, 18, 2, tzinfo=UTC)),  # midnight comes twice
    (ZoneInfo("America/Sao_Paulo"), datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight is skipped
    (ZoneInfo("America/Santiago"), datetime(2026, 4, 5, 3, tzinfo=UTC)),  # midnight back to eleven
    (ZoneInfo("Asia/Kolkata"), datetime(2026, 1, 1, tzinfo=UTC)),  # never
]
LINES = [
    "30 2 * * *",
    "0 0 * * *",
    "0,30 1-3 * * *",
    "*/15 * * * *",
    "5 * * * *",
    "15 */2 * * *",
    "0 12 * * 0",
    "@daily",
]


def seen(line: str, since: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when a line with plain fields fires in (since, until], by a look at the clock on the wall every minute.

    A line with a star for its minutes or hours goes by what passes; any other by the clock on the wall, where a time
    that is skipped is right after the gap, and one that comes twice is the first.
    """
    minutes, hours, *_ = as_cron(line).split()
    looks = [since + each * MINUTE for each in range(1, (until - since) // MINUTE + 1)]
    if minutes.startswith("*") or hours.startswith("*"):
        return [look for look in looks if matches(line, look.astimezone(zone))]
    first, last = (moment.astimezone(zone).replace(tzinfo=None) for moment in (since - DAY, until + DAY))
    walls = (first + each * MINUTE for each in range((last - first) // MINUTE))
    fired = {after_the_gap(wall, zone) for wall in walls if matches(line, wall)}
    return sorted(moment for moment in fired if since < moment <= until)


def after_the_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock on the wall tells a time, for the first time or, where it skips it, right after that."""
    while wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall:
        wall += MINUTE
    return wall.replace(tzinfo=zone).astimezone(UTC)


def matches(line: str, wall: datetime) -> bool:
    minutes, hours, _, _, weekdays = as_cron(line).split()
    told = ((minutes, wall.minute, 60), (hours, wall.hour, 24), (weekdays, wall.isoweekday() % 7, 7))
    return all(value in values(field, end) for field, value, end in told)


def values(field: str, end: int) -> set[int]:
    if field.startswith("*"):
        return set(range(0, end, int(field[2:] or 1)))
    ranges = [part.partition("-") for part in field.split(",")]
    return {each for first, _, last in ranges for each in range(int(first), int(last or first) + 1)}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_ticks_are_those_that_are_seen_on_the_clock(line: str, zone: ZoneInfo, change: datetime) -> None:
    since, until = change - 30 * HOUR, change + 30 * HOUR
    are_those_seen(line, since, until, zone)


@pytest.mark.parametrize("line", [line for line in LINES if "*/2" not in line])
def test_a_clock_that_is_turned_back_by_half_an_hour(line: str) -> None:
    """CronSim misses a tick of every second hour there, once a year; it is found as missed at the next tick."""
    are_those_seen(line, at("2026-04-04"), at("2026-04-06"), ZoneInfo("Australia/Lord_Howe"))


def are_those_seen(line: str, since: datetime, until: datetime, zone: ZoneInfo) -> None:
    """Check the ticks between two moments, told backwards and forwards."""
    expected = seen(line, since, until, zone)
    assert list(islice(ticks_before(line, until, zone), len(expected))) == expected[::-1]
    found, moment = [], since
    while (moment := tick_after(line, moment, zone)) <= until:
        found.append(moment)
    assert found == expected


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(LINES), st.sampled_from(CHANGES), st.integers(-180, 180), st.integers(0, 59))
def test_the_tick_before_and_the_one_after_a_moment_are_neighbours(
    line: str, where: tuple[ZoneInfo, datetime], minutes: int, seconds: int
) -> None:
    zone, change = where
    moment = change + minutes * MINUTE + timedelta(seconds=seconds)
    before, after = next(ticks_before(line, moment, zone)), tick_after(line, moment, zone)
    assert before <= moment < after
    assert tick_after(line, before, zone) == after
    assert next(ticks_before(line, after, zone)) == after
    assert list(islice(ticks_before(line, after, zone), 2))[1] == before


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("line", LINES)
def test_intervals_join_without_a_gap(line: str, zone: ZoneInfo, change: datetime) -> None:
    intervals = list(islice(intervals_before(line, change + 2 * DAY, zone), 20))
    assert all(earlier.until == later.since for later, earlier in pairwise(intervals))


def test_named_schedules_are_in_the_business_zone_and_weeks_begin_on_monday() -> None:
    moment = at("2026-11-25 12:00", PARIS)
    told = {name: next(intervals_before(name, moment, PARIS)) for name in ("@hourly", "@daily", "@weekly", "@monthly")}
    assert told == {
        "@hourly": window("2026-11-25 11:00", "2026-11-25 12:00", PARIS),
        "@daily": window("2026-11-24", "2026-11-25", PARIS),
        "@weekly": window("2026-11-16", "2026-11-23", PARIS),
        "@monthly": window("2026-10-01", "2026-11-01", PARIS),
    }


def test_what_is_read_for_an_interval_is_widened_by_the_look_back_and_begins_with_the_source() -> None:
    options = Options(schedule="15 6 * * *", grain=Grain.DAY, lookback=timedelta(days=2), start=date(2026, 11, 22))
    interval = window("2026-11-24 06:15", "2026-11-25 06:15")
    assert window_of(options, interval, UTC_ZONE) == window("2026-11-22", "2026-11-26")
    assert window_of(options, window("2026-11-22 06:15", "2026-11-23 06:15"), UTC_ZONE).since == at("2026-11-22")
    with pytest.raises(Refused, match="ends before the source starts, on 2026-11-22"):
        window_of(options, Window(at("2026-11-20 06:15"), at("2026-11-21 06:15")), UTC_ZONE)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("61 * * * *", "is no schedule, bad minute; there are @hourly, @daily"),
        ("0 0 31 2 *", "is no schedule, bad day-of-month; there are"),
        ("0 0 30 2 1#6", "is no schedule, bad day-of-week; there are"),
        (
            "every day",
            'is no schedule; there are @hourly, @daily, @weekly, @monthly and cron lines such as "15 6 * * *"',
        ),
        (
            "0 6 */2 * 1",
            "is no schedule, programs differ in whether both */2 and 1 are to hold for a day: say one of them;",
        ),
        (
            "0 6 1 * */2",
            "is no schedule, programs differ in whether both 1 and */2 are to hold for a day: say one of them;",
        ),
        ("0 0 0 * * *", "is no schedule; there are"),
    ],
)
def test_what_is_no_schedule_is_refused_where_it_is_declared(line: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        check_schedule(line)
    assert str(refused.value).startswith(f'"{line}" {why}')
    with pytest.raises(Refused):
        Options(schedule=line)
