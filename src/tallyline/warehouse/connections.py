"""Transactions on the warehouse: any number that read, one at a time that writes."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from tallyline.database import database_url, open_database, reason, sqlite_file
from tallyline.errors import Refused, RunFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["Connections"]

_BACKENDS = ("sqlite", "postgresql")
_WRITER = 7_411_015
_PATIENCE = 30
_SQLITE_SETTINGS = (f"busy_timeout = {_PATIENCE * 1000}", "synchronous = FULL", "foreign_keys = ON")


class Connections:
    """The warehouse's database. Errors of the database come out as RunFailed, with what it said and without SQL."""

    def __init__(self, url: str, folder: Path | None = None) -> None:
        """Take a URL of SQLite or PostgreSQL; a relative file lies in `folder`."""
        parsed = database_url(url, folder)
        if parsed.get_backend_name() not in _BACKENDS:
            msg = f"a warehouse cannot be kept in {parsed.get_backend_name()}; there are: postgresql, sqlite"
            raise Refused(msg)
        self.file = sqlite_file(parsed)
        self._in_memory = parsed.get_backend_name() == "sqlite" and self.file is None
        self._engine = open_database(parsed, pool=StaticPool if self._in_memory else None, as_json=_as_json)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with _told_plainly(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, undo: bool = False) -> Iterator[Connection]:
        """Open a transaction that writes; it waits for any other one, in any process.

        It commits as a whole, or with an error, or with `undo`, leaves no trace.
        """
        with _told_plainly(), self._connected_to_write() as connection, connection.begin() as transaction:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER})
            yield connection
            if undo:
                transaction.rollback()

    def _connected_to_write(self) -> Connection:
        return self._engine.connect().execution_options(tallyline_writes=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        msg = f"the warehouse refused: {reason(error)}"
        raise RunFailed(msg) from error


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)  # SQLite does not find a key by its name where that is escaped


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for setting in _SQLITE_SETTINGS:
        cursor.execute(f"PRAGMA {setting}")
    _write_ahead(cursor)
    cursor.close()


def _write_ahead(cursor: DBAPICursor) -> None:
    """Let readers and a writer work at once. SQLite itself does not wait for others that switch at the same moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tallyline_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
