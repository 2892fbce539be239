"""Rows that come in pages, as databases and services give them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from operator import length_hint
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Pages"]

Row = TypeVar("Row")


class Pages(Iterator[Row]):
    """The rows of pages, one after the other; a graph hands on the rows of a page before it asks for the next page.

    Of any other iterator a graph cannot know whether the next row is there or has to be waited for, so after a wait it
    takes row by row for a while, which costs many times as much.

    >>> from tallyline.graph import Graph, run
    >>> rows = []
    >>> _ = run(Graph(Pages([[1, 2], [3]]), rows.append))
    >>> rows
    [1, 2, 3]
    """

    def __init__(self, pages: Iterable[Iterable[Row]]) -> None:
        """Take the pages; none is asked for yet."""
        self._pages = iter(pages)
        self._page: Iterator[Row] = iter(())

    def __next__(self) -> Row:
        """Return the next row, of the next page where it has to be."""
        for row in self._page:
            return row
        for page in self._pages:
            self._page = iter(page)
            for row in self._page:
                return row
        raise StopIteration

    @property
    def at_hand(self) -> int:
        """How many rows of the page are left."""
        return length_hint(self._page)

    def close(self) -> None:
        """Ask for no more, and let a generator of pages end."""
        self._page = iter(())
        if isinstance(self._pages, Generator):
            self._pages.close()
        self._pages = iter(())
