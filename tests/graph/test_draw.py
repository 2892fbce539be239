"""Drawings of forks and merges, exactly."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from tallyline.errors import UnknownName
from tallyline.graph import FORMATS, Graph, draw, node, run


def diamond() -> Graph:
    """Two branches that meet again, and what follows them."""
    graph = Graph(node([1], name="orders"), node(str, name="left"), node(print, name="both"), node(len, name="end"))
    _ = graph["orders"] >> node(float, name="right") >> graph["both"]
    return graph


def two_starts() -> Graph:
    graph = Graph(node([1], name="orders"), node(print, name="write"))
    _ = graph >> node([2], name="visits") >> graph["write"]
    return graph


def test_the_text_of_a_fork_and_a_merge() -> None:
    assert (
        f"{draw(diamond())}\n"
        == """\
orders
├── left
│   └── both
│       └── end
└── right
    └── both …
"""
    )


def test_the_text_of_a_merge_of_two_starts() -> None:
    assert (
        f"{draw(two_starts(), title='shop')}\n"
        == """\
shop
orders
└── write
visits
└── write
"""
    )


def test_mermaid_of_a_fork_and_a_merge() -> None:
    assert draw(diamond(), "mermaid") == (
        "flowchart LR\n"
        '    n0["orders"]\n'
        '    n1["left"]\n'
        '    n2["both"]\n'
        '    n3["end"]\n'
        '    n4["right"]\n'
        "    n0 --> n1\n"
        "    n1 --> n2\n"
        "    n2 --> n3\n"
        "    n0 --> n4\n"
        "    n4 --> n2"
    )


def test_mermaid_with_a_title() -> None:
    assert draw(two_starts(), "mermaid", title='the "shop"').splitlines()[:3] == [
        "---",
        'title: "the \\"shop\\""',
        "---",
    ]


def test_dot_of_a_fork_and_a_merge() -> None:
    assert draw(diamond(), "dot", title="shop") == (
        'digraph "shop" {\n'
        "    rankdir=LR;\n"
        "    node [shape=box];\n"
        '    "orders";\n'
        '    "left";\n'
        '    "both";\n'
        '    "end";\n'
        '    "right";\n'
        '    "orders" -> "left";\n'
        '    "left" -> "both";\n'
        '    "both" -> "end";\n'
        '    "orders" -> "right";\n'
        '    "right" -> "both";\n'
        "}"
    )


def test_json_of_a_fork_and_a_merge() -> None:
    drawn = json.loads(draw(diamond(), "json", title="shop"))
    assert drawn["title"] == "shop"
    assert drawn["nodes"] == ["orders", "left", "both", "end", "right"]
    assert drawn["edges"] == [
        ["orders", "left"],
        ["left", "both"],
        ["both", "end"],
        ["orders", "right"],
        ["right", "both"],
    ]


AWKWARD = 'a "b" \\ <c> & #d größe'


def test_a_drawing_of_a_run_tells_on_each_edge_how_many_rows_went_along() -> None:
    graph = Graph(node(range(1500), name="numbers"), node(lambda row: row if row % 3 else None, name="kept"), str)
    drawing = ET.fromstring(draw(graph, "svg", report=run(graph)))  # noqa: S314  # our own
    counts = drawing.findall(".//{*}text[@class='count']")
    assert [count.text for count in counts] == ["1,500", "1,000"]


def test_awkward_names_are_drawn_as_they_are() -> None:
    graph = Graph(node([1], name=AWKWARD))
    assert draw(graph) == AWKWARD
    assert json.loads(draw(graph, "json"))["nodes"] == [AWKWARD]
    assert '    "a \\"b\\" \\\\ <c> & #d größe";' in draw(graph, "dot").splitlines()
    assert '    n0["a #quot;b#quot; \\ #lt;c#gt; #amp; #35;d größe"]' in draw(graph, "mermaid").splitlines()
    assert AWKWARD in "".join(ET.fromstring(draw(graph, "svg")).itertext())  # noqa: S314  # our own


@pytest.mark.parametrize("style", FORMATS)
def test_an_empty_graph_can_be_drawn(style: str) -> None:
    assert isinstance(draw(Graph(), style), str)


def test_an_unknown_format_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownName) as refused:
        draw(diamond(), "mermaide")
    assert str(refused.value) == (
        f'there is no format "mermaide"; did you mean "mermaid"? There are: {", ".join(sorted(FORMATS))}'
    )
