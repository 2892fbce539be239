"""The SQL source: what a query's columns mean, which window it is told, and that it only reads."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from tallyline import Graph, node, read_sql, run
from tallyline.database import database_url, open_database, reading
from tallyline.errors import Denied, NodeFailed
from tallyline.sources.sql import SqlSource
from tallyline.window import Grain, Window, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    Row = tuple[dict[str, object], dict[str, object]]

UTC_ZONE = ZoneInfo("UTC")
PARIS = ZoneInfo("Europe/Paris")
MOMENTS = "SELECT created_at AS time, 1 AS orders FROM orders WHERE created_at >= :since AND created_at < :until"


JULY = Window(parse_moment("2026-07-01", UTC_ZONE), parse_moment("2026-08-01", UTC_ZONE))
GIVEN = {"grain": Grain.HOUR, "now": JULY.since, "zone": UTC_ZONE}
PARIS_DAY = Window(parse_moment("2026-07-14", PARIS), parse_moment("2026-07-15", PARIS))


RECURSIVE = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {until})
    SELECT {told} AS orders FROM numbers
"""
NUMBERS = {
    "sqlite": RECURSIVE,
    "postgresql": RECURSIVE,
    "mysql": "SELECT {told} AS orders FROM (SELECT seq AS n FROM seq_1_to_{until}) AS numbers",
}


@pytest.fixture
def shop(shop_url: str) -> Iterator[Engine]:
    """A shop's database as a source is given it, with the orders' times as the shop's clock showed them."""
    kind = "DATETIME" if shop_url.startswith("mysql") else "TIMESTAMP"
    make(shop_url, f"CREATE TABLE orders (created_at {kind}, country TEXT)")
    times = ("2026-07-13 23:59:59", "2026-07-14 00:00:00", "2026-07-14 23:59:59", "2026-07-15 00:00:00")
    values = ", ".join(f"('{time}', 'FR')" for time in times)
    make(shop_url, f"INSERT INTO orders VALUES {values}")  # noqa: S608
    with reading(shop_url) as engine:
        yield engine


@pytest.fixture
def postgres_shop(postgres_url: str) -> Iterator[Engine]:
    """An empty PostgreSQL database as a source is given it, whose own clock shows the time of New York."""
    name = postgres_url.rpartition("/")[2].partition("?")[0]
    make(postgres_url, f"ALTER DATABASE {name} SET timezone TO 'America/New_York'")
    with reading(postgres_url) as engine:
        yield engine


def make(url: str, statement: str) -> None:
    """Write to a database, past what is tested."""
    engine = open_database(database_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def numbers(database: Engine, told: str = "n", until: int = 5000) -> str:
    """Return a query whose rows are the numbers from one on."""
    return NUMBERS[database.dialect.name].format(told=told, until=until)


def rows(database: Engine, query: str, window: Window = JULY, zone: ZoneInfo = UTC_ZONE) -> list[Row]:
    """Read a query to its end."""
    return list(read_sql(database, query, window, zone))


def only_row(database: Engine, query: str) -> Row:
    """Read a query that has one row."""
    [row] = rows(database, query)
    return row


def times(answer: list[Row]) -> list[str]:
    """Return the times of rows, as text."""
    return [str(dims["time"]) for dims, _ in answer]


def test_a_row_is_split_into_dims_and_metrics(shop: Engine) -> None:
    query = "SELECT '2026-07-14' AS date, 7 AS hour, 'FR' AS country, 3 AS orders, 2.5 AS weight"
    dims, metrics = only_row(shop, query)
    assert dims == {"date": "2026-07-14", "hour": 7, "country": "FR"}
    assert {name: float(str(value)) for name, value in metrics.items()} == {"orders": 3.0, "weight": 2.5}


def test_a_column_may_bear_the_dotted_name_of_a_metric(shop: Engine) -> None:
    assert only_row(shop, 'SELECT count(*) AS "orders.count" FROM orders') == ({}, {"orders.count": 4})


def test_what_is_null_is_no_metric(shop: Engine) -> None:
    assert only_row(shop, "SELECT 'FR' AS country, NULL AS revenue, 0 AS orders")[1] == {"orders": 0}


def test_the_window_is_bound_with_its_beginning_and_without_its_end(shop: Engine) -> None:
    window = Window(parse_moment("2026-07-14", UTC_ZONE), parse_moment("2026-07-15", UTC_ZONE))
    assert times(rows(shop, MOMENTS, window)) == ["2026-07-14 00:00:00", "2026-07-14 23:59:59"]


def test_the_window_is_told_in_the_zone_of_the_source(shop: Engine) -> None:
    assert PARIS_DAY.since == datetime(2026, 7, 13, 22, tzinfo=UTC)
    assert times(rows(shop, MOMENTS, PARIS_DAY, PARIS)) == ["2026-07-14 00:00:00", "2026-07-14 23:59:59"]


def test_the_same_window_is_told_otherwise_in_utc(shop: Engine) -> None:
    assert times(rows(shop, MOMENTS, PARIS_DAY, UTC_ZONE)) == [
        "2026-07-13 23:59:59",
        "2026-07-14 00:00:00",
    ]


def test_a_bound_may_be_used_twice_or_not_at_all(shop: Engine) -> None:
    twice = "SELECT count(*) AS orders FROM orders WHERE created_at >= :since OR created_at = :since"
    assert only_row(shop, twice) == ({}, {"orders": 4})
    assert only_row(shop, "SELECT count(*) AS orders FROM orders") == ({}, {"orders": 4})


def test_an_unknown_bound_is_refused_with_those_that_exist(shop: Engine) -> None:
    said = r'the query asks for ":untill"; did you mean "until"\? There are: grain, since, until'
    with pytest.raises(Denied, match=said):
        rows(shop, "SELECT 1 AS orders WHERE 1 < :untill")


@pytest.mark.parametrize("text", ["12:30", "%H:%M", "50 %", "10%s", r"\:since"])
def test_text_in_the_query_stays_as_it_is(shop: Engine, text: str) -> None:
    assert only_row(shop, f"SELECT '{text}' AS told")[0] == {"told": text.replace("\\", "")}


def test_like_is_written_as_in_any_sql(shop: Engine) -> None:
    assert only_row(shop, "SELECT count(*) AS orders FROM orders WHERE country LIKE 'F%'") == ({}, {"orders": 4})


@pytest.mark.parametrize("statement", ["INSERT INTO orders (country) VALUES ('DE') RETURNING 1", "DELETE FROM orders"])
def test_a_query_that_writes_is_refused(shop: Engine, statement: str) -> None:
    with pytest.raises(Denied, match=r"^the database refused: "):
        rows(shop, statement)
    assert only_row(shop, "SELECT count(*) AS orders FROM orders") == ({}, {"orders": 4})


def test_a_second_statement_is_refused(shop: Engine) -> None:
    graph = SqlSource("shop", "SELECT 1 AS orders; COMMIT; DROP TABLE orders").graph("orders")
    with pytest.raises(NodeFailed, match=r"multiple commands|one statement|error in your SQL syntax"):
        run(graph, {"shop": shop, "window": JULY, **GIVEN, "source_zone": UTC_ZONE})
    assert only_row(shop, "SELECT count(*) AS orders FROM orders") == ({}, {"orders": 4})


def test_code_that_is_given_the_database_cannot_write_to_it_either(shop: Engine) -> None:
    with (
        shop.connect() as connection,
        pytest.raises(Exception, match=r"readonly database|read-only transaction|READ ONLY transaction"),
    ):
        connection.exec_driver_sql("INSERT INTO orders (country) VALUES ('DE')")


def test_rows_stream_and_are_not_gathered_first(shop: Engine) -> None:
    answer = read_sql(shop, numbers(shop, until=1_000_000_000), JULY, UTC_ZONE)
    assert [metrics["orders"] for _, metrics in islice(answer, 2500)] == list(range(1, 2501))
    close = getattr(answer, "close")  # noqa: B009  # an iterator to the type checker, a generator in fact
    close()


def test_a_misspelt_column_is_told_with_the_one_that_is_near(postgres_shop: Engine) -> None:
    said = r'column "totl" does not exist. Perhaps you meant to reference the column "shop.total"'
    with pytest.raises(Denied, match=said):
        rows(postgres_shop, "SELECT totl FROM (SELECT 1 AS total) AS shop")


def test_many_rows_come_in_order_and_whole(shop: Engine) -> None:
    for until in (1, 999, 1000, 1001, 5000):
        answer = rows(shop, numbers(shop, until=until))
        assert [metrics["orders"] for _, metrics in answer] == list(range(1, until + 1))


def test_a_refusal_is_told_without_the_query(shop: Engine) -> None:
    with pytest.raises(Denied) as refused:
        rows(shop, "SELECT secret_column AS orders FROM no_such_table WHERE 1 < :since")
    assert "no_such_table" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("secret_column", "SELECT", "sqlalche.me", "\n"))


def test_a_refusal_in_the_middle_ends_the_read(shop: Engine) -> None:
    half = {
        "sqlite": "abs(CASE n WHEN 3000 THEN -9223372036854775808 ELSE n END)",
        "postgresql": "1 / (3000 - n)",
        "mysql": "18446744073709548615 + n",
    }
    with pytest.raises(Denied, match=r"overflow|division by zero|out of range"):
        rows(shop, numbers(shop, half[shop.dialect.name]))


def test_a_declared_source_reads_its_service_under_its_own_name(shop: Engine) -> None:
    read: list[object] = []
    graph = SqlSource("shop", MOMENTS).graph("orders").followed_by(node(read.append, name="keep"))
    report = run(graph, {"shop": shop, "window": PARIS_DAY, **GIVEN, "source_zone": PARIS})
    assert [counts.name for counts in report.nodes] == ["orders", "keep"]
    assert len(read) == report["orders"].rows_out == 2


def test_a_declared_source_that_fails_names_itself_and_its_service(shop: Engine) -> None:
    graph: Graph = SqlSource("shop", "SELECT 1 FROM nowhere").graph("orders")
    with pytest.raises(NodeFailed, match=r'^orders failed: the database "shop" refused: .*nowhere'):
        run(graph, {"shop": shop, "window": JULY, **GIVEN, "source_zone": UTC_ZONE})


def test_values_of_postgresql_are_dims_or_metrics_by_their_type(postgres_shop: Engine) -> None:
    row: tuple[Any, Any] = only_row(
        postgres_shop,
        """
        SELECT 'FR'::text AS country, true AS paid, DATE '2026-07-14' AS birthday, 'a'::char(1) AS letter,
               1::smallint AS small, 2::bigint AS big, 0.10::numeric(10, 2) AS total, 0.5::real AS share,
               NULL::numeric AS none
        """,
    )
    assert row[0] == {"country": "FR", "paid": True, "birthday": date(2026, 7, 14), "letter": "a", "none": None}
    assert row[1] == {"small": 1, "big": 2, "total": Decimal("0.10"), "share": 0.5}


def test_a_cast_is_not_taken_for_a_bound_and_a_bound_may_be_cast(postgres_shop: Engine) -> None:
    query = "SELECT :since::date::text AS since, '7'::int AS orders WHERE :until::date > '2026-07-01'::date"
    assert only_row(postgres_shop, query) == ({"since": "2026-07-01"}, {"orders": 7})


def test_the_session_of_postgresql_is_in_the_zone_of_the_source(postgres_shop: Engine) -> None:
    query = "SELECT current_setting('TimeZone') AS zone, TIMESTAMPTZ '2026-07-13 22:30Z'::date AS told"
    for zone, told in ((PARIS, date(2026, 7, 14)), (UTC_ZONE, date(2026, 7, 13))):
        assert rows(postgres_shop, query, JULY, zone) == [({"zone": zone.key, "told": told}, {})]


@pytest.mark.parametrize(
    ("kind", "zone", "orders"),
    [("TIMESTAMP", PARIS, 3), ("TIMESTAMP", UTC_ZONE, 4), ("TIMESTAMPTZ", PARIS, 4), ("TIMESTAMPTZ", UTC_ZONE, 4)],
)
def test_a_column_without_a_zone_is_in_that_of_the_source_and_one_with_a_zone_in_its_own(
    postgres_shop: Engine, postgres_url: str, kind: str, zone: ZoneInfo, orders: int
) -> None:
    make(postgres_url, f"CREATE TABLE orders (created_at {kind})")
    for moment in (
        "13 22:00",
        "13 23:59",
        "14 00:00",
        "14 21:59",
        "14 22:00",
    ):  # in UTC, all but the last on 14 July in Paris
        make(postgres_url, f"INSERT INTO orders VALUES ('2026-07-{moment}Z')")  # noqa: S608
    counted = "SELECT count(*) AS orders FROM orders WHERE created_at >= :since AND created_at < :until"
    assert rows(postgres_shop, counted, PARIS_DAY, zone) == [({}, {"orders": orders})]


def test_moments_of_postgresql_keep_their_offset(postgres_shop: Engine) -> None:
    [(dims, _)] = rows(postgres_shop, "SELECT TIMESTAMPTZ '2026-07-14 10:00Z' AS time, 1 AS orders", JULY, PARIS)
    assert dims["time"] == datetime(2026, 7, 14, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nextval('numbers') AS orders",
        "SELECT pg_advisory_xact_lock(1), lo_create(0) AS orders",
        "SELECT set_config('transaction_read_only', 'off', true), nextval('numbers') AS orders",
    ],
)
def test_postgresql_refuses_what_writes_from_inside_a_select(
    postgres_shop: Engine, postgres_url: str, query: str
) -> None:
    make(postgres_url, "CREATE SEQUENCE numbers")
    with pytest.raises(Denied, match=r"read-only|read-write"):
        rows(postgres_shop, query)


def test_sqlite_tells_the_window_as_text(tmp_path: Any) -> None:  # noqa: ANN401
    make(f"sqlite:///{tmp_path / 'shop.db'}", "CREATE TABLE orders (n INTEGER)")
    with reading("sqlite:///shop.db", tmp_path) as shop:
        told = rows(shop, "SELECT :since AS since, :until AS until", PARIS_DAY, PARIS)
        in_the_day = Window(PARIS_DAY.since, PARIS_DAY.since + timedelta(hours=10))
        until_ten = rows(shop, "SELECT :until AS until", in_the_day, PARIS)
    assert told == [({"since": "2026-07-14", "until": "2026-07-15"}, {})]
    assert until_ten == [({"until": "2026-07-14 10:00:00"}, {})]


def test_sqlite_compares_the_window_rightly_with_dates_and_with_times(tmp_path: Any) -> None:  # noqa: ANN401
    within = ["2026-07-14", "2026-07-14 00:00:00", "2026-07-14T23:59:59"]
    written = ["2026-07-13 23:59:59", *within, "2026-07-15", "2026-07-15 00:00:00"]
    values = " UNION ALL ".join(f"SELECT '{text}' AS at" for text in written)
    make(f"sqlite:///{tmp_path / 'shop.db'}", f"CREATE TABLE orders AS {values}")
    with reading("sqlite:///shop.db", tmp_path) as shop:
        found = rows(shop, "SELECT at FROM orders WHERE at >= :since AND at < :until", PARIS_DAY, PARIS)
    assert [dims["at"] for dims, _ in found] == within


@pytest.fixture
def mysql_shop(mysql_url: str) -> Iterator[Engine]:
    """An empty database of MariaDB as a source is given it."""
    with reading(mysql_url) as engine:
        yield engine


@pytest.fixture
def paris_is_known(mariadb: Engine) -> Iterator[None]:
    """The time zone of Paris for 2026, as mysql_tzinfo_to_sql would tell it to the server."""
    moments = [parse_moment(f"{day}T01:00", UTC_ZONE) for day in ("2025-10-26", "2026-03-29", "2026-10-25")]
    changes = ", ".join(f"(9001, {int(moment.timestamp())}, {at % 2})" for at, moment in enumerate(moments))
    told = (
        "time_zone (Time_zone_id) VALUES (9001)",
        "time_zone_name VALUES ('Europe/Paris', 9001)",
        "time_zone_transition_type VALUES (9001, 0, 3600, 0, 'CET'), (9001, 1, 7200, 1, 'CEST')",
        f"time_zone_transition VALUES {changes}",
    )
    with mariadb.connect() as connection:
        for rows_of_a_table in told:
            connection.exec_driver_sql(f"INSERT INTO mysql.{rows_of_a_table}")
        yield
        for rows_of_a_table in told:
            connection.exec_driver_sql(f"TRUNCATE mysql.{rows_of_a_table.split()[0]}")


TOLD_BY_MYSQL = "SELECT @@time_zone AS zone, date(from_unixtime(1783981800)) AS told"  # 2026-07-13 22:30 in UTC


@pytest.mark.usefixtures("paris_is_known")
def test_the_session_of_mysql_is_in_the_zone_of_the_source(mysql_shop: Engine) -> None:
    year = Window(parse_moment("2026-01-01", PARIS), parse_moment("2026-12-01", PARIS))
    for zone, name, told in ((PARIS, "Europe/Paris", date(2026, 7, 14)), (UTC_ZONE, "+00:00", date(2026, 7, 13))):
        assert rows(mysql_shop, TOLD_BY_MYSQL, year, zone) == [({"zone": name, "told": told}, {})]


def test_a_server_without_zones_is_told_the_offset_where_there_is_only_one(mysql_shop: Engine) -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    for zone, offset in ((ZoneInfo("America/New_York"), "-04:00"), (tokyo, "+09:00")):
        [(dims, _)] = rows(mysql_shop, TOLD_BY_MYSQL, JULY, zone)
        assert dims["zone"] == offset


def test_a_server_without_zones_is_not_told_one_of_two_offsets(mysql_shop: Engine) -> None:
    zone = ZoneInfo("America/New_York")
    march = Window(parse_moment("2026-03-01", zone), parse_moment("2026-04-01", zone))
    with pytest.raises(Denied) as denied:
        rows(mysql_shop, TOLD_BY_MYSQL, march, zone)
    assert str(denied.value) == (
        "the database does not know the time zone America/New_York, whose clock is changed in the window; "
        'load its zones with mysql_tzinfo_to_sql, or declare timezone = "UTC"'
    )


@pytest.mark.usefixtures("paris_is_known")
@pytest.mark.parametrize(
    ("kind", "zone", "orders"),
    [("DATETIME", PARIS, 3), ("DATETIME", UTC_ZONE, 4), ("TIMESTAMP", PARIS, 4), ("TIMESTAMP", UTC_ZONE, 4)],
)
def test_a_datetime_of_mysql_is_in_the_zone_of_the_source_and_a_timestamp_is_a_moment(
    mysql_shop: Engine, mysql_url: str, kind: str, zone: ZoneInfo, orders: int
) -> None:
    told = ", ".join(f"('2026-07-{each}')" for each in ("13 22:00", "13 23:59", "14 00:00", "14 21:59", "14 22:00"))
    engine = open_database(database_url(mysql_url))
    with engine.begin() as connection:  # the times are in UTC, all but the last on 14 July in Paris
        connection.exec_driver_sql("SET SESSION time_zone = '+00:00'")
        connection.exec_driver_sql(f"CREATE TABLE orders (created_at {kind})")
        connection.exec_driver_sql(f"INSERT INTO orders VALUES {told}")  # noqa: S608
    engine.dispose()
    counted = "SELECT count(*) AS orders FROM orders WHERE created_at >= :since AND created_at < :until"
    assert rows(mysql_shop, counted, PARIS_DAY, zone) == [({}, {"orders": orders})]


def test_nothing_of_a_read_is_left_to_whoever_is_given_the_database(shop: Engine) -> None:
    asked = {
        "sqlite": "PRAGMA query_only",
        "postgresql": "SELECT current_setting('statement_timeout') || current_setting('TimeZone')",
        "mysql": "SELECT concat(@@time_zone, @@max_statement_time)",
    }
    with shop.connect() as connection:
        before = connection.exec_driver_sql(asked[shop.dialect.name]).scalar()
    rows(shop, "SELECT count(*) AS orders FROM orders", zone=ZoneInfo("Asia/Tokyo"))
    with shop.connect() as connection:
        assert connection.exec_driver_sql(asked[shop.dialect.name]).scalar() == before


def test_a_database_of_code_that_may_write_is_only_read(shop_url: str) -> None:
    make(shop_url, "CREATE TABLE orders (n INTEGER)")
    engine = open_database(database_url(shop_url))
    with pytest.raises(Denied, match=r"^the database refused: "):
        rows(engine, "INSERT INTO orders VALUES (1)")
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO orders VALUES (1)")
    assert rows(engine, "SELECT count(*) AS orders FROM orders") == [({}, {"orders": 1})]
    engine.dispose()


def test_an_interval_becomes_seconds_and_an_array_stays_several_values(postgres_shop: Engine) -> None:
    query = "SELECT interval '1 minute 1.5 seconds' AS wait, ARRAY[1.5, 2]::float8[] AS times"
    assert only_row(postgres_shop, query) == ({}, {"wait": 61.5, "times": [1.5, 2.0]})
