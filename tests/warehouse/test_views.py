"""The public views beside the values: what is known of each metric, which series there are, the calendar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect

from tests.warehouse.calendars import moment
from tests.warehouse.publishing import publish, reading, rows_of, window

if TYPE_CHECKING:
    from tallyline.warehouse import Warehouse

SOURCES = ("shop", "app")


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("known", ["metric", "grain", "time", "complete"]),
        ("calendar", ["grain", "time", "until", "seconds", "day", "week", "month", "quarter", "year"]),
        ("metric_series", ["metric", "dims", "source"]),
    ],
)
def test_they_have_the_columns_that_are_documented(
    warehouse: Warehouse, warehouse_url: str, view: str, columns: list[str]
) -> None:
    engine = create_engine(warehouse_url)
    assert [column["name"] for column in inspect(engine).get_columns(view)] == columns
    engine.dispose()


def test_each_series_is_told_once(warehouse: Warehouse, warehouse_url: str) -> None:
    day = window("2026-07-14", "2026-07-15")
    rows = [({"time": f"2026-07-14 {hour}:00", "country": "FR"}, {"users.new": 3}) for hour in (10, 11)]
    publish(warehouse, reading(rows, day))
    [(metric, dims, source)] = rows_of(warehouse_url, "SELECT metric, dims, source FROM metric_series")
    assert (metric, source) == ("users.new", "shop")
    assert (json.loads(dims) if isinstance(dims, str) else dims) == {"country": "FR"}


def test_a_metric_of_two_sources_is_known_where_both_were_read(warehouse: Warehouse, warehouse_url: str) -> None:
    def read(source: str, since: str, until: str) -> None:
        whole = window(since, until)
        rows = [({"time": whole.since, "of": source}, {"users.new": 1})]
        publish(warehouse, reading(rows, whole, source=source, sources=SOURCES))

    def known(grain: str) -> list[tuple[str, bool]]:
        where = f"metric = 'users.new' AND grain = '{grain}'"
        rows = rows_of(warehouse_url, f"SELECT time, complete FROM known WHERE {where} ORDER BY time")  # noqa: S608
        return [(f"{moment(time):%m-%d}", bool(complete)) for time, complete in rows]

    read("shop", "2026-07-06", "2026-07-09")
    assert known("day") == [("07-06", True), ("07-07", True), ("07-08", True)]
    read("app", "2026-07-08 12:00", "2026-07-10")
    assert known("day") == [("07-08", False)]
    assert known("week") == [("07-06", False)]
    read("shop", "2026-07-10", "2026-07-11")
    assert known("day") == [("07-08", False)]
    read("shop", "2026-07-09", "2026-07-10")
    read("app", "2026-07-10", "2026-07-12")
    assert known("day") == [("07-08", False), ("07-09", True), ("07-10", True)]
    assert known("month") == [("07-01", False)]
