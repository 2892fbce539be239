"""A database that is really away for a while: the scheduler says so, waits, and loses nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url

from tallyline import Grain, source
from tests.schedule.simulated import Clock, Waits, opened, project_of, run_until, windows
from tests.warehouse.publishing import at, facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Engine

    from tallyline.sources import SourceDeclaration
    from tallyline.window import Window


class Database:
    """A database of PostgreSQL that can be sent away."""

    def __init__(self, server: Engine, url: str) -> None:
        self._server, self._name = server, make_url(url).database
        self.is_there = True

    def goes(self) -> None:
        """Let nobody in, and throw out who is there."""
        self.is_there = False
        with self._server.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
                (self._name,),
            )

    def comes_back(self) -> None:
        """Let everybody in."""
        self.is_there = True
        with self._server.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")


@pytest.fixture
def database(postgres: Engine, postgres_url: str) -> Iterator[Database]:
    """The database of this test, which is there in the end."""
    database = Database(postgres, postgres_url)
    yield database
    database.comes_back()


def hourly(work: Callable[[], None] = lambda: None) -> SourceDeclaration:
    """Return a source that counts one for each hour, and does some work when it is half through."""

    @source(name="numbers", lookback=timedelta())
    def numbers(window: Window, zone: ZoneInfo) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        for hour in window.buckets(Grain.HOUR, zone):
            yield {"time": hour}, {"numbers": 1}
        work()

    return numbers


def test_a_database_that_goes_between_runs_is_waited_for(database: Database, postgres_url: str) -> None:
    clock = Clock(at("2026-07-14 10:30"))

    def meanwhile(now: datetime) -> None:
        if at("2026-07-14 11:00") <= now < at("2026-07-14 11:01") and database.is_there:
            database.goes()
        if at("2026-07-14 11:01") <= now and not database.is_there:
            database.comes_back()

    with opened(postgres_url, clock) as warehouse:
        told = run_until(project_of(hourly()), warehouse, Waits(clock, at("2026-07-14 12:00"), meanwhile=meanwhile))
        assert windows(told) == [
            ("numbers", "2026-07-14 09:00 … 2026-07-14 10:00"),
            ("numbers", "2026-07-14 10:00 … 2026-07-14 11:00"),
        ]
    assert all(each.startswith("the warehouse refused: ") for each in told.troubles[:-1])
    assert (len(told.troubles), told.troubles[-1]) == (6, "over")
    assert [fact.value for fact in facts(postgres_url, "hourly")] == [1, 1]


def test_a_database_that_goes_in_the_middle_of_a_run_loses_it_and_nothing_else(
    database: Database, postgres_url: str
) -> None:
    clock, happens = Clock(at("2026-07-14 10:30")), [database.goes]

    def work() -> None:
        if happens:
            happens.pop()()

    def meanwhile(_: datetime) -> None:
        if not database.is_there:
            database.comes_back()

    with opened(postgres_url, clock) as warehouse:
        told = run_until(project_of(hourly(work)), warehouse, Waits(clock, at("2026-07-14 11:00"), meanwhile=meanwhile))
    assert [run.result.error is None for run in told.runs] == [False, True]
    assert str(told.runs[0].result.error).startswith("the warehouse refused: ")
    ended = rows_of(postgres_url, "SELECT state, error LIKE 'the warehouse refused%%' FROM run ORDER BY id")
    assert ended == [("lost", True), ("done", False)]
    assert [fact.value for fact in facts(postgres_url, "hourly")] == [1]
