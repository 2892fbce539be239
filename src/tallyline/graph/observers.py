"""Observers: what is told of a run while it goes on. Any callable that takes a Report is one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tallyline.graph.report import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.graph.report import Report

__all__ = ["json_lines", "plain", "prometheus", "together"]

_METRICS = {
    "tallyline_node_rows_in": ("rows_in", "Rows that the node took in its last run."),
    "tallyline_node_rows_out": ("rows_out", "Rows that the node gave in its last run."),
    "tallyline_node_rows_skipped": ("skipped", "Rows that the node failed on and left out in its last run."),
    "tallyline_node_errors": ("errors", "Failures of the node that ended its last run."),
    "tallyline_node_busy_seconds": ("seconds", "Seconds that the node worked in its last run."),
    "tallyline_node_waiting_seconds": ("waiting", "Seconds that the node waited in its last run."),
}


def json_lines(file: IO[str]) -> Callable[[Report], None]:
    """Write a report as a line of JSON each time: when the run starts, now and then, and when it ends.

    >>> import io
    >>> from tallyline.graph import Graph, run
    >>> told = io.StringIO()
    >>> _ = run(Graph([1], str), observe=json_lines(told))
    >>> [json.loads(line)["state"] for line in told.getvalue().splitlines()]
    ['running', 'done']
    """

    def observe(report: Report) -> None:
        file.write(json.dumps(report.as_dict(), ensure_ascii=False) + "\n")
        file.flush()

    return observe


def plain(file: IO[str] | None = None) -> Callable[[Report], None]:
    """Print the counts when the run has ended, to standard output or a file."""

    def observe(report: Report) -> None:
        if report.state.ended:
            print(report, file=file or sys.stdout)

    return observe


def prometheus(path: str | Path, graph: str) -> Callable[[Report], None]:
    """Write the counts as a file for the textfile collector of Prometheus' node exporter, replaced as a whole.

    `graph` is the label that tells this graph's counts from those of others.
    """
    file = Path(path)
    part = file.with_name(f".{file.name}.part")

    def observe(report: Report) -> None:
        part.write_text("".join(_exposition(report, graph)), encoding="utf-8")
        part.replace(file)

    return observe


def together(*observers: Callable[[Report], None]) -> Callable[[Report], None]:
    """Tell several observers."""

    def observe(report: Report) -> None:
        for each in observers:
            each(report)

    return observe


def _exposition(report: Report, graph: str) -> Iterator[str]:
    for name, (field, meaning) in _METRICS.items():
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"
        for node in report.nodes:
            yield f"{name}{{graph={_label(graph)},node={_label(node.name)}}} {getattr(node, field)}\n"
    yield "# HELP tallyline_run_succeeded Whether the run ended well.\n# TYPE tallyline_run_succeeded gauge\n"
    yield f"tallyline_run_succeeded{{graph={_label(graph)}}} {int(report.state is State.DONE)}\n"


def _label(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
