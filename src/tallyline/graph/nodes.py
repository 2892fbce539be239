"""Ready nodes: what graphs often need between a reader and a writer.

Those that need all rows, or something of the rows before, are made with `over` and run in a thread of their own; the
others are plain callables.
"""

from __future__ import annotations

import functools
import heapq
import pickle
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pprint import pformat
from typing import IO, TYPE_CHECKING, Any, TypeVar

from tallyline.errors import GraphError, UnknownName
from tallyline.graph.node import node, over

if TYPE_CHECKING:
    from tallyline.graph.node import Node
    from tallyline.graph.structure import Cursor

__all__ = [
    "batch",
    "dedupe",
    "group_reduce",
    "join",
    "keep",
    "limit",
    "pretty",
    "rate_limit",
    "reduce",
    "rename",
    "set_fields",
    "sort",
    "tee",
    "unbatch",
]

Row = TypeVar("Row")
Total = TypeVar("Total")
Key = Callable[[Any], Any]

ROWS_IN_MEMORY = 100_000


def keep(wanted: Callable[[Any], object], *, name: str = "keep") -> Node:
    """Keep the rows for which `wanted` is true.

    >>> from tallyline.graph import Graph, run
    >>> even = []
    >>> _ = run(Graph(range(5), keep(lambda row: row % 2 == 0), even.append))
    >>> even
    [0, 2, 4]
    """
    return node(lambda row: row if wanted(row) else None, name=name)


def tee(look: Callable[[Any], object], *, name: str | None = None) -> Node:
    """Call `look` with each row, and hand the row on as it is."""

    def looked_at(row: Row) -> Row:
        look(row)
        return row

    return node(looked_at, name=name or node(look).name)


def set_fields(**fields: object) -> Node:
    """Set fields of rows that are dicts, in a new dict: to a value, or to what a function makes of the row.

    >>> from tallyline.graph import Graph, run
    >>> rows = []
    >>> _ = run(Graph([{"price": 2}], set_fields(vat=lambda row: row["price"] * 0.2, currency="EUR"), rows.append))
    >>> rows
    [{'price': 2, 'vat': 0.4, 'currency': 'EUR'}]
    """

    def with_fields(row: Mapping[str, object]) -> dict[str, object]:
        return {**row, **{name: value(row) if callable(value) else value for name, value in fields.items()}}

    return node(with_fields, name="set_fields")


def rename(**names: str) -> Node:
    """Rename fields of rows that are dicts: `rename(new="old")`; a field that a row does not have is an error."""
    new_names = {old: new for new, old in names.items()}

    def renamed(row: Mapping[str, object]) -> dict[str, object]:
        missing = new_names.keys() - row.keys()
        if missing:
            raise UnknownName("field", min(missing), row)
        return {new_names.get(name, name): value for name, value in row.items()}

    return node(renamed, name="rename")


def limit(count: int) -> Node:
    """Let the first so many rows pass; then what feeds it is told to end.

    >>> from itertools import count
    >>> from tallyline.graph import Graph, run
    >>> rows = []
    >>> _ = run(Graph(count(), limit(3), rows.append))
    >>> rows
    [0, 1, 2]
    """
    _check("limit", count, 0)
    return over(lambda rows: islice(rows, count), name="limit")


def batch(size: int) -> Node:
    """Gather rows in lists of `size`; the last may be shorter."""

    def batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
        while gathered := list(islice(rows, size)):
            yield gathered

    _check("batch", size, 1)
    return over(batched, name="batch")


def unbatch(row: Iterable[Row]) -> Iterator[Row]:
    """Hand on each item of rows that are collections."""
    return iter(row)


def reduce(step: Callable[[Total, Any], Total], initial: Total) -> Node:
    """Reduce all rows to one: `step` takes the total so far and a row.

    >>> from tallyline.graph import Graph, run
    >>> total = []
    >>> _ = run(Graph([1, 2, 3], reduce(lambda so_far, row: so_far + row, 0), total.append))
    >>> total
    [6]
    """
    return over(lambda rows: [functools.reduce(step, rows, initial)], name="reduce")


def group_reduce(key: Key, step: Callable[[Total, Any], Total], initial: Total) -> Node:
    """Reduce the rows of each key to one, and give pairs of key and total, in the order in which keys first came.

    One total a key is kept in memory. `initial` is not to be changed by `step`.

    >>> from tallyline.graph import Graph, run
    >>> totals = []
    >>> _ = run(Graph("abca", group_reduce(str.upper, lambda so_far, row: so_far + 1, 0), totals.append))
    >>> totals
    [('A', 2), ('B', 1), ('C', 1)]
    """

    def grouped(rows: Iterator[object]) -> Iterator[tuple[Hashable, Total]]:
        totals: dict[Hashable, Total] = {}
        for row in rows:
            found = key(row)
            totals[found] = step(totals.get(found, initial), row)
        yield from totals.items()

    return over(grouped, name="group_reduce")


def sort(key: Key | None = None, *, reverse: bool = False, rows_in_memory: int = ROWS_IN_MEMORY) -> Node:
    """Sort all rows; those beyond `rows_in_memory` wait in temporary files. Equal rows keep their order.

    >>> from tallyline.graph import Graph, run
    >>> rows = []
    >>> _ = run(Graph([3, 1, 2], sort(rows_in_memory=1), rows.append))
    >>> rows
    [1, 2, 3]
    """

    def ordered(rows: Iterator[Any]) -> Iterator[Any]:
        with ExitStack() as files:
            parts: list[Iterable[Any]] = []
            while part := sorted(islice(rows, rows_in_memory), key=key, reverse=reverse):
                parts.append(part if len(part) < rows_in_memory else _put_away(part, files))
            yield from heapq.merge(*parts, key=key, reverse=reverse)

    _check("sort", rows_in_memory, 1)
    return over(ordered, name="sort")


def dedupe(key: Key = lambda row: row) -> Node:
    """Let only the first row of each key pass. All keys are kept in memory."""

    def first_ones(rows: Iterator[Row]) -> Iterator[Row]:
        seen: set[Hashable] = set()
        for row in rows:
            found = key(row)
            if found not in seen:
                seen.add(found)
                yield row

    return over(first_ones, name="dedupe")


def rate_limit(per_second: float) -> Node:
    """Let at most so many rows pass in a second, evenly."""

    def paced(rows: Iterator[Row]) -> Iterator[Row]:
        due = time.monotonic()
        for row in rows:
            time.sleep(max(due - time.monotonic(), 0))
            due = max(due, time.monotonic()) + 1 / per_second
            yield row

    if per_second <= 0:
        msg = f"rate_limit({per_second:g}) would let no row pass"
        raise GraphError(msg)
    return over(paced, name="rate_limit")


def join(left: Cursor, right: Cursor, *, on: Key, right_on: Key | None = None, keep_left: bool = False) -> Cursor:
    """Join two branches of a graph: pairs of rows whose keys are equal, as `(left, right)`.

    The right rows are kept in memory, and the left ones until the right ones have ended. With `keep_left`, a left row
    without a match is paired with None.

    >>> from tallyline.graph import Graph, run
    >>> graph = Graph()
    >>> orders, countries = graph >> [("FR", 3), ("XX", 1)], graph >> {"FR": "France"}.items()
    >>> pairs = []
    >>> _ = join(orders, countries, on=lambda row: row[0], keep_left=True) >> pairs.append
    >>> _ = run(graph)
    >>> pairs
    [(('FR', 3), ('FR', 'France')), (('XX', 1), None)]
    """
    both = over(functools.partial(_joined, on, right_on or on, [None] if keep_left else []), name="join")
    place = left >> node(lambda row: (True, row), name="left") >> both
    return right >> node(lambda row: (False, row), name="right") >> place


def pretty(row: Row) -> Row:
    """Print a row, laid out to be read, and hand it on."""
    print(pformat(row, sort_dicts=False))  # noqa: T201  # that is what it is for
    return row


def _check(node_name: str, number: int, least: int) -> None:
    if number < least:
        msg = f"{node_name} cannot do with {number}: {least} is the least"
        raise GraphError(msg)


def _joined(
    left_key: Key,
    right_key: Key,
    no_match: list[None],
    rows: Iterator[tuple[bool, Any]],  # bound by position
) -> Iterator[tuple[Any, Any]]:
    waiting: list[Any] = []
    matches: dict[Hashable, list[Any]] = {}
    for is_left, row in rows:
        if is_left:
            waiting.append(row)
        else:
            matches.setdefault(right_key(row), []).append(row)
    for row in waiting:
        for match in matches.get(left_key(row), no_match):
            yield row, match


def _put_away(part: list[Any], files: ExitStack) -> Iterator[Any]:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the others
    files.enter_context(file)
    for row in part:
        pickle.dump(row, file)
    file.seek(0)
    return _brought_back(file, len(part))


def _brought_back(file: IO[bytes], count: int) -> Iterator[Any]:
    for _ in range(count):
        yield pickle.load(file)  # noqa: S301  # this process wrote it
