"""What observers are told of a run, and what they make of it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Report, State, json_lines, plain, prometheus, run, together

if TYPE_CHECKING:
    from pathlib import Path


def test_an_observer_is_told_of_the_start_and_of_the_end() -> None:
    states: list[State] = []

    run(Graph([1, 2], str), observe=lambda report: states.append(report.state))

    assert states[0] is State.RUNNING
    assert states[-1] is State.DONE


def test_an_observer_is_told_of_a_failure() -> None:
    told: list[Report] = []

    with pytest.raises(NodeFailed) as failed:
        run(Graph([1, 0], lambda row: 1 // row), observe=told.append)

    assert told[-1].state is State.FAILED
    assert told[-1] is failed.value.report


def test_plain_prints_the_counts_once_in_the_end() -> None:
    file = io.StringIO()

    run(Graph([1, 2], str), observe=plain(file))

    assert file.getvalue() == " - list in=1 out=2 [done]\n - str in=2 out=2 [done]\n"


def test_json_lines_are_whole_reports() -> None:
    file = io.StringIO()

    run(Graph([1, 2], str), observe=json_lines(file))

    last = json.loads(file.getvalue().splitlines()[-1])
    assert [(node["name"], node["in"], node["out"]) for node in last["nodes"]] == [("list", 1, 2), ("str", 2, 2)]


def test_prometheus_gets_a_file_in_its_own_format(tmp_path: Path) -> None:
    file = tmp_path / "tallyline.prom"

    run(Graph([1, 2], str), observe=prometheus(file, 'the "shop"'))

    lines = file.read_text().splitlines()
    assert 'tallyline_node_rows_out{graph="the \\"shop\\"",node="str"} 2' in lines
    assert 'tallyline_run_succeeded{graph="the \\"shop\\""} 1' in lines
    assert list(tmp_path.iterdir()) == [file]


def test_prometheus_is_told_that_a_run_did_not_succeed(tmp_path: Path) -> None:
    file = tmp_path / "tallyline.prom"

    with pytest.raises(NodeFailed):
        run(Graph([0], lambda row: 1 // row), observe=prometheus(file, "shop"))

    assert 'tallyline_run_succeeded{graph="shop"} 0' in file.read_text().splitlines()


def test_several_observers_are_told_alike() -> None:
    first: list[Report] = []
    second: list[Report] = []

    run(Graph([1]), observe=together(first.append, second.append))

    assert first == second
    assert first
