"""Formulas over metrics: how they are read, worked out, written out in each other, and what unit they have."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.errors import Refused
from tallyline.plan.formula import Formula, inlined, parse_formula

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {
    "revenue.paid": "USD",
    "revenue.refunded": "USD",
    "users.new": "users",
    "users.activated": "users",
    "revenue.each": "USD/users",
    "work": "users·days",
    "rate": "",
}
SPACES = st.sampled_from(["", " ", "  ", "\n"])
VALUES = st.fixed_dictionaries(
    dict.fromkeys("abc", st.one_of(st.sampled_from([0.0, 1.0, -1.0, 3.0]), st.integers(-999, 999).map(lambda n: n / 8)))
)


def _extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    more = st.tuples(SPACES, st.sampled_from("+-*/"), SPACES, inner).map("".join)
    joined = st.tuples(inner, st.lists(more, min_size=1, max_size=4).map("".join)).map("".join)
    return st.one_of(joined, joined, inner.map("({})".format), inner.map("-{}".format))


LEAVES = st.sampled_from(["a", "b", "c", "a", "b", "c", "0", "1", "2", "7", "0.5", "2.25"])
EXPRESSIONS = st.recursive(LEAVES, _extended, max_leaves=12).filter(lambda text: re.search("[abc]", text) is not None)


def told_by_python(text: str, values: dict[str, float]) -> float | None:
    try:
        result = eval(f"({text})", {"__builtins__": {}}, dict(values))  # noqa: S307  # the oracle, of our own texts
    except ZeroDivisionError:
        return None
    return float(result) if math.isfinite(result) else None


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        call()
    return str(refused.value)


def not_read(text: str) -> str:
    return refusal(lambda: parse_formula(text))


def inlined_in(text: str, **formulas: str) -> Formula:
    return inlined(parse_formula(text), {name: parse_formula(told) for name, told in formulas.items()})


@settings(deadline=None, max_examples=300)
@given(EXPRESSIONS, VALUES)
def test_a_formula_has_the_value_that_python_gives_it(text: str, values: dict[str, float]) -> None:
    assert parse_formula(text).evaluate(values) == told_by_python(text, values)


@settings(deadline=None, max_examples=200)
@given(EXPRESSIONS)
def test_the_canonical_text_is_read_as_an_equal_formula(text: str) -> None:
    formula = parse_formula(text)
    again = parse_formula(str(formula))
    assert again == formula
    assert str(again) == str(formula) == again.text


@settings(deadline=None, max_examples=200)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS, VALUES)
def test_an_inlined_formula_has_the_value_of_its_text_in_parentheses(
    text: str, first: str, second: str, values: dict[str, float]
) -> None:
    outer = text.replace("a", "x").replace("b", "y")
    written = outer.replace("x", f"({first})").replace("y", f"({second})")
    assert inlined_in(outer, x=first, y=second) == parse_formula(written)
    assert inlined_in(outer, x=first, y=second).evaluate(values) == told_by_python(written, values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * c", 14.0),
        ("(a + b) * c", 20.0),
        ("a - b - c", -5.0),
        ("a - (b - c)", 3.0),
        ("c / b / a", pytest.approx(2 / 3)),
        ("c / (b / a)", pytest.approx(8 / 3)),
        ("c / b * a", pytest.approx(8 / 3)),
        ("-a * b", -6.0),
        ("a - -b", 5.0),
        ("a * -b", -6.0),
        ("--a", 2.0),
        ("-(a - b)", 1.0),
        ("0.5 * a", 1.0),
    ],
)
def test_multiplication_binds_stronger_and_the_left_comes_first(text: str, value: float) -> None:
    assert parse_formula(text).evaluate({"a": 2.0, "b": 3.0, "c": 4.0}) == value


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("users.activated/users.new", "users.activated / users.new"),
        ("  a+b ", "a + b"),
        ("100*(a+b)/c", "100 * (a + b) / c"),
        ("((a)) + (b * c)", "a + b * c"),
        ("(a + b) + c", "a + b + c"),
        ("a + (b + c)", "a + (b + c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("a / (b * c)", "a / (b * c)"),
        ("a\n  - b", "a - b"),
        ("- (a)", "-a"),
        ("-(a + b)", "-(a + b)"),
        ("(-a) * b", "-a * b"),
        ("-(a * b)", "-(a * b)"),
        ("- - a", "--a"),
        ("007 * a", "7 * a"),
        ("2.50 * a", "2.5 * a"),
        ("10000000000000000000000 * a", "10000000000000000000000 * a"),
        ("0.000000125 * a", "0.000000125 * a"),
    ],
)
def test_a_formula_is_written_with_one_space_and_no_needless_parentheses(text: str, canonical: str) -> None:
    assert str(parse_formula(text)) == canonical


def test_a_formula_keeps_the_text_it_was_written_in() -> None:
    assert parse_formula(" a/b ").text == " a/b "


def test_formulas_are_equal_however_they_are_written() -> None:
    assert parse_formula("a/b") == parse_formula("( a ) / b")
    assert hash(parse_formula("a/b")) == hash(parse_formula("( a ) / b"))


def test_formulas_of_another_order_are_not_equal() -> None:
    assert parse_formula("a - (b - c)") != parse_formula("a - b - c")


def test_metrics_are_told_once_in_the_order_in_which_they_first_come() -> None:
    formula = parse_formula("100 * (timeouts.count + errors.count) / (calls.count + errors.count)")
    assert formula.metrics == ("timeouts.count", "errors.count", "calls.count")


@pytest.mark.parametrize(
    "name", ["http.2xx", "a.class", "if", "lambda.3", "x", "a_b.c_d", "a.0", "a._b", "neg", "e5", "latency.p95"]
)
def test_every_name_of_a_metric_may_stand_in_a_formula(name: str) -> None:
    formula = parse_formula(f"2*{name}-{name}")
    assert formula.metrics == (name,)
    assert formula.evaluate({name: 3.0}) == 3.0


@pytest.mark.parametrize(
    "values", [{"a": 1.0}, {"a": 1.0, "b": None}, {"a": None, "b": 2.0}, {}, {"a": 1.0, "b": math.nan}]
)
def test_there_is_no_value_where_a_metric_has_none(values: dict[str, float | None]) -> None:
    assert parse_formula("a + 0 * b").evaluate(values) is None


@pytest.mark.parametrize("text", ["a / b", "b / b", "a / (a - a)", "1 / (a / b)", "0 * (a / b)", "a / -b", "a / 0"])
def test_there_is_no_value_where_it_divides_by_zero(text: str) -> None:
    assert parse_formula(text).evaluate({"a": 1.0, "b": 0.0}) is None


@pytest.mark.parametrize("text", ["a * a", "a + a", "-a - a", "a / 0.1", "1 / (a * a)"])
def test_there_is_no_value_beyond_the_greatest_number(text: str) -> None:
    assert parse_formula(text).evaluate({"a": sys.float_info.max}) is None


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400])
def test_there_is_no_value_where_a_metric_is_no_finite_number(value: float) -> None:
    assert parse_formula("a").evaluate({"a": value}) is None


def test_a_value_is_a_float_where_the_metrics_are_whole_numbers() -> None:
    assert isinstance(parse_formula("a").evaluate({"a": 3}), float)


@pytest.mark.parametrize("text", ["-a", "a * -1", "a / -2", "-a + a"])
def test_zero_has_no_sign(text: str) -> None:
    assert str(parse_formula(text).evaluate({"a": 0.0})) == "0.0"


def test_values_of_other_metrics_do_not_matter() -> None:
    assert parse_formula("a").evaluate({"a": 1.0, "b": None}) == 1.0


def test_a_ratio_of_sums_is_not_the_mean_of_ratios() -> None:
    """On Monday 90 of 100 users were activated, on Tuesday 1 of 10: that is 91 of 110, and not half of them."""
    rate = parse_formula("users.activated / users.new")
    monday = {"users.activated": 90.0, "users.new": 100.0}
    tuesday = {"users.activated": 1.0, "users.new": 10.0}
    both = {name: monday[name] + tuesday[name] for name in rate.metrics}

    daily = [rate.evaluate(day) for day in (monday, tuesday)]
    assert daily == [0.9, 0.1]
    assert rate.evaluate(both) == pytest.approx(0.827, abs=0.001)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", 'the formula "" is empty; write it of metrics, such as users.activated / users.new'),
        (" \n ", 'the formula " \n " is empty; write it of metrics, such as users.activated / users.new'),
        ("2 * 3", 'the formula "2 * 3" has no metric; write it of metrics, such as users.activated / users.new'),
    ],
)
def test_a_formula_without_a_metric_is_refused(text: str, wrong: str) -> None:
    assert not_read(text) == wrong


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("a +", "ends"),
        ("a + ", "ends"),
        ("-", "ends"),
        ("(", "ends"),
        ("()", 'has ")" at character 2'),
        ("* a", 'has "*" at character 1'),
        ("+a", 'has "+" at character 1'),
        ("a + / b", 'has "/" at character 5'),
        ("a ** 2", 'has "*" at character 4'),
        ("a // b", 'has "/" at character 4'),
        (")", 'has ")" at character 1'),
    ],
)
def test_a_missing_operand_is_refused(text: str, has: str) -> None:
    assert not_read(text) == f'the formula "{text}" {has} where only a metric, a number, - or ( can stand'


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("a b", 'has "b" at character 3'),
        ("a\tb", 'has "b" at character 3'),
        ("2 a", 'has "a" at character 3'),
        ("2a", 'has "a" at character 2'),
        ("1e5 * a", 'has "e5" at character 2'),
        ("a 2", 'has "2" at character 3'),
        ("a + b)", 'has ")" at character 6'),
        ("max(a)", 'has "(" at character 4'),
        ("(a)(b)", 'has "(" at character 4'),
    ],
)
def test_a_missing_operator_is_refused(text: str, has: str) -> None:
    assert not_read(text) == f'the formula "{text}" {has} where only an operator (+ - * /) or the end can stand'


@pytest.mark.parametrize(
    ("text", "has"), [("(a + b", "ends"), ("((a)", "ends"), ("2 * (a b)", 'has "b" at character 8')]
)
def test_a_parenthesis_that_is_not_closed_is_refused(text: str, has: str) -> None:
    assert not_read(text) == f'the formula "{text}" {has} where only an operator (+ - * /) or ) can stand'


@pytest.mark.parametrize(
    ("text", "character", "position"),
    [
        ("a % b", "%", 3),
        ("a ^ 2", "^", 3),
        ("max(a, b)", ",", 6),
        ("Users.new", "U", 1),
        ("users.New", ".", 6),
        ("a..b", ".", 2),
        ("a.", ".", 2),
        (".5 * a", ".", 1),
        ("1.5.2 * a", ".", 4),
        ("5. * a", ".", 2),
        ("_a", "_", 1),
        ("a = b", "=", 3),
        ('a + "b"', '"', 5),
        ("a × b", "×", 3),  # noqa: RUF001  # as it may be pasted
        ("٣ * a", "٣", 1),
        ("é", "é", 1),
    ],
)
def test_an_unknown_character_is_refused(text: str, character: str, position: int) -> None:
    assert not_read(text) == (
        f'the formula "{text}" has "{character}" at character {position}; '
        "it may have names of metrics in lower case, numbers, + - * / and parentheses"
    )


def test_a_formula_of_a_thousand_characters_is_read() -> None:
    formula = parse_formula("a+" * 499 + "ab")
    assert formula.evaluate({"a": 1.0, "ab": 1.0}) == 500.0


def test_a_longer_formula_is_refused() -> None:
    shown = "a+" * 100
    assert not_read("a+" * 500 + "a") == f'the formula "{shown}…" has 1,001 characters; at most 1,000 are read'


@pytest.mark.parametrize("text", ["(" * 50 + "a" + ")" * 50, "-" * 50 + "a", "-(" * 25 + "a" + ")" * 25])
def test_fifty_parentheses_and_signs_in_each_other_are_read(text: str) -> None:
    assert parse_formula(text).metrics == ("a",)


@pytest.mark.parametrize("text", ["(" * 51 + "a" + ")" * 51, "-" * 51 + "a", "(" * 900])
def test_deeper_nesting_is_refused(text: str) -> None:
    told = not_read(text)
    assert told.endswith(
        "is nested too deeply at character 51; at most 50 parentheses and signs may stand in each other"
    )


def test_parentheses_beside_each_other_are_not_nested() -> None:
    assert parse_formula("+".join(["(a)"] * 100)).evaluate({"a": 1.0}) == 100.0


def test_a_number_that_cannot_be_kept_is_refused() -> None:
    told = not_read(f"a * {'9' * 400}")
    assert told.endswith("has at character 5 a number of 400 digits, greater than any that can be kept")


def test_formulas_take_the_place_of_their_names_as_if_in_parentheses() -> None:
    assert str(inlined_in("a * b", a="x + y", b="-z")) == "(x + y) * -z"


def test_inlining_goes_on_within_what_was_put_in() -> None:
    formula = inlined_in("100 * rate", rate="bad / calls", bad="errors + timeouts")
    assert str(formula) == formula.text == "100 * ((errors + timeouts) / calls)"
    assert formula.metrics == ("errors", "timeouts", "calls")


def test_a_formula_without_formulas_in_it_stays_as_it_is() -> None:
    formula = parse_formula("a/b")
    assert inlined(formula, {"c": parse_formula("a + 1")}) is formula


def test_a_formula_used_twice_is_no_circle() -> None:
    assert str(inlined_in("a + b", a="c", b="c", c="d")) == "d + d"


@pytest.mark.parametrize(
    ("text", "formulas", "around"),
    [
        ("a", {"a": "b", "b": "a"}, "a → b → a"),
        ("b + 1", {"a": "b + 1", "b": "a + 1"}, "a → b → a"),
        ("a", {"a": "2 * a"}, "a → a"),
        ("x", {"x": "c", "c": "a", "a": "b / 2", "b": "c + y"}, "a → b → c → a"),
    ],
)
def test_a_circle_of_formulas_is_refused(text: str, formulas: dict[str, str], around: str) -> None:
    assert refusal(lambda: inlined_in(text, **formulas)) == (
        f"the formulas {around} go round in a circle; work one of them out from other metrics"
    )


def test_a_circle_elsewhere_does_not_matter() -> None:
    assert str(inlined_in("c", c="d / e", a="b", b="a")) == "d / e"


def test_formulas_may_be_written_out_in_each_other_very_deeply() -> None:
    formulas = {f"f{level}": parse_formula(f"-f{level - 1}") for level in range(1, 1201)}
    formula = inlined(parse_formula("f1200"), formulas)
    assert formula.evaluate({"f0": 2.0}) == 2.0
    assert str(formula) == "-" * 1200 + "f0"
    assert formula.unit({"f0": "USD"}) == "USD"


def test_formulas_that_double_without_end_are_refused() -> None:
    formulas = {f"f{level}": parse_formula(f"f{level - 1} + f{level - 1}") for level in range(1, 100)}
    assert refusal(lambda: inlined(parse_formula("2 * f99"), formulas)) == (
        'the formula "f9 + f9" has 2,047 names, numbers and signs once the formulas in it are written out; '
        "at most 2,000 are worked out"
    )


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("revenue.paid", "USD"),
        ("revenue.paid + revenue.refunded", "USD"),
        ("revenue.paid - revenue.refunded", "USD"),
        ("-revenue.paid", "USD"),
        ("100 * revenue.paid", "USD"),
        ("revenue.paid * 100", "USD"),
        ("revenue.paid / 100", "USD"),
        ("rate * revenue.paid", "USD"),
        ("100 / users.new", "1/users"),
        ("users.activated / users.new", ""),
        ("100 * users.activated / users.new", ""),
        ("users.activated / users.new + 1", ""),
        ("1 - rate", ""),
        ("revenue.paid / users.new", "USD/users"),
        ("revenue.paid * users.new", "USD·users"),
        ("users.new * revenue.paid", "USD·users"),
        ("revenue.paid * revenue.paid", "USD·USD"),
        ("revenue.each * users.new", "USD"),
        ("revenue.paid / revenue.each", "users"),
        ("revenue.paid / users.new - revenue.each", "USD/users"),
        ("work / users.new", "days"),
        ("revenue.paid / work", "USD/days/users"),
        ("revenue.paid * users.new / work", "USD/days"),
        ("unknown", ""),
    ],
)
def test_the_unit_follows_from_the_units_of_the_metrics(text: str, unit: str) -> None:
    assert parse_formula(text).unit(UNITS) == unit


@pytest.mark.parametrize(
    ("told", "unit"),
    [
        ("USD/users", "USD/users"),
        ("USD / users", "USD/users"),
        ("users·USD", "USD·users"),
        ("1/users", "1/users"),
        ("USD/days/users", "USD/days/users"),
        ("USD/USD", ""),
        ("1", ""),
        ("page views", "page views"),
        (" % ", "%"),
    ],
)
def test_a_unit_is_read_as_it_is_told(told: str, unit: str) -> None:
    assert parse_formula("a").unit({"a": told}) == unit
    assert parse_formula("a").unit({"a": unit}) == unit


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("revenue.paid + users.new", 'revenue.paid in "USD" and users.new in "users" cannot be added'),
        ("revenue.paid - users.new", 'revenue.paid in "USD" and users.new in "users" cannot be subtracted'),
        ("revenue.paid + 1", 'revenue.paid in "USD" and 1 without a unit cannot be added'),
        ("1 - users.new", '1 without a unit and users.new in "users" cannot be subtracted'),
        ("rate + users.new", 'rate without a unit and users.new in "users" cannot be added'),
        (
            "2 * (revenue.paid/users.new + -revenue.paid)",
            'revenue.paid / users.new in "USD/users" and -revenue.paid in "USD" cannot be added',
        ),
    ],
)
def test_different_units_are_not_added_or_subtracted(text: str, wrong: str) -> None:
    sign = "+" if "added" in wrong else "-"
    told = refusal(lambda: parse_formula(text).unit(UNITS))
    assert told == f"{wrong}; both sides of {sign} need the same unit"


@pytest.mark.parametrize(
    "text",
    [
        "users.activated / users.new",
        "-users.activated / users.new",
        "(revenue.paid - revenue.refunded) / revenue.paid",
        "revenue.paid / users.new / revenue.each",
        "rate / unknown",
    ],
)
def test_a_quantity_by_another_of_the_same_unit_is_a_share(text: str) -> None:
    assert parse_formula(text).share(UNITS)


@pytest.mark.parametrize(
    "text",
    [
        "rate",
        "revenue.paid / users.new",
        "revenue.paid / users.new * rate",
        "users.activated / users.new - rate",
        "-(users.activated / users.new)",
        "revenue.paid - revenue.refunded",
        "users.activated / revenue.paid",
    ],
)
def test_other_formulas_are_no_shares(text: str) -> None:
    assert not parse_formula(text).share(UNITS)


@pytest.mark.parametrize(
    "text",
    [
        "100 * users.activated / users.new",
        "100 * (users.activated / users.new)",
        "users.activated / (users.new / 100)",
        "rate / 60",
    ],
)
def test_what_is_multiplied_by_a_number_is_no_share(text: str) -> None:
    """It would be shown as 7,500 % instead of 75 %."""
    assert not parse_formula(text).share(UNITS)


def test_a_share_of_different_units_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be added"):
        parse_formula("(revenue.paid + users.new) / users.new").share(UNITS)


def test_a_formula_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse_formula("a").text = "b"  # type: ignore[misc]
