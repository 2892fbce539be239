"""A node: an iterable that starts a chain, or a callable that takes a row, and how it is to be run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tallyline.errors import GraphError, UnknownName

__all__ = ["Node", "OnError", "Work", "node", "over"]

Work = Callable[..., object] | Iterable[object]

_FOR_A_ROW = ("concurrency", "on_error", "max_errors", "retry", "timeout")
_DEFAULTS: dict[str, object] = {
    "name": None,
    "services": None,
    "concurrency": None,
    "ordered": True,
    "on_error": "fail",
    "max_errors": None,
    "retry": 0,
    "timeout": None,
}


class OnError(StrEnum):
    """What a row does that a node fails on: end the run, or be counted, sampled and left out."""

    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Work with a name and its options. The same Node used twice is one place in a graph; the same callable is two."""

    work: Work
    name: str
    services: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    ordered: bool = True
    on_error: OnError = OnError.FAIL
    max_errors: int | None = None
    retry: int = 0
    timeout: float | None = None
    whole: bool = False


def node(
    work: Work | Node,
    *,
    name: str | None = None,
    services: Mapping[str, str] | None = None,
    concurrency: int | None = None,
    ordered: bool = True,
    on_error: OnError | str = OnError.FAIL,
    max_errors: int | None = None,
    retry: int = 0,
    timeout: float | None = None,
) -> Node:
    """Return `work` as a node with a name and options of its own; of a node, another one with these options changed.

    An iterable starts a chain and is iterated once a run. A callable takes the row and answers with one value (one
    row, falsy ones too), None (no row) or an iterator (that many rows); at the start of a chain it takes no row.
    Coroutine functions and asynchronous generators are callables too. Other parameters are filled by the services of
    their names; `services` maps a parameter to a service of another name. Work that is a context manager is entered
    when the run begins and left when it ends.

    Args:
        work: The iterable or the callable.
        name: How the node is called in the graph; by default as its work is.
        services: Names of services for parameters that are called otherwise.
        concurrency: Work on that many rows at a time, in threads of its own or, if asynchronous, in the event loop
            (there 16 by default). None runs the node where its feeder runs.
        ordered: Whether rows leave a concurrent node in the order in which they came.
        on_error: "fail" ends the run at the first row the node fails on; "skip" leaves the row out and counts it.
        max_errors: How many rows may be skipped before the run fails; None sets no limit.
        retry: How many times a row is tried again, after 0.1, 0.2, 0.4 … seconds, up to 10.
        timeout: Seconds that one row may take; the work itself, unless asynchronous, cannot be stopped and is left
            behind in its thread.

    >>> node(len).name
    'len'
    >>> node({"users": 1}.items()).name
    'dict_items'
    >>> node(3)
    Traceback (most recent call last):
    tallyline.errors.GraphError: 3 cannot be a node: a node is an iterable or a callable
    """
    options = {
        "name": name,
        "services": services,
        "concurrency": concurrency,
        "ordered": ordered,
        "on_error": on_error,
        "max_errors": max_errors,
        "retry": retry,
        "timeout": timeout,
    }
    if on_error not in set(OnError):
        raise UnknownName("way to treat an error", str(on_error), OnError)
    if isinstance(work, Node):
        return _changed(work, options)
    if not callable(work) and not isinstance(work, Iterable):
        msg = f"{work!r} cannot be a node: a node is an iterable or a callable"
        raise GraphError(msg)
    return _changed(Node(work, _name_of(work)), options)


def over(work: Callable[..., Iterable[object]], *, name: str | None = None) -> Node:
    """Return a node of a function that takes all rows, as an iterator, and gives rows: sorting, grouping, batching.

    The function is called once a run, in a thread of its own, and may stop taking rows before they end.

    >>> from tallyline.graph import Graph, run
    >>> shortest = []
    >>> _ = run(Graph(["ccc", "a", "bb"], over(sorted), shortest.append))
    >>> shortest
    ['a', 'bb', 'ccc']
    """
    return _checked(replace(node(work, name=name), whole=True))


def _changed(given: Node, options: Mapping[str, Any]) -> Node:
    changed = {option: value for option, value in options.items() if value != _DEFAULTS[option]}
    if "on_error" in changed:
        changed["on_error"] = OnError(changed["on_error"])
    return _checked(replace(given, **changed)) if changed else given


def _checked(made: Node) -> Node:
    wrong = {
        "concurrency": made.concurrency is not None and made.concurrency < 1,
        "max_errors": made.max_errors is not None and made.max_errors < 0,
        "retry": made.retry < 0,
        "timeout": made.timeout is not None and made.timeout <= 0,
    }
    for option, is_wrong in wrong.items():
        if is_wrong:
            msg = f"{made.name} has {option}={getattr(made, option)}, which is too small"
            raise GraphError(msg)
    for option in _FOR_A_ROW if made.whole else ():
        if getattr(made, option) != _DEFAULTS[option]:
            msg = f"{made.name} takes all rows at once: {option} is for nodes that take one row at a time"
            raise GraphError(msg)
    return made


def _name_of(work: Work) -> str:
    name = getattr(work, "__name__", None)
    return name if isinstance(name, str) else type(work).__name__
