"""What was kept long enough is removed, and nothing else: the numbers that remain are as they were."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.errors import Refused, RunFailed
from tallyline.plan import Kind, Metric, Retention
from tallyline.warehouse import Cleaned, open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import PLAN, UTC_ZONE, at, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tallyline.warehouse import Changes, Warehouse

DAY = timedelta(days=1)
NOW = at("2026-07-10 12:00")
WHOLE = ("2026-07-01", "2026-07-04")
HOURS = [f"2026-07-0{day} {hour:02}:00" for day in (1, 2, 3) for hour in range(24)]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def warehouse(warehouse_url: str, clock: object) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        yield warehouse


def read(
    warehouse: Warehouse,
    hours: Sequence[str] = HOURS,
    whole: tuple[str, str] = WHOLE,
    *,
    value: float = 1,
    name: str = "shop",
) -> Changes:
    """Publish the same value for some hours."""
    rows = [({"time": hour, "of": name}, {"users.new": value, "users.total": value}) for hour in hours]
    return publish(warehouse, reading(rows, window(*whole), source=name, sources=("shop", "app")))


def days(url: str) -> list[tuple[str, str, float]]:
    """Return what is kept by the day."""
    return [(fact.metric, fact.time[:10], fact.value) for fact in facts(url, "daily")]


def totals(warehouse: Warehouse) -> list[object]:
    """Return the values of everything at all grains but the hour."""
    return [
        warehouse.query(metric, by=grain)
        for metric in ("users.new", "users.total")
        for grain in (Grain.DAY, Grain.WEEK, Grain.MONTH, Grain.QUARTER, Grain.YEAR)
    ]


@pytest.mark.parametrize("write", [False, True])
def test_of_a_source_that_was_never_read_nothing_is_removed(warehouse: Warehouse, *, write: bool) -> None:
    everything = Retention(hours=DAY, days=DAY, restatements=DAY, runs=DAY)
    assert warehouse.clean("shop", everything, write=write) == Cleaned()


def test_what_is_kept_for_good_stays(warehouse: Warehouse, warehouse_url: str) -> None:
    read(warehouse)
    assert warehouse.clean("shop", Retention(), write=True) == Cleaned()
    assert len(facts(warehouse_url, "hourly")) == 2 * 72


def test_days_that_are_old_enough_are_removed(warehouse: Warehouse, warehouse_url: str) -> None:
    read(warehouse)
    eight_days = Retention(days=8 * DAY)
    assert warehouse.clean("shop", eight_days) == Cleaned(hours=48, days=2)
    assert len(days(warehouse_url)) == 2 * 3
    assert warehouse.clean("shop", eight_days, write=True) == Cleaned(hours=48, days=2)
    assert {day for _, day, _ in days(warehouse_url)} == {"2026-07-02", "2026-07-03"}
    assert warehouse.clean("shop", eight_days, write=True) == Cleaned()


def test_a_day_is_kept_as_long_as_a_part_of_it_is_young_enough(warehouse: Warehouse, warehouse_url: str) -> None:
    read(warehouse)
    assert warehouse.clean("shop", Retention(days=timedelta(days=8, hours=13)), write=True) == Cleaned()
    assert warehouse.clean("shop", Retention(days=timedelta(days=8, hours=12)), write=True) == Cleaned(hours=48, days=2)


def test_other_sources_keep_what_they_have(warehouse: Warehouse, warehouse_url: str) -> None:
    for name in ("shop", "app"):
        read(warehouse, name=name)
        read(warehouse, value=2, name=name)
    kept = days(warehouse_url)
    everything = Retention(days=DAY, restatements=timedelta(hours=1))
    warehouse.clean("shop", everything, write=True)
    assert len(days(warehouse_url)) == len(kept) / 2
    assert {fact.dims for fact in facts(warehouse_url, "daily")} == {'{"of": "app"}'}


def test_restated_values_are_removed_by_when_they_were_replaced(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    read(warehouse, HOURS[:1])
    for later, value in ((1, 2), (2, 3)):
        clock.move_to(NOW + later * DAY)
        read(warehouse, HOURS[:1], value=value)
    clock.move_to(NOW + timedelta(days=3, hours=12))
    hours_and_days = 2 + 2
    assert warehouse.clean("shop", Retention(restatements=2 * DAY)) == Cleaned(restatements=hours_and_days)
    assert warehouse.clean("shop", Retention(restatements=2 * DAY), write=True) == Cleaned(restatements=hours_and_days)
    [history] = warehouse.history("users.new", at("2026-07-01"))
    assert [version.value for version in history.versions] == [3, 2]
    assert warehouse.clean("shop", Retention(restatements=2 * DAY), write=True) == Cleaned()


def test_as_many_restated_values_go_as_was_said_where_their_hours_and_days_go_too(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    read(warehouse)
    read(warehouse, value=2)
    clock.shift(30 * DAY)
    retention = Retention(hours=2 * DAY, days=5 * DAY, restatements=DAY)
    would = warehouse.clean("shop", retention)
    assert would.restatements == 2 * (72 + 3)
    assert warehouse.clean("shop", retention, write=True) == would


def test_what_was_known_before_is_refused_once_it_was_cleaned(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    read(warehouse, HOURS[:1])
    clock.move_to(NOW + 5 * DAY)
    read(warehouse, HOURS[:1], value=2)
    clock.move_to(NOW + 9 * DAY)

    def known(later: float) -> list[float]:
        return [value.value for value in warehouse.query("users.new", as_of=NOW + later * DAY)][:1]

    assert (known(3), known(6)) == ([1], [2])
    warehouse.clean("shop", Retention(restatements=3 * DAY), write=False)
    assert known(3) == [1]
    warehouse.clean("shop", Retention(restatements=3 * DAY), write=True)
    assert (known(6), known(8)) == ([2], [2])
    with pytest.raises(Refused, match=r"^what was known before 2026-07-16 was cleaned away; ask for a later day$"):
        known(3)


def test_runs_that_are_old_enough_leave_the_ledger_and_the_last_one_that_wrote_stays(
    warehouse: Warehouse, warehouse_url: str, clock: time_machine.Traveller
) -> None:
    read(warehouse)
    read(warehouse)
    run = warehouse.begin("shop", window(*WHOLE))
    warehouse.end(run, state="failed", error="no", report={})
    clock.move_to(NOW + 10 * DAY)
    assert warehouse.clean("shop", Retention(runs=5 * DAY)) == Cleaned(runs=2)
    assert len(warehouse.runs()) == 3
    assert warehouse.clean("shop", Retention(runs=5 * DAY), write=True) == Cleaned(runs=2)
    assert [record.id for record in warehouse.runs()] == [2]
    assert {number for (number,) in rows_of(warehouse_url, "SELECT run_id FROM run_node")} <= {2}


def test_what_was_known_outlives_the_runs_that_read_it(warehouse: Warehouse, clock: time_machine.Traveller) -> None:
    """Also that a count was zero, which only the windows tell that were read."""
    read(warehouse, HOURS[:1], ("2026-07-01", "2026-07-02"))
    clock.move_to(NOW + DAY)
    read(warehouse, HOURS[24:25], ("2026-07-02", "2026-07-04"))
    clock.move_to(NOW + 10 * DAY)

    def known() -> list[float | None]:
        asked = {"since": at("2026-07-01"), "until": at("2026-07-05"), "as_of": NOW + 9 * DAY}
        return [value.value for value in warehouse.query("users.new", **asked)]  # type: ignore[arg-type]

    before = known()
    assert before == [1, 1, 0]
    assert warehouse.clean("shop", Retention(runs=5 * DAY), write=True) == Cleaned(runs=1)
    assert known() == before


def test_a_value_outlives_the_run_that_wrote_it(warehouse: Warehouse, clock: time_machine.Traveller) -> None:
    read(warehouse)
    before = totals(warehouse)
    clock.move_to(NOW + DAY)
    read(warehouse)
    clock.move_to(NOW + 10 * DAY)
    assert warehouse.clean("shop", Retention(runs=5 * DAY), write=True) == Cleaned(runs=1)
    assert totals(warehouse) == before
    [history] = warehouse.history("users.new", at("2026-07-01"))
    assert (history.now, [version.run for version in history.versions], history.definition) == (24, [None], "")


def test_series_of_which_nothing_is_left_are_removed(
    warehouse: Warehouse, warehouse_url: str, clock: time_machine.Traveller
) -> None:
    gone = [({"date": "2026-07-01", "of": "gone"}, {"users.new": 1})]
    publish(warehouse, reading(gone, window("2026-07-01", "2026-07-02"), grain=Grain.DAY))
    kept = [({"date": "2026-07-09", "of": "kept"}, {"users.new": 1})]
    publish(warehouse, reading(kept, window("2026-07-09", "2026-07-10"), grain=Grain.DAY))
    count = "SELECT count(*) FROM series"
    warehouse.clean("shop", Retention(days=5 * DAY))
    assert rows_of(warehouse_url, count) == [(2,)]
    warehouse.clean("shop", Retention(days=5 * DAY), write=True)
    assert rows_of(warehouse_url, count) == [(1,)]
    assert {value.part for value in warehouse.query("users.new", split="of")} == {"kept"}


def test_room_is_given_back_and_the_numbers_stay(warehouse: Warehouse) -> None:
    read(warehouse)
    before = totals(warehouse)
    warehouse.give_space_back()
    assert totals(warehouse) == before


@pytest.mark.parametrize("more", [{}, {"days": 90 * DAY}, {"restatements": DAY}])
def test_days_may_be_kept_as_long_as_hours(more: dict[str, timedelta]) -> None:
    assert Retention(hours=90 * DAY, **more).keeps_all is False
    assert Retention().keeps_all is True


def test_hours_go_and_their_days_stay(warehouse: Warehouse, warehouse_url: str) -> None:
    read(warehouse)
    kept, before = days(warehouse_url), totals(warehouse)
    assert warehouse.clean("shop", Retention(hours=8 * DAY)) == Cleaned(hours=2 * 24)
    assert len(facts(warehouse_url, "hourly")) == 2 * 72
    assert warehouse.clean("shop", Retention(hours=8 * DAY), write=True) == Cleaned(hours=2 * 24)
    assert {fact.time[:10] for fact in facts(warehouse_url, "hourly")} == {"2026-07-02", "2026-07-03"}
    assert (days(warehouse_url), totals(warehouse)) == (kept, before)
    assert warehouse.clean("shop", Retention(hours=8 * DAY), write=True) == Cleaned()


def test_hours_that_were_never_rolled_up_are_kept_and_counted(warehouse: Warehouse, warehouse_url: str) -> None:
    plan = {**PLAN, "visitors": Metric("visitors", kind=Kind.DISTINCT)}
    rows = [({"time": hour}, {"visitors": 5, "users.new": 1}) for hour in HOURS]
    publish(warehouse, reading(rows, window(*WHOLE), plan=plan), plan)
    cleaned = Cleaned(hours=48, refused={"visitors": 48})
    assert warehouse.clean("shop", Retention(hours=7 * DAY)) == cleaned
    assert warehouse.clean("shop", Retention(hours=7 * DAY), write=True) == cleaned
    assert [fact.metric for fact in facts(warehouse_url, "hourly")].count("visitors") == 72
    assert warehouse.clean("shop", Retention(hours=7 * DAY), write=True) == Cleaned(refused={"visitors": 48})


@pytest.mark.parametrize(
    ("whole", "since"),
    [
        (("2026-07-01 10:00", "2026-07-02"), "2026-07-01"),
        (("2026-07-01", "2026-07-02 10:00"), "2026-07-01"),
        (("2026-07-02 10:00", "2026-07-02 11:00"), "2026-07-02"),
        (("2026-07-02 10:00", "2026-07-05"), "2026-07-02"),
    ],
)
def test_a_part_of_a_day_whose_hours_were_cleaned_is_refused(
    warehouse: Warehouse, warehouse_url: str, whole: tuple[str, str], since: str
) -> None:
    read(warehouse)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    kept = [*facts(warehouse_url, "hourly"), *facts(warehouse_url, "daily")]
    inside = [hour for hour in HOURS if at(hour) in window(*whole)]
    with pytest.raises(RunFailed) as refused:
        read(warehouse, inside, whole)
    assert str(refused.value) == (
        "shop is read for a part of a day whose hours were cleaned away (those before 2026-07-03); "
        f"read whole days: --since {since}"
    )
    assert [*facts(warehouse_url, "hourly"), *facts(warehouse_url, "daily")] == kept


def test_whole_days_whose_hours_were_cleaned_are_read_again_and_give_the_same(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    read(warehouse)
    before = (days(warehouse_url), facts(warehouse_url, "hourly"))
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    assert read(warehouse).added == 2 * 48
    assert (days(warehouse_url), facts(warehouse_url, "hourly")) == before
    [history] = warehouse.history("users.new", at("2026-07-01"))
    assert len(history.versions) == 1


def test_a_part_of_a_day_whose_hours_are_there_is_read(warehouse: Warehouse) -> None:
    read(warehouse)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    part = ("2026-07-03 10:00", "2026-07-03 12:00")
    assert read(warehouse, HOURS[48 + 10 : 48 + 12], part, value=3).changed == 2 * 2
    assert [value.value for value in warehouse.query("users.new")] == [24, 24, 24 + 2 * 2]


def test_the_hours_of_one_source_go_and_those_of_another_are_read_in_part(warehouse: Warehouse) -> None:
    for name in ("shop", "app"):
        read(warehouse, name=name)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    assert read(warehouse, HOURS[:1], ("2026-07-01", "2026-07-01 01:00"), name="app").unchanged == 2


def test_hours_that_were_cleaned_are_not_known_by_the_hour_even_if_they_are_read_again(warehouse: Warehouse) -> None:
    read(warehouse)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    read(warehouse, HOURS[12:36], ("2026-07-01", "2026-07-03"))
    by_hour = warehouse.query("users.new", by="hour", since=at("2026-07-01"))
    assert [(f"{value.time:%d %H}", value.value, value.complete) for value in by_hour] == [
        *((hour[8:13], 1, False) for hour in HOURS[12:36]),
        *((hour[8:13], 1, True) for hour in HOURS[48:]),
    ]
    assert [(value.value, value.complete) for value in warehouse.query("users.new")] == [
        (12, True), (12, True), (24, True),
    ]  # fmt: skip


def test_days_that_were_cleaned_are_not_known_even_if_they_are_read_again(warehouse: Warehouse) -> None:
    read(warehouse)
    warehouse.clean("shop", Retention(days=8 * DAY), write=True)
    assert [value.complete for value in warehouse.query("users.new", since=at("2026-07-01"))] == [True, True]
    read(warehouse, HOURS[:24], ("2026-07-01", "2026-07-02"))
    assert [value.complete for value in warehouse.query("users.new")] == [False, True, True]
    warehouse.clean("shop", Retention(days=8 * DAY), write=True)
    assert len(warehouse.query("users.new")) == 2


def test_where_all_hours_were_cleaned_hours_that_were_read_since_are_zero(warehouse: Warehouse) -> None:
    read(warehouse, HOURS[:24])
    warehouse.clean("shop", Retention(hours=8 * DAY), write=True)
    by_hour = warehouse.query("users.new", by="hour", since=at("2026-07-01"))
    assert [(f"{value.time:%d %H}", value.value) for value in by_hour] == [(hour[8:13], 0) for hour in HOURS[24:]]
    assert warehouse.query("users.total", by="hour") == []
    assert warehouse.query("users.total", by="hour", as_of=NOW - DAY) == []


def test_hours_that_vanished_go_with_the_others(warehouse: Warehouse, clock: time_machine.Traveller) -> None:
    both = [({"time": hour}, {"users.new": 1, "users.total": 1}) for hour in HOURS]
    publish(warehouse, reading(both, window(*WHOLE)))
    clock.move_to(NOW + DAY)
    publish(warehouse, reading([(time, {"users.new": 1}) for time, _ in both], window(*WHOLE)))

    def then() -> list[str]:
        return sorted({f"{value.time:%d}" for value in warehouse.query("users.total", by="hour", as_of=NOW)})

    assert then() == ["01", "02", "03"]
    warehouse.clean("shop", Retention(hours=8 * DAY), write=True)
    assert then() == ["03"]


def test_where_no_hours_were_removed_a_part_of_a_day_is_read(warehouse: Warehouse) -> None:
    plan = {"visitors": Metric("visitors", kind=Kind.DISTINCT)}
    rows = [({"time": hour}, {"visitors": 5}) for hour in HOURS]
    publish(warehouse, reading(rows, window(*WHOLE), plan=plan), plan)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    part = window("2026-07-01 10:00", "2026-07-01 12:00")
    assert publish(warehouse, reading(rows[10:12], part, plan=plan), plan).unchanged == 2
    assert {value.complete for value in warehouse.query("visitors", by="hour")} == {True}


def test_what_was_cleaned_and_is_read_again_was_not_changed_late(warehouse: Warehouse) -> None:
    read(warehouse)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    read(warehouse)
    assert warehouse.lateness("shop", NOW) == []


def test_a_distinct_count_that_was_cleaned_away_is_not_told(warehouse: Warehouse) -> None:
    plan = {"visitors": Metric("visitors", kind=Kind.DISTINCT)}
    rows = [({"date": day}, {"visitors": 5}) for day in ("2026-07-01", "2026-07-02")]
    publish(warehouse, reading(rows, window(*WHOLE), grain=Grain.DAY, plan=plan), plan)
    warehouse.clean("shop", Retention(days=DAY), write=True)
    assert [warehouse.query("visitors", by=grain) for grain in ("day", "week")] == [[], []]


def test_distinct_counts_whose_hours_were_cleaned_are_read_again_by_each_grain(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    plan, whole = {"visitors": Metric("visitors", kind=Kind.DISTINCT)}, window(*WHOLE)
    by_hour = reading([({"time": hour}, {"visitors": 5}) for hour in HOURS], whole, plan=plan)
    by_day = reading(
        [({"date": day}, {"visitors": 60}) for day in ("2026-07-01", "2026-07-02")], whole, grain=Grain.DAY, plan=plan
    )
    warehouse.publish(warehouse.begin("shop", whole), by_hour, plan, {}, by_day)
    assert warehouse.clean("shop", Retention(hours=8 * DAY), write=True) == Cleaned(hours=24)
    warehouse.publish(warehouse.begin("shop", whole), by_hour, plan, {}, by_day)
    assert [fact.value for fact in facts(warehouse_url, "daily")] == [60, 60]
    assert len(facts(warehouse_url, "hourly")) == len(HOURS)


def test_a_source_with_a_new_name_reads_no_part_of_a_day_whose_hours_were_cleaned(warehouse: Warehouse) -> None:
    def read_again(since: str, until: str) -> Changes:
        whole = window(since, until)
        rows = [({"time": hour, "of": "shop"}, {"users.new": 2}) for hour in HOURS if at(hour) in whole]
        return publish(warehouse, reading(rows, whole, source="store", sources=("store",)))

    read(warehouse)
    warehouse.clean("shop", Retention(hours=7 * DAY), write=True)
    for day in ("2026-07-01", "2026-07-02"):
        with pytest.raises(RunFailed, match=r"^store is read for a part of a day whose hours were cleaned away"):
            read_again(f"{day} 10:00", f"{day} 12:00")
        read_again("2026-07-03", "2026-07-04")
    assert [value.value for value in warehouse.query("users.new")] == [24, 24, 48]
