"""Whether a database is there, and what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from tallyline.database.refusals import refusal

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["Engine", "what_it_is"]

_NAMES = {"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL", "sqlite": "SQLite"}
_FILE = "file:"


def what_it_is(engine: Engine, name: str = "") -> str:
    """Connect to a database, and say what it is and who asks; `name` is that of the service.

    Raises Unavailable or Denied, with what the database said.
    """
    who = f'the database "{name}"' if name else "the database"
    try:
        with engine.connect() as connection:
            version = ".".join(map(str, _version(connection)))
            return f"{_name(engine)} {version}".rstrip() + _whose(connection)
    except SQLAlchemyError as error:
        raise refusal(error, who, user=engine.url.username) from error


def _name(engine: Engine) -> str:
    dialect = engine.dialect
    kind = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    return _NAMES.get(kind, kind)


def _version(connection: Connection) -> tuple[object, ...]:
    told = connection.dialect.server_version_info or ()
    return tuple(part for part in told if isinstance(part, int))


def _whose(connection: Connection) -> str:
    url, kind = connection.engine.url, connection.dialect.name
    if kind == "sqlite":
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()  # nothing was read of it until then
        return f", {Path(str(url.database).removeprefix(_FILE)).name}" if url.database else ""
    if kind in {"postgresql", "mysql", "mariadb"}:
        user = str(connection.exec_driver_sql("SELECT current_user").scalar()).partition("@")[0]
        return f" at {url.host or 'a socket'}, as {user}"
    return f" at {url.host}" if url.host else ""
