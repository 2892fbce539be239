"""Writing to a warehouse as a run does, and looking at what is there as Grafana does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import create_engine

from tallyline.plan import Kind, Metric, Normalizer, Points
from tallyline.warehouse import Reading
from tallyline.window import Grain, Window, parse_moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tallyline.plan import Plan
    from tallyline.warehouse import Changes, Warehouse

    Rows = Iterable[tuple[Mapping[str, object], Mapping[str, object]]]

UTC_ZONE = ZoneInfo("UTC")
PARIS = ZoneInfo("Europe/Paris")
KOLKATA = ZoneInfo("Asia/Kolkata")
PLAN = {
    metric.name: metric
    for metric in (
        Metric("users.new", "New users", "users"),
        Metric("users.total", "Users", "users", Kind.LEVEL),
        Metric("latency.least", "", "ms", Kind.MINIMUM),
        Metric("latency.most", "", "ms", Kind.MAXIMUM),
    )
}


class Fact(NamedTuple):
    """A row of a view, the same on both databases: `time` in UTC, `dims` as canonical JSON."""

    metric: str
    time: str
    dims: str
    value: float


def at(text: str, zone: ZoneInfo = UTC_ZONE) -> datetime:
    """Return the moment that people call `text` in `zone`."""
    return parse_moment(text, zone)


def window(since: str, until: str, zone: ZoneInfo = UTC_ZONE) -> Window:
    """Return the window between two moments."""
    return Window(at(since, zone), at(until, zone))


def reading(
    rows: Rows,
    whole: Window,
    *,
    source: str = "shop",
    grain: Grain = Grain.HOUR,
    zone: ZoneInfo = UTC_ZONE,
    plan: Plan = PLAN,
    sources: Collection[str] = ("shop",),
) -> Reading:
    """Return what a source of a project with these `sources` gave."""
    normalize, points = Normalizer(plan, whole, grain, zone, zone), Points()
    for row in rows:
        for point in normalize(row):
            points.add(point)
    return Reading(source, whole, grain, points, sources)


def publish(warehouse: Warehouse, told: Reading, plan: Plan = PLAN) -> Changes:
    """Publish it as a run of its own."""
    return warehouse.publish(warehouse.begin(told.source, told.window), told, plan, {})


def facts(url: str, view: str) -> list[Fact]:
    """Return the rows of a view, in a fixed order, read past Tallyline."""
    return sorted(
        Fact(metric, _moment(time).isoformat(), _canonical(dims), value)
        for metric, time, dims, value in rows_of(url, f"SELECT metric, time, dims, value FROM {view}")  # noqa: S608
    )


def rows_of(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return what the database itself answers."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            answer = connection.exec_driver_sql(query)
            return [tuple(row) for row in answer] if answer.returns_rows else []
    finally:
        engine.dispose()


def _moment(stored: object) -> datetime:
    return stored.astimezone(UTC) if isinstance(stored, datetime) else datetime.fromtimestamp(int(str(stored)), UTC)


def _canonical(dims: object) -> str:
    return json.dumps(json.loads(dims) if isinstance(dims, str) else dims, sort_keys=True, ensure_ascii=False)
