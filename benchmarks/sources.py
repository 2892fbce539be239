"""Measure sources from the service that they read to the warehouse: SQL beside the same query by hand.

PostgreSQL comes from its wheel, with `fsync` and `autovacuum` off; the warehouse is an empty SQLite file, made before.
Each read has a process of its own, the contestants take turns, and the table has their medians: seconds, CPU seconds of
the client and of all processes of the server, and the most memory that the client had. A goal that is missed is told,
and is no failure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from engine import last_line, positive
from warehouse import Goal, Place, line_of_table, psycopg, started

from tallyline.database import reading
from tallyline.plan import Kind, Metric, Retention
from tallyline.project import Project
from tallyline.runner import read_source
from tallyline.sources import Options, Source
from tallyline.sources.sql import SqlSource
from tallyline.warehouse import open_warehouse
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from warehouse import Server

UTC_ZONE = ZoneInfo("UTC")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
UNTIL = SINCE + timedelta(days=DAYS)
MEGABYTE = 1 << 20

EVENTS = """
    CREATE TABLE events AS
    SELECT n AS id, timestamptz '2026-01-01Z' + n * (interval '30 days' / {rows}) AS created_at,
           'c' || n % 5 AS country, (n::bigint * 7919 % 100003) / 100.0::float8 AS ms, n % 97 AS total
    FROM generate_series(0, {rows} - 1) AS numbers(n)
"""
GROUPED = """
    SELECT date_trunc('hour', created_at) AS time, {dims}
           count(*) AS "orders.count", sum(total) AS "orders.revenue"
    FROM events WHERE created_at >= {{since}} AND created_at < {{until}} GROUP BY {groups}
"""
BY_HOUR = GROUPED.format(dims="", groups="1")
BY_COUNTRY = GROUPED.format(dims="country,", groups="1, 2")
STREAMED = """
    SELECT created_at AS time, country, ms AS "api.time"
    FROM events WHERE created_at >= {since} AND created_at < {until}
"""
PLAN = {
    metric.name: metric
    for metric in (
        Metric("orders.count", unit="orders"),
        Metric("orders.revenue", unit="USD"),
        Metric("api.time", unit="ms", kind=Kind.DURATION),
    )
}


# The contestants: each makes ready, and then reads the events and returns how many values came of them


@contextmanager
def by_hand(place: Place, query: str) -> Iterator[Callable[[], int]]:
    """Fetch what the query answers."""
    connect = psycopg().connect

    def fetch() -> int:
        with connect(place.url) as connection:
            return len(connection.execute(query.format(since="%s", until="%s"), (SINCE, UNTIL)).fetchall())

    yield fetch


@contextmanager
def by_hand_streamed(place: Place, query: str) -> Iterator[Callable[[], int]]:
    """Fetch every row by a cursor of the server, and count the hours of the countries."""
    connect = psycopg().connect

    def fetch() -> int:
        hours: Counter[tuple[datetime, str]] = Counter()
        with connect(place.url) as connection, connection.cursor("events") as cursor:
            cursor.execute(query.format(since="%s", until="%s"), (SINCE, UNTIL))
            while rows := cursor.fetchmany(1000):
                for moment, country, _ in rows:
                    hours[moment.replace(minute=0, second=0, microsecond=0), country] += 1
        return len(hours)

    yield fetch


@contextmanager
def ours(place: Place, query: str) -> Iterator[Callable[[], int]]:
    """Read a source as `tallyline read --write` does."""
    psycopg()
    kind = SqlSource("shop", query.format(since=":since", until=":until"))
    source = Source("events", lambda: kind.graph("events"), Options(start=SINCE.date()), kind.definition)
    with TemporaryDirectory() as folder, reading(place.url) as shop:
        given = ({"shop": shop}, {"events": source}, (), Retention())
        project = Project(Path(folder), "", "", UTC_ZONE, PLAN, *given)
        with open_warehouse(f"sqlite:///{folder}/warehouse.db", UTC_ZONE, write=True) as warehouse:

            def read() -> int:
                result = read_source(project, source, warehouse, Window(SINCE, UNTIL), now=UNTIL, write=True)
                if result.error:
                    raise result.error
                return result.changes.added

            yield read


# What is measured, and what is hoped for


@dataclass(frozen=True)
class Figures:
    """What one read took, or the medians of several: seconds, CPU seconds of both sides, the client's MB, values."""

    wall: float
    client: float
    server: float
    memory: float
    values: float

    @property
    def cpu(self) -> float:
        """CPU seconds of both sides."""
        return self.client + self.server


@dataclass(frozen=True)
class Contestant:
    """Someone who reads so many events; `goals` are told of its figures, or beside those of another by title."""

    case: str
    title: str
    rows: int
    read: str
    query: str
    goals: tuple[Goal, ...] = ()


CASES = ("sql-by-hour", "sql-by-country", "sql-streamed")
BY_HAND, OURS = "by hand", "Tallyline"


def contestants(rows: int) -> list[Contestant]:
    """Return all who compete, case by case."""
    many = 5 * rows
    speed = Goal("speed", 0.8, "of the speed by hand", (CASES[0], BY_HAND), is_floor=True)
    memory = Goal("memory", 200, "MB at most")
    return [
        Contestant(CASES[0], BY_HAND, rows, "by_hand", BY_HOUR),
        Contestant(CASES[0], OURS, rows, "ours", BY_HOUR, (speed,)),
        Contestant(CASES[1], BY_HAND, rows, "by_hand", BY_COUNTRY),
        Contestant(CASES[1], OURS, rows, "ours", BY_COUNTRY),
        Contestant(CASES[2], BY_HAND, many, "by_hand_streamed", STREAMED),
        Contestant(CASES[2], OURS, many, "ours", STREAMED, (memory,)),
    ]


READERS = {"by_hand": by_hand, "by_hand_streamed": by_hand_streamed, "ours": ours}


def measure_in_turn(competing: Sequence[Contestant], repeat: int, server: Server) -> dict[Contestant, list[Figures]]:
    """Measure those who read as many events on one database, one after the other, and again."""
    runs: dict[Contestant, list[Figures]] = {one: [] for one in competing}
    for rows, group in itertools.groupby(competing, key=lambda one: one.rows):
        together = list(group)
        with server.database() as place:
            place.ask(EVENTS.format(rows=rows))
            place.settle(vacuum=True)
            for _, one in itertools.product(range(repeat), together):
                say(f"{one.case}: {one.title}")
                runs[one].append(measure_apart(one, place))
    return runs


def measure_apart(one: Contestant, place: Place) -> Figures:
    """Measure a read in a process of its own."""
    order = json.dumps({"read": one.read, "query": one.query, "url": place.url, "server": place.server})
    command = [sys.executable, __file__, "--measure", order]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{one.title}: {last_line(done.stderr)}")
    return Figures(**json.loads(done.stdout))


def measure(order: str) -> Figures:
    """Read, in the process of a contestant."""
    told = json.loads(order)
    place = Place(told["url"], told["server"])
    with READERS[told["read"]](place, told["query"]) as read:
        server, client, wall = place.server_seconds(), time.process_time(), time.perf_counter()
        values = read()
        wall, client = time.perf_counter() - wall, time.process_time() - client
        server = place.server_seconds() - server
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Figures(wall, client, server, most / MEGABYTE, values)


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*(statistics.median(getattr(run, field.name) for run in runs) for field in fields(Figures)))


def say(text: str) -> None:
    """Tell on a terminal what is measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


# Telling

HEAD = ("case", "contestant", "events", "s", "CPU s", "server s", "events/s", "MB", "result", "goal", "")


@dataclass(frozen=True)
class Result:
    """The figures of a contestant, beside those of the others."""

    one: Contestant
    runs: Sequence[Figures]
    others: dict[tuple[str, str], Figures]

    @property
    def median(self) -> Figures:
        """The medians of its runs."""
        return medians(self.runs)

    def value(self, goal: Goal) -> float:
        """Return what a goal is about."""
        if goal.against is None:
            return float(getattr(self.median, goal.of))
        return self.others[goal.against].cpu / self.median.cpu

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Give the cells, with a line for each goal."""
        told, one = self.median, self.one
        cells = (
            one.case,
            one.title,
            f"{one.rows:,}",
            f"{told.wall:.2f}",
            f"{told.cpu:.2f}",
            f"{told.server:.2f}",
            f"{one.rows / told.cpu:,.0f}",
            f"{told.memory:.0f}",
        )
        verdicts = [
            (f"{self.value(goal):.2f} {goal.said}", str(goal), goal.verdict(self.value(goal), one.rows))
            for goal in one.goals
        ]
        for at, verdict in enumerate(verdicts or [("", "", "")]):
            yield (*(cells if at == 0 else [""] * len(cells)), *verdict)


def table(results: Iterable[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [HEAD, *itertools.chain.from_iterable(result.lines() for result in results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(line_of_table(line, widths) for line in (HEAD, rule, *lines[1:]))


def as_plain_data(result: Result) -> dict[str, Any]:
    """Return a result for JSON."""
    return {
        "case": result.one.case,
        "contestant": result.one.title,
        "events": result.one.rows,
        "median": asdict(result.median),
        "goals": [{**asdict(goal), "value": result.value(goal)} for goal in result.one.goals],
        "runs": list(map(asdict, result.runs)),
    }


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure sources beside the same queries by hand.")
    parser.add_argument(
        "--rows", type=positive, default=10**6, help="events; five times as many raw ones (%(default)s)"
    )
    parser.add_argument("--repeat", type=positive, default=3, help="how often each read is made (%(default)s)")
    parser.add_argument("--only", metavar="CASE", choices=CASES, help=f"measure one case: {', '.join(CASES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and tell; or, in a child, make one read."""
    options = parsed()
    if options.measure:
        print(json.dumps(asdict(measure(options.measure))))
        return
    competing = [one for one in contestants(options.rows) if options.only in {None, one.case}]
    with ExitStack() as stack:
        server, version = stack.enter_context(started())
        runs = measure_in_turn(competing, options.repeat, server) if server else {}
    about = {
        "Python": platform.python_version(),
        "PostgreSQL": version,
        "processors": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.1f}",
        "repetitions": options.repeat,
    }
    others = {(one.case, one.title): medians(figures) for one, figures in runs.items()}
    results = [Result(one, figures, others) for one, figures in runs.items()]
    say("")
    print("; ".join(f"{name} {value}" for name, value in about.items()), table(results), sep="\n\n")
    if options.json:
        data = {"about": about, "results": list(map(as_plain_data, results))}
        options.json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
