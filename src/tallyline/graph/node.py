"""A node: an iterable that starts a chain, or a callable that takes a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tallyline.errors import GraphError

__all__ = ["Node", "Work", "node"]

Work = Callable[..., object] | Iterable[object]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Work with a name. The same Node used twice is one place in a graph; the same callable used twice is two."""

    work: Work
    name: str
    services: Mapping[str, str] = field(default_factory=dict)


def node(work: Work | Node, *, name: str | None = None, services: Mapping[str, str] | None = None) -> Node:
    """Return `work` as a node, so that it can be named and be referred to again.

    An iterable starts a chain and is iterated once a run. A callable takes the row and answers with one value (one
    row, falsy ones too), None (no row) or an iterator (that many rows); at the start of a chain it takes no row.
    Its other parameters are filled by the services of their names; `services` maps a parameter to a service of another
    name.

    >>> node(len).name
    'len'
    >>> node({"users": 1}.items()).name
    'dict_items'
    >>> node(3)
    Traceback (most recent call last):
    tallyline.errors.GraphError: 3 cannot be a node: a node is an iterable or a callable
    """
    if isinstance(work, Node):
        same = name is None and services is None
        return work if same else Node(work.work, name or work.name, services or work.services)
    if not callable(work) and not isinstance(work, Iterable):
        msg = f"{work!r} cannot be a node: a node is an iterable or a callable"
        raise GraphError(msg)
    if inspect.iscoroutinefunction(work) or inspect.isasyncgenfunction(work):
        msg = f"{_name_of(work)} cannot be a node: it is async, and nodes are plain functions or generators"
        raise GraphError(msg)
    return Node(work, name or _name_of(work), services or {})


def _name_of(work: Work) -> str:
    name = getattr(work, "__name__", None)
    return name if isinstance(name, str) else type(work).__name__
