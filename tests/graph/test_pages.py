"""Rows that come in pages: in order and whole, and none waits for a page that comes after its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, groupby
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Pages, limit, node, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.graph.conftest import Clock

PAGES = st.lists(st.lists(st.integers(), max_size=300), max_size=6)


@given(PAGES)
def test_rows_come_in_order_and_whole(pages: list[list[int]]) -> None:
    rows: list[int] = []
    report = run(Graph(lambda: Pages(pages), rows.append))
    assert rows == list(chain.from_iterable(pages))
    assert list(Pages(pages)) == rows
    assert next(iter(report.nodes)).rows_out == len(rows)


@given(PAGES)
def test_the_rows_of_a_page_are_handed_on_before_the_next_page_is_asked_for(pages: list[list[int]]) -> None:
    rows: list[int] = []
    asked: list[int] = []

    def answered() -> Iterator[list[int]]:
        for page in pages:
            asked.append(len(rows))
            yield page

    run(Graph(lambda: Pages(answered()), rows.append))
    assert asked == [sum(map(len, pages[:before])) for before in range(len(pages))]


def test_after_a_wait_the_rows_of_a_page_are_handed_on_together(clock: Clock) -> None:
    happened: list[str] = []

    class Page(list[int]):
        def __iter__(self) -> Iterator[int]:
            return Followed(self, lambda: happened.append("given"))

    def slow() -> Iterator[Page]:
        for _ in range(2):
            clock.turn(60)
            yield Page(range(300))

    run(Graph(lambda: Pages(slow()), lambda _: happened.append("taken")))
    together = [len(list(group)) for what, group in groupby(happened) if what == "given"]
    assert together == [1, 128, 128, 43] * 2


class Followed(Iterator[int]):
    """Tells of each item that is given, and how many are left."""

    def __init__(self, items: list[int], tell: Callable[[], None]) -> None:
        self._items = deque(list.__iter__(items))
        self._tell = tell

    def __next__(self) -> int:
        if not self._items:
            raise StopIteration
        self._tell()
        return self._items.popleft()

    def __length_hint__(self) -> int:
        return len(self._items)


def test_a_node_may_answer_with_pages() -> None:
    rows: list[object] = []
    run(Graph("ab", lambda letter: Pages([[letter, 1], [], [2]]), rows.append))
    assert rows == ["a", 1, 2, "b", 1, 2]


@pytest.mark.parametrize("concurrency", [None, 2])
def test_pages_are_ended_where_nobody_wants_more(concurrency: int | None) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[list[int]]:
        try:
            while True:
                yield [1, 2, 3]
        finally:
            closed.append(True)

    rows: list[int] = []
    run(Graph(lambda: Pages(endless()), limit(4), node(rows.append, concurrency=concurrency)))
    assert (rows, closed) == ([1, 2, 3, 1], [True])


def test_a_page_that_fails_ends_the_run_after_the_rows_before_it() -> None:
    def broken() -> Iterator[list[int]]:
        yield [1, 2]
        message = "the service has gone"
        raise OSError(message)

    rows: list[int] = []
    with pytest.raises(NodeFailed, match="the service has gone"):
        run(Graph(lambda: Pages(broken()), rows.append))
    assert rows == [1, 2]


def test_closed_pages_give_no_more() -> None:
    pages = Pages([[1, 2], [3]])
    assert next(pages) == 1
    pages.close()
    assert list(pages) == []


def test_where_a_page_fails_the_pages_are_closed_and_what_comes_of_that_is_told_too() -> None:
    def page() -> Iterator[int]:
        yield 1
        raise ValueError("the page is torn")

    def pages() -> Iterator[Iterator[int]]:
        try:
            yield page()
            yield iter([2])
        finally:
            raise OSError("the book does not close")

    rows: list[int] = []
    report = run(Graph(["book"], node(lambda _: Pages(pages()), name="read", on_error="skip"), rows.append))
    assert rows == [1]
    told = [skipped.error for skipped in report["read"].samples]
    assert told == ["ValueError: the page is torn", "OSError: the book does not close"]
