"""How the panels of a dashboard stand on the page: in rows of one size, in the order of their definition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from tallyline.dashboards import Size, panel_title

if TYPE_CHECKING:
    from tallyline.dashboards import Dashboard, Shows
    from tallyline.plan import Plan

__all__ = ["Placed", "Row", "placed"]

MOST_CARDS = 4


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel's number, from 1, and what is known of it before its data."""

    number: int
    title: str
    description: str
    shows: Shows
    size: Size


@dataclass(frozen=True, slots=True)
class Row:
    """Panels of one size that follow each other."""

    size: Size
    panels: list[Placed]

    @property
    def columns(self) -> int:
        """How many cards stand beside each other, so that none is left over alone where that can be avoided.

        >>> [Row(Size.SMALL, [None] * count).columns for count in (1, 3, 4, 5, 6, 9)]
        [1, 3, 4, 3, 3, 3]
        """
        lines = -(-len(self.panels) // MOST_CARDS)
        return -(-len(self.panels) // lines)


def placed(dashboard: Dashboard, plan: Plan) -> list[Row]:
    """Return the panels in rows."""
    panels = [
        Placed(number, panel_title(panel, plan), panel.description, panel.shows, panel.size)
        for number, panel in enumerate(dashboard.panels, start=1)
    ]
    return [Row(size, list(row)) for size, row in groupby(panels, key=lambda panel: panel.size)]
