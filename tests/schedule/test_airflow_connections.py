"""Connections of Airflow as the services of a project: databases and HTTP APIs, as Airflow's users describe them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.api import Api
from tallyline.database import Engine
from tallyline.errors import Refused
from tallyline.graph import Services, service
from tallyline.schedule.airflow.connections import as_service, database_url, from_connections
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Connection:
    """What Airflow tells of a Connection."""

    conn_type: str
    host: str | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    port: int | None = None
    extra_dejson: dict[str, Any] = field(default_factory=dict)
    conn_id: str = "shop"


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it was asked with."""

    def do_GET(self) -> None:  # http.server's name
        """Answer."""
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that answers with the headers it was asked with."""
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def api(connection: Connection, folder: Path) -> Iterator[Api]:
    with as_service(connection, folder) as opened:
        assert isinstance(opened, Api)
        yield opened


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (Connection("postgres", "db", "me", "a:b/c@d", "shop", 5433), "postgresql://me:a%3Ab%2Fc%40d@db:5433/shop"),
        (Connection("postgres", "db", "me", schema="shop"), "postgresql://me@db/shop"),
        (Connection("mysql", "db", schema="shop"), "mysql://db/shop"),
        (Connection("postgresql", "::1", "me", schema="shop"), "postgresql://me@[::1]/shop"),
        (Connection("sqlite", "/data/shop.db"), "sqlite:////data/shop.db"),
        (Connection("sqlite", schema="shop.db"), "sqlite:///shop.db"),
        (
            Connection("postgres", "db", schema="shop", extra_dejson={"sslmode": "require", "cursor": "dictcursor"}),
            "postgresql://db/shop?sslmode=require",
        ),
        (
            Connection("generic", "db", schema="shop", extra_dejson={"sqlalchemy_scheme": "mssql+pymssql"}),
            "mssql+pymssql://db/shop",
        ),
    ],
)
def test_the_url_of_a_database(connection: Connection, url: str) -> None:
    assert database_url(connection) == url


def test_its_secrets_are_not_told() -> None:
    extra = {"sslpassword": "pass phrase", "sslmode": "require"}
    database_url(Connection("postgres", "db", "me", "hunter2@home", "shop", extra_dejson=extra))
    for secret in ("hunter2@home", "hunter2%40home", "pass phrase", "pass+phrase"):
        assert masked(f"it said {secret}.") == "it said ***."
    assert masked("require") == "require"


def test_a_database_is_read(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    with as_service(Connection("sqlite", "shop.db"), tmp_path) as opened:
        assert isinstance(opened, Engine)
        with opened.connect() as connected:
            assert connected.exec_driver_sql("SELECT 7").scalar_one() == 7


def test_a_postgresql_is_read(postgres_url: str, tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    url = make_url(postgres_url)
    told = Connection("postgres", url.host, url.username, url.password, url.database, url.port, dict(url.query))
    with as_service(told, tmp_path) as opened:
        assert isinstance(opened, Engine)
        with opened.connect() as connected:
            assert connected.exec_driver_sql("SELECT current_database()").scalar_one() == url.database


def test_what_is_neither_a_database_nor_an_api(tmp_path: Path) -> None:
    with pytest.raises(Refused, match='there is no driver for "redis"'), as_service(Connection("redis", "x"), tmp_path):
        pass


@pytest.mark.parametrize(
    ("connection", "headers"),
    [
        (Connection("http", None, None, "tok-1"), {"Authorization": "Bearer tok-1"}),
        (Connection("http", None, "me", "tok-1"), {"Authorization": "Basic bWU6dG9rLTE="}),
        (Connection("http", extra_dejson={"X-Key": "k-123", "verify": True}), {"X-Key": "k-123", "verify": None}),
        (Connection("tallyline", extra_dejson={"token": "tok-2"}), {"Authorization": "Bearer tok-2"}),
        (
            Connection("tallyline", extra_dejson={"headers": {"X-Key": "k-999"}, "Y": "n"}),
            {"X-Key": "k-999", "Y": None},
        ),
    ],
)
def test_an_api_is_asked(connection: Connection, headers: dict[str, str | None], port: int, tmp_path: Path) -> None:
    with api(replace(connection, host=f"http://127.0.0.1:{port}"), tmp_path) as opened:
        answer = opened.get("/").data
    assert {name: answer.get(name) for name in headers} == headers
    secrets = [secret for secret in ("tok-1", "tok-2", "k-123", "k-999") if secret in str(connection)]
    assert [masked(f"it said {secret}") for secret in secrets] == ["it said ***"]


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (Connection("http", "metrics", port=9090), "http://metrics:9090"),
        (Connection("http", "metrics", schema="https"), "https://metrics"),
        (Connection("https", "metrics"), "https://metrics"),
        (Connection("http", "https://metrics/api/"), "https://metrics/api"),
        (Connection("tallyline", "metrics"), "https://metrics"),
        (Connection("tallyline"), ""),
    ],
)
def test_the_url_of_an_api(connection: Connection, url: str, tmp_path: Path) -> None:
    with api(connection, tmp_path) as opened:
        assert (opened.url, opened.name) == (url, "shop")


@pytest.mark.parametrize("key", ["credentials", "keyfile_dict"])
def test_the_credentials_of_google(key: str, tmp_path: Path) -> None:
    told = {"private_key": "xyz", "client_email": "me@example.com"}
    for given in (told, json.dumps(told)):
        with api(Connection("google_cloud_platform", extra_dejson={key: given}), tmp_path) as opened:
            assert json.loads(opened.credentials) == told


def test_credentials_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"private_key": "xyz"}', encoding="utf-8")
    told = {"key_path": str(tmp_path / "key.json")}
    with api(Connection("google_cloud_platform", extra_dejson=told), tmp_path) as opened:
        assert opened.credentials == '{"private_key": "xyz"}'
    with pytest.raises(Refused, match='the key_path of the Connection "shop" cannot be read: /nowhere'):
        as_service(Connection("tallyline", extra_dejson={"key_path": "/nowhere"}), tmp_path)


def test_a_time_limit_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the timeout of the Connection \"shop\" is 'soon'; write a number of seconds"):
        as_service(Connection("http", "metrics", extra_dejson={"timeout": "soon"}), tmp_path)


def test_a_service_is_that_of_its_connection_or_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    asked = []

    def look_up(name: str) -> Connection | None:
        asked.append(name)
        return Connection("sqlite", "shop.db") if name == "shop" else None

    @contextmanager
    def made(rate: float) -> Iterator[str]:
        yield f"made of {rate}"
        asked.append("closed")

    declared = {"shop": service(lambda: "not this one"), "rate": 1.1, "own": service(made), "unasked": "for"}
    with Services(from_connections(declared, look_up, tmp_path)) as services:
        assert isinstance(services["shop"], Engine)
        assert services["own"] == "made of 1.1"
        assert services["rate"] == 1.1
    assert asked == ["shop", "rate", "own", "closed"]
