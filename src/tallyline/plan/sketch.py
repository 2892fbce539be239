"""A sketch of a distribution: how many values were about how great, within 0.4 % of each.

A value is counted under the upper half of its 32-bit floating point number, which leaves seven bits of its fraction: so
a bucket is at most 1/128 wide, and its middle at most 1/256 away from what was counted in it, but for the rounding to
32 bits. A value below 2**-126 (1.2e-38) counts as zero; above 3.3e38 none is taken. As JSON a sketch takes about 2 KB
for each doubling from its least to its greatest value. Sketches of hours put together are the sketch of the day.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from tallyline.errors import BadPoint, Refused, UnknownName, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["RELATIVE_ERROR", "Gathering", "Sketch", "is_statistic", "statistic"]

RELATIVE_ERROR = 0.004
"""How far a quantile is from the value that it stands for, at most: 1/256 of it, and the rounding to 32 bits."""

_SMALLEST = 2.0**-126
_GREATEST = 3.3e38
_UPPER_HALF = 1 if sys.byteorder == "little" else 0
_HOW_MANY_BUCKETS = 1 << 15
_AT_ONCE = 4096
_PERCENTILE = re.compile(r"p([0-9]{1,2}|[0-9]{2,5}[1-9])")  # not p100, which would be 10.0 %
_USUAL = ("count", "greatest", "least", "mean", "p50", "p95", "p99", "p999", "sum")


@dataclass(frozen=True, slots=True, repr=False)
class Sketch:
    """A distribution of values from zero on: `count`, `total`, `least` and `greatest` are exact.

    >>> hours = [Sketch.of([120.0, 80.0]), Sketch.of(range(1, 999))]
    >>> day = Sketch.merged(hours)
    >>> day.count, day.greatest, abs(day.quantile(0.95) / 950 - 1) < RELATIVE_ERROR
    (1000, 998.0, True)
    """

    counted: InitVar[Mapping[int, int]]
    total: float
    least: float
    greatest: float
    count: int = field(init=False)
    _buckets: array[int] = field(init=False, hash=False)
    _counts: array[int] = field(init=False, hash=False)

    def __post_init__(self, counted: Mapping[int, int]) -> None:
        """Keep the buckets in order, in a tenth of the room that a dict takes, and count what is in them."""
        buckets = sorted(counted)
        object.__setattr__(self, "_buckets", array("H", buckets))
        object.__setattr__(self, "_counts", array("Q", [counted[bucket] for bucket in buckets]))
        object.__setattr__(self, "count", sum(self._counts))

    @classmethod
    def of(cls, values: Iterable[float]) -> Sketch:
        """Return the sketch of values; raises BadPoint for none, and for one that is no number from zero on.

        >>> Sketch.of([3, 250, 40])
        <Sketch of 3 values from 3 to 250>
        """
        exact = list(values)
        if not exact:
            msg = "a sketch of no values says nothing: leave out what was not measured"
            raise BadPoint(msg)
        least, greatest = min(exact), max(exact)
        total = math.fsum(exact) if least >= 0 and greatest <= _GREATEST else math.nan
        if math.isnan(total):
            raise BadPoint(_what_is_wrong(exact))
        return cls(Counter(_buckets_of(exact, least)), total, *_unsigned(least, greatest))

    @classmethod
    def merged(cls, sketches: Iterable[Sketch]) -> Sketch:
        """Return the sketch of all that the sketches are made of; raises BadPoint for none.

        >>> Sketch.merged([Sketch.of([1, 2]), Sketch.of([4])]) == Sketch.of([1, 2, 4])
        True
        """
        several = list(sketches)
        if not several:
            msg = "there are no sketches to put together: give one or more"
            raise BadPoint(msg)
        buckets: defaultdict[int, int] = defaultdict(int)  # less than half the time of a Counter
        for sketch in several:
            for bucket, count in zip(sketch._buckets, sketch._counts, strict=True):  # noqa: SLF001  # one of its own
                buckets[bucket] += count
        total = math.fsum(sketch.total for sketch in several)
        return cls(buckets, total, min(each.least for each in several), max(each.greatest for each in several))

    @property
    def mean(self) -> float:
        """The mean, exact but for rounding."""
        return min(max(self.total / self.count, self.least), self.greatest)

    def quantile(self, share: float) -> float:
        """Return the value that so great a share of all values are not greater than, right to RELATIVE_ERROR.

        It is that of the nearest rank: of ten values, the fifth is the quantile of 0.5. The first and the last are
        exact.

        >>> Sketch.of([1, 2, 4]).quantile(0.5), Sketch.of([1, 2, 4]).quantile(1)
        (2.0078125, 4.0)
        """
        if not 0 <= share <= 1:
            msg = f"{share} is no share; give a number from 0 to 1"
            raise Refused(msg)
        rank = max(math.ceil(Fraction(str(float(share))) * self.count), 1)  # 0.07 of 100 is 7, as floats it is more
        if rank in {1, self.count}:
            return self.least if rank == 1 else self.greatest
        place = bisect_left(list(accumulate(self._counts)), rank)
        return min(max(_middle(self._buckets[place]), self.least), self.greatest)

    def as_data(self) -> dict[str, object]:
        """Return the sketch as plain data for JSON; its buckets have the middle of their values as names.

        >>> Sketch.of([0, 3, 3]).as_data()
        {'count': 3, 'sum': 6.0, 'least': 0.0, 'greatest': 3.0, 'buckets': {'0': 1, '3.00781': 2}}
        """
        return {
            "count": self.count,
            "sum": self.total,
            "least": self.least,
            "greatest": self.greatest,
            "buckets": dict(zip(map(_name, self._buckets), self._counts, strict=True)),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> Sketch:
        """Return the sketch that gave the data.

        >>> Sketch.from_data(Sketch.of([0, 3, 3]).as_data()) == Sketch.of([0, 3, 3])
        True
        """
        buckets = cast("Mapping[str, int]", data["buckets"])
        total, least, greatest = (float(cast("float", data[name])) for name in ("sum", "least", "greatest"))
        return cls({_named(name): count for name, count in buckets.items()}, total, least, greatest)

    def __repr__(self) -> str:
        return f"<Sketch of {self.count} values from {self.least:g} to {self.greatest:g}>"


class Gathering:
    """Values that come one after the other and become a sketch: of any number, a few thousand are kept.

    The sketch is that of all the values, in whatever order they come.

    >>> gathering = Gathering()
    >>> gathering.add(array("d", [3.0, 250.0]))
    >>> gathering.add(array("d", [40.0]))
    >>> gathering.sketch() == Sketch.of([3, 250, 40])
    True
    """

    __slots__ = ("_buckets", "_greatest", "_least", "_total", "_waiting")

    def __init__(self) -> None:
        """Begin with no values."""
        self._waiting = array("d")
        self._buckets: Counter[int] = Counter()
        self._total: list[float] = []  # what it is rounded to, and what that is off by
        self._least, self._greatest = math.inf, 0.0

    def add(self, values: array[float]) -> None:
        """Take in values; raises BadPoint, now or later, for one that is no number from zero on."""
        self._waiting.extend(values)
        if len(self._waiting) >= _AT_ONCE:
            self._count()

    def sketch(self) -> Sketch | None:
        """Return the sketch of the values so far, None of none."""
        if self._waiting:
            self._count()
        if not self._buckets:
            return None
        return Sketch(self._buckets, math.fsum(self._total), *_unsigned(self._least, self._greatest))

    def _count(self) -> None:
        values, self._waiting = self._waiting, array("d")
        least, greatest = min(values), max(values)
        if not (least >= 0 and greatest <= _GREATEST) or math.isnan(math.fsum(values)):
            raise BadPoint(_what_is_wrong(values))
        self._total = _exact_sum([*self._total, *values])
        self._least, self._greatest = min(self._least, least), max(self._greatest, greatest)
        self._buckets.update(_buckets_of(values, least))


_TOLD: dict[str, Callable[[Sketch], float]] = {
    "count": lambda sketch: float(sketch.count),
    "sum": lambda sketch: sketch.total,
    "mean": lambda sketch: sketch.mean,
    "least": lambda sketch: sketch.least,
    "greatest": lambda sketch: sketch.greatest,
}


def is_statistic(name: str) -> bool:
    """Say whether there is a statistic of that name.

    >>> is_statistic("p95"), is_statistic("median")
    (True, False)
    """
    return name in _TOLD or bool(_PERCENTILE.fullmatch(name))


def statistic(name: str) -> Callable[[Sketch], float]:
    """Return what tells `count`, `sum`, `mean`, `least`, `greatest`, or a percentile such as `p5`, `p95` or `p999`.

    From the third on, the digits of a percentile are decimals: `p999` is 99.9 %. They do not end in zero.

    >>> statistic("p50")(Sketch.of([1, 2, 4]))
    2.0078125
    """
    if not is_statistic(name):
        raise UnknownName("statistic", name, _USUAL)
    if name in _TOLD:
        return _TOLD[name]
    digits = name[1:]
    share = int(digits) / 10.0 ** max(len(digits), 2)
    return lambda sketch: sketch.quantile(share)


def _what_is_wrong(values: Sequence[float]) -> str:
    value = next(value for value in values if not 0 <= value <= _GREATEST)
    what = "below zero" if value < 0 else f"greater than {_GREATEST:g}" if value > _GREATEST else "not a number"
    return (
        f"{shortened(repr(value))} is {what}: a sketch takes numbers from 0 to {_GREATEST:g}; "
        "leave out what was not measured"
    )


def _buckets_of(values: Sequence[float], least: float) -> memoryview[int]:
    """Return the bucket of each value; `least` is the least of them."""
    kept = values if least >= _SMALLEST else [value if value >= _SMALLEST else 0.0 for value in values]
    return memoryview(array("f", kept)).cast("B").cast("H")[_UPPER_HALF::2]


def _exact_sum(values: Sequence[float]) -> list[float]:
    """Return the sum of the values in few numbers: what it is rounded to, by how much that is off, and so on."""
    left, parts = list(values), []
    while part := math.fsum(left):
        parts.append(part)
        left.append(-part)
    return parts


def _unsigned(least: float, greatest: float) -> tuple[float, float]:
    return abs(float(least)), abs(float(greatest))  # zero has no sign


def _middle(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    middle: float = struct.unpack("<f", struct.pack("<I", bucket << 16 | 0x8000))[0]
    return middle


@lru_cache(_HOW_MANY_BUCKETS)
def _name(bucket: int) -> str:
    return f"{_middle(bucket):.6g}"


@lru_cache(_HOW_MANY_BUCKETS)
def _named(name: str) -> int:
    bits: int = struct.unpack("<I", struct.pack("<f", float(name)))[0]
    return bits >> 16
