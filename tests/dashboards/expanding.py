"""Queries of panels made into SQL as Grafana makes it: its browser fills in variables, its back end expands macros."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tallyline.window import Window

    Row = dict[str, Any]
    Ask = Callable[[str], list[Row]]

MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^\)]*)\)")
VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
OWN = {"by": "own"}


def expanded(query: str, window: Window, dialect: str, chosen: Mapping[str, str | Sequence[str]] = OWN) -> str:
    """Return the SQL that the database is asked; of a variable that nobody chose, all values."""
    filled = VARIABLE.sub(lambda variable: _listed(chosen.get(variable[1], ["*"])), query)
    return _on_sqlite(filled, window) if dialect == "sqlite" else _on_postgresql(filled, window)


def _listed(value: str | Sequence[str]) -> str:
    several = [value] if isinstance(value, str) else value
    return ",".join("'" + each.replace("'", "''") + "'" for each in several)


def _on_postgresql(query: str, window: Window) -> str:
    """Expand macros as the data source for PostgreSQL does; what looks like one and is none is an error."""
    moments = {"__timeFrom": window.since, "__timeTo": window.until}

    def moment(macro: re.Match[str]) -> str:
        return f"'{moments[macro[1]].astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"

    return MACRO.sub(moment, query)


def _on_sqlite(query: str, window: Window) -> str:
    """Replace the range as the plugin for SQLite does: milliseconds of whole seconds."""
    since, until = (str(int(moment.timestamp()) * 1000) for moment in (window.since, window.until))
    return query.replace("$__from", since).replace("$__to", until)


@contextmanager
def asked(url: str, role: str = "") -> Iterator[Ask]:
    """Connect as Grafana does, on PostgreSQL as a role; whatever would change something is refused."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(f"file:{parsed.database}?mode=ro", uri=True)) as file:
            file.row_factory = sqlite3.Row
            yield lambda query: [dict(row) for row in file.execute(query)]
        return
    plain = parsed.set(drivername="postgresql", username=role or parsed.username)
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        if not role:
            connection.execute("SET default_transaction_read_only = on")
        [(is_read_only,)] = connection.execute("SHOW transaction_read_only").fetchall()
        assert is_read_only == "on"
        yield lambda query: connection.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def moment(told: object) -> datetime:
    """Return a moment as either database told it."""
    if isinstance(told, datetime):
        return told.astimezone(UTC)
    assert isinstance(told, int)
    return datetime.fromtimestamp(told, UTC)
