"""The SQL that is printed for Grafana gives the numbers that a query gives, on either database."""

from __future__ import annotations

import math
import os
import re
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import make_url

from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Metric, Retention
from tallyline.warehouse import open_warehouse
from tallyline.warehouse.question import Query
from tallyline.warehouse.sql import as_sql
from tallyline.window import Grain, Window
from tests.warehouse.calendars import moment
from tests.warehouse.publishing import PARIS, UTC_ZONE, at, publish, reading, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tallyline.warehouse import Reading, Warehouse

    Told = list[tuple[datetime, str | None, float]]

EXAMPLES = int(os.environ.get("EXAMPLES", "1"))  # of each metric and grain; 40 are all there are
SEED = os.environ.get("SEED", "")

LORD_HOWE = ZoneInfo(
    "Australia/Lord_Howe"
)  # whose hours begin at half past, and whose clock is changed by half an hour
PLAN = {
    metric.name: metric
    for metric in (
        Metric("visits"),
        Metric("money.paid", unit="USD"),
        Metric("money.back", unit="USD"),
        Metric("users", kind=Kind.LEVEL),
        Metric("busy", kind=Kind.MEAN),
        Metric("least", kind=Kind.MINIMUM),
        Metric("most", kind=Kind.MAXIMUM),
        Metric("api.time", kind=Kind.DURATION),
        Metric("orders"),
        Metric("staff", kind=Kind.LEVEL),
        Metric("visitors", kind=Kind.DISTINCT),
        Metric("per.visit", kind=Kind.FORMULA, formula="money.paid / visits"),
        Metric("kept", kind=Kind.FORMULA, formula="money.paid - money.back"),
        Metric("of.kept", kind=Kind.FORMULA, formula="(visits + 1) / (kept / 2)"),
        Metric("mixed", kind=Kind.FORMULA, formula="-(busy - -users) * 2 - api.time.p95 / (most - least)"),
        Metric("daily", kind=Kind.FORMULA, formula="visits / 4"),  # called as a view is
        Metric("of.daily", kind=Kind.FORMULA, formula="daily * 100 / orders"),
        Metric("both", kind=Kind.FORMULA, formula="api.time.count / visitors"),
    )
}
HOURS = ("visits", "money.paid", "money.back", "users", "busy", "least", "most", "api.time")
STATISTICS = ("count", "sum", "mean", "least", "greatest", "p0", "p5", "p50", "p95", "p99", "p999")
METRICS = [*PLAN, *(f"api.time.{name}" for name in STATISTICS)]
DIMS: tuple[Mapping[str, str], ...] = (
    {"country": "FR", "plan": "pro"},
    {"country": "it's"},
    {"country": ""},
    {"plan": "one\ntwo"},
    {},
)
WHERE: tuple[Mapping[str, str], ...] = (
    {},
    {"country": "it's"},
    {"plan": "one\ntwo"},
    {"country": "FR", "plan": "pro"},
    {"country": "nowhere"},
)
SOURCES = ("shop", "app", "days", "people")
DAY = timedelta(days=1)


@dataclass
class Company:
    """A warehouse that sources fill by chance, in the days around both changes of the clock and the end of a year."""

    zone: ZoneInfo
    lot: Random
    now: datetime = field(default_factory=lambda: at("2026-03-01"))

    def fill(self, warehouse: Warehouse) -> None:
        """Read hours and days, with gaps, and clean away the first of them."""
        for first in ("2026-03-24", "2026-03-30", "2026-09-29", "2026-10-24", "2026-12-29"):
            begin = at(first, self.zone)
            self._read(warehouse, "shop", begin, 2 + self.lot.randrange(3))
            self._read(warehouse, "app", begin + self.lot.randrange(2) * DAY, 1 + self.lot.randrange(4))
            self._read_days(warehouse, begin, 3)
            self._read_people(warehouse, begin)
        self.now = at("2027-01-02")
        warehouse.clean("shop", Retention(hours=70 * DAY, days=278 * DAY), write=True)

    def _read(self, warehouse: Warehouse, source: str, begin: datetime, days: int) -> None:
        """Read hours, with more metrics from time to time, up to some minute of the last day."""
        whole = Window(begin, begin + days * DAY).widened(Grain.HOUR, self.zone)
        self.now = whole.until - self.lot.choice((timedelta(hours=7, minutes=20), timedelta(), -DAY))
        dims = DIMS[:3] if source == "shop" else DIMS[3:]
        several = {metric: self.lot.choice((0.1, 0.4, 0.8)) for metric in HOURS if self.lot.random() < 0.9}
        rows = [
            (
                {"time": hour, **of},
                {metric: self._value(metric) for metric, share in several.items() if self._is(share)},
            )
            for hour in whole.buckets(Grain.HOUR, self.zone)
            for of in dims
            if hour < self.now and self._is(0.7)
        ]
        told = reading(rows, whole, source=source, zone=self.zone, plan=PLAN, sources=SOURCES)
        unknown = [hour for hour in whole.buckets(Grain.HOUR, self.zone) if self._is(0.04)]
        missing = [Window(hour, Grain.HOUR.after(hour, self.zone)) for hour in unknown]
        publish(warehouse, replace(told, missing=missing), PLAN)

    def _read_days(self, warehouse: Warehouse, begin: datetime, days: int) -> None:
        whole = Window(begin, begin + days * DAY).widened(Grain.DAY, self.zone)
        self.now = whole.until
        rows = [
            ({"time": day, **of}, {"orders": self.lot.randrange(5), "staff": self.lot.randrange(50)})
            for day in whole.buckets(Grain.DAY, self.zone)
            for of in DIMS[:2]
            if self._is(0.6)
        ]
        told = reading(rows, whole, source="days", grain=Grain.DAY, zone=self.zone, plan=PLAN, sources=SOURCES)
        publish(warehouse, told, PLAN)

    def _read_people(self, warehouse: Warehouse, begin: datetime) -> None:
        days = Window(begin, begin + 2 * DAY).widened(Grain.DAY, self.zone)
        first, *also = (
            reading(
                [({"time": bucket, "country": "FR"}, {"visitors": self.lot.randrange(99)}) for bucket in buckets],
                whole,
                source="people",
                grain=grain,
                zone=self.zone,
                plan=PLAN,
                sources=SOURCES,
            )
            for grain in (Grain.DAY, Grain.WEEK, Grain.MONTH)
            for whole in [days.widened(grain, self.zone)]
            for buckets in [list(whole.buckets(grain, self.zone))]
        )
        warehouse.publish(warehouse.begin("people", days), first, PLAN, {}, *also)

    def _value(self, metric: str) -> object:
        if metric == "api.time":
            return [self.lot.choice((0, 0.5, self.lot.lognormvariate(4, 2))) for _ in range(self.lot.randrange(1, 9))]
        return self.lot.choice((0, 1, 7.5, 0.1, 0.2, 19.99, -3))

    def _is(self, share: float) -> bool:
        return self.lot.random() < share


@contextmanager
def plain(url: str) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Connect as Grafana does, by the database's own driver, to be asked."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            yield lambda query: file.execute(query).fetchall()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield lambda query: connection.execute(query.encode()).fetchall()


def values_of(rows: Iterable[tuple[Any, ...]]) -> Told:
    """Return the time, part and value of each row."""
    return _in_order((moment(row[0]), row[1] if len(row) > 2 else None, float(row[-1])) for row in rows)


def _in_order(rows: Iterable[tuple[datetime, str | None, float]]) -> Told:
    return sorted(rows, key=lambda row: (row[0], row[1] is None, row[1] or ""))


def differs(warehouse: Warehouse, ask: Callable[[str], Any], metric: str, asked: Mapping[str, Any]) -> str | None:
    """Say how the SQL differs from the query, in its values or in what is refused."""
    try:
        values = warehouse.query(metric, **asked)
    except Refused as refused:
        with pytest.raises(type(refused), match=re.escape(str(refused))):
            warehouse.sql(metric, **asked)
        return None
    expected = _in_order((value.time, value.part, value.value) for value in values)
    query = warehouse.sql(metric, **asked)
    told = values_of(ask(query))
    same = [row[:2] for row in told] == [row[:2] for row in expected] and all(
        math.isclose(row[2], other[2], rel_tol=1e-11) for row, other in zip(told, expected, strict=True)
    )
    return None if same else f"{metric} {asked}\n{query}\n{told}\n{expected}"


@pytest.mark.parametrize("zone", [PARIS, LORD_HOWE], ids=str)
def test_it_gives_the_numbers_of_the_query(warehouse_url: str, zone: ZoneInfo) -> None:
    company = Company(zone, Random(f"{zone} {SEED}"))  # noqa: S311  # no secret
    windows: list[dict[str, datetime]] = [
        {},
        {"since": at("2026-03-25 11:00", zone)},
        {"since": at("2026-03-30", zone), "until": at("2026-10-25 12:00", zone)},
        {"until": at("2026-01-01", zone)},
    ]
    choices = list(product((None, "country"), WHERE, windows))
    with open_warehouse(warehouse_url, zone, write=True, clock=lambda: company.now, plan=PLAN) as warehouse:
        company.fill(warehouse)
        with plain(warehouse_url) as ask:
            for metric, by in product(METRICS, Grain):
                for split, where, bounds in company.lot.sample(choices, min(EXAMPLES, len(choices))):
                    asked = {"by": by, "split": split, "where": where, **bounds}
                    assert differs(warehouse, ask, metric, asked) is None


@pytest.mark.parametrize("zone", [PARIS, LORD_HOWE], ids=str)
def test_the_view_of_what_is_known_says_what_the_query_says(warehouse_url: str, zone: ZoneInfo) -> None:
    company = Company(zone, Random(f"known in {zone} {SEED}"))  # noqa: S311  # no secret
    with open_warehouse(warehouse_url, zone, write=True, clock=lambda: company.now, plan=PLAN) as warehouse:
        company.fill(warehouse)
        with plain(warehouse_url) as ask:
            for metric, by in (*product(("visits", "orders"), Grain), *product(("visitors",), tuple(Grain)[1:4])):
                rows = ask(f"SELECT time, complete FROM known WHERE metric = '{metric}' AND grain = '{by}'")  # noqa: S608
                known = {moment(time): bool(complete) for time, complete in rows}
                assert len(known) == len(rows)
                if (metric, by) == ("orders", Grain.HOUR):
                    continue
                told = {value.time: value.complete for value in warehouse.query(metric, by=by, since=at("2026-01-01"))}
                assert {time: told[time] for time in known.keys() & told.keys()}.items() <= known.items()
                assert known.keys() <= told.keys() or metric == "visitors"


TWO_DAYS = window("2026-07-14", "2026-07-16")


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse that knows the plan."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, plan=PLAN) as warehouse:
        yield warehouse


def day_of(**metrics: float) -> tuple[dict[str, object], dict[str, object]]:
    """Return a row of the first of the two days; of a metric's name, _ stands for a dot."""
    return {"time": "2026-07-14 10:00"}, {name.replace("_", "."): value for name, value in metrics.items()}


@pytest.mark.parametrize(
    ("metric", "metrics", "expected"),
    [
        ("per.visit", {"money_paid": 5, "visits": 4}, [1.25]),
        ("per.visit", {"money_paid": 5, "visits": 0}, []),
        ("per.visit", {"visits": 4}, []),
        ("kept", {"money_paid": 0.3, "money_back": 0.3}, [0, 0]),
        ("of.kept", {"money_paid": 3, "money_back": 1, "visits": 4}, [5]),
        ("of.kept", {"money_paid": 0.3, "money_back": 0.3, "visits": 4}, []),
        ("of.daily", {"visits": 1}, []),
    ],
)
def test_a_formula_is_told_where_its_parts_are_and_never_by_zero(
    warehouse: Warehouse, warehouse_url: str, metric: str, metrics: dict[str, float], expected: list[float]
) -> None:
    publish(warehouse, reading([day_of(**metrics)], TWO_DAYS, plan=PLAN), PLAN)
    if not expected and len(metrics) == 1:
        with pytest.raises(UnknownName):
            warehouse.sql(metric)
        return
    with plain(warehouse_url) as ask:
        assert differs(warehouse, ask, metric, {}) is None
        assert [value for _, _, value in values_of(ask(warehouse.sql(metric)))] == expected


def test_sums_that_differ_in_their_last_digit_have_no_difference(warehouse: Warehouse, warehouse_url: str) -> None:
    rows = [
        ({"time": "2026-07-14 10:00", "n": n}, {"money.paid": paid, "money.back": back, "visits": 1})
        for n, (paid, back) in enumerate([(0.1, 0.3), (0.2, 0), (0, 0)])
    ]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    with plain(warehouse_url) as ask:
        assert [value for _, _, value in values_of(ask(warehouse.sql("kept")))] == [0, 0]
        assert ask(warehouse.sql("of.kept")) == []


def test_parts_are_joined_where_a_series_has_no_such_dim(warehouse: Warehouse, warehouse_url: str) -> None:
    rows = [
        ({"time": "2026-07-14 10:00", **dims}, {"money.paid": n, "visits": 2})
        for n, dims in enumerate(({}, {"country": ""}, {"country": "FR"}), start=1)
    ]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    with plain(warehouse_url) as ask:
        told = values_of(ask(warehouse.sql("per.visit", split="country")))
    assert [(part, value) for _, part, value in told] == [("", 1), ("FR", 1.5), (None, 0.5)]


def test_what_was_read_and_gave_nothing_is_zero_and_what_was_not_is_missing(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    rows = [({"time": "2026-07-14 10:00", "country": "FR"}, {"visits": 3, "users": 3})]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    since, days = at("2026-07-01"), [at("2026-07-14"), at("2026-07-15")]
    with plain(warehouse_url) as ask:

        def told(metric: str, **asked: Any) -> Told:  # noqa: ANN401  # whatever is asked for
            assert differs(warehouse, ask, metric, asked) is None
            return values_of(ask(warehouse.sql(metric, **asked)))

        assert told("visits", since=since) == [(days[0], None, 3), (days[1], None, 0)]
        assert told("visits", since=days[1]) == [(days[1], None, 0)]
        assert told("visits", since=days[1], where={"country": "FR"}) == [(days[1], None, 0)]
        assert told("visits", since=days[1], where={"country": "DE"}) == []
        assert told("visits", since=days[1], split="country") == []
        assert told("users", since=since) == [(days[0], None, 3)]


@pytest.mark.parametrize("name", ["odd.name", "1", "two words", "naïve", "$x", "it's"])
def test_dims_may_have_any_name(warehouse: Warehouse, warehouse_url: str, name: str) -> None:
    rows = [
        ({"time": "2026-07-14 10:00", name: value, "odd": '{"name": 1}'}, {"visits": n})
        for n, value in enumerate(["a", 'b"\\n--', "c' OR 1 = 1"], start=1)
    ]
    publish(warehouse, reading(rows, TWO_DAYS, plan=PLAN), PLAN)
    with plain(warehouse_url) as ask:
        for asked in ({"split": name}, {"where": {name: 'b"\\n--'}}, {"where": {name: "c' OR 1 = 1"}}):
            assert differs(warehouse, ask, "visits", {"until": at("2026-07-15"), **asked}) is None
            assert ask(warehouse.sql("visits", **asked))


def test_names_that_are_too_long_for_the_database_are_told_apart(warehouse_url: str) -> None:
    long = [f"{'very_' * 20}long.{name}" for name in ("one", "two")]
    plan = {name: Metric(name) for name in long} | {"sum": Metric("sum", kind=Kind.FORMULA, formula=" + ".join(long))}
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, plan=plan) as warehouse:
        rows = [({"time": "2026-07-14 10:00"}, {name: n}) for n, name in enumerate(long, start=1)]
        publish(warehouse, reading(rows, TWO_DAYS, plan=plan), plan)
        with plain(warehouse_url) as ask:
            assert [value for _, _, value in values_of(ask(warehouse.sql("sum")))] == [3, 0]


def test_what_a_query_refuses_is_refused(warehouse: Warehouse) -> None:
    rows = [({"date": "2026-07-14", "country": country}, {"visitors": 9, "orders": 9}) for country in ("FR", "DE")]
    publish(warehouse, reading(rows, TWO_DAYS, grain=Grain.DAY, plan=PLAN), PLAN)
    with pytest.raises(Refused, match="distinct counts cannot be added up"):
        warehouse.sql("visitors")
    with pytest.raises(Refused, match="visitors counts distinct things, by the day: who came twice would count twice"):
        warehouse.sql("visitors", by="week", where={"country": "FR"})
    with pytest.raises(Refused, match="orders is known by the day, not by the hour"):
        warehouse.sql("orders", by="hour")
    with pytest.raises(UnknownName, match='no dim of orders called "county"; did you mean "country"'):
        warehouse.sql("orders", split="county")
    for name in ("ordres", "orders.p95", "per.visit"):
        with pytest.raises(UnknownName, match=r"no metric in the warehouse called"):
            warehouse.sql(name)
    for asked in (Query("orders", compare=Grain.WEEK), Query("orders", as_of=at("2026-07-14"))):
        with pytest.raises(Refused, match="SQL tells values as they are now, and no others"):
            as_sql(asked, PLAN, UTC_ZONE, "sqlite")
    with pytest.raises(Refused, match="hours are kept elsewhere than days; leave out the grain"):
        as_sql(Query("orders", by=Grain.HOUR), PLAN, UTC_ZONE, "sqlite", grain="$grain")
    with pytest.raises(Refused, match="visitors counts distinct things, each grain of its own; leave out the grain"):
        as_sql(Query("visitors"), PLAN, UTC_ZONE, "sqlite", grain="$grain")


def test_distinct_counts_of_series_that_come_later_are_not_added_up(warehouse: Warehouse, warehouse_url: str) -> None:
    def told(*countries: str) -> Reading:
        rows = [({"date": "2026-07-14", "country": country}, {"visitors": 9}) for country in countries]
        rows.append(({"date": "2026-07-15", "country": "FR"}, {"visitors": 5}))
        return reading(rows, TWO_DAYS, grain=Grain.DAY, plan=PLAN)

    publish(warehouse, told("FR"), PLAN)
    query = warehouse.sql("visitors")
    publish(warehouse, told("FR", "DE"), PLAN)
    with plain(warehouse_url) as ask:
        assert values_of(ask(query)) == [(at("2026-07-15"), None, 5)]


@pytest.mark.parametrize("by", Grain)
def test_moments_may_be_expressions_and_cut_no_bucket(warehouse_url: str, by: Grain) -> None:
    """Grafana's macros are such expressions: buckets are told whole that begin between them."""
    whole = window("2026-02-01", "2026-04-10", PARIS)
    rows = [({"time": hour}, {"visits": 1, "users": 2}) for hour in whole.buckets(Grain.HOUR, PARIS)]
    since, until = at("2026-02-17 14:30", PARIS), at("2026-04-08 02:30", PARIS)
    dialect = "sqlite" if warehouse_url.startswith("sqlite") else "postgresql"
    begin, end = (
        f"{moment.timestamp():.0f} + 0" if dialect == "sqlite" else f"to_timestamp({moment.timestamp():.0f})"
        for moment in (since, until)
    )
    with open_warehouse(warehouse_url, PARIS, write=True, plan=PLAN) as warehouse, plain(warehouse_url) as ask:
        publish(warehouse, reading(rows, whole, zone=PARIS, plan=PLAN), PLAN)
        for metric in ("visits", "users"):
            query = as_sql(Query(metric, by), PLAN, PARIS, dialect, since=begin, until=end)
            told = [(time, value) for time, _, value in values_of(ask(query))]
            values = warehouse.query(metric, by=by)
            assert told == [(value.time, value.value) for value in values if since <= value.time < until]


def test_it_needs_nothing_but_the_views(postgres_url: str) -> None:
    company = Company(PARIS, Random(1))  # noqa: S311  # no secret
    with open_warehouse(postgres_url, PARIS, write=True, clock=lambda: company.now, plan=PLAN) as warehouse:
        company.fill(warehouse)
        warehouse.grant_reading("sql_viewer", "secret")
        role = make_url(postgres_url).set(username="sql_viewer").render_as_string(hide_password=False)
        with plain(role) as ask:
            for metric, by in product(METRICS, (Grain.DAY, Grain.WEEK)):
                assert differs(warehouse, ask, metric, {"by": by, "where": {"country": "FR"}, "split": None}) is None
    rows_of(postgres_url, "DROP OWNED BY sql_viewer; DROP ROLE sql_viewer")


def test_it_can_be_read() -> None:
    asked = Query("visits", Grain.WEEK, at("2026-03-25", PARIS), at("2026-04-06", PARIS), {"country": "FR"})
    assert (
        as_sql(asked, PLAN, PARIS, "postgresql")
        == """\
WITH counted AS (
  SELECT
    calendar.week AS time,
    sum(value) AS value
  FROM daily
  JOIN calendar ON calendar.grain = 'day' AND calendar.time = daily.time
  WHERE metric = 'visits'
    AND dims ->> 'country' = 'FR'
    AND daily.time >= '2026-03-22T23:00:00+00:00'
    AND calendar.week >= '2026-03-22T23:00:00+00:00'
    AND calendar.week < '2026-04-05T22:00:00+00:00'
  GROUP BY calendar.week
),
zeros AS (
  SELECT
    time,
    0.0 AS value
  FROM known
  WHERE metric = 'visits'
    AND grain = 'week'
    AND time >= '2026-03-22T23:00:00+00:00'
    AND time < '2026-04-05T22:00:00+00:00'
    AND EXISTS (
      SELECT *
      FROM metric_series
      WHERE metric = 'visits'
        AND dims ->> 'country' = 'FR'
    )
)
SELECT
  time,
  sum(value) AS value
FROM (
  SELECT * FROM counted
  UNION ALL
  SELECT * FROM zeros
) AS told
GROUP BY time
ORDER BY time"""
    )
    assert as_sql(Query("per.visit"), PLAN, PARIS, "sqlite").endswith("""
SELECT
  time,
  value
FROM (
  SELECT
    time,
    "money.paid".value / NULLIF("visits".value, 0) AS value
  FROM "money.paid"
  JOIN "visits" USING (time)
) AS calculated
WHERE value IS NOT NULL
ORDER BY time""")
