"""A distribution in a few kilobytes: within the stated error, and the same however it is put together."""

from __future__ import annotations

import json
import math
import random
import struct
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallyline.errors import BadPoint, Refused, UnknownName
from tallyline.plan import RELATIVE_ERROR, Sketch, is_statistic, statistic

SMALLEST, GREATEST = 2.0**-126, 3.3e38
TINY = st.floats(SMALLEST, 1e-30)
HUGE = st.floats(1e30, GREATEST)
VALUES = (
    st.just(0.0) | TINY | st.floats(1e-3, 1e3) | st.integers(0, 10**6).map(float) | HUGE | st.floats(SMALLEST, GREATEST)
)
MANY = st.lists(VALUES, min_size=1, max_size=60)
SHARES = st.floats(0, 1) | st.sampled_from([0.0, 0.05, 0.07, 0.5, 0.95, 0.99, 0.999, 1.0])


def nearest_rank(values: list[float], share: float) -> float:
    rank = math.ceil(Fraction(repr(share)) * len(values))
    return sorted(values)[max(rank, 1) - 1]


def buckets(sketch: Sketch) -> dict[str, int]:
    return cast("dict[str, int]", sketch.as_data()["buckets"])


def through_json(sketch: Sketch) -> Sketch:
    return Sketch.from_data(json.loads(json.dumps(sketch.as_data())))


def refusal(*values: float) -> str:
    with pytest.raises(BadPoint) as refused:
        Sketch.of(values)
    return str(refused.value)


def lower_edge(bucket: int) -> float:
    edge: float = struct.unpack("<f", struct.pack("<I", bucket << 16))[0]
    return edge


@settings(deadline=None)
@given(MANY, SHARES)
@example([float(value) for value in range(1, 101)], 0.07)
@example([1.0, math.nextafter(1.0078125, 0), 2.0], 0.5)  # rounding carries the second into the next bucket
@example([GREATEST, GREATEST, GREATEST], 0.5)
@example([SMALLEST, SMALLEST, 1.0], 0.5)
def test_a_quantile_is_within_the_stated_error_of_the_exact_one(values: list[float], share: float) -> None:
    exact = nearest_rank(values, share)
    assert abs(Sketch.of(values).quantile(share) - exact) <= RELATIVE_ERROR * exact


@settings(deadline=None)
@given(MANY, SHARES)
def test_a_quantile_of_stored_data_is_the_same(values: list[float], share: float) -> None:
    sketch = Sketch.of(values)
    assert through_json(sketch).quantile(share) == sketch.quantile(share)


@settings(deadline=None)
@given(VALUES)
def test_the_name_of_a_bucket_is_within_the_stated_error_of_its_values(value: float) -> None:
    (name,) = buckets(Sketch.of([value]))
    assert abs(float(name) - value) <= RELATIVE_ERROR * value


@settings(deadline=None)
@given(MANY, st.lists(SHARES, min_size=2, max_size=5))
def test_quantiles_rise_with_their_share(values: list[float], shares: list[float]) -> None:
    told = [Sketch.of(values).quantile(share) for share in sorted(shares)]
    assert told == sorted(told)


@settings(deadline=None)
@given(MANY)
def test_the_quantiles_of_nothing_and_of_all_are_the_least_and_the_greatest(values: list[float]) -> None:
    sketch = Sketch.of(values)
    assert (sketch.quantile(0), sketch.quantile(1)) == (min(values), max(values))


@settings(deadline=None)
@given(VALUES, SHARES)
def test_of_one_value_every_quantile_is_that_value(value: float, share: float) -> None:
    assert Sketch.of([value, value, value]).quantile(share) == value


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_percent_of_a_hundred_values_is_one_rank(percent: int) -> None:
    """As floats, 0.07 * 100 is more than 7, and its next rank 8."""
    values = [10.0**exponent for exponent in range(-30, 30)] + [0.0] * 40
    exact = sorted(values)[percent - 1]
    assert Sketch.of(values).quantile(percent / 100) == pytest.approx(exact, rel=RELATIVE_ERROR)


@settings(deadline=None)
@given(MANY)
def test_count_total_least_and_greatest_are_exact(values: list[float]) -> None:
    sketch = Sketch.of(values)
    told = sketch.count, sketch.total, sketch.least, sketch.greatest
    assert told == (len(values), math.fsum(values), min(values), max(values))


@settings(deadline=None)
@given(MANY)
def test_every_value_is_in_a_bucket(values: list[float]) -> None:
    assert sum(buckets(Sketch.of(values)).values()) == len(values)


@settings(deadline=None)
@given(MANY)
@example([0.1, 0.1, 0.1])  # their sum is more than three times one
def test_the_mean_is_between_the_least_and_the_greatest(values: list[float]) -> None:
    mean = Sketch.of(values).mean
    assert min(values) <= mean <= max(values)
    assert mean == pytest.approx(math.fsum(values) / len(values), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1e-45, math.nextafter(SMALLEST, 0)])
def test_what_is_below_the_smallest_normal_number_counts_as_zero(value: float) -> None:
    assert buckets(Sketch.of([value, 1.0])) == {"0": 1, "1.00391": 1}


def test_a_quantile_among_what_counts_as_zero_is_zero() -> None:
    assert Sketch.of([0.0, 1e-40, 1e-39, 1.0]).quantile(0.75) == 0


def test_the_smallest_normal_number_does_not_count_as_zero() -> None:
    assert buckets(Sketch.of([SMALLEST])) == {"1.18009e-38": 1}


def test_zero_has_no_sign() -> None:
    assert json.dumps(Sketch.of([-0.0]).as_data()) == json.dumps(Sketch.of([0.0]).as_data())


@pytest.mark.parametrize(
    "values",
    [[3, 4], (3.0, 4.0), iter([3.0, 4]), range(3, 5), {3: "", 4: ""}],
    ids=lambda values: type(values).__name__,
)
def test_values_may_be_any_iterable_of_numbers(values: list[float]) -> None:
    assert Sketch.of(values) == Sketch.of([3.0, 4.0])


@settings(deadline=None)
@given(MANY, st.data())
def test_any_partition_put_together_in_any_order_is_the_sketch_of_all(values: list[float], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(values)), max_size=8)) | {0, len(values)})
    parts = [shuffled[since:until] for since, until in pairwise(cuts)]
    merged, whole = Sketch.merged(Sketch.of(part) for part in parts), Sketch.of(values)
    assert merged.total == pytest.approx(whole.total, rel=1e-9)
    assert {**merged.as_data(), "sum": 0} == {**whole.as_data(), "sum": 0}


@settings(deadline=None)
@given(MANY, MANY, MANY)
def test_sketches_may_be_put_together_step_by_step(first: list[float], second: list[float], third: list[float]) -> None:
    one, two, three = Sketch.of(first), Sketch.of(second), Sketch.of(third)
    stepwise, at_once = Sketch.merged([Sketch.merged([one, two]), three]), Sketch.merged([three, one, two])
    assert {**stepwise.as_data(), "sum": 0} == {**at_once.as_data(), "sum": 0}


def test_one_sketch_put_together_is_itself() -> None:
    sketch = Sketch.of([0.0, 3.0, 250.0])
    assert Sketch.merged([sketch]) == sketch


def test_sketches_that_are_put_together_do_not_change() -> None:
    sketch = Sketch.of([3.0])
    Sketch.merged([sketch, Sketch.of([3.0, 4.0])])
    assert sketch == Sketch.of([3.0])


def test_two_thousand_sketches_put_together_keep_the_stated_error() -> None:
    chance = random.Random(7)  # noqa: S311  # examples, not secrets
    parts = [[chance.lognormvariate(chance.uniform(0, 8), 1) for _ in range(20)] for _ in range(2000)]
    merged, values = Sketch.merged(map(Sketch.of, parts)), [value for part in parts for value in part]
    for share in (0.001, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 0.9999):
        assert merged.quantile(share) == pytest.approx(nearest_rank(values, share), rel=RELATIVE_ERROR)


def test_data_is_told_in_ascending_order() -> None:
    assert json.dumps(Sketch.of([250.0, 0.0, 0.5, 0.5, 3]).as_data()) == (
        '{"count": 5, "sum": 254.0, "least": 0.0, "greatest": 250.0, '
        '"buckets": {"0": 1, "0.501953": 2, "3.00781": 1, "250.5": 1}}'
    )


@settings(deadline=None)
@given(MANY)
def test_data_comes_back_from_json_as_an_equal_sketch(values: list[float]) -> None:
    assert through_json(Sketch.of(values)) == Sketch.of(values)


def test_data_in_another_order_is_the_same_sketch() -> None:
    """PostgreSQL's jsonb sorts keys as it likes."""
    data = Sketch.of([1, 20, 20, 300]).as_data()
    turned = {**data, "buckets": dict(reversed(cast("dict[str, int]", data["buckets"]).items()))}
    assert Sketch.from_data(turned).as_data() == data
    assert list(buckets(Sketch.from_data(turned))) == list(cast("dict[str, int]", data["buckets"]))


def test_every_bucket_that_there_can_be_comes_back_from_its_name() -> None:
    edges = [lower_edge(bucket) for bucket in range(1 << 15)]
    possible = [0.0, *(edge for edge in edges if SMALLEST <= edge <= GREATEST)]
    sketch = Sketch.of(possible)
    assert len(buckets(sketch)) == len(possible) == 1 + 254 * 128 - 7  # zero; all exponents; none above 3.3e38
    assert list(buckets(sketch)) == sorted(buckets(sketch), key=float)
    assert through_json(sketch) == sketch


def test_a_million_durations_take_less_than_20_kilobytes_as_they_are_stored() -> None:
    chance = random.Random(7)  # noqa: S311  # examples, not secrets
    sketch = Sketch.of(chance.lognormvariate(5, 1) for _ in range(1_000_000))
    assert len(json.dumps(sketch.as_data(), separators=(",", ":"))) < 20_000


def test_values_as_far_apart_as_can_be_take_about_2_kilobytes_for_each_doubling() -> None:
    spread = [2.0 ** (exponent / 256) for exponent in range(-20 * 256, 20 * 256)]
    assert len(json.dumps(Sketch.of(spread).as_data(), separators=(",", ":"))) < 2_000 * 40


def test_no_values_are_refused() -> None:
    assert refusal() == "a sketch of no values says nothing: leave out what was not measured"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-1, "-1 is below zero"),
        (-5e-324, "-5e-324 is below zero"),
        (-math.inf, "-inf is below zero"),
        (math.nan, "nan is not a number"),
        (math.inf, "inf is greater than 3.3e+38"),
        (3.31e38, "3.31e+38 is greater than 3.3e+38"),
        (10**400, f"1{'0' * 199}… is greater than 3.3e+38"),
    ],
    ids=["-1", "barely", "-inf", "nan", "inf", "great", "greater than a float"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_cannot_be_counted_is_refused(value: float, said: str, place: int) -> None:
    values = [3.0, 4.0]
    values.insert(place, value)
    assert refusal(*values) == (f"{said}: a sketch takes numbers from 0 to 3.3e+38; leave out what was not measured")


def test_no_sketches_are_refused() -> None:
    with pytest.raises(BadPoint) as refused:
        Sketch.merged([])
    assert str(refused.value) == "there are no sketches to put together: give one or more"


@pytest.mark.parametrize("share", [-0.1, 1.1, 95, math.nan, math.inf])
def test_a_share_outside_of_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(Refused) as refused:
        Sketch.of([3.0]).quantile(share)
    assert str(refused.value) == f"{share} is no share; give a number from 0 to 1"


def test_sketches_are_equal_by_what_they_hold() -> None:
    one, same = Sketch.of([1.0, 2.0]), Sketch.of([2.0, 1.0])
    assert one == same
    assert len({one, same}) == 1


@pytest.mark.parametrize(
    "other", [Sketch.of([1.0, 2.5]), Sketch.of([1.0]), Sketch.of([1.0, 2.0, 2.0]), [1.0, 2.0], None], ids=repr
)
def test_sketches_differ_by_what_they_hold(other: object) -> None:
    assert Sketch.of([1.0, 2.0]) != other


def test_sketches_differ_by_their_buckets_alone() -> None:
    assert Sketch.of([1, 4, 6, 9]) != Sketch.of([1, 5, 5, 9])


@pytest.mark.parametrize("name", ["count", "total", "least", "greatest"])
def test_a_sketch_cannot_be_changed(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(Sketch.of([3.0]), name, 4)


def test_a_sketch_is_told_in_a_few_words() -> None:
    assert repr(Sketch.of([0.25, 3.0, 1e9])) == "<Sketch of 3 values from 0.25 to 1e+09>"


@pytest.mark.parametrize(
    ("name", "value"), [("count", 4), ("sum", 370), ("mean", 92.5), ("least", 0), ("greatest", 250), ("p0", 0)]
)
def test_a_statistic_is_told_of_a_sketch(name: str, value: float) -> None:
    assert statistic(name)(Sketch.of([0, 20, 100, 250])) == value


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("p5", 0.05),
        ("p05", 0.05),
        ("p7", 0.07),
        ("p10", 0.1),
        ("p50", 0.5),
        ("p95", 0.95),
        ("p99", 0.99),
        ("p125", 0.125),
        ("p999", 0.999),
        ("p9999", 0.9999),
        ("p999999", 0.999999),
    ],
)
def test_a_percentile_is_a_quantile(name: str, share: float) -> None:
    sketch = Sketch.of(range(1, 10_001))
    assert statistic(name)(sketch) == sketch.quantile(share)


NAMES = ["count", "greatest", "least", "mean", "p5", "p50", "p95", "p99", "p999", "p9999", "sum"]
NO_NAMES = [
    "",
    "median",
    "p",
    "p100",
    "p990",
    "p-5",
    "p9.5",
    "P95",
    "p95 ",
    "p95\n",
    "pp",
    "p\u0669\u0665",
    "p9999999",
    "counts",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_statistic_is_known(name: str) -> None:
    assert is_statistic(name)


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_another_name_is_no_statistic(name: str) -> None:
    assert not is_statistic(name)
    with pytest.raises(UnknownName):
        statistic(name)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownName) as refused:
        statistic("p955x")
    assert str(refused.value) == (
        'there is no statistic "p955x"; did you mean "p95"? '
        "There are: count, greatest, least, mean, p50, p95, p99, p999, sum"
    )
