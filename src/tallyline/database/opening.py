"""A database by its URL: the driver, and read-only where it is only read."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tallyline.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, Pool

__all__ = ["database_url", "open_database", "reading", "sqlite_file"]

CONNECT_SECONDS = 10
_DRIVERS = {
    "mariadb": "mysql+pymysql",
    "mysql": "mysql+pymysql",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
_EXTRAS = {"psycopg": "postgres", "pymysql": "mysql"}
_READ_ONLY = {"sqlite": "PRAGMA query_only = ON", "mysql": "SET SESSION TRANSACTION READ ONLY"}
_READ_ONLY |= {"mariadb": _READ_ONLY["mysql"]}


def database_url(text: str, folder: Path | None = None) -> URL:
    """Read a database's URL; the path of a SQLite file is taken from `folder`.

    The URL's own text and its password never appear in the error.

    >>> str(database_url("postgres://reader@db.example.com/shop"))
    'postgresql+psycopg://reader@db.example.com/shop'
    >>> database_url("warehouse.db")
    Traceback (most recent call last):
    tallyline.errors.Refused: this is not a database's URL; write sqlite:///file.db or postgresql://user:password@host/name
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        msg = "this is not a database's URL; write sqlite:///file.db or postgresql://user:password@host/name"
        raise Refused(msg) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    file = sqlite_file(url)
    return url.set(database=str(folder / file)) if file and folder else url


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite database, or None for one in memory and for any other database."""
    named = url.database and not url.database.startswith((":memory:", "file:"))
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" and named else None


def open_database(
    url: URL,
    *,
    read_only: bool = False,
    pool: type[Pool] | None = None,
    as_json: Callable[[object], str] | None = None,
) -> Engine:
    """Return an engine for the database; nothing is connected yet.

    Raises Refused where the driver is missing, naming what to install, or a SQLite file that is only to be read is
    not there.
    """
    file = sqlite_file(url)
    if file and read_only:
        url = _read_only_file(url, file)
    options: dict[str, Any] = {"json_serializer": as_json} if as_json else {}
    if url.drivername in _DRIVERS.values() and "connect_timeout" not in url.query:
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}  # else as long as the network lets it
    try:
        engine = create_engine(url, poolclass=pool, **options)
    except NoSuchModuleError:
        msg = f'there is no driver for "{url.drivername}"; write sqlite:///file.db or postgresql://user:password@host/name'
        raise Refused(msg) from None
    except ModuleNotFoundError as missing:
        extra = _EXTRAS.get(str(missing.name))
        install = f'"tallyline[{extra}]"' if extra else str(missing.name)
        msg = f"the driver {missing.name} for {url.get_backend_name()} is not installed; pip install {install}"
        raise Refused(msg) from None
    if read_only and engine.dialect.name in _READ_ONLY:
        event.listen(engine, "connect", partial(_told, statement=_READ_ONLY[engine.dialect.name]))
    if read_only and engine.dialect.name == "postgresql":
        engine.update_execution_options(postgresql_readonly=True)
    return engine


@contextmanager
def reading(text: str, folder: Path | None = None) -> Iterator[Engine]:
    """Open the database at a URL to be read, and close its connections in the end."""
    engine = open_database(database_url(text, folder), read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _read_only_file(url: URL, file: Path) -> URL:
    if not file.is_file():
        msg = f"there is no SQLite file {file}"
        raise Refused(msg)
    return url.set(database=f"file:{quote(str(file))}", query={**url.query, "mode": "ro", "uri": "true"})


def _told(connection: DBAPIConnection, _: ConnectionPoolEntry, *, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()
