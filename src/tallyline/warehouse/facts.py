"""Values on their way into the tables and out of them, as fast as each database takes them.

Here, and only here, the warehouse goes past SQLAlchemy to the driver, with plain tuples: an object for each value would
cost more than all the rest. Buckets are whole seconds since 1970.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tallyline.plan import Sketch
from tallyline.warehouse import schema
from tallyline.warehouse.copying import BEGINS, COLUMNS, ENDS, Column, Fact, packed, packed_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured
    from tallyline.window import Grain

__all__ = ["Fact", "Range", "Replacement", "Stored", "kept", "measured", "read", "replace", "whole_series"]

AT_ONCE = 10_000

Stored = dict[int, dict[int, Fact]]
"""Facts by series and bucket."""

_RESTATED = (*COLUMNS, "replaced_by")


@dataclass(frozen=True, slots=True)
class Range:
    """What is kept of a source from one moment up to another."""

    source: str
    since: int
    until: int


@dataclass(slots=True)
class Replacement:
    """What is to be written: series that are new, facts that are, facts in place of others, these, and facts to remove.

    Where all that is kept of a source in a range goes, that is the `whole` range.
    """

    columns: list[Column] = field(default_factory=list)
    added: list[Fact] = field(default_factory=list)
    changed: list[Fact] = field(default_factory=list)
    replaced: list[Fact] = field(default_factory=list)
    removed: list[Fact] = field(default_factory=list)
    whole: Range | None = None


def read(connection: Connection, grain: Grain, source: str, adopted: Sequence[int], since: int, until: int) -> Stored:
    """Return what is kept of a source, and of adopted series, from `since` up to and without `until`."""
    stored: Stored = defaultdict(dict)
    for row in _rows(connection, schema.FACTS[grain], source, adopted, since, until):
        stored[row[0]][row[1]] = row
    return stored


def replace(connection: Connection, grain: Grain, run: int, replacement: Replacement) -> None:
    """Write what is new, remove what is gone, and keep what was there before as restated by `run`."""
    facts, restatements = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    gone = sorted([*replacement.replaced, *replacement.removed])
    if connection.dialect.name == "postgresql":
        if replacement.whole and gone:
            _move_range(connection, facts, restatements, replacement.whole, run)
        else:
            _move(connection, facts, restatements, gone, run)
        _copy(connection, facts, replacement)
    else:
        _insert(connection, restatements, _RESTATED, [(*fact, run) for fact in gone])
        _delete(connection, facts, sorted(replacement.removed))
        _insert(connection, facts, COLUMNS, sorted(chain(replacement.added, *map(_as_facts, replacement.columns))))
        _update(connection, facts, sorted(replacement.changed))


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
    bucket, sketch = ("extract(epoch from bucket)::bigint", "sketch::text") if postgres else ("bucket", "sketch")
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


def _move_range(connection: Connection, facts: Table, restatements: Table, whole: Range, run: int) -> None:
    """Move all facts of a range to what was restated, on PostgreSQL within the server."""
    where = """
        series_id IN (SELECT id FROM series WHERE source = %s)
        AND bucket >= to_timestamp(%s) AND bucket < to_timestamp(%s)
    """
    columns, given = ", ".join(COLUMNS), (whole.source, whole.since, whole.until)
    copying = f"INSERT INTO {restatements.name} ({columns}, replaced_by) SELECT {columns}, %s FROM {facts.name}"  # noqa: S608
    connection.exec_driver_sql(f"{copying} WHERE {where}", (run, *given))
    connection.exec_driver_sql(f"DELETE FROM {facts.name} WHERE {where}", given)  # noqa: S608  # names of our own


def _move(connection: Connection, facts: Table, restatements: Table, rows: Sequence[Fact], run: int) -> None:
    """Move facts to what was restated, on PostgreSQL within the server."""
    columns = ", ".join(f"{facts.name}.{column}" for column in COLUMNS)
    moving = f"""
        WITH gone_now AS (
            DELETE FROM {facts.name}
            USING unnest(%s::integer[], %s::bigint[]) AS gone (series_id, bucket)
            WHERE {facts.name}.series_id = gone.series_id AND {facts.name}.bucket = to_timestamp(gone.bucket)
            RETURNING {columns}
        )
        INSERT INTO {restatements.name} ({", ".join(COLUMNS)}, replaced_by) SELECT *, %s FROM gone_now
    """  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        # the planner takes the keys for few, and would rather read the whole table
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        connection.exec_driver_sql(moving, (_array(chunk, 0), _array(chunk, 1), run))
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def _array(rows: Sequence[Fact], column: int) -> str:
    return f"{{{','.join(map(str, map(itemgetter(column), rows)))}}}"


def _copy(connection: Connection, table: Table, replacement: Replacement) -> None:
    facts = sorted([*replacement.added, *replacement.changed])
    if not (facts or replacement.columns):
        return
    copying = f"COPY {table.name} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor().copy(copying) as copy:
        copy.write(BEGINS)
        for rows in chain(*map(packed_column, replacement.columns), packed(facts)):
            copy.write(rows)
        copy.write(ENDS)


def _driver(connection: Connection) -> Any:  # noqa: ANN401  # sqlite3's or psycopg's
    return connection.connection.driver_connection


def _chunks(rows: Sequence[Any]) -> Iterator[Any]:
    return (rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE))
