"""`tallyline read`: what it says, what it writes, and which window it chooses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import time_machine

from tests.cli.terminal import make_project, tallyline
from tests.warehouse.publishing import at, facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"
start = 2026-07-01

[metrics]
orders = {}
customers = { kind = "level" }
"""
CODE = """
from tallyline import Grain, source


@source
def orders(window, zone):
    for hour in window.buckets(Grain.HOUR, zone):
        yield {"time": hour}, {"orders": hour.hour}


@source(snapshot=True)
def customers(now, window):
    yield {"time": now}, {"customers": 7}
"""
NOW = at("2026-07-03 10:30")


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """It is half past ten in the morning."""
    with time_machine.travel(NOW) as traveller:
        yield traveller


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose first day is the day before yesterday."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return make_project(tmp_path / "project", PROJECT, CODE)


def read(project: Path, *arguments: str) -> tuple[str, str]:
    """Read and write a source, and return the window that was read."""
    answer = tallyline("read", *arguments, "--write", "--json", project=project)
    assert answer.status == 0
    [result] = answer.data
    return result["since"], result["until"]


def test_what_is_read_is_told_in_plain_lines(project: Path) -> None:
    answer = tallyline("read", "all", "--write", project=project)
    assert (answer.status, answer.err) == (0, "")
    seconds = re.compile(r"\d+\.\d s$", re.MULTILINE)
    assert (
        seconds.sub("SECONDS", answer.out)
        == """\
orders  2026-07-01 00:00 … 2026-07-03 11:00
 - orders in=1 out=59 [done]
 - normalize in=59 out=59 [done]
 - write in=59 out=0 [done]
   59 new, 0 changed, 0 removed, 0 as before
customers  2026-07-03 10:00 … 2026-07-03 11:00
 - customers in=1 out=1 [done]
 - normalize in=1 out=1 [done]
 - write in=1 out=0 [done]
   1 new, 0 changed, 0 removed, 0 as before
2 sources, 60 values written, SECONDS
"""
    )


def test_without_write_nothing_is_written_and_the_same_is_counted(
    project: Path, warehouse_url: str, tmp_path: Path
) -> None:
    answer = tallyline("read", "all", project=project)
    assert answer.status == 0
    assert " - compare in=59 out=0 [done]\n   would be: 59 new, 0 changed, 0 removed, 0 as before\n" in answer.out
    assert "2 sources, 60 values would be written; --write writes them" in answer.out
    assert not (tmp_path / "warehouse.db").exists()
    assert tallyline("show", "orders", "--json", project=project).data == []


def test_json_tells_window_changes_and_counts(project: Path) -> None:
    answer = tallyline("read", "orders", "--write", "--json", project=project)
    [result] = answer.data
    assert answer.err == ""
    assert result["report"].pop("seconds") >= 0
    assert [node.pop("seconds") >= 0 for node in result["report"]["nodes"]] == [True] * 3
    assert {key: result[key] for key in ("source", "since", "until", "state", "error", "changes")} == {
        "source": "orders",
        "since": "2026-07-01T00:00:00+00:00",
        "until": "2026-07-03T11:00:00+00:00",
        "state": "done",
        "error": None,
        "changes": {"added": 59, "changed": 0, "removed": 0, "unchanged": 0},
    }
    assert [(node["name"], node["in"], node["out"], node["state"]) for node in result["report"]["nodes"]] == [
        ("orders", 1, 59, "done"),
        ("normalize", 59, 59, "done"),
        ("write", 59, 0, "done"),
    ]


def test_the_ledger_keeps_the_report(project: Path, warehouse_url: str) -> None:
    assert tallyline("read", "orders", "--write", project=project).status == 0
    [(state, added, error)] = rows_of(warehouse_url, "SELECT state, added, error FROM run")
    assert (state, added, error) == ("done", 59, "")
    [(nodes,)] = rows_of(warehouse_url, "SELECT report ->> 'nodes' FROM run")
    assert [name in nodes for name in ("orders", "normalize", "write")] == [True] * 3


def test_the_next_read_goes_on_where_the_last_one_ended_less_its_look_back(
    project: Path, warehouse_url: str, clock: time_machine.Traveller
) -> None:
    from_its_start = ("2026-07-01T00:00:00+00:00", "2026-07-03T11:00:00+00:00")
    assert read(project, "orders") == from_its_start
    clock.move_to(at("2026-07-03 12:10"))
    two_days_back = ("2026-07-01T10:00:00+00:00", "2026-07-03T13:00:00+00:00")
    assert read(project, "orders") == two_days_back
    clock.move_to(at("2026-07-09 08:00"))
    before_the_gap = ("2026-07-01T12:00:00+00:00", "2026-07-09T09:00:00+00:00")
    assert read(project, "orders") == before_the_gap
    assert len(facts(warehouse_url, "hourly")) == 8 * 24 + 9


def test_the_window_may_be_named_and_is_widened_to_whole_hours(project: Path) -> None:
    named = ["--since", "2026-07-02T10:20", "--until", "2026-07-02T12:01"]
    assert read(project, "orders", *named) == ("2026-07-02T10:00:00+00:00", "2026-07-02T13:00:00+00:00")


def test_a_snapshot_is_kept_under_the_running_hour_whatever_is_asked(project: Path, warehouse_url: str) -> None:
    running = ("2026-07-03T10:00:00+00:00", "2026-07-03T11:00:00+00:00")
    assert read(project, "customers", "--since", "2026-07-01") == running
    assert [fact.time for fact in facts(warehouse_url, "hourly")] == [running[0]]


def test_a_source_named_twice_is_read_once(project: Path) -> None:
    assert len(tallyline("read", "orders", "orders", "--json", project=project).data) == 1


def test_a_window_that_ends_before_it_begins_is_refused(project: Path, warehouse_url: str) -> None:
    answer = tallyline("read", "orders", "--write", "--since", "2026-07-02", "--until", "2026-07-01", project=project)
    assert answer.status == 2
    assert "the window ends (2026-07-01 00:00 UTC) before it begins (2026-07-02 00:00 UTC)" in answer.err
    assert rows_of(warehouse_url, "SELECT count(*) FROM run") == [(0,)]


def test_the_project_may_be_named_by_the_environment(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYLINE_PROJECT", str(project))
    assert len(tallyline("read", "all", "--json").data) == 2
