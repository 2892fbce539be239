"""Rows on their way through a graph: what a node may answer, in which order, and whose row it is."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.errors import GraphError
from tallyline.graph import Graph, Report, State, node, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.graph.conftest import Clock

MANY = 5000  # more than travel at once


def rows_of(start: Iterable[object] | Callable[..., object], *chain: Callable[..., object]) -> list[object]:
    """Run a chain and return what came out of it."""
    rows: list[object] = []
    run(Graph(start, *chain, rows.append))
    return rows


def twice(row: object) -> Iterator[object]:
    yield row
    yield row


class Adder:
    """A class with state, whose instances are nodes."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, row: int) -> int:
        """Add the row to the total."""
        self.total += row
        return self.total


def test_rows_pass_through_a_chain() -> None:
    assert rows_of([1, 2, 3], lambda row: row * 10, str) == ["10", "20", "30"]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 255, 256, 257, MANY])
def test_no_row_is_lost_or_changes_its_place(count: int) -> None:
    assert rows_of(range(count), lambda row: row, lambda row: row) == list(range(count))


@pytest.mark.parametrize("row", [0, "", {}, [], (), Decimal(0), False, 0.0, b"", frozenset(), Counter()], ids=repr)
def test_falsy_values_are_rows(row: object) -> None:
    (start, through, answer) = rows_of([row]), rows_of([row], lambda same: same), rows_of([1], lambda _: row)
    assert start == through == answer == [row]
    assert {type(seen) for seen in (*start, *through, *answer)} == {type(row)}


def test_an_answer_of_none_is_no_row() -> None:
    assert rows_of([1, 2, 3, 4], lambda row: row if row % 2 else None) == [1, 3]


def test_none_of_a_callable_drops_and_none_of_an_iterator_is_a_row_like_any_other() -> None:
    assert rows_of([1, None], lambda row: iter([row, None])) == [1, None, None, None]


@pytest.mark.parametrize("row", [(1, 2), [1, 2], "ab", {"a": 1}, {1, 2}, range(2)], ids=repr)
def test_collections_are_one_row(row: object) -> None:
    assert rows_of([7], lambda _: row) == [row]


@pytest.mark.parametrize(
    "expand",
    [
        twice,
        lambda row: (row for _ in range(2)),
        lambda row: iter([row, row]),
        lambda row: map(abs, [row, row]),
        lambda row: filter(None, [row, row]),
        lambda row: itertools.repeat(row, 2),
        lambda row: itertools.chain([row], [row]),
        lambda row: reversed([row, row]),
    ],
    ids=["generator", "expression", "iter", "map", "filter", "repeat", "chain", "reversed"],
)
def test_an_iterator_is_as_many_rows(expand: Callable[[int], object]) -> None:
    assert rows_of([1, 2], expand) == [1, 1, 2, 2]


def test_an_iterator_of_pairs_gives_pairs() -> None:
    assert rows_of([{"a": 1}], lambda row: zip(row, row.values(), strict=True)) == [("a", 1)]
    assert rows_of(["ab"], enumerate) == [(0, "a"), (1, "b")]


def test_an_iterator_of_nothing_is_no_row() -> None:
    assert rows_of([1, 2], lambda _: iter(())) == []


def test_one_row_may_become_many() -> None:
    assert rows_of([MANY, 2], lambda row: iter(range(row))) == [*range(MANY), 0, 1]


def test_expanded_rows_keep_their_place_among_others() -> None:
    def odd_twice(row: int) -> object:
        return iter([row, row]) if row % 2 else row

    assert rows_of([1, 2, 3, 4], odd_twice) == [1, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(
    "start",
    [[1, 2], (1, 2), {1: "a", 2: "b"}, {1: "a", 2: "b"}.keys(), range(1, 3), iter([1, 2])],
    ids=lambda start: type(start).__name__,
)
def test_any_iterable_starts_a_chain(start: Iterable[object]) -> None:
    assert rows_of(start) == [1, 2]


def test_a_callable_starts_a_chain_with_what_it_gives() -> None:
    assert rows_of(lambda: [1, 2]) == [1, 2]


def test_a_generator_function_starts_a_chain() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    assert rows_of(numbers) == [1, 2]


@pytest.mark.parametrize("start", [[1, 2], lambda: iter([1, 2])])
def test_a_graph_gives_its_rows_again_in_a_second_run(start: Any) -> None:  # noqa: ANN401  # a list or a function
    rows: list[object] = []
    graph = Graph(start, rows.append)
    reports = [str(run(graph)), str(run(graph))]
    assert rows == [1, 2, 1, 2]
    assert reports[0] == reports[1]


def test_an_object_that_can_be_called_is_a_node() -> None:
    assert rows_of([1, 2, 3], Adder()) == [1, 3, 6]


def test_a_method_and_a_class_are_nodes() -> None:
    assert rows_of(["1", "2"], int, Adder().__call__) == [1, 3]


def test_a_class_of_context_managers_is_a_node_like_any_class() -> None:
    assert rows_of(["a"], Path) == [Path("a")]


def test_a_fork_gives_every_row_to_every_branch_in_order() -> None:
    left: list[object] = []
    right: list[object] = []
    graph = Graph(range(MANY), left.append)
    _ = graph["range"] >> right.append
    run(graph)
    assert left == right == list(range(MANY))


def test_a_merge_gets_every_row_of_every_branch_each_in_order() -> None:
    rows: list[tuple[str, int]] = []
    graph = Graph(range(MANY), node(lambda row: ("left", row), name="left"), rows.append)
    _ = graph["range"] >> node(lambda row: ("right", row), name="right") >> graph["append"]
    report = run(graph)
    assert [row for side, row in rows if side == "left"] == list(range(MANY))
    assert [row for side, row in rows if side == "right"] == list(range(MANY))
    assert report["append"].rows_in == 2 * MANY


@dataclass
class Order:
    """A row of a kind of its own."""

    lines: list[str] = field(default_factory=list)


def fill(row: Any) -> Any:  # noqa: ANN401  # rows of every kind
    """Change a row, and what is in it, as deep as it goes."""
    match row:
        case dict():
            row.update(filled=True)
            for item in list(row.values()):
                fill(item)
        case list():
            for item in row:
                fill(item)
            row.append("filled")
        case tuple():
            for item in row:
                fill(item)
        case Order():
            fill(row.lines)
    return row


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": 1},
        lambda: {"a": {"b": [1]}},
        lambda: [1, [2, {"c": 3}]],
        lambda: ({"time": 1}, {"users.new": 2}),
        Order,
        lambda: {"order": Order()},
        lambda: Counter(a=1),
    ],
    ids=["dict", "nested", "list", "pair", "object", "object within", "subclass"],
)
def test_a_branch_does_not_see_what_another_does_to_its_rows(make: Callable[[], object]) -> None:
    filled: list[object] = []
    untouched: list[object] = []
    also_filled: list[object] = []
    graph = Graph(lambda: [make(), make()], fill, filled.append)
    _ = graph["<lambda>"] >> untouched.append
    _ = graph["<lambda>"] >> node(fill, name="refill") >> also_filled.append
    run(graph)
    assert untouched == [make(), make()]
    assert filled == also_filled == [fill(make()), fill(make())]


def test_a_branch_of_several_starts_has_a_view_of_its_own_too() -> None:
    untouched: list[object] = []
    graph = Graph(lambda: [{"a": 1}], fill)
    _ = graph["<lambda>"] >> untouched.append
    _ = graph >> {2: 3}.items() >> graph["fill"]
    run(graph)
    assert untouched == [{"a": 1}]


def test_a_row_that_is_not_forked_is_not_copied() -> None:
    order = Order()
    (row,) = rows_of([order], lambda same: same)
    assert row is order


def test_a_slow_start_hands_on_each_row_before_it_makes_the_next(clock: Clock) -> None:
    seen: list[int] = []
    handed_on: list[list[int]] = []

    def slow() -> Iterator[int]:
        for number in range(4):
            clock.turn(1)
            yield number
            handed_on.append(list(seen))

    run(Graph(slow, lambda row: row, seen.append))
    assert handed_on == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


def test_a_slow_node_hands_on_each_row_of_many_before_it_makes_the_next(clock: Clock) -> None:
    seen: list[int] = []
    handed_on: list[list[int]] = []

    def pages(_: str) -> Iterator[int]:
        for number in range(3):
            clock.turn(1)
            yield number
            handed_on.append(list(seen))

    run(Graph(["shop"], pages, seen.append))
    assert handed_on == [[0], [0, 1], [0, 1, 2]]


def test_a_slow_node_hands_on_each_answer_before_it_takes_the_next_row(clock: Clock) -> None:
    seen: list[int] = []
    handed_on: list[list[int]] = []

    def ask(row: int) -> int:
        handed_on.append(list(seen))
        clock.turn(1)
        return row

    run(Graph([0, 1, 2], ask, seen.append))
    assert handed_on == [[], [0], [0, 1]]


def test_rows_of_a_burst_between_waits_are_handed_on_before_the_next_wait(clock: Clock) -> None:
    seen: list[int] = []
    late: list[int] = []

    def bursts() -> Iterator[int]:
        for first in range(0, 1000, 50):
            late.append(first - len(seen))
            clock.turn(60)
            yield from range(first, first + 50)

    run(Graph(bursts, lambda row: row, seen.append))
    assert late == [0] * 20


def test_a_node_that_waits_after_bursts_hands_on_what_it_has_before_it_waits_again(clock: Clock) -> None:
    seen: list[int] = []
    late: list[int] = []

    def every_tenth_waits(row: int) -> int:
        if row % 10 == 0:
            late.append(row - len(seen))
            clock.turn(60)
        return row

    run(Graph(list(range(100)), every_tenth_waits, seen.append))
    assert late == [0] * 10


def test_rows_of_a_start_that_was_slow_once_travel_in_batches_when_it_has_been_quick_for_as_long(clock: Clock) -> None:
    seen: list[int] = []
    underway: list[int] = []

    def slow_at_first() -> Iterator[int]:
        clock.turn(0.1)
        for number in range(MANY):
            clock.turn(0.0001)
            underway.append(number - len(seen))
            yield number

    run(Graph(slow_at_first, lambda row: row, seen.append))
    assert max(underway[:900]) == 0
    assert max(underway) > 100


def test_a_long_chain_runs() -> None:
    assert rows_of([0], *[lambda row: row + 1] * 100) == [100]


def test_a_graph_of_one_start_gives_its_rows_to_nobody() -> None:
    assert str(run(Graph([1, 2, 3]))) == " - list in=1 out=3 [done]"


def test_an_empty_start_runs_to_its_end() -> None:
    report = run(Graph([], str))
    assert str(report) == " - list in=1 out=0 [done]\n - str in=0 out=0 [done]"


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(GraphError, match=r"^the graph is empty: it has no node to run$"):
        run(Graph())


def test_an_iterable_in_the_middle_is_refused_before_anything_starts() -> None:
    started: list[object] = []

    def start() -> list[int]:
        started.append(1)
        return [1]

    with pytest.raises(GraphError) as refused:
        run(Graph(start, [1, 2], print))
    assert str(refused.value) == "list is fed by another node but is no callable: only a start can be an iterable"
    assert started == []


def test_a_run_is_observed_at_its_end_with_the_report_that_it_returns() -> None:
    observed: list[tuple[State, Report]] = []
    report = run(Graph([1], str), observe=lambda latest: observed.append((latest.state, latest)))
    state, latest = observed[-1]
    assert state is State.DONE
    assert latest is report


def test_a_long_run_is_observed_on_its_way(clock: Clock) -> None:
    rows: list[int] = []

    def slow() -> Iterator[int]:
        for number in range(3):
            clock.turn(1)
            yield number

    run(Graph(slow, str), observe=lambda latest: rows.append(latest["slow"].rows_out))
    assert rows == sorted(rows)
    assert {1, 2, 3} <= set(rows)


def test_seconds_are_those_of_the_node_itself(clock: Clock) -> None:
    def start() -> list[int]:
        clock.turn(5)
        return [1, 2, 3]

    def quick(row: int) -> int:
        clock.turn(1)
        return row

    def slow(row: int) -> Iterator[int]:
        clock.turn(10)
        yield row

    report = run(Graph(start, quick, slow, str))
    assert {counts.name: counts.seconds for counts in report.nodes} == {
        "start": 5,
        "quick": 3 * 1,
        "slow": 3 * 10,
        "str": 0,
    }
    assert report.seconds == 5 + 3 * (1 + 10)
