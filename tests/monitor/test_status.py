"""How a source is, from the ledger and the coverage, and which look-back fits it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tallyline import source
from tallyline.monitor import source_status
from tallyline.monitor.status import advice
from tallyline.warehouse import open_warehouse
from tests.warehouse.publishing import UTC_ZONE, at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.monitor import SourceStatus
    from tallyline.warehouse import Warehouse

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = at("2026-07-10 12:00")
LONGER = 'values still changed {} after their end, where the look-back ends: set lookback = "{}"'
SHORTER = 'no value changed later than {} after its end: lookback = "{}" is enough'


@source(name="shop")
def shop() -> Iterator[object]:
    """Stand for a source that reads two days again."""
    yield {}, {}


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


def read(warehouse: Warehouse, since: str, until: str, *hours: tuple[str, float], name: str = "shop") -> None:
    """Publish hours for a window."""
    rows = [({"time": hour, "of": name}, {"users.new": value}) for hour, value in hours]
    publish(warehouse, reading(rows, window(since, until), source=name, sources=("shop", "app")))


def status(warehouse: Warehouse) -> SourceStatus:
    """Return how the shop is."""
    return source_status(shop.named("shop"), warehouse, NOW)


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ([25 * HOUR], ""),
        ([timedelta(hours=38, minutes=24)], ""),
        ([timedelta(hours=38, minutes=25)], LONGER.format("39h", "4d")),
        ([47 * HOUR], LONGER.format("47h", "4d")),
        ([HOUR, 47 * HOUR, 2 * HOUR], LONGER.format("47h", "4d")),
        ([48 * HOUR], LONGER.format("48h", "4d")),
        ([49 * HOUR], LONGER.format("3d", "5d")),
        ([30 * DAY], LONGER.format("30d", "60d")),
    ],
)
@pytest.mark.parametrize("measured", [False, True])
def test_a_longer_look_back_is_advised_where_values_change_at_its_end(
    late: list[timedelta], told: str, *, measured: bool
) -> None:
    assert advice(2 * DAY, late, measured=measured) == told


@pytest.mark.parametrize(
    ("lookback", "late", "told"),
    [
        (10 * DAY, [], SHORTER.format("0h", "24h")),
        (10 * DAY, [HOUR], SHORTER.format("1h", "24h")),
        (10 * DAY, [20 * HOUR, HOUR], SHORTER.format("20h", "40h")),
        (10 * DAY, [timedelta(days=2, hours=12)], SHORTER.format("3d", "5d")),
        (10 * DAY, [timedelta(days=2, hours=13)], ""),
        (2 * DAY, [], SHORTER.format("0h", "24h")),
        (47 * HOUR, [], ""),
        (DAY, [], ""),
        (timedelta(), [], ""),
    ],
)
def test_a_shorter_look_back_is_advised_only_where_it_was_measured_and_is_half_as_long(
    lookback: timedelta, late: list[timedelta], told: str
) -> None:
    assert advice(lookback, late, measured=True) == told
    assert not advice(lookback, late, measured=False)


def test_a_source_without_look_back_whose_values_change_is_advised_to_have_one() -> None:
    assert advice(timedelta(), [HOUR], measured=False) == LONGER.format("1h", "2h")


def test_of_a_source_that_was_never_read_nothing_is_known(warehouse: Warehouse) -> None:
    told = status(warehouse)
    assert (told.state, told.error, told.read_until, told.final_until) == ("never read", "", None, None)
    assert (told.gaps, told.failed, told.latest_change, told.advice) == ([], [], None, "")


def test_what_other_sources_did_is_not_told(warehouse: Warehouse) -> None:
    read(warehouse, "2026-07-01", "2026-07-02", ("2026-07-01 10:00", 1), name="app")
    assert status(warehouse).state == "never read"


def test_gaps_lie_between_what_was_read_and_were_not_tried(warehouse: Warehouse) -> None:
    for day in (1, 3, 7):
        read(warehouse, f"2026-07-0{day}", f"2026-07-0{day + 1}")
    run = warehouse.begin("shop", window("2026-07-04", "2026-07-05"))
    warehouse.end(run, state="failed", error="no", report={})
    told = status(warehouse)
    assert told.gaps == [window("2026-07-02", "2026-07-03"), window("2026-07-05", "2026-07-07")]
    assert told.failed == [window("2026-07-04", "2026-07-05")]
    assert (told.state, told.error, told.read_until) == ("failed", "no", at("2026-07-08"))


def test_how_late_values_changed_is_measured_from_the_end_of_the_oldest(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(at("2026-07-02 00:00"))
    read(warehouse, "2026-07-01", "2026-07-02", ("2026-07-01 10:00", 1), ("2026-07-01 20:00", 1))
    assert status(warehouse).latest_change is None
    clock.move_to(at("2026-07-02 03:00"))
    read(warehouse, "2026-07-01", "2026-07-02", ("2026-07-01 10:00", 1), ("2026-07-01 20:00", 2))
    assert status(warehouse).latest_change == 6 * HOUR
    clock.move_to(at("2026-07-02 04:00"))
    read(warehouse, "2026-07-01", "2026-07-02", ("2026-07-01 20:00", 3))
    assert status(warehouse).latest_change == 17 * HOUR
    clock.move_to(at("2026-07-02 12:00"))
    read(warehouse, "2026-07-01", "2026-07-02", ("2026-07-01 20:00", 3))
    assert status(warehouse).latest_change == 17 * HOUR


def test_an_hour_that_had_not_ended_when_it_was_read_has_not_changed_late(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(at("2026-07-01 10:30"))
    read(warehouse, "2026-07-01", "2026-07-01T11:00", ("2026-07-01 10:00", 1))
    clock.move_to(at("2026-07-01 11:30"))
    read(warehouse, "2026-07-01", "2026-07-01T12:00", ("2026-07-01 10:00", 2))
    assert status(warehouse).latest_change is None


def test_changes_of_more_than_ninety_days_ago_are_forgotten(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(NOW - timedelta(days=91))
    read(warehouse, "2026-01-01", "2026-01-02", ("2026-01-01 10:00", 1))
    read(warehouse, "2026-01-01", "2026-01-02", ("2026-01-01 10:00", 2))
    told = status(warehouse)
    assert (told.latest_change, told.advice) == (None, SHORTER.format("0h", "24h"))


def test_a_source_that_runs_for_less_than_ninety_days_is_not_advised_a_shorter_look_back(
    warehouse: Warehouse, clock: time_machine.Traveller
) -> None:
    clock.move_to(NOW - timedelta(days=89))
    read(warehouse, "2026-01-01", "2026-01-02", ("2026-01-01 10:00", 1))
    assert status(warehouse).advice == ""
