"""The services of a project file: databases and HTTP APIs, their secrets by reference, opened by the run that asks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.errors import Refused
from tallyline.graph import Service, service
from tallyline.project.tables import field_names
from tallyline.reference import filled_in, holds_password
from tallyline.secret import remember, remember_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tallyline.project.tables import Tables

__all__ = ["check_no_password", "read_service"]

_A_REFERENCE = "${"
_IS_SECRET = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """A service as a project file describes it; every text may hold references. `timeout` is in seconds."""

    url: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    credentials: str = ""
    timeout: float = 60


def read_service(tables: Tables, name: str, folder: Path) -> Service:
    """Read one service: the URL of a database, or of an HTTP API, or a table that says who asks there."""
    path = ("services", name)
    declared = tables.table("services")[name]
    if isinstance(declared, str):
        declared = {"url": declared}
    elif not isinstance(declared, dict):
        tables.problem(path, 'a service is a URL, such as "${SHOP_URL}" or "sqlite:///shop.db", or a table')
        declared = {}
    tables.check_keys(declared, field_names(ServiceTable), path)
    table = tables.read(ServiceTable, declared, path) or ServiceTable()
    _check_secrets(tables, table, path)
    return service(lambda: _opened(table, name, folder))


def check_no_password(tables: Tables, url: str, path: tuple[str, ...]) -> None:
    """Keep a problem where a password stands in a URL."""
    if holds_password(url):
        tables.problem(
            path, "a password stands in the file; put it into the environment and write ${NAME} in its place"
        )


def _check_secrets(tables: Tables, table: ServiceTable, path: tuple[str, ...]) -> None:
    check_no_password(tables, table.url, path)
    told = {"token": table.token, "password": table.password}
    told |= {f"headers.{name}": value for name, value in table.headers.items() if _IS_SECRET.search(name)}
    told |= {"credentials": table.credentials} if table.credentials.lstrip().startswith("{") else {}
    for key, value in told.items():
        if value and _A_REFERENCE not in value:
            message = "a secret stands in the file; put it into the environment and write ${NAME} in its place"
            tables.problem((*path, *key.split(".", 1)), message)
    if table.timeout <= 0:
        tables.problem((*path, "timeout"), f"{table.timeout:g} is no time to wait; give seconds above zero")


def _opened(table: ServiceTable, name: str, folder: Path) -> AbstractContextManager[object]:
    what = f'the service "{name}"'
    url = remember_passwords(filled_in(table.url, what))
    if url and not url.startswith(("http://", "https://")):
        from tallyline.database import reading  # noqa: PLC0415  # SQLAlchemy only where a database is read

        return reading(url, folder)
    from tallyline.api import Api, opened  # noqa: PLC0415  # an HTTP client only where an API is read

    return opened(
        Api(
            url,
            name=name,
            token=_secret(table.token, what),
            user=filled_in(table.user, what),
            password=_secret(table.password, what),
            headers=dict(_headers(table, what)),
            credentials=_credentials(table.credentials, what, folder),
            timeout=timedelta(seconds=table.timeout),
        )
    )


def _headers(table: ServiceTable, what: str) -> Iterator[tuple[str, str]]:
    for name, value in table.headers.items():
        yield name, _secret(value, what) if _A_REFERENCE in value else value


def _secret(text: str, what: str) -> str:
    return remember(filled_in(text, what)) if text else ""


def _credentials(text: str, what: str, folder: Path) -> str:
    """Return what a file of credentials says, or what stands in the environment in its place."""
    found = filled_in(text, what)
    if not found or found.lstrip().startswith("{"):
        return remember(found)
    try:
        return remember((folder / found).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        place = folder / found
        msg = f"{what}: its credentials cannot be read from {place}: {reason}; give the path of a file, or JSON"
        raise Refused(msg) from None
