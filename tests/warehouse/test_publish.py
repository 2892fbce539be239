"""Publishing replaces a source's window: what is new is written, what changed is changed, what is gone is removed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import RunFailed
from tallyline.plan import Kind, Metric
from tallyline.warehouse import Changes
from tallyline.window import Grain
from tests.warehouse.publishing import PLAN, UTC_ZONE, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tallyline.warehouse import Reading, Warehouse

DAY = window("2026-07-14", "2026-07-15")
TEN = {"time": "2026-07-14 10:00", "country": "FR"}
ELEVEN = {"time": "2026-07-14 11:00", "country": "FR"}


def test_the_same_window_twice_changes_nothing(warehouse: Warehouse, warehouse_url: str) -> None:
    told = reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 4})], DAY)
    assert publish(warehouse, told) == Changes(added=2)
    before = facts(warehouse_url, "hourly"), facts(warehouse_url, "daily")
    assert publish(warehouse, told) == Changes(unchanged=2)
    assert (facts(warehouse_url, "hourly"), facts(warehouse_url, "daily")) == before


def test_the_views_tell_what_was_published(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 4})], DAY))
    assert facts(warehouse_url, "hourly") == [
        ("users.new", "2026-07-14T10:00:00+00:00", '{"country": "FR"}', 3.0),
        ("users.new", "2026-07-14T11:00:00+00:00", '{"country": "FR"}', 4.0),
    ]
    assert facts(warehouse_url, "daily") == [("users.new", "2026-07-14T00:00:00+00:00", '{"country": "FR"}', 7.0)]


def test_a_value_that_changed_is_changed_in_its_hour_and_its_day(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 4})], DAY))
    changes = publish(warehouse, reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 9})], DAY))
    assert changes == Changes(changed=1, unchanged=1)
    assert [fact.value for fact in facts(warehouse_url, "hourly")] == [3, 9]
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [3 + 9]


def test_a_series_that_vanished_is_removed_from_hours_and_days(warehouse: Warehouse, warehouse_url: str) -> None:
    german = {**TEN, "country": "DE"}
    publish(warehouse, reading([(TEN, {"users.new": 3}), (german, {"users.new": 4})], DAY))
    assert publish(warehouse, reading([(TEN, {"users.new": 3})], DAY)) == Changes(removed=1, unchanged=1)
    assert [fact.dims for fact in facts(warehouse_url, "hourly")] == ['{"country": "FR"}']
    assert [fact.dims for fact in facts(warehouse_url, "daily")] == ['{"country": "FR"}']


def test_a_window_that_gives_nothing_any_more_is_emptied(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    assert publish(warehouse, reading([], DAY)) == Changes(removed=1)
    assert facts(warehouse_url, "hourly") == facts(warehouse_url, "daily") == []


def test_values_outside_of_the_window_stay(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 4})], DAY))
    from_eleven_on = window("2026-07-14 11:00", "2026-07-15")
    assert publish(warehouse, reading([], from_eleven_on)) == Changes(removed=1)
    assert [fact.value for fact in facts(warehouse_url, "hourly")] == [3]


def test_values_of_other_sources_stay(warehouse: Warehouse, warehouse_url: str) -> None:
    both = ("shop", "app")
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY, sources=both))
    app = {**TEN, "country": "DE"}
    assert publish(warehouse, reading([(app, {"users.new": 4})], DAY, source="app", sources=both)) == Changes(added=1)
    assert sorted(fact.value for fact in facts(warehouse_url, "hourly")) == [3, 4]


def test_zero_is_a_value(warehouse: Warehouse, warehouse_url: str) -> None:
    assert publish(warehouse, reading([(TEN, {"users.new": 0})], DAY)) == Changes(added=1)
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [0]


def test_the_order_of_dims_does_not_matter(warehouse: Warehouse) -> None:
    publish(warehouse, reading([({**TEN, "plan": "pro"}, {"users.new": 3})], DAY))
    again = reading([({"plan": "pro", **TEN}, {"users.new": 3})], DAY)
    assert publish(warehouse, again) == Changes(unchanged=1)


def test_dims_may_hold_any_text(warehouse: Warehouse, warehouse_url: str) -> None:
    odd = 'it\'s "quoted" \\ 100 % :since {} 日本 🎵\n'
    publish(warehouse, reading([({**TEN, "country": odd}, {"users.new": 3})], DAY))
    [value] = warehouse.query("users.new", split="country", where={"country": odd})
    assert (value.part, value.value) == (odd, 3)
    assert len(facts(warehouse_url, "hourly")) == 1


def test_many_values_at_once_are_all_written(warehouse: Warehouse, warehouse_url: str) -> None:
    year = window("2026-01-01", "2027-01-01")
    rows = [
        ({"date": f"{day:%Y-%m-%d}", "hour": f"{day:%H}"}, {"users.new": 1})
        for day in year.buckets(Grain.HOUR, UTC_ZONE)
    ]
    assert publish(warehouse, reading(rows, year)) == Changes(added=365 * 24)
    assert publish(warehouse, reading(rows, year)) == Changes(unchanged=365 * 24)
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [24] * 365


def test_distributions_beside_numbers_are_all_written(warehouse: Warehouse, warehouse_url: str) -> None:
    plan = {**PLAN, "api.time": Metric("api.time", "", "ms", Kind.DURATION)}
    keys = [(hour, part) for hour in range(24) for part in range(40)]

    def told(more: int) -> Reading:
        rows = [
            (
                {"time": f"2026-07-14 {hour:02}:00", "part": str(part)},
                {"users.new": hour + part + more, **({"api.time": [hour, part + more]} if part % 3 else {})},
            )
            for hour, part in keys
        ]
        return reading(rows, DAY, plan=plan)

    def values(more: int) -> list[float]:
        means = [(hour + part + more) / 2 for hour, part in keys if part % 3]
        return sorted([*means, *(hour + part + more for hour, part in keys)])

    publish(warehouse, told(0), plan)
    assert sorted(fact.value for fact in facts(warehouse_url, "hourly")) == values(0)
    assert publish(warehouse, told(0), plan) == Changes(unchanged=len(values(0)))
    assert publish(warehouse, told(1), plan) == Changes(changed=len(values(1)))
    assert sorted(fact.value for fact in facts(warehouse_url, "hourly")) == values(1)
    most = [value.value for value in warehouse.query("api.time.greatest", by="hour")]
    assert most == [max(hour, 38 + 1) for hour in range(24)]


def test_hours_that_were_written_in_any_order_are_compared_and_kept_with_their_runs(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    plan = {**PLAN, "api.time": Metric("api.time", "", "ms", Kind.DURATION)}
    hours = (17, 3, 11, 22, 5)

    def told(which: Sequence[int], more: int = 0) -> Reading:
        whole = window(f"2026-07-14 {min(which):02}:00", f"2026-07-14 {max(which) + 1:02}:00")
        rows = [
            ({"time": f"2026-07-14 {hour:02}:00"}, {"users.new": hour + more, "api.time": [hour + more]})
            for hour in which
        ]
        return reading(rows, whole, plan=plan)

    for hour in hours:
        publish(warehouse, told([hour]), plan)
    assert publish(warehouse, told(hours), plan) == Changes(unchanged=10)
    assert publish(warehouse, told(hours, 100), plan) == Changes(changed=10)
    before = "SELECT DISTINCT value, run FROM restatements WHERE grain = 'hour' ORDER BY run"
    assert rows_of(warehouse_url, before) == [(hour, run) for run, hour in enumerate(hours, start=1)]


def test_a_source_by_the_day_writes_days_and_no_hours(warehouse: Warehouse, warehouse_url: str) -> None:
    told = reading([({"date": "2026-07-14"}, {"users.new": 3})], DAY, grain=Grain.DAY)
    assert publish(warehouse, told) == Changes(added=1)
    assert publish(warehouse, told) == Changes(unchanged=1)
    assert facts(warehouse_url, "daily") == [("users.new", "2026-07-14T00:00:00+00:00", "{}", 3)]
    assert facts(warehouse_url, "hourly") == []


def test_a_source_now_read_by_the_day_leaves_no_old_hours_behind(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.new": 3})], DAY))
    publish(warehouse, reading([({"date": "2026-07-14"}, {"users.new": 5})], DAY, grain=Grain.DAY))
    assert facts(warehouse_url, "hourly") == []
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [5]


def test_a_source_now_read_by_the_hour_replaces_its_days(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([({"date": "2026-07-14"}, {"users.new": 5})], DAY, grain=Grain.DAY))
    publish(warehouse, reading([({"time": "2026-07-14 10:00"}, {"users.new": 3})], DAY))
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [3]


def test_a_series_of_another_source_is_refused_and_nothing_is_written(warehouse: Warehouse, warehouse_url: str) -> None:
    both = ("app", "shop")
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY, source="app", sources=both))
    rows = [(TEN, {"users.new": 4}), (ELEVEN, {"users.total": 8})]
    with pytest.raises(RunFailed, match=r'users.new {"country":"FR"} is written by the source "app" already'):
        publish(warehouse, reading(rows, DAY, sources=both))
    assert [(fact.metric, fact.value) for fact in facts(warehouse_url, "hourly")] == [("users.new", 3)]


def test_too_many_new_series_at_once_are_refused_and_nothing_is_written(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    def visitors(*numbers: int) -> Reading:
        rows = [({**TEN, "visitor": f"v{number}"}, {"users.new": 1}) for number in numbers]
        return replace(reading(rows, DAY), most_new_series=2)

    publish(warehouse, visitors(1, 2))
    with pytest.raises(RunFailed) as refused:
        publish(warehouse, visitors(1, 2, 3, 4, 5))
    assert str(refused.value).startswith(
        '3 new series at once, such as users.new {"country":"FR","visitor":"v3"}; at most 2 are taken. Leave out dims'
    )
    assert len(facts(warehouse_url, "hourly")) == 2
    assert publish(warehouse, visitors(1, 2, 3, 4)) == Changes(added=2, unchanged=2)


def test_what_a_source_wrote_that_is_no_more_does_not_add_to_what_replaces_it(
    warehouse: Warehouse,
) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY, source="old", sources=["old"]))
    by_plan = reading([(TEN | {"plan": "pro"}, {"users.new": 3})], DAY, source="new", sources=["new"])
    assert publish(warehouse, by_plan) == Changes(added=1, removed=1)
    assert [value.value for value in warehouse.query("users.new")] == [3]


def test_a_series_is_adopted_from_a_source_that_is_no_more(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3}), (ELEVEN, {"users.new": 4})], DAY, source="old"))
    told = reading([(TEN, {"users.new": 3})], DAY, source="new", sources=("new",))
    assert publish(warehouse, told) == Changes(removed=1, unchanged=1)
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [3]


def test_another_kind_is_refused_and_nothing_is_written(warehouse: Warehouse, warehouse_url: str) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    changed = {**PLAN, "users.new": Metric("users.new", kind=Kind.LEVEL)}
    with pytest.raises(RunFailed, match=r'users.new is kept as "count" and the plan now calls it "level"'):
        publish(warehouse, reading([(TEN, {"users.new": 9})], DAY, plan=changed), changed)
    assert [fact.value for fact in facts(warehouse_url, "hourly")] == [3]


def test_a_new_title_and_unit_are_taken_on(warehouse: Warehouse) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    renamed = {**PLAN, "users.new": replace(PLAN["users.new"], title="Sign-ups", unit="people")}
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY, plan=renamed), renamed)
    assert warehouse.metrics() == {"users.new": Metric("users.new", "Sign-ups", "people")}


def test_a_preview_tells_what_would_change_and_changes_nothing(warehouse: Warehouse, warehouse_url: str) -> None:
    german = {**TEN, "country": "DE"}
    publish(warehouse, reading([(TEN, {"users.new": 3}), (german, {"users.new": 4})], DAY))
    before = facts(warehouse_url, "hourly"), facts(warehouse_url, "daily"), warehouse.runs(), warehouse.metrics()
    told = reading([(TEN, {"users.new": 5}), (ELEVEN, {"users.new": 6, "users.total": 7})], DAY)
    assert warehouse.preview(told, PLAN).changes == Changes(added=2, changed=1, removed=1)
    after = facts(warehouse_url, "hourly"), facts(warehouse_url, "daily"), warehouse.runs(), warehouse.metrics()
    assert after == before


def test_what_a_preview_told_is_what_is_published(warehouse: Warehouse) -> None:
    publish(warehouse, reading([(TEN, {"users.new": 3})], DAY))
    told = reading([(ELEVEN, {"users.new": 6})], DAY)
    assert warehouse.preview(told, PLAN).changes == publish(warehouse, told) == Changes(added=1, removed=1)
