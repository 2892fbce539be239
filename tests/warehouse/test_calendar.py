"""The calendar holds all buckets of what was read, cut in the business time zone, and no bucket twice."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, event

from tallyline.warehouse import calendar, open_warehouse
from tallyline.window import Grain
from tests.warehouse.calendars import assert_whole, calendar_of
from tests.warehouse.publishing import KOLKATA, PARIS, UTC_ZONE, publish, reading, window

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

SANTIAGO = ZoneInfo("America/Santiago")  # where the clock is changed at midnight, and a day has none
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # where the clock is changed by half an hour
ST_JOHNS = ZoneInfo("America/St_Johns")  # where the clock was changed a minute after midnight


@pytest.mark.parametrize(
    ("zone", "since", "until"),
    [
        (UTC_ZONE, "2026-12-28", "2027-01-02"),
        (PARIS, "2026-03-28 10:00", "2026-03-30 11:00"),
        (PARIS, "2026-10-24", "2026-10-27"),
        (KOLKATA, "2026-03-30", "2026-04-02"),
        (LORD_HOWE, "2026-04-04", "2026-04-07"),
        (LORD_HOWE, "2026-10-03", "2026-10-06"),
        (SANTIAGO, "2026-04-03", "2026-04-06"),
        (SANTIAGO, "2026-09-05", "2026-09-08"),
        (ST_JOHNS, "2006-04-01", "2006-04-04"),
        (ST_JOHNS, "2006-10-28", "2006-10-31"),
    ],
)
def test_every_bucket_is_that_of_the_zone(warehouse_url: str, zone: ZoneInfo, since: str, until: str) -> None:
    whole = window(since, until, zone)
    with open_warehouse(warehouse_url, zone, write=True) as warehouse:
        publish(warehouse, reading([], whole, zone=zone))
        assert_whole(warehouse_url, zone, whole)


def test_what_is_missing_is_added_and_nothing_else(warehouse_url: str) -> None:
    windows = [window(*ends, PARIS) for ends in (("2026-03-20", "2026-03-22"), ("2026-03-28", "2026-03-31"))]
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        for whole in windows:
            publish(warehouse, reading([], whole, zone=PARIS))
        assert_whole(warehouse_url, PARIS, *windows)
        assert len([grain for grain, *_ in calendar_of(warehouse_url) if grain is Grain.DAY]) == 5
        between = window("2026-03-19", "2026-04-02", PARIS)
        publish(warehouse, reading([], between, zone=PARIS, source="other"))
        publish(warehouse, reading([], between, zone=PARIS))
        assert_whole(warehouse_url, PARIS, between)
        assert len([grain for grain, *_ in calendar_of(warehouse_url) if grain is Grain.DAY]) == 14


@pytest.fixture
def engine(postgres_url: str) -> Engine:
    """A warehouse on PostgreSQL, where several sources publish at a time, as its database."""
    with open_warehouse(postgres_url, PARIS, write=True):
        return create_engine(postgres_url)


def test_what_another_source_has_added_meanwhile_is_not_added_again(engine: Engine, postgres_url: str) -> None:
    """Both have found that days are missing; when the second one looks which, none is."""
    whole, others = window("2026-03-28", "2026-03-31", PARIS), list[str]()

    def add_first(_: object, __: object, statement: str, *___: object) -> None:
        if "count" in statement and not others:
            others.append(statement)
            with engine.begin() as other:
                calendar.fill(other, whole, PARIS)

    with engine.begin() as connection:
        event.listen(connection, "after_cursor_execute", add_first)
        calendar.fill(connection, whole, PARIS)
    engine.dispose()
    assert len(others) == 1
    assert_whole(postgres_url, PARIS, whole)
