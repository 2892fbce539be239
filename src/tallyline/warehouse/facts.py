"""Values on their way into the tables and out of them, as fast as each database takes them.

Here, and only here, the warehouse goes past SQLAlchemy to the driver, with plain tuples: an object for each value would
cost more than all the rest. Buckets are whole seconds since 1970.
"""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tallyline.plan import Sketch
from tallyline.warehouse import schema
from tallyline.warehouse.copying import BEGINS, COLUMNS, ENDS, RESTATED, Column, Fact, packed, packed_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured
    from tallyline.window import Grain

__all__ = ["Fact", "Range", "Replacement", "Rewritten", "Stored", "kept", "measured", "read", "replace", "whole_series"]

AT_ONCE = 10_000

Stored = dict[int, dict[int, Fact]]
"""Facts by series and bucket."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is kept of some series from one moment up to another."""

    series: Sequence[int]
    since: int
    until: int


class Rewritten(NamedTuple):
    """A series of which every value is another one: what was kept, and by which runs, and what is to be."""

    before: Sequence[float]
    runs: Sequence[int]
    column: Column

    @property
    def gone(self) -> Iterator[Fact]:
        """The facts that are no more, in the order of the buckets."""
        return zip(repeat(self.column.series), self.column.buckets, self.before, self.runs, repeat(None))


@dataclass(slots=True)
class Replacement:
    """What is to be written: series that are new, facts that are, facts in place of others, these, and facts to remove.

    Where all that is kept in a range goes, that is the `whole` range.
    """

    columns: list[Column] = field(default_factory=list)
    rewritten: list[Rewritten] = field(default_factory=list)
    added: list[Fact] = field(default_factory=list)
    changed: list[Fact] = field(default_factory=list)
    replaced: list[Fact] = field(default_factory=list)
    removed: list[Fact] = field(default_factory=list)
    whole: Range | None = None

    @property
    def gone(self) -> Iterable[Fact]:
        """The facts that are no more."""
        return chain(self.replaced, self.removed, *(rewritten.gone for rewritten in self.rewritten))

    @property
    def pairs(self) -> Iterable[tuple[Fact, Fact]]:
        """Facts that are no more, each with the one in its place."""
        by_series = (
            (before, after)
            for rewritten in self.rewritten
            for before, after in zip(rewritten.gone, _as_facts(rewritten.column), strict=True)
        )
        return chain(zip(self.replaced, self.changed, strict=True), by_series)


def read(connection: Connection, grain: Grain, source: str, adopted: Sequence[int], since: int, until: int) -> Stored:
    """Return what is kept of a source, and of adopted series, from `since` up to and without `until`."""
    stored: Stored = defaultdict(dict)
    with _nothing_is_garbage():
        for row in _rows(connection, schema.FACTS[grain], source, adopted, since, until):
            stored[row[0]][row[1]] = row
    return stored


def replace(connection: Connection, grain: Grain, run: int, replacement: Replacement) -> None:
    """Write what is new, remove what is gone, and keep what was there before as restated by `run`."""
    facts, restatements = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    if connection.dialect.name == "postgresql":
        _copy(connection, restatements, RESTATED, _packed_restated(replacement, run))
        if replacement.whole and any(replacement.gone):
            _delete_range(connection, facts, replacement.whole)
        else:
            _delete_on_postgres(connection, facts, sorted(replacement.gone))
        _copy(connection, facts, COLUMNS, _packed(replacement))
    else:
        restated = [(*fact, run) for fact in sorted(replacement.gone)]
        _insert(connection, restatements, (*COLUMNS, "replaced_by"), restated)
        _delete(connection, facts, sorted(replacement.removed))
        _insert(connection, facts, COLUMNS, sorted(chain(replacement.added, *map(_as_facts, replacement.columns))))
        rewritten = [_as_facts(rewritten.column) for rewritten in replacement.rewritten]
        _update(connection, facts, sorted(chain(replacement.changed, *rewritten)))


def measured(fact: Fact) -> Measured:
    """Return what was measured."""
    return fact[2] if fact[4] is None else Sketch.from_data(json.loads(fact[4]))


def kept(series: int, bucket: int, value: Measured, run: int) -> Fact:
    """Return what was measured as it is kept: of a distribution, the mean is its value."""
    if isinstance(value, Sketch):
        return series, bucket, value.mean, run, json.dumps(value.as_data(), separators=(",", ":"))
    return series, bucket, value, run, None


def whole_series(series: int, values: Mapping[int, Measured], run: int) -> Column | None:
    """Return all values of a series as a column, None where some of them are distributions."""
    if Sketch in set(map(type, values.values())):
        return None
    buckets = tuple(sorted(values))
    return Column(series, buckets, list(map(values.__getitem__, buckets)), run)  # type: ignore[arg-type]  # no sketch


def _as_facts(column: Column) -> Iterator[Fact]:
    return zip(repeat(column.series), column.buckets, column.values, repeat(column.run), repeat(None))


def _rows(
    connection: Connection, table: Table, source: str, adopted: Sequence[int], since: int, until: int
) -> Iterable[Fact]:
    postgres = connection.dialect.name == "postgresql"
    bucket, sketch = ("date_part('epoch', bucket)::bigint", "sketch::text") if postgres else ("bucket", "sketch")
    mark, moment = ("%s", "to_timestamp(%s)") if postgres else ("?", "?")
    also = f"OR series.id IN ({', '.join([mark] * len(adopted))})" if adopted else ""
    query = f"""
        SELECT series_id, {bucket}, value, run_id, {sketch}
        FROM {table.name} JOIN series ON series.id = {table.name}.series_id
        WHERE (series.source = {mark} {also}) AND bucket >= {moment} AND bucket < {moment}
    """  # noqa: S608  # names of our own
    cursor: Any = _driver(connection).cursor(**({"binary": True} if postgres else {}))
    rows: Iterable[Fact] = cursor.execute(query, (source, *adopted, since, until))
    return cursor.fetchall() if postgres else rows  # psycopg's cursor is slow to iterate


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(columns))
    inserting = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        connection.exec_driver_sql(inserting, chunk)


def _update(connection: Connection, table: Table, rows: Sequence[Fact]) -> None:
    updating = f"UPDATE {table.name} SET value = ?, run_id = ?, sketch = ? WHERE series_id = ? AND bucket = ?"  # noqa: S608
    for chunk in _chunks(rows):
        values = [(value, run, sketch, series, bucket) for series, bucket, value, run, sketch in chunk]
        connection.exec_driver_sql(updating, values)


def _delete(connection: Connection, table: Table, rows: Sequence[Fact]) -> None:
    deleting = f"DELETE FROM {table.name} WHERE series_id = ? AND bucket = ?"  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        connection.exec_driver_sql(deleting, [row[:2] for row in chunk])


def _delete_range(connection: Connection, table: Table, whole: Range) -> None:
    deleting = f"""
        DELETE FROM {table.name}
        WHERE series_id = ANY(%s) AND bucket >= to_timestamp(%s) AND bucket < to_timestamp(%s)
    """  # noqa: S608  # names of our own
    connection.exec_driver_sql(deleting, (list(whole.series), whole.since, whole.until))


def _delete_on_postgres(connection: Connection, table: Table, rows: Sequence[Fact]) -> None:
    deleting = f"""
        DELETE FROM {table.name} USING unnest(%s::integer[], %s::bigint[]) AS gone (series_id, bucket)
        WHERE {table.name}.series_id = gone.series_id AND {table.name}.bucket = to_timestamp(gone.bucket)
    """  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        # the planner takes the keys for few, and would rather read the whole table
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        connection.exec_driver_sql(deleting, (_array(chunk, 0), _array(chunk, 1)))
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def _array(rows: Sequence[Fact], column: int) -> str:
    return f"{{{','.join(map(str, map(itemgetter(column), rows)))}}}"


def _packed(replacement: Replacement) -> Iterator[bytes | bytearray]:
    columns = [*replacement.columns, *(rewritten.column for rewritten in replacement.rewritten)]
    return chain(*map(packed_column, columns), packed(sorted([*replacement.added, *replacement.changed])))


def _packed_restated(replacement: Replacement, run: int) -> Iterator[bytes | bytearray]:
    single = [*replacement.replaced, *replacement.removed]
    for rewritten in replacement.rewritten:
        if len(runs := set(rewritten.runs)) == 1:
            yield from packed_column(rewritten.column._replace(values=rewritten.before, run=runs.pop()), run)
        else:
            single += rewritten.gone
    yield from packed(sorted(single), run)


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[bytes | bytearray]) -> None:
    told = iter(rows)
    first = next(told, None)
    if first is None:
        return
    copying = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor().copy(copying) as copy:
        for part in chain([BEGINS, first], told, [ENDS]):
            copy.write(part)


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """Let Python not look through all that there is for garbage, again and again, while much is made that stays."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _driver(connection: Connection) -> Any:  # noqa: ANN401  # sqlite3's or psycopg's
    return connection.connection.driver_connection


def _chunks(rows: Sequence[Any]) -> Iterator[Any]:
    return (rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE))
