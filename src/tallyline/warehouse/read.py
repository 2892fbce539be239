"""Reading values: totals over series, split by a dim where asked, at any grain, as they are or were known."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import select

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric, Sketch, is_statistic, statistic
from tallyline.warehouse import schema
from tallyline.warehouse.answer import Answer, Value
from tallyline.warehouse.known import Known, Told
from tallyline.warehouse.question import Query, series_of, values_of
from tallyline.window import Grain, Window, bucket_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured

    Row = tuple[int, str | None, Measured]

__all__ = ["Query", "metrics", "query"]

_SIGNIFICANT = 12
_moment = lru_cache(maxsize=32_768)(partial(datetime.fromtimestamp, tz=UTC))
_METRICS = select(schema.metric).order_by(schema.metric.c.name)


def metrics(connection: Connection) -> dict[str, Metric]:
    """Return the metrics that have been written, by name."""
    return {row.name: Metric(row.name, row.title, row.unit, Kind(row.kind)) for row in connection.execute(_METRICS)}


def query(connection: Connection, asked: Query, zone: ZoneInfo, formulas: Mapping[str, Metric]) -> Answer:
    """Return the values asked for, in the order of time and part. Sums are right to twelve significant digits."""
    values = _Reader(connection, zone, formulas).read(asked)
    if asked.compare is not None:
        values = _compared(values, asked, lambda earlier: query(connection, earlier, zone, formulas), zone)
    return Answer(values)


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: Connection
    zone: ZoneInfo
    formulas: Mapping[str, Metric]

    def read(self, asked: Query) -> list[Value]:
        """Answer a query, of a formula from its parts."""
        if asked.metric in self.formulas:
            return self._read_formula(asked)
        metric, _, of_distribution = asked.metric.rpartition(".")
        found = Told.of(self.connection, asked.metric, metric)
        if asked.metric in found:
            return self._read_metric(asked, found[asked.metric], statistic("mean"))
        if metric in found and found[metric].kind is Kind.DURATION and is_statistic(of_distribution):
            return self._read_metric(replace(asked, metric=metric), found[metric], statistic(of_distribution))
        raise UnknownName("metric in the warehouse called", asked.metric, [*metrics(self.connection), *self.formulas])

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

    def _read_metric(self, asked: Query, metric: Told, told: Callable[[Sketch], float]) -> list[Value]:
        kind = metric.kind
        rows, known = self._rows(asked, kind), Known.now(metric, asked.facts(kind), self.zone)
        if not rows:
            self._check_grain(asked, kind, known)
        self._check_dims(asked, rows)
        if asked.as_of is not None:
            known = Known.then(self.connection, asked.metric, asked.facts(kind), self.zone, asked.as_of)
        if asked.by is not asked.facts(kind):
            rows = self._rolled_up(rows, kind, asked.by)
        if kind is Kind.COUNT:
            rows += self._zeros(rows, asked, known)
        return list(self._values(_sorted(rows), asked.by, known, told))

    def _values(self, rows: list[Row], by: Grain, known: Known, told: Callable[[Sketch], float]) -> Iterable[Value]:
        times, parts, values = zip(*rows, strict=True) if rows else ((), (), ())
        complete = known.complete(list(dict.fromkeys(times)), by)
        is_whole = set(map(type, values)) == {float} and all(map(float.is_integer, values))
        numbers = values if is_whole else [_number(value, told) for value in values]
        known_or_not = map(complete.__contains__, times)
        columns = zip(map(_moment, times), numbers, parts, known_or_not, repeat(None), strict=False)
        return map(tuple.__new__, repeat(Value), columns)  # as Value does it, without a call of Python for each

    def _rows(self, asked: Query, kind: Kind) -> list[Row]:
        wanted, given = values_of(asked, kind, self.zone, self.connection.dialect.name)
        rows: Sequence[Any] = self.connection.execute(wanted, given).cursor.fetchall()  # bare tuples, which cost least
        if kind is Kind.DURATION:
            return _merged((bucket, part, _sketch(sketch)) for bucket, part, sketch in rows)
        if kind is Kind.DISTINCT:
            if any(row[-1] > 1 for row in rows):
                kind.over_series([0.0, 0.0])  # says why not
            return [row[:3] for row in rows]
        return list(rows)

    def _rolled_up(self, rows: Iterable[Row], kind: Kind, grain: Grain) -> list[Row]:
        collected: defaultdict[int, list[Row]] = defaultdict(list)
        buckets = {day: grain.floor(_moment(day), self.zone) for day in {row[0] for row in rows}}
        for row in rows:
            collected[int(buckets[row[0]].timestamp())].append(row)
        return [
            (bucket, part, value) for bucket, days in collected.items() for part, value in self._one_bucket(days, kind)
        ]

    def _one_bucket(self, days: list[Row], kind: Kind) -> list[tuple[str | None, Measured]]:
        all_days = {day for day, _, _ in days}
        last = max(all_days)
        parts: defaultdict[str | None, list[Row]] = defaultdict(list)
        for row in days:
            if kind is not Kind.LEVEL or row[0] == last:
                parts[row[1]].append(row)
        if kind is Kind.MEAN:
            lengths = {day: self._length(day) for day in all_days}
            whole = sum(lengths.values())
            return [
                (part, sum(cast("float", value) * lengths[day] for day, _, value in of_part) / whole)
                for part, of_part in parts.items()
            ]
        return [(part, kind.over_time([value for _, _, value in of_part])) for part, of_part in parts.items()]

    def _length(self, day: int) -> float:
        begin = _moment(day)
        return (Grain.DAY.after(begin, self.zone) - begin).total_seconds()

    def _zeros(self, rows: list[Row], asked: Query, known: Known) -> list[Row]:
        """Return the buckets in which nothing was counted, though they were read: for each part that is told of."""
        parts = {part for _, part, _ in rows}
        if not rows and not asked.split and (self._has_series(asked) if asked.where else known.since is not None):
            parts = {None}
        first = asked.since or min((_moment(row[0]) for row in rows), default=None)
        if not parts or first is None:
            return []
        buckets = known.buckets(first, asked.until, asked.by)
        if sum(map(buckets.__contains__, map(itemgetter(0), rows))) == len(parts) * len(buckets):
            return []
        there = defaultdict(set)
        for time, part, _ in rows:
            there[part].add(time)
        return [(time, part, 0.0) for part in parts for time in buckets - there[part]]

    def _has_series(self, asked: Query) -> bool:
        matching, given = series_of(asked.metric, asked.where)
        return self.connection.execute(matching.limit(1), given).first() is not None

    def _check_dims(self, asked: Query, rows: list[Row]) -> None:
        """Refuse dims that no series has; those that were found need no further look."""
        if rows and (asked.split is None or any(part is not None for _, part, _ in rows)):
            return
        named = [*(asked.where or {}), *([asked.split] if asked.split else [])]
        if not named:
            return
        series, given = series_of(asked.metric)
        dims = self.connection.execute(series.with_only_columns(schema.series.c.dims), given).scalars()
        existing = {name for of_series in dims for name in of_series}
        for name in named:
            if name not in existing:
                what = f"dim of {asked.metric} called"
                raise UnknownName(what, name, existing)

    def _check_grain(self, asked: Query, kind: Kind, now: Known) -> None:
        """Refuse a grain at which a metric is not told, but at another; what was cleaned away was told."""
        kept = [grain for grain in schema.FACTS if self._has_facts(asked.metric, grain)]
        if not kept or asked.facts(kind) in kept or now.cleaned:
            return
        if kind is Kind.DISTINCT:
            msg = (
                f"{asked.metric} counts distinct things, by the {' and '.join(kept)}: who came twice would count twice "
                f'in a sum. Let its source count by the {asked.by}, too: grains = ["day", "{asked.by}"]'
            )
            raise Refused(msg)
        if asked.by is Grain.HOUR:
            msg = f"{asked.metric} is known by the day, not by the hour; ask by day, week, month, quarter or year"
            raise Refused(msg)

    def _has_facts(self, metric: str, grain: Grain) -> bool:
        facts, (owned, given) = schema.FACTS[grain], series_of(metric)
        found = select(facts.c.series_id).where(facts.c.series_id.in_(owned)).limit(1)
        return self.connection.execute(found, given).first() is not None


def _sketch(stored: object) -> Sketch:
    return Sketch.from_data(json.loads(stored) if isinstance(stored, str) else cast("dict[str, object]", stored))


def _merged(rows: Iterable[tuple[int, str | None, Sketch]]) -> list[Row]:
    collected: defaultdict[tuple[int, str | None], list[Sketch]] = defaultdict(list)
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
    return key[0], *_in_order_of_parts(key[1])


def _sorted(rows: list[Row]) -> list[Row]:
    """Return rows in the order of time, then of part: part by part within a time, which costs half of all at once."""
    parts = {row[1] for row in rows}
    if len(parts) <= 1:
        return sorted(rows, key=itemgetter(0))
    by_time: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_time[row[0]].append(row)
    place = (lambda row: _in_order_of_parts(row[1])) if None in parts else itemgetter(1)
    return [row for time in sorted(by_time) for row in sorted(by_time[time], key=place)]


def _in_order_of_parts(part: str | None) -> tuple[bool, str]:
    return part is None, part or ""
