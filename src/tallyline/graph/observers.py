"""Observers: what is told of a run while it goes on. Any callable that takes a Report is one."""

from __future__ import annotations

import json
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallyline.graph.report import Report

__all__ = ["json_lines", "plain", "together"]


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


def together(*observers: Callable[[Report], None]) -> Callable[[Report], None]:
    """Tell several observers."""

    def observe(report: Report) -> None:
        for each in observers:
            each(report)

    return observe
