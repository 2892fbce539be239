"""Values on their way into the tables and out of them, as fast as each database takes them.

Here, and only here, the warehouse goes past SQLAlchemy to the driver, with plain tuples: an object for each value would
cost more than all the rest. Buckets are whole seconds since 1970.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING, Any

from tallyline.plan import Sketch
from tallyline.warehouse import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.plan import Measured
    from tallyline.window import Grain

__all__ = ["Fact", "Replacement", "Stored", "all_kept", "kept", "measured", "read", "replace"]

AT_ONCE = 10_000
_POSTGRES_EPOCH = 946_684_800

Fact = tuple[int, int, float, int, str | None]
"""A value as it is kept: series, bucket, value, run and, of a distribution, its sketch as JSON."""

Stored = dict[int, dict[int, Fact]]
"""Facts by series and bucket."""

_COLUMNS = ("series_id", "bucket", "value", "run_id", "sketch")
_RESTATED = (*_COLUMNS, "replaced_by")
_FACT = struct.Struct(">hiiiqidiii")
_RESTATEMENT_TAIL = struct.Struct(">ii")
_COPY_BEGINS, _COPY_ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


@dataclass(slots=True)
class Replacement:
    """What is to be written: facts that are new, facts in place of others, these others, and facts to remove."""

    added: list[Fact] = field(default_factory=list)
    changed: list[Fact] = field(default_factory=list)
    replaced: list[Fact] = field(default_factory=list)
    removed: list[Fact] = field(default_factory=list)


def read(connection: Connection, grain: Grain, source: str, adopted: Sequence[int], since: int, until: int) -> Stored:
    """Return what is kept of a source, and of adopted series, from `since` up to and without `until`."""
    stored: Stored = defaultdict(dict)
    for row in _rows(connection, schema.FACTS[grain], source, adopted, since, until):
        stored[row[0]][row[1]] = row
    return stored


def replace(connection: Connection, grain: Grain, run: int, replacement: Replacement) -> None:
    """Write what is new, remove what is gone, and keep what was there before as restated by `run`."""
    facts, gone = schema.FACTS[grain], sorted([*replacement.replaced, *replacement.removed])
    _insert(connection, schema.RESTATEMENTS[grain], _RESTATED, [(*fact, run) for fact in gone])
    if connection.dialect.name == "postgresql":
        _delete(connection, facts, gone)
        _insert(connection, facts, _COLUMNS, sorted([*replacement.added, *replacement.changed]))
    else:
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
    return [(series, bucket, value, run, None) for bucket, value in values.items()]  # type: ignore[misc]  # no sketch


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
    return rows


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, rows)
        return
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
    for chunk in _chunks(rows):
        if connection.dialect.name == "postgresql":
            deleting = f"""
                DELETE FROM {table.name} USING unnest(%s::integer[], %s::bigint[]) AS gone (series_id, bucket)
                WHERE {table.name}.series_id = gone.series_id AND {table.name}.bucket = to_timestamp(gone.bucket)
            """  # noqa: S608  # names of our own
            connection.exec_driver_sql(deleting, ([row[0] for row in chunk], [row[1] for row in chunk]))
        else:
            deleting = f"DELETE FROM {table.name} WHERE series_id = ? AND bucket = ?"  # noqa: S608  # names of our own
            connection.exec_driver_sql(deleting, [row[:2] for row in chunk])


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    copying = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    packed = _packed_facts if len(columns) == len(_COLUMNS) else _packed_restatements
    with _driver(connection).cursor().copy(copying) as copy:
        copy.write(_COPY_BEGINS)
        for chunk in _chunks(rows):
            copy.write(b"".join(packed(chunk)))
        copy.write(_COPY_ENDS)


def _packed_facts(rows: Sequence[Fact]) -> Iterator[bytes]:
    if any(row[4] is not None for row in rows):
        return (_packed(row, 5) for row in rows)
    return starmap(
        _FACT.pack,
        [(5, 4, series, 8, _micros(bucket), 8, value, 4, run, -1) for series, bucket, value, run, _ in rows],
    )


def _packed_restatements(rows: Sequence[tuple[int, int, float, int, str | None, int]]) -> Iterator[bytes]:
    return (_packed(row[:5], 6) + _RESTATEMENT_TAIL.pack(4, row[5]) for row in rows)


def _packed(row: Fact, columns: int) -> bytes:
    series, bucket, value, run, sketch = row
    told = b"" if sketch is None else b"\x01" + sketch.encode()
    size = -1 if sketch is None else len(told)
    return _FACT.pack(columns, 4, series, 8, _micros(bucket), 8, value, 4, run, size) + told


def _micros(bucket: int) -> int:
    return (bucket - _POSTGRES_EPOCH) * 1_000_000


def _driver(connection: Connection) -> Any:  # noqa: ANN401  # sqlite3's or psycopg's
    return connection.connection.driver_connection


def _chunks(rows: Sequence[Any]) -> Iterator[Any]:
    return (rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE))
