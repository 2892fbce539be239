"""Where things stand on Grafana's grid of 24 columns: in rows of one size, in the order of the definition."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tallyline.dashboards.definition import Shows, Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tallyline.dashboards.definition import Panel

__all__ = ["COLUMNS", "Place", "placed"]

COLUMNS = 24
_MOST_SMALL = 4
_HEIGHTS = {Size.SMALL: 4, Size.NORMAL: 8, Size.WIDE: 9}
_LEAST, _MOST = 8, 20


class Place(NamedTuple):
    """A place on the grid: columns from the left and rows from the top, each of about 30 pixels."""

    x: int
    y: int
    w: int
    h: int

    @property
    def as_json(self) -> dict[str, int]:
        """The place as Grafana writes it."""
        return self._asdict()

    def columns(self, width: int) -> tuple[Place, Place]:
        """Return the place in two beside each other, the first of them of that width.

        >>> Place(12, 0, 12, 8).columns(3)
        (Place(x=12, y=0, w=3, h=8), Place(x=15, y=0, w=9, h=8))
        """
        return self._replace(w=width), self._replace(x=self.x + width, w=self.w - width)

    def rows(self, height: int) -> tuple[Place, Place]:
        """Return the place in two, one above the other, the first of them of that height."""
        return self._replace(h=height), self._replace(y=self.y + height, h=self.h - height)


def placed(panels: Sequence[Panel], sources: int = 0) -> Iterator[tuple[Panel, Place]]:
    """Yield the panels with their places: small ones in rows of at most four, others two in a row or alone.

    What tells of the pipeline is as high as so many sources need.

    >>> from tallyline.dashboards import Panel
    >>> [place for _, place in placed([Panel("a", size="small"), Panel("b", size="small"), Panel("c", size="wide")])]
    [Place(x=0, y=0, w=12, h=4), Place(x=12, y=0, w=12, h=4), Place(x=0, y=4, w=24, h=9)]
    """
    y = 0
    for size, group in groupby(panels, key=_size):
        row = list(group)
        columns = _columns(size, len(row))
        for first in range(0, len(row), columns):
            beside = row[first : first + columns]
            height = max(_height(panel, size, sources) for panel in beside)
            width = COLUMNS // columns
            yield from ((panel, Place(at * width, y, width, height)) for at, panel in enumerate(beside))
            y += height


def _size(panel: Panel) -> Size:
    """Return the size of a panel; what tells of the pipeline is no number alone."""
    return Size.NORMAL if panel.size is Size.SMALL and panel.shows is not Shows.METRIC else panel.size


def _height(panel: Panel, size: Size, sources: int) -> int:
    """Return a height in rows of the grid; a source needs about one."""
    return _HEIGHTS[size] if panel.shows is Shows.METRIC else min(max(_LEAST, sources + 2), _MOST)


def _columns(size: Size, count: int) -> int:
    if size is not Size.SMALL:
        return 1 if size is Size.WIDE else 2
    rows = -(-count // _MOST_SMALL)
    return -(-count // rows)
