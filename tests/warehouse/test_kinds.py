"""What cannot be rolled up from its own values is not: distinct counts, ratios, percentiles, days of another zone."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import Refused
from tallyline.plan import RELATIVE_ERROR, Kind, Metric
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain
from tests.cli.terminal import make_project, tallyline
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tallyline.warehouse import Warehouse

PLAN = {
    metric.name: metric
    for metric in (
        Metric("users.new", "New users", "users"),
        Metric("users.activated", "Activated users", "users"),
        Metric("activation.rate", "Activation", kind=Kind.FORMULA, formula="users.activated / users.new"),
        Metric("activation.percent", "Activation", kind=Kind.FORMULA, formula="100 * activation.rate"),
        Metric("visitors", "Visitors", "people", Kind.DISTINCT),
        Metric("api.time", "Answers", "ms", Kind.DURATION),
        Metric("workers", "Workers", "workers", Kind.MEAN),
    )
}
TWO_DAYS = window("2026-07-14", "2026-07-16")
MARCH = window("2026-03-01", "2026-04-01", PARIS)


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse that knows the plan."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, plan=PLAN) as warehouse:
        yield warehouse


def test_a_ratio_is_the_ratio_of_the_sums_at_every_grain(warehouse: Warehouse) -> None:
    rows = [
        ({"time": "2026-07-14 10:00"}, {"users.new": 1, "users.activated": 1}),
        ({"time": "2026-07-14 11:00"}, {"users.new": 9, "users.activated": 0}),
        ({"time": "2026-07-15 10:00"}, {"users.new": 90, "users.activated": 44}),
    ]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    by_hour = [value.value for value in warehouse.query("activation.rate", by="hour")]
    by_day = [value.value for value in warehouse.query("activation.rate", by="day")]
    assert by_hour == pytest.approx([1, 0, 44 / 90])
    assert by_day == pytest.approx([1 / 10, 44 / 90])
    [month] = warehouse.query("activation.rate", by="month")
    assert month.value == pytest.approx(45 / 100)
    assert month.value != pytest.approx(fmean(by_day))
    assert month.value != pytest.approx(fmean(by_hour))
    assert [value.value for value in warehouse.query("activation.percent", by="month")] == pytest.approx([45])


def test_a_formula_is_told_by_dims_and_for_one_of_them(warehouse: Warehouse) -> None:
    rows = [
        ({"time": "2026-07-14 10:00", "channel": channel}, {"users.new": new, "users.activated": activated})
        for channel, new, activated in (("ads", 10, 1), ("search", 30, 15))
    ]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    until = at("2026-07-15")
    parts = warehouse.query("activation.rate", split="channel", until=until)
    assert [(value.part, value.value) for value in parts] == [("ads", 0.1), ("search", 0.5)]
    assert [value.value for value in warehouse.query("activation.rate", where={"channel": "ads"}, until=until)] == [0.1]
    assert [value.value for value in warehouse.query("activation.rate", until=until)] == [16 / 40]


def test_a_ratio_of_nothing_is_a_gap_and_no_zero(warehouse: Warehouse) -> None:
    rows = [({"time": "2026-07-14 10:00"}, {"users.new": 2, "users.activated": 1})]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    assert [value.time for value in warehouse.query("activation.rate", since=TWO_DAYS.since)] == [at("2026-07-14")]
    assert [value.value for value in warehouse.query("users.new", since=TWO_DAYS.since)] == [2, 0]


def test_distinct_counts_are_never_added_up_over_time(warehouse: Warehouse) -> None:
    rows = [({"date": f"2026-07-{day}"}, {"visitors": 10}) for day in (14, 15)]
    publish(warehouse, reading(rows, TWO_DAYS, grain=Grain.DAY, plan=PLAN), PLAN)
    assert [value.value for value in warehouse.query("visitors")] == [10, 10]
    for by in ("week", "month", "quarter", "year"):
        with pytest.raises(Refused, match=rf"visitors counts distinct things, by the day: .* too: grains = \[.*{by}"):
            warehouse.query("visitors", by=by)


def test_distinct_counts_of_hours_do_not_become_days(warehouse: Warehouse) -> None:
    rows = [({"time": f"2026-07-14 {hour}:00"}, {"visitors": 10}) for hour in (10, 11)]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    assert [value.value for value in warehouse.query("visitors", by="hour")] == [10, 10]
    with pytest.raises(Refused, match="visitors counts distinct things, by the hour"):
        warehouse.query("visitors", by="day")


def test_distinct_counts_are_never_added_up_over_dims(warehouse: Warehouse) -> None:
    rows = [({"date": "2026-07-14", "country": country}, {"visitors": 10}) for country in ("FR", "DE")]
    publish(warehouse, reading(rows, TWO_DAYS, grain=Grain.DAY, plan=PLAN), PLAN)
    assert [value.value for value in warehouse.query("visitors", split="country")] == [10, 10]
    assert [value.value for value in warehouse.query("visitors", where={"country": "FR"})] == [10]
    with pytest.raises(Refused, match="distinct counts cannot be added up: who was counted in two of them"):
        warehouse.query("visitors")


PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL}"

[metrics]
visitors = { title = "Visitors", unit = "people", kind = "distinct" }
visits = {}
"""
SOURCES = """
from datetime import UTC, datetime, timedelta

from tallyline import Grain, source

VISITS = [(datetime(2026, 7, 1, tzinfo=UTC) + timedelta(hours=7 * n), f"person {n * n % 11}") for n in range(100)]


@source(grains=["day", "week", "month"])
def visitors(window, zone, grain):
    for bucket in window.buckets(grain, zone):
        end = grain.after(bucket, zone)
        people = {person for time, person in VISITS if bucket <= time < end}
        if people:
            yield {"time": bucket}, {"visitors": len(people)}


@source(grains=["day", "week"])
def wrong(window):
    yield {"time": window.since}, {"visits": 1}
"""


def test_distinct_counts_are_counted_anew_at_each_grain(
    tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    project = make_project(tmp_path / "project", PROJECT, SOURCES)
    read = ("read", "visitors", "--since", "2026-07-01", "--until", "2026-08-01", "--write", "--json")
    [first] = tallyline(*read, project=project).data
    [again] = tallyline(*read, project=project).data
    assert first["changes"]["added"] == again["changes"]["unchanged"] == 29 + 5 + 1
    [month] = tallyline("show", "visitors", "--by", "month", "--json", project=project).data
    days = tallyline("show", "visitors", "--by", "day", "--json", project=project).data
    weeks = tallyline("show", "visitors", "--by", "week", "--json", project=project).data
    assert month["value"] == 6  # squares modulo eleven
    assert sum(day["value"] for day in days) > sum(week["value"] for week in weeks) > month["value"]
    assert tallyline("show", "visitors", "--by", "year", project=project).status == 2


def test_grains_are_for_distinct_counts_alone(
    tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    project = make_project(tmp_path / "project", PROJECT, SOURCES)
    answer = tallyline("read", "wrong", "--since", "2026-07-01", "--write", project=project)
    assert answer.status == 1
    assert "wrong has grains, which are for distinct counts, but visits is a count" in answer.err


def test_a_percentile_of_a_day_is_that_of_all_its_values(warehouse: Warehouse) -> None:
    lot = Random(3)  # noqa: S311  # no secret
    hours = {hour: [lot.lognormvariate(4, 1) for _ in range(50 * (hour + 1))] for hour in range(24)}
    rows = [({"time": f"2026-07-14 {hour:02}:00"}, {"api.time": values}) for hour, values in hours.items()]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    everything = sorted(value for values in hours.values() for value in values)
    exact = everything[-(-len(everything) * 95 // 100) - 1]
    for by in ("day", "week", "month"):
        [value] = warehouse.query("api.time.p95", by=by)
        assert value.value == pytest.approx(exact, rel=RELATIVE_ERROR)
    mean_of_hours = fmean(value.value for value in warehouse.query("api.time.p95", by="hour"))
    assert mean_of_hours != pytest.approx(exact, rel=0.02)
    [mean], [count] = warehouse.query("api.time"), warehouse.query("api.time.count")
    assert mean.value == pytest.approx(fmean(everything))
    assert count.value == len(everything)


def test_single_durations_of_many_rows_are_put_together(warehouse: Warehouse) -> None:
    rows = [({"time": "2026-07-14 10:15"}, {"api.time": milliseconds}) for milliseconds in (10, 20, 90)]
    told = reading(rows, TWO_DAYS, plan=PLAN)
    assert publish(warehouse, told, PLAN).added == 1
    assert publish(warehouse, told, PLAN).unchanged == 1
    assert [value.value for value in warehouse.query("api.time.greatest")] == [90]
    assert publish(warehouse, reading(rows[:2], TWO_DAYS, plan=PLAN), PLAN).changed == 1
    assert [value.value for value in warehouse.query("api.time.greatest")] == [20]


def test_a_mean_counts_hours_without_a_value_of_the_series_as_nothing(warehouse: Warehouse) -> None:
    rows = [({"time": f"2026-07-14 {hour:02}:00", "pool": "a"}, {"workers": 4}) for hour in range(12)]
    rows += [({"time": f"2026-07-14 {hour:02}:00", "pool": "b"}, {"workers": 2}) for hour in range(24)]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    assert [value.value for value in warehouse.query("workers")] == [4 / 2 + 2]
    split = warehouse.query("workers", split="pool")
    assert [(value.part, value.value) for value in split] == [("a", 2), ("b", 2)]
    assert fmean(value.value for value in warehouse.query("workers", by="hour")) == 4 / 2 + 2


def test_a_mean_of_days_is_weighted_by_their_length(warehouse_url: str) -> None:
    days = list(MARCH.buckets(Grain.DAY, PARIS))
    rows = [
        ({"date": day.astimezone(PARIS).date()}, {"workers": 10 if index == 28 else 1})
        for index, day in enumerate(days)
    ]
    with open_warehouse(warehouse_url, PARIS, write=True, plan=PLAN) as warehouse:
        publish(warehouse, reading(rows, MARCH, grain=Grain.DAY, zone=PARIS, plan=PLAN), PLAN)
        [month] = warehouse.query("workers", by="month")
    assert days[29] - days[28] == timedelta(hours=23)
    assert month.value == pytest.approx((10 * 23 + 1 * 30 * 24) / (23 + 30 * 24))


def test_days_of_another_zone_are_refused(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, PARIS, write=True):
        pass
    with (
        pytest.raises(Refused, match="are cut in Europe/Paris, the project says UTC"),
        open_warehouse(warehouse_url, UTC_ZONE),
    ):
        pass
