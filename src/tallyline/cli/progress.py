"""Counts of a run while it goes on: live on a terminal, once at its end elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tallyline.graph import Report, State

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Following", "console", "following", "styled"]

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
def following(screen: Console) -> Iterator[Following]:
    """Follow a run: draw the counts anew on a terminal, and elsewhere print them when all is over."""
    if not screen.is_terminal:
        yield Following(screen, None)
        return
    with Live(console=screen, auto_refresh=False) as live:
        yield Following(screen, live)


class Following:
    """The counts of a run, and how far it is where it is read in parts."""

    def __init__(self, screen: Console, live: Live | None) -> None:
        """Draw on `live`, or print on `screen` in the end."""
        self._screen = screen
        self._live = live
        self._report = Report()
        self._part = ""
        self._began = time.monotonic()

    def observe(self, report: Report) -> None:
        """Take the counts."""
        self._report = report
        if self._live is not None:
            self._live.update(styled(report).append(self._part, style="dim"), refresh=True)

    def progress(self, done: int, of: int) -> None:
        """Take how many parts are done."""
        if of > 1 and self._live is not None:
            left = (time.monotonic() - self._began) / done * (of - done)
            self._part = f"\n   {done} of {of} windows, about {left:.0f} s left" if done < of else f"\n   {of} windows"

    def end(self) -> None:
        """Print what was not drawn."""
        if self._live is None:
            self._screen.print(styled(self._report))
        else:
            self._live.update(styled(self._report), refresh=True)
