"""How runs are told."""

from __future__ import annotations

import pytest

from tallyline.web.runs import NodeCounts, duration, nodes


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "<0.1 s"), (0.05, "0.1 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.6, "1 h 0 min"), (90061, "25 h 1 min")],
)
def test_a_length_of_time_is_told_in_its_two_greatest_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize("report", [{}, {"nodes": None}, {"nodes": "read"}, {"nodes": ["read"]}])
def test_a_report_without_nodes_has_none(report: dict[str, object]) -> None:
    assert nodes(report) == []


def test_a_node_of_which_little_is_known_is_told_nevertheless() -> None:
    assert nodes({"nodes": [{"name": "read", "in": "?"}]}) == [NodeCounts("read", 0, 0, 0, "")]
