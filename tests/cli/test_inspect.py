"""`tallyline inspect` draws what a source does, without running it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.cli.terminal import make_project, tallyline

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
[services]
shop = "${SHOP_URL}"

[metrics]
orders = {}

[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT 1"
"""
CODE = """
from tallyline import Graph, source


@source
def counts() -> Graph:
    graph = Graph([1, 2], double)
    graph["list"] >> triple
    return graph


def double(row):
    raise AssertionError("nothing runs")


def triple(row):
    raise AssertionError("nothing runs")
"""
EDGES = {
    ("list", "double"),
    ("list", "triple"),
    ("double", "normalize"),
    ("triple", "normalize"),
    ("normalize", "write"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a declared source, whose database is nowhere, and one in code that forks and meets again."""
    monkeypatch.delenv("SHOP_URL", raising=False)
    return make_project(tmp_path / "project", PROJECT, CODE)


def test_every_source_is_drawn_as_text(project: Path) -> None:
    answer = tallyline("inspect", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert (
        answer.out
        == """\
orders
orders
└── normalize
    └── write

counts
list
├── double
│   └── normalize
│       └── write
└── triple
    └── normalize …
"""
    )


def test_only_the_sources_named_are_drawn(project: Path) -> None:
    assert tallyline("inspect", "orders", project=project).out == "orders\norders\n└── normalize\n    └── write\n"


def test_json_is_a_list_of_graphs(project: Path) -> None:
    orders, counts = tallyline("inspect", "--format", "json", project=project).data
    assert orders == {
        "title": "orders",
        "nodes": ["orders", "normalize", "write"],
        "edges": [["orders", "normalize"], ["normalize", "write"]],
    }
    assert {tuple(edge) for edge in counts["edges"]} == EDGES


def test_mermaid_has_a_box_a_node_and_an_arrow_an_edge(project: Path) -> None:
    lines = tallyline("inspect", "counts", "--format", "mermaid", project=project).out.splitlines()
    assert lines[:4] == ["---", 'title: "counts"', "---", "flowchart LR"]
    names = dict(re.findall(r'^ +(n\d)\["(\w+)"\]$', "\n".join(lines), re.MULTILINE))
    arrows = {(names[before], names[after]) for before, after in re.findall(r"(n\d) --> (n\d)", "\n".join(lines))}
    assert arrows == EDGES
    assert len(lines) == 4 + len(names) + len(arrows)


def test_dot_has_every_node_and_edge(project: Path) -> None:
    drawn = tallyline("inspect", "counts", "--format", "dot", project=project).out
    assert drawn.startswith('digraph "counts" {\n')
    assert drawn.endswith("}\n")
    assert set(re.findall(r'"(\w+)" -> "(\w+)";', drawn)) == EDGES


def test_svg_is_xml_with_the_names_of_the_nodes(project: Path) -> None:
    drawn = ET.fromstring(tallyline("inspect", "counts", "--format", "svg", project=project).out)  # noqa: S314
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"list", "double", "triple", "normalize", "write"} <= {
        "".join(text.itertext()).strip() for text in drawn.iter()
    }


def test_svg_of_several_sources_would_be_no_file(project: Path) -> None:
    answer = tallyline("inspect", "--format", "svg", project=project)
    assert answer.status == 2
    assert "an SVG shows one source; say which: counts, orders" in answer.err


def test_an_unknown_source_is_refused(project: Path) -> None:
    answer = tallyline("inspect", "ordres", project=project)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == 'error: there is no source "ordres"; did you mean "orders"? There are: counts, orders\n'


def test_an_unknown_format_is_refused(project: Path) -> None:
    answer = tallyline("inspect", "--format", "png", project=project)
    assert (answer.status, answer.out) == (2, "")
    assert "'png' is not one of 'text', 'mermaid', 'dot', 'svg', 'json'" in answer.err
