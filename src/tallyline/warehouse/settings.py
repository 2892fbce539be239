"""Small facts about the warehouse itself, by name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from tallyline.warehouse import schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["get", "moment", "put", "put_later"]


def get(connection: Connection, name: str) -> str | None:
    """Return what is kept under a name."""
    kept = select(schema.setting.c.value).where(schema.setting.c.name == name)
    value: str | None = connection.execute(kept).scalar()
    return value


def moment(connection: Connection, name: str) -> datetime | None:
    """Return the moment that is kept under a name."""
    kept = get(connection, name)
    return datetime.fromisoformat(kept) if kept else None


def put_later(connection: Connection, name: str, value: datetime) -> None:
    """Keep a moment under a name, unless a later one is kept."""
    put(connection, name, max(value, moment(connection, name) or value).isoformat())


def put(connection: Connection, name: str, value: str | None) -> None:
    """Keep a value under a name in place of any other; None removes it."""
    if value is None:
        connection.execute(delete(schema.setting).where(schema.setting.c.name == name))
        return
    inserting = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    kept = inserting(schema.setting).values(name=name, value=value)
    connection.execute(kept.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
