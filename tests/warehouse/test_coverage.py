"""Coverage: which windows were read, to what end, and whether that is final; checked against a slow model of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.warehouse import Coverage, Covered, open_warehouse
from tallyline.warehouse.coverage import after_failure, after_read, joined, partly
from tallyline.window import Grain, Window
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from tallyline.warehouse import Warehouse

    Told = list[tuple[str, str, str, int]]

DAY = timedelta(days=1)
HALF_HOUR = timedelta(minutes=30)
FIRST = at("2026-03-28", PARIS)  # the clock goes forward on the day after


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still."""
    with time_machine.travel(at("2026-07-10"), tick=False) as traveller:
        yield traveller


@pytest.fixture
def warehouse(warehouse_url: str, clock: object) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        yield warehouse


def piece(since: str, until: str, state: str, run: int = 1) -> Coverage:
    """Return what is known of a window."""
    return Coverage(window(since, until), Covered(state), run)


def told(coverage: Sequence[Coverage]) -> Told:
    """Return the coverage as text, without the year."""
    return [
        (f"{each.window.since:%m-%d %H:%M}", f"{each.window.until:%m-%d %H:%M}", str(each.state), each.run)
        for each in coverage
    ]


def read(  # what is read, and when
    before: Sequence[Coverage], since: str, until: str, read_at: str, *, run: int = 2, lookback: timedelta = 2 * DAY
) -> Told:
    """Return the coverage once a window was read."""
    given = replace(reading([], window(since, until)), lookback=lookback)
    return told(after_read(before, run, at(read_at), given, UTC_ZONE))


def test_what_was_read_within_the_look_back_is_provisional() -> None:
    assert read([], "2026-07-01", "2026-07-05", "2026-07-05 06:00") == [
        ("07-01 00:00", "07-03 06:00", "final", 2),
        ("07-03 06:00", "07-05 00:00", "provisional", 2),
    ]


def test_what_was_read_after_its_look_back_is_final() -> None:
    assert read([], "2026-07-01", "2026-07-03", "2026-07-05") == [("07-01 00:00", "07-03 00:00", "final", 2)]


def test_without_look_back_everything_is_final() -> None:
    last = [("07-01 00:00", "07-03 06:00", "final", 2)]
    assert read([], "2026-07-01", "2026-07-04", "2026-07-03 06:00", lookback=timedelta()) == last


def test_what_is_provisional_becomes_final_when_it_is_read_once_more() -> None:
    before = [piece("2026-07-01", "2026-07-03", "provisional")]
    assert read(before, "2026-07-01", "2026-07-03", "2026-07-09") == [("07-01 00:00", "07-03 00:00", "final", 2)]


def test_what_is_not_read_once_more_stays_provisional() -> None:
    before = [piece("2026-07-01", "2026-07-03", "provisional")]
    assert read(before, "2026-07-02", "2026-07-03", "2026-07-09") == [
        ("07-01 00:00", "07-02 00:00", "provisional", 1),
        ("07-02 00:00", "07-03 00:00", "final", 2),
    ]


def test_what_is_final_is_provisional_where_it_is_read_with_a_longer_look_back() -> None:
    before = [piece("2026-07-01", "2026-07-03", "final")]
    assert read(before, "2026-07-01", "2026-07-03", "2026-07-04", lookback=9 * DAY) == [
        ("07-01 00:00", "07-03 00:00", "provisional", 2)
    ]


def test_a_window_is_covered_up_to_the_moment_it_was_read_at() -> None:
    assert read([], "2026-07-01", "2026-07-02", "2026-07-01 10:20") == [
        ("07-01 00:00", "07-01 10:20", "provisional", 2)
    ]


def test_a_window_that_is_yet_to_come_is_not_covered() -> None:
    before = [piece("2026-07-01", "2026-07-02", "final")]
    assert read(before, "2026-07-05", "2026-07-06", "2026-07-04") == told(before)


def test_windows_that_touch_and_are_the_same_are_one_of_the_newest_run() -> None:
    before = [piece("2026-07-01", "2026-07-02", "final", 1), piece("2026-07-03", "2026-07-04", "final", 7)]
    assert read(before, "2026-07-02", "2026-07-03", "2026-07-09") == [("07-01 00:00", "07-04 00:00", "final", 7)]


def test_what_failed_vanishes_where_it_is_read() -> None:
    before = [piece("2026-07-01", "2026-07-04", "failed")]
    assert read(before, "2026-07-02", "2026-07-03", "2026-07-09") == [
        ("07-01 00:00", "07-02 00:00", "failed", 1),
        ("07-02 00:00", "07-03 00:00", "final", 2),
        ("07-03 00:00", "07-04 00:00", "failed", 1),
    ]


def test_a_snapshot_covers_the_time_since_the_one_before() -> None:
    before = [piece("2026-07-01 10:00", "2026-07-01 10:30", "final"), piece("2026-07-01 12:00", "2026-07-02", "failed")]
    snapshot = replace(reading([], window("2026-07-01 15:00", "2026-07-01 16:00")), snapshot=True)
    assert told(after_read(before, 2, at("2026-07-01 15:20"), snapshot, UTC_ZONE)) == [
        ("07-01 10:00", "07-01 15:20", "final", 2),
        ("07-01 16:00", "07-02 00:00", "failed", 1),
    ]


def test_the_first_snapshot_covers_its_own_time() -> None:
    snapshot = replace(reading([], window("2026-07-01 15:00", "2026-07-01 16:00")), snapshot=True)
    assert told(after_read([], 2, at("2026-07-01 15:20"), snapshot, UTC_ZONE)) == [
        ("07-01 15:00", "07-01 15:20", "final", 2)
    ]


def test_what_failed_is_not_taken_for_a_snapshot() -> None:
    before = [piece("2026-07-01 10:00", "2026-07-01 11:00", "failed")]
    snapshot = replace(reading([], window("2026-07-01 15:00", "2026-07-01 16:00")), snapshot=True)
    assert told(after_read(before, 2, at("2026-07-01 15:20"), snapshot, UTC_ZONE)) == [
        ("07-01 10:00", "07-01 11:00", "failed", 1),
        ("07-01 15:00", "07-01 15:20", "final", 2),
    ]


def test_before_a_window_that_tells_all_nothing_is_unknown_in_its_quarter() -> None:
    first = replace(reading([], window("2026-05-13", "2026-05-15")), tells_all=True)
    [whole] = after_read([], 1, at("2026-05-20"), first, UTC_ZONE)
    assert whole.window.since <= at("2026-04-01")
    assert whole.window.until == at("2026-05-15")


def test_a_failure_leaves_what_was_read() -> None:
    before = [piece("2026-07-02", "2026-07-03", "final"), piece("2026-07-03", "2026-07-04", "provisional")]
    assert told(after_failure(before, window("2026-07-01", "2026-07-06"), 2, at("2026-07-09"))) == [
        ("07-01 00:00", "07-02 00:00", "failed", 2),
        ("07-02 00:00", "07-03 00:00", "final", 1),
        ("07-03 00:00", "07-04 00:00", "provisional", 1),
        ("07-04 00:00", "07-06 00:00", "failed", 2),
    ]


def test_a_failure_of_what_was_read_changes_nothing() -> None:
    before = [piece("2026-07-01", "2026-07-04", "final")]
    assert after_failure(before, window("2026-07-02", "2026-07-03"), 2, at("2026-07-09")) == before


def test_a_window_failed_up_to_the_moment_it_was_tried_at() -> None:
    assert told(after_failure([], window("2026-07-01", "2026-07-02"), 2, at("2026-07-01 10:20"))) == [
        ("07-01 00:00", "07-01 10:20", "failed", 2)
    ]
    assert after_failure([], window("2026-07-01", "2026-07-02"), 2, at("2026-07-01")) == []


def test_the_newest_failure_is_named_and_older_ones_around_it_are_kept_as_failed() -> None:
    before = [piece("2026-07-01", "2026-07-04", "failed")]
    assert told(after_failure(before, window("2026-07-02", "2026-07-06"), 2, at("2026-07-09"))) == [
        ("07-01 00:00", "07-06 00:00", "failed", 2)
    ]


def test_windows_that_touch_are_joined_and_those_that_failed_left_out() -> None:
    coverage = [
        piece("2026-07-05", "2026-07-06", "provisional"),
        piece("2026-07-01", "2026-07-02", "final"),
        piece("2026-07-02", "2026-07-03", "provisional"),
        piece("2026-07-03", "2026-07-05", "failed"),
    ]
    assert joined(coverage) == [window("2026-07-01", "2026-07-03"), window("2026-07-05", "2026-07-06")]
    assert joined([]) == []


def test_windows_that_hold_each_other_are_joined() -> None:
    coverage = [piece("2026-07-01", "2026-07-09", "final"), piece("2026-07-02", "2026-07-03", "final")]
    assert joined(coverage) == [window("2026-07-01", "2026-07-09")]


@pytest.mark.parametrize(
    ("grain", "floors"),
    [
        (Grain.HOUR, ["2026-07-02 09:00"]),
        (Grain.DAY, ["2026-07-01", "2026-07-02"]),
        (Grain.WEEK, ["2026-06-29"]),
        (Grain.YEAR, ["2026-01-01"]),
    ],
)
def test_buckets_are_read_in_part_where_a_window_begins_or_ends_in_them(grain: Grain, floors: list[str]) -> None:
    windows = [window("2026-07-01 08:00", "2026-07-02 09:20")]
    assert partly(windows, grain, UTC_ZONE) == {at(floor) for floor in floors}


def test_no_bucket_is_read_in_part_where_windows_hold_whole_ones() -> None:
    assert partly([window("2026-07-01", "2026-07-03", PARIS)], Grain.DAY, PARIS) == set()
    assert partly([window("2026-07-01", "2026-07-03", PARIS)], Grain.DAY, UTC_ZONE) == {
        at("2026-06-30"),
        at("2026-07-02"),
    }


@dataclass
class Model:
    """What is known of each half hour, one by one; half hours are counted from FIRST on."""

    lookback: int
    known: dict[int, str] = field(default_factory=dict)

    @property
    def read(self) -> set[int]:
        """The half hours that were read."""
        return {slot for slot, state in self.known.items() if state != "failed"}

    def reads(self, since: int, until: int, now: int, *, snapshot: bool) -> None:
        """Read a window."""
        if snapshot and self.read:
            since = min(since, max(self.read) + 1)
        if now <= since:
            return
        for slot in range(since, until):
            self.known.pop(slot, None)
        for slot in range(since, min(until, now)):
            self.known[slot] = "final" if slot < now - self.lookback else "provisional"

    def fails(self, since: int, until: int, now: int) -> None:
        """Try a window in vain."""
        for slot in range(since, min(until, now)):
            self.known.setdefault(slot, "failed")


@st.composite
def attempts(draw: st.DrawFn) -> list[tuple[str, int, int, int]]:
    """Reads, snapshots and failures: of which half hours, and when; hours are whole, moments need not be."""
    now, made = 0, []
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.integers(0, 40))
        what = draw(st.sampled_from(["read", "read", "fail", "snapshot"]))
        since = now - now % 2 if what == "snapshot" else 2 * draw(st.integers(0, 70))
        length = 2 if what == "snapshot" else 2 * draw(st.integers(1, 30))
        made.append((what, since, since + length, now))
    return made


def moment(slot: int) -> datetime:
    """Return when a half hour begins."""
    return FIRST + slot * HALF_HOUR


def slots(whole: Window) -> range:
    """Return the half hours of a window."""
    return range((whole.since - FIRST) // HALF_HOUR, (whole.until - FIRST) // HALF_HOUR)


def business_day(slot: int) -> date:
    """Return the day in Paris."""
    return moment(slot).astimezone(PARIS).date()


@settings(max_examples=150, deadline=None)
@given(attempts(), st.integers(0, 30))
def test_coverage_is_what_a_model_of_half_hours_says(made: list[tuple[str, int, int, int]], lookback: int) -> None:
    model, coverage = Model(lookback), list[Coverage]()
    for run, (what, since, until, now) in enumerate(made, start=1):
        whole = Window(moment(since), moment(until))
        if what == "fail":
            model.fails(since, until, now)
            coverage = after_failure(coverage, whole, run, moment(now))
        else:
            given_then = replace(reading([], whole), lookback=lookback * HALF_HOUR, snapshot=what == "snapshot")
            model.reads(since, until, now, snapshot=what == "snapshot")
            coverage = after_read(coverage, run, moment(now), given_then, PARIS)
        _check_against(model, coverage)


def _check_against(model: Model, coverage: Sequence[Coverage]) -> None:
    assert {slot: str(each.state) for each in coverage for slot in slots(each.window)} == model.known
    assert sum(len(slots(each.window)) for each in coverage) == len(model.known)
    for one, other in pairwise(coverage):
        assert one.window.until <= other.window.since
        assert one.window.until < other.window.since or one.state is not other.state
    whole = joined(coverage)
    assert {slot for each in whole for slot in slots(each)} == model.read
    assert all(one.until < other.since for one, other in pairwise(whole))
    days = {business_day(slot) for slot in model.read}
    around = [slot for slot in range(-60, 600) if business_day(slot) in days]
    in_part = {business_day(slot) for slot in around if slot not in model.read}
    assert {day.astimezone(PARIS).date() for day in partly(whole, Grain.DAY, PARIS)} == in_part


def published(warehouse: Warehouse, since: str, until: str, *, lookback: timedelta = 2 * DAY) -> None:
    """Publish a read of a window that gave a number in its first hour."""
    rows = [({"time": since}, {"users.new": 1})]
    publish(warehouse, replace(reading(rows, window(since, until)), lookback=lookback))


def failed(warehouse: Warehouse, since: str, until: str) -> None:
    """Enter a read of a window that failed."""
    run = warehouse.begin("shop", window(since, until))
    warehouse.end(run, state="failed", error="no", report={})


def test_what_was_published_becomes_final_after_its_look_back(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    published(warehouse, "2026-07-07", "2026-07-10")
    assert told(warehouse.coverage("shop")) == [
        ("07-07 00:00", "07-08 00:00", "final", 1),
        ("07-08 00:00", "07-10 00:00", "provisional", 1),
    ]
    clock.move_to(at("2026-07-12"))
    published(warehouse, "2026-07-07", "2026-07-10")
    assert told(warehouse.coverage("shop")) == [("07-07 00:00", "07-10 00:00", "final", 2)]
    assert warehouse.covered("shop") == [window("2026-07-07", "2026-07-10")]


def test_a_run_that_failed_leaves_what_was_published(warehouse: Warehouse) -> None:
    published(warehouse, "2026-07-01", "2026-07-03")
    failed(warehouse, "2026-07-02", "2026-07-05")
    assert told(warehouse.coverage("shop")) == [
        ("07-01 00:00", "07-03 00:00", "final", 1),
        ("07-03 00:00", "07-05 00:00", "failed", 2),
    ]
    assert warehouse.covered("shop") == [window("2026-07-01", "2026-07-03")]


def test_windows_that_failed_vanish_when_they_are_published(warehouse: Warehouse) -> None:
    failed(warehouse, "2026-07-01", "2026-07-05")
    published(warehouse, "2026-07-01", "2026-07-05")
    assert told(warehouse.coverage("shop")) == [("07-01 00:00", "07-05 00:00", "final", 2)]


def test_each_source_has_its_own_coverage(warehouse: Warehouse) -> None:
    published(warehouse, "2026-07-01", "2026-07-02")
    assert warehouse.coverage("app") == []
    assert warehouse.covered("app") == []


def test_snapshots_leave_no_gap_between_them(warehouse: Warehouse, clock: time_machine.Traveller) -> None:
    for hour in ("10", "14"):
        clock.move_to(at(f"2026-07-08 {hour}:15"))
        running = window(f"2026-07-08 {hour}:00", f"2026-07-08 {int(hour) + 1}:00")
        rows = [({"time": f"2026-07-08 {hour}:00"}, {"users.total": 7})]
        publish(warehouse, replace(reading(rows, running), snapshot=True))
    assert warehouse.covered("shop") == [window("2026-07-08 10:00", "2026-07-08 14:15")]
    complete = {f"{value.time:%H}": value.complete for value in warehouse.query("users.total", by="hour")}
    assert complete == {"10": True, "14": False}


@pytest.mark.parametrize(("by", "first"), [("week", "2026-06-29"), ("month", "2026-07-01"), ("quarter", "2026-07-01")])
def test_the_first_bucket_of_a_source_that_tells_all_is_complete(warehouse: Warehouse, by: str, first: str) -> None:
    rows = [({"time": "2026-07-02"}, {"users.new": 3})]
    publish(warehouse, replace(reading(rows, window("2026-07-02", "2026-10-01")), tells_all=True))
    warehouse_now = warehouse.query("users.new", by=by)
    assert (warehouse_now[0].time, warehouse_now[0].value) == (at(first), 3)
    assert warehouse_now[0].complete is (by == "week")  # the month and the quarter go on still


def test_the_first_month_of_a_source_that_tells_all_is_complete_once_it_is_over(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(at("2026-08-03"))
    rows = [({"time": "2026-07-02"}, {"users.new": 3})]
    publish(warehouse, replace(reading(rows, window("2026-07-02", "2026-08-03")), tells_all=True))
    assert [(value.value, value.complete) for value in warehouse.query("users.new", by="month")] == [
        (3, True),
        (0, False),
    ]


def test_the_first_month_of_a_source_that_does_not_tell_all_is_not_complete(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(at("2026-08-03"))
    published(warehouse, "2026-07-02", "2026-08-01")
    assert [value.complete for value in warehouse.query("users.new", by="month")] == [False]


def test_what_a_source_does_not_know_itself_is_no_zero_and_not_tried_again(warehouse: Warehouse) -> None:
    day = window("2026-07-01", "2026-07-02")
    rows = [({"time": at("2026-07-01 09:00")}, {"users.new": 3})]
    night = window("2026-07-01 02:00", "2026-07-01 04:00")
    publish(warehouse, replace(reading(rows, day), missing=[night]))
    hours = warehouse.query("users.new", by=Grain.HOUR, since=day.since)
    assert [value.time for value in hours] == [hour for hour in day.buckets(Grain.HOUR, UTC_ZONE) if hour not in night]
    assert [(value.value, value.complete) for value in warehouse.query("users.new")] == [(3, False)]
    assert told(warehouse.coverage("shop")) == [
        ("07-01 00:00", "07-01 02:00", "final", 1),
        ("07-01 02:00", "07-01 04:00", "missing", 1),
        ("07-01 04:00", "07-02 00:00", "final", 1),
    ]
    assert warehouse.covered("shop") == [day]


def test_what_was_missing_is_known_once_it_is_read_and_was_not_known_before(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    day, rows = window("2026-07-01", "2026-07-02"), [({"time": at("2026-07-01 09:00")}, {"users.new": 3})]
    publish(warehouse, replace(reading(rows, day), missing=[day]))
    clock.shift(DAY)
    publish(warehouse, reading(rows, day))
    assert len(warehouse.query("users.new", by=Grain.HOUR, since=day.since)) == 24
    assert len(warehouse.query("users.new", by=Grain.HOUR, since=day.since, as_of=at("2026-07-10 12:00"))) == 1


def test_a_window_that_fails_where_it_was_missing_stays_so(warehouse: Warehouse) -> None:
    day = window("2026-07-01", "2026-07-02")
    publish(warehouse, replace(reading([], day), missing=[day]))
    warehouse.end(warehouse.begin("shop", day), state="failed", error="no", report={})
    assert told(warehouse.coverage("shop")) == [("07-01 00:00", "07-02 00:00", "missing", 1)]
