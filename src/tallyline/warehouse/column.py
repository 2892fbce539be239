"""Values of one series, side by side: one step in C for all of them, where an object for each would cost far more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, repeat
from operator import itemgetter, not_
from typing import TYPE_CHECKING, Any, cast

from tallyline.plan import Sketch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tallyline.plan import Measured

__all__ = ["Column", "Row", "joined", "measured"]

_REMEMBERED = 16

Row = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one series: when their buckets begin, in order, how much each is, and which run wrote it.

    Buckets are whole seconds since 1970. The values are all numbers, or all distributions.

    >>> column = Column.of(7, (3600, 0, 7200), (2.0, 1.0, 3.0), (5, 5, 6))
    >>> column.buckets, column.values
    ((0, 3600, 7200), (1.0, 2.0, 3.0))
    >>> column.within({0, 3600}).values, column.without({0, 3600}).values
    ((1.0, 2.0), (3.0,))
    """

    series: int
    buckets: tuple[int, ...]
    values: Sequence[Measured]
    runs: Sequence[int]

    @classmethod
    def of(cls, series: int, buckets: tuple[int, ...], values: Sequence[Measured], runs: Sequence[int]) -> Column:
        """Take values in whatever order they come."""
        in_order = _ordering(buckets)
        if in_order is None:
            return cls(series, buckets, values, runs)
        return cls(series, in_order(buckets), in_order(values), in_order(runs))

    def __len__(self) -> int:
        """Count the values."""
        return len(self.buckets)

    def within(self, buckets: Collection[int]) -> Column:
        """Return the values of some buckets."""
        return self.picked(map(buckets.__contains__, self.buckets))

    def without(self, buckets: Collection[int]) -> Column:
        """Return the values of all buckets but some."""
        return self.picked(map(not_, map(buckets.__contains__, self.buckets)))

    def picked(self, which: Iterable[bool]) -> Column:
        """Return those values of which it is true."""
        chosen = tuple(which)
        if all(chosen):
            return self
        return Column(
            self.series,
            tuple(compress(self.buckets, chosen)),
            tuple(compress(self.values, chosen)),
            tuple(compress(self.runs, chosen)),
        )

    @property
    def numbers(self) -> Sequence[float]:
        """What each value is as a number: of a distribution, its mean."""
        if self._has_sketches:
            return [sketch.mean for sketch in cast("Sequence[Sketch]", self.values)]
        return cast("Sequence[float]", self.values)

    @property
    def sketches(self) -> Sequence[str] | None:
        """The distributions as JSON, None where the values are numbers."""
        if not self._has_sketches:
            return None
        return [json.dumps(sketch.as_data(), separators=(",", ":")) for sketch in cast("Sequence[Sketch]", self.values)]

    @property
    def rows(self) -> Iterator[Row]:
        """The values one by one, as they are kept."""
        return zip(repeat(self.series), self.buckets, self.numbers, self.runs, self.sketches or repeat(None))

    @property
    def _has_sketches(self) -> bool:
        return isinstance(next(iter(self.values), None), Sketch)


def measured(numbers: Sequence[float], sketches: Sequence[str | None] | None) -> Sequence[Measured]:
    """Return what was measured, out of how it is kept."""
    kept = [sketch for sketch in sketches or () if sketch is not None]
    if not kept:
        return numbers
    return [Sketch.from_data(json.loads(sketch)) for _, sketch in zip(numbers, kept, strict=True)]


def joined(columns: Iterable[Column]) -> Column:
    """Return columns of one series as one, each later than those before it."""
    first, *later = columns
    for column in later:
        values, runs = (*first.values, *column.values), (*first.runs, *column.runs)
        first = Column(first.series, first.buckets + column.buckets, values, runs)
    return first


@lru_cache(_REMEMBERED)  # most series of a reading have the same buckets
def _ordering(buckets: tuple[int, ...]) -> itemgetter[Any] | None:
    places = range(len(buckets))
    in_order = sorted(places, key=buckets.__getitem__)
    return None if in_order == list(places) else itemgetter(*in_order)
