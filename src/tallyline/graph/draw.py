"""Drawings of a graph: a text tree, Mermaid, DOT, SVG and JSON; after a run, with the rows that passed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tallyline.errors import UnknownName
from tallyline.graph.svg import svg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.graph.report import Report
    from tallyline.graph.structure import Graph

__all__ = ["FORMATS", "draw"]

_IN_MERMAID = str.maketrans({'"': "#quot;", "#": "#35;", "&": "#amp;", "<": "#lt;", ">": "#gt;"})


def draw(graph: Graph, style: str = "text", *, title: str = "", report: Report | None = None) -> str:
    """Return a drawing of `graph` in one of FORMATS: text, mermaid, dot, svg or json.

    With the `report` of a run, edges show how many rows passed.

    >>> from tallyline.graph import Graph, run
    >>> graph = Graph([1, 2], str)
    >>> _ = graph["list"] >> float
    >>> print(draw(graph, report=run(graph)))
    list (2 rows)
    ├── str (2 rows)
    └── float (2 rows)
    """
    if style not in _DRAWINGS:
        raise UnknownName("format", style, FORMATS)
    return _DRAWINGS[style](graph, title, report)


def _text(graph: Graph, title: str, report: Report | None) -> str:
    seen: set[str] = set()
    lines = [title] if title else []
    for start in graph.starts:
        lines.extend(_branch(graph, report, start, "", "", seen))
    return "\n".join(lines)


def _branch(graph: Graph, report: Report | None, name: str, lead: str, below: str, seen: set[str]) -> Iterator[str]:
    after = graph.after(name)
    if name in seen and after:
        yield f"{lead}{name} …"
        return
    seen.add(name)
    rows = f" ({_rows(report, name)} rows)" if report else ""
    yield f"{lead}{name}{rows}"
    for number, child in enumerate(after, start=1):
        last = number == len(after)
        fork, beside = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from _branch(graph, report, child, below + fork, below + beside, seen)


def _mermaid(graph: Graph, title: str, report: Report | None) -> str:
    number = {node: f"n{index}" for index, node in enumerate(graph.names)}
    head = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---"] if title else []
    boxes = [f'    {key}["{name.translate(_IN_MERMAID)}"]' for name, key in number.items()]
    rows = {name: f"|{_rows(report, name)}|" if report else "" for name in number}
    arrows = [f"    {number[before]} -->{rows[before]} {number[after]}" for before, after in graph.edges]
    return "\n".join([*head, "flowchart LR", *boxes, *arrows])


def _dot(graph: Graph, title: str, report: Report | None) -> str:
    rows = {name: f' [label="{_rows(report, name)}"]' if report else "" for name in graph.names}
    arrows = [f"    {_quoted(before)} -> {_quoted(after)}{rows[before]};" for before, after in graph.edges]
    boxes = [f"    {_quoted(name)};" for name in graph.names]
    head = f"digraph {_quoted(title or 'graph')} {{"
    return "\n".join([head, "    rankdir=LR;", "    node [shape=box];", *boxes, *arrows, "}"])


def _json(graph: Graph, title: str, report: Report | None) -> str:
    drawn = {"title": title, "nodes": list(graph.names), "edges": [list(edge) for edge in graph.edges]}
    counts = {"report": report.as_dict()} if report else {}
    return json.dumps(drawn | counts, ensure_ascii=False, indent=2)


def _rows(report: Report | None, name: str) -> str:
    return f"{report[name].rows_out:,}" if report else ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_DRAWINGS: dict[str, Callable[[Graph, str, Report | None], str]] = {
    "text": _text,
    "mermaid": _mermaid,
    "dot": _dot,
    "svg": svg,
    "json": _json,
}

FORMATS = tuple(_DRAWINGS)
