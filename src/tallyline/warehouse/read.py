"""Reading values: totals over series, split by a dim where asked, at any grain, as they are or were known."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, null, select

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric, Sketch, is_statistic, statistic
from tallyline.warehouse import schema
from tallyline.warehouse.answer import Answer, Value
from tallyline.warehouse.history import facts_as_of
from tallyline.warehouse.known import Known
from tallyline.window import Grain, Window, bucket_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import CTE, ColumnElement, FromClause, Select
    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured

    Row = tuple[datetime, str | None, Measured]

__all__ = ["Query", "metrics", "query"]

_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: a metric, the grain, from when (`since`) up to and without `until`.

    `where` keeps the series whose dims have these values; `split` names a dim whose values are told apart. `compare`
    names how far back the bucket lies that each one is compared with. `as_of` asks for what was known then.
    """

    metric: str
    by: Grain = Grain.DAY
    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, str] | None = None
    split: str | None = None
    compare: Grain | None = None
    as_of: datetime | None = None

    def facts(self, kind: Kind) -> Grain:
        """Return the grain of the facts that answer it."""
        return self.by if kind is Kind.DISTINCT or self.by is Grain.HOUR else Grain.DAY


def metrics(connection: Connection) -> dict[str, Metric]:
    """Return the metrics that have been written, by name."""
    table = schema.metric
    return {
        row.name: Metric(row.name, row.title, row.unit, Kind(row.kind))
        for row in connection.execute(select(table).order_by(table.c.name))
    }


def query(connection: Connection, asked: Query, zone: ZoneInfo, formulas: Mapping[str, Metric]) -> Answer:
    """Return the values asked for, in the order of time and part. Sums are right to twelve significant digits."""
    values = _Reader(connection, zone, metrics(connection), formulas).read(asked)
    if asked.compare is not None:
        values = _compared(values, asked, lambda earlier: query(connection, earlier, zone, formulas), zone)
    return Answer(values)


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: Connection
    zone: ZoneInfo
    metrics: Mapping[str, Metric]
    formulas: Mapping[str, Metric]

    def read(self, asked: Query) -> list[Value]:
        """Answer a query, of a formula from its parts."""
        if asked.metric in self.formulas:
            return self._read_formula(asked)
        name, told = self._resolved(asked.metric)
        return self._read_metric(replace(asked, metric=name), self.metrics[name].kind, told)

    def _resolved(self, name: str) -> tuple[str, Callable[[Sketch], float]]:
        """Return the metric that is meant, and what is told of its distribution where it is one."""
        if name in self.metrics:
            return name, statistic("mean")
        metric, _, asked = name.rpartition(".")
        if metric in self.metrics and self.metrics[metric].kind is Kind.DURATION and is_statistic(asked):
            return metric, statistic(asked)
        raise UnknownName("metric in the warehouse called", name, [*self.metrics, *self.formulas])

    def _read_formula(self, asked: Query) -> list[Value]:
        formula = self.formulas[asked.metric].parsed
        parts: dict[str, dict[tuple[datetime, str | None], Value]] = {}
        for name in formula.metrics:
            values = self.read(replace(asked, metric=name, compare=None))
            parts[name] = {(value.time, value.part): value for value in values}
        answers = []
        for key in sorted({key for values in parts.values() for key in values}, key=_in_order):
            of_bucket = {name: values.get(key) for name, values in parts.items()}
            value = formula.evaluate({name: part.value if part else None for name, part in of_bucket.items()})
            if value is not None:
                complete = all(part is not None and part.complete for part in of_bucket.values())
                answers.append(Value(key[0], _rounded(value), key[1], complete))
        return answers

    def _read_metric(self, asked: Query, kind: Kind, told: Callable[[Sketch], float]) -> list[Value]:
        self._check_dims(asked)
        self._check_grain(asked, kind)
        rows = self._rows(asked, kind)
        if not rows and asked.by is Grain.HOUR:
            self._refuse_hours_of_days(asked)
        if asked.by is not asked.facts(kind):
            rows = self._rolled_up(rows, kind, asked.by)
        known = Known.of(self.connection, asked.metric, asked.facts(kind), self.zone, asked.as_of)
        if kind is Kind.COUNT:
            rows = [*rows, *((time, part, 0.0) for time, part in self._zeros(rows, asked, known))]
        complete = {time: known.is_complete(time, asked.by) for time in {row[0] for row in rows}}
        values = [Value(time, _number(value, told), part, complete[time]) for time, part, value in rows]
        return sorted(values, key=lambda value: _in_order((value.time, value.part)))

    def _rows(self, asked: Query, kind: Kind) -> list[Row]:
        selected = _selected(asked, kind, self.zone)
        if kind is Kind.DURATION:
            return _merged((row.bucket, row.part, _sketch(row.sketch)) for row in self.connection.execute(selected))
        rows = self.connection.execute(selected).all()
        if kind is Kind.DISTINCT and any(row.series > 1 for row in rows):
            kind.over_series([0.0, 0.0])  # says why not
        return [(row.bucket, row.part, row.total) for row in rows]

    def _rolled_up(self, rows: Iterable[Row], kind: Kind, grain: Grain) -> list[Row]:
        collected: defaultdict[datetime, list[Row]] = defaultdict(list)
        for row in rows:
            collected[grain.floor(row[0], self.zone)].append(row)
        return [
            (bucket, part, value) for bucket, days in collected.items() for part, value in self._one_bucket(days, kind)
        ]

    def _one_bucket(self, days: list[Row], kind: Kind) -> list[tuple[str | None, Measured]]:
        last, all_days = days[-1][0], {day: self._length(day) for day, _, _ in days}
        parts: defaultdict[str | None, list[Row]] = defaultdict(list)
        for row in days:
            if kind is not Kind.LEVEL or row[0] == last:
                parts[row[1]].append(row)
        if kind is Kind.MEAN:
            whole = sum(all_days.values())
            return [
                (part, sum(cast("float", value) * all_days[day] for day, _, value in of_part) / whole)
                for part, of_part in parts.items()
            ]
        return [(part, kind.over_time([value for _, _, value in of_part])) for part, of_part in parts.items()]

    def _length(self, day: datetime) -> float:
        return (Grain.DAY.after(day, self.zone) - day).total_seconds()

    def _zeros(self, rows: list[Row], asked: Query, known: Known) -> Iterable[tuple[datetime, str | None]]:
        """Yield the buckets in which nothing was counted, though they were read: for each part that is told of."""
        parts = {part for _, part, _ in rows}
        if not rows and not asked.split and (self._has_series(asked) if asked.where else known.since is not None):
            parts = {None}
        if not parts:
            return
        first = min((time for time, _, _ in rows), default=None) if asked.since is None else asked.since
        if first is None:
            return
        there = {(time, part) for time, part, _ in rows}
        for bucket in known.buckets(first, asked.until, asked.by):
            yield from ((bucket, part) for part in parts if (bucket, part) not in there)

    def _has_series(self, asked: Query) -> bool:
        matching = _where(_series_of(asked.metric), asked).with_only_columns(schema.series.c.id).limit(1)
        return self.connection.execute(matching).first() is not None

    def _check_dims(self, asked: Query) -> None:
        named = [*(asked.where or {}), *([asked.split] if asked.split else [])]
        if not named:
            return
        dims = self.connection.execute(_series_of(asked.metric).with_only_columns(schema.series.c.dims)).scalars()
        existing = {name for of_series in dims for name in of_series}
        for name in named:
            if name not in existing:
                what = f"dim of {asked.metric} called"
                raise UnknownName(what, name, existing)

    def _check_grain(self, asked: Query, kind: Kind) -> None:
        if kind is not Kind.DISTINCT or self._has_facts(asked.metric, asked.by):
            return
        known = " and ".join(grain for grain in schema.FACTS if self._has_facts(asked.metric, grain))
        msg = (
            f"{asked.metric} counts distinct things, by the {known}: who came twice would count twice in a sum. "
            f'Let its source count by the {asked.by}, too: grains = ["day", "{asked.by}"]'
        )
        raise Refused(msg)

    def _has_facts(self, metric: str, grain: Grain) -> bool:
        facts, owned = schema.FACTS[grain], _series_of(metric).with_only_columns(schema.series.c.id)
        found = select(facts.c.series_id).where(facts.c.series_id.in_(owned)).limit(1)
        return self.connection.execute(found).first() is not None

    def _refuse_hours_of_days(self, asked: Query) -> None:
        if self._has_facts(asked.metric, Grain.DAY) and not self._has_facts(asked.metric, Grain.HOUR):
            msg = f"{asked.metric} is known by the day, not by the hour; ask by day, week, month, quarter or year"
            raise Refused(msg)


def _selected(asked: Query, kind: Kind, zone: ZoneInfo) -> Select[Any]:
    facts = asked.facts(kind)
    table = facts_as_of(facts, asked.as_of) if asked.as_of else schema.FACTS[facts]
    chosen = _chosen(asked)
    if kind is Kind.DURATION:
        selected = select(table.c.bucket, chosen.c.part, table.c.sketch)
    else:
        total = _over_series(kind, table.c.value).label("total")
        selected = select(table.c.bucket, chosen.c.part, total, func.count().label("series"))
        selected = selected.group_by(table.c.bucket, chosen.c.part)
    selected = selected.join(chosen, chosen.c.id == table.c.series_id).order_by(table.c.bucket)
    return _ranged(selected, table, asked, zone)


def _chosen(asked: Query) -> CTE:
    """Return the series that are asked for, each with its part: looked up once, and not again for each value."""
    part = _dim(asked.split) if asked.split else null()
    chosen = _where(_series_of(asked.metric), asked).with_only_columns(schema.series.c.id, part.label("part"))
    return chosen.cte("chosen").prefix_with("MATERIALIZED")


def _where(selected: Select[Any], asked: Query) -> Select[Any]:
    for name, value in (asked.where or {}).items():
        selected = selected.where(_dim(name) == value)
    return selected


def _ranged(selected: Select[Any], table: FromClause, asked: Query, zone: ZoneInfo) -> Select[Any]:
    if asked.since is not None:
        selected = selected.where(table.c.bucket >= asked.by.floor(asked.since, zone))
    if asked.until is not None:
        selected = selected.where(table.c.bucket < asked.by.ceil(asked.until, zone))
    return selected


def _over_series(kind: Kind, value: ColumnElement[float]) -> ColumnElement[float]:
    if kind is Kind.MINIMUM:
        return func.min(value)
    return func.max(value) if kind is Kind.MAXIMUM else func.sum(value)


def _dim(name: str) -> ColumnElement[str | None]:
    dim: ColumnElement[str | None] = schema.series.c.dims[name].as_string()
    return dim


def _series_of(metric: str) -> Select[Any]:
    named = schema.metric.c.id == schema.series.c.metric_id
    return select(schema.series).join(schema.metric, named).where(schema.metric.c.name == metric)


def _sketch(stored: object) -> Sketch:
    return Sketch.from_data(json.loads(stored) if isinstance(stored, str) else cast("dict[str, object]", stored))


def _merged(rows: Iterable[tuple[datetime, str | None, Sketch]]) -> list[Row]:
    collected: defaultdict[tuple[datetime, str | None], list[Sketch]] = defaultdict(list)
    for bucket, part, sketch in rows:
        collected[bucket, part].append(sketch)
    return [(bucket, part, Sketch.merged(sketches)) for (bucket, part), sketches in collected.items()]


def _compared(values: list[Value], asked: Query, read: Callable[[Query], Answer], zone: ZoneInfo) -> list[Value]:
    if not values or asked.compare is None:
        return values
    back = {value.time: bucket_before(value.time, asked.by, asked.compare, zone) for value in values}
    window = Window(min(back.values()), asked.by.after(max(back.values()), zone))
    earlier = read(replace(asked, since=window.since, until=window.until, compare=None))
    before = {(value.time, value.part): value.value for value in earlier}
    return [value._replace(before=before.get((back[value.time], value.part))) for value in values]


def _number(value: Measured, told: Callable[[Sketch], float]) -> float:
    return _rounded(told(value) if isinstance(value, Sketch) else value)


def _rounded(value: float) -> float:
    return value if value.is_integer() else float(f"{value:.{_SIGNIFICANT}g}")


def _in_order(key: tuple[datetime, str | None]) -> tuple[datetime, bool, str]:
    return key[0], key[1] is None, key[1] or ""
