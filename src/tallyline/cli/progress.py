"""Counts of a run while it goes on: live on a terminal, once at its end elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tallyline.graph import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.graph import Report

__all__ = ["console", "following", "styled"]

_STYLES = {State.DONE: "green", State.FAILED: "bold red", State.STOPPED: "yellow", State.RUNNING: "cyan"}


def console(*, error: bool = False) -> Console:
    """Return a console that neither wraps nor decorates what is piped."""
    return Console(stderr=error, highlight=False, soft_wrap=True)


def styled(report: Report) -> Text:
    """Return the lines of a report, the state of each node in its colour."""
    lines = Text()
    for node in report.nodes:
        line, _, _ = str(node).rpartition("[")
        lines.append(line).append(f"[{node.state}]", style=_STYLES.get(node.state, "dim")).append("\n")
    lines.rstrip()
    return lines


@contextmanager
def following(screen: Console) -> Iterator[Callable[[Report], None]]:
    """Give what observes a run: it draws the counts anew on a terminal, and elsewhere prints them when all is over."""
    if not screen.is_terminal:
        yield lambda report: screen.print(styled(report)) if report.state.ended else None
        return
    with Live(console=screen, auto_refresh=False) as live:
        yield lambda report: live.update(styled(report), refresh=True)
