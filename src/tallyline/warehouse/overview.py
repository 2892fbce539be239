"""All sources at once, in few queries: what was read of each, how its runs ended, and which metrics it tells of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Text, column, desc, extract, func, select, values
from sqlalchemy import cast as as_type

from tallyline.warehouse import ledger, schema
from tallyline.warehouse.coverage import Coverage, Covered
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, ScalarSelect
    from sqlalchemy.engine import Connection

    from tallyline.warehouse.ledger import RunRecord

__all__ = ["Overview", "RunCount", "SourceOverview", "failures", "overview", "run_counts"]

_QUARTER = 900  # seconds: of the parts of an hour, the longest of which every time zone's hours are made
_UNSUCCESSFUL = ("failed", "lost")


@dataclass(frozen=True, slots=True)
class SourceOverview:
    """What is known of a source's windows, its newest run, the newest that has ended, and the newest that is done."""

    coverage: Sequence[Coverage] = ()
    newest: RunRecord | None = None
    ended: RunRecord | None = None
    done: RunRecord | None = None

    @property
    def known_until(self) -> datetime | None:
        """The end of the newest window whose values are known."""
        return max((piece.window.until for piece in self.coverage if piece.is_known), default=None)

    @property
    def final_until(self) -> datetime | None:
        """The end of the newest window that is final."""
        return max((piece.window.until for piece in self.coverage if piece.state is Covered.FINAL), default=None)

    @property
    def is_failing(self) -> bool:
        """Whether the newest run that has ended wrote nothing, and not because it was stopped."""
        return self.ended is not None and self.ended.state in _UNSUCCESSFUL


@dataclass(frozen=True, slots=True)
class Overview:
    """The sources by their names, and which of them tell of each metric."""

    sources: Mapping[str, SourceOverview]
    tellers: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class RunCount:
    """How many runs that began in the quarter of an hour at `time` are in a state."""

    time: datetime
    state: str
    count: int


def overview(connection: Connection, sources: Iterable[str] = ()) -> Overview:
    """Return how sources are: all of which the warehouse knows, and those that are named, too."""
    tellers, pieces = _tellers(connection), _pieces(connection)
    names = sorted({*sources, *pieces, *(source for told in tellers.values() for source in told)})
    runs = _newest_runs(connection, names)
    return Overview({name: SourceOverview(pieces.get(name, ()), *runs.get(name, ())) for name in names}, tellers)


def run_counts(connection: Connection, window: Window) -> list[RunCount]:
    """Return how many of the runs that began in a window are in which state, by quarters of an hour."""
    run = schema.run
    quarter = _quarter(run.c.started_at, connection.dialect.name).label("quarter")
    counted = select(quarter, run.c.state, func.count()).group_by(quarter, run.c.state).order_by(quarter, run.c.state)
    found = connection.execute(counted.where(*_began_in(window)))
    return [RunCount(datetime.fromtimestamp(at * _QUARTER, UTC), state, count) for at, state, count in found]


def failures(connection: Connection, window: Window, limit: int) -> list[RunRecord]:
    """Return the newest runs that began in a window and failed or were lost, the newest first."""
    run = schema.run
    failed = select(run.c.id).where(run.c.state.in_(_UNSUCCESSFUL), *_began_in(window))
    return ledger.of(connection, connection.execute(failed.order_by(desc(run.c.id)).limit(limit)).scalars())


def _tellers(connection: Connection) -> dict[str, frozenset[str]]:
    told = select(schema.metric.c.name, schema.metric_source.c.source).join(
        schema.metric_source, schema.metric_source.c.metric_id == schema.metric.c.id
    )
    tellers: defaultdict[str, set[str]] = defaultdict(set)
    for metric, source in connection.execute(told):
        tellers[metric].add(source)
    return {metric: frozenset(of_metric) for metric, of_metric in tellers.items()}


def _pieces(connection: Connection) -> dict[str, list[Coverage]]:
    table, pieces = schema.covered, defaultdict(list)
    for row in connection.execute(select(table).order_by(table.c.source, table.c.since)):
        pieces[row.source].append(Coverage(Window(row.since, row.until), Covered(row.state), row.run_id))
    return pieces


def _newest_runs(connection: Connection, names: Sequence[str]) -> dict[str, tuple[RunRecord | None, ...]]:
    """Return for each source its newest run, the newest that has ended, and the newest that is done."""
    if not names:
        return {}
    run = schema.run
    asked = values(column("source", Text), name="asked").data([(name,) for name in names]).cte("asked")
    conditions: tuple[tuple[ColumnElement[bool], ...], ...] = (
        (),
        (run.c.ended_at.is_not(None),),
        (run.c.state == "done",),
    )
    newest = [_newest(asked.c.source, condition) for condition in conditions]
    numbers = {row[0]: row[1:] for row in connection.execute(select(asked.c.source, *newest))}
    known = {record.id: record for record in ledger.of(connection, {n for of in numbers.values() for n in of if n})}
    return {name: tuple(known.get(number) for number in of_source) for name, of_source in numbers.items()}


def _newest(source: ColumnElement[Any], condition: Iterable[ColumnElement[bool]]) -> ScalarSelect[int]:
    run = schema.run
    newest_first = (desc(run.c.started_at), desc(run.c.id))
    return select(run.c.id).where(run.c.source == source, *condition).order_by(*newest_first).limit(1).scalar_subquery()


def _quarter(moment: ColumnElement[datetime], dialect: str) -> ColumnElement[int]:
    if dialect == "postgresql":
        return as_type(func.floor(extract("epoch", moment) / _QUARTER), BigInteger)
    return as_type(schema.seconds(moment, dialect), BigInteger).op("/")(_QUARTER)


def _began_in(window: Window) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return schema.run.c.started_at >= window.since, schema.run.c.started_at < window.until
