"""Days are rolled up from their hours, by the kind of the metric and in the business time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tallyline.warehouse import open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import KOLKATA, PARIS, UTC_ZONE, at, facts, publish, reading, window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallyline.warehouse import Warehouse
    from tallyline.window import Window

DAY = window("2026-07-14", "2026-07-15")


def each_hour(whole: Window, zone: ZoneInfo, value: float = 1) -> list[tuple[dict[str, object], dict[str, object]]]:
    return [({"time": hour}, {"users.new": value}) for hour in whole.buckets(Grain.HOUR, zone)]


@pytest.mark.parametrize(
    ("metric", "day"),
    [("users.new", 3 + 1 + 2), ("users.total", 2), ("latency.least", 1), ("latency.most", 3)],
)
def test_a_day_is_rolled_up_by_kind(warehouse: Warehouse, warehouse_url: str, metric: str, day: float) -> None:
    hours = {"08": 3, "13": 1, "21": 2}
    publish(warehouse, reading([({"time": f"2026-07-14 {hour}:00"}, {metric: hours[hour]}) for hour in hours], DAY))
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [day]


def test_a_level_that_vanished_at_noon_is_not_in_the_last_of_its_day(warehouse: Warehouse, warehouse_url: str) -> None:
    rows = [
        ({"time": "2026-07-14 11:00", "plan": "old"}, {"users.total": 5}),
        ({"time": "2026-07-14 11:00", "plan": "new"}, {"users.total": 7}),
        ({"time": "2026-07-14 12:00", "plan": "new"}, {"users.total": 8}),
    ]
    publish(warehouse, reading(rows, DAY))
    assert [(fact.dims, fact.value) for fact in facts(warehouse_url, "daily")] == [('{"plan": "new"}', 8)]


def test_a_level_that_vanishes_later_leaves_the_day_that_it_was_the_last_of(warehouse: Warehouse) -> None:
    old = ({"time": "2026-07-14 11:00", "plan": "old"}, {"users.total": 5})
    publish(warehouse, reading([old], window("2026-07-14", "2026-07-14 12:00")))
    assert [value.value for value in warehouse.query("users.total")] == [5]
    new = ({"time": "2026-07-14 12:00", "plan": "new"}, {"users.total": 8})
    publish(warehouse, reading([new], window("2026-07-14 12:00", "2026-07-14 13:00")))
    assert [value.value for value in warehouse.query("users.total")] == [8]


def test_levels_of_two_metrics_have_each_their_own_last_hour(warehouse: Warehouse) -> None:
    early = {"time": "2026-07-14 11:00"}, {"users.total": 5}
    late = {"time": "2026-07-14 12:00"}, {"users.new": 1}
    publish(warehouse, reading([early, late], DAY))
    assert [value.value for value in warehouse.query("users.total")] == [5]


def test_reading_part_of_a_day_again_rolls_up_all_of_its_hours(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading(each_hour(DAY, UTC_ZONE), DAY))
    part = window("2026-07-14 10:00", "2026-07-14 12:00")
    publish(warehouse, reading(each_hour(part, UTC_ZONE, 5), part))
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [22 * 1 + 2 * 5]


def test_a_window_over_midnight_rolls_up_both_days(warehouse: Warehouse, warehouse_url: str) -> None:
    both = window("2026-07-14", "2026-07-16")
    publish(warehouse, reading(each_hour(both, UTC_ZONE), both))
    around = window("2026-07-14 22:00", "2026-07-15 03:00")
    publish(warehouse, reading(each_hour(around, UTC_ZONE, 2), around))
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [22 * 1 + 2 * 2, 3 * 2 + 21 * 1]


def test_days_outside_of_the_window_are_left_alone(warehouse: Warehouse, warehouse_url: str) -> None:
    three = window("2026-07-13", "2026-07-16")
    publish(warehouse, reading(each_hour(three, UTC_ZONE), three))
    publish(warehouse, reading([], DAY))
    assert [(fact.time[:10], fact.value) for fact in facts(warehouse_url, "daily")] == [
        ("2026-07-13", 24),
        ("2026-07-15", 24),
    ]


@pytest.mark.parametrize(
    ("day", "next_day", "hours"),
    [("2026-03-29", "2026-03-30", 23), ("2026-10-25", "2026-10-26", 25), ("2026-07-14", "2026-07-15", 24)],
)
def test_a_day_in_paris_has_the_hours_it_has(warehouse_url: str, day: str, next_day: str, hours: int) -> None:
    whole = window(day, next_day, PARIS)
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        publish(warehouse, reading(each_hour(whole, PARIS), whole, zone=PARIS))
        assert [(value.time, value.value) for value in warehouse.query("users.new")] == [(at(day, PARIS), hours)]
        assert len(warehouse.query("users.new", by="hour")) == hours


def test_the_hour_that_comes_twice_in_autumn_is_two_hours(warehouse_url: str) -> None:
    whole = window("2026-10-25", "2026-10-26", PARIS)
    rows = [({"time": f"2026-10-25T02:30{offset}"}, {"users.new": 1}) for offset in ("+02:00", "+01:00")]
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        publish(warehouse, reading(rows, whole, zone=PARIS))
    assert [fact.time for fact in facts(warehouse_url, "hourly")] == [
        "2026-10-25T00:00:00+00:00",
        "2026-10-25T01:00:00+00:00",
    ]
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [2]


def test_in_a_half_hour_zone_hours_and_days_begin_at_half_past(warehouse_url: str) -> None:
    whole = window("2026-07-14", "2026-07-15", KOLKATA)
    with open_warehouse(warehouse_url, KOLKATA, write=True) as warehouse:
        publish(warehouse, reading(each_hour(whole, KOLKATA), whole, zone=KOLKATA))
    assert [(fact.time, fact.value) for fact in facts(warehouse_url, "daily")] == [("2026-07-13T18:30:00+00:00", 24)]
    hours = [fact.time for fact in facts(warehouse_url, "hourly")]
    assert (hours[0], hours[-1], len(hours)) == ("2026-07-13T18:30:00+00:00", "2026-07-14T17:30:00+00:00", 24)


def test_a_window_of_utc_days_rolls_up_whole_days_of_the_business_zone(warehouse_url: str) -> None:
    two_days = window("2026-07-14", "2026-07-16", PARIS)
    part = window("2026-07-14 22:00", "2026-07-15 04:00")  # from midnight to six in Paris
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        publish(warehouse, reading(each_hour(two_days, PARIS), two_days, zone=PARIS))
        publish(warehouse, reading(each_hour(part, PARIS, 3), part, zone=PARIS))
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [24, 6 * 3 + 18 * 1]


def test_the_sum_of_a_day_carries_no_noise_of_its_own(warehouse: Warehouse, warehouse_url: str) -> None:
    ten = window("2026-07-14", "2026-07-14 10:00")
    publish(warehouse, reading(each_hour(ten, UTC_ZONE, 0.1), ten))
    assert sum([0.1] * 10) != 1.0
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [1.0]
