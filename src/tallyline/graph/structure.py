"""What is connected to what: chains, forks and merges, as plain data that can be read and drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tallyline.errors import GraphError, UnknownName
from tallyline.graph.node import Node, node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tallyline.graph.node import Work

__all__ = ["Cursor", "Graph"]


class Graph:
    """A directed graph without cycles, of nodes with names that are unique in it.

    `Graph(a, b, c)` is a chain, and `graph >> a >> b` adds one. `graph["name"]` is the place to fork from or to
    merge into:

    >>> graph = Graph([1, 2], str)
    >>> _ = graph["list"] >> float >> print
    >>> _ = graph["str"] >> graph["print"]
    >>> graph.edges
    (('list', 'str'), ('list', 'float'), ('float', 'print'), ('str', 'print'))
    >>> graph["print"] >> graph["str"]
    Traceback (most recent call last):
    tallyline.errors.GraphError: print >> str would close a cycle: str >> print >> str
    """

    def __init__(self, *chain: Work | Node | Graph) -> None:
        """Make the graph of one chain, or an empty one."""
        self._nodes: dict[str, Node] = {}
        self._edges: list[tuple[str, str]] = []
        self.is_frozen = False
        if chain:
            self._start(chain[0]).extend(*chain[1:])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes, in the order in which they were added."""
        return tuple(self._nodes)

    def node(self, name: str) -> Node:
        """Return the node of that name."""
        return self._nodes[name]

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """The connections, as pairs of names, in the order in which they were made."""
        return tuple(self._edges)

    @property
    def starts(self) -> tuple[str, ...]:
        """The names of the nodes that no other feeds."""
        fed = {after for _, after in self._edges}
        return tuple(name for name in self._nodes if name not in fed)

    @property
    def ends(self) -> tuple[str, ...]:
        """The names of the nodes that feed no other."""
        feeding = {before for before, _ in self._edges}
        return tuple(name for name in self._nodes if name not in feeding)

    def after(self, name: str) -> tuple[str, ...]:
        """Return the names of the nodes that the node of that name feeds."""
        return tuple(after for before, after in self._edges if before == name)

    @property
    def ordered(self) -> tuple[str, ...]:
        """The names of the nodes, each after all that feed it."""
        ordered: dict[str, None] = {}
        while len(ordered) < len(self._nodes):
            waiting = [name for name in self._nodes if name not in ordered]
            ordered |= dict.fromkeys(name for name in waiting if ordered.keys() >= set(self.before(name)))
        return tuple(ordered)

    def before(self, name: str) -> tuple[str, ...]:
        """Return the names of the nodes that feed the node of that name."""
        return tuple(before for before, after in self._edges if after == name)

    def __rshift__(self, work: Work | Node | Graph) -> Cursor:
        """Start a new chain in this graph."""
        return self._start(work)

    def __getitem__(self, name: str) -> Cursor:
        """Return the place of the node of that name."""
        if name not in self._nodes:
            raise UnknownName("node", name, self._nodes)
        return Cursor(self, (name,))

    def __contains__(self, name: object) -> bool:
        """Say whether there is a node of that name."""
        return name in self._nodes

    def followed_by(self, first: Work | Node | Graph, *others: Work | Node | Graph) -> Graph:
        """Return a new graph in which every end of this one feeds the chain of `first` and `others`.

        >>> Graph("ab", str.upper).followed_by(print).edges
        (('str', 'upper'), ('upper', 'print'))
        """
        longer = Graph()
        longer._take_in(self)  # another Graph's own part
        Cursor(longer, longer.ends).extend(first, *others)
        return longer

    def freeze(self) -> None:
        """Refuse every further change; a run does so."""
        self.is_frozen = True

    def connect(self, before: str, after: str) -> None:
        """Let the node named `before` feed the node named `after`; refuses cycles and unknown names."""
        self._check_open()
        for name in (before, after):
            if name not in self._nodes:
                raise UnknownName("node", name, self._nodes)
        if before == after or after in self._upstream(before):
            path = [*self._path(after, before), after]
            msg = f"{before} >> {after} would close a cycle: {' >> '.join(path)}"
            raise GraphError(msg)
        if (before, after) not in self._edges:
            self._edges.append((before, after))

    def _check_open(self) -> None:
        if self.is_frozen:
            msg = "a graph that has run cannot be changed; make a new one, or a longer one with followed_by"
            raise GraphError(msg)

    def _start(self, work: Work | Node | Graph) -> Cursor:
        if isinstance(work, Graph):
            names = self._take_in(work)
            return Cursor(self, tuple(names[end] for end in work.ends))
        return Cursor(self, (self._placed(work),))

    def _take_in(self, other: Graph) -> dict[str, str]:
        names = {name: self._placed(replace(other.node(name))) for name in other.names}
        for before, after in other.edges:
            self.connect(names[before], names[after])
        return names

    def _placed(self, work: Work | Node) -> str:
        self._check_open()
        wanted = node(work)
        for name, placed in self._nodes.items():
            if placed is wanted:
                return name
        name = wanted.name
        count = 1
        while name in self._nodes:
            count += 1
            name = f"{wanted.name}-{count}"
        self._nodes[name] = wanted
        return name

    def _upstream(self, name: str) -> set[str]:
        found: set[str] = set()
        ahead = [name]
        while ahead:
            current = ahead.pop()
            feeders = set(self.before(current)) - found
            found |= feeders
            ahead.extend(feeders)
        return found

    def _path(self, start: str, end: str) -> Iterator[str]:
        yield start
        while start != end:
            start = next(name for name in self.after(start) if name == end or name in self._upstream(end))
            yield start


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a graph, from which `>>` goes on: to new work, to a whole graph, or to another place of its own.

    `names` are those of the nodes that feed what comes next: one, or all the ends of a graph that was put in.
    """

    graph: Graph
    names: tuple[str, ...]

    def __rshift__(self, work: Work | Node | Graph | Cursor) -> Cursor:
        """Feed `work` from here and return its place."""
        if isinstance(work, Graph):
            return self._feed_graph(work)
        if isinstance(work, Cursor):
            if work.graph is not self.graph:
                msg = f"{' and '.join(work.names)} belongs to another graph: only places of one graph can be joined"
                raise GraphError(msg)
            return self._feed(work.names, work.names)
        place = self.graph._placed(work)  # a cursor is the graph's own hand
        return self._feed((place,), (place,))

    def extend(self, *chain: Work | Node | Graph) -> Cursor:
        """Feed a whole chain from here and return the place of its last node."""
        place = self
        for work in chain:
            place = place >> work
        return place

    def _feed_graph(self, inner: Graph) -> Cursor:
        names = self.graph._take_in(inner)  # noqa: SLF001
        return self._feed([names[start] for start in inner.starts], tuple(names[end] for end in inner.ends))

    def _feed(self, starts: Iterable[str], ends: tuple[str, ...]) -> Cursor:
        for before in self.names:
            for start in starts:
                self.graph.connect(before, start)
        return Cursor(self.graph, ends)
