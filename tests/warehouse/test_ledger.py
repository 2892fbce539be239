"""The ledger of runs tells the truth: what ran, what it changed, how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tallyline import __version__
from tallyline.errors import RunFailed
from tallyline.warehouse import Changes, open_warehouse
from tallyline.window import Window
from tests.warehouse.publishing import PLAN, UTC_ZONE, at, facts, publish, reading, rows_of, window

if TYPE_CHECKING:
    from tallyline.warehouse import Warehouse

DAY = window("2026-07-14", "2026-07-15")
TOLD = reading([({"time": "2026-07-14 10:00"}, {"users.new": 3})], DAY)
NOW = at("2026-07-14 12:00")

BEGIN_AND_DIE = """
import os, sys
from zoneinfo import ZoneInfo
from tallyline.warehouse import open_warehouse
from tallyline.window import Window, parse_moment

zone = ZoneInfo("UTC")
day = Window(parse_moment("2026-07-14", zone), parse_moment("2026-07-15", zone))
with open_warehouse(sys.argv[1], zone, write=True) as warehouse:
    print(warehouse.begin("shop", day), flush=True)
    os._exit(9)
"""


def test_a_run_is_entered_when_it_begins(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: NOW) as warehouse:
        number = warehouse.begin("shop", DAY)
        [run] = warehouse.runs()
    assert (run.id, run.source, run.window, run.started_at, run.state) == (number, "shop", DAY, NOW, "running")
    assert (run.ended_at, run.seconds, run.changes, run.error, run.report) == (None, None, Changes(), "", {})


def test_a_run_is_known_by_its_machine_process_and_release(warehouse: Warehouse, warehouse_url: str) -> None:
    warehouse.begin("shop", DAY)
    assert rows_of(warehouse_url, "SELECT process, version FROM run") == [(os.getpid(), __version__)]


def test_a_run_that_published_is_done_with_what_it_changed(warehouse_url: str) -> None:
    minutes = count()
    with open_warehouse(
        warehouse_url, UTC_ZONE, write=True, clock=lambda: NOW + timedelta(minutes=next(minutes))
    ) as warehouse:
        number = warehouse.begin("shop", DAY)
        began = warehouse.runs()[0].started_at
        warehouse.publish(number, TOLD, PLAN, {"nodes": [], "state": "done"})
        [run] = warehouse.runs()
    assert (run.state, run.changes, run.report) == ("done", Changes(added=1), {"nodes": [], "state": "done"})
    assert run.ended_at == began + timedelta(minutes=1)
    assert run.seconds == 60


def test_a_run_that_ended_otherwise_says_why(warehouse: Warehouse) -> None:
    number = warehouse.begin("shop", DAY)
    warehouse.end(number, state="failed", error="the shop is closed — “für immer”", report={"state": "failed"})
    [run] = warehouse.runs()
    assert (run.state, run.error, run.report) == ("failed", "the shop is closed — “für immer”", {"state": "failed"})
    assert run.ended_at is not None


def test_a_run_and_its_values_commit_together_or_not_at_all(warehouse: Warehouse, warehouse_url: str) -> None:
    number = warehouse.begin("shop", DAY)
    rows_of(warehouse_url, "ALTER TABLE run RENAME TO hidden")
    with pytest.raises(RunFailed, match="the warehouse refused"):
        warehouse.publish(number, TOLD, PLAN, {})
    rows_of(warehouse_url, "ALTER TABLE hidden RENAME TO run")
    assert facts(warehouse_url, "hourly") == []
    assert [run.state for run in warehouse.runs()] == ["running"]


def test_a_run_that_was_given_up_meanwhile_writes_nothing(warehouse: Warehouse, warehouse_url: str) -> None:
    """As where its machine lost the database for so long that another one took the source over."""
    number = warehouse.begin("shop", DAY)
    rows_of(warehouse_url, "UPDATE run SET state = 'lost'")
    with pytest.raises(RunFailed, match=f"^run {number} of shop was given up meanwhile; nothing was written$"):
        warehouse.publish(number, TOLD, PLAN, {})
    assert facts(warehouse_url, "hourly") == []
    assert [run.state for run in warehouse.runs()] == ["lost"]


def test_what_is_done_stays_done(warehouse: Warehouse) -> None:
    number = warehouse.begin("shop", DAY)
    warehouse.publish(number, TOLD, PLAN, {})
    warehouse.end(number, state="stopped", error="KeyboardInterrupt", report={})  # as when Ctrl-C comes a moment late
    [run] = warehouse.runs()
    assert (run.state, run.changes, run.error) == ("done", Changes(added=1), "")


def test_the_newest_runs_come_first(warehouse: Warehouse) -> None:
    numbers = [warehouse.begin(source, DAY) for source in ("a", "b", "c")]
    assert [run.id for run in warehouse.runs()] == numbers[::-1]
    assert [run.source for run in warehouse.runs(limit=2)] == ["c", "b"]


def test_covered_is_what_finished_runs_have_read(warehouse: Warehouse) -> None:
    later = window("2026-07-15", "2026-07-16")
    publish(warehouse, TOLD)
    publish(warehouse, TOLD)
    publish(warehouse, reading([], later))
    warehouse.begin("shop", window("2026-07-16", "2026-07-17"))
    publish(warehouse, reading([], window("2026-07-20", "2026-07-21"), source="app"))
    assert warehouse.covered("shop") == [Window(DAY.since, later.until)]


def test_a_window_that_was_still_running_is_covered_up_to_when_it_was_read(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, clock=lambda: NOW) as warehouse:
        publish(warehouse, TOLD)
        publish(warehouse, reading([], window("2026-07-20", "2026-07-21")))
        assert warehouse.covered("shop") == [Window(DAY.since, NOW)]


def test_a_run_whose_process_died_is_lost_at_the_next_run_of_its_source(warehouse_url: str) -> None:
    died = subprocess.run(
        [sys.executable, "-c", BEGIN_AND_DIE, warehouse_url], capture_output=True, text=True, check=False
    )
    assert (died.returncode, died.stderr) == (9, "")
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        warehouse.begin("app", DAY)
        assert [run.state for run in warehouse.runs()] == ["running", "running"]
        warehouse.begin("shop", DAY)
        shop, _, lost = warehouse.runs()
    assert (shop.state, lost.id, lost.state) == ("running", int(died.stdout), "lost")
    assert lost.error == "the process ended without a word; nothing was written"
    assert lost.ended_at is not None


def test_a_run_of_another_machine_is_lost_where_the_database_says_that_nobody_holds_its_lease(
    warehouse_url: str,
) -> None:
    subprocess.run([sys.executable, "-c", BEGIN_AND_DIE, warehouse_url], capture_output=True, text=True, check=False)
    rows_of(warehouse_url, "UPDATE run SET host = 'elsewhere'")
    known = "running" if warehouse_url.startswith("sqlite") else "lost"
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:
        warehouse.begin("shop", DAY)
        assert [run.state for run in warehouse.runs()] == ["running", known]


def test_a_run_that_goes_on_in_another_thread_is_not_lost(warehouse: Warehouse) -> None:
    warehouse.begin("shop", DAY)
    warehouse.begin("shop", DAY)
    assert [run.state for run in warehouse.runs()] == ["running", "running"]
