"""A database by its URL: the driver, read-only where it is only read, and what it says when it refuses."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tallyline.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import URL, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, Pool

__all__ = ["database_url", "open_database", "reading", "reason", "sqlite_file"]

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_EXTRAS = {"psycopg": "postgres"}


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
    try:
        engine = create_engine(url, poolclass=pool, **({"json_serializer": as_json} if as_json else {}))
    except NoSuchModuleError:
        msg = f'there is no driver for "{url.drivername}"; write sqlite:///file.db or postgresql://user:password@host/name'
        raise Refused(msg) from None
    except ModuleNotFoundError as missing:
        extra = _EXTRAS.get(str(missing.name))
        install = f'"tallyline[{extra}]"' if extra else str(missing.name)
        msg = f"the driver {missing.name} for {url.get_backend_name()} is not installed; pip install {install}"
        raise Refused(msg) from None
    if read_only and engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _query_only)
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


def reason(error: Exception) -> str:
    """Return what the database said, without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    told = getattr(cause, "diag", None)  # PostgreSQL's; elsewhere, and while not connected, there is only the text
    said = [told.message_primary, told.message_hint] if told and told.message_primary else [str(cause)]
    return " ".join(". ".join(filter(None, said)).split())


def _read_only_file(url: URL, file: Path) -> URL:
    if not file.is_file():
        msg = f"there is no SQLite file {file}"
        raise Refused(msg)
    return url.set(database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})


def _query_only(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()
