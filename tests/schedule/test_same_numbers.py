"""What `tallyline up` wrote and what `tallyline read` wrote for the same windows is the same, row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine
from sqlalchemy import create_engine, inspect

from tallyline.project import load_project
from tallyline.warehouse import open_warehouse
from tests.cli.terminal import make_project, tallyline
from tests.postgres import new_database
from tests.schedule.simulated import Clock, Waits, run_until
from tests.warehouse.publishing import PARIS, at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from tallyline.warehouse import RunRecord

PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL}"

[metrics]
visits = {}
stock = { kind = "level" }
orders = {}
visitors = { kind = "distinct" }
"""

CODE = """
from datetime import date, timedelta

from tallyline import Grain, source


@source(lookback=timedelta(hours=3))
def visits(window, zone, now):
    for number, hour in enumerate(window.buckets(Grain.HOUR, zone)):
        is_late = now - hour < timedelta(hours=2)  # a part of them is told later
        yield {"time": hour, "country": "FR"}, {"visits": 5 if is_late else 7}
        if hour.hour % 5 or is_late:
            yield {"time": hour, "country": "DE"}, {"visits": hour.hour}


@source(snapshot=True)
def stock(now):
    yield {"time": now}, {"stock": now.hour}


@source(schedule="30 2 * * *", grain="day", start=date(2026, 9, 1), at_once=timedelta(days=10))
def orders(window, zone):
    for day in window.buckets(Grain.DAY, zone):
        yield {"time": day}, {"orders": day.day}


@source(schedule="@daily", grains=["day", "week"], start=date(2026, 10, 12))
def visitors(window, zone, grain):
    for bucket in window.buckets(grain, zone):
        yield {"time": bucket}, {"visitors": 40 if grain == "day" else 90}
"""

LEDGER = {"run", "run_node", "run_missing", "definition"}


@pytest.fixture
def other_url(warehouse_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of another empty database of the same kind."""
    if warehouse_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        yield url


def everything(url: str) -> dict[str, list[str]]:
    """Return all rows of all tables but those of the ledger, and of all views but those of it."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            there = inspect(connection)
            tables = [name for name in there.get_table_names() if name not in LEDGER]
            views = [name for name in there.get_view_names() if name not in {"runs", "nodes", "restatements"}]
            return {
                name: sorted(map(str, connection.exec_driver_sql(f'SELECT * FROM "{name}"')))  # noqa: S608  # ours
                for name in [*tables, *views]
            }
    finally:
        engine.dispose()


def up(folder: Path, since: datetime, until: datetime, downtime: tuple[datetime, timedelta]) -> list[RunRecord]:
    """Let the scheduler run between two moments, but for some downtime; return its runs, the oldest first."""
    project, clock = load_project(folder), Clock(since)
    with open_warehouse(project.warehouse_url, PARIS, write=True, clock=clock, plan=project.plan) as warehouse:
        run_until(project, warehouse, Waits(clock, downtime[0]))
        clock.turn(downtime[1])
        run_until(project, warehouse, Waits(clock, until))
        return list(reversed(warehouse.runs()))


def read(folder: Path, run: RunRecord) -> None:
    """Read the window of a run by hand, at the same moment."""
    ends = ("--since", run.window.since.isoformat(), "--until", run.window.until.isoformat())
    with time_machine.travel(run.started_at, tick=False):
        answer = tallyline("read", run.source, "--write", *ends, project=folder)
    assert answer.status == 0, answer.err


def test_the_same_windows_give_the_same_warehouse(
    tmp_path: Path, warehouse_url: str, other_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project(tmp_path / "project", PROJECT, CODE)
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    downtime = (at("2026-10-25 00:30", PARIS), timedelta(hours=5))  # while the clock is turned back
    runs = up(folder, at("2026-10-24 21:10", PARIS), at("2026-10-25 09:00", PARIS), downtime)
    assert {run.state for run in runs} == {"done"}
    assert {run.source for run in runs} == {"visits", "stock", "orders", "visitors"}
    monkeypatch.setenv("WAREHOUSE_URL", other_url)
    for run in runs:
        read(folder, run)
    written, by_hand = everything(warehouse_url), everything(other_url)
    assert sum(run.changes.changed + run.changes.removed for run in runs) > 5  # so that values were restated
    assert len(written["hourly_restatement"]) > 5
    for name, rows in written.items():
        assert (name, rows) == (name, by_hand[name])
