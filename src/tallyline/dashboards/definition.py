"""What a dashboard is: a title and panels, each of one metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.window import Grain

if TYPE_CHECKING:
    from tallyline.plan import Plan

__all__ = ["Dashboard", "Panel", "dashboard_of_plan"]


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart and a number of one metric, cut in `by`, told apart by the dim `split` where there is one."""

    metric: str
    title: str = ""
    by: Grain = Grain.DAY
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels under a title. The name is its address on the page."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def dashboard_of_plan(plan: Plan, title: str) -> Dashboard:
    """Return the dashboard of a project that defines none: a panel for each metric of the plan.

    >>> from tallyline.plan import Metric
    >>> dashboard_of_plan({"users.new": Metric("users.new")}, "Pagesnap").panels[0].metric
    'users.new'
    """
    return Dashboard("overview", title, tuple(Panel(name) for name in plan))
