"""All sources at once: how their runs ended, what was read of them, and which metrics they tell of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline.warehouse import RunCount, open_warehouse
from tests.warehouse.publishing import UTC_ZONE, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.warehouse import Warehouse

NOW = at("2026-07-10T12:07:30")
DAY = window("2026-07-09", "2026-07-10")
ROWS = [({"time": DAY.since}, {"users.new": 3})]


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


def fail(warehouse: Warehouse, source: str, error: str = "no", *, state: str = "failed") -> int:
    """Let a run of a source end without anything written."""
    run = warehouse.begin(source, DAY)
    warehouse.end(run, state=state, error=error, report={})
    return run


def test_an_empty_warehouse_knows_no_source_but_tells_of_those_that_are_named(warehouse: Warehouse) -> None:
    assert warehouse.overview().sources == {}
    shop = warehouse.overview(["shop"]).sources["shop"]
    assert (shop.newest, shop.known_until, shop.final_until, shop.is_failing) == (None, None, None, False)


def test_it_tells_which_sources_tell_of_a_metric(warehouse: Warehouse) -> None:
    both = ("app", "shop")
    publish(warehouse, reading(ROWS, DAY, source="shop", sources=both))
    rows = [({"time": DAY.since, "of": "app"}, {"users.new": 1, "users.total": 1})]
    publish(warehouse, reading(rows, DAY, source="app", sources=both))
    known = warehouse.overview()
    assert known.tellers == {"users.new": {"app", "shop"}, "users.total": {"app"}}
    assert list(known.sources) == ["app", "shop"]


def test_it_tells_what_is_known_and_what_is_final(warehouse: Warehouse) -> None:
    publish(warehouse, reading(ROWS, DAY))
    fail_later = window("2026-07-10", "2026-07-11")
    warehouse.end(warehouse.begin("shop", fail_later), state="failed", error="no", report={})
    shop = warehouse.overview().sources["shop"]
    assert (shop.known_until, shop.final_until) == (DAY.until, DAY.until)
    assert [str(piece.state) for piece in shop.coverage] == ["final", "failed"]


@pytest.mark.parametrize(("state", "is_failing"), [("failed", True), ("lost", True), ("stopped", False)])
def test_a_source_fails_while_its_newest_ended_run_wrote_nothing(
    warehouse: Warehouse, state: str, *, is_failing: bool
) -> None:
    publish(warehouse, reading(ROWS, DAY))
    ended = fail(warehouse, "shop", state=state)
    running = warehouse.begin("shop", DAY)
    shop = warehouse.overview().sources["shop"]
    assert shop.is_failing is is_failing
    assert [run.id for run in (shop.newest, shop.ended, shop.done) if run] == [running, ended, ended - 1]


def test_a_source_that_was_read_since_does_not_fail(warehouse: Warehouse, clock: time_machine.Traveller) -> None:
    fail(warehouse, "shop")
    clock.shift(timedelta(hours=1))
    publish(warehouse, reading(ROWS, DAY))
    assert not warehouse.overview().sources["shop"].is_failing


def test_runs_are_counted_by_quarters_of_an_hour_and_states(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    for state in ("failed", "failed", "stopped"):
        fail(warehouse, "shop", state=state)
    clock.move_to(at("2026-07-10T12:14:59.9"))  # is not rounded up into the next quarter
    publish(warehouse, reading(ROWS, DAY))
    clock.move_to(at("2026-07-10T12:15:00"))
    warehouse.begin("app", DAY)
    first, second = at("2026-07-10T12:00"), at("2026-07-10T12:15")
    assert warehouse.run_counts(window("2026-07-10", "2026-07-11")) == [
        RunCount(first, "done", 1),
        RunCount(first, "failed", 2),
        RunCount(first, "stopped", 1),
        RunCount(second, "running", 1),
    ]


def test_runs_count_in_the_window_in_which_they_began(warehouse: Warehouse) -> None:
    fail(warehouse, "shop")
    assert warehouse.run_counts(window("2026-07-10T12:07:30", "2026-07-10T13:00"))
    assert warehouse.run_counts(window("2026-07-10T12:00", "2026-07-10T12:07:30")) == []


def test_the_newest_failures_come_first(warehouse: Warehouse) -> None:
    runs = [fail(warehouse, "shop", f"error {number}") for number in range(4)]
    fail(warehouse, "shop", state="stopped")
    told = warehouse.failures(window("2026-07-10", "2026-07-11"), 2)
    assert [(run.id, run.error) for run in told] == [(runs[3], "error 3"), (runs[2], "error 2")]
    assert warehouse.failures(window("2026-07-11", "2026-07-12")) == []
