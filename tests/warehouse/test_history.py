"""Every past state of a number can be told: what was known on a day, by which run, and when it changed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Retention
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import UTC_ZONE, at, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tallyline.warehouse import Value, Warehouse

WEEK = window("2026-07-13", "2026-07-20")
DAY = window("2026-07-14", "2026-07-15")
TEN = {"time": "2026-07-14 10:00", "country": "FR"}
REVISIONS = 200


class Clock:
    """A clock that goes on by an hour each time it is looked at."""

    def __init__(self) -> None:
        self.now = at("2026-07-20")

    def __call__(self) -> datetime:
        """Tell the time."""
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of this test's runs."""
    return Clock()


@pytest.fixture
def warehouse(warehouse_url: str, clock: Clock) -> Iterator[Warehouse]:
    """An empty warehouse with that clock."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=clock) as warehouse:
        yield warehouse


def told(values: list[Value]) -> list[tuple[datetime, str | None, float]]:
    return [(value.time, value.part, value.value) for value in values if value.value]


def test_a_series_that_was_revised_hundreds_of_times_is_told_as_of_any_of_them(
    warehouse: Warehouse, clock: Clock
) -> None:
    lot, states = Random(11), []  # noqa: S311  # no secret
    hours = list(WEEK.buckets(Grain.HOUR, UTC_ZONE))
    known = {hour: float(lot.randint(1, 9)) for hour in hours[::7]}
    for _ in range(REVISIONS):
        for hour in lot.sample(hours, 3):
            if not known.pop(hour, None) or lot.random() < 0.6:
                known[hour] = float(lot.randint(1, 99))
        publish(warehouse, reading([({"time": hour}, {"users.new": value}) for hour, value in known.items()], WEEK))
        states.append((clock.now, dict(known)))
    for moment, state in lot.sample(states, 60):
        then = warehouse.query("users.new", by="hour", as_of=moment)
        assert told(then) == [(hour, None, value) for hour, value in sorted(state.items())]
        assert sum(value.value for value in warehouse.query("users.new", as_of=moment)) == sum(state.values())
        assert [value.value for value in warehouse.query("users.new", by="month", as_of=moment)] == [
            sum(state.values())
        ]
    assert told(warehouse.query("users.new", by="hour")) == told(warehouse.query("users.new", by="hour", as_of=clock()))


def test_before_anything_was_read_nothing_was_known(warehouse: Warehouse, clock: Clock) -> None:
    before = clock.now
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    assert warehouse.query("users.new", as_of=before) == []
    assert warehouse.query("users.new", by="hour", as_of=before) == []


def test_a_count_was_zero_as_of_a_day_by_which_its_window_was_read(warehouse: Warehouse, clock: Clock) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    first = clock.now
    publish(warehouse, reading([], window("2026-07-15", "2026-07-17")))
    asked = partial(warehouse.query, "users.new", since=DAY.since, until=at("2026-07-17"))
    assert [value.value for value in asked()] == [3, 0, 0]
    assert [value.value for value in asked(as_of=first)] == [3]


def test_a_number_tells_the_runs_that_wrote_it(warehouse: Warehouse) -> None:
    for value in (3, 4, 4, 5):
        publish(warehouse, reading([(TEN, {"users.new": value})], DAY))
    [history] = warehouse.history("users.new", at("2026-07-14 10:30"), by="hour")
    assert (history.metric, history.dims, history.source, history.now) == ("users.new", {"country": "FR"}, "shop", 5)
    runs = [(version.value, version.run and version.run.id, version.replaced_by) for version in history.versions]
    assert [(value, run, replaced and replaced.id) for value, run, replaced in runs] == [
        (5, 4, None),
        (4, 2, 4),
        (3, 1, 2),
    ]
    [of_the_day] = warehouse.history("users.new", at("2026-07-14"), by="day")
    assert [version.value for version in of_the_day.versions] == [5, 4, 3]


def test_a_number_that_was_removed_and_came_again_tells_both(warehouse: Warehouse, clock: Clock) -> None:
    moments = []
    for rows in ([(TEN, {"users.new": 3})], [], [(TEN, {"users.new": 7})]):
        publish(warehouse, reading(rows, DAY))
        moments.append(clock.now)
    [history] = warehouse.history("users.new", DAY.since)
    assert [(version.value, version.replaced_by and version.replaced_by.id) for version in history.versions] == [
        (7, None),
        (3, 2),
    ]
    sums = [sum(value.value for value in warehouse.query("users.new", as_of=moment)) for moment in moments]
    assert sums == [3, 0, 7]


def test_a_number_that_was_removed_is_nothing_now(warehouse: Warehouse) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    publish(warehouse, reading([], DAY))
    [history] = warehouse.history("users.new", DAY.since)
    assert history.now is None


def test_only_series_with_the_dims_that_were_asked_for_are_told(warehouse: Warehouse) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3}), ({**TEN, "country": "DE"}, {"users.new": 4})], DAY))
    assert [history.now for history in warehouse.history("users.new", DAY.since)] == [4, 3]
    assert [history.now for history in warehouse.history("users.new", DAY.since, where={"country": "FR"})] == [3]


def test_the_view_of_restatements_tells_what_changed_and_when(warehouse: Warehouse, warehouse_url: str) -> None:
    for value in (3, 4):
        publish(warehouse, reading([(TEN, {"users.new": value})], DAY))
    told = "SELECT metric, grain, value, run, replaced_by FROM restatements ORDER BY grain"
    assert rows_of(warehouse_url, told) == [("users.new", "day", 3, 1, 2), ("users.new", "hour", 3, 1, 2)]


def test_what_was_cleaned_away_is_not_told_as_if_it_were_known(warehouse: Warehouse, clock: Clock) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    then = clock.now
    publish(warehouse, reading([(TEN, {"users.new": 4})], DAY))
    clock.now += timedelta(days=30)
    warehouse.clean("shop", Retention(restatements=timedelta(days=7)), write=True)
    with pytest.raises(Refused, match=r"what was known before 2026-08-\d\d was cleaned away; ask for a later day"):
        warehouse.query("users.new", as_of=then)
    assert [value.value for value in warehouse.query("users.new", as_of=clock.now, until=DAY.until)] == [4]


def test_a_metric_that_was_never_written_has_no_history(warehouse: Warehouse) -> None:
    with pytest.raises(UnknownName, match=r'no metric in the warehouse called "users\.old"'):
        warehouse.history("users.old", at("2026-07-14"))
