"""The services of Pagesnap that are code, and those of its sources that are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from tallyline import Grain, Graph, service, source
from tallyline.demo.services import google_analytics_of, prometheus_of, sentry_of, stripe_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Engine

    from tallyline import Window
    from tallyline.api import Api

    Point = tuple[dict[str, object], dict[str, object]]

PRODUCT = Path(__file__).with_name("product.db")
PLANS = ("starter", "growth", "business")


# Simulated services: the sources' own clients ask them, and they answer in this process, without a key. Of real ones,
# [services] in tallyline.toml would have the URL and the key in their place.
@service
def stripe() -> Api:
    """Return the Stripe that knows Pagesnap's customers."""
    return stripe_of(PRODUCT)


@service
def analytics() -> Api:
    """Return the Google Analytics that saw its visitors."""
    return google_analytics_of(PRODUCT)


@service
def sentry() -> Api:
    """Return the Sentry that watches its API and its web page."""
    return sentry_of(PRODUCT)


@service
def prometheus() -> Api:
    """Return the Prometheus that scrapes its machines."""
    return prometheus_of(PRODUCT)


@source(timezone="UTC")
def workers(product: Engine, window: Window) -> Iterator[Point]:
    """Count the workers that were at work in an hour, had nothing to do, or were down."""
    states = "SELECT recorded_at, state FROM worker_states WHERE recorded_at >= ? AND recorded_at < ? ORDER BY 1"
    with product.connect() as connection:
        rows = connection.exec_driver_sql(states, (as_text(window.since), as_text(window.until)))
        for time, of_the_hour in groupby(rows, key=itemgetter(0)):
            count = Counter(state for _, state in of_the_hour)
            yield {"time": time}, {f"workers.{state}": count[state] for state in ("active", "idle", "down")}


class Subscriptions:
    """Counts the subscriptions to a plan that ran at the end of each day."""

    def __call__(self, plan: str, product: Engine, window: Window, zone: ZoneInfo, now: datetime) -> Iterator[Point]:
        """Yield a count for each day of the window that has begun."""
        counted = (
            "SELECT count(*) FROM subscriptions WHERE plan = ?1 AND started_at < ?2 AND ifnull(ended_at, ?2) >= ?2"
        )
        with product.connect() as connection:
            for day in (day for day in window.buckets(Grain.DAY, zone) if day <= now):
                end = as_text(Grain.DAY.after(day, zone))
                count = connection.exec_driver_sql(counted, (plan, end)).scalar_one()
                yield {"date": day.astimezone(zone).date(), "plan": plan}, {"subscriptions.active": count}


@source(schedule="@daily")
def subscriptions() -> Graph:
    """Go through the plans, and count the subscriptions to each: a graph of two nodes."""
    return Graph(PLANS, Subscriptions())


def as_text(moment: datetime) -> str:
    """Write a moment as the database does, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
