"""A query as SQL over the public views, to be pasted into Grafana or any other tool: it tells the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from tallyline.errors import Refused
from tallyline.plan import Kind, kept_as, named
from tallyline.warehouse.schema import NAMES
from tallyline.warehouse.views import NAMES as VIEWS
from tallyline.warehouse.wording import WORDS, from_, group_by, indented, select, where, with_
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.plan import Formula, Plan
    from tallyline.warehouse.question import Query
    from tallyline.warehouse.wording import SQLite

__all__ = ["as_sql"]

_ROLLED_UP = tuple(Grain)[1:]
_LONGEST_NAME = 63  # of PostgreSQL; what is longer is cut off
_NINE_BITS = 2**44 + 1
_OVER_SERIES = {Kind.MINIMUM: "min(value)", Kind.MAXIMUM: "max(value)", Kind.DISTINCT: "max(value)"}
_OF_SKETCHES = {"count": "sum", "sum": "sum", "least": "min", "greatest": "max"}


def as_sql(
    asked: Query,
    plan: Plan,
    zone: ZoneInfo,
    dialect: str,
    *,
    since: str | None = None,
    until: str | None = None,
    grain: str | None = None,
) -> str:
    """Return the query as SQL of a dialect, `sqlite` or `postgresql`; `plan` has the metrics and formulas it is about.

    `since` and `until` are SQL in place of the moments of the query, such as macros of Grafana: told are the buckets
    that begin from the one on and before the other. `grain` is SQL in place of its grain, such as a variable of
    Grafana: where that names none from the day on, the query's own is told, which must be one of these. Distinct
    counts are refused then, since each grain has its own.
    """
    if asked.as_of is not None or asked.compare is not None:
        msg = "SQL tells values as they are now, and no others; leave out compare and as_of"
        raise Refused(msg)
    if grain is not None and asked.by is Grain.HOUR:
        msg = "hours are kept elsewhere than days; leave out the grain, or ask by the day or longer"
        raise Refused(msg)
    words = WORDS[dialect]
    bounds = _Bounds(
        since or (words.moment(asked.by.floor(asked.since, zone)) if asked.since else None),
        until or (words.moment(asked.by.ceil(asked.until, zone)) if asked.until else None),
    )
    told = _Statements(plan, asked, bounds, words, grain).statement(asked.metric)
    return f"{told}\nORDER BY {', '.join(_keys(asked))}"


class _Bounds(NamedTuple):
    """From when on and up to when, as SQL."""

    since: str | None
    until: str | None

    def on(self, column: str) -> Iterator[str]:
        if self.since:
            yield f"{column} >= {self.since}"
        if self.until:
            yield f"{column} < {self.until}"


@dataclass(frozen=True, slots=True)
class _Statements:
    """Makes the statements of metrics, of formulas from those of their parts."""

    plan: Plan
    asked: Query
    bounds: _Bounds
    words: SQLite
    grain: str | None

    def statement(self, name: str) -> str:
        """Return what tells a metric."""
        formula = self._formula(name)
        if formula is None:
            return self._of_metric(name)
        needed = self._needed(formula)
        adds = any(step in {"+", "-"} for each in (name, *needed) if (of := self._formula(each)) for step in of.steps)
        names = {part: _name_of(part, number) for number, part in enumerate(needed)}
        told: dict[str, str] = {}
        for part in needed:
            inner = self._formula(part)
            statement = self._of_formula(inner, names) if inner else self._of_metric(part)
            told[names[part]] = self._rounded(statement) if adds else statement
        return with_(told, self._of_formula(formula, names))

    def _formula(self, name: str) -> Formula | None:
        return self.plan[name].parsed if name in self.plan and self.plan[name].kind is Kind.FORMULA else None

    def _needed(self, formula: Formula) -> list[str]:
        """Return all that a formula is made of, each after what it is made of itself."""
        needed: dict[str, None] = {}
        for name in formula.metrics:
            inner = self._formula(name)
            needed |= dict.fromkeys([*(self._needed(inner) if inner else []), name])
        return list(needed)

    def _of_metric(self, name: str) -> str:
        metric = kept_as(self.plan, name)
        statistic = "mean" if metric == name else name.removeprefix(f"{metric}.")
        kind = named(self.plan, name).kind
        if self.grain is not None and kind is Kind.DISTINCT:
            msg = f"{metric} counts distinct things, each grain of its own; leave out the grain"
            raise Refused(msg)
        asked = replace(self.asked, metric=metric)
        return _Statement(asked, kind, statistic, self.bounds, self.words, self.grain).text()

    def _of_formula(self, formula: Formula, names: Mapping[str, str]) -> str:
        first, *others = (names[metric] for metric in formula.metrics)
        calculated = formula.folded(_leaf(names), _negated, _joined).text
        keys = [f"{first}.{key} AS {key}" for key in _keys(self.asked)] if self.asked.split else ["time"]
        same = [f"JOIN {other} {self._joining(first, other)}" for other in others]
        told = select([*keys, f"{calculated} AS value"], f"FROM {first}", *same)
        if "/" not in formula.steps:
            return told
        return select([*_keys(self.asked), "value"], *from_(told, "calculated"), "WHERE value IS NOT NULL")

    def _joining(self, first: str, other: str) -> str:
        if not self.asked.split:
            return "USING (time)"
        return f"ON {other}.time = {first}.time AND {self.words.same(f'{other}.part', f'{first}.part')}"

    def _rounded(self, statement: str) -> str:
        """Return a statement whose values are those that are told, so that the difference of equal ones is zero."""
        rounded = f"CASE WHEN value = round(value) THEN value ELSE {self.words.rounded} END AS value"
        return select([*_keys(self.asked), rounded], *from_(statement, "exact"))


@dataclass(frozen=True, slots=True)
class _Statement:
    """Makes the statement of a metric that is kept."""

    asked: Query
    kind: Kind
    statistic: str
    bounds: _Bounds
    words: SQLite
    grain: str | None

    def text(self) -> str:
        """Return it, without an order."""
        if self.kind is Kind.DURATION:
            return self._duration()
        if self.kind is Kind.COUNT:
            return self._count()
        if self._is_rolled_up and self.kind is Kind.LEVEL:
            return self._level_of_days()
        if self._is_rolled_up and self.kind is Kind.MEAN:
            return self._mean_of_days()
        having = ["HAVING count(*) = 1"] if self.kind is Kind.DISTINCT else []
        return self._totals([f"{_OVER_SERIES.get(self.kind, 'sum(value)')} AS value"], *having)

    def _count(self) -> str:
        told = {"counted": self._totals(["sum(value) AS value"]), "zeros": self._zeros()}
        both = "SELECT * FROM counted\nUNION ALL\nSELECT * FROM zeros"
        return with_(told, select([*self._keys, "sum(value) AS value"], *from_(both, "told"), group_by(self._keys)))

    def _zeros(self) -> str:
        """Return the buckets in which all was read that tells of the metric, for each part that is told of."""
        parts = ["CROSS JOIN (SELECT DISTINCT part FROM counted) AS parts"] if self.asked.split else []
        grain = self._chosen({grain: f"'{grain}'" for grain in _ROLLED_UP})
        conditions = [self._is_metric, f"grain = {grain}", *self.bounds.on("time")]
        if self.bounds.since is None:
            conditions.append("time >= (SELECT min(time) FROM counted)")
        elif self.asked.where and not self.asked.split:
            having = select(["*"], "FROM metric_series", where([self._is_metric, *self._has_dims]))
            conditions.append(f"EXISTS (\n{indented(indented(having))}\n  )")
        return select([*self._keys, "0.0 AS value"], "FROM known", *parts, where(conditions))

    def _level_of_days(self) -> str:
        days = {"days": self._days()}
        last = "WHERE day IN (SELECT max(day) FROM days GROUP BY time)"
        return with_(days, select([*self._keys, "value"], "FROM days", last))

    def _mean_of_days(self) -> str:
        days = {"days": self._days("calendar.seconds")}
        if not self.asked.split:
            mean = "sum(value * seconds) / sum(seconds) AS value"
            return with_(days, select(["time", mean], "FROM days", "GROUP BY time"))
        each_day = "FROM (SELECT DISTINCT time, day, seconds FROM days) AS each_day"
        lengths = select(["time", "sum(seconds) AS seconds"], each_day, "GROUP BY time")
        mean = "sum(days.value * days.seconds) / lengths.seconds AS value"
        joined = "JOIN lengths ON lengths.time = days.time"
        groups = group_by(["days.time", "lengths.seconds", "part"])
        means = select(["days.time AS time", "part", mean], "FROM days", joined, groups)
        return with_({**days, "lengths": lengths}, means)

    def _days(self, *also: str) -> str:
        day = f"{self._view}.time"
        return self._totals([f"{day} AS day", *also, "sum(value) AS value"], also_by=[day, *also])

    def _duration(self) -> str:
        if self.statistic in _OF_SKETCHES:
            return self._totals([f"{_of_sketches(self.statistic)} AS value"])
        if self.statistic != "mean":
            return self._percentile()
        names = {"count": "count", "sum": "total", "least": "lowest", "greatest": "highest"}
        totals = self._totals([f"{_of_sketches(each)} AS {name}" for each, name in names.items()])
        mean = self.words.between("total / count", "lowest", "highest")
        return with_({"totals": totals}, select([*self._keys, f"{mean} AS value"], "FROM totals"))

    def _percentile(self) -> str:
        """Return what finds the nearest rank, as a sketch does."""
        digits = self.statistic[1:]
        whole = 10 ** max(len(digits), 2)
        told = {
            "kept": self._rows(
                [
                    "sketch",
                    "CAST(sketch ->> 'count' AS integer) AS count",
                    f"{_number('least')} AS lowest",
                    f"{_number('greatest')} AS highest",
                ]
            ),
            "sketches": select(
                [
                    *self._keys,
                    "sketch",
                    "CAST(sum(count) OVER together AS bigint) AS count",
                    "min(lowest) OVER together AS lowest",
                    "max(highest) OVER together AS highest",
                ],
                "FROM kept",
                f"WINDOW together AS (PARTITION BY {', '.join(self._keys)})",
            ),
            "buckets": select(
                [
                    *self._keys,
                    "count",
                    "lowest",
                    "highest",
                    f"({int(digits)} * count + {whole - 1}) / {whole} AS rank",
                    "CAST(bucket.key AS double precision) AS middle",
                    "sum(CAST(bucket.value AS integer)) OVER in_order AS reached",
                ],
                "FROM sketches",
                f"CROSS JOIN {self.words.each_bucket} AS bucket",
                f"WINDOW in_order AS (PARTITION BY {', '.join(self._keys)} "
                "ORDER BY CAST(bucket.key AS double precision))",
            ),
            "found": select(
                [*self._keys, "count", "lowest", "highest", "rank", "min(middle) AS middle"],
                "FROM buckets",
                "WHERE reached >= rank",
                group_by([*self._keys, "count", "lowest", "highest", "rank"]),
            ),
        }
        middle = self.words.between(f"middle * {_NINE_BITS} - (middle * {_NINE_BITS} - middle)", "lowest", "highest")
        lines = [
            "CASE",
            "  WHEN rank <= 1 THEN lowest",
            "  WHEN rank = count THEN highest",
            "  /* to nine bits, which is the middle of a bucket exactly; its name has only six digits */",
            f"  ELSE {middle}",
            "END AS value",
        ]
        return with_(told, select([*self._keys, "\n".join(lines)], "FROM found"))

    def _totals(self, columns: Sequence[str], *clauses: str, also_by: Iterable[str] = ()) -> str:
        """Return a row for each bucket and part."""
        split = ["part"] if self.asked.split else []
        return self._rows(columns, group_by([self._bucket, *also_by, *split]), *clauses)

    def _rows(self, columns: Sequence[str], *clauses: str) -> str:
        """Return a row for each value that is kept."""
        told = f"{self._bucket} AS time" if self._is_rolled_up else "time"
        split = [f"{self.words.dim(self.asked.split)} AS part"] if self.asked.split else []
        calendar = f"JOIN calendar ON calendar.grain = 'day' AND calendar.time = {self._view}.time"
        joined = [calendar] if self._is_rolled_up else []
        conditions = where([self._is_metric, *self._has_dims, *self._bounded()])
        return select([told, *split, *columns], f"FROM {self._view}", *joined, conditions, *clauses)

    def _bounded(self) -> Iterator[str]:
        if self._is_rolled_up and self.bounds.since:
            yield f"{self._view}.time >= {self.bounds.since}"  # follows from the next, and is what an index is for
        yield from self.bounds.on(self._bucket)

    @property
    def _view(self) -> str:
        return NAMES[self.asked.facts(self.kind)]

    @property
    def _is_rolled_up(self) -> bool:
        return self.grain is not None or self.asked.by is not self.asked.facts(self.kind)

    @property
    def _bucket(self) -> str:
        return self._chosen({grain: f"calendar.{grain}" for grain in _ROLLED_UP}) if self._is_rolled_up else "time"

    def _chosen(self, told: Mapping[Grain, str]) -> str:
        """Return what is told of the grain that is asked for, or was chosen."""
        own = told.get(self.asked.by, f"'{self.asked.by}'")
        if self.grain is None:
            return own
        others = (f"WHEN '{grain}' THEN {each}" for grain, each in told.items() if grain is not self.asked.by)
        return f"CASE {self.grain} {' '.join(others)} ELSE {own} END"

    @property
    def _keys(self) -> list[str]:
        return _keys(self.asked)

    @property
    def _is_metric(self) -> str:
        return f"metric = {self.words.text(self.asked.metric)}"

    @property
    def _has_dims(self) -> list[str]:
        return [
            f"{self.words.dim(name)} = {self.words.text(value)}" for name, value in (self.asked.where or {}).items()
        ]


class _Written(NamedTuple):
    """A part of a formula as SQL; `level` says how strongly its sign binds."""

    text: str
    level: int

    def at_least(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2}
_NEGATED, _LEAF = 3, 4


def _leaf(names: Mapping[str, str]) -> Callable[[float | str], _Written]:
    return lambda step: _Written(f"{names[step]}.value" if isinstance(step, str) else repr(step), _LEAF)


def _negated(value: _Written) -> _Written:
    return _Written(f"-{value.at_least(_LEAF)}", _NEGATED)  # -- would begin a comment


def _joined(sign: str, left: _Written, right: _Written) -> _Written:
    level = _LEVELS[sign]
    if sign == "/":
        return _Written(f"{left.at_least(level)} / NULLIF({right.text}, 0)", level)
    return _Written(f"{left.at_least(level)} {sign} {right.at_least(level + 1)}", level)


def _name_of(metric: str, number: int) -> str:
    """Return the name under which a metric is told: its own, but where that would hide a view or be cut off."""
    if metric in VIEWS or len(metric) > _LONGEST_NAME:
        return f'"{metric[: _LONGEST_NAME - 10]} {number}"'
    return f'"{metric}"'


def _of_sketches(name: str) -> str:
    return f"{_OF_SKETCHES[name]}({_number(name)})"


def _number(name: str) -> str:
    return f"CAST(sketch ->> '{name}' AS double precision)"


def _keys(asked: Query) -> list[str]:
    return ["time", "part"] if asked.split else ["time"]
