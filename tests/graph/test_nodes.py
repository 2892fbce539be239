"""The ready nodes, each as its documentation says."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.errors import GraphError, NodeFailed
from tallyline.graph import (
    Graph,
    batch,
    dedupe,
    group_reduce,
    join,
    keep,
    limit,
    node,
    pretty,
    rate_limit,
    reduce,
    rename,
    run,
    set_fields,
    sort,
    tee,
    unbatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tallyline.graph import Node


def through(rows: Iterable[Any], *nodes: Any) -> list[Any]:  # noqa: ANN401  # rows and nodes of any kind
    """Return what comes of the rows behind the nodes."""
    out: list[Any] = []
    run(Graph(rows, *nodes, out.append))
    return out


# row by row


def test_keep_lets_the_rows_pass_that_are_wanted() -> None:
    assert through([1, 2, 3, 4], keep(lambda row: row % 2)) == [1, 3]


def test_keep_lets_falsy_rows_pass_that_are_wanted() -> None:
    assert through([0, "", False, 1], keep(lambda row: row != 1)) == [0, "", False]


def test_tee_looks_at_each_row_and_hands_it_on_whatever_the_look_answers() -> None:
    seen: list[int] = []

    def look(row: int) -> str:
        seen.append(row)
        return "other"

    assert through([0, 1], tee(look)) == [0, 1]
    assert seen == [0, 1]


def test_tee_is_called_as_what_looks() -> None:
    assert tee(print).name == "print"
    assert tee(print, name="show").name == "show"


def test_set_fields_sets_values_and_what_functions_make_of_the_row() -> None:
    assert through([{"a": 1}], set_fields(b=lambda row: row["a"] + 1, c=None)) == [{"a": 1, "b": 2, "c": None}]


def test_set_fields_replaces_a_field_in_its_place() -> None:
    (row,) = through([{"a": 1, "b": 2}], set_fields(a=lambda row: row["a"] * 10))
    assert list(row.items()) == [("a", 10), ("b", 2)]


def test_set_fields_leaves_the_row_that_came_as_it_was() -> None:
    row = {"a": 1}
    through([row], set_fields(a=2))
    assert row == {"a": 1}


def test_rename_renames_fields_in_their_places() -> None:
    (row,) = through([{"a": 1, "b": 2, "c": 3}], rename(x="b"))
    assert list(row.items()) == [("a", 1), ("x", 2), ("c", 3)]


def test_rename_swaps_names() -> None:
    assert through([{"a": 1, "b": 2}], rename(a="b", b="a")) == [{"b": 1, "a": 2}]


def test_rename_of_a_field_that_is_missing_is_an_error() -> None:
    with pytest.raises(NodeFailed, match='there is no field "b"; there are: a'):
        through([{"a": 1}], rename(x="b"))


def test_unbatch_hands_on_each_item() -> None:
    assert through([[1, 2], (3,), [], {"a": 1}], unbatch) == [1, 2, 3, "a"]


def test_pretty_prints_rows_and_hands_them_on(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"b": 1, "a": 2}
    assert through([row], pretty) == [row]
    assert capsys.readouterr().out == "{'b': 1, 'a': 2}\n"


# over all rows


@pytest.mark.parametrize(("count", "rows"), [(0, []), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2])])
def test_limit_lets_the_first_rows_pass(count: int, rows: list[int]) -> None:
    assert through(range(3), limit(count)) == rows


def test_limit_ends_a_start_that_would_never_end() -> None:
    assert through(itertools.count(), limit(300)) == list(range(300))


@pytest.mark.parametrize(
    ("rows", "batches"), [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]]), (6, [[0, 1, 2], [3, 4, 5]])]
)
def test_batch_gathers_rows_and_the_last_batch_may_be_shorter(rows: int, batches: list[list[int]]) -> None:
    assert through(range(rows), batch(3)) == batches


def test_reduce_makes_one_row_of_all() -> None:
    assert through([1, 2, 3], reduce(lambda total, row: total + [row], [])) == [[1, 2, 3]]  # noqa: RUF005


def test_reduce_of_no_rows_gives_the_initial_value() -> None:
    assert through([], reduce(lambda total, row: total + row, 0)) == [0]


def test_group_reduce_gives_a_total_for_each_key_in_the_order_in_which_keys_came() -> None:
    totals = through(
        [("b", 1), ("a", 2), ("b", 3)], group_reduce(lambda row: row[0], lambda so_far, row: so_far + row[1], 0)
    )
    assert totals == [("b", 4), ("a", 2)]


def test_group_reduce_of_no_rows_gives_none() -> None:
    assert through([], group_reduce(str, lambda so_far, _: so_far + 1, 0)) == []


def test_dedupe_lets_the_first_row_of_each_key_pass() -> None:
    assert through([1, 2, 1, 3, 2], dedupe()) == [1, 2, 3]
    assert through(["a", "A", "b"], dedupe(str.lower)) == ["a", "b"]


def test_dedupe_hands_on_before_all_rows_have_come() -> None:
    assert through(itertools.count(), dedupe(lambda row: row // 10), limit(3)) == [0, 10, 20]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers())), st.sampled_from([1, 2, 3, 7, 1_000]), st.booleans())
def test_sort_sorts_as_python_does_however_few_rows_fit_in_memory(
    rows: list[tuple[int, int]],
    rows_in_memory: int,
    reverse: bool,  # noqa: FBT001  # hypothesis gives it
) -> None:
    numbered = list(enumerate(rows))
    by_first = sort(lambda row: row[1][0], reverse=reverse, rows_in_memory=rows_in_memory)
    assert through(numbered, by_first) == sorted(numbered, key=lambda row: row[1][0], reverse=reverse)


def test_sort_without_a_key_compares_the_rows() -> None:
    assert through("bca", sort()) == ["a", "b", "c"]


def test_sort_keeps_few_rows_in_memory() -> None:
    def most_memory(rows_in_memory: int) -> int:
        rows = (f"{number * 7_919 % 20_011:05}" + "x" * 500 for number in range(20_000))
        seen = 0

        def check(row: str) -> None:
            nonlocal seen
            seen += 1

        tracemalloc.start()
        try:
            run(Graph(rows, sort(rows_in_memory=rows_in_memory), check))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert seen == 20_000

    assert most_memory(500) < most_memory(100_000) / 3


def test_sort_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert through([3, 1, 2], sort(rows_in_memory=1), limit(1)) == [1]
    assert list(tmp_path.iterdir()) == []


def test_sort_of_rows_that_cannot_be_compared_fails() -> None:
    with pytest.raises(NodeFailed, match="sort failed: TypeError"):
        through([1, "a"], sort())


def test_rate_limit_lets_rows_pass_evenly() -> None:
    began = time.monotonic()
    times: list[float] = []
    rows = through(range(5), rate_limit(100), tee(lambda _: times.append(time.monotonic())))
    assert rows == list(range(5))
    assert time.monotonic() - began >= 0.04


def test_rate_limit_does_not_make_up_for_rows_that_came_late() -> None:
    def late() -> Iterator[int]:
        time.sleep(0.1)
        yield from range(4)

    began = time.monotonic()
    through(late(), rate_limit(50))
    assert time.monotonic() - began >= 0.1 + 3 / 50


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: batch(0), "batch cannot do with 0: 1 is the least"),
        (lambda: limit(-1), "limit cannot do with -1: 0 is the least"),
        (lambda: sort(rows_in_memory=0), "sort cannot do with 0: 1 is the least"),
        (lambda: rate_limit(0), r"rate_limit\(0\) would let no row pass"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make: Callable[[], Node], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


# joining


def joined(left: Iterable[Any], right: Iterable[Any], **options: Any) -> list[Any]:  # noqa: ANN401  # those of join
    """Return the pairs."""
    graph = Graph()
    pairs: list[Any] = []
    _ = join(graph >> left, graph >> right, **options) >> pairs.append
    run(graph)
    return pairs


def first(row: tuple[Any, Any]) -> object:
    return row[0]


def test_join_pairs_rows_whose_keys_are_equal() -> None:
    pairs = joined([("a", 1), ("b", 2)], [("b", 20), ("a", 10), ("c", 30)], on=first)
    assert pairs == [(("a", 1), ("a", 10)), (("b", 2), ("b", 20))]


def test_join_pairs_every_left_row_with_every_match() -> None:
    pairs = joined([("a", 1), ("a", 2)], [("a", 10), ("a", 20)], on=first)
    assert pairs == [
        (("a", 1), ("a", 10)),
        (("a", 1), ("a", 20)),
        (("a", 2), ("a", 10)),
        (("a", 2), ("a", 20)),
    ]


def test_join_leaves_out_left_rows_without_a_match() -> None:
    assert joined([("a", 1)], [("b", 2)], on=first) == []


def test_join_keeps_left_rows_without_a_match_where_it_is_told_so() -> None:
    assert joined([("a", 1), ("b", 2)], [("b", 3)], on=first, keep_left=True) == [
        (("a", 1), None),
        (("b", 2), ("b", 3)),
    ]


def test_join_may_take_the_right_key_from_elsewhere() -> None:
    assert joined([("a", 1)], [(1, "a")], on=first, right_on=lambda row: row[1]) == [(("a", 1), (1, "a"))]


def test_join_keeps_the_order_of_the_left_rows_however_late_the_right_ones_come() -> None:
    def late() -> Iterator[tuple[int, str]]:
        time.sleep(0.05)
        for number in reversed(range(500)):
            yield number, "right"

    pairs = joined([(number, "left") for number in range(500)], late(), on=first)
    assert pairs == [((number, "left"), (number, "right")) for number in range(500)]


def test_join_joins_two_branches_of_one_start() -> None:
    graph = Graph(node([1, 2, 3], name="numbers"))
    squares = graph["numbers"] >> node(lambda row: (row, row * row), name="square")
    names = graph["numbers"] >> node(lambda row: (row, str(row)), name="spell")
    pairs: list[Any] = []
    _ = join(squares, names, on=first) >> pairs.append
    run(graph)
    assert pairs == [((1, 1), (1, "1")), ((2, 4), (2, "2")), ((3, 9), (3, "3"))]
