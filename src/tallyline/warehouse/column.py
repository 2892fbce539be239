"""Values of one series, side by side: one step in C for all of them, where an object for each would cost far more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, repeat
from operator import itemgetter, not_
from typing import TYPE_CHECKING, Any, cast

from tallyline.plan import Sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from tallyline.plan import Measured

__all__ = ["Column", "Kept", "Row", "joined"]

_FEW = 16

Row = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""

Kept = tuple[Sequence[float], Sequence[str] | None]
"""Values as they are kept: as numbers and, of distributions, as JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one series: when their buckets begin, in order, how much each is, and which run wrote it.

    Buckets are whole seconds since 1970. The values are all numbers, or all distributions, as the kind of the metric
    says. `found` is how distributions were found in the tables.

    >>> column = Column(7, (3600, 0, 7200), (2.0, 1.0, 3.0), (5, 6, 5)).in_order()
    >>> column.buckets, column.values, column.runs
    ((0, 3600, 7200), (1.0, 2.0, 3.0), (6, 5, 5))
    >>> column.within({0, 3600}).values, column.without({0, 3600}).values
    ((1.0, 2.0), (3.0,))
    """

    series: int
    buckets: tuple[int, ...]
    values: Sequence[Measured]
    runs: Sequence[int]
    found: Kept | None = None

    @classmethod
    def of_kept(cls, series: int, buckets: tuple[int, ...], kept: Kept, runs: Sequence[int]) -> Column:
        """Take values as they are kept, in whatever order they come."""
        numbers, sketches = kept
        if sketches is None:
            return cls(series, buckets, numbers, runs).in_order()
        values = [Sketch.from_data(json.loads(sketch)) for _, sketch in zip(numbers, sketches, strict=True)]
        return cls(series, buckets, values, runs, kept).in_order()

    def __len__(self) -> int:
        """Count the values."""
        return len(self.buckets)

    def in_order(self) -> Column:
        """Return the values in the order of their buckets."""
        ordering = _ordering(self.buckets)
        return self._each(ordering) if ordering else self

    def within(self, buckets: Collection[int]) -> Column:
        """Return the values of some buckets."""
        return self.picked(map(buckets.__contains__, self.buckets))

    def without(self, buckets: Collection[int]) -> Column:
        """Return the values of all buckets but some."""
        return self.picked(map(not_, map(buckets.__contains__, self.buckets)))

    def picked(self, marks: Iterable[bool]) -> Column:
        """Return the values whose mark is true, of one mark for each."""
        marked = tuple(marks)
        return self if all(marked) else self._each(lambda told: tuple(compress(told, marked)))

    @property
    def kept(self) -> Kept:
        """The values as they are kept, or are to be: the number of a distribution is its mean."""
        if self.found is not None:
            return self.found
        if not isinstance(next(iter(self.values), None), Sketch):
            return cast("Sequence[float]", self.values), None
        sketches = cast("Sequence[Sketch]", self.values)
        told = [json.dumps(sketch.as_data(), separators=(",", ":")) for sketch in sketches]
        return [sketch.mean for sketch in sketches], told

    @property
    def keys(self) -> Iterator[tuple[int, int]]:
        """The series and the bucket of each value."""
        return zip(repeat(self.series), self.buckets)

    @property
    def rows(self) -> Iterator[Row]:
        """The values one by one, as they are kept."""
        numbers, sketches = self.kept
        return zip(repeat(self.series), self.buckets, numbers, self.runs, sketches or repeat(None))

    def _each(self, choose: Callable[[Sequence[Any]], tuple[Any, ...]]) -> Column:
        numbers, sketches = self.found or ((), None)
        found = (choose(numbers), choose(sketches)) if sketches else None
        return Column(self.series, choose(self.buckets), choose(self.values), choose(self.runs), found)


def joined(columns: Iterable[Column]) -> Column:
    """Return columns of one series as one, each later than those before it."""
    whole, *later = columns
    for column in later:
        values, runs = (*whole.values, *column.values), (*whole.runs, *column.runs)
        whole = Column(whole.series, whole.buckets + column.buckets, values, runs)
    return whole


@lru_cache(_FEW)  # most series of a reading have the same buckets
def _ordering(buckets: tuple[int, ...]) -> itemgetter[Any] | None:
    places = range(len(buckets))
    in_order = sorted(places, key=buckets.__getitem__)
    return None if in_order == list(places) else itemgetter(*in_order)
