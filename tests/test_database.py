"""Databases by their URLs: what is understood, what is only read, and what is said instead of a password."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from tallyline.database import database_url, open_database, reading, reason, sqlite_file
from tallyline.errors import Refused

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("postgres://host/shop", "postgresql+psycopg"),
        ("postgresql://host/shop", "postgresql+psycopg"),
        ("postgresql+psycopg://host/shop", "postgresql+psycopg"),
        ("postgresql+asyncpg://host/shop", "postgresql+asyncpg"),
        ("mysql://host/shop", "mysql+pymysql"),
        ("mariadb://host/shop", "mysql+pymysql"),
        ("mysql+mysqldb://host/shop", "mysql+mysqldb"),
        ("sqlite:///shop.db", "sqlite"),
    ],
)
def test_the_driver_is_chosen_where_none_is_named(text: str, driver: str) -> None:
    assert database_url(text).drivername == driver


@pytest.mark.parametrize(
    "text", ["shop.db", "", "//host/shop", "reader:hunter2@host/shop", "postgresql://a:hunter2@h:x/y"]
)
def test_what_is_no_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Refused) as refused:
        database_url(text)
    assert str(refused.value).startswith("this is not a database's URL; write sqlite:///file.db or ")
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_relative_file_lies_in_the_folder(tmp_path: Path) -> None:
    assert sqlite_file(database_url("sqlite:///shop.db", tmp_path)) == tmp_path / "shop.db"
    assert sqlite_file(database_url("sqlite:////data/shop.db", tmp_path)) == Path("/data/shop.db")
    assert sqlite_file(database_url("sqlite:///shop.db")) == Path("shop.db")


@pytest.mark.parametrize("text", ["sqlite://", "sqlite:///:memory:", "postgresql://host/shop.db"])
def test_a_database_that_is_no_file_has_none(text: str) -> None:
    assert sqlite_file(database_url(text, Path("/folder"))) is None


def test_a_file_to_be_read_must_be_there_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"there is no SQLite file {tmp_path / 'shop.db'}"):
        open_database(database_url("sqlite:///shop.db", tmp_path), read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["shop.db", "a b.db", "100 %.db", "what?.db", "a#b.db", "größe.db"])
def test_a_file_to_be_read_may_have_any_name(tmp_path: Path, name: str) -> None:
    with closing(sqlite3.connect(tmp_path / name)) as shop, shop:
        shop.execute("CREATE TABLE orders AS SELECT 3 AS n")
    url = database_url("sqlite://", tmp_path).set(database=str(tmp_path / name))
    engine = open_database(url, read_only=True)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT n FROM orders").scalar() == 3
    engine.dispose()


def test_a_file_to_be_read_keeps_what_its_url_says(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    engine = open_database(database_url("sqlite:///shop.db?timeout=0.5", tmp_path), read_only=True)
    assert dict(engine.url.query) == {"timeout": "0.5", "mode": "ro", "uri": "true"}


def test_what_is_read_cannot_be_written(shop_url: str) -> None:
    writing = open_database(database_url(shop_url))
    with writing.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (n INTEGER)")
    writing.dispose()
    with reading(shop_url) as engine, engine.connect() as connection:
        with pytest.raises(DBAPIError, match=r"readonly|read-only|READ ONLY"):
            connection.exec_driver_sql("INSERT INTO orders VALUES (1)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgers://host/shop", 'there is no driver for "postgers"; write sqlite:///file.db or postgresql://'),
        ("mysql+mysqldb://host/shop", "the driver MySQLdb for mysql is not installed; pip install MySQLdb"),
    ],
)
def test_a_driver_that_is_missing_is_named(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        open_database(database_url(text))


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [("postgresql://host/shop", "psycopg", "postgres"), ("mysql://host/shop", "pymysql", "mysql")],
)
def test_drivers_are_extras_of_this_package(monkeypatch: pytest.MonkeyPatch, url: str, driver: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(Refused, match=rf'not installed; pip install "tallyline\[{extra}\]"'):
        open_database(database_url(url))


@pytest.mark.parametrize(("query", "seconds"), [("", 10), ("?connect_timeout=3", 3)])
@pytest.mark.parametrize("backend", ["postgresql", "mysql"])
def test_a_connection_is_not_waited_for_for_ever(backend: str, query: str, seconds: int) -> None:
    asked: dict[str, object] = {}
    engine = open_database(database_url(f"{backend}://host/shop{query}"))

    def connect(_: object, __: object, ___: object, arguments: dict[str, object]) -> None:
        asked.update(arguments)
        msg = "nobody is there"
        raise ConnectionError(msg)

    event.listen(engine, "do_connect", connect)
    with pytest.raises(ConnectionError):
        engine.connect()
    assert int(str(asked["connect_timeout"])) == seconds


def refusal(url: str, query: str) -> SQLAlchemyError:
    """Return the error with which a database answers a query."""
    with reading(url) as engine, engine.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.exec_driver_sql(query)
    return raised.value


def test_a_reason_is_one_line_without_the_statement(postgres_url: str) -> None:
    said = reason(refusal(postgres_url, "SELECT secret\nFROM nowhere"))
    assert said == 'relation "nowhere" does not exist'


def test_a_reason_has_the_hint(postgres_url: str) -> None:
    said = reason(refusal(postgres_url, "SELECT totl FROM (SELECT 1 AS total) AS shop"))
    assert said == 'column "totl" does not exist. Perhaps you meant to reference the column "shop.total".'


def test_a_reason_of_sqlite_is_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    assert (
        reason(refusal(f"sqlite:///{tmp_path / 'shop.db'}", "SELECT secret FROM nowhere")) == "no such table: nowhere"
    )
