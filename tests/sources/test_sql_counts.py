"""How many rows tables have, counted by databases: now, and at the end of each hour or day of a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from tallyline.database import database_url, open_database, reading
from tallyline.errors import Denied, NodeFailed, Refused, UnexpectedAnswer, UnknownName
from tallyline.graph import node, run
from tallyline.plan import Kind
from tallyline.sources.sql import SqlSource
from tallyline.window import Grain, Window, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

UTC_ZONE, PARIS, KOLKATA = ZoneInfo("UTC"), ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 7, 16, 9, 30, tzinfo=UTC)
MADE = (
    "2026-07-01 12:00:00",
    "2026-07-13 21:59:59",
    "2026-07-13 22:00:00",
    "2026-07-14 00:00:00",
    "2026-07-14 18:29:59",
    "2026-07-14 18:30:00",
    "2026-07-15 23:59:59",
)
BY_TIME = {"users": {"metric": "users.total", "time": "created_at"}}


@pytest.fixture
def shop(shop_url: str) -> Iterator[Engine]:
    """A shop with users who came at known times, in UTC, and one of whom that is not known."""
    kind = "DATETIME" if shop_url.startswith("mysql") else "TIMESTAMP"
    values = ", ".join(f"('{time}')" for time in MADE)
    write(
        shop_url,
        f"CREATE TABLE users (created_at {kind})",
        f"INSERT INTO users VALUES {values}, (NULL)",  # noqa: S608
        "CREATE TABLE api_keys (id INTEGER)",
        "INSERT INTO api_keys VALUES (1), (2), (3)",
    )
    with reading(shop_url) as engine:
        yield engine


def write(url: str, *statements: str) -> None:
    """Write to a database, past what is tested."""
    engine = open_database(database_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def days(since: str, until: str, zone: ZoneInfo = UTC_ZONE) -> Window:
    """Return the window from one day up to another."""
    return Window(parse_moment(since, zone), parse_moment(until, zone))


def counted(
    shop: Engine,
    counts: Any,  # noqa: ANN401  # as a project declares them
    window: Window,
    *,
    zone: ZoneInfo = UTC_ZONE,
    source_zone: ZoneInfo = UTC_ZONE,
    grain: Grain = Grain.DAY,
    now: datetime = NOW,
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Count the rows of tables as a run does."""
    rows: list[Any] = []
    given = {"window": window, "zone": zone, "source_zone": source_zone, "grain": grain, "now": now}
    run(
        SqlSource("shop", counts=counts).graph("objects").followed_by(node(rows.append, name="keep")),
        {"shop": shop, **given},
    )
    return rows


def totals(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[str, int]]:
    """Return when each bucket began, in UTC, and how many users there were at its end."""
    return [(f"{dims['time']:%d %H:%M}", metrics["users.total"]) for dims, metrics in rows]


def test_rows_are_counted_at_the_end_of_each_day_up_to_and_with_the_running_one(shop: Engine) -> None:
    rows = counted(shop, BY_TIME, days("2026-07-13", "2026-07-18"))
    assert totals(rows) == [("13 00:00", 3), ("14 00:00", 6), ("15 00:00", 7), ("16 00:00", 7)]


def test_days_are_those_of_the_business(shop: Engine) -> None:
    rows = counted(shop, BY_TIME, days("2026-07-13", "2026-07-16", PARIS), zone=PARIS)
    assert totals(rows) == [("12 22:00", 2), ("13 22:00", 6), ("14 22:00", 6)]


def test_hours_of_a_zone_that_begin_at_half_past_are_cut_rightly(shop: Engine) -> None:
    rows = counted(shop, BY_TIME, days("2026-07-13", "2026-07-16", KOLKATA), zone=KOLKATA)
    assert totals(rows) == [("12 18:30", 1), ("13 18:30", 5), ("14 18:30", 6)]
    hours = counted(shop, BY_TIME, days("2026-07-14", "2026-07-15", KOLKATA), zone=KOLKATA, grain=Grain.HOUR)
    assert totals(hours)[3:5] == [("13 21:30", 3), ("13 22:30", 3)]


def test_times_are_those_of_the_source(shop: Engine) -> None:
    """In Paris, 00:00 on 14 July is 22:00 the evening before in UTC."""
    rows = counted(shop, BY_TIME, days("2026-07-13", "2026-07-15"), source_zone=PARIS)
    assert totals(rows) == [("13 00:00", 4), ("14 00:00", 6)]


def test_hours_are_counted_as_days_are(shop: Engine) -> None:
    rows = counted(shop, BY_TIME, days("2026-07-14", "2026-07-15"), grain=Grain.HOUR)
    assert len(rows) == 24
    assert totals(rows)[0] == ("14 00:00", 4)
    assert totals(rows)[17:19] == [("14 17:00", 4), ("14 18:00", 6)]


def test_a_window_in_which_nothing_was_made_has_what_was_there_before(shop: Engine) -> None:
    assert totals(counted(shop, BY_TIME, days("2026-07-05", "2026-07-06"))) == [("05 00:00", 1)]
    assert totals(counted(shop, BY_TIME, days("2020-01-01", "2020-01-02"))) == [("01 00:00", 0)]


def test_a_table_that_says_no_time_is_counted_now(shop: Engine) -> None:
    running = days("2026-07-16", "2026-07-17")
    counts = {"api_keys": "apikeys.total", **BY_TIME}
    assert counted(shop, counts, running) == [
        ({"time": NOW}, {"apikeys.total": 3}),
        ({"time": running.since}, {"users.total": 7}),
    ]


def test_how_many_there_were_before_is_not_made_up(shop: Engine) -> None:
    with pytest.raises(NodeFailed) as failed:
        counted(shop, {"api_keys": "apikeys.total"}, days("2026-07-14", "2026-07-17"))
    assert isinstance(failed.value.__cause__, Refused)
    assert str(failed.value) == (
        'objects failed: how many rows "api_keys" had before cannot be known: declare snapshot = true, or the column '
        'that says when a row was made: api_keys = { metric = "apikeys.total", time = "…" }'
    )


@pytest.mark.parametrize("column", ["creatd_at", "id"])
def test_a_column_that_is_not_there_is_told(shop: Engine, column: str) -> None:
    """Also by SQLite, which takes a quoted name for text where there is no such column."""
    counts = {"users": {"metric": "users.total", "time": column}}
    with pytest.raises(NodeFailed, match=f'the database "shop" refused the count of "users": .*{column}') as failed:
        counted(shop, counts, days("2026-07-13", "2026-07-14"))
    assert isinstance(failed.value.__cause__, Denied)


def test_a_table_that_is_not_there_is_told(shop: Engine) -> None:
    with pytest.raises(NodeFailed, match=r'refused the count of "profiles": .*profiles'):
        counted(
            shop, {"profiles": {"metric": "profiles.total", "time": "created_at"}}, days("2026-07-13", "2026-07-14")
        )


def test_names_are_quoted(shop_url: str) -> None:
    on_mysql = shop_url.startswith("mysql")
    table, column = ("`Order`", "`select`") if on_mysql else ('"Order"', '"select"')
    write(shop_url, f"CREATE TABLE {table} ({column} {'DATETIME' if on_mysql else 'TIMESTAMP'})")
    write(shop_url, f"INSERT INTO {table} VALUES ('2026-07-13 10:00:00')")  # noqa: S608
    counts = {"Order": {"metric": "orders.total", "time": "select"}}
    with reading(shop_url) as engine:
        assert counted(engine, counts, days("2026-07-13", "2026-07-14"))[0][1] == {"orders.total": 1}


def test_a_schema_may_be_named(postgres_url: str) -> None:
    write(
        postgres_url, "CREATE SCHEMA sales", "CREATE TABLE sales.orders AS SELECT TIMESTAMPTZ '2026-07-13 10:00Z' AS at"
    )
    counts = {"sales.orders": {"metric": "orders.total", "time": "at"}}
    with reading(postgres_url) as engine:
        assert counted(engine, counts, days("2026-07-13", "2026-07-14"))[0][1] == {"orders.total": 1}


def test_moments_of_postgresql_are_counted_where_they_belong(postgres_url: str) -> None:
    values = ", ".join(f"('{time}Z')" for time in MADE)
    write(postgres_url, "CREATE TABLE users (created_at TIMESTAMPTZ)", f"INSERT INTO users VALUES {values}")  # noqa: S608
    with reading(postgres_url) as engine:
        for zone in (UTC_ZONE, PARIS, KOLKATA):
            window = days("2026-07-13", "2026-07-16", PARIS)
            rows = counted(engine, BY_TIME, window, zone=PARIS, source_zone=zone)
            assert totals(rows) == [("12 22:00", 2), ("13 22:00", 6), ("14 22:00", 6)]


@pytest.mark.parametrize("value", ["1783981800", "'13/07/2026'"])
def test_what_is_no_time_is_not_counted_wrongly(tmp_path: Any, value: str) -> None:  # noqa: ANN401
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    write(url, "CREATE TABLE users (created_at)", f"INSERT INTO users VALUES ({value})")  # noqa: S608
    with reading(url) as engine, pytest.raises(NodeFailed) as failed:
        counted(engine, BY_TIME, days("2026-07-13", "2026-07-14"))
    assert isinstance(failed.value.__cause__, UnexpectedAnswer)
    assert str(failed.value).endswith('the column "created_at" of "users" holds what is no time; write a query')


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"users; DROP TABLE users": "users.total"}, '"users; DROP TABLE users" is not the name of a table'),
        ({'users" --': "users.total"}, '"users" --" is not the name of a table'),
        ({"a.b.c": "users.total"}, '"a.b.c" is not the name of a table'),
        ({"users": {"metric": "users.total", "time": "now()"}}, r'"now()" is not the name of a column'),
        ({"users": "Users"}, '"Users" is not a metric\'s name'),
        (
            {"users": {"time": "created_at"}},
            'the count of "users" has no metric; write users = { metric = "users.total"',
        ),
        ({"users": "users.total", "people": "users.total"}, "two tables are counted as users.total"),
    ],
)
def test_what_cannot_be_counted_is_refused_at_once(counts: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        SqlSource("shop", counts=counts)
    assert str(refused.value).startswith(said)


def test_a_key_that_is_misspelt_is_told() -> None:
    with pytest.raises(UnknownName, match='there is no key "tiem"; did you mean "time"'):
        SqlSource("shop", counts={"users": {"metric": "users.total", "tiem": "created_at"}})


def test_the_source_tells_its_metrics() -> None:
    source = SqlSource("shop", counts={"sales.api_keys": "apikeys.total", **BY_TIME})
    assert {name: (metric.kind, metric.unit) for name, metric in source.metrics.items()} == {
        "apikeys.total": (Kind.LEVEL, "api keys"),
        "users.total": (Kind.LEVEL, "users"),
    }


def test_many_hours_cost_one_query(shop: Engine) -> None:
    asked: list[str] = []
    from sqlalchemy import event  # noqa: PLC0415

    event.listen(shop, "before_cursor_execute", lambda *said: asked.append(said[2]))
    counted(shop, BY_TIME, days("2026-04-01", "2026-07-01"), grain=Grain.HOUR, now=NOW + timedelta(days=1))
    assert len([query for query in asked if "users" in query]) == 1
