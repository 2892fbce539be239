"""What a dashboard is: a title and panels, most of them of one metric."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric, named
from tallyline.window import Grain

if TYPE_CHECKING:
    from tallyline.plan import Plan

__all__ = ["Dashboard", "Panel", "Shows", "Size", "dashboard_of_plan", "panel_title"]

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Shows(StrEnum):
    """What a panel shows: a metric, or how the pipeline behind the metrics is."""

    METRIC = "metric"
    FRESHNESS = "freshness"
    RUNS = "runs"
    COVERAGE = "coverage"


_TITLES = {Shows.FRESHNESS: "How fresh the data is", Shows.RUNS: "Runs", Shows.COVERAGE: "What was read"}


class Size(StrEnum):
    """How large a panel is: a number alone, a chart of half the width, a chart of the whole width."""

    SMALL = "small"
    NORMAL = "normal"
    WIDE = "wide"


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart and a number of one metric, cut in `by`, told apart by the dim `split` where there is one.

    In place of a `metric` of the plan there may be a `formula` over some, with its title and `unit`. Only the series
    that have the dims of `where` are told. The number is compared with the one a `compare` before: by default hours
    and days with those a week before, longer buckets with the ones before them; where `compare` is given, the chart
    shows the period before, too. `target` is what a bucket of the panel's own grain should reach.

    One that `shows` the freshness, the runs or the coverage of the sources has no metric.

    >>> Panel("users.new", split="channel", by=Grain.WEEK).size
    <Size.NORMAL: 'normal'>
    >>> Panel(shows=Shows.RUNS, target=3)
    Traceback (most recent call last):
    tallyline.errors.Refused: a panel that shows runs has no target; leave it out
    """

    metric: str = ""
    title: str = ""
    by: Grain = Grain.DAY
    split: str | None = None
    where: dict[str, str] = field(default_factory=dict)
    compare: Grain | None = None
    target: float | None = None
    size: Size = Size.NORMAL
    shows: Shows = Shows.METRIC
    formula: str = ""
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        self._choose("by", Grain, "grain")
        self._choose("compare", Grain, "grain")
        self._choose("size", Size, "size")
        self._choose("shows", Shows, "thing to show")
        if self.shows is not Shows.METRIC:
            self._check_has_no_metric()
            return
        if not (self.metric or self.formula):
            there_are = ", ".join(shows for shows in Shows if shows is not Shows.METRIC)
            msg = f"a panel needs a metric or a formula, or says in shows what else it tells: {there_are}"
            raise Refused(msg)
        if self.formula and not self.title:
            msg = f'a panel of a formula needs a title: what is "{self.formula}" called?'
            raise Refused(msg)
        if self.unit and not self.formula:
            msg = f'a metric has its unit in the plan; write unit = "{self.unit}" there, under {self.metric}'
            raise Refused(msg)
        if self.compare and list(Grain).index(self.compare) < list(Grain).index(self.by):
            msg = f"{self.by}s cannot be compared with those a {self.compare} before; name a longer time"
            raise Refused(msg)

    def _choose(self, name: str, kind: type[_Choice], what: str) -> None:
        """Take a choice as code writes it, too: "week" for Grain.WEEK."""
        given = getattr(self, name)
        if given is None or isinstance(given, kind):
            return
        if given not in list(kind):
            raise UnknownName(what, str(given), list(kind))
        object.__setattr__(self, name, kind(given))

    def _check_has_no_metric(self) -> None:
        for name in ("metric", "formula", "unit", "split", "where", "compare", "target"):
            if getattr(self, name):
                msg = f"a panel that shows {self.shows} has no {name}; leave it out"
                raise Refused(msg)

    def of_dashboard(self, dashboard: str) -> tuple[Panel, Metric | None]:
        """Return the panel with a metric, and that metric where the panel makes it by its own formula.

        >>> panel, metric = Panel(formula="users.new / visits", title="Sign-ups a visit").of_dashboard("growth")
        >>> panel.metric
        'growth.sign_ups_a_visit'
        """
        if not self.formula or self.metric:
            return self, None
        name = ".".join(_NOT_IN_A_NAME.sub("_", text.lower()).strip("_") for text in (dashboard, self.title))
        return replace(self, metric=name), Metric(name, self.title, self.unit, Kind.FORMULA, self.formula)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels under a title. The name is its address on the page; a `public` one may be shown to anybody."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    description: str = ""
    public: bool = False

    def __post_init__(self) -> None:
        """Keep the panels as they are now, also where code gave them as a list."""
        object.__setattr__(self, "panels", tuple(self.panels))


def dashboard_of_plan(plan: Plan, title: str) -> Dashboard:
    """Return the dashboard of a project that defines none: a panel for each metric of the plan.

    >>> from tallyline.plan import Metric
    >>> dashboard_of_plan({"users.new": Metric("users.new")}, "Pagesnap").panels[0].metric
    'users.new'
    """
    return Dashboard("overview", title, tuple(Panel(name) for name in plan))


def panel_title(panel: Panel, plan: Plan) -> str:
    """Return what stands over a panel: its title, or else what it is called that it shows.

    >>> panel_title(Panel(shows=Shows.COVERAGE), {})
    'What was read'
    """
    if panel.title:
        return panel.title
    if panel.shows is not Shows.METRIC:
        return _TITLES[panel.shows]
    try:
        return named(plan, panel.metric).label
    except UnknownName:
        return panel.metric
