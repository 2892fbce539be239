"""Values on their way into the tables and out of them, as fast as each database takes them.

Here, and only here, the warehouse goes past SQLAlchemy to the driver, with plain tuples: an object for each value would
cost more than all the rest. Buckets are whole seconds since 1970.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tallyline.plan import Sketch
from tallyline.warehouse import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured
    from tallyline.window import Grain

__all__ = ["Fact", "Range", "Replacement", "Stored", "all_kept", "kept", "measured", "read", "replace"]

AT_ONCE = 10_000
_POSTGRES_EPOCH = 946_684_800

Fact = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""

Stored = dict[int, dict[int, Fact]]
"""Facts by series and bucket."""

_COLUMNS = ("series_id", "bucket", "value", "run_id", "sketch")
_RESTATED = (*_COLUMNS, "replaced_by")
_HEAD, _MOMENT, _TAIL = struct.Struct(">hiii"), struct.Struct(">qi"), struct.Struct(">iii")
_ROW = struct.Struct(">14s12sd12s")
_NO_SKETCH = struct.pack(">i", -1)
_COPY_BEGINS, _COPY_ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Range:
    """What is kept of a source from one moment up to another."""

    source: str
    since: int
    until: int


@dataclass(slots=True)
class Replacement:
    """What is to be written: facts that are new, facts in place of others, these others, and facts to remove.

    Where all that is kept of a source in a range goes, that is the `whole` range.
    """

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
        _copy(connection, facts, sorted([*replacement.added, *replacement.changed]))
    else:
        _insert(connection, restatements, _RESTATED, [(*fact, run) for fact in gone])
        _delete(connection, facts, sorted(replacement.removed))
        _insert(connection, facts, _COLUMNS, sorted(replacement.added))
        _update(connection, facts, sorted(replacement.changed))


def measured(fact: Fact) -> Measured:
    """Return what was measured."""
    return fact[2] if fact[4] is None else Sketch.from_data(json.loads(fact[4]))


def kept(series: int, bucket: int, value: Measured, run: int) -> Fact:
    """Return what was measured as it is kept: of a distribution, the mean is its value."""
    if isinstance(value, Sketch):
        return series, bucket, value.mean, run, json.dumps(value.as_data(), separators=(",", ":"))
    return series, bucket, value, run, None


def all_kept(series: int, values: Mapping[int, Measured], run: int) -> list[Fact]:
    """Return all values of a series as they are kept."""
    if Sketch in set(map(type, values.values())):
        return [kept(series, bucket, value, run) for bucket, value in values.items()]
    return list(zip(repeat(series), values, values.values(), repeat(run), repeat(None)))  # type: ignore[arg-type]  # no sketch


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
    columns, given = ", ".join(_COLUMNS), (whole.source, whole.since, whole.until)
    copying = f"INSERT INTO {restatements.name} ({columns}, replaced_by) SELECT {columns}, %s FROM {facts.name}"  # noqa: S608
    connection.exec_driver_sql(f"{copying} WHERE {where}", (run, *given))
    connection.exec_driver_sql(f"DELETE FROM {facts.name} WHERE {where}", given)  # noqa: S608  # names of our own


def _move(connection: Connection, facts: Table, restatements: Table, rows: Sequence[Fact], run: int) -> None:
    """Move facts to what was restated, on PostgreSQL within the server."""
    columns = ", ".join(f"{facts.name}.{column}" for column in _COLUMNS)
    moving = f"""
        WITH gone_now AS (
            DELETE FROM {facts.name}
            USING unnest(%s::integer[], %s::bigint[]) AS gone (series_id, bucket)
            WHERE {facts.name}.series_id = gone.series_id AND {facts.name}.bucket = to_timestamp(gone.bucket)
            RETURNING {columns}
        )
        INSERT INTO {restatements.name} ({", ".join(_COLUMNS)}, replaced_by) SELECT *, %s FROM gone_now
    """  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        # the planner takes the keys for few, and would rather read the whole table
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        connection.exec_driver_sql(moving, (_array(chunk, 0), _array(chunk, 1), run))
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def _array(rows: Sequence[Fact], column: int) -> str:
    return f"{{{','.join(map(str, map(itemgetter(column), rows)))}}}"


def _copy(connection: Connection, table: Table, rows: Sequence[Fact]) -> None:
    if not rows:
        return
    packed = _Packed()
    copying = f"COPY {table.name} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor().copy(copying) as copy:
        copy.write(_COPY_BEGINS)
        for chunk in _chunks(rows):
            copy.write(b"".join(packed.rows(chunk)))
        copy.write(_COPY_ENDS)


class _Packed:
    """Rows as PostgreSQL copies them: what comes again in many of them is packed once."""

    def __init__(self) -> None:
        self._heads = _Cache(lambda series: _HEAD.pack(len(_COLUMNS), 4, series, 8))
        self._moments = _Cache(lambda bucket: _MOMENT.pack((bucket - _POSTGRES_EPOCH) * 1_000_000, 8))
        self._tails = _Cache(lambda run: _TAIL.pack(4, run, -1))

    def rows(self, rows: Sequence[Fact]) -> Iterator[bytes]:
        series, buckets, values, runs, sketches = (map(itemgetter(column), rows) for column in range(len(_COLUMNS)))
        packed = map(
            _ROW.pack,
            map(self._heads.__getitem__, series),
            map(self._moments.__getitem__, buckets),
            values,
            map(self._tails.__getitem__, runs),
        )
        if any(map(itemgetter(-1), rows)):
            return (row[: -len(_NO_SKETCH)] + _sketch(sketch) for row, sketch in zip(packed, sketches, strict=True))
        return packed


class _Cache(dict[int, bytes]):
    def __init__(self, pack: Callable[[int], bytes]) -> None:
        super().__init__()
        self._pack = pack

    def __missing__(self, number: int) -> bytes:
        packed = self[number] = self._pack(number)
        return packed


def _sketch(sketch: str | None) -> bytes:
    if sketch is None:
        return _NO_SKETCH
    told = b"\x01" + sketch.encode()
    return struct.pack(">i", len(told)) + told


def _driver(connection: Connection) -> Any:  # noqa: ANN401  # sqlite3's or psycopg's
    return connection.connection.driver_connection


def _chunks(rows: Sequence[Any]) -> Iterator[Any]:
    return (rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE))
