"""Values on their way into the tables and out of them, as fast as each database takes them.

Here, and only here, the warehouse goes past SQLAlchemy to the driver, with columns and plain tuples: an object for each
value would cost more than all the rest. Buckets are whole seconds since 1970.
"""

from __future__ import annotations

from itertools import chain, groupby, islice, starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tallyline.warehouse import schema
from tallyline.warehouse.binary import BEGINS, COLUMNS, ENDS, RESTATED, TOLD, packed, unpacked
from tallyline.warehouse.column import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from tallyline.warehouse.column import Row
    from tallyline.warehouse.difference import Difference, Range
    from tallyline.window import Grain

    Driver = Any  # a connection of sqlite3 or of psycopg

__all__ = ["Stored", "read", "replace"]

_AT_ONCE = 10_000

Key = tuple[int, int]
Stored = dict[int, Column]
"""What is kept, by series."""


def read(connection: Connection, grain: Grain, source: str, adopted: Sequence[int], since: int, until: int) -> Stored:
    """Return what is kept of a source, and of adopted series, from `since` up to and without `until`."""
    reading = _read_on_postgres if connection.dialect.name == "postgresql" else _read_on_sqlite
    columns = reading(_driver(connection), schema.FACTS[grain].name, source, adopted, (since, until))
    return {column.series: column for column in columns}


def replace(connection: Connection, grain: Grain, run: int, difference: Difference) -> None:
    """Write what is new, remove what is gone, and keep what was there before as restated by `run`."""
    facts, restatements = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    if connection.dialect.name == "postgresql":
        if difference.whole and difference.gone:
            _delete_range(connection, facts, difference.whole)
        else:
            _delete_on_postgres(connection, facts, _keys(difference.gone))
        _copy(connection, facts, COLUMNS, packed(difference.come))
        _copy(connection, restatements, RESTATED, packed(difference.gone, run))
    else:
        _insert(connection, restatements, (*COLUMNS, "replaced_by"), ((*row, run) for row in _rows(difference.gone)))
        _delete(connection, facts, _keys(difference.removed))
        _insert(connection, facts, COLUMNS, _rows(difference.added))
        _update(connection, facts, _rows(after for _, after in difference.changed))


def _read_on_sqlite(
    driver: Driver, table: str, source: str, adopted: Sequence[int], window: tuple[int, int]
) -> Iterator[Column]:
    query = f"""
        SELECT {", ".join(COLUMNS)}
        FROM {table} JOIN series ON series.id = {table}.series_id
        WHERE (series.source = ? {_or_one_of(adopted, "?")}) AND bucket >= ? AND bucket < ?
        ORDER BY series.id, bucket
    """  # noqa: S608  # names of our own
    for series, rows in groupby(driver.execute(query, (source, *adopted, *window)), itemgetter(0)):
        _, buckets, numbers, runs, sketches = zip(*rows, strict=True)
        yield Column.of_kept(series, buckets, (numbers, sketches if any(sketches) else None), runs)


def _read_on_postgres(
    driver: Driver, table: str, source: str, adopted: Sequence[int], window: tuple[int, int]
) -> Iterator[Column]:
    query = f"""
        SELECT series.id, kept.*
        FROM series CROSS JOIN LATERAL (
            SELECT {TOLD} FROM {table}
            WHERE series_id = series.id AND bucket >= to_timestamp(%s) AND bucket < to_timestamp(%s)
        ) AS kept
        WHERE (series.source = %s {_or_one_of(adopted, "%s")}) AND buckets IS NOT NULL
    """  # noqa: S608  # names of our own
    return starmap(unpacked, driver.execute(query, (*window, source, *adopted), binary=True))


def _or_one_of(series: Sequence[int], mark: str) -> str:
    return f"OR series.id IN ({', '.join([mark] * len(series))})" if series else ""


def _keys(columns: Iterable[Column]) -> Iterator[Key]:
    return chain.from_iterable(column.keys for column in columns)


def _rows(columns: Iterable[Column]) -> Iterator[Row]:
    return chain.from_iterable(column.rows for column in columns)


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("?" * len(columns))
    inserting = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # names of our own
    for chunk in _chunks(rows):
        connection.exec_driver_sql(inserting, chunk)


def _update(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    updating = f"UPDATE {table.name} SET value = ?, run_id = ?, sketch = ? WHERE series_id = ? AND bucket = ?"  # noqa: S608
    for chunk in _chunks((value, run, sketch, series, bucket) for series, bucket, value, run, sketch in rows):
        connection.exec_driver_sql(updating, chunk)


def _delete(connection: Connection, table: Table, keys: Iterable[Key]) -> None:
    deleting = f"DELETE FROM {table.name} WHERE series_id = ? AND bucket = ?"  # noqa: S608  # names of our own
    for chunk in _chunks(keys):
        connection.exec_driver_sql(deleting, chunk)


def _delete_range(connection: Connection, table: Table, whole: Range) -> None:
    deleting = f"""
        DELETE FROM {table.name}
        WHERE series_id = ANY(%s) AND bucket >= to_timestamp(%s) AND bucket < to_timestamp(%s)
    """  # noqa: S608  # names of our own
    connection.exec_driver_sql(deleting, (list(whole.series), whole.since, whole.until))


def _delete_on_postgres(connection: Connection, table: Table, keys: Iterable[Key]) -> None:
    deleting = f"""
        DELETE FROM {table.name} USING unnest(%s::integer[], %s::bigint[]) AS gone (series_id, bucket)
        WHERE {table.name}.series_id = gone.series_id AND {table.name}.bucket = to_timestamp(gone.bucket)
    """  # noqa: S608  # names of our own
    for chunk in _chunks(keys):
        # the planner takes the keys for few, and would rather read the whole table
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        connection.exec_driver_sql(deleting, tuple(map(_array, zip(*chunk, strict=True))))
        connection.exec_driver_sql("SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on")


def _array(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[bytes | bytearray]) -> None:
    told = iter(rows)
    first = next(told, None)
    if first is None:
        return
    copying = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with _driver(connection).cursor().copy(copying) as copy:
        for part in chain([BEGINS, first], told, [ENDS]):
            copy.write(part)


def _driver(connection: Connection) -> Driver:
    return connection.connection.driver_connection


def _chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(rows)
    return iter(lambda: list(islice(left, _AT_ONCE)), [])
