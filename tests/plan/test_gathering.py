"""Durations that come one after the other: the same sketch in whatever order they come, in bounded memory."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallyline.errors import BadPoint
from tallyline.plan import Point, Points, Sketch
from tallyline.plan.sketch import Gathering

HOUR = datetime(2026, 7, 14, 10, tzinfo=UTC)
VALUES = st.just(0.0) | st.floats(2.0**-126, 3.3e38) | st.floats(0.1, 1e4)


def gathered(values: list[float], at_once: int) -> Sketch | None:
    """Gather values, so many at once."""
    gathering = Gathering()
    for at in range(0, len(values), at_once):
        gathering.add(array("d", values[at : at + at_once]))
    return gathering.sketch()


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=50), st.randoms(use_true_random=False), st.integers(1, 20))
@example([3.3e38, 1.0, 2.0**-60], random.Random(1), 1)  # noqa: S311  # no secret
def test_the_sketch_is_the_same_however_its_values_come(
    values: list[float], order: random.Random, at_once: int
) -> None:
    gathering = Gathering()
    for value in values:
        gathering.add(array("d", [value]))
        gathering.sketch()  # counts what is waiting
    order.shuffle(values)
    assert gathering.sketch() == gathered(values, at_once) == Sketch.of(values)


def test_thousands_of_values_are_counted_on_the_way() -> None:
    drawn = random.Random(7)  # noqa: S311  # no secret
    values = [drawn.lognormvariate(4, 1) for _ in range(20_000)]
    assert gathered(values, 1) == gathered(sorted(values), 4097) == Sketch.of(values)


def test_no_values_make_no_sketch() -> None:
    assert Gathering().sketch() is None


@pytest.mark.parametrize("wrong", [-1.0, 3.4e38, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused_when_it_is_counted(wrong: float) -> None:
    gathering = Gathering()
    gathering.add(array("d", [1.0, wrong]))
    with pytest.raises(BadPoint, match="a sketch takes numbers from 0"):
        gathering.sketch()


def test_half_a_million_durations_of_an_hour_take_little_room() -> None:
    points = Points()
    one = array("d", [120.5])
    tracemalloc.start()
    for _ in range(500_000):
        points.add(Point("api.time", "{}", HOUR, one))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [sketch] = [point.value for point in points]
    assert isinstance(sketch, Sketch)
    assert sketch.count == 500_000
    assert most < 500_000
