"""A graph as an SVG picture: feeders on the left, what they feed on the right, rows on the edges once it has run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tallyline.graph.report import Report
    from tallyline.graph.structure import Graph

__all__ = ["svg"]

CHARACTER = 7.8
HEIGHT = 34
BETWEEN_LAYERS = 84
BETWEEN_BOXES = 22
MARGIN = 16
_STYLE = """
    text { font: 13px ui-monospace, monospace; fill: #1c2430; }
    .count { font-size: 11px; fill: #667085; text-anchor: middle; }
    rect { fill: #f5f7fa; stroke: #98a2b3; }
    path { fill: none; stroke: #98a2b3; stroke-width: 1.5; }
    marker path { fill: #98a2b3; stroke: none; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e4e7ec; }
        rect { fill: #1d2430; }
    }
"""
_ARROW = """
    <marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0 8 4 0 8z"/>
    </marker>
"""


class _Box(NamedTuple):
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        return self.y + HEIGHT / 2


def svg(graph: Graph, title: str, report: Report | None = None) -> str:
    """Return the picture, which adapts to light and dark."""
    boxes = _boxes(_layers(graph))
    width = max((box.x + box.width for box in boxes.values()), default=0) + MARGIN
    height = max((box.y for box in boxes.values()), default=0) + HEIGHT + MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title or 'graph')}</title>",
            f"<style>{_STYLE}</style>",
            f"<defs>{_ARROW}</defs>",
            *(line for edge in graph.edges for line in _edge(boxes, edge, report)),
            *(line for name, box in boxes.items() for line in _node(name, box)),
            "</svg>",
        ]
    )


def _layers(graph: Graph) -> list[list[str]]:
    depth: dict[str, int] = {}
    for name in graph.ordered:
        depth[name] = max((depth[feeder] + 1 for feeder in graph.before(name)), default=0)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, number in depth.items():
        layers[number].append(name)
    place: dict[str, float] = {}
    for layer in layers:
        layer.sort(key=lambda name: _mean([place[feeder] for feeder in graph.before(name)]))
        place |= {name: index - (len(layer) - 1) / 2 for index, name in enumerate(layer)}
    return layers


def _boxes(layers: Sequence[Sequence[str]]) -> dict[str, _Box]:
    tallest = max(map(len, layers), default=0)
    boxes: dict[str, _Box] = {}
    x = float(MARGIN)
    for layer in layers:
        width = max(map(len, layer)) * CHARACTER + 24
        above = (tallest - len(layer)) * (HEIGHT + BETWEEN_BOXES) / 2 + MARGIN
        for index, name in enumerate(layer):
            boxes[name] = _Box(x, above + index * (HEIGHT + BETWEEN_BOXES), width)
        x += width + BETWEEN_LAYERS
    return boxes


def _node(name: str, box: _Box) -> Iterator[str]:
    yield f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT}" rx="7"/>'
    yield f'<text x="{box.x + 12:.1f}" y="{box.middle + 4.5:.1f}">{escape(name)}</text>'


def _edge(boxes: dict[str, _Box], edge: tuple[str, str], report: Report | None) -> Iterator[str]:
    before, after = boxes[edge[0]], boxes[edge[1]]
    start, end = before.x + before.width, after.x - 2
    bend = (end - start) / 2
    curve = (
        f"M{start:.1f} {before.middle:.1f}C{start + bend:.1f} {before.middle:.1f} {end - bend:.1f} {after.middle:.1f}"
    )
    yield f'<path d="{curve} {end:.1f} {after.middle:.1f}" marker-end="url(#end)"/>'
    if report is not None:
        x, y = (start + end) / 2, (before.middle + after.middle) / 2 - 6
        yield f'<text class="count" x="{x:.1f}" y="{y:.1f}">{report[edge[0]].rows_out:,}</text>'


def _mean(places: Sequence[float]) -> float:
    return sum(places) / len(places) if places else 0.0
