"""A metric of the plan: its name, title, unit and kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import mul
from statistics import fmean
from typing import Any, cast

from tallyline.errors import Refused, UnknownName
from tallyline.plan.formula import Formula, inlined, parse_formula
from tallyline.plan.sketch import Sketch, is_statistic

__all__ = ["Kind", "Measured", "Metric", "Plan", "check_formulas", "kept_as", "named", "with_units"]

Measured = float | Sketch

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_LONGEST_NAME = 120


class Kind(StrEnum):
    """How values of a metric roll up, over time and over series.

    ============ ============================ ===============
    kind         over time                    over series
    ============ ============================ ===============
    ``count``    sum                          sum
    ``level``    the last                     sum
    ``mean``     mean, weighted by time       sum
    ``minimum``  the smallest                 the smallest
    ``maximum``  the greatest                 the greatest
    ``duration`` all values put together      all values put together
    ``distinct`` refused: counted anew        refused
    ``formula``  evaluated from its parts     evaluated from its parts
    ============ ============================ ===============
    """

    COUNT = "count"
    LEVEL = "level"
    MEAN = "mean"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    DURATION = "duration"
    DISTINCT = "distinct"
    FORMULA = "formula"

    def over_time(self, values: Sequence[Measured], weights: Sequence[float] | None = None) -> Measured:
        """Roll up one series' values, given in the order of time; `weights` are the lengths of their buckets.

        >>> [kind.over_time([3.0, 1.0, 2.0]) for kind in (Kind.COUNT, Kind.LEVEL, Kind.MEAN, Kind.MAXIMUM)]
        [6.0, 2.0, 2.0, 3.0]
        >>> Kind.MEAN.over_time([3.0, 1.0], [23, 25])
        1.9583333333333333
        """
        if self is Kind.MEAN and weights:
            return math.fsum(map(mul, cast("Sequence[float]", values), weights)) / math.fsum(weights)
        return self._rolled_up(_OVER_TIME, values)

    def over_series(self, values: Sequence[Measured]) -> Measured:
        """Roll up the values that several series have in one bucket.

        >>> [kind.over_series([3.0, 1.0, 2.0]) for kind in (Kind.COUNT, Kind.LEVEL, Kind.MINIMUM)]
        [6.0, 6.0, 1.0]
        >>> Kind.DISTINCT.over_series([3.0, 1.0])
        Traceback (most recent call last):
        tallyline.errors.Refused: distinct counts cannot be added up: who was counted in two of them ...
        """
        return self._rolled_up(_OVER_SERIES, values)

    def _rolled_up(self, ways: Mapping[Kind, Callable[[Any], Measured]], values: Sequence[Measured]) -> Measured:
        if len(values) == 1:
            return values[0]
        if self is Kind.DISTINCT:
            msg = (
                "distinct counts cannot be added up: who was counted in two of them would count twice; "
                "let the source count at this grain, and for these dims, anew"
            )
            raise Refused(msg)
        return ways[self](values)


def _last(values: Sequence[float]) -> float:
    return values[-1]


_OVER_TIME: dict[Kind, Callable[[Any], Measured]] = {
    Kind.COUNT: math.fsum,
    Kind.LEVEL: _last,
    Kind.MEAN: fmean,
    Kind.MINIMUM: min,
    Kind.MAXIMUM: max,
    Kind.DURATION: Sketch.merged,
}
_OVER_SERIES = _OVER_TIME | {Kind.LEVEL: math.fsum, Kind.MEAN: math.fsum}


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing worth measuring: `unit` is what is counted (``users``, ``USD``, ``ms``).

    One of kind ``formula`` is worked out from others, at every grain from what these are there. It is a `share` where
    it divides one quantity by another of the same unit: 0.25 is told to people as 25 %.

    >>> Metric("users.new", title="New users", unit="users").kind
    <Kind.COUNT: 'count'>
    >>> Metric("New Users")
    Traceback (most recent call last):
    tallyline.errors.Refused: "New Users" is not a metric's name; use lower case words joined by dots, such as users.new
    """

    name: str
    title: str = ""
    unit: str = ""
    kind: Kind = Kind.COUNT
    formula: str = ""
    share: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse names that cannot be typed on a command line or told apart, and formulas that cannot be read."""
        if not _NAME.fullmatch(self.name):
            msg = f'"{self.name}" is not a metric\'s name; use lower case words joined by dots, such as users.new'
            raise Refused(msg)
        if len(self.name) > _LONGEST_NAME:
            msg = f'"{self.name}" has {len(self.name)} characters; a metric\'s name has at most {_LONGEST_NAME}'
            raise Refused(msg)

        if bool(self.formula) != (self.kind is Kind.FORMULA):
            msg = f'{self.name} is a {self.kind}; a formula and kind = "formula" go together'
            raise Refused(msg)
        if self.formula:
            parse_formula(self.formula)

    @property
    def parsed(self) -> Formula:
        """The formula of a metric that is worked out from others."""
        return parse_formula(self.formula)

    @property
    def label(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name


Plan = Mapping[str, Metric]


def named(plan: Plan, name: str) -> Metric:
    """Return the metric of that name, or the statistic of a duration that is named ``metric.p95``.

    >>> named({"api.time": Metric("api.time", "Answers", "ms", Kind.DURATION)}, "api.time.p95").label
    'Answers, p95'
    """
    if name in plan:
        return plan[name]
    of, _, told = name.rpartition(".")
    if of in plan and plan[of].kind is Kind.DURATION and is_statistic(told):
        return replace(
            plan[of], name=name, title=f"{plan[of].label}, {told}", unit="" if told == "count" else plan[of].unit
        )
    raise UnknownName("metric in the plan called", name, plan)


def kept_as(plan: Plan, name: str) -> str:
    """Return the metric that is kept: of a statistic of a duration, the duration."""
    return name if name in plan else name.rpartition(".")[0]


def check_formulas(plan: Plan) -> dict[str, Refused]:
    """Return what is wrong with the plan's formulas: unknown metrics, units that do not go together, circles."""
    formulas = {name: metric.parsed for name, metric in plan.items() if metric.formula}
    wrong: dict[str, Refused] = {}
    for name, formula in formulas.items():
        try:
            whole = inlined(formula, formulas)
            whole.unit({part: named(plan, part).unit for part in whole.metrics})
        except Refused as refused:
            wrong[name] = refused
    return wrong


def with_units(plan: Plan) -> dict[str, Metric]:
    """Return the plan, formulas that name no unit with the one that follows from those of their metrics.

    Where none is left because both sides of a division have the same, the metric is a share.

    >>> users = [Metric("users.new", unit="users"), Metric("users.activated", unit="users")]
    >>> rate = Metric("activation", kind=Kind.FORMULA, formula="users.activated / users.new")
    >>> with_units({metric.name: metric for metric in (*users, rate)})["activation"].share
    True
    """
    formulas = {name: metric.parsed for name, metric in plan.items() if metric.formula}
    told = dict(plan)
    for name, formula in formulas.items():
        if not plan[name].unit:
            whole = inlined(formula, formulas)
            told[name] = replace(plan[name], unit=whole.unit({part: named(plan, part).unit for part in whole.metrics}))
    return {name: replace(metric, share=_is_share(metric, told)) for name, metric in told.items()}


def _is_share(metric: Metric, told: Plan) -> bool:
    if not metric.formula or metric.unit:
        return False
    units = {part: named(told, part).unit for part in metric.parsed.metrics}
    return all(units.values()) and metric.parsed.share(units)
