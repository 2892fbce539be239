"""Metrics: their names, and how their values roll up by kind."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.errors import Refused
from tallyline.plan import Kind, Metric, with_units

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1)


def exact_sum(values: list[float]) -> float:
    return float(sum(map(Fraction, values)))


@settings(deadline=None)
@given(VALUES)
def test_counts_are_summed_over_time_and_over_series(values: list[float]) -> None:
    assert Kind.COUNT.over_time(values) == Kind.COUNT.over_series(values) == exact_sum(values)


@settings(deadline=None)
@given(VALUES)
def test_a_level_is_the_last_over_time(values: list[float]) -> None:
    assert Kind.LEVEL.over_time(values) == values[-1]


@settings(deadline=None)
@given(VALUES)
def test_levels_of_several_series_are_summed(values: list[float]) -> None:
    assert Kind.LEVEL.over_series(values) == exact_sum(values)


@settings(deadline=None)
@given(VALUES)
def test_a_minimum_is_the_smallest_over_time_and_over_series(values: list[float]) -> None:
    least = Kind.MINIMUM.over_time(values)
    assert least in values
    assert all(least <= value for value in values)
    assert Kind.MINIMUM.over_series(values) == least


@settings(deadline=None)
@given(VALUES)
def test_a_maximum_is_the_greatest_over_time_and_over_series(values: list[float]) -> None:
    most = Kind.MAXIMUM.over_time(values)
    assert most in values
    assert all(most >= value for value in values)
    assert Kind.MAXIMUM.over_series(values) == most


def test_a_sum_does_not_depend_on_the_order() -> None:
    assert Kind.COUNT.over_time([1e16, 1.0, -1e16]) == Kind.COUNT.over_time([1e16, -1e16, 1.0]) == 1.0


@pytest.mark.parametrize("kind", Kind)
def test_one_value_rolls_up_to_itself(kind: Kind) -> None:
    assert kind.over_time([4.0]) == kind.over_series([4.0]) == 4.0


@pytest.mark.parametrize("name", ["users", "users.new", "u2", "users.new_2026", "a.b.c", "users.2026", "x" * 120])
def test_names_that_can_be_typed_and_told_apart(name: str) -> None:
    assert Metric(name).name == name


@pytest.mark.parametrize(
    "name", ["", "Users", "users new", "users.", ".users", "users..new", "2users", "users-new", "größe", "users\n"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        Metric(name)
    assert str(refused.value) == (
        f'"{name}" is not a metric\'s name; use lower case words joined by dots, such as users.new'
    )


def test_a_name_of_more_than_120_characters_is_refused() -> None:
    with pytest.raises(Refused, match=r"has 121 characters; a metric's name has at most 120$"):
        Metric("x" * 121)


def test_a_metric_is_labelled_by_its_title_or_else_by_its_name() -> None:
    assert Metric("users.new", title="New users").label == "New users"
    assert Metric("users.new").label == "users.new"


SHARES = [
    ("users.activated / users.new", True),
    ("users.activated / (users.activated + users.new)", True),
    ("revenue / users.new", False),  # USD a user
    ("users.activated / plain", False),  # what has no unit may be anything
    ("plain / other", False),
    ("100 * users.activated / users.new", False),
    ("arpu / users.new", False),
    ("mrr / revenue", True),  # whatever is in it, its own unit is that of the other
]


@pytest.mark.parametrize(("formula", "is_share"), SHARES)
def test_one_quantity_by_another_of_its_unit_is_a_share(formula: str, *, is_share: bool) -> None:
    units = {
        "users.new": "users",
        "users.activated": "users",
        "revenue": "USD",
        "cents": "USD",
        "plain": "",
        "other": "",
    }
    plan = {name: Metric(name, unit=unit) for name, unit in units.items()}
    formulas = {"arpu": "revenue / users.new", "mrr": "cents / 100", "told": formula}
    plan |= {name: Metric(name, kind=Kind.FORMULA, formula=text) for name, text in formulas.items()}
    assert with_units(plan)["told"].share is is_share


def test_a_unit_that_is_given_is_kept() -> None:
    plan = {name: Metric(name, unit="users") for name in ("a", "b")}
    plan["rate"] = Metric("rate", "", "times", Kind.FORMULA, "a / b")
    assert (with_units(plan)["rate"].unit, with_units(plan)["rate"].share) == ("times", False)


@pytest.mark.parametrize(
    ("kind", "formula"), [(Kind.COUNT, "users.paid / users.new"), (Kind.LEVEL, "1"), (Kind.FORMULA, "")]
)
def test_a_formula_and_its_kind_go_together(kind: Kind, formula: str) -> None:
    with pytest.raises(Refused, match=f'^rate is a {kind}; a formula and kind = "formula" go together$'):
        Metric("rate", kind=kind, formula=formula)
