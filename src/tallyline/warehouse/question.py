"""What is asked of the warehouse, and the statements that ask the tables: each built once, and given its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, null, select

from tallyline.plan import Kind
from tallyline.warehouse import schema
from tallyline.warehouse.history import facts_as_of
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import ColumnElement, Select

    Question = tuple[Select[Any], dict[str, object]]

__all__ = ["Query", "series_of", "values_of"]


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


@dataclass(frozen=True, slots=True)
class _Shape:
    """What of a question makes another statement of it, and not only other parameters."""

    kind: Kind
    facts: Grain
    where: tuple[str, ...]
    split: str | None
    told: frozenset[str]
    dialect: str


def values_of(asked: Query, kind: Kind, zone: ZoneInfo, dialect: str) -> Question:
    """Return what selects seconds since 1970, part and value, in any order; of distributions each single sketch.

    After a distinct count comes how many series it is of.
    """
    told: dict[str, object] = {"metric": asked.metric}
    if asked.since is not None:
        told["since"] = asked.by.floor(asked.since, zone)
    if asked.until is not None:
        told["until"] = asked.by.ceil(asked.until, zone)
    if asked.as_of is not None:
        told["as_of"] = asked.as_of
    where = asked.where or {}
    shape = _Shape(kind, asked.facts(kind), tuple(where), asked.split, frozenset(told), dialect)
    return _values(shape), {**told, **_values_of_dims(where)}


def series_of(metric: str, where: Mapping[str, str] | None = None) -> Question:
    """Return what selects the ids of a metric's series, those with these dims."""
    dims = where or {}
    return _series(tuple(dims)), {"metric": metric, **_values_of_dims(dims)}


@lru_cache(maxsize=256)
def _values(shape: _Shape) -> Select[Any]:
    table = facts_as_of(shape.facts, bindparam("as_of")) if "as_of" in shape.told else schema.FACTS[shape.facts]
    series = _series(shape.where)
    if shape.split:
        series = series.add_columns(_dim(shape.split).label("part"))
    # looked up once, and not again for each value
    chosen = series.cte("chosen").prefix_with("MATERIALIZED")
    part = chosen.c.part if shape.split else null()
    selected = select(schema.seconds(table.c.bucket, shape.dialect), part)
    if shape.kind is Kind.DURATION:
        selected = selected.add_columns(table.c.sketch)
    else:
        how_many = [func.count()] if shape.kind is Kind.DISTINCT else []
        selected = selected.add_columns(_over_series(shape.kind, table.c.value), *how_many)
        selected = selected.group_by(table.c.bucket, *([part] if shape.split else []))
    if "since" in shape.told:
        selected = selected.where(table.c.bucket >= bindparam("since"))
    if "until" in shape.told:
        selected = selected.where(table.c.bucket < bindparam("until"))
    return selected.join_from(table, chosen, chosen.c.id == table.c.series_id)


@lru_cache(maxsize=256)
def _series(where: tuple[str, ...]) -> Select[Any]:
    named = schema.metric.c.id == schema.series.c.metric_id
    selected = select(schema.series.c.id).join(schema.metric, named).where(schema.metric.c.name == bindparam("metric"))
    return selected.where(*(_dim(name) == bindparam(_parameter(at)) for at, name in enumerate(where)))


def _values_of_dims(where: Mapping[str, str]) -> dict[str, object]:
    return {_parameter(at): value for at, value in enumerate(where.values())}


def _parameter(number: int) -> str:
    return f"dim_{number}"


def _over_series(kind: Kind, value: ColumnElement[float]) -> ColumnElement[float]:
    if kind is Kind.MINIMUM:
        return func.min(value)
    return func.max(value) if kind is Kind.MAXIMUM else func.sum(value)


def _dim(name: str) -> ColumnElement[str | None]:
    dim: ColumnElement[str | None] = schema.series.c.dims[name].as_string()
    return dim
