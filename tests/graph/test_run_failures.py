"""A node that fails ends the run: who failed, at which row and why, and nothing is left open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import GraphError, NodeFailed, SourceFailed
from tallyline.graph import Graph, Report, State, node, run, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.graph.conftest import Clock


def failure(graph: Graph) -> tuple[NodeFailed, Report]:
    """Run a graph that fails, and return how."""
    observed: list[Report] = []
    with pytest.raises(NodeFailed) as failed:
        run(graph, observe=observed.append)
    return failed.value, observed[-1]


def fail_at(wanted: int) -> Callable[[int], int]:
    def check(row: int) -> int:
        if row == wanted:
            msg = f"not {row}"
            raise ValueError(msg)
        return row

    return check


def test_a_failing_node_is_told_with_its_row_and_the_cause() -> None:
    failed, _ = failure(Graph(range(10), str, node(lambda row: fail_at(3)(int(row)), name="check")))
    assert (failed.node, failed.row) == ("check", "3")
    assert str(failed) == "check failed at row '3': ValueError: not 3"
    assert isinstance(failed.__cause__, ValueError)


def test_a_long_row_is_shortened() -> None:
    failed, _ = failure(Graph(["x" * 1000], int))
    assert str(failed).startswith(f"int failed at row '{'x' * 199}…: ValueError: ")


def test_an_error_of_our_own_is_told_without_its_kind() -> None:
    def refuse(_: int) -> None:
        msg = "the shop refused"
        raise SourceFailed(msg)

    failed, report = failure(Graph([1], refuse))
    assert str(failed) == report.error == "refuse failed at row 1: the shop refused"


def test_a_generator_that_fails_on_its_way_is_told_with_its_row() -> None:
    def halves(row: int) -> Iterator[float]:
        yield row / 2
        yield 1 / (row - 2)

    failed, _ = failure(Graph([1, 2, 3], halves))
    assert str(failed) == "halves failed at row 2: ZeroDivisionError: division by zero"


def test_a_callable_that_raises_stop_iteration_fails() -> None:
    failed, report = failure(Graph([1, 2], lambda _: next(iter(()))))
    assert (failed.node, failed.row) == ("<lambda>", 1)
    assert report["<lambda>"].errors == 1


def generator_start() -> Iterator[int]:
    yield 1
    msg = "gone"
    raise OSError(msg)


def function_start() -> list[int]:
    msg = "gone"
    raise OSError(msg)


class Unreadable:
    """An iterable that cannot be iterated."""

    def __iter__(self) -> Iterator[int]:
        """Fail at once."""
        msg = "gone"
        raise OSError(msg)


class UnreadableOnTheWay:
    """An iterable whose iterator fails."""

    def __iter__(self) -> Iterator[int]:
        """Fail after the first row."""
        return (1 // number for number in (1, 0))


@pytest.mark.parametrize(
    ("start", "name", "cause"),
    [
        (generator_start, "generator_start", "OSError: gone"),
        (function_start, "function_start", "OSError: gone"),
        (Unreadable(), "Unreadable", "OSError: gone"),
        (UnreadableOnTheWay(), "UnreadableOnTheWay", "ZeroDivisionError: integer division or modulo by zero"),
    ],
)
@pytest.mark.parametrize("beside", [0, 1])
def test_a_start_that_fails_is_told_without_a_row(
    start: Iterable[int] | Callable[..., object], name: str, cause: str, beside: int
) -> None:
    graph = Graph(start, str)
    for _ in range(beside):
        graph >> [1] >> graph["str"]
    failed, report = failure(graph)
    assert str(failed) == f"{name} failed: {cause}"
    assert failed.row is None
    assert (report[name].rows_in, report[name].errors, report[name].state) == (1, 1, State.FAILED)


@pytest.mark.parametrize("given", [None, 3])
def test_a_start_that_gives_no_rows_fails(given: object) -> None:
    failed, _ = failure(Graph(lambda: given, str))
    assert failed.node == "<lambda>"
    assert isinstance(failed.__cause__, TypeError)
    assert repr(given) in str(failed)


def test_the_report_of_a_failed_run_tells_who_failed_and_who_was_stopped() -> None:
    _, report = failure(Graph([1, 2, 3], node(str, name="before"), node(lambda _: 1 // 0, name="bad"), len))
    assert report.state is State.FAILED
    assert report.error == "bad failed at row '1': ZeroDivisionError: integer division or modulo by zero"
    assert [(counts.name, counts.errors, str(counts.state)) for counts in report.nodes] == [
        ("list", 0, "stopped"),
        ("before", 0, "stopped"),
        ("bad", 1, "failed"),
        ("len", 0, "stopped"),
    ]


def test_nothing_is_handed_on_after_a_failure() -> None:
    seen: list[int] = []
    failure(Graph(range(100_000), fail_at(1000), seen.append))
    assert seen == list(range(len(seen)))
    assert len(seen) <= 1000


def test_generators_upstream_are_closed_when_a_node_fails() -> None:
    closed: list[str] = []

    def start() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            closed.append("start")

    def middle(row: int) -> Iterator[int]:
        try:
            yield row
            yield from range(10_000)
        finally:
            closed.append("middle")

    failure(Graph(start, middle, fail_at(0)))
    assert closed == ["middle", "start"]


def test_a_generator_that_fails_to_close_does_not_hide_what_ended_the_run() -> None:
    def start() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            msg = "the database has gone, too"
            raise OSError(msg)

    failed, report = failure(Graph(start, fail_at(0)))
    assert str(failed) == report.error == "check failed at row 0: ValueError: not 0"


class Uncopyable:
    """A row that no other branch can have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize("beside", [0, 1])
def test_a_row_that_cannot_be_copied_for_another_branch_fails_the_node_that_gave_it(beside: int) -> None:
    graph = Graph(lambda: [Uncopyable()], str)
    _ = graph["<lambda>"] >> repr
    for _ in range(beside):
        graph >> [1] >> graph["str"]
    failed, report = failure(graph)
    assert failed.node == "<lambda>"
    assert isinstance(failed.row, Uncopyable)
    assert "it gives rows to several branches, and this one cannot be copied: TypeError: " in str(failed)
    assert report["<lambda>"].state is State.FAILED


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("beside", [0, 1])
def test_an_interruption_in_a_node_ends_the_run_as_it_is(interruption: type[BaseException], beside: int) -> None:
    closed: list[str] = []
    observed: list[Report] = []

    class Shop:
        def __enter__(self) -> str:
            return "shop"

        def __exit__(self, *_: object) -> None:
            closed.append("shop")

    def interrupted(row: int, shop: str) -> None:
        raise interruption

    def start() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            closed.append("start")

    graph = Graph(start, interrupted)
    for _ in range(beside):
        graph >> [1] >> graph["interrupted"]
    with pytest.raises(interruption):
        run(graph, {"shop": service(Shop)}, observed.append)
    assert closed == ["start", "shop"]
    assert (observed[-1].state, observed[-1].error) == (State.STOPPED, interruption.__name__)
    assert {counts.name: counts.errors for counts in observed[-1].nodes}["interrupted"] == 0
    assert all(counts.state in {State.STOPPED, State.DONE} for counts in observed[-1].nodes)


def test_an_interruption_in_the_observer_ends_the_run(clock: Clock) -> None:
    def start() -> Iterator[int]:
        for number in range(10):
            clock.turn(1)
            yield number

    def interrupt(report: Report) -> None:
        if report.state is State.RUNNING and report["start"].rows_out:
            raise KeyboardInterrupt

    rows: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(Graph(start, rows.append), observe=interrupt)
    assert len(rows) < 10


def test_a_graph_that_failed_can_run_again() -> None:
    tries: list[int] = []

    def fail_once(row: int) -> int:
        tries.append(row)
        return 1 // (len(tries) - 1)

    graph = Graph([1], fail_once)
    failure(graph)
    assert str(run(graph)) == " - list in=1 out=1 [done]\n - fail_once in=1 out=1 [done]"


def test_a_missing_service_is_refused_before_a_node_can_fail() -> None:
    with pytest.raises(GraphError):
        run(Graph(function_start, lambda row, shop: (row, shop)))
