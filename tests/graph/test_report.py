"""What a run tells of itself: a line for each node, and plain data."""

from __future__ import annotations

import json

import pytest

from tallyline.graph import Graph, NodeReport, Report, State, run


def test_a_line_tells_the_name_the_counts_and_the_state() -> None:
    assert str(NodeReport("orders", 1, 3, state=State.DONE)) == " - orders in=1 out=3 [done]"


def test_errors_are_told_where_there_are_some() -> None:
    assert str(NodeReport("check", 3, 0, errors=1, state=State.FAILED)) == " - check in=3 out=0 err=1 [failed]"


def test_a_report_is_a_line_for_each_node_in_the_order_of_the_graph() -> None:
    graph = Graph([1, 0, 2], str, lambda text: text if text != "0" else None)
    _ = graph["str"] >> len
    assert str(run(graph)) == (
        " - list in=1 out=3 [done]\n - str in=3 out=3 [done]\n - <lambda> in=3 out=2 [done]\n - len in=3 out=3 [done]"
    )


@pytest.mark.parametrize(
    ("told", "speed"),
    [
        (NodeReport("start", 1, 30, seconds=0.5), 60),
        (NodeReport("filter", 30, 2, seconds=0.5), 60),
        (NodeReport("waits"), None),
    ],
)
def test_the_speed_of_a_node_is_that_of_the_rows_it_takes_or_of_a_start_gives(
    told: NodeReport, speed: float | None
) -> None:
    assert told.rows_per_second == speed


def test_a_node_is_found_by_its_name() -> None:
    report = run(Graph([1, 2], str))
    assert report["str"] is report.nodes[1]


@pytest.mark.parametrize(
    ("state", "ended"),
    [("waiting", False), ("running", False), ("done", True), ("failed", True), ("stopped", True)],
)
def test_a_state_says_whether_more_will_come(state: str, ended: bool) -> None:  # noqa: FBT001  # by name only
    assert State(state).ended is ended


def test_a_report_is_plain_data() -> None:
    report = Report([NodeReport("orders", 1, 3, seconds=0.25, state=State.DONE)], State.DONE, 0.123456789, "")
    data = json.loads(json.dumps(report.as_dict()))
    assert (data["state"], data["seconds"], data["error"]) == ("done", 0.123457, "")
    (orders,) = data["nodes"]
    assert (orders["name"], orders["in"], orders["out"], orders["errors"]) == ("orders", 1, 3, 0)
    assert (orders["seconds"], orders["state"]) == (0.25, "done")


def test_the_report_of_a_run_survives_json() -> None:
    data = run(Graph([{"größe": 1}], str, len)).as_dict()
    assert json.loads(json.dumps(data)) == data


def test_a_report_before_its_run_waits() -> None:
    assert (Report().state, str(Report()), NodeReport("orders").state) == (State.WAITING, "", State.WAITING)
