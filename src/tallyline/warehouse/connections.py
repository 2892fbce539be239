"""Transactions on the warehouse: any number that read, one at a time that writes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from tallyline.database import database_url, open_database, reason, sqlite_file
from tallyline.database.refusals import refusal
from tallyline.errors import Refused, RunFailed, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["Connections", "Lease"]

_BACKENDS = ("sqlite", "postgresql")
_WRITER = 7_411_015
_LEASES = 7_411_016
_PATIENCE = 30
_SQLITE_SETTINGS = (f"busy_timeout = {_PATIENCE * 1000}", "synchronous = FULL", "foreign_keys = ON")


class Connections:
    """The warehouse's database.

    Errors of the database come out as RunFailed, with what it said and without SQL, and as Unavailable where it is
    away or busy.
    """

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
        """Open a transaction that only reads: all that is read in it is of one moment."""
        with self._told_plainly(), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self, lock: str | None = None) -> Iterator[Connection]:
        """Open a transaction that writes; it commits as a whole or, with an error, leaves no trace.

        It waits for any other one that writes, in any process; on PostgreSQL only for those of the same `lock`.
        """
        with self._told_plainly(), self._connected_to_write() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                key = {"space": _WRITER, "key": _hashed(lock or "")}
                connection.execute(text("SELECT pg_advisory_xact_lock(:space, :key)"), key)
            yield connection

    def _connected_to_write(self) -> Connection:
        return self._engine.connect().execution_options(tallyline_writes=True)

    def lease(self, name: str) -> Lease | None:
        """Take the lease of that name, None where another process holds it.

        On PostgreSQL it is bound to a connection, so that it ends with the process that holds it, however that ends.
        SQLite has no such thing: there it is always granted, and the ledger tells who is at work.
        """
        if self._engine.dialect.name != "postgresql":
            return Lease()
        with self._told_plainly():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            key = {"space": _LEASES, "key": _hashed(name)}
            if connection.execute(text("SELECT pg_try_advisory_lock(:space, :key)"), key).scalar():
                return Lease(connection)
            connection.close()
        return None

    @property
    def keeps_leases(self) -> bool:
        """Whether a lease that is granted means that nobody else is at work."""
        return self._engine.dialect.name == "postgresql"

    def vacuum(self) -> None:
        """Give the room of removed rows back."""
        with self._told_plainly(), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.connection.driver_connection.execute("VACUUM")  # type: ignore[union-attr]
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM"))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._driver_error) as error:
            msg = f"the warehouse refused: {reason(error)}"
            may_work_later = isinstance(refusal(error, "the warehouse"), Unavailable)
            raise (Unavailable if may_work_later else RunFailed)(msg) from error

    @property
    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error


class Lease:
    """What a run holds while it is at work."""

    def __init__(self, connection: Connection | None = None) -> None:
        """Hold the connection that the lease is bound to."""
        self._connection = connection

    def release(self) -> None:
        """Let others be at work."""
        if self._connection is None:
            return
        with suppress(SQLAlchemyError):  # a connection that broke has released it
            self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        self._connection.close()


def _hashed(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big", signed=True)


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
        except sqlite3.OperationalError as error:
            may_not = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY
            if may_not or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tallyline_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
