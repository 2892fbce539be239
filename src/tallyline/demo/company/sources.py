"""The sources of Pagesnap that are code: a graph that counts objects, and a reader of its workers' states."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC
from itertools import groupby
from typing import TYPE_CHECKING

from tallyline import Grain, Graph, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Engine

    from tallyline import Window

    Point = tuple[dict[str, object], dict[str, object]]

TABLES_METRICS = {
    "users": "users.total",
    "profiles": "profiles.total",
    "api_keys": "apikeys.total",
}


class ObjectCounts:
    """Counts the rows that a table had at the end of each day."""

    def __call__(self, row: tuple[str, str], product: Engine, window: Window, zone: ZoneInfo) -> Iterator[Point]:
        """Yield a count for each day of the window."""
        table, metric = row
        with product.connect() as connection:
            for day in window.buckets(Grain.DAY, zone):
                counted = f"SELECT count(*) FROM {table} WHERE created_at < ?"  # noqa: S608  # the tables are ours
                count = connection.exec_driver_sql(counted, (as_text(Grain.DAY.after(day, zone)),)).scalar_one()
                yield {"date": day.astimezone(zone).date()}, {metric: count}


@source(schedule="@daily")
def object_counts() -> Graph:
    """Count users, profiles and API keys."""
    return Graph(TABLES_METRICS.items(), ObjectCounts())


@source(schedule="@hourly", timezone="UTC")
def workers(product: Engine, window: Window) -> Iterator[Point]:
    """Reduce what each worker said in an hour to totals."""
    states = """
        SELECT recorded_at, state, attributes FROM worker_states
        WHERE recorded_at >= ? AND recorded_at < ? ORDER BY recorded_at
    """
    with product.connect() as connection:
        rows = connection.exec_driver_sql(states, (as_text(window.since), as_text(window.until)))
        for time, said in groupby(rows, key=lambda row: row.recorded_at):
            workers_of_the_hour = list(said)
            count = Counter(row.state for row in workers_of_the_hour)
            yield (
                {"time": time},
                {
                    "workers.total": len(workers_of_the_hour),
                    "workers.active": count["active"],
                    "workers.idle": count["idle"],
                    "workers.queue": sum(json.loads(row.attributes)["queue"] for row in workers_of_the_hour),
                },
            )


def as_text(moment: datetime) -> str:
    """Write a moment as the database does, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
