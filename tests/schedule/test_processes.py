"""Real processes of `tallyline up` on one warehouse: two at once, interrupted, and killed wherever they are."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tallyline.warehouse import open_warehouse
from tallyline.window import Window, utc_now
from tests.cli.terminal import command, make_project, tallyline
from tests.warehouse.publishing import UTC_ZONE, facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator


DEADLINE = 90
NAMES = "abcdef"
DAYS = 3
LOST = "the process ended without a word; nothing was written"

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"

[metrics]
numbers = {}
"""

CODE = '''
"""Sources that count one for each hour, once the gate is open: a file that nobody has locked."""

import fcntl
import os
from datetime import date, timedelta

from tallyline import Grain, source


def counting(name):
    @source(name=name, lookback=timedelta(), start=date.fromisoformat(os.environ["START"]), at_once=timedelta(days=1))
    def count(window, zone):
        with open(os.environ["GATE"]) as gate:
            fcntl.flock(gate, fcntl.LOCK_SH)
        for hour in window.buckets(Grain.HOUR, zone):
            yield {"time": hour, "source": name}, {"numbers": 1}

    return count


globals().update({name: counting(name) for name in "abcdef"})
'''


@pytest.fixture
def folder(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose sources have three days to read, and the gate open."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    monkeypatch.setenv("START", (utc_now() - timedelta(days=DAYS)).date().isoformat())
    (tmp_path / "gate").touch()
    folder = make_project(tmp_path / "project", PROJECT, CODE)
    assert tallyline("status", project=folder).status == 0  # the project can be read
    return folder


@contextmanager
def shut() -> Iterator[None]:
    """Keep the gate shut meanwhile."""
    with Path(os.environ["GATE"]).open(encoding="utf-8") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


@contextmanager
def up(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `tallyline up` without the page, in a process of its own."""
    words = command("up", "--no-page", f"--project={folder}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(url: str, query: str, at_least: int, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until the warehouse answers a query with a number of at least so much."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if process and process.poll() is not None:
            pytest.fail(f"it has ended: {process.stdout and process.stdout.read()}")
        if is_made(url) and rows_of(url, query)[0][0] >= at_least:
            return
    pytest.fail(f"the warehouse does not come to tell {at_least}: {query}")


def is_made(url: str) -> bool:
    """Say whether the warehouse has its tables already, and none of them half."""
    tables = (
        "SELECT count(*) FROM sqlite_master WHERE name = 'run_missing'"
        if url.startswith("sqlite")
        else "SELECT count(*) FROM pg_tables WHERE tablename = 'run_missing'"
    )
    return bool(rows_of(url, tables)[0][0])


def runs(url: str) -> list[tuple[str, str, Window, int]]:
    """Return the runs in the order in which they began: source, state, window and process."""
    with open_warehouse(url, UTC_ZONE) as warehouse:
        return [(run.source, run.state, run.window, run.process) for run in reversed(warehouse.runs(10_000))]


def each_window_was_read_once(url: str) -> None:
    """Check that the done runs of a source share no time and leave none out, and that all values are there once."""
    done = [(source, window) for source, state, window, _ in runs(url) if state == "done"]
    for name in NAMES:
        windows = sorted((window for source, window in done if source == name), key=lambda window: window.since)
        assert len(windows) > DAYS
        assert all(earlier.until == later.since for earlier, later in pairwise(windows))
        hours = (windows[-1].until - windows[0].since) // timedelta(hours=1)
        values = [fact.value for fact in facts(url, "hourly") if f'"{name}"' in fact.dims]
        assert values == [1] * hours
        assert sum(fact.value for fact in facts(url, "daily") if f'"{name}"' in fact.dims) == hours


def none_ran_beside_another(url: str) -> None:
    """Check that no run of a source began before the one before it had ended."""
    overlapping = """
        SELECT count(*) FROM run JOIN run AS other ON other.source = run.source AND other.id > run.id
        WHERE other.started_at < run.ended_at
    """
    assert rows_of(url, overlapping) == [(0,)]


def goes_on_to_its_end(folder: Path) -> None:
    """Read once what is left, after which there is nothing left."""
    assert tallyline("up", "--once", project=folder).status == 0
    again = tallyline("up", "--once", project=folder)
    assert (again.status, "done" in again.out, again.err) == (0, False, "")


def test_two_at_once_never_read_the_same_window(folder: Path, warehouse_url: str) -> None:
    assert tallyline("up", "--once", "--no-schedule", project=folder).status == 2
    with ExitStack() as stack:
        gate = stack.enter_context(ExitStack())
        gate.enter_context(shut())
        first = stack.enter_context(up(folder))
        wait_until(warehouse_url, "SELECT count(*) FROM run", 4, first)
        second = stack.enter_context(up(folder))
        wait_until(warehouse_url, "SELECT count(*) FROM run", len(NAMES), second)
        gate.close()
        wait_until(warehouse_url, "SELECT count(*) FROM run WHERE state = 'done'", len(NAMES) * DAYS, second)
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        for process in (first, second):
            assert process.wait(DEADLINE) == 0
    goes_on_to_its_end(folder)
    each_window_was_read_once(warehouse_url)
    none_ran_beside_another(warehouse_url)
    ledger = runs(warehouse_url)
    assert {state for _, state, *_ in ledger} <= {"done", "stopped"}
    assert {first.pid, second.pid} <= {process for _, _, _, process in ledger}


def test_killed_again_and_again_nothing_is_lost_and_nothing_read_twice(folder: Path, warehouse_url: str) -> None:
    chance = Random(2026)  # noqa: S311  # no secret
    read, all_of_them = 0, len(NAMES) * (DAYS + 1)
    for _ in range(3):
        with up(folder) as first, up(folder) as second:
            read = min(read + chance.randint(1, 5), all_of_them)
            wait_until(warehouse_url, "SELECT count(*) FROM run", read)
            victim, survivor = chance.sample([first, second], 2)
            victim.kill()
            read = min(read + chance.randint(1, 4), all_of_them)
            wait_until(warehouse_url, "SELECT count(*) FROM run", read, survivor)
            survivor.kill()
        read = len(runs(warehouse_url))
    goes_on_to_its_end(folder)
    each_window_was_read_once(warehouse_url)
    none_ran_beside_another(warehouse_url)
    assert {state for _, state, *_ in runs(warehouse_url)} <= {"done", "lost"}


def test_killed_in_the_middle_of_runs_it_goes_on_when_it_is_started_again(folder: Path, warehouse_url: str) -> None:
    with shut(), up(folder) as process:
        wait_until(warehouse_url, "SELECT count(*) FROM run WHERE state = 'running'", 4, process)
        process.kill()
        process.wait(DEADLINE)
    assert Counter(state for _, state, *_ in runs(warehouse_url)) == {"running": 4}
    assert facts(warehouse_url, "hourly") == []
    goes_on_to_its_end(folder)
    each_window_was_read_once(warehouse_url)
    lost = rows_of(warehouse_url, "SELECT error FROM run WHERE state = 'lost'")
    assert lost == [(LOST,)] * 4


def test_interrupted_in_the_middle_of_runs_it_ends_in_bounded_time(folder: Path, warehouse_url: str) -> None:
    with shut(), up(folder) as process:
        wait_until(warehouse_url, "SELECT count(*) FROM run WHERE state = 'running'", 4, process)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)  # although the gate stays shut
    assert process.returncode == 0
    assert said.count("  stopped after ") == 4
    assert Counter(state for _, state, *_ in runs(warehouse_url)) == {"stopped": 4}
    assert facts(warehouse_url, "hourly") == []
    goes_on_to_its_end(folder)
    each_window_was_read_once(warehouse_url)
