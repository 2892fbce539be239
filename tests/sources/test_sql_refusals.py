"""What a database that does not answer makes of a SQL source: another try, or an error that says what to do."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tallyline import read_sql
from tallyline.api import Api
from tallyline.database import Session, database_url, open_database, reading
from tallyline.database.refusals import TooSlow, refusal
from tallyline.errors import Denied, Refused, SourceFailed, Unavailable, UnexpectedAnswer, may_work_later
from tallyline.secret import remember
from tallyline.sources.sql.counts import Count, read_counts
from tallyline.sources.sql.probe import _READ_ONLY, probed
from tallyline.window import Grain, Window, parse_moment
from tests.sources.cutting import cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

UTC_ZONE = ZoneInfo("UTC")
JULY = Window(parse_moment("2026-07-01", UTC_ZONE), parse_moment("2026-08-01", UTC_ZONE))
ONE = "SELECT 1 AS orders"
SERVERS = ["postgres_url", "mysql_url"]
MANY = {
    "postgresql": "SELECT n AS orders FROM generate_series(1, 100000) AS numbers(n)",
    "mysql": "SELECT seq AS orders FROM seq_1_to_100000",
}
ENDLESS = {
    "postgresql": "SELECT pg_sleep(600)::text AS told, 1 AS orders",
    "mysql": "SELECT sleep(600) AS orders",
    "sqlite": "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) AS orders FROM n",
}


def read(database: Engine, query: str = ONE, **options: Any) -> list[object]:  # noqa: ANN401  # those of read_sql
    """Read a query of the service "shop" to its end."""
    return list(read_sql(database, query, JULY, UTC_ZONE, name="shop", **options))


def told(kind: type[SourceFailed], database: Engine, query: str = ONE, **options: Any) -> str:  # noqa: ANN401
    """Return what is said where a query fails."""
    with pytest.raises(kind) as failed:
        read(database, query, **options)
    return str(failed.value)


@contextmanager
def opened(url: Any) -> Iterator[Engine]:  # noqa: ANN401  # text or a URL
    """Open a database as a source is given it."""
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    with reading(text) as engine:
        yield engine


def do(url: str, *statements: str) -> None:
    """Write to a database, past what is tested."""
    engine = open_database(database_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of a server: of PostgreSQL, then of MariaDB."""
    url: str = request.getfixturevalue(request.param)
    return url


def test_a_server_that_is_busy_is_tried_again(server_url: str, waits: list[float]) -> None:
    with cut(make_url(server_url), refused=2) as url, opened(url) as database:
        assert read(database) == [({}, {"orders": 1})]
    assert len(waits) == 2


def test_a_server_that_is_down_is_tried_five_times(server_url: str, waits: list[float]) -> None:
    with cut(make_url(server_url)) as url:
        pass
    with opened(url) as database:
        said = told(Unavailable, database)
    assert said.startswith('the database "shop" is not available: ')
    assert "refused" in said
    assert len(waits) == 4


def test_an_answer_that_breaks_off_is_not_begun_anew(server_url: str, waits: list[float]) -> None:
    dialect = make_url(server_url).get_backend_name()
    with cut(make_url(server_url), after=200_000) as url, opened(url) as database:
        answer = read_sql(database, MANY[dialect], JULY, UTC_ZONE, name="shop")
        assert next(answer) == ({}, {"orders": 1})
        with pytest.raises(Unavailable, match=r'^the database "shop" is not available: ') as lost:
            list(answer)
    assert may_work_later(lost.value)
    assert waits == []


def test_a_query_longer_than_its_time_limit_is_ended_and_not_tried_again(shop_url: str, waits: list[float]) -> None:
    do(shop_url, "CREATE TABLE orders (n INTEGER)")
    with opened(shop_url) as database:
        said = told(Unavailable, database, ENDLESS[database.dialect.name], time_limit=timedelta(milliseconds=50))
        assert read(database) == [({}, {"orders": 1})]
    assert said.startswith('the database "shop" did not end in time: ')
    assert said.endswith("; give it longer by time_limit, or less to read at once by at_once")
    assert waits == []


def test_a_query_may_take_as_long_as_it_likes_where_there_is_no_limit(shop_url: str) -> None:
    do(shop_url, "CREATE TABLE orders (n INTEGER)")
    with opened(shop_url) as database:
        assert read(database, time_limit=None) == [({}, {"orders": 1})]


def test_a_file_that_is_locked_is_tried_again_and_then_told(tmp_path: Path, waits: list[float]) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    do(url, "CREATE TABLE orders (n INTEGER)")
    writer = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with opened(f"{url}?timeout=0") as database:
        said = told(Unavailable, database, "SELECT count(*) AS orders FROM orders")
        assert said == 'the database "shop" is not available: database is locked'
        assert len(waits) == 4
        writer.close()
        assert read(database, "SELECT count(*) AS orders FROM orders") == [({}, {"orders": 0})]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT orders FROM nowhere", r"nowhere"),
        ("SELECT totl AS orders FROM orders", r"totl"),
        ("SELECT 1 AS orders FORM orders", r"(?i)syntax"),
    ],
)
def test_a_query_that_the_database_does_not_understand_is_not_tried_again(
    shop_url: str, waits: list[float], query: str, said: str
) -> None:
    do(shop_url, "CREATE TABLE orders (total INTEGER)")
    with opened(shop_url) as database, pytest.raises(Denied, match=said) as denied:
        read(database, query)
    assert str(denied.value).startswith('the database "shop" refused: ')
    assert not may_work_later(denied.value)
    assert waits == []


def test_who_is_not_let_in_is_told_so_without_the_password(server_url: str, waits: list[float]) -> None:
    url = make_url(server_url).set(username="nobody", password=remember("planted-password"))
    with opened(url) as database:
        said = told(Denied, database)
    assert said.startswith('the database "shop" refused who asks: ')
    assert said.endswith("; check the user and password of its URL under [services]")
    assert "planted" not in said
    assert waits == []


@pytest.fixture
def reader() -> str:
    """A user that nobody else has."""
    return f"reader_{uuid4().hex[:8]}"


@pytest.fixture
def reader_of_postgres(postgres: Engine, postgres_url: str, reader: str) -> Iterator[str]:
    """A user of PostgreSQL who was granted nothing, and the URL with which they connect."""
    do(
        postgres_url,
        f"CREATE ROLE {reader} LOGIN",
        "CREATE TABLE orders (n INTEGER)",
        'CREATE TABLE "Users" (n INTEGER)',
    )
    do(postgres_url, "CREATE SCHEMA hidden", "CREATE TABLE hidden.orders (n INTEGER)")
    yield make_url(postgres_url).set(username=reader).render_as_string(hide_password=False)
    do(postgres_url, f"DROP OWNED BY {reader}")
    with postgres.connect() as connection:
        connection.exec_driver_sql(f"DROP ROLE {reader}")


@pytest.mark.parametrize(
    ("asked", "grant"),
    [
        ("orders", "SELECT ON orders"),
        ('"Users"', 'SELECT ON "Users"'),
        ("hidden.orders", "USAGE ON SCHEMA hidden"),
        ("pg_read_file('x') AS f(n)", "EXECUTE ON FUNCTION pg_read_file"),
    ],
)
def test_postgresql_says_what_to_grant(reader_of_postgres: str, reader: str, asked: str, grant: str) -> None:
    with opened(reader_of_postgres) as database:
        said = told(Denied, database, f"SELECT n AS orders FROM {asked}")  # noqa: S608
    assert said.startswith('the database "shop" refused: permission denied for ')
    assert said.endswith(f"; grant it: GRANT {grant} TO {reader}")


def test_what_was_granted_can_be_read(reader_of_postgres: str, postgres_url: str, reader: str) -> None:
    with opened(reader_of_postgres) as database:
        said = told(Denied, database, "SELECT count(*) AS orders FROM orders")
        do(postgres_url, said.rpartition("grant it: ")[2])
        assert read(database, "SELECT count(*) AS orders FROM orders") == [({}, {"orders": 0})]


def test_a_database_that_one_may_not_enter_is_told_with_what_to_grant(
    reader_of_postgres: str, postgres_url: str, reader: str
) -> None:
    name = make_url(postgres_url).database
    do(postgres_url, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    with opened(reader_of_postgres) as database:
        said = told(Denied, database)
    assert said.endswith(f'; grant it: GRANT CONNECT ON DATABASE "{name}" TO {reader}')


def test_too_many_connections_of_a_role_may_work_later(
    reader_of_postgres: str, postgres_url: str, reader: str, waits: list[float]
) -> None:
    do(postgres_url, f"ALTER ROLE {reader} CONNECTION LIMIT 0")
    with opened(reader_of_postgres) as database:
        assert "too many connections" in told(Unavailable, database)
    assert len(waits) == 4


@pytest.fixture
def reader_of_mysql(mariadb: Engine, mysql_url: str, reader: str) -> Iterator[str]:
    """A user of MariaDB who may read one column, and the URL with which they connect."""
    password = remember("planted-password")
    name = make_url(mysql_url).database
    do(mysql_url, "CREATE TABLE orders (n INTEGER, total INTEGER)", "CREATE TABLE users (n INTEGER)")
    do(mysql_url, f"CREATE USER '{reader}'@'%%' IDENTIFIED BY '{password}'")
    do(mysql_url, f"GRANT SELECT (n) ON {name}.orders TO '{reader}'@'%%'")
    yield make_url(mysql_url).set(username=reader, password=password).render_as_string(hide_password=False)
    with mariadb.connect() as connection:
        connection.exec_driver_sql(f"DROP USER '{reader}'@'%%'")


@pytest.mark.parametrize("query", ["SELECT count(n) AS orders FROM users", "SELECT count(total) AS orders FROM orders"])
def test_mysql_says_what_to_grant(reader_of_mysql: str, mysql_url: str, reader: str, query: str) -> None:
    with opened(reader_of_mysql) as database:
        said = told(Denied, database, query)
        assert said.startswith('the database "shop" refused: SELECT command denied to user ')
        grant = said.rpartition("grant it: ")[2]
        assert grant.startswith("GRANT SELECT ON ")
        assert grant.endswith(f" TO {reader}")
        do(mysql_url, grant)
        assert read(database, query) == [({}, {"orders": 0})]


def test_a_database_of_mysql_that_one_may_not_enter_is_told_with_what_to_grant(
    reader_of_mysql: str, mysql_url: str, reader: str
) -> None:
    other = f"{make_url(mysql_url).database}_other"
    do(mysql_url, f"CREATE DATABASE {other}")
    with opened(make_url(reader_of_mysql).set(database=other)) as database:
        said = told(Denied, database)
    do(mysql_url, f"DROP DATABASE {other}")
    assert said.endswith(f"; grant it: GRANT SELECT ON `{other}`.* TO {reader}")


def test_a_service_that_is_no_database_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read(Api("https://shop.example.com", name="shop"))  # type: ignore[arg-type]
    assert str(refused.value) == (
        'the service "shop" is no database but of the kind Api; give it a database\'s URL under [services], '
        "such as postgresql://reader:${PASSWORD}@host/name"
    )


def test_two_columns_of_one_name_are_told_apart(shop_url: str) -> None:
    do(shop_url, "CREATE TABLE orders (n INTEGER)")
    with opened(shop_url) as database:
        said = told(UnexpectedAnswer, database, "SELECT 1 AS orders, 2 AS orders")
    assert said == 'the database "shop" answered 2 columns called "orders"; name them apart with AS'


def test_a_column_that_is_neither_text_nor_a_number_is_named(postgres_url: str) -> None:
    with opened(postgres_url) as database:
        for value in ("'\\x1f'::bytea", """'{"queue": 3}'::jsonb""", "ARRAY['a']"):
            said = told(UnexpectedAnswer, database, f"SELECT {value} AS attributes")
            assert said.startswith('the database "shop": the column "attributes" holds ')
            assert said.endswith("where text or a number is expected; cast it to text, or take a part of it")


def test_a_value_that_python_cannot_hold_is_an_unexpected_answer(postgres_url: str) -> None:
    with opened(postgres_url) as database:
        said = told(UnexpectedAnswer, database, "SELECT 'infinity'::timestamptz AS time, 1 AS orders")
    assert said.startswith('the database "shop" answered what cannot be read: timestamp too large')


BUSY, DENIED = Unavailable, Denied


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", BUSY),
        ("25P03", BUSY),
        ("40001", BUSY),
        ("40P01", BUSY),
        ("53300", BUSY),
        ("55P03", BUSY),
        ("57014", TooSlow),
        ("57P01", BUSY),
        ("57P03", BUSY),
        ("58030", BUSY),
        ("28P01", DENIED),
        ("3D000", DENIED),
        ("42501", DENIED),
        ("42703", DENIED),
        ("25006", DENIED),
        ("22012", DENIED),
    ],
)
def test_errors_of_postgresql_are_told_apart_by_their_code(state: str, kind: type[SourceFailed]) -> None:
    error = DBAPIError("SELECT", {}, psycopg.errors.lookup(state)("said"))
    assert type(refusal(error, "the database")) is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1040, BUSY),
        (1205, BUSY),
        (1213, BUSY),
        (1226, BUSY),
        (2003, BUSY),
        (2006, BUSY),
        (2013, BUSY),
        (1317, TooSlow),
        (1969, TooSlow),
        (3024, TooSlow),
        (1045, DENIED),
        (1044, DENIED),
        (1054, DENIED),
        (1146, DENIED),
        (1227, DENIED),
    ],
)
def test_errors_of_mysql_are_told_apart_by_their_number(number: int, kind: type[SourceFailed]) -> None:
    driver = create_engine("mysql+pymysql://host/shop").dialect.loaded_dbapi
    error = DBAPIError("SELECT", {}, driver.OperationalError(number, "said"))
    assert type(refusal(error, "the database")) is kind


@pytest.mark.parametrize(
    ("said", "kind", "to_do"),
    [
        ('FATAL: password authentication failed for user "reader"', DENIED, "check the user and password"),
        ('FATAL: no pg_hba.conf entry for host "10.0.0.1"', DENIED, "check the user and password"),
        ('FATAL: database "shpo" does not exist', DENIED, "does not exist"),
        ("FATAL: sorry, too many clients already", BUSY, "too many clients"),
        ("FATAL: the database system is starting up", BUSY, "starting up"),
        ("Connection refused", BUSY, "refused"),
    ],
)
def test_before_it_is_connected_postgresql_gives_no_code(said: str, kind: type[SourceFailed], to_do: str) -> None:
    engine = create_engine("postgresql+psycopg://host/shop")
    wrapped = DBAPIError.instance("", {}, psycopg.OperationalError(said), psycopg.Error, dialect=engine.dialect)
    assert isinstance(wrapped, DBAPIError)
    told_of = refusal(wrapped, "the database")
    assert type(told_of) is kind
    assert to_do in str(told_of)


@pytest.mark.parametrize("statement", {"sqlite": "PRAGMA cache_size = 100", "mysql": "SET @answer = 42"}.items())
def test_what_has_no_rows_is_no_query(
    request: pytest.FixtureRequest, tmp_path: Path, statement: tuple[str, str]
) -> None:
    (tmp_path / "shop.db").touch()
    kind, asked = statement
    url = f"sqlite:///{tmp_path / 'shop.db'}" if kind == "sqlite" else request.getfixturevalue("mysql_url")
    with opened(url) as database:
        said = told(Denied, database, asked)
    assert said == 'the database "shop" has no rows for what it was asked; the query of a source is a SELECT'


class Conversation:
    """A driver's connection to a server that answers nothing but its version, and its cursor."""

    description: Any = None
    rowcount = -1
    lastrowid = None

    def __init__(self, version: str) -> None:
        """Take the version that the server tells."""
        self.version = version
        self.heard: list[str] = []

    def cursor(self, *_: object) -> Conversation:
        """Be the cursor as well."""
        return self

    def execute(self, query: str, parameters: Any = ()) -> None:  # noqa: ANN401  # a driver's
        """Hear a query; all have one row, with the version."""
        self.heard.append(query % parameters if parameters else query)
        self.description = None if query.startswith(("SET", "START")) else [("told", 253, *[None] * 5)]
        self.left = [] if self.description is None else [(self.version,)]

    def fetchmany(self, _: int = 1) -> list[Any]:
        """Return the rows that are left."""
        rows, self.left = self.left, []
        return rows

    fetchall = fetchmany

    def fetchone(self) -> Any:  # noqa: ANN401  # a row, or None
        """Return the next row."""
        return next(iter(self.fetchmany()), None)

    def close(self) -> None:
        """Close the cursor, and the connection."""

    commit = rollback = close

    def character_set_name(self) -> str:
        """Say how text is written."""
        return "utf8mb4"


@pytest.mark.parametrize(
    ("version", "limit"),
    [("8.4.6", "max_execution_time = 90000"), ("11.8.2-MariaDB", "max_statement_time = 90.0")],
)
def test_mysql_and_mariadb_call_the_time_limit_otherwise(
    monkeypatch: pytest.MonkeyPatch, version: str, limit: str
) -> None:
    engine = create_engine("mysql+pymysql://host/shop", poolclass=NullPool)
    monkeypatch.setattr(engine.dialect, "initialize", lambda _: None)
    server = Conversation(version)
    event.listen(engine, "do_connect", lambda *_: server)
    assert read(engine, "SELECT 1 AS told", time_limit=timedelta(seconds=90)) == [({"told": version}, {})]
    assert server.heard[1:6] == [
        "SELECT version()",
        f"SET SESSION {limit}",
        "SET SESSION time_zone = +00:00",
        "SET SESSION TRANSACTION READ ONLY",
        "START TRANSACTION READ ONLY",
    ]


def test_a_database_of_another_kind_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine("sqlite://")
    monkeypatch.setattr(engine.dialect, "name", "other")
    assert read(engine) == [({}, {"orders": 1})]
    [*works, last] = probed(Session(engine, JULY, UTC_ZONE), {"": ONE}, [], Grain.HOUR)
    assert last == "the query runs; its columns are orders"
    assert "the transaction is read-only" not in works
    counts = read_counts(Session(engine, JULY, UTC_ZONE), Count("orders", "n", "at"), JULY.since, UTC_ZONE, Grain.DAY)
    with pytest.raises(Denied, match='is of the kind other, where "orders" cannot be counted by time; write a query'):
        next(counts)


def test_doctor_says_where_a_source_could_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_READ_ONLY, "sqlite", "SELECT 0")
    told_of = probed(Session(create_engine("sqlite://"), JULY, UTC_ZONE, name="shop"), {}, [], Grain.HOUR)
    next(told_of)
    with pytest.raises(
        Denied, match=r'^the database "shop" would let a source write: its transaction is not read-only$'
    ):
        next(told_of)
