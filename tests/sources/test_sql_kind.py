"""`kind = "sql"` as a project declares it: several queries, late values, secrets, and what doctor tries."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from sqlalchemy import make_url

from tallyline.database import database_url, open_database, reading
from tallyline.errors import Denied, NodeFailed, Refused
from tallyline.graph import node, run
from tallyline.sources.sql import SqlSource
from tallyline.window import Grain, Window
from tests.cli.terminal import make_project, tallyline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 7, 14, 15, 20, tzinfo=UTC)
DAY = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
GIVEN = {"window": DAY, "source_zone": UTC_ZONE, "zone": UTC_ZONE, "grain": Grain.HOUR, "now": NOW}
HOURS = {
    "sqlite": "strftime('%Y-%m-%d %H:00:00', created_at)",
    "postgresql": "date_trunc('hour', created_at)",
    "mysql": "date_format(created_at, '%Y-%m-%d %H:00:00')",
}
PROJECT = """
[project]
start = 2026-07-13

[services]
shop = "${{SHOP_URL}}"

[metrics]
"orders.count" = {{ title = "Orders", unit = "orders" }}
"api.time" = {{ unit = "ms", kind = "duration" }}

[sources.{name}]
kind = "sql"
service = "shop"
timezone = "UTC"
{keys}
"""


@pytest.fixture
def shop_with_orders(shop_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a shop with three orders in two hours, which is also in the environment."""
    kind = "DATETIME" if shop_url.startswith("mysql") else "TIMESTAMP"
    write(
        shop_url,
        f"CREATE TABLE orders (created_at {kind}, ms INTEGER)",
        "INSERT INTO orders VALUES ('2026-07-14 10:10:00', 5), ('2026-07-14 10:20:00', 7), ('2026-07-14 12:00:00', 9)",
    )
    monkeypatch.setenv("SHOP_URL", shop_url)
    return shop_url


@pytest.fixture
def shop(shop_with_orders: str) -> Iterator[Engine]:
    """The shop as a source is given it."""
    with reading(shop_with_orders) as engine:
        yield engine


def write(url: str, *statements: str) -> None:
    """Write to a database, past what is tested."""
    engine = open_database(database_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def by_hour(url: str) -> str:
    """Return the keys of a source that counts orders by the hour."""
    hour = HOURS[make_url(url).get_backend_name()]
    return f'''query = """
        SELECT {hour} AS time, count(*) AS "orders.count" FROM orders
        WHERE created_at >= :since AND created_at < :until GROUP BY 1
    """'''  # noqa: S608  # of the test


@time_machine.travel(NOW, tick=False)
def read(folder: Path, *options: str) -> Any:  # noqa: ANN401  # JSON
    """Read all sources of a project, and return what is told as JSON."""
    answer = tallyline("read", "all", "--write", "--json", *options, project=folder)
    assert answer.status == 0, answer.err
    return answer.data


@time_machine.travel(NOW, tick=False)
def shown(folder: Path, metric: str, by: str = "hour") -> dict[str, float]:
    """Return the values of a metric of the last two days that are not zero, by when they begin."""
    answer = tallyline("show", metric, "--by", by, "--last", "2d", "--json", project=folder)
    assert answer.status == 0, answer.err
    return {point["time"][5:16]: point["value"] for point in answer.data if point["value"]}


def rows(shop: Engine, source: SqlSource) -> list[Any]:
    """Read a source as a run does."""
    read: list[Any] = []
    run(source.graph("orders").followed_by(node(read.append, name="keep")), {"shop": shop, **GIVEN})
    return read


def probed(shop: Engine, source: SqlSource) -> list[str]:
    """Return what a probe tells."""
    told: list[str] = []
    run(source.probe("orders").followed_by(node(told.append, name="tell")), {"shop": shop, **GIVEN})
    return told


def test_events_become_hourly_values(shop_with_orders: str, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", PROJECT.format(name="orders", keys=by_hour(shop_with_orders)))
    read(folder)
    assert shown(folder, "orders.count") == {"07-14T10:00": 2, "07-14T12:00": 1}


def test_late_rows_replace_what_was_published(shop_with_orders: str, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", PROJECT.format(name="orders", keys=by_hour(shop_with_orders)))
    read(folder)
    write(shop_with_orders, "INSERT INTO orders VALUES ('2026-07-14 10:30:00', 3)")
    write(shop_with_orders, "DELETE FROM orders WHERE created_at = '2026-07-14 12:00:00'")
    assert read(folder)[0]["changes"] == {"added": 0, "changed": 1, "removed": 1, "unchanged": 0}
    assert shown(folder, "orders.count") == {"07-14T10:00": 3}


def test_an_empty_window_is_read_and_has_no_values(shop_with_orders: str, tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", PROJECT.format(name="orders", keys=by_hour(shop_with_orders)))
    [told] = read(folder, "--since=2026-07-13", "--until=2026-07-14")
    assert told["state"] == "done"
    assert told["changes"]["added"] == 0


def test_a_days_percentile_is_that_of_all_its_raw_durations(shop_with_orders: str, tmp_path: Path) -> None:
    """One slow hour at night weighs as much as it has events."""
    slow = [9000 + at for at in range(10)]
    fast = [10 + at % 50 for at in range(2990)]
    values = [
        f"('2026-07-14 {3 if ms in slow else 4 + at % 5:02}:00:00', {ms})" for at, ms in enumerate([*slow, *fast])
    ]
    write(shop_with_orders, "DELETE FROM orders", f"INSERT INTO orders VALUES {', '.join(values)}")  # noqa: S608
    keys = """query = '''
        SELECT created_at AS time, ms AS "api.time" FROM orders WHERE created_at >= :since AND created_at < :until
    '''"""
    folder = make_project(tmp_path / "project", PROJECT.format(name="timings", keys=keys))
    read(folder)
    assert shown(folder, "api.time.count", "day") == {"07-14T00:00": 3000}
    assert shown(folder, "api.time.count")["07-14T03:00"] == 10
    exact = sorted([*slow, *fast])[math.ceil(0.95 * 3000) - 1]
    assert shown(folder, "api.time.p95", "day")["07-14T00:00"] == pytest.approx(exact, rel=0.004)
    assert shown(folder, "api.time.p95")["07-14T03:00"] == pytest.approx(9009, rel=0.004)
    assert shown(folder, "api.time", "day")["07-14T00:00"] == pytest.approx(math.fsum([*slow, *fast]) / 3000)


def test_several_queries_are_read_one_after_the_other(shop: Engine) -> None:
    queries = {"few": "SELECT 'few' AS kind, 1 AS orders", "many": "SELECT 'many' AS kind, 2 AS orders"}
    source = SqlSource(
        "shop", "SELECT 'one' AS kind, 0 AS orders", queries, {"orders": {"metric": "n", "time": "created_at"}}
    )
    told = rows(shop, source)
    assert [dims["kind"] for dims, _ in told[:3]] == ["one", "few", "many"]
    assert [metrics["n"] for _, metrics in told[3:]] == [0] * 10 + [2, 2, 3, 3, 3, 3]


def test_a_query_that_fails_is_named(shop: Engine) -> None:
    source = SqlSource("shop", queries={"good": "SELECT 1 AS orders", "bad": "SELECT 1 FROM nowhere"})
    with pytest.raises(NodeFailed, match=r'^orders failed: the database "shop" refused the query "bad": .*nowhere'):
        rows(shop, source)


def test_the_definition_has_everything_that_numbers_are_made_of() -> None:
    assert SqlSource("shop", "SELECT 1 AS orders").definition == "SELECT 1 AS orders"
    counts: dict[str, Any] = {"users": "users.total", "keys": {"metric": "keys.total", "time": "created_at"}}
    assert SqlSource("shop", queries={"few": "SELECT 1"}, counts=counts).definition == (
        "-- few\nSELECT 1\n-- users.total: rows of users\n-- keys.total: rows of keys by created_at"
    )


@pytest.mark.parametrize("limit", ["", "10", "10m", "0s", "-1s", "1 d", "1e3s"])
def test_a_time_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(Refused) as refused:
        SqlSource("shop", "SELECT 1", time_limit=limit)
    assert str(refused.value) == f'time_limit is "{limit}"; write a number and s, min or h, such as 10min'


def test_a_source_that_asks_for_nothing_is_refused() -> None:
    with pytest.raises(Refused, match=r"^it asks for nothing; give it a query, several queries by name, or tables"):
        SqlSource("shop")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "it asks for nothing; give it a query"),
        ('query = "SELECT 1"\ntime_limit = "2 weeks"', 'time_limit is "2 weeks"; write a number and s, min or h'),
        ('counts = { "a b" = "x" }', '"a b" is not the name of a table'),
        ('counts = { users = { metric = "users.total", tiem = "t" } }', 'there is no key "tiem"; did you mean "time"'),
        ("counts = { users = 3 }", "3 is a number"),
        ('queries = ["SELECT 1"]', "this is to be a"),
    ],
)
def test_mistakes_in_the_project_file_are_told_with_their_place(tmp_path: Path, keys: str, said: str) -> None:
    answer = tallyline("inspect", project=make_project(tmp_path, PROJECT.format(name="orders", keys=keys)))
    assert answer.status == 2
    assert said in answer.err
    assert "tallyline.toml:" in answer.err


def test_what_is_counted_needs_no_place_in_the_plan(shop_with_orders: str, tmp_path: Path) -> None:
    keys = 'counts = { orders = { metric = "orders.total", time = "created_at" } }'
    folder = make_project(tmp_path / "project", PROJECT.format(name="objects", keys=keys))
    read(folder)
    assert shown(folder, "orders.total", "day") == {"07-14T00:00": 3}


def test_doctor_tries_each_query_and_count(shop: Engine) -> None:
    source = SqlSource(
        "shop",
        "SELECT created_at AS time, 1 AS orders FROM orders WHERE created_at >= :since AND created_at < :until",
        {"all": "SELECT 'FR' AS country, 1 AS orders"},
        {"orders": {"metric": "orders.total", "time": "created_at"}},
    )
    told = probed(shop, source)
    assert told[0].startswith("connected to ")
    assert told[1:] == [
        "the transaction is read-only",
        "the query runs; its columns are time, orders",
        'the query "all" runs; its columns are country, orders',
        'may count "orders"',
    ]


@pytest.mark.parametrize(
    "source",
    [
        SqlSource("shop", "SELECT 1 AS orders FROM nowhere"),
        SqlSource("shop", counts={"nowhere": "orders.total"}),
        SqlSource("shop", counts={"orders": {"metric": "orders.total", "time": "nowhere"}}),
        SqlSource("shop", "SELECT :untill AS orders"),
    ],
)
def test_doctor_says_what_does_not_work(shop: Engine, source: SqlSource) -> None:
    with pytest.raises(NodeFailed, match=r"nowhere|untill") as failed:
        probed(shop, source)
    assert isinstance(failed.value.__cause__, Denied)


@pytest.mark.parametrize("fixture", ["postgres_url", "mysql_url"])
def test_a_password_is_nowhere_to_be_found(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fixture: str,
) -> None:
    url = make_url(request.getfixturevalue(fixture)).set(username="nobody", password="planted-password")  # noqa: S106
    monkeypatch.setenv("SHOP_URL", url.render_as_string(hide_password=False))
    folder = make_project(tmp_path / "project", PROJECT.format(name="orders", keys='query = "SELECT 1 AS orders"'))
    with caplog.at_level(0):
        answers = [tallyline("read", "all", *options, project=folder) for options in (["--write"], ["--json"])]
    answers += [tallyline("status", project=folder), tallyline("doctor", project=folder)]
    assert answers[0].status == 1
    assert "refused who asks" in answers[0].out + answers[0].err
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"planted" not in written
    assert not any("planted" in text for answer in answers for text in (answer.out, answer.err))
    assert "planted" not in caplog.text
