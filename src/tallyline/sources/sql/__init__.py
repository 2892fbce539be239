"""`kind = "sql"`: queries whose columns say when, of what, and how much; and how many rows tables have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.database import Session
from tallyline.errors import Refused
from tallyline.graph import Graph, Pages, node
from tallyline.sources.kinds import Kind
from tallyline.sources.sql.counts import parse_counts, read_counts
from tallyline.sources.sql.probe import probed
from tallyline.sources.sql.query import pages_of, read_sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Engine

    from tallyline.plan import Metric
    from tallyline.sources.sql.query import Row
    from tallyline.window import Grain, Window

__all__ = ["SqlSource", "read_sql"]

_LIMIT = re.compile(r"([1-9][0-9]{0,5})(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class SqlSource(Kind):
    """Reads queries from a database, and counts the rows of its tables.

    Columns named `time`, `date` and `hour` say when; other columns of text, dates or truth values become dims,
    columns of numbers metrics of the same name. `:since` and `:until` bind the window, which ends just before `until`.
    They are told in the source's time zone, which is also that of the session on PostgreSQL, MySQL and MariaDB, so that
    ``date(created_at)`` is a day there. On SQLite they are text, ``2026-01-31 13:00:00``, at midnight ``2026-01-31``,
    which compares rightly with columns of dates and of times. `:grain` binds the grain: hour, day, week, month, quarter
    or year, as PostgreSQL's `date_trunc` calls them. An interval becomes seconds, an array of numbers several values of
    a duration.

    `queries` are several by their names, read one after the other. `counts` are tables by name, each with the metric
    that tells how many rows it has, or with a table of `metric` and `time`, the column that says when a row was made.
    `time_limit` is how long a query may take: ``90s``, ``10min`` or ``1h``.
    """

    service: str
    query: str = ""
    queries: dict[str, str] = field(default_factory=dict)
    counts: dict[str, str | dict[str, str]] = field(default_factory=dict)
    time_limit: str = "10min"

    def __post_init__(self) -> None:
        """Refuse a source that asks for nothing, and what is known to be wrong before the database is asked."""
        if not (self._asked or self.counts):
            msg = "it asks for nothing; give it a query, several queries by name, or tables whose rows are counted"
            raise Refused(msg)
        parse_counts(self.counts)
        _limit(self.time_limit)

    @property
    def definition(self) -> str:
        """The queries, and the counts."""
        if self.query and not (self.queries or self.counts):
            return self.query
        asked = [f"-- {name}\n{query}" if name else query for name, query in self._asked.items()]
        counted = [
            f"-- {count.metric}: rows of {count.table}{f' by {count.time}' if count.time else ''}"
            for count in parse_counts(self.counts)
        ]
        return "\n".join([*asked, *counted])

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of the counts, each a level whose unit is the table's name."""
        return {count.metric: count.told() for count in parse_counts(self.counts)}

    def graph(self, name: str) -> Graph:
        """Return the graph of one node, which bears the source's name."""
        return Graph(node(self.rows, name=name, services={"database": self.service}))

    def probe(self, name: str) -> Graph:
        """Return the graph of one node, which tells what works."""
        return Graph(node(self.tried, name=name, services={"database": self.service}))

    def rows(
        self, database: Engine, window: Window, source_zone: ZoneInfo, grain: Grain, now: datetime, zone: ZoneInfo
    ) -> Iterator[Row]:
        """Return `(dims, metrics)` for each row of the queries, and for each count."""
        return Pages(self._pages(self._session(database, window, source_zone), grain, now, zone))

    def tried(self, database: Engine, window: Window, source_zone: ZoneInfo, grain: Grain) -> Iterator[str]:
        """Yield a line for what works: who is connected, that nothing can be written, that each query runs."""
        session = self._session(database, window, source_zone)
        queries = {_called(name): query for name, query in self._asked.items()}
        return probed(session, queries, parse_counts(self.counts), grain)

    def _pages(self, session: Session, grain: Grain, now: datetime, zone: ZoneInfo) -> Iterator[list[Row]]:
        for name, query in self._asked.items():
            yield from pages_of(session, query, grain, doing=_called(name))
        for count in parse_counts(self.counts):
            yield list(read_counts(session, count, now, zone, grain))

    @property
    def _asked(self) -> dict[str, str]:
        return {**({"": self.query} if self.query else {}), **self.queries}

    def _session(self, database: Engine, window: Window, zone: ZoneInfo) -> Session:
        return Session(database, window, zone, _limit(self.time_limit), self.service)


def _called(name: str) -> str:
    return f' the query "{name}"' if name else ""


def _limit(text: str) -> timedelta:
    """Read how long a query may take.

    >>> _limit("10min")
    datetime.timedelta(seconds=600)
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        msg = f'time_limit is "{text}"; write a number and s, min or h, such as 10min'
        raise Refused(msg)
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
