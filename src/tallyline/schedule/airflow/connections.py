"""Services as Airflow keeps them: a Connection becomes a database or an HTTP API, in the task that needs it."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from tallyline.errors import Refused
from tallyline.graph import Service, asking_like
from tallyline.secret import remember, remember_passwords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Connection", "as_service", "database_url", "from_connections"]

_HTTP = ("google_cloud_platform", "http", "https", "tallyline")
_DATABASES = {"postgres": "postgresql"}
_IS_SECRET = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)
_OF_AIRFLOW = ("aws_conn_id", "cursor", "iam", "redshift", "sqlalchemy_query", "sqlalchemy_scheme")
_OF_HTTP = ("allow_redirects", "cert", "check_response", "max_redirects", "proxies", "stream", "trust_env", "verify")
_OWN = ("credentials", "headers", "key_path", "keyfile_dict", "timeout", "token")


class Connection(Protocol):
    """What is used of a Connection of Airflow."""

    conn_id: str
    conn_type: str
    host: str | None
    login: str | None
    password: str | None
    schema: str | None
    port: int | None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """What else is said of it."""


def from_connections(
    services: Mapping[str, object], look_up: Callable[[str], Connection | None], folder: Path
) -> dict[str, object]:
    """Return the services of a project, each from the Connection of its name where there is one.

    Connections are looked up when a service is opened. Files are taken from `folder`.
    """
    return {name: _resolved(name, declared, look_up, folder) for name, declared in services.items()}


def _resolved(name: str, declared: object, look_up: Callable[[str], Connection | None], folder: Path) -> Service:
    @contextmanager
    def make(**services: object) -> Iterator[object]:
        connection = look_up(name)
        if connection is not None:
            made: object = as_service(connection, folder)
        else:
            made = declared.make(**services) if isinstance(declared, Service) else declared
        with ExitStack() as closing:
            yield closing.enter_context(made) if isinstance(made, AbstractContextManager) else made

    return Service(asking_like(declared, make))


def as_service(connection: Connection, folder: Path) -> AbstractContextManager[object]:
    """Return what opens the service that a Connection describes: an HTTP API by its type, or else a database."""
    if connection.conn_type in _HTTP:
        from tallyline.api import Api, opened  # noqa: PLC0415  # an HTTP client only where an API is read

        return opened(Api(**_api(connection)))
    from tallyline.database import reading  # noqa: PLC0415  # SQLAlchemy only where a database is read

    return reading(database_url(connection), folder)


def database_url(connection: Connection) -> str:
    """Return the URL of the database that a Connection describes, as projects write it.

    The type is the kind of database, what else is said of it (`extra`) are parameters of its driver. Its password is
    a secret from now on.
    """
    driver = connection.extra_dejson.get("sqlalchemy_scheme") or connection.conn_type
    driver = _DATABASES.get(driver, driver)
    if driver == "sqlite":
        return f"sqlite:///{connection.host or connection.schema or ''}"
    who = _who(connection)
    where = f"{_bracketed(connection.host or '')}{f':{connection.port}' if connection.port else ''}"
    query = urlencode({key: value for key, value in _scalars(connection.extra_dejson) if key not in _OF_AIRFLOW})
    for key, value in _scalars(connection.extra_dejson):
        _remember_if_secret(key, value)
    database = quote(connection.schema or "", safe="")
    return remember_passwords(f"{driver}://{who}{where}/{database}{f'?{query}' if query else ''}")


def _who(connection: Connection) -> str:
    if not (connection.login or connection.password):
        return ""
    password = f":{quote(remember(connection.password), safe='')}" if connection.password else ""
    return f"{quote(connection.login or '', safe='')}{password}@"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _api(connection: Connection) -> dict[str, Any]:
    extra, password = connection.extra_dejson, remember(connection.password or "")
    token = str(extra.get("token") or "") or ("" if connection.login else password)
    return {
        "url": remember_passwords(_base_url(connection)),
        "name": connection.conn_id,
        "token": remember(token),
        "user": connection.login or "",
        "password": password if connection.login else "",
        "headers": _headers(connection),
        "credentials": remember(_credentials(connection)),
        "timeout": timedelta(seconds=_seconds(connection)),
    }


def _base_url(connection: Connection) -> str:
    host = connection.host or ""
    if not host or "://" in host:
        return host
    secure = "http" if connection.conn_type == "http" else "https"
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or secure}://{_bracketed(host)}{port}"


def _headers(connection: Connection) -> dict[str, str]:
    """Return the headers of a Connection; of the type http, whatever else is said there is one, as Airflow has it."""
    extra = connection.extra_dejson
    headers = dict(extra.get("headers") or {})
    if connection.conn_type in {"http", "https"}:
        headers |= {key: value for key, value in _scalars(extra) if key not in {*_OWN, *_OF_HTTP}}
    for name, value in headers.items():
        _remember_if_secret(name, value)
    return {str(name): str(value) for name, value in headers.items()}


def _credentials(connection: Connection) -> str:
    extra = connection.extra_dejson
    told = extra.get("credentials") or extra.get("keyfile_dict") or ""
    if not told and extra.get("key_path"):
        try:
            return Path(extra["key_path"]).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            msg = f'the key_path of the Connection "{connection.conn_id}" cannot be read: {extra["key_path"]}'
            raise Refused(msg) from None
    return told if isinstance(told, str) else json.dumps(told)


def _seconds(connection: Connection) -> float:
    told = connection.extra_dejson.get("timeout") or 60
    try:
        return float(told)
    except (TypeError, ValueError):
        msg = f'the timeout of the Connection "{connection.conn_id}" is {told!r}; write a number of seconds'
        raise Refused(msg) from None


def _scalars(extra: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    return ((key, value) for key, value in extra.items() if isinstance(value, str | int | float) and value != "")


def _remember_if_secret(name: str, value: object) -> None:
    if _IS_SECRET.search(name):
        remember(str(value))
