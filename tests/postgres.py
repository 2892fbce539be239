"""Databases of a PostgreSQL server of the tests' own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

__all__ = ["new_database"]


@contextmanager
def new_database(server: Engine, name: str = "test", drivername: str = "postgresql+psycopg") -> Iterator[str]:
    """Make an empty database whose name nobody else has, give its URL, and drop it in the end."""
    database = f"{name}_{uuid4().hex}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {database}")
        yield server.url.set(drivername=drivername, database=database).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {database} WITH (FORCE)")
