"""Where the warehouse is, as Grafana sees it, and the data source made of that. No password stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallyline.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from tallyline.dashboards.grafana.names import Names

    Json = dict[str, Any]

__all__ = ["Address", "address_of"]

_SSL_MODES = ("disable", "require", "verify-ca", "verify-full")
_HERE = ("", "localhost", "127.0.0.1", "::1")
_PORT = 5432


@dataclass(frozen=True, slots=True)
class Address:
    """A database, `sqlite` or `postgresql`: `where` is its file, or its host and port, `role` who reads it."""

    dialect: str
    where: str
    database: str = ""
    ssl_mode: str = ""
    role: str = ""

    def data_source(self, names: Names) -> Json:
        """Return the data source as Grafana has it, without a password."""
        common = {"name": names.data_source, "uid": names.data_source, "access": "proxy"}
        if self.dialect == "sqlite":
            path = {"path": self.where, "pathOptions": "mode=ro"}
            return {**common, "type": "frser-sqlite-datasource", "jsonData": path}
        of_database = {"database": self.database, "sslmode": self.ssl_mode, "postgresVersion": 1500}
        connections = {"maxOpenConns": 10, "maxIdleConns": 10, "connMaxLifetime": 14400}
        return {
            **common,
            "type": "postgres",
            "url": self.where,
            "user": self.role,
            "jsonData": {**of_database, **connections},
        }


def address_of(text: str, role: str, folder: Path | None = None) -> Address:
    """Return where a warehouse is by its URL; `role` reads it on PostgreSQL, and no user of the URL.

    >>> address_of("postgresql://writer:secret@db.internal/company", "grafana")
    Address(dialect='postgresql', where='db.internal:5432', database='company', ssl_mode='require', role='grafana')
    """
    from tallyline.database import database_url, sqlite_file  # noqa: PLC0415  # SQLAlchemy only where it is needed

    url = database_url(text, folder)
    file = sqlite_file(url)
    if file is not None:
        return Address("sqlite", str(file.absolute()))
    if url.get_backend_name() != "postgresql":
        msg = f"Grafana cannot read a warehouse in {url.get_backend_name()} that is in memory or unknown; name its file"
        raise Refused(msg)
    host = url.host or str(url.query.get("host", "localhost"))
    where = host if host.startswith("/") else f"{host}:{url.port or _PORT}"
    given = str(url.query.get("sslmode", ""))
    usual = "disable" if host in _HERE or host.startswith("/") else "require"
    return Address("postgresql", where, url.database or "", given if given in _SSL_MODES else usual, role)
