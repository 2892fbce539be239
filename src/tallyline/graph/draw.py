"""Drawings of a graph: a text tree, Mermaid, DOT and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tallyline.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.graph.structure import Graph

__all__ = ["FORMATS", "draw"]


_IN_MERMAID = str.maketrans({'"': "#quot;", "#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;"})


def draw(graph: Graph, style: str = "text", *, title: str = "") -> str:
    """Return a drawing of `graph` in one of FORMATS: text, mermaid, dot or json.

    >>> from tallyline.graph import Graph
    >>> print(draw(Graph([1], str, print)))
    list
    └── str
        └── print
    """
    if style not in _DRAWINGS:
        raise UnknownName("format", style, FORMATS)
    return _DRAWINGS[style](graph, title)


def _text(graph: Graph, title: str) -> str:
    seen: set[str] = set()
    lines = [title] if title else []
    for start in graph.starts:
        lines.extend(_branch(graph, start, "", "", seen))
    return "\n".join(lines)


def _branch(graph: Graph, name: str, lead: str, below: str, seen: set[str]) -> Iterator[str]:
    after = graph.after(name)
    if name in seen and after:
        yield f"{lead}{name} …"
        return
    seen.add(name)
    yield f"{lead}{name}"
    for number, child in enumerate(after, start=1):
        last = number == len(after)
        fork, beside = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from _branch(graph, child, below + fork, below + beside, seen)


def _mermaid(graph: Graph, title: str) -> str:
    number = {node: f"n{index}" for index, node in enumerate(graph.names)}
    head = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---"] if title else []
    boxes = [f'    {key}["{name.translate(_IN_MERMAID)}"]' for name, key in number.items()]
    arrows = [f"    {number[before]} --> {number[after]}" for before, after in graph.edges]
    return "\n".join([*head, "flowchart LR", *boxes, *arrows])


def _dot(graph: Graph, title: str) -> str:
    arrows = [f"    {_quoted(before)} -> {_quoted(after)};" for before, after in graph.edges]
    boxes = [f"    {_quoted(name)};" for name in graph.names]
    head = f"digraph {_quoted(title or 'graph')} {{"
    return "\n".join([head, "    rankdir=LR;", "    node [shape=box];", *boxes, *arrows, "}"])


def _json(graph: Graph, title: str) -> str:
    drawn = {"title": title, "nodes": list(graph.names), "edges": [list(edge) for edge in graph.edges]}
    return json.dumps(drawn, ensure_ascii=False, indent=2)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_DRAWINGS: dict[str, Callable[[Graph, str], str]] = {
    "text": _text,
    "mermaid": _mermaid,
    "dot": _dot,
    "json": _json,
}

FORMATS = tuple(_DRAWINGS)
