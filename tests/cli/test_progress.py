"""The counts of a run: drawn anew on a terminal, printed once at the end elsewhere."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from tallyline.cli.progress import following, styled
from tallyline.graph import NodeReport, Report, State


def report(rows: int, state: State) -> Report:
    """Return the report of a run of one node."""
    return Report([NodeReport("orders", rows_out=rows, state=state)], state)


def followed(*, terminal: bool) -> str:
    """Return what is written while a run goes on and ends."""
    written = StringIO()
    screen = Console(file=written, force_terminal=terminal, width=80)
    with following(screen) as follow:
        follow.observe(report(5, State.RUNNING))
        follow.progress(1, 3)
        follow.observe(report(9, State.DONE))
        follow.progress(3, 3)
        follow.end()
    return written.getvalue()


def test_elsewhere_the_counts_are_printed_once() -> None:
    assert followed(terminal=False) == " - orders in=0 out=9 [done]\n"


def test_on_a_terminal_they_are_drawn_anew() -> None:
    drawn = followed(terminal=True)
    assert 0 < drawn.index("out=5") < drawn.index("out=9")
    assert "\x1b[" in drawn
    assert "1 of 3 windows, about 0 s left" in drawn


def test_the_state_of_each_node_has_its_colour() -> None:
    running, failed = styled(report(1, State.RUNNING)), styled(report(1, State.FAILED))
    assert running.plain == " - orders in=0 out=1 [running]"
    assert running.spans != failed.spans


def test_a_run_of_many_nodes_has_a_line_for_each() -> None:
    several = Report([NodeReport("read"), NodeReport("write")], State.DONE)
    assert styled(several).plain.splitlines() == [" - read in=0 out=0 [waiting]", " - write in=0 out=0 [waiting]"]
