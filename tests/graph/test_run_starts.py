"""Several starts run at the same time, and end together."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Report, State, node, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.graph.conftest import Clock

PATIENCE = 30  # only where something is wrong does anybody wait so long


def test_two_starts_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def meet() -> Iterator[bool]:
        both.wait(PATIENCE)
        yield True

    met: list[object] = []
    graph = Graph(meet, met.append)
    _ = graph >> meet >> graph["append"]
    run(graph)
    assert met == [True, True]


def test_two_starts_that_feed_nobody_in_common_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def meet() -> Iterator[int]:
        yield both.wait(PATIENCE)

    first: list[object] = []
    second: list[object] = []
    graph = Graph(meet, first.append)
    _ = graph >> meet >> second.append
    run(graph)
    assert sorted([*first, *second], key=str) == [0, 1]


def test_rows_of_each_start_keep_their_order() -> None:
    rows: list[int] = []
    graph = Graph(range(5000), rows.append)
    _ = graph >> range(10_000, 15_000) >> graph["append"]
    report = run(graph)
    assert [row for row in rows if row < 5000] == list(range(5000))
    assert [row for row in rows if row >= 10_000] == list(range(10_000, 15_000))
    assert str(report) == (
        " - range in=1 out=5000 [done]\n - append in=10000 out=0 [done]\n - range-2 in=1 out=5000 [done]"
    )


def test_starts_are_slow_and_quick_without_a_loss() -> None:
    """The quick start ends before the slow one gives its first row."""
    ended = threading.Event()

    def slow() -> Iterator[int]:
        assert ended.wait(PATIENCE)
        yield -1

    def quick() -> Iterator[int]:
        yield from range(1000)
        ended.set()

    rows: list[int] = []
    graph = Graph(slow, rows.append)
    _ = graph >> quick >> graph["append"]
    run(graph)
    assert sorted(rows) == [-1, *range(1000)]


def test_a_row_of_a_slow_start_arrives_before_the_next_is_made(clock: Clock) -> None:
    arrived = threading.Event()

    def slow() -> Iterator[str]:
        clock.turn(1)
        yield "first"
        yield "in time" if arrived.wait(PATIENCE) else "too late"

    rows: list[str] = []

    def collect(row: str) -> None:
        rows.append(row)
        arrived.set()

    graph = Graph(slow, collect)
    _ = graph >> [] >> graph["collect"]
    run(graph)
    assert rows == ["first", "in time"]


def test_a_graph_counts_the_same_with_several_starts_as_with_one() -> None:
    """The same three nodes, once fed by two ranges in threads of their own and once by two branches of one start."""
    some, text = node(lambda row: row if row % 3 else None, name="some"), node(str, name="text")
    several = Graph(node(range(1000), name="a"), some, text)
    _ = several >> node(range(500), name="b") >> several["some"]
    single = Graph(["row"], node(lambda _: iter(range(1000)), name="a"), some, text)
    _ = single["list"] >> node(lambda _: iter(range(500)), name="b") >> single["some"]
    reports = [run(several), run(single)]
    counts = [[str(report[name]) for name in ("a", "b", "some", "text")] for report in reports]
    multiples = 334 + 167  # of three, which are left out
    assert counts[0] == counts[1]
    assert counts[0][2] == f" - some in=1500 out={1500 - multiples} [done]"


def test_a_start_that_fails_stops_another_that_would_never_end() -> None:
    closed = threading.Event()
    running = threading.Event()

    def endless() -> Iterator[int]:
        try:
            for number in itertools.count():
                running.set()
                yield number
        finally:
            closed.set()

    def bad() -> Iterator[int]:
        assert running.wait(PATIENCE)
        yield 1 // 0

    graph = Graph(endless, str)
    _ = graph >> bad >> graph["str"]
    observed: list[Report] = []
    with pytest.raises(NodeFailed, match=r"^bad failed: ZeroDivisionError: integer division or modulo by zero$"):
        run(graph, observe=observed.append)
    assert closed.is_set()
    assert {counts.name: str(counts.state) for counts in observed[-1].nodes} == {
        "endless": "stopped",
        "str": "stopped",
        "bad": "failed",
    }


def test_a_node_that_fails_stops_starts_that_wait_for_room() -> None:
    """There is no room but for one batch, so that one start always waits for the other's."""
    closed: list[str] = []
    seen: set[str] = set()

    def endless(name: str) -> Iterator[str]:
        try:
            yield from itertools.repeat(name)
        finally:
            closed.append(name)

    def bad(row: str) -> None:
        seen.add(row)
        if len(seen) == 2:
            raise ValueError

    graph = Graph(lambda: endless("first"), bad)
    _ = graph >> (lambda: endless("second")) >> graph["bad"]
    with pytest.raises(NodeFailed, match=r"^bad failed at row '(first|second)': ValueError: $"):
        run(graph, most_rows=1)
    assert sorted(closed) == ["first", "second"]


def test_a_start_is_held_back_while_nobody_takes_its_rows() -> None:
    made = taken = ahead = 0

    def start() -> Iterator[int]:
        nonlocal made
        for number in range(50_000):
            made = number
            yield number

    def take(_: int) -> None:
        nonlocal taken, ahead
        taken += 1
        ahead = max(ahead, made - taken)

    graph = Graph(start, take)
    _ = graph >> [] >> graph["take"]
    run(graph, most_rows=1000)
    assert taken == 50_000
    assert ahead < 3000  # those that wait, and a few batches in hand


def test_the_failure_of_a_start_is_told_though_much_is_under_way() -> None:
    """The neighbour of the failing start fills every place in which rows can wait."""
    much = threading.Event()

    def endless() -> Iterator[int]:
        yield from itertools.count()

    def bad() -> Iterator[int]:
        assert much.wait(PATIENCE)
        raise OSError
        yield

    def take(row: int) -> None:
        if row == 10_000:
            much.set()

    graph = Graph(endless, take)
    _ = graph >> bad >> graph["take"]
    with pytest.raises(NodeFailed, match=r"^bad failed: OSError: $"):
        run(graph, most_rows=1)


def test_a_start_that_has_ended_is_done_though_the_run_fails() -> None:
    taken = threading.Event()

    def short() -> Iterator[int]:
        yield 1

    def bad() -> Iterator[int]:
        assert taken.wait(PATIENCE)
        raise OSError
        yield

    graph = Graph(short, node(lambda _: taken.set(), name="take"))
    _ = graph >> bad >> str
    observed: list[Report] = []
    with pytest.raises(NodeFailed):
        run(graph, observe=observed.append)
    assert observed[-1].state is State.FAILED
    assert observed[-1]["bad"].state is State.FAILED
    assert observed[-1]["short"].rows_out == observed[-1]["take"].rows_in == 1


def test_threads_do_not_outlive_a_run() -> None:
    before = set(threading.enumerate())
    graph = Graph(range(1000), str)
    _ = graph >> range(1000) >> graph["str"]
    run(graph)
    _ = (bad := Graph(range(1000), lambda row: 1 // row)) >> range(1000) >> bad["<lambda>"]
    with pytest.raises(NodeFailed):
        run(bad)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_a_start_ends_the_others(interruption: type[BaseException]) -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    def interrupted() -> Iterator[int]:
        yield 1
        raise interruption

    graph = Graph(endless, str)
    _ = graph >> interrupted >> graph["str"]
    with pytest.raises(interruption):
        run(graph)
    assert closed.is_set()
