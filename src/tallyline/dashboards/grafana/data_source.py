"""The two data sources that panels ask: Grafana's own for PostgreSQL, and the plugin for SQLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Json = dict[str, Any]

__all__ = ["ALL", "BUILT_IN", "DataSource", "PostgreSQL", "SQLite", "data_source"]

ALL = "'*'"
"""What a variable says, as SQL, where all is chosen."""

BUILT_IN: Json = {"type": "grafana", "uid": "-- Grafana --"}


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source, known to Grafana by its uid."""

    uid: str
    dialect: str = ""
    kind: str = ""

    @property
    def reference(self) -> Json:
        """What names it in a panel."""
        return {"type": self.kind, "uid": self.uid}

    def series(self, name: str, query: str) -> Json:
        """Return a query whose rows of `time`, `metric` and `Value` become lines."""
        raise NotImplementedError

    def table(self, name: str, query: str, times: Sequence[str] = ()) -> Json:
        """Return a query that becomes a table; `times` are its columns that tell moments."""
        raise NotImplementedError


class PostgreSQL(DataSource):
    """Grafana's own data source for PostgreSQL."""

    def series(self, name: str, query: str) -> Json:
        """Return a query whose rows of `time`, `metric` and `Value` become lines."""
        return self._query(name, query, "time_series")

    def table(self, name: str, query: str, times: Sequence[str] = ()) -> Json:  # noqa: ARG002  # it sees which they are
        """Return a query that becomes a table."""
        return self._query(name, query, "table")

    def _query(self, name: str, query: str, told_as: str) -> Json:
        code = {"rawQuery": True, "editorMode": "code"}
        return {"refId": name, "datasource": self.reference, "format": told_as, "rawSql": query, **code}


class SQLite(DataSource):
    """The plugin `frser-sqlite-datasource`."""

    def series(self, name: str, query: str) -> Json:
        """Return a query whose rows of `time`, `metric` and `Value` become lines."""
        return self._query(name, query, "time series", ["time"])

    def table(self, name: str, query: str, times: Sequence[str] = ()) -> Json:
        """Return a query that becomes a table; `times` are its columns that tell moments."""
        return self._query(name, query, "table", times)

    def _query(self, name: str, query: str, told_as: str, times: Sequence[str]) -> Json:
        text = {"queryText": query, "rawQueryText": query}  # the browser fills in the one, the back end takes the other
        return {"refId": name, "datasource": self.reference, "queryType": told_as, "timeColumns": [*times], **text}


def data_source(dialect: str, uid: str) -> DataSource:
    """Return the data source for a database, `sqlite` or `postgresql`.

    >>> data_source("sqlite", "shop").reference
    {'type': 'frser-sqlite-datasource', 'uid': 'shop'}
    """
    if dialect == "sqlite":
        return SQLite(uid, dialect, "frser-sqlite-datasource")
    return PostgreSQL(uid, dialect, "grafana-postgresql-datasource")
