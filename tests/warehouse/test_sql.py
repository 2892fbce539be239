"""The SQL that is printed for Grafana gives the numbers that a query gives, on either database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain
from tests.warehouse.publishing import PARIS, PLAN, at, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallyline.warehouse import Warehouse

MONTHS = window("2026-03-20", "2026-05-10", PARIS)
METRICS = ("users.new", "users.total", "latency.least", "latency.most")


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """A warehouse in Paris with weeks of hours across the change of the clock."""
    rows = [
        ({"time": hour, "country": country}, {metric: 1 + (number * 7 + len(metric)) % 11 for metric in METRICS})
        for number, hour in enumerate(MONTHS.buckets(Grain.HOUR, PARIS))
        for country in ("FR", "it's")
    ]
    with open_warehouse(warehouse_url, PARIS, write=True, clock=lambda: at("2026-05-10", PARIS)) as warehouse:
        publish(warehouse, reading(rows, MONTHS, zone=PARIS))
        yield warehouse


def answered(url: str, query: str) -> list[tuple[object, ...]]:
    """Return what the database says, with moments in UTC."""
    return [(_moment(time), *rest) for time, *rest in rows_of(url, query.replace("%", "%%"))]


def _moment(time: object) -> datetime:
    return time.astimezone(UTC) if isinstance(time, datetime) else datetime.fromtimestamp(int(str(time)), UTC)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("by", ["hour", "day"])
def test_it_gives_the_numbers_of_the_query(warehouse: Warehouse, warehouse_url: str, metric: str, by: str) -> None:
    since, until = at("2026-03-28", PARIS), at("2026-04-02", PARIS)
    values = warehouse.query(metric, by=by, since=since, until=until)
    told = answered(warehouse_url, warehouse.sql(metric, by=by, since=since, until=until))
    assert told == [(value.time, value.value) for value in values]
    assert told


@pytest.mark.parametrize("by", ["hour", "day"])
def test_parts_and_conditions_are_in_it(warehouse: Warehouse, warehouse_url: str, by: str) -> None:
    asked = {"country": "it's"}
    values = warehouse.query("users.new", by=by, split="country", where=asked)
    told = answered(warehouse_url, warehouse.sql("users.new", by=by, split="country", where=asked))
    assert told == [(value.time, value.part, value.value) for value in values]


@pytest.mark.parametrize("by", ["week", "month", "quarter", "year"])
def test_longer_buckets_are_told_where_the_database_knows_time_zones(
    warehouse: Warehouse, warehouse_url: str, by: str
) -> None:
    if warehouse_url.startswith("sqlite"):
        with pytest.raises(Refused, match=f"the {by}s of users.new cannot be told by one plain query: SQLite knows no"):
            warehouse.sql("users.new", by=by)
        return
    values = warehouse.query("users.new", by=by)
    assert answered(warehouse_url, warehouse.sql("users.new", by=by)) == [(value.time, value.value) for value in values]
    with pytest.raises(Refused, match="a level is not added up over days"):
        warehouse.sql("users.total", by=by)


def test_what_no_plain_query_can_tell_is_refused(warehouse: Warehouse) -> None:
    plan = PLAN | {"api.time": Metric("api.time", unit="ms", kind=Kind.DURATION)}
    publish(warehouse, reading([({"time": MONTHS.since}, {"api.time": 5})], MONTHS, zone=PARIS, plan=plan), plan)
    with pytest.raises(Refused, match=r"api.time is a duration: one plain query over the views cannot tell it"):
        warehouse.sql("api.time")
    with pytest.raises(UnknownName, match=r"api\.tiem"):
        warehouse.sql("api.tiem")
