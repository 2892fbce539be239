"""How a line of the run ledger is told on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["NodeCounts", "duration", "nodes"]

_MINUTE = 60
_HOUR = 60 * _MINUTE
_SHORT = 10


class NodeCounts(NamedTuple):
    """What went through a node of the run's graph."""

    name: str
    rows_in: int
    rows_out: int
    errors: int
    state: str


def nodes(report: Mapping[str, object]) -> list[NodeCounts]:
    """Return the nodes of a run's report; of a report without any, as of a run that still runs, none.

    >>> nodes({"nodes": [{"name": "read", "in": 0, "out": 3, "errors": 0, "seconds": 0.1, "state": "done"}]})
    [NodeCounts(name='read', rows_in=0, rows_out=3, errors=0, state='done')]
    """
    listed = report.get("nodes")
    if not isinstance(listed, list):
        return []
    return [_node(node) for node in listed if isinstance(node, Mapping)]


def duration(seconds: float | None) -> str:
    """Return a length of time as people say it.

    >>> [duration(seconds) for seconds in (None, 0.04, 9.96, 75, 3700)]
    ['', '<0.1 s', '10 s', '1 min 15 s', '1 h 1 min']
    """
    if seconds is None:
        return ""
    if seconds < 0.05:  # noqa: PLR2004  # what would be rounded to 0.0
        return "<0.1 s"
    if round(seconds, 1) < _SHORT:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _node(node: Mapping[str, object]) -> NodeCounts:
    rows_in, rows_out, errors = (_count(node.get(key)) for key in ("in", "out", "errors"))
    return NodeCounts(str(node.get("name", "")), rows_in, rows_out, errors, str(node.get("state", "")))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
