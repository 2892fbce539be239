"""A metric of the plan: its name, title, unit and kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallyline.errors import Refused

__all__ = ["Kind", "Metric", "Plan"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_LONGEST_NAME = 120


class Kind(StrEnum):
    """How values of a metric roll up, over time and over series.

    =========== ================= ===============
    kind        over time         over series
    =========== ================= ===============
    ``count``   sum               sum
    ``level``   the last          sum
    ``minimum`` the smallest      the smallest
    ``maximum`` the greatest      the greatest
    =========== ================= ===============
    """

    COUNT = "count"
    LEVEL = "level"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"

    def over_time(self, values: Sequence[float]) -> float:
        """Roll up one series' values, given in the order of time.

        >>> [kind.over_time([3.0, 1.0, 2.0]) for kind in Kind]
        [6.0, 2.0, 1.0, 3.0]
        """
        return _OVER_TIME[self](values)

    def over_series(self, values: Sequence[float]) -> float:
        """Roll up the values that several series have in one bucket.

        >>> [kind.over_series([3.0, 1.0, 2.0]) for kind in Kind]
        [6.0, 6.0, 1.0, 3.0]
        """
        return _OVER_SERIES[self](values)


def _last(values: Sequence[float]) -> float:
    return values[-1]


_OVER_TIME: dict[Kind, Callable[[Sequence[float]], float]] = {
    Kind.COUNT: math.fsum,
    Kind.LEVEL: _last,
    Kind.MINIMUM: min,
    Kind.MAXIMUM: max,
}
_OVER_SERIES = _OVER_TIME | {Kind.LEVEL: math.fsum}


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing worth measuring: `unit` is what is counted (``users``, ``USD``, ``ms``).

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

    def __post_init__(self) -> None:
        """Refuse names that cannot be typed on a command line or told apart."""
        if not _NAME.fullmatch(self.name):
            msg = f'"{self.name}" is not a metric\'s name; use lower case words joined by dots, such as users.new'
            raise Refused(msg)
        if len(self.name) > _LONGEST_NAME:
            msg = f'"{self.name}" has {len(self.name)} characters; a metric\'s name has at most {_LONGEST_NAME}'
            raise Refused(msg)

    @property
    def label(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name


Plan = Mapping[str, Metric]
