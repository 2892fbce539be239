"""A made-up company with two years of numbers, and its page as a program: `python company.py FOLDER`."""

from __future__ import annotations

import math
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tallyline.dashboards import Dashboard, Panel, Shows, Size
from tallyline.plan import Kind, Metric, Normalizer, Points, with_units
from tallyline.sources import source
from tallyline.warehouse import Reading, open_warehouse
from tallyline.web import make_app, serve
from tallyline.window import Grain, Window, start_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tallyline.warehouse import Warehouse

    Row = tuple[dict[str, object], dict[str, float]]

ZONE = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 23, 13, 20, tzinfo=UTC)  # a Monday, 14:20 in Paris
TODAY = date(2026, 11, 23)
FIRST_DAY = date(2024, 11, 24)
GAP = range(400, 412)
SILENT_DAYS = 5

PLAN = with_units({
    metric.name: metric
    for metric in (
        Metric("users.new", "New users", "users"),
        Metric("revenue", "Revenue", "USD"),
        Metric("api.calls", "API calls", "calls"),
        Metric("users.paying", "Paying users", "users", Kind.LEVEL),
        Metric("screenshots.slowest", "Slowest screenshot", "ms", Kind.MAXIMUM),
        Metric("visits", "Visits", "visits"),
        Metric("churn", "Users who left", "users"),
        Metric("visitors", "Visitors", "visitors", Kind.DISTINCT),
        Metric("paying", "New users of those who pay", kind=Kind.FORMULA, formula="users.new / users.paying"),
    )
})  # fmt: skip
SOURCES = {
    name: source(schedule=schedule)(list).named(name)
    for name, schedule in (("product", "@daily"), ("api", "@hourly"), ("analytics", "@daily"), ("stripe", "@daily"))
}
DASHBOARDS = (
    Dashboard("overview", "Overview", (
        Panel("users.new"), Panel("users.new", "New users by country", split="country"), Panel("revenue"),
        Panel("api.calls"), Panel("users.paying"), Panel("screenshots.slowest"), Panel("visits"), Panel("churn"),
    )),
    Dashboard("growth", "Growth <b>", (Panel("users.new", by=Grain.MONTH), Panel("revenue", by=Grain.WEEK))),
    Dashboard("goals", "Goals", (
        Panel("users.new", compare=Grain.WEEK, target=250, size=Size.WIDE, description="Who signed up <b>today</b>."),
        Panel("revenue", compare=Grain.WEEK, target=2200, size=Size.SMALL, description="What was paid."),
        Panel("paying", target=2, size=Size.SMALL),
        Panel("visits", size=Size.SMALL),
        Panel("users.new", "New in France", where={"country": "FR"}, compare=Grain.YEAR),
        Panel("paying", target=2),
        Panel("users.new", "By country", split="country", compare=Grain.WEEK, target=250),
    ), "Where Pagesnap wants to be.", public=True),
    Dashboard("pipeline", "Pipeline", (
        Panel(shows=Shows.FRESHNESS, size=Size.WIDE), Panel(shows=Shows.RUNS), Panel(shows=Shows.COVERAGE),
        Panel(shows=Shows.FRESHNESS, size=Size.SMALL), Panel(shows=Shows.RUNS, size=Size.SMALL),
        Panel(shows=Shows.COVERAGE, size=Size.SMALL),
    )),
)  # fmt: skip
COUNTRIES = {
    "US": 30,
    "DE": 12,
    "GB": 10,
    "FR": 9,
    "IN": 9,
    "BR": 6,
    "CA": 5,
    "NL": 5,
    "ES": 4,
    "JP": 4,
    "PL": 3,
    "AU": 3,
}


def fill(warehouse: Warehouse) -> None:
    """Publish two years: by the day with a gap, by the hour with a running day, and a source that fell silent."""
    whole = Window(start_of_day(FIRST_DAY, ZONE), start_of_day(TODAY + timedelta(days=1), ZONE))
    publish(warehouse, "product", whole, Grain.DAY, _days())
    publish(warehouse, "api", whole, Grain.HOUR, _hours(whole))
    heard = Window(whole.since, start_of_day(TODAY - timedelta(days=SILENT_DAYS), ZONE))
    publish(warehouse, "analytics", heard, Grain.DAY, _visits())
    failed = warehouse.begin("analytics", Window(heard.until, whole.until))
    warehouse.end(failed, state="failed", error="ga4 failed: 403 <b>no access</b>", report={"nodes": []})
    warehouse.begin("product", whole)


def publish(warehouse: Warehouse, source: str, window: Window, grain: Grain, rows: Iterable[Row]) -> None:
    """Run `source` once: read `rows` and publish them."""
    run = warehouse.begin(source, window)
    normalize, points = Normalizer(PLAN, window, grain, ZONE, ZONE), Points()
    for row in rows:
        for point in normalize(row):
            points.add(point)
    nodes = [
        {"name": f"read_{source}", "in": 0, "out": len(points), "errors": 0, "seconds": 0.8, "state": "done"},
        {"name": "write", "in": len(points), "out": 0, "errors": 0, "seconds": 0.3, "state": "done"},
    ]
    warehouse.publish(run, Reading(source, window, grain, points), PLAN, {"state": "done", "nodes": nodes})


def _days() -> Iterator[Row]:
    random = Random(7)  # noqa: S311  # invents numbers
    paying = 180.0
    for index in range((TODAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + timedelta(days=index)
        strength = _strength(day, index) * (0.55 if day == TODAY else 1)
        paying += random.gauss(0.9, 2)
        for country, share in COUNTRIES.items():
            mean = 1.4 * share * strength
            yield {"date": day, "country": country}, {"users.new": max(0, round(random.gauss(mean, math.sqrt(mean))))}
        spread = random.lognormvariate(0, 0.12)
        money = round(2100 * strength * spread, 2)
        yield {"date": day}, {"revenue": money, **({} if index in GAP else {"users.paying": round(paying)})}


def _hours(window: Window) -> Iterator[Row]:
    random = Random(11)  # noqa: S311  # invents numbers
    for index, hour in enumerate(window.buckets(Grain.HOUR, ZONE)):
        if hour > NOW:
            return
        local = hour.astimezone(ZONE)
        rhythm = 1 + 0.6 * math.sin((local.hour - 8) / 24 * 2 * math.pi)
        calls = 900 * _strength(local.date(), index // 24) * rhythm * random.lognormvariate(0, 0.1)
        slow = 3.2 if date(2026, 9, 14) <= local.date() <= date(2026, 9, 17) else 1
        yield (
            {"time": hour},
            {"api.calls": round(calls), "screenshots.slowest": round(2400 * slow * random.lognormvariate(0, 0.2))},
        )


def _visits() -> Iterator[Row]:
    random = Random(13)  # noqa: S311  # invents numbers
    for index in range((TODAY - FIRST_DAY).days - SILENT_DAYS):
        day = FIRST_DAY + timedelta(days=index)
        yield {"date": day}, {"visits": round(3200 * _strength(day, index) * random.lognormvariate(0, 0.15))}


def _strength(day: date, index: int) -> float:
    week = (1.15, 1.2, 1.2, 1.15, 1.05, 0.65, 0.6)[day.weekday()]
    season = 1 - 0.15 * math.exp(-(((day.timetuple().tm_yday - 215) / 25) ** 2))
    return week * season * math.pow(1.9, index / 730)


def main(folder: Path) -> None:
    """Serve the page of the company whose warehouse lies in `folder`, made there if missing."""
    url = f"sqlite:///{folder / 'company.db'}"
    is_new = not (folder / "company.db").exists()
    with open_warehouse(url, ZONE, write=True, clock=lambda: NOW, plan=PLAN) as warehouse:
        if is_new:
            fill(warehouse)
        app = make_app(
            title="Pagesnap",
            zone=ZONE,
            plan=PLAN,
            dashboards=DASHBOARDS,
            warehouse=warehouse,
            clock=lambda: NOW,
            sources=SOURCES,
        )
        serve(app, port=0, ready=lambda address: print(address, flush=True))  # noqa: T201  # the test reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
