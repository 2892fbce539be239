"""What panels tell of the pipeline: runs by their states, stretches of coverage, and how far data is known."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.dashboards import known_until, measured, read_runs, stretches, tellers_of
from tallyline.plan import Kind, Metric
from tallyline.warehouse import Coverage, Covered, Overview, SourceOverview, open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import KOLKATA, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.warehouse import Warehouse

NOW = at("2026-07-10T12:00", KOLKATA)


def piece(since: str, until: str, state: str) -> Coverage:
    return Coverage(window(since, until), Covered(state), 1)


READ = [piece("2026-07-01", "2026-07-04", "final"), piece("2026-07-06", "2026-07-08", "provisional")]
FAILED = piece("2026-07-08", "2026-07-09", "failed")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def warehouse(warehouse_url: str, clock: object) -> Iterator[Warehouse]:
    """An empty warehouse whose hours begin at half past."""
    with open_warehouse(warehouse_url, KOLKATA, write=True) as warehouse:
        yield warehouse


def test_runs_are_told_by_the_hours_and_days_of_the_business_zone(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    day = window("2026-07-09", "2026-07-10", KOLKATA)
    for begin, ends in (("2026-07-09T23:59:59", "failed"), ("2026-07-10T00:00", "lost"), ("2026-07-10T00:59", "")):
        clock.move_to(at(begin, KOLKATA))
        if ends:
            warehouse.end(warehouse.begin("shop", day), state=ends, error=f"{ends} at {begin}", report={})
        else:
            publish(warehouse, reading([({"time": day.since}, {"users.new": 1})], day, zone=KOLKATA))
    clock.move_to(NOW)
    days = read_runs(warehouse, window("2026-07-08", "2026-07-11", KOLKATA), Grain.DAY, KOLKATA, NOW)
    assert [f"{time.astimezone(KOLKATA):%d %H:%M}" for time in days.times] == ["08 00:00", "09 00:00", "10 00:00"]
    assert [(line.label, line.values) for line in days.lines] == [
        ("done", [0, 0, 1]),
        ("lost", [0, 0, 1]),
        ("failed", [0, 1, 0]),
    ]
    assert [run.error for run in days.failures] == ["lost at 2026-07-10T00:00", "failed at 2026-07-09T23:59:59"]
    hours = read_runs(warehouse, window("2026-07-10", "2026-07-11", KOLKATA), Grain.HOUR, KOLKATA, NOW)
    assert len(hours.times) == 13  # up to the running hour
    assert [(line.label, line.values[:2]) for line in hours.lines] == [("done", [1, 0]), ("lost", [1, 0])]


def test_where_nothing_ran_there_are_no_runs_and_no_failures(warehouse: Warehouse) -> None:
    runs = read_runs(warehouse, window("2026-07-09", "2026-07-11", KOLKATA), Grain.DAY, KOLKATA, NOW)
    assert ([(line.label, line.values) for line in runs.lines], runs.failures) == ([("done", [0, 0])], [])


def test_between_what_was_read_and_tried_are_gaps() -> None:
    told = stretches([*READ, FAILED], window("2026-06-01", "2026-08-01"))
    assert [(f"{each.window.since:%d}", f"{each.window.until:%d}", each.state) for each in told] == [
        ("01", "04", "final"),
        ("04", "06", "gap"),
        ("06", "08", "provisional"),
        ("08", "09", "failed"),
    ]


def test_stretches_are_cut_to_the_window() -> None:
    told = stretches(READ, window("2026-07-03", "2026-07-05"))
    assert [(f"{each.window.since:%d}", f"{each.window.until:%d}", each.state) for each in told] == [
        ("03", "04", "final"),
        ("04", "05", "gap"),
    ]
    assert stretches(READ, window("2026-07-09", "2026-07-10")) == []
    assert stretches([], window("2026-07-09", "2026-07-10")) == []


PLAN = {
    metric.name: metric
    for metric in (
        Metric("a"),
        Metric("b"),
        Metric("time", kind=Kind.DURATION),
        Metric("rate", kind=Kind.FORMULA, formula="a / b"),
        Metric("double", kind=Kind.FORMULA, formula="2 * rate + time.p95"),
    )
}


def test_a_formula_is_measured_by_what_it_is_made_of_in_the_end() -> None:
    assert measured(PLAN, "double") == {"a", "b", "time"}
    assert measured(PLAN, "time.p95") == {"time"}


def test_data_is_as_old_as_that_of_the_source_that_is_behind() -> None:
    sources = {
        "shop": SourceOverview([*READ, FAILED]),
        "app": SourceOverview(READ[:1]),
        "new": SourceOverview([FAILED]),
    }
    tellers = {"a": frozenset({"shop"}), "b": frozenset({"shop", "app"}), "time": frozenset({"new"})}
    overview = Overview(sources, tellers)
    assert tellers_of(PLAN, "rate", overview) == {"shop", "app"}
    assert known_until({"shop"}, overview) == READ[1].window.until
    assert known_until({"shop", "app"}, overview) == READ[0].window.until
    assert known_until({"shop", "new"}, overview) is None
    assert known_until(set(), overview) is None


def test_what_a_source_itself_does_not_know_is_not_known() -> None:
    missing = Coverage(window("2026-07-08", "2026-07-09"), Covered.MISSING, 2)
    source = SourceOverview([*READ, missing])
    assert source.known_until == READ[1].window.until
    assert source.known_until + timedelta(days=1) == missing.window.until
    assert stretches(source.coverage, window("2026-07-08", "2026-07-10"))[-1].state == "missing"
