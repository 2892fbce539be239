"""Buckets and windows of time against a slow, obvious oracle: a clock that is read minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallyline.errors import Refused
from tallyline.window import (
    Grain,
    Window,
    gaps,
    parse_last,
    parse_moment,
    parse_span,
    parse_zone,
    start_of_day,
    utc_now,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")
UTC_ZONE = ZoneInfo("UTC")
ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",  # half an hour beside UTC
    "Australia/Lord_Howe",  # the clock is changed by half an hour
    "Pacific/Chatham",  # the clock is changed at a quarter to three
    "America/Havana",  # midnight is skipped and comes twice
    "Asia/Beirut",  # midnight is skipped, and 23:00 comes twice
    "America/St_Johns",  # until 2011 the clock went from 00:01 back to 23:01 of the day before
    "Pacific/Apia",  # 30 December 2011 is skipped
)
YEARS = (2010, 2011, 2026)
LONGER = [grain for grain in Grain if grain is not Grain.HOUR]


@cache
def clock_changes(name: str) -> list[datetime]:
    """Find the clock changes of a zone by reading its clock every quarter of an hour."""
    quarters = [datetime(year, 1, 1, tzinfo=UTC) + number * 15 * MINUTE for year in YEARS for number in range(365 * 96)]
    offsets = [quarter.astimezone(ZoneInfo(name)).utcoffset() for quarter in quarters]
    return [quarters[n] for n in range(1, len(quarters)) if offsets[n] != offsets[n - 1]]


DAY_GONE_ON = datetime(2010, 11, 7, 3, tzinfo=UTC), ZoneInfo("America/St_Johns")
BEGINNING_SKIPPED = datetime(2026, 9, 26, 14, 5, tzinfo=UTC), ZoneInfo("Pacific/Chatham")


@st.composite
def clocks(draw: st.DrawFn) -> tuple[datetime, ZoneInfo]:
    """A moment and a zone; the moment is often near a change of the zone's clock."""
    name = draw(st.sampled_from(ZONES))
    anytime = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    if not clock_changes(name):
        return draw(anytime), ZoneInfo(name)
    near = st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from(clock_changes(name)),
        st.floats(-7200, 7200) | st.floats(-100_000, 100_000),
    )
    return draw(near | near | anytime), ZoneInfo(name)


def hour_read(moment: datetime, zone: ZoneInfo) -> tuple[object, ...]:
    local = moment.astimezone(zone)
    return local.date(), local.hour, local.utcoffset()


def hour_walked(moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Walk from a moment's minute to the first and behind the last in which the clock shows the same hour."""
    first = moment.replace(second=0, microsecond=0)
    after = first + MINUTE
    while hour_read(first - MINUTE, zone) == hour_read(moment, zone):
        first -= MINUTE
    while hour_read(after, zone) == hour_read(moment, zone):
        after += MINUTE
    return first, after


@cache
def reached(day: date, zone: ZoneInfo) -> datetime:
    """Walk to the first minute in which a calendar on the wall shows the day, or a later one."""
    minute = datetime(day.year, day.month, day.day, tzinfo=UTC) - 26 * HOUR
    while minute.astimezone(zone).date() < day:
        minute += MINUTE
    return minute


def begins(grain: Grain, day: date) -> bool:
    return {
        Grain.DAY: True,
        Grain.WEEK: day.isoweekday() == 1,
        Grain.MONTH: day.day == 1,
        Grain.QUARTER: day.day == 1 and day.month in {1, 4, 7, 10},
        Grain.YEAR: day.day == 1 and day.month == 1,
    }[grain]


def bucket_walked(grain: Grain, moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Walk from a moment's day to the one that begins its bucket and to the one that begins the next."""
    day = moment.astimezone(zone).date() + DAY
    while reached(day, zone) > moment:
        day -= DAY
    first, after = day, day + DAY
    while not begins(grain, first):
        first -= DAY
    while not begins(grain, after):
        after += DAY
    return reached(first, zone), reached(after, zone)


@settings(deadline=None, max_examples=200)
@given(clocks())
@example(DAY_GONE_ON)
@example(BEGINNING_SKIPPED)
def test_an_hour_lasts_as_long_as_the_clock_shows_it(clock: tuple[datetime, ZoneInfo]) -> None:
    assert (Grain.HOUR.floor(*clock), Grain.HOUR.after(*clock)) == hour_walked(*clock)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(LONGER), clocks())
@example(Grain.DAY, DAY_GONE_ON)
@example(Grain.DAY, BEGINNING_SKIPPED)
def test_a_longer_bucket_lasts_as_long_as_the_calendar_shows_it(grain: Grain, clock: tuple[datetime, ZoneInfo]) -> None:
    assert (grain.floor(*clock), grain.after(*clock)) == bucket_walked(grain, *clock)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(Grain), clocks())
@example(Grain.DAY, DAY_GONE_ON)
@example(Grain.HOUR, BEGINNING_SKIPPED)
def test_a_moment_lies_in_its_bucket(grain: Grain, clock: tuple[datetime, ZoneInfo]) -> None:
    moment, _ = clock
    assert grain.floor(*clock) <= moment < grain.after(*clock)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(Grain), clocks())
@example(Grain.DAY, DAY_GONE_ON)
@example(Grain.HOUR, BEGINNING_SKIPPED)
def test_a_bucket_begins_where_it_begins(grain: Grain, clock: tuple[datetime, ZoneInfo]) -> None:
    _, zone = clock
    floor, after = grain.floor(*clock), grain.after(*clock)
    assert [grain.floor(begin, zone) for begin in (floor, after)] == [floor, after]
    assert [grain.ceil(begin, zone) for begin in (floor, after)] == [floor, after]


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(Grain), clocks())
def test_the_ceiling_of_a_moment_within_a_bucket_is_the_next_bucket(
    grain: Grain, clock: tuple[datetime, ZoneInfo]
) -> None:
    _, zone = clock
    within = grain.floor(*clock) + timedelta(microseconds=1)
    assert grain.ceil(within, zone) == grain.after(within, zone)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(Grain), clocks(), st.integers(1, 100))
def test_buckets_tile_a_window_without_hole_or_overlap(
    grain: Grain, clock: tuple[datetime, ZoneInfo], hours: int
) -> None:
    moment, zone = clock
    window = Window(moment, moment + hours * HOUR).widened(grain, zone)
    buckets = list(window.buckets(grain, zone))
    assert buckets[0] == window.since
    assert [grain.after(bucket, zone) for bucket in buckets] == [*buckets[1:], window.until]
    assert all(grain.floor(after - timedelta(microseconds=1), zone) == before for before, after in pairwise(buckets))


@settings(deadline=None, max_examples=200)
@given(clocks())
def test_a_day_is_made_of_whole_hours(clock: tuple[datetime, ZoneInfo]) -> None:
    _, zone = clock
    day = Window(Grain.DAY.floor(*clock), Grain.DAY.after(*clock))
    assert day.widened(Grain.HOUR, zone) == day


@settings(deadline=None, max_examples=200)
@given(clocks(), st.integers(0, 14))
def test_a_window_yields_only_the_buckets_that_begin_in_it(clock: tuple[datetime, ZoneInfo], days: int) -> None:
    moment, zone = clock
    window = Window(moment, moment + days * DAY + MINUTE)
    whole = window.widened(Grain.DAY, zone).buckets(Grain.DAY, zone)
    assert list(window.buckets(Grain.DAY, zone)) == [bucket for bucket in whole if bucket in window]


@pytest.mark.parametrize(
    ("zone", "day", "hours", "buckets"),
    [
        ("Europe/Paris", "2026-03-29", 23, 23),
        ("Europe/Paris", "2026-10-25", 25, 25),
        ("America/New_York", "2026-03-08", 23, 23),
        ("America/New_York", "2026-11-01", 25, 25),
        ("Asia/Kolkata", "2026-03-29", 24, 24),
        ("Australia/Lord_Howe", "2026-10-04", 23.5, 24),  # half of the hour from two to three is skipped
        ("Australia/Lord_Howe", "2026-04-05", 24.5, 25),  # half of the hour from one to two comes again
        ("Pacific/Chatham", "2026-09-27", 23, 24),  # 2:45 is 3:45: a quarter hour is left of both hours
        ("America/Havana", "2026-03-08", 23, 23),
        ("America/Havana", "2026-11-01", 25, 25),
        ("Asia/Beirut", "2026-03-29", 23, 23),
        ("Asia/Beirut", "2026-10-24", 25, 25),
        ("America/St_Johns", "2010-11-07", 25, 26),  # its first minute, again from 23:01, and 24 hours
        ("Pacific/Apia", "2011-12-29", 24, 24),
        ("Pacific/Apia", "2011-12-31", 24, 24),
    ],
)
def test_days_of_the_clock_change(zone: str, day: str, hours: float, buckets: int) -> None:
    began = start_of_day(date.fromisoformat(day), ZoneInfo(zone))
    whole = Window(began, Grain.DAY.after(began, ZoneInfo(zone)))
    assert whole.until - whole.since == timedelta(hours=hours)
    assert len(list(whole.buckets(Grain.HOUR, ZoneInfo(zone)))) == buckets


def test_a_day_that_was_skipped_is_the_next_one() -> None:
    apia = ZoneInfo("Pacific/Apia")
    assert start_of_day(date(2011, 12, 30), apia) == start_of_day(date(2011, 12, 31), apia)


def test_a_week_begins_on_monday_also_across_years() -> None:
    new_year = datetime(2027, 1, 1, 12, tzinfo=UTC)  # a Friday
    assert Grain.WEEK.floor(new_year, UTC_ZONE) == datetime(2026, 12, 28, tzinfo=UTC)
    assert Grain.WEEK.after(new_year, UTC_ZONE) == datetime(2027, 1, 4, tzinfo=UTC)


def test_buckets_are_told_in_utc() -> None:
    moment = datetime(2026, 7, 14, 12, 34, tzinfo=PARIS)
    assert {(grain.floor(moment, PARIS).tzinfo, grain.after(moment, PARIS).tzinfo) for grain in Grain} == {(UTC, UTC)}


def test_a_window_holds_its_beginning_and_not_its_end() -> None:
    window = Window(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC))
    assert window.since in window
    assert window.until - timedelta(microseconds=1) in window
    assert window.until not in window
    assert window.since - timedelta(microseconds=1) not in window


def test_a_window_needs_aware_moments() -> None:
    with pytest.raises(Refused, match=r"^2026-07-02 00:00:00 has no time zone: a window needs aware datetimes$"):
        Window(datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2))  # noqa: DTZ001


def test_an_empty_window_is_refused() -> None:
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    with pytest.raises(Refused, match=r"^the window is empty: it begins and ends at 2026-07-01 00:00 UTC$"):
        Window(moment, moment)


def test_the_present_is_told_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= utc_now() <= datetime.now(UTC)
    assert utc_now().tzinfo is UTC


@pytest.mark.parametrize("name", ZONES)
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert parse_zone(name) == ZoneInfo(name)


def test_a_zone_that_does_not_exist_is_refused_with_the_nearest_that_does() -> None:
    with pytest.raises(Refused) as refused:
        parse_zone("Europe/Pariss")
    assert str(refused.value) == (
        'there is no time zone "Europe/Pariss"; did you mean "Europe/Paris"? '
        "Time zones are IANA names such as Europe/Paris or UTC"
    )


@pytest.mark.parametrize("name", ["", "/", "../etc/passwd", "a\0b", "Mars/Olympus"])
def test_a_zone_that_is_near_to_none_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_zone(name)
    assert str(refused.value) == (
        f'there is no time zone "{name}"; time zones are IANA names such as Europe/Paris or UTC'
    )


def test_a_folder_of_zones_is_no_zone() -> None:
    with pytest.raises(Refused, match=r'^there is no time zone "Europe"'):
        parse_zone("Europe")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01", "2026-06-30 22:00"),
        ("20260701", "2026-06-30 22:00"),
        ("2026-07-01T10:00", "2026-07-01 08:00"),
        ("2026-07-01 10:00:30", "2026-07-01 08:00"),
        ("2026-01-01T10:00", "2026-01-01 09:00"),
        ("2026-07-01T10:00Z", "2026-07-01 10:00"),
        ("2026-07-01T10:00+05:30", "2026-07-01 04:30"),
        ("2026-10-25T02:30", "2026-10-25 00:30"),  # the first of two
        ("2026-03-29T02:30", "2026-03-29 01:30"),  # skipped: an hour later on the wall
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, utc: str) -> None:
    assert f"{parse_moment(text, PARIS):%Y-%m-%d %H:%M}" == utc


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-02-30", "2026-07-01T24:30", "1782900000"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_moment(text, PARIS)
    assert str(refused.value) == (
        f'"{text}" is not a time; write 2026-01-31, 2026-01-31T10:00 or 2026-01-31T10:00+02:00'
    )


@pytest.mark.parametrize(("text", "zone"), [("0001-01-01", "Asia/Kolkata"), ("9999-12-31T23:00", "America/New_York")])
def test_a_moment_that_the_calendar_does_not_hold_is_refused(text: str, zone: str) -> None:
    with pytest.raises(Refused, match=f'^"{text}" is further away than the calendar goes$'):
        parse_moment(text, ZoneInfo(zone))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from("hdwmqy"), st.integers(1, 40), clocks())
def test_the_last_n_are_n_buckets_up_to_and_with_the_running_one(
    unit: str, count: int, clock: tuple[datetime, ZoneInfo]
) -> None:
    now, zone = clock
    grain = dict(zip("hdwmqy", Grain, strict=True))[unit]
    last = parse_last(f"{count}{unit}", now, zone)
    buckets = list(last.buckets(grain, zone))
    assert len(buckets) == count
    assert buckets[0] == last.since
    assert buckets[-1] == grain.floor(now, zone)
    assert last.until == grain.after(now, zone)


def test_the_last_is_written_in_any_case_and_with_blanks_around_it() -> None:
    now = datetime(2026, 5, 3, 12, tzinfo=UTC)
    assert parse_last(" 2D ", now, UTC_ZONE) == parse_last("2d", now, UTC_ZONE)


@pytest.mark.parametrize("text", ["", "0d", "d", "-3d", "3", "3 d", "30days", "1.5d", "3s"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_last(text, datetime(2026, 5, 3, tzinfo=UTC), UTC_ZONE)
    assert str(refused.value) == (
        f'"{text}" is not a length of time; write a number and h, d, w, m, q or y, such as 30d'
    )


@pytest.mark.parametrize("text", ["2027y", "30000m", "9999q"])
def test_a_length_before_the_year_one_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=f'^"{text}" goes back further than the calendar does$'):
        parse_last(text, datetime(2026, 5, 3, tzinfo=UTC), UTC_ZONE)


@pytest.mark.parametrize("count", ["100000", "9" * 5000])
def test_a_length_that_would_take_forever_to_count_is_refused(count: str) -> None:
    message = f'"{count}h" is too long a time; write a number of at most 5 digits'
    with pytest.raises(Refused) as refused:
        parse_last(f"{count}h", datetime(2026, 5, 3, tzinfo=UTC), UTC_ZONE)
    assert str(refused.value) == message
    with pytest.raises(Refused) as refused:
        parse_span(f"{count}h")
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "span"),
    [("90min", 1.5 * HOUR), ("36h", 36 * HOUR), ("2d", 2 * DAY), (" 1W ", 7 * DAY), ("0h", timedelta())],
)
def test_a_span_is_read_in_minutes_hours_days_or_weeks(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "2", "2m", "2y", "-2d", "1.5d", "two days"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_span(text)
    assert str(refused.value) == f'"{text}" is not a length of time; write a number and min, h, d or w, such as 2d'


def hours(since: int, until: int) -> Window:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    return Window(epoch + since * HOUR, epoch + until * HOUR)


SPANS = st.tuples(st.integers(-5, 25), st.integers(1, 10)).map(lambda span: (span[0], span[0] + span[1]))


@settings(deadline=None, max_examples=200)
@given(st.lists(SPANS))
def test_gaps_are_exactly_what_is_not_covered(covered: list[tuple[int, int]]) -> None:
    whole = hours(0, 20)
    found = list(gaps(whole, [hours(*span) for span in covered]))
    uncovered = [
        hour for hour in range(20) if not any(since <= hour < until for since, until in covered)
    ]  # hour by hour
    assert [hour for hour in range(20) if any(hours(hour, hour + 1).since in gap for gap in found)] == uncovered
    assert sum((gap.until - gap.since for gap in found), timedelta()) == len(uncovered) * HOUR
    assert all(before.until < after.since for before, after in pairwise(found))


def test_a_window_is_told_in_the_business_zone() -> None:
    day = Window(datetime(2026, 6, 30, 22, tzinfo=UTC), datetime(2026, 7, 1, 22, tzinfo=UTC))
    assert day.text(PARIS) == "2026-07-01 00:00 … 2026-07-02 00:00"
