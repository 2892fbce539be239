"""What is due, beside an oracle that goes from half an hour to half an hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.plan import Retention
from tallyline.schedule.due import Due, due, is_cleaning_due, next_due, rests_until
from tallyline.sources import Options
from tallyline.warehouse import Coverage, Covered, Failure, Progress
from tallyline.window import Grain, Window
from tests.schedule.memory import Memory
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, window

if TYPE_CHECKING:
    from collections.abc import Iterator

HALF, HOUR, DAY = timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)
NOTHING = timedelta()


def options(schedule: str = "@hourly", lookback: timedelta = NOTHING, **others: object) -> Options:
    """Return options without a look-back, unless it is given."""
    return Options(schedule=schedule, lookback=lookback, **others)  # type: ignore[arg-type]


def told(dues: list[Due]) -> list[tuple[str, bool]]:
    """Return windows as people read them, and whether they were missed."""
    return [(each.window.text(UTC_ZONE), each.missed) for each in dues]


def test_a_source_that_was_never_read_begins_with_the_newest_interval_and_goes_back_to_its_start() -> None:
    source = Memory(options("@daily", start=date(2026, 11, 1), at_once=7 * DAY), UTC_ZONE)
    assert told(source.due(at("2026-11-25 00:00:03"))) == [
        ("2026-11-24 00:00 … 2026-11-25 00:00", False),
        ("2026-11-22 00:00 … 2026-11-24 00:00", True),
        ("2026-11-15 00:00 … 2026-11-22 00:00", True),
        ("2026-11-08 00:00 … 2026-11-15 00:00", True),
        ("2026-11-01 00:00 … 2026-11-08 00:00", True),
    ]


def test_without_a_start_only_the_newest_interval_and_its_look_back_are_due() -> None:
    source = Memory(options("@daily", lookback=2 * DAY), UTC_ZONE)
    assert told(source.due(at("2026-11-25 09:00"))) == [("2026-11-22 00:00 … 2026-11-25 00:00", False)]


def test_what_was_read_is_not_due_until_the_schedule_fires_again() -> None:
    source = Memory(options(lookback=2 * HOUR), UTC_ZONE)
    source.read(source.due(at("2026-11-25 10:00:03"))[0].window, at("2026-11-25 10:00:03"))
    assert source.due(at("2026-11-25 10:59:59")) == []
    assert told(source.due(at("2026-11-25 11:00"))) == [("2026-11-25 08:00 … 2026-11-25 11:00", False)]


def test_what_was_read_up_to_a_moment_within_the_interval_is_due_once_that_has_ended() -> None:
    source = Memory(options("@daily"), UTC_ZONE)
    source.read(window("2026-11-24", "2026-11-26"), at("2026-11-25 15:00"))
    assert source.due(at("2026-11-25 23:59")) == []
    assert told(source.due(at("2026-11-26 00:00"))) == [("2026-11-25 00:00 … 2026-11-26 00:00", False)]


def test_after_downtime_the_newest_comes_first_and_then_what_was_missed_and_not_settled() -> None:
    source = Memory(options(lookback=3 * HOUR), UTC_ZONE)
    source.read(window("2026-11-20 05:00", "2026-11-20 10:00"), at("2026-11-20 10:00:05"))
    assert told(source.due(at("2026-11-25 10:30"))) == [
        ("2026-11-25 06:00 … 2026-11-25 10:00", False),
        ("2026-11-20 07:00 … 2026-11-25 06:00", True),  # what was read last was not final yet
    ]


def test_a_window_that_failed_is_due_again_at_the_next_tick() -> None:
    source = Memory(options(start=date(2026, 11, 25)), UTC_ZONE)
    now = at("2026-11-25 10:00:05")
    source.read(window("2026-11-25", "2026-11-25 09:00"), at("2026-11-25 09:00:05"))
    source.fail(source.due(now)[0].window, now)
    assert source.due(at("2026-11-25 10:59")) == []
    assert told(source.due(at("2026-11-25 11:00"))) == [
        ("2026-11-25 10:00 … 2026-11-25 11:00", False),
        ("2026-11-25 09:00 … 2026-11-25 10:00", True),
    ]


def test_one_window_that_fails_does_not_keep_the_others() -> None:
    source = Memory(options("@daily", start=date(2026, 11, 1), at_once=12 * DAY), UTC_ZONE)
    now = at("2026-11-25 09:00")
    newest, second, third = source.due(now)
    source.fail(newest.window, now)
    assert source.due(now) == [second, third]
    source.fail(second.window, now)
    assert source.due(now) == [third]
    source.read(third.window, now)
    assert source.due(now) == []
    assert [each.missed for each in source.due(now + DAY)] == [False, True]


def test_a_source_whose_service_is_away_rests_longer_and_longer() -> None:
    source = Memory(options("@daily"), UTC_ZONE)
    now, tries = at("2026-11-25 00:00:30"), list[datetime]()
    while len(tries) < 10:
        tries.append(now)
        source.fail(source.due(now)[0].window, now, NOTHING)
        now = next_due(source.options, source.progress(now), now, UTC_ZONE)
        assert source.due(now - timedelta(seconds=1)) == []
    waits = [(later - earlier).total_seconds() / 60 for earlier, later in pairwise(tries)]
    assert waits == [1, 1.5, 3, 6, 12, 24, 48, 60, 60]


def test_a_service_that_asks_to_be_left_alone_is() -> None:
    source = Memory(options("@daily"), UTC_ZONE)
    source.fail(window("2026-11-24", "2026-11-25"), at("2026-11-25 00:00:05"), 3 * HOUR)
    progress = source.progress(at("2026-11-25 01:00"))
    assert rests_until(source.options, progress, at("2026-11-25 01:00"), UTC_ZONE) == at("2026-11-25 03:00:05")
    assert source.due(at("2026-11-25 03:00:04")) == []
    assert len(source.due(at("2026-11-25 03:00:05"))) == 1


def test_windows_that_were_tried_come_after_those_that_were_not() -> None:
    source = Memory(options("@daily", start=date(2026, 11, 22)), UTC_ZONE)
    source.read(window("2026-11-24", "2026-11-25"), at("2026-11-25 00:01"))
    source.options = options("@daily", start=date(2026, 11, 22), at_once=DAY)
    source.fail(window("2026-11-23", "2026-11-24"), at("2026-11-25 00:02"), NOTHING)
    assert told(source.due(at("2026-11-25 01:00"))) == [
        ("2026-11-22 00:00 … 2026-11-23 00:00", True),
        ("2026-11-23 00:00 … 2026-11-24 00:00", True),
    ]


def test_a_snapshot_tells_only_the_present_once_for_every_tick() -> None:
    source = Memory(options(snapshot=True, start=date(2026, 1, 1)), UTC_ZONE)
    assert told(source.due(at("2026-11-25 10:40"))) == [("2026-11-25 10:00 … 2026-11-25 11:00", False)]
    source.read(source.due(at("2026-11-25 10:40"))[0].window, at("2026-11-25 10:40"))
    assert source.due(at("2026-11-25 10:59")) == []
    source.fail(source.due(at("2026-11-25 11:00"))[0].window, at("2026-11-25 11:00:02"))
    assert source.due(at("2026-11-25 11:59")) == []
    assert told(source.due(at("2026-11-27 08:30"))) == [("2026-11-27 08:00 … 2026-11-27 09:00", False)]


def test_windows_that_the_source_itself_does_not_know_are_not_asked_for_again() -> None:
    pieces = [Coverage(window("2026-11-01", "2026-11-20"), Covered.MISSING, 1)]
    pieces += [Coverage(window("2026-11-20", "2026-11-25"), Covered.FINAL, 2)]
    known = Progress(pieces)
    assert due(options("@daily", start=date(2026, 11, 1)), known, at("2026-11-25 01:00"), UTC_ZONE) == []


def test_nothing_is_due_before_the_start() -> None:
    source = options("@daily", start=date(2026, 12, 1))
    assert due(source, Progress(), at("2026-11-25 10:00"), UTC_ZONE) == []
    assert next_due(source, Progress(), at("2026-11-25 10:00"), UTC_ZONE) == at("2026-12-02")
    assert due(source, Progress(), at("2026-12-01 10:00"), UTC_ZONE) == []
    assert told(due(source, Progress(), at("2026-12-02"), UTC_ZONE)) == [("2026-12-01 00:00 … 2026-12-02 00:00", False)]


def test_a_source_without_a_start_begins_with_what_was_tried_first() -> None:
    source = Memory(options("@daily"), UTC_ZONE)
    source.fail(window("2026-11-20", "2026-11-21"), at("2026-11-21 00:00:05"))
    source.read(window("2026-11-24", "2026-11-25"), at("2026-11-25 00:00:05"))
    assert told(source.due(at("2026-11-25 01:00"))) == [("2026-11-20 00:00 … 2026-11-24 00:00", True)]


def test_days_whose_hours_were_cleaned_away_are_read_as_a_whole() -> None:
    source = options(lookback=36 * HOUR, start=date(2026, 11, 1))
    pieces = [Coverage(window("2026-11-01", "2026-11-10 14:00"), Covered.FINAL, 1)]
    pieces += [Coverage(window("2026-11-12 05:00", "2026-11-25 10:00"), Covered.FINAL, 2)]
    now = at("2026-11-25 10:30")
    assert told(due(source, Progress(pieces), now, UTC_ZONE)) == [("2026-11-10 14:00 … 2026-11-12 05:00", True)]
    cleaned = Progress(pieces, cleaned_until=at("2026-11-20"))
    assert told(due(source, cleaned, now, UTC_ZONE)) == [("2026-11-10 00:00 … 2026-11-13 00:00", True)]


def test_something_that_is_due_was_so_since_the_newest_tick() -> None:
    source = Memory(options("@daily"), PARIS)
    assert next_due(source.options, Progress(), at("2026-11-25 09:00"), PARIS) == at("2026-11-25", PARIS)
    source.read(source.due(at("2026-11-25 09:00"))[0].window, at("2026-11-25 09:00"))
    later = at("2026-11-25 10:00")
    assert next_due(source.options, source.progress(later), later, PARIS) == at("2026-11-26", PARIS)


def test_cleaning_is_due_once_a_business_day_where_something_is_to_go() -> None:
    kept = Retention(hours=30 * DAY)
    now = at("2026-11-25 01:00", PARIS)
    assert not is_cleaning_due(Retention(), None, now, PARIS)
    assert is_cleaning_due(kept, None, now, PARIS)
    assert is_cleaning_due(kept, at("2026-11-24 23:59", PARIS), now, PARIS)
    assert not is_cleaning_due(kept, at("2026-11-25 00:00", PARIS), now, PARIS)


# beside the oracle: all that is known lies in ten days, in pieces of whole half hours

EPOCH = datetime(2026, 3, 2, tzinfo=UTC)
SLOTS = 10 * 48


@dataclass(frozen=True)
class Case:
    """A source, what is known of it slot by slot, what failed since the newest tick, and the present slot."""

    every: int
    options: Options
    states: tuple[str, ...]
    failures: tuple[Failure, ...]
    now: int


def moment(slot: float) -> datetime:
    """Return when a slot begins."""
    return EPOCH + slot * HALF


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a source that fires every so many hours of the day."""
    every = draw(st.sampled_from([1, 2, 6, 24]))
    source = options(
        f"0 */{every} * * *" if every < 24 else "0 0 * * *",
        draw(st.sampled_from([0, 1, 5, 24, 36])) * HOUR,
        grain=draw(st.sampled_from([Grain.HOUR, Grain.DAY])),
        start=draw(st.sampled_from([None, date(2026, 3, 2), date(2026, 3, 4)])),
        at_once=draw(st.sampled_from([1, 2, 30])) * DAY,
    )
    runs = st.tuples(st.sampled_from(["", "failed", "provisional", "final", "missing"]), st.integers(1, 120))
    states = [state for state, length in draw(st.lists(runs, max_size=12)) for _ in range(length)][:SLOTS]
    now = draw(st.integers(SLOTS - 96, SLOTS))
    tick = now // (2 * every) * 2 * every
    ends = st.tuples(st.integers(0, SLOTS - 1), st.integers(1, 100))
    failures = [
        Failure(Window(moment(since), moment(since + length)), moment(tick), moment(now), wait)
        for since, length in draw(st.lists(ends, max_size=3))
        for wait in [draw(st.sampled_from([None, None, NOTHING]))]
    ]
    known = [state if slot < now else "" for slot, state in enumerate(states)]
    return Case(every, source, (*known, *[""] * (SLOTS - len(known))), tuple(failures), now)


def coverage(states: tuple[str, ...]) -> list[Coverage]:
    """Return what is known as the warehouse keeps it."""
    return list(_pieces(states))


def _pieces(states: tuple[str, ...]) -> Iterator[Coverage]:
    for state, slots in groupby(range(SLOTS), key=states.__getitem__):
        first, *_, last = [*slots] * 2
        if state:
            yield Coverage(Window(moment(first), moment(last + 1)), Covered(state), 1)


def oracle(case: Case) -> tuple[set[int], set[int]]:
    """Return the slots that are due as the newest and those that were missed, none of which failed."""
    bucket = 2 if case.options.facts is Grain.HOUR else 48
    tick = case.now // (2 * case.every) * 2 * case.every
    start = (case.options.start - date(2026, 3, 2)).days * 48 if case.options.start else None
    lookback = case.options.lookback // HALF
    since = max(tick - 2 * case.every - lookback, start or -SLOTS) // bucket * bucket
    interval = range(max(tick - 2 * case.every, start or -SLOTS), tick)
    unread = any(slot < 0 or case.states[slot] in {"", "failed"} for slot in interval)
    newest = set(range(since, -(-tick // bucket) * bucket)) if unread else set()
    begin = start if start is not None else min((slot for slot in range(SLOTS) if case.states[slot]), default=since)
    open_slots = [slot for slot in range(begin, since) if case.states[slot] not in {"final", "missing"}]
    missed = {slot // bucket * bucket + each for slot in open_slots for each in range(bucket)}
    return newest, missed


def slots_of(whole: Window) -> range:
    """Return the slots of a window."""
    return range((whole.since - EPOCH) // HALF, (whole.until - EPOCH) // HALF)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_what_is_due_is_what_the_oracle_finds(case: Case) -> None:
    pieces, now = coverage(case.states), moment(case.now)
    dues = due(case.options, Progress(pieces), now, UTC_ZONE)
    newest, missed = oracle(case)
    assert [set(slots_of(each.window)) for each in dues if not each.missed] == ([newest] if newest else [])
    windows = [each.window for each in dues if each.missed]
    assert {slot for each in windows for slot in slots_of(each)} == missed
    assert all(later.since >= earlier.until for later, earlier in pairwise(windows))  # the newest first, none twice
    assert all(each.until - each.since <= case.options.at_once for each in windows)
    assert [each.missed for each in dues] == sorted(each.missed for each in dues)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_what_failed_since_the_newest_tick_is_left_out(case: Case) -> None:
    pieces, now = coverage(case.states), moment(case.now)
    everything = due(case.options, Progress(pieces), now, UTC_ZONE)
    dues = due(case.options, Progress(pieces, case.failures), now, UTC_ZONE)
    if case.failures and case.failures[-1].wait is not None:  # its service is away
        assert dues == []
        rested = rests_until(case.options, Progress(pieces, case.failures), now, UTC_ZONE)
        assert now + timedelta(minutes=1) <= rested <= now + HOUR
        return
    tick = case.now // (2 * case.every) * 2 * case.every
    expected = []
    for each in everything:
        target = slots_of(each.window) if each.missed else range(tick - 2 * case.every, tick)
        if not any(set(target) & set(slots_of(one.window)) for one in case.failures if one.wait is None):
            expected.append(each)
    assert sorted(dues, key=str) == sorted(expected, key=str)


@settings(deadline=None, max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_reading_what_is_due_leaves_nothing_due(case: Case, chance: object) -> None:
    """Whatever was known before: each window is read once, and then everything is settled."""
    source = Memory(case.options, UTC_ZONE, coverage(case.states))
    now, read = moment(case.now), set[int]()
    while dues := source.due(now):
        assert len(source.reads) < SLOTS
        chosen = chance.choice(dues)  # type: ignore[attr-defined]  # hypothesis' own
        slots = set(slots_of(chosen.window))
        assert not slots & read
        read |= slots
        source.read(chosen.window, now)
    newest, missed = oracle(case)
    assert read == newest | missed
