"""A metric of the plan: its name, title, unit and kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import mul
from statistics import fmean
from typing import Any, cast

from tallyline.errors import Refused
from tallyline.plan.formula import Formula, parse_formula
from tallyline.plan.sketch import Sketch

__all__ = ["Kind", "Measured", "Metric", "Plan"]

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

    One of kind ``formula`` is worked out from others, at every grain from what these are there.

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
