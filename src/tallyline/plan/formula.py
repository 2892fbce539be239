"""Formulas of metrics over other metrics: parsed, never evaluated as code, and checked for their units."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tallyline.errors import Refused, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Formula", "inlined", "parse_formula"]

_TOKEN = re.compile(r"([0-9]+(?:\.[0-9]+)?|[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*|[-+*/()])|\S")
_UNIT_PART = re.compile(r"([·/]?)([^·/]+)")
_LONGEST = 1_000
_DEEPEST = 50
_MOST_STEPS = 2_000  # of formulas written out in each other; those double quickly

_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2}
_NEGATED, _NEGATED_LEVEL = "-x", 3  # no token is called so
_LEAF_LEVEL = 4
_CALCULATED: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

_Step = float | str
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as `parse_formula` reads it: its text, and its metrics in the order in which they first come.

    `steps` are its numbers, names and signs in the order in which they are worked out, each sign after both of its
    sides. Formulas of the same steps are equal, however they are written.

    >>> formula = parse_formula("100*(errors.count + timeouts.count) / calls.count")
    >>> formula.metrics
    ('errors.count', 'timeouts.count', 'calls.count')
    >>> print(formula)
    100 * (errors.count + timeouts.count) / calls.count
    """

    text: str = field(compare=False)
    metrics: tuple[str, ...]
    steps: tuple[_Step, ...] = field(repr=False)

    def evaluate(self, values: Mapping[str, float | None]) -> float | None:
        """Return the value; None where a metric has none, by zero, and beyond the greatest number.

        >>> formula = parse_formula("users.activated / users.new")
        >>> formula.evaluate({"users.activated": 3, "users.new": 4})
        0.75
        >>> formula.evaluate({"users.activated": 0, "users.new": 0}) is None
        True
        """
        return self.folded(
            lambda step: _finite(values.get(step) if isinstance(step, str) else step),
            lambda value: None if value is None else 0.0 - value,
            _calculated,
        )

    def folded(
        self, leaf: Callable[[float | str], _T], negated: Callable[[_T], _T], joined: Callable[[str, _T, _T], _T]
    ) -> _T:
        """Work it out in other things than numbers: from its numbers and metrics, each sign from its sides."""
        return _folded(self.steps, leaf, negated, joined)

    def unit(self, units: Mapping[str, str]) -> str:
        """Return the unit that follows from the units of its metrics; "" for a ratio or a plain number.

        A metric that is not in `units` has none. Raises Refused where different units are added or subtracted.

        >>> parse_formula("revenue.paid / users.new").unit({"revenue.paid": "USD", "users.new": "users"})
        'USD/users'
        >>> parse_formula("revenue.paid + users.new").unit({"revenue.paid": "USD", "users.new": "users"})
        Traceback (most recent call last):
        tallyline.errors.Refused: revenue.paid in "USD" and users.new in "users" cannot be added; both sides of + ...
        """
        side = self.folded(lambda step: _leaf_side(step, units), _negated_side, _joined_sides)
        return str(side.unit)

    def share(self, units: Mapping[str, str]) -> bool:
        """Say whether it is one quantity divided by another of the same unit, so that it may be shown in per cent.

        A formula that has a number in it is not: what is multiplied by 100 is in per cent already.

        >>> users = {"users.activated": "users", "users.new": "users"}
        >>> parse_formula("users.activated / users.new").share(users)
        True
        >>> parse_formula("100 * users.activated / users.new").share(users)
        False
        """
        unit = self.unit(units)
        return self.steps[-1] == "/" and not unit and all(isinstance(step, str) for step in self.steps)

    def __str__(self) -> str:
        return self.folded(_Written.leaf, _Written.negated, _Written.joined).text


def parse_formula(text: str) -> Formula:
    """Read a formula of metrics' names, numbers, ``+ - * /`` and parentheses; raise Refused with what is wrong.

    >>> parse_formula("revenue.paid - revenue.refunded").metrics
    ('revenue.paid', 'revenue.refunded')
    >>> parse_formula("users.activated / ")
    Traceback (most recent call last):
    tallyline.errors.Refused: the formula "users.activated / " ends where only a metric, a number, - or ( can stand
    """
    if len(text) > _LONGEST:
        msg = f'the formula "{shortened(text)}" has {len(text):,} characters; at most {_LONGEST:,} are read'
        raise Refused(msg)
    if not text.strip():
        msg = f'the formula "{shortened(text)}" is empty; write it of metrics, such as users.activated / users.new'
        raise Refused(msg)
    steps = _Parser(text).steps()
    metrics = _metrics(steps)
    if not metrics:
        msg = f'the formula "{shortened(text)}" has no metric; write it of metrics, such as users.activated / users.new'
        raise Refused(msg)
    return Formula(text, metrics, steps)


def inlined(formula: Formula, formulas: Mapping[str, Formula]) -> Formula:
    """Put formulas in the place of their names, and so on within these; raise Refused where that never ends.

    >>> rate = parse_formula("errors.all / calls.count")
    >>> print(inlined(rate, {"errors.all": parse_formula("errors.count + timeouts.count")}))
    (errors.count + timeouts.count) / calls.count
    >>> inlined(parse_formula("2 * a"), {"a": parse_formula("b + 1"), "b": parse_formula("a / 2")})
    Traceback (most recent call last):
    tallyline.errors.Refused: the formulas a → b → a go round in a circle; work one of them out from other metrics
    """
    done: dict[str, tuple[_Step, ...]] = {}
    for name in _innermost_first(_needed(formula, formulas)):
        done[name] = _written_out(formulas[name], done)
    if not done:
        return formula
    steps = _written_out(formula, done)
    written = Formula("", _metrics(steps), steps)
    return replace(written, text=str(written))


class _Parser:
    """Reads an expression by precedence: a sign takes an operand of a higher level to its right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = iter(_tokens(text))
        self._now = next(self._tokens)
        self._depth = 0
        self._steps: list[_Step] = []

    def steps(self) -> tuple[_Step, ...]:
        self._expression()
        if self._now.text:
            raise self._wrong("an operator (+ - * /) or the end")
        return tuple(self._steps)

    def _expression(self, least: int = 1) -> None:
        self._operand()
        while (level := _LEVELS.get(self._now.text, 0)) >= least:
            sign = self._taken().text
            self._expression(level + 1)
            self._steps.append(sign)

    def _operand(self) -> None:
        if self._now.text in {"-", "("}:
            self._nested()
        elif self._now.text[:1].isalnum():
            self._steps.append(_leaf(self._text, self._taken()))
        else:
            raise self._wrong("a metric, a number, - or (")

    def _nested(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._too_deep()
        if self._taken().text == "-":
            self._operand()
            self._steps.append(_NEGATED)
        else:
            self._expression()
            self._close()
        self._depth -= 1

    def _close(self) -> None:
        if self._now.text != ")":
            raise self._wrong("an operator (+ - * /) or )")
        self._taken()

    def _taken(self) -> _Token:
        taken, self._now = self._now, next(self._tokens)
        return taken

    def _wrong(self, possible: str) -> Refused:
        has = f'has "{shortened(self._now.text)}" at character {self._now.position}' if self._now.text else "ends"
        return Refused(f'the formula "{shortened(self._text)}" {has} where only {possible} can stand')

    def _too_deep(self) -> Refused:
        return Refused(
            f'the formula "{shortened(self._text)}" is nested too deeply at character {self._now.position}; '
            f"at most {_DEEPEST} parentheses and signs may stand in each other"
        )


class _Token(NamedTuple):
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    """Return the tokens, and an empty one at the end."""
    tokens = []
    for found in _TOKEN.finditer(text):
        if found[1] is None:
            msg = (
                f'the formula "{shortened(text)}" has "{found[0]}" at character {found.start() + 1}; '
                "it may have names of metrics in lower case, numbers, + - * / and parentheses"
            )
            raise Refused(msg)
        tokens.append(_Token(found[0], found.start() + 1))
    return [*tokens, _Token("", len(text) + 1)]


def _leaf(formula: str, token: _Token) -> _Step:
    if not token.text[0].isdigit():
        return token.text
    number = float(token.text)
    if math.isfinite(number):
        return number
    msg = (
        f'the formula "{shortened(formula)}" has at character {token.position} a number of {len(token.text)} digits, '
        "greater than any that can be kept"
    )
    raise Refused(msg)


def _folded(
    steps: Iterable[_Step],
    leaf: Callable[[_Step], _T],
    negated: Callable[[_T], _T],
    joined: Callable[[str, _T, _T], _T],
) -> _T:
    """Work through the steps; there is no recursion, since formulas written out in each other nest deeply."""
    stack: list[_T] = []
    for step in steps:
        if step == _NEGATED:
            stack.append(negated(stack.pop()))
        elif isinstance(step, str) and step in _LEVELS:
            right = stack.pop()
            stack.append(joined(step, stack.pop(), right))
        else:
            stack.append(leaf(step))
    return stack.pop()


def _metrics(steps: Iterable[_Step]) -> tuple[str, ...]:
    names = (step for step in steps if isinstance(step, str) and step not in _LEVELS and step != _NEGATED)
    return tuple(dict.fromkeys(names))


def _calculated(sign: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or (sign == "/" and not right):
        return None
    return _finite(_CALCULATED[sign](left, right))


def _finite(value: float | None) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except OverflowError:  # a whole number of Python's may be of any size
        return None
    return number + 0.0 if math.isfinite(number) else None  # -0.0 becomes 0.0


@dataclass(frozen=True, slots=True)
class _Written:
    """A part in its canonical text; `level` says how strongly its sign binds."""

    text: str
    level: int

    @classmethod
    def leaf(cls, step: _Step) -> _Written:
        # repr would tell great and small numbers as 1e+22, which no formula has
        text = step if isinstance(step, str) else f"{Decimal(repr(step)):f}".removesuffix(".0")
        return cls(text, _LEAF_LEVEL)

    def negated(self) -> _Written:
        return _Written(f"-{self.at_least(_NEGATED_LEVEL)}", _NEGATED_LEVEL)

    @staticmethod
    def joined(sign: str, left: _Written, right: _Written) -> _Written:
        level = _LEVELS[sign]
        return _Written(f"{left.at_least(level)} {sign} {right.at_least(level + 1)}", level)

    def at_least(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit: what is above and what is below the line, both sorted."""

    over: tuple[str, ...] = ()
    under: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, text: str) -> _Unit:
        over: list[str] = []
        under: list[str] = []
        for sign, part in _UNIT_PART.findall(text):
            if part.strip() not in {"", "1"}:
                (under if sign == "/" else over).append(part.strip())
        return cls.reduced(over, under)

    @classmethod
    def reduced(cls, over: Iterable[str], under: Iterable[str]) -> _Unit:
        upper, lower = Counter(over), Counter(under)
        return cls(tuple(sorted((upper - lower).elements())), tuple(sorted((lower - upper).elements())))

    def __mul__(self, other: _Unit) -> _Unit:
        return _Unit.reduced(self.over + other.over, self.under + other.under)

    def __truediv__(self, other: _Unit) -> _Unit:
        return _Unit.reduced(self.over + other.under, self.under + other.over)

    def __str__(self) -> str:
        return "/".join(["·".join(self.over) or ("1" if self.under else ""), *self.under])


class _Side(NamedTuple):
    """A side of a sign, with its unit."""

    written: _Written
    unit: _Unit

    def __str__(self) -> str:
        unit = str(self.unit)
        return (
            f'{shortened(self.written.text)} in "{unit}"' if unit else f"{shortened(self.written.text)} without a unit"
        )


def _leaf_side(step: _Step, units: Mapping[str, str]) -> _Side:
    return _Side(_Written.leaf(step), _Unit.parsed(units.get(step, "") if isinstance(step, str) else ""))


def _negated_side(side: _Side) -> _Side:
    return _Side(side.written.negated(), side.unit)


def _joined_sides(sign: str, left: _Side, right: _Side) -> _Side:
    return _Side(_Written.joined(sign, left.written, right.written), _joined_unit(sign, left, right))


def _joined_unit(sign: str, left: _Side, right: _Side) -> _Unit:
    if sign == "*":
        return left.unit * right.unit
    if sign == "/":
        return left.unit / right.unit
    if left.unit == right.unit:
        return left.unit
    done = "added" if sign == "+" else "subtracted"
    msg = f"{left} and {right} cannot be {done}; both sides of {sign} need the same unit"
    raise Refused(msg)


def _needed(formula: Formula, formulas: Mapping[str, Formula]) -> dict[str, list[str]]:
    """Return the formulas that are reached from one, each with those it is made of."""
    needed: dict[str, list[str]] = {}
    waiting = [name for name in formula.metrics if name in formulas]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = [part for part in formulas[name].metrics if part in formulas]
            waiting += needed[name]
    return needed


def _innermost_first(needed: Mapping[str, list[str]]) -> list[str]:
    try:
        return list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        around = error.args[1][:0:-1]  # told from the parts to the whole, and its first name twice
    first = around.index(min(around))
    names = " → ".join([*around[first:], *around[:first], around[first]])
    msg = f"the formulas {names} go round in a circle; work one of them out from other metrics"
    raise Refused(msg)


def _written_out(formula: Formula, done: Mapping[str, tuple[_Step, ...]]) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    for step in formula.steps:
        steps += done.get(step, (step,)) if isinstance(step, str) else (step,)
    if len(steps) > _MOST_STEPS:
        msg = (
            f'the formula "{shortened(formula.text)}" has {len(steps):,} names, numbers and signs once the formulas '
            f"in it are written out; at most {_MOST_STEPS:,} are worked out"
        )
        raise Refused(msg)
    return tuple(steps)
