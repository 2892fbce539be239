"""The condition of a warehouse, looked at without changing it: whether it is there, of this release, may be written."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from sqlalchemy import text

from tallyline.errors import Denied, Refused, RunFailed
from tallyline.warehouse import migrations, schema, settings
from tallyline.warehouse.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection

__all__ = ["condition_of"]

LEAST_FREE = 100_000_000
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_WHO = """
    SELECT quote_ident(current_user), quote_ident(current_schema()),
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
           pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'
"""
_LACKING = """
    SELECT DISTINCT name FROM unnest(CAST(:names AS text[])) AS name, unnest(CAST(:rights AS text[])) AS needed
    WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(current_user, name, needed)
    ORDER BY name
"""


def condition_of(url: str, zone: ZoneInfo, folder: Path | None = None) -> Iterator[str]:
    """Yield a line for each thing that is as it should be; what is not raises Refused, RunFailed or Denied."""
    connections = Connections(url, folder)
    try:
        yield from _looked_at(connections, zone)
    except RunFailed as refused:
        if connections.file is None or "readonly database" not in str(refused):
            raise
        msg = f"{refused}; let this user write {connections.file.name} and the folder that it is in"
        raise Denied(msg) from refused
    finally:
        connections.close()


def _looked_at(connections: Connections, zone: ZoneInfo) -> Iterator[str]:
    file = connections.file
    if file is not None and not file.exists():
        yield from _yet_to_be_made(file)
        return
    yield _what(connections)
    with connections.writing() as connection:
        if connection.dialect.name == "postgresql":
            _check_writing(connection)
    yield _release(connections)
    if migrations.behind(connections) > 0:
        _check_making(connections)
    _check_zone(connections, zone)
    yield "it may be written"
    if file is not None:
        yield _free(file)


def _yet_to_be_made(file: Path) -> Iterator[str]:
    folder = file.resolve().parent
    if not folder.is_dir():
        msg = f"there is no folder {folder} for the file {file.name}; make it, or name another file"
        raise Refused(msg)
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        msg = f"{file.name} cannot be made in {folder}; let this user write there"
        raise Denied(msg)
    yield f"{file.name} is yet to be made, by the first `tallyline read --write`"
    yield _free(file)


def _what(connections: Connections) -> str:
    with connections.reading() as connection:
        if connections.file is not None:
            return f"{connections.file.name}, {_told(connections.file.stat().st_size)}"
        if connection.dialect.name == "sqlite":
            return "in memory: nothing of it is kept"
        version, user, size = connection.execute(
            text("SELECT current_setting('server_version'), current_user, pg_database_size(current_database())")
        ).one()
        return f"PostgreSQL {version.partition(' ')[0]}, as {user}, {_told(size)}"


def _release(connections: Connections) -> str:
    behind = migrations.behind(connections)
    if behind < 0:
        msg = "it was made by a newer release of Tallyline; upgrade: pip install --upgrade tallyline"
        raise Refused(msg)
    if migrations.is_empty(connections):
        return "it is empty: the first `tallyline read --write` makes its tables"
    if behind:
        return f"its tables are of an older release: the next run brings them to this one ({behind} to go)"
    return "its tables are of this release"


def _check_zone(connections: Connections, zone: ZoneInfo) -> None:
    if migrations.is_empty(connections):
        return
    with connections.reading() as connection:
        kept = settings.get(connection, "timezone")
    if kept not in {None, zone.key}:
        msg = f"its days are cut in {kept}, the project says {zone.key}; use a new warehouse"
        raise Refused(msg)


def _check_writing(connection: Connection) -> None:
    user, place, _, is_read_only = connection.execute(text(_WHO)).one()
    if is_read_only:
        msg = "it is read-only, as a replica is; name the database that is written to"
        raise Denied(msg)
    names = ["migration", *schema.metadata.tables]
    lacking = connection.execute(text(_LACKING), {"names": names, "rights": list(_RIGHTS)}).scalars().all()
    if lacking:
        more = f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""
        rights = f"GRANT {', '.join(_RIGHTS)} ON ALL TABLES IN SCHEMA {place} TO {user}"
        msg = f"{user} may not read and write {lacking[0]}{more}; grant it: {rights}"
        raise Denied(msg)


def _check_making(connections: Connections) -> None:
    with connections.reading() as connection:
        if connection.dialect.name != "postgresql":
            return
        user, place, may_make, _ = connection.execute(text(_WHO)).one()
    if not may_make:
        msg = f"{user} may not make tables; grant it: GRANT USAGE, CREATE ON SCHEMA {place or 'public'} TO {user}"
        raise Denied(msg)


def _free(file: Path) -> str:
    free = shutil.disk_usage(file.resolve().parent).free
    if free < LEAST_FREE:
        msg = f"the disk of {file.name} has only {_told(free)} left; make room"
        raise RunFailed(msg)
    return f"{_told(free)} free"


def _told(size: float) -> str:
    unit, letters = next(((unit, letters) for unit, letters in _SIZES if size >= unit), (1, "bytes"))
    return f"{size / unit:,.3g} {letters}"
