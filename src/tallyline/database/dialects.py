"""The terms on which a database is read, as each kind of database is told them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tallyline.errors import Denied
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection, Engine

    from tallyline.window import Window

__all__ = ["Terms", "dialect_of"]

_INSTRUCTIONS = 100_000  # of SQLite: some milliseconds
_UNKNOWN_ZONE = 1298


def dialect_of(engine: Engine) -> str:
    """Return which kind of database it is: postgresql, mysql (MariaDB too), sqlite, or what SQLAlchemy calls it."""
    return "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session is told before it reads `window`: its time zone, how long a query may take, not to write.

    `who` is the database as messages call it.
    """

    window: Window
    zone: ZoneInfo
    limit: timedelta | None
    who: str

    @contextmanager
    def agreed(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction on these terms, and leave none of them behind."""
        match dialect_of(connection.engine):
            case "postgresql":
                self._tell_postgresql(connection)
                yield
            case "mysql":
                try:
                    self._tell_mysql(connection)
                    yield
                finally:
                    connection.invalidate()  # the terms are the session's, which ends with its connection
            case "sqlite":
                with self._told_to_sqlite(connection):
                    yield
            case _:
                yield

    def _tell_postgresql(self, connection: Connection) -> None:
        settings = {
            "TimeZone": self.zone.key,
            "statement_timeout": str(self._milliseconds),
            "cursor_tuple_fraction": "1",  # all rows are read: the first need not come soon
        }
        calls = ", ".join(f"set_config('{name}', :{name}, true)" for name in settings)
        connection.execute(text(f"SELECT {calls}"), settings).close()

    def _tell_mysql(self, connection: Connection) -> None:
        version = str(connection.exec_driver_sql("SELECT version()").scalar_one())
        if "MariaDB" in version:
            connection.execute(text("SET SESSION max_statement_time = :limit"), {"limit": self._milliseconds / 1000})
        else:
            connection.execute(text("SET SESSION max_execution_time = :limit"), {"limit": self._milliseconds})
        self._tell_mysql_the_zone(connection)
        connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
        connection.exec_driver_sql("START TRANSACTION READ ONLY")

    def _tell_mysql_the_zone(self, connection: Connection) -> None:
        """Name the zone or, to a server that has no zones, its offset."""
        statement = text("SET SESSION time_zone = :zone")
        try:
            connection.execute(statement, {"zone": "+00:00" if self.zone.key == "UTC" else self.zone.key})
        except DBAPIError as error:
            if error.orig is None or error.orig.args[:1] != (_UNKNOWN_ZONE,):
                raise
            connection.execute(statement, {"zone": self._only_offset()})

    def _only_offset(self) -> str:
        moments = [*self.window.buckets(Grain.DAY, self.zone), self.window.since, self.window.until]
        offsets = {moment.astimezone(self.zone).isoformat()[-len("+00:00") :] for moment in moments}
        if len(offsets) > 1:
            msg = (
                f"{self.who} does not know the time zone {self.zone.key}, whose clock is changed in the window; "
                'load its zones with mysql_tzinfo_to_sql, or declare timezone = "UTC"'
            )
            raise Denied(msg)
        return offsets.pop()

    @contextmanager
    def _told_to_sqlite(self, connection: Connection) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        may_write = not connection.exec_driver_sql("PRAGMA query_only").scalar()
        connection.exec_driver_sql("PRAGMA query_only = ON")
        if self.limit:
            ends = monotonic() + self.limit.total_seconds()
            driver.set_progress_handler(lambda: monotonic() > ends, _INSTRUCTIONS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, _INSTRUCTIONS)
            if may_write:
                connection.exec_driver_sql("PRAGMA query_only = OFF")

    @property
    def _milliseconds(self) -> int:
        return int(self.limit / timedelta(milliseconds=1)) if self.limit else 0
