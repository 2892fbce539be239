"""Who may read: a role of PostgreSQL for dashboards, that sees the public views and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import text

from tallyline.errors import Refused
from tallyline.warehouse.views import NAMES

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["grant_reading"]

_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def grant_reading(connection: Connection, role: str, password: str) -> None:
    """Make a role, or change its password, that may log in, read the views, and do nothing else.

    The password is sent as its SCRAM hash, so that no log of the server can hold it. Raises Refused on SQLite, which
    has no roles, and for names that PostgreSQL would have to quote.
    """
    if connection.dialect.name != "postgresql":
        msg = "SQLite has no roles; let the dashboard open the file read-only (mode=ro), as another user of the system"
        raise Refused(msg)
    if not _ROLE.fullmatch(role):
        msg = f'"{role}" cannot be a role\'s name; use lower case letters, digits and _'
        raise Refused(msg)
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first()
    hashed = _hashed(connection, role, password)
    schema, database = connection.execute(
        text("SELECT quote_ident(current_schema()), quote_ident(current_database())")
    ).one()
    for statement in (
        f"{'ALTER' if known else 'CREATE'} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{hashed}'",
        f"ALTER ROLE {role} SET default_transaction_read_only = on",
        f"GRANT CONNECT ON DATABASE {database} TO {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT ON {', '.join(f'{schema}.{view}' for view in NAMES)} TO {role}",
    ):
        connection.exec_driver_sql(statement.replace("%", "%%"))


def _hashed(connection: Connection, role: str, password: str) -> str:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  # it is connected
    hashed: bytes = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return hashed.decode()
