"""`kind = "sql"`: a query whose columns say when, of what, and how much."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tallyline.database import reason
from tallyline.errors import SourceFailed, what_exists
from tallyline.graph import Graph, node
from tallyline.sources.kinds import Kind
from tallyline.window import Grain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import TextClause
    from sqlalchemy.engine import Connection, Engine, RowMapping

    from tallyline.window import Window

__all__ = ["SqlSource", "read_sql"]

_WHEN = frozenset({"time", "date", "hour"})
MIDNIGHT = time()
_PAGE = 1000
_CAST_BOUND = re.compile(r"(?<![:\w\\]):(\w+)(?=::)")  # `:since::date`, which SQLAlchemy does not take for a bound


@dataclass(frozen=True, slots=True)
class SqlSource(Kind):
    """Reads a query from a database.

    Columns named `time`, `date` and `hour` say when; other columns of text, dates or truth values become dims,
    columns of numbers metrics of the same name. `:since` and `:until` bind the window, which ends just before `until`.
    They are told in the source's time zone, which is also that of the session on PostgreSQL, so that
    ``date(created_at)`` is a day there. On SQLite they are text, ``2026-01-31 13:00:00``, at midnight ``2026-01-31``,
    which compares rightly with columns of dates and of times. `:grain` binds the grain: hour, day, week, month, quarter
    or year, as PostgreSQL's `date_trunc` calls them.
    """

    service: str
    query: str

    @property
    def definition(self) -> str:
        """The query."""
        return self.query

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"database": self.service}))

    def rows(
        self, database: Engine, window: Window, source_zone: ZoneInfo, grain: Grain
    ) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        """Yield `(dims, metrics)` for each row of the query."""
        return read_sql(database, self.query, window, source_zone, name=self.service, grain=grain)


def read_sql(
    database: Engine, query: str, window: Window, zone: ZoneInfo, *, name: str = "", grain: Grain = Grain.HOUR
) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Yield `(dims, metrics)` for each row of a query, in a transaction that is read-only.

    This is what ``kind = "sql"`` does, for sources in code: `SqlSource` says what the columns mean. `zone` is the
    source's, `name` the database's in errors, `grain` what `:grain` binds.
    """
    try:
        with database.connect().execution_options(**_reading(database)) as connection:
            _use_zone(connection, zone)
            with connection.execute(_statement(query), _bound(database, query, window, zone, grain)) as result:
                yield from map(_split, result.mappings())
    except SQLAlchemyError as error:
        called = f' "{name}"' if name else ""
        msg = f"the database{called} refused: {reason(error)}"
        raise SourceFailed(msg) from error


def _statement(query: str) -> TextClause:
    return text(_CAST_BOUND.sub(r"(:\1)", query))


def _bound(database: Engine, query: str, window: Window, zone: ZoneInfo, grain: Grain) -> dict[str, object]:
    known = {
        "since": _told(window.since, zone, database.dialect.name),
        "until": _told(window.until, zone, database.dialect.name),
        "grain": str(grain),
    }
    wanted = _statement(query).compile().params
    for name in wanted:
        if name not in known:
            existing = what_exists(name, known)
            msg = f'the query asks for ":{name}"; {existing} (a colon that binds nothing is written \\:)'
            raise SourceFailed(msg)
    return {name: known[name] for name in wanted}


def _reading(database: Engine) -> dict[str, object]:
    options: dict[str, object] = {"yield_per": _PAGE}
    return {**options, "sqlite_raw_colnames": True} if database.dialect.name == "sqlite" else options


def _use_zone(connection: Connection, zone: ZoneInfo) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": zone.key}).close()


def _told(moment: datetime, zone: ZoneInfo, dialect: str) -> object:
    local = moment.astimezone(zone)
    if dialect == "sqlite":  # a day alone sorts before all of its own times, however they are written
        return f"{local:%Y-%m-%d}" if local.time() == MIDNIGHT else f"{local:%Y-%m-%d %H:%M:%S}"
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
