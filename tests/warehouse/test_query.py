"""Asking the warehouse: rolled up over series and over time, split and narrowed, the same on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tallyline.errors import Refused, UnknownName
from tallyline.warehouse import Value, open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tallyline.warehouse import Warehouse

    Row = tuple[Mapping[str, object], Mapping[str, object]]

YEAR = window("2026-01-01", "2027-01-01")


def publish_days(warehouse: Warehouse, *rows: Row, source: str = "shop") -> None:
    """Publish rows by the day."""
    publish(warehouse, reading(rows, YEAR, source=source, grain=Grain.DAY, sources=("shop", "app")))


def told(values: list[Value]) -> list[tuple[str, float]]:
    """Return the values with their days, but for days on which nothing was counted."""
    return [(f"{value.time:%Y-%m-%d}", value.value) for value in values if value.value]


@pytest.mark.parametrize(
    ("by", "sums"),
    [
        ("day", [("2026-01-31", 1), ("2026-02-01", 2), ("2026-04-01", 4)]),
        ("week", [("2026-01-26", 1 + 2), ("2026-03-30", 4)]),
        ("month", [("2026-01-01", 1), ("2026-02-01", 2), ("2026-04-01", 4)]),
        ("quarter", [("2026-01-01", 1 + 2), ("2026-04-01", 4)]),
        ("year", [("2026-01-01", 1 + 2 + 4)]),
    ],
)
def test_counts_add_up_at_every_grain(warehouse: Warehouse, by: str, sums: list[tuple[str, float]]) -> None:
    days = {"2026-01-31": 1, "2026-02-01": 2, "2026-04-01": 4}
    publish_days(warehouse, *(({"date": day}, {"users.new": value}) for day, value in days.items()))
    assert told(warehouse.query("users.new", by=by)) == sums


@pytest.mark.parametrize(("metric", "month"), [("users.total", 2), ("latency.least", 1), ("latency.most", 3)])
def test_other_kinds_roll_up_by_month_as_they_do_by_day(warehouse: Warehouse, metric: str, month: float) -> None:
    days = {"2026-07-01": 3, "2026-07-10": 1, "2026-07-20": 2}
    publish_days(warehouse, *(({"date": day}, {metric: value}) for day, value in days.items()))
    assert told(warehouse.query(metric, by="month")) == [("2026-07-01", month)]


def test_a_level_by_month_leaves_out_a_series_that_the_last_day_does_not_have(warehouse: Warehouse) -> None:
    publish_days(
        warehouse,
        ({"date": "2026-07-30", "plan": "old"}, {"users.total": 5}),
        ({"date": "2026-07-30", "plan": "new"}, {"users.total": 7}),
        ({"date": "2026-07-31", "plan": "new"}, {"users.total": 8}),
    )
    assert told(warehouse.query("users.total", by="month")) == [("2026-07-01", 8)]
    assert [value.part for value in warehouse.query("users.total", by="month", split="plan")] == ["new"]


def test_months_are_those_of_the_business_zone(warehouse_url: str) -> None:
    rows = [({"time": "2026-06-30 22:30+00:00"}, {"users.new": 1})]  # half past midnight on 1 July in Paris
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        publish(warehouse, reading(rows, YEAR.widened(Grain.DAY, PARIS), zone=PARIS))
        months = warehouse.query("users.new", by="month")
        assert [value.time for value in months if value.value] == [at("2026-07-01", PARIS)]


@pytest.mark.parametrize(
    ("metric", "total"), [("users.new", 3 + 4), ("users.total", 3 + 4), ("latency.least", 3), ("latency.most", 4)]
)
def test_series_are_rolled_up_by_kind(warehouse: Warehouse, metric: str, total: float) -> None:
    publish_days(
        warehouse,
        ({"date": "2026-07-14", "country": "FR"}, {metric: 3}),
        ({"date": "2026-07-14", "country": "DE"}, {metric: 4}),
    )
    assert told(warehouse.query(metric)) == [("2026-07-14", total)]


def test_split_tells_the_values_of_a_dim_apart(warehouse: Warehouse) -> None:
    publish_days(
        warehouse,
        ({"date": "2026-07-14", "country": "FR", "plan": "a"}, {"users.new": 1}),
        ({"date": "2026-07-14", "country": "FR", "plan": "b"}, {"users.new": 2}),
        ({"date": "2026-07-14", "country": "DE", "plan": "b"}, {"users.new": 4}),
    )
    values = warehouse.query("users.new", split="country")
    assert [(value.part, value.value) for value in values if value.value] == [("DE", 4), ("FR", 1 + 2)]


def test_parts_come_in_the_same_order_on_both_databases(warehouse: Warehouse) -> None:
    countries = ["zürich", "a", "Österreich", "Zagreb", "A", "österreich", "日本", "", "ß", "b-c", "b c", "🎵"]
    rows: list[Row] = [({"date": "2026-07-14", "country": country}, {"users.new": 1}) for country in countries]
    publish_days(warehouse, *rows, ({"date": "2026-07-14"}, {"users.new": 1}))
    parts = [value.part for value in warehouse.query("users.new", split="country", until=at("2026-07-15"))]
    assert parts == [*sorted(countries), None]
    assert [
        value.part for value in warehouse.query("users.new", by="year", split="country", until=at("2026-07-15"))
    ] == parts


def test_time_comes_before_part(warehouse: Warehouse) -> None:
    days = [("2026-07-15", "a"), ("2026-07-14", "b"), ("2026-07-14", "a")]
    publish_days(warehouse, *(({"date": day, "plan": plan}, {"users.new": 1}) for day, plan in days))
    values = warehouse.query("users.new", split="plan")
    assert [(f"{value.time:%Y-%m-%d}", value.part) for value in values if value.value] == sorted(days)
    assert [(value.time, value.part) for value in values] == sorted((value.time, value.part) for value in values)


def test_where_keeps_the_series_that_have_these_dims(warehouse: Warehouse) -> None:
    publish_days(
        warehouse,
        ({"date": "2026-07-14", "country": "FR", "plan": "a"}, {"users.new": 1}),
        ({"date": "2026-07-14", "country": "FR", "plan": "b"}, {"users.new": 2}),
        ({"date": "2026-07-14", "plan": "b"}, {"users.new": 4}),
    )
    assert told(warehouse.query("users.new", where={"plan": "b"})) == [("2026-07-14", 2 + 4)]
    assert told(warehouse.query("users.new", where={"plan": "b", "country": "FR"})) == [("2026-07-14", 2)]
    assert told(warehouse.query("users.new", where={"plan": "c"})) == []
    for asked in ({"where": {"planet": "Earth"}}, {"split": "planet"}):
        with pytest.raises(UnknownName, match=r'no dim of users.new called "planet"; did you mean "plan"\? There are'):
            warehouse.query("users.new", **asked)


@pytest.mark.parametrize("dim", ["utm.source", "Country of birth", "pays", "país", "$x", "0", "a'b", "%s"])
def test_a_dim_may_have_any_name(warehouse: Warehouse, dim: str) -> None:
    publish_days(warehouse, ({"date": "2026-07-14", dim: "x"}, {"users.new": 1}))
    [value] = warehouse.query("users.new", split=dim, where={dim: "x"}, until=at("2026-07-15"))
    assert (value.part, value.value) == ("x", 1)


def test_since_and_until_are_widened_to_whole_buckets(warehouse: Warehouse) -> None:
    days = [f"2026-{month:02}-15" for month in range(1, 7)]
    publish_days(warehouse, *(({"date": day}, {"users.new": 1}) for day in days))
    since, until = at("2026-02-20"), at("2026-04-02")
    assert told(warehouse.query("users.new", since=since, until=until)) == [("2026-03-15", 1)]
    months = warehouse.query("users.new", by="month", since=since, until=until)
    assert told(months) == [("2026-02-01", 1), ("2026-03-01", 1), ("2026-04-01", 1)]


def test_until_is_not_in_the_window_itself(warehouse: Warehouse) -> None:
    publish_days(warehouse, *(({"date": f"2026-07-{day}"}, {"users.new": 1}) for day in (13, 14, 15)))
    values = warehouse.query("users.new", since=at("2026-07-13"), until=at("2026-07-15"))
    assert told(values) == [("2026-07-13", 1), ("2026-07-14", 1)]


def test_hours_are_told_where_they_are_known(warehouse: Warehouse) -> None:
    rows = [({"time": f"2026-07-14 {hour}:00"}, {"users.new": hour}) for hour in (10, 12)]
    publish(warehouse, reading(rows, window("2026-07-14", "2026-07-15")))
    values = warehouse.query("users.new", by="hour", until=at("2026-07-14 13:00"))
    assert [(value.time, value.value) for value in values] == [
        (at("2026-07-14 10:00"), 10),
        (at("2026-07-14 11:00"), 0),
        (at("2026-07-14 12:00"), 12),
    ]


def test_hours_of_what_is_known_by_the_day_are_refused(warehouse: Warehouse) -> None:
    publish_days(warehouse, ({"date": "2026-07-14"}, {"users.new": 1}))
    with pytest.raises(Refused, match=r"users.new is known by the day, not by the hour; ask by day"):
        warehouse.query("users.new", by="hour")


def test_a_window_without_hours_is_empty_and_not_refused(warehouse: Warehouse) -> None:
    publish(warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.total": 1})], YEAR))
    assert warehouse.query("users.total", by="hour", since=at("2026-08-01")) == []
    assert warehouse.query("users.total", by="hour", since=at("2026-08-01"), compare="week") == []


def test_a_metric_that_was_never_written_is_unknown(warehouse: Warehouse) -> None:
    publish_days(warehouse, ({"date": "2026-07-14"}, {"users.new": 1}))
    with pytest.raises(UnknownName, match=r'"users.nwe"; did you mean "users.new"'):
        warehouse.query("users.nwe")


def test_a_bucket_that_was_not_read_is_missing_and_one_that_gave_nothing_is_zero(warehouse: Warehouse) -> None:
    for day, until, rows in (
        ("2026-07-13", "2026-07-14", [({"time": "2026-07-13 10:00"}, {"users.new": 3})]),
        ("2026-07-15", "2026-07-17", [({"time": "2026-07-16 10:00"}, {"users.new": 4})]),
    ):
        publish(warehouse, reading(rows, window(day, until)))
    values = warehouse.query("users.new")
    assert [(f"{value.time:%d}", value.value) for value in values] == [("13", 3), ("15", 0), ("16", 4)]


def test_what_is_no_count_is_missing_where_nothing_was_told(warehouse: Warehouse) -> None:
    for metric in ("users.total", "latency.least", "latency.most"):
        publish_days(warehouse, *(({"date": f"2026-07-{day}"}, {metric: 0}) for day in (13, 15)))
        assert [f"{value.time:%d}" for value in warehouse.query(metric)] == ["13", "15"]


def test_zeros_begin_with_the_first_window_in_which_the_source_told_of_the_metric(warehouse: Warehouse) -> None:
    publish(
        warehouse, reading([({"time": "2026-07-13 10:00"}, {"users.total": 3})], window("2026-07-01", "2026-07-14"))
    )
    new = reading([({"time": "2026-07-15 10:00"}, {"users.new": 4})], window("2026-07-14", "2026-07-16"))
    publish(warehouse, new)
    values = warehouse.query("users.new", since=at("2026-07-01"))
    assert [(f"{value.time:%d}", value.value) for value in values] == [("14", 0), ("15", 4)]


def test_nothing_is_zero_that_is_yet_to_come(warehouse_url: str) -> None:
    now = at("2026-07-14 15:20")
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: now) as warehouse:
        publish(
            warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.new": 1})], window("2026-07-14", "2026-07-16"))
        )
        values = warehouse.query("users.new", by="hour", since=at("2026-07-14 14:00"))
    assert [(f"{value.time:%H}", value.value, value.complete) for value in values] == [
        ("14", 0, True),
        ("15", 0, False),
    ]


def test_sums_are_free_of_the_noise_of_binary_fractions(warehouse: Warehouse) -> None:
    cents: list[Row] = [({"date": "2026-07-14", "country": name}, {"users.new": 0.1}) for name in ("FR", "DE", "GB")]
    publish_days(warehouse, *cents)
    assert 0.1 + 0.1 + 0.1 != 0.3
    assert told(warehouse.query("users.new")) == [("2026-07-14", 0.3)]
    assert told(warehouse.query("users.new", by="month")) == [("2026-07-01", 0.3)]


def test_whole_numbers_are_exact(warehouse: Warehouse) -> None:
    publish_days(warehouse, ({"date": "2026-07-14"}, {"users.new": 2**53 - 1}))
    assert told(warehouse.query("users.new")) == [("2026-07-14", 9_007_199_254_740_991)]


def test_a_bucket_is_complete_once_it_was_read_to_its_end(warehouse_url: str) -> None:
    now = at("2026-07-14 15:20")
    whole = window("2026-07-13", "2026-07-15")
    hours = ("2026-07-13 10:00", "2026-07-14 14:00", "2026-07-14 15:00")
    rows = [({"time": hour}, {"users.new": 1}) for hour in hours]
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: now) as warehouse:
        publish(warehouse, reading(rows, whole))
        by_hour = [value for value in warehouse.query("users.new", by="hour") if value.value]
        assert [(f"{value.time:%d %H}", value.complete) for value in by_hour] == [
            ("13 10", True),
            ("14 14", True),
            ("14 15", False),
        ]
        assert [value.complete for value in warehouse.query("users.new")] == [True, False]
        assert [value.complete for value in warehouse.query("users.new", by="month")] == [False]


def test_reading_up_to_an_earlier_moment_completes_only_up_to_there(warehouse_url: str) -> None:
    now = at("2026-07-20")
    rows = [({"time": f"2026-07-{day} 10:00"}, {"users.new": 1}) for day in (13, 14)]
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: now) as warehouse:
        publish(warehouse, reading(rows, window("2026-07-13", "2026-07-14 12:00")))
        assert [value.complete for value in warehouse.query("users.new")] == [True, False]


def test_a_metric_of_two_sources_is_complete_where_both_were_read(warehouse_url: str) -> None:
    now = at("2026-07-20")
    both = ("app", "shop")
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: now) as warehouse:
        for source, until in (("shop", "2026-07-15"), ("app", "2026-07-14")):
            whole = window("2026-07-13", until)
            rows = [({"time": day, "by": source}, {"users.new": 1}) for day in whole.buckets(Grain.DAY, UTC_ZONE)]
            publish(warehouse, reading(rows, whole, source=source, sources=both))
        assert [(value.value, value.complete) for value in warehouse.query("users.new")] == [(2, True), (1, False)]


def test_a_run_that_failed_completes_nothing(warehouse_url: str) -> None:
    now = at("2026-07-20")
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: now) as warehouse:
        read = window("2026-07-13", "2026-07-13 12:00")
        publish(warehouse, reading([({"time": "2026-07-13 10:00"}, {"users.new": 1})], read))
        failed = warehouse.begin("shop", window("2026-07-13", "2026-07-14"))
        warehouse.end(failed, state="failed", error="no", report={})
        assert [value.complete for value in warehouse.query("users.new")] == [False]
