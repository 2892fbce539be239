"""`tallyline up` serves the page and reads what is due, until it is interrupted; with --once, it only reads."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import Answer, command, make_project, tallyline
from tests.warehouse.publishing import PARIS, at, facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
title = "My shop"
timezone = "Europe/Paris"

[services]
till = "${TILL_URL}"

[metrics]
orders = { title = "Orders" }
visits = {}
"""

CODE = """
from datetime import date, timedelta
from pathlib import Path

from tallyline import Grain, source
from tallyline.errors import Unavailable

HERE = Path(__file__).parent


@source(start=date(2026, 7, 1), lookback=timedelta(hours=2), at_once=timedelta(days=7))
def orders(window, zone):
    if (HERE / "closed").exists():
        raise OSError("the shop is closed")
    if (HERE / "away").exists():
        raise Unavailable("the shop is away")
    for hour in window.buckets(Grain.HOUR, zone):
        yield {"time": hour}, {"orders": 1}
"""
OF_A_TILL = """

@source(schedule="@daily")
def visits(window, till):
    yield {"time": window.since}, {"visits": 1}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of which nothing was read yet."""
    return make_project(tmp_path / "project", PROJECT, CODE)


@contextmanager
def up(project: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run it in a process of its own."""
    words = command("up", *options, "--project", project)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], what: str) -> list[str]:
    """Return what it prints up to a line that has a text in it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if what in line:
            return lines
    pytest.fail(f"it has ended without a word of {what}: {lines}")


def url_of(project: Path) -> str:
    """Return the URL of its warehouse."""
    return f"sqlite:///{project / 'warehouse.db'}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_the_page_is_serves_it_and_ends_quietly(project: Path, number: signal.Signals) -> None:
    with up(project, "--port", "0") as process:
        told = re.fullmatch(
            r"My shop is at (http://127\.0\.0\.1:\d+/)   \(Ctrl-C ends it\)", lines_until(process, "is at")[0]
        )
        assert told is not None
        with urllib.request.urlopen(told[1], timeout=30) as page:  # noqa: S310  # the address is its own
            assert "My shop" in page.read().decode()
        process.send_signal(number)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_it_reads_what_is_due_says_what_is_next_and_shows_it(project: Path) -> None:
    with up(project, "--port", "0") as process:
        first, *runs, coming = lines_until(process, "next: ")
        address = first.split()[4]
        with urllib.request.urlopen(f"{address}runs", timeout=30) as page:  # noqa: S310  # the address is its own
            assert "orders" in page.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert all(re.search(r"  orders  .* … .*  [\d,]+ rows, [\d,]+ new, [\d.]+ s  done$", run) for run in runs)
    assert coming[19:].startswith("  next: orders at 20")
    assert {state for (state,) in rows_of(url_of(project), "SELECT state FROM run")} == {"done"}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with a name")
def test_it_opens_the_page_in_a_browser(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "browser").write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/asked\n', encoding="utf-8")
    (tmp_path / "browser").chmod(0o755)
    os.mkfifo(tmp_path / "asked")
    monkeypatch.setenv("BROWSER", f"{tmp_path / 'browser'} %s")
    with up(project, "--port", "0", "--no-schedule", "--open") as process:
        address = lines_until(process, "is at")[0].split()[4]
        assert (tmp_path / "asked").read_text("utf-8") == f"{address}\n"


def test_without_the_schedule_it_only_serves_the_page(project: Path) -> None:
    with up(project, "--port", "0", "--no-schedule") as process:
        address = lines_until(process, "is at")[0].split()[4]
        with urllib.request.urlopen(address, timeout=30) as page:  # noqa: S310  # the address is its own
            assert "My shop" in page.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert rows_of(url_of(project), "SELECT count(*) FROM run") == [(0,)]


def test_without_the_page_it_only_reads(project: Path) -> None:
    with up(project, "--no-page") as process:
        assert lines_until(process, "next: ")[0] == "My shop is read as it is due   (Ctrl-C ends it)"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("options", [("--once", "--no-schedule"), ("--no-page", "--no-schedule")])
def test_nothing_to_do_is_refused(project: Path, options: tuple[str, ...]) -> None:
    answer = tallyline("up", *options, project=project)
    assert answer.status == 2
    assert "nothing is left to do; leave out --no-schedule" in answer.err


def test_a_port_that_is_taken_is_refused_and_nothing_is_read(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = tallyline("up", "--port", str(port), project=project)
    assert answer.status == 2
    assert f"port {port} on 127.0.0.1 is taken by another program" in answer.err
    assert rows_of(url_of(project), "SELECT count(*) FROM run") == [(0,)]


def test_what_is_no_port_is_refused(project: Path) -> None:
    answer = tallyline("up", "--port", "70000", project=project)
    assert answer.status == 2
    assert "70000 is not in the range 0<=x<=65535" in answer.err


# --once


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, first at half past nine."""
    with time_machine.travel(at("2026-07-14 09:30", PARIS), tick=False) as traveller:
        yield traveller


def once(project: Path) -> Answer:
    """Read what is due, and end; nothing of it takes any time."""
    answer = tallyline("up", "--once", project=project)
    return Answer(answer.status, *(re.sub(r"\d+\.\d s", "0.0 s", text) for text in (answer.out, answer.err)))


def test_once_reads_what_is_due_to_its_end(project: Path, clock: object) -> None:
    assert once(project) == Answer(
        0,
        """\
2026-07-14 09:30:00  orders  2026-07-14 06:00 … 2026-07-14 09:00  3 rows, 3 new, 0.0 s  done
2026-07-14 09:30:00  orders  2026-07-08 00:00 … 2026-07-14 06:00  150 rows, 150 new, 0.0 s  done
2026-07-14 09:30:00  orders  2026-07-01 00:00 … 2026-07-08 00:00  168 rows, 168 new, 0.0 s  done
2026-07-14 09:30:00  next: orders at 2026-07-14 10:00
""",
        "",
    )
    assert once(project) == Answer(0, "2026-07-14 09:30:00  next: orders at 2026-07-14 10:00\n", "")
    assert len(facts(url_of(project), "hourly")) == 13 * 24 + 9


def test_once_ends_with_one_where_a_run_has_failed_which_it_tries_again_at_the_next_tick(
    project: Path, clock: time_machine.Traveller
) -> None:
    assert once(project).status == 0
    (project / "closed").touch()
    clock.move_to(at("2026-07-14 10:01", PARIS))
    failed = once(project)
    assert (failed.status, failed.out) == (1, "2026-07-14 10:01:00  next: orders at 2026-07-14 11:00\n")
    assert failed.err == (
        "2026-07-14 10:01:00  orders  2026-07-14 07:00 … 2026-07-14 10:00  failed after 0.0 s, nothing was written: "
        "orders failed: OSError: the shop is closed\nerror: 1 of 1 runs failed: orders\n"
    )
    (project / "closed").unlink()
    clock.shift(timedelta(minutes=30))
    assert once(project) == Answer(0, "2026-07-14 10:31:00  next: orders at 2026-07-14 11:00\n", "")
    clock.move_to(at("2026-07-14 11:00", PARIS))
    assert once(project).out.splitlines()[:-1] == [
        "2026-07-14 11:00:00  orders  2026-07-14 08:00 … 2026-07-14 11:00  3 rows, 2 new, 0.0 s  done",
        "2026-07-14 11:00:00  orders  2026-07-14 07:00 … 2026-07-14 08:00  1 row, 0.0 s  done",
    ]


def test_once_tries_a_service_that_was_away_again_after_a_while(project: Path, clock: time_machine.Traveller) -> None:
    assert once(project).status == 0
    (project / "away").touch()
    clock.move_to(at("2026-07-14 10:00:20", PARIS))
    assert once(project).out == "2026-07-14 10:00:20  next: orders at 2026-07-14 10:01:20\n"
    (project / "away").unlink()
    clock.move_to(at("2026-07-14 10:02", PARIS))
    again = once(project)
    assert (again.status, again.out.count("  done\n")) == (0, 1)


def test_once_ends_with_two_where_all_that_failed_was_refused(
    project: Path, clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILL_URL", raising=False)
    (project / "sources.py").write_text(CODE + OF_A_TILL, encoding="utf-8")
    answer = once(project)
    assert (answer.status, answer.out.count("  done\n")) == (2, 3)
    assert "visits  2026-07-11 00:00 … 2026-07-14 00:00  failed after 0.0 s, nothing was written: " in answer.err
    assert answer.err.endswith("error: 1 of 4 runs failed: visits\n")


def test_once_leaves_a_source_that_is_being_read_to_who_reads_it(project: Path, clock: object) -> None:
    assert tallyline("read", "orders", "--write", "--until", "2026-07-02", project=project).status == 0
    reader = f"UPDATE run SET state = 'running', process = {os.getppid()}, holder = '', ended_at = NULL"  # noqa: S608
    rows_of(url_of(project), reader)
    answer = once(project)
    assert (answer.status, answer.err) == (0, "")
    assert "done" not in answer.out
    assert answer.out.count("orders is being read already: run 1, process") == 1


def reached(gate: Path) -> int:
    """Return a gate, a pipe, once somebody stands at it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError):
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    pytest.fail("nobody came")


def test_once_that_is_interrupted_says_so(project: Path) -> None:
    (project / "sources.py").write_text(
        CODE.replace("    for hour", "    open(HERE / 'gate').read()\n    for hour"), encoding="utf-8"
    )
    os.mkfifo(project / "gate")
    with up(project, "--once") as process:
        gate = reached(project / "gate")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        os.close(gate)
    assert (process.returncode, said.strip()) == (1, "interrupted: nothing of what was under way was written")
    assert {state for (state,) in rows_of(url_of(project), "SELECT state FROM run")} == {"stopped"}
