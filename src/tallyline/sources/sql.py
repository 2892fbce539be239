"""`kind = "sql"`: a query whose columns say when, of what, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tallyline.database import reason
from tallyline.errors import SourceFailed, what_exists
from tallyline.graph import Graph, node

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection, Engine, RowMapping

    from tallyline.window import Window

__all__ = ["SqlSource"]

_WHEN = frozenset({"time", "date", "hour"})
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class SqlSource:
    """Reads a query from a database.

    Columns named `time`, `date` and `hour` say when; other columns of text, dates or truth values become dims,
    columns of numbers metrics of the same name. `:since` and `:until` bind the window, which ends just before `until`.
    They are told in the source's time zone, which is also that of the session on PostgreSQL, so that
    ``date(created_at)`` is a day there. On SQLite they are text, ``2026-01-31 00:00:00``.
    """

    service: str
    query: str

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"database": self.service}))

    def rows(
        self, database: Engine, window: Window, source_zone: ZoneInfo
    ) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        """Yield `(dims, metrics)` for each row of the query; the transaction is read-only."""
        try:
            with database.connect().execution_options(**_reading(database)) as connection:
                _use_zone(connection, source_zone)
                for row in connection.execute(text(self.query), self._bound(database, window, source_zone)).mappings():
                    yield _split(row)
        except SQLAlchemyError as error:
            msg = f'the database "{self.service}" refused: {reason(error)}'
            raise SourceFailed(msg) from error

    def _bound(self, database: Engine, window: Window, zone: ZoneInfo) -> dict[str, object]:
        known = {
            "since": _told(window.since, zone, database.dialect.name),
            "until": _told(window.until, zone, database.dialect.name),
        }
        wanted = text(self.query).compile().params
        for name in wanted:
            if name not in known:
                existing = what_exists(name, known)
                msg = f'the query asks for ":{name}"; {existing} (a colon that binds nothing is written \\:)'
                raise SourceFailed(msg)
        return {name: known[name] for name in wanted}


def _reading(database: Engine) -> dict[str, object]:
    options: dict[str, object] = {"yield_per": _PAGE}
    if database.dialect.name == "postgresql":
        return {**options, "postgresql_readonly": True}
    if database.dialect.name == "sqlite":
        return {**options, "sqlite_raw_colnames": True}
    return options


def _use_zone(connection: Connection, zone: ZoneInfo) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": zone.key})


def _told(moment: datetime, zone: ZoneInfo, dialect: str) -> object:
    local = moment.astimezone(zone)
    if dialect == "sqlite":
        return f"{local:%Y-%m-%d %H:%M:%S}"
    return local if dialect == "postgresql" else local.replace(tzinfo=None)


def _split(row: RowMapping) -> tuple[dict[str, object], dict[str, object]]:
    dims: dict[str, object] = {}
    metrics: dict[str, object] = {}
    for name, value in _named(row).items():
        (metrics if _is_number(value) and name not in _WHEN else dims)[name] = value
    return dims, metrics


def _named(row: RowMapping) -> Mapping[str, object]:
    return {str(name): value for name, value in row.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
