"""Grafana's queries give what the page is told, on either database, at any grain, around changes of the clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tallyline.dashboards import Panel, read_panel
from tallyline.dashboards.grafana.back import backs, may_be_compared
from tallyline.dashboards.grafana.chart_sql import ChartSQL
from tallyline.dashboards.grafana.headline_sql import headline_sql, recent_sql
from tallyline.dashboards.grafana.parts import GRAINS, Parts, with_
from tallyline.dashboards.grafana.words import WORDS
from tallyline.errors import Refused
from tallyline.plan import named
from tallyline.warehouse import calendar, open_warehouse
from tallyline.warehouse.connections import Connections
from tallyline.window import Grain, Window, bucket_before
from tests.dashboards.comparing import Grafana, Queries, differences
from tests.dashboards.expanding import asked, moment
from tests.warehouse.publishing import PARIS
from tests.warehouse.test_sql import LORD_HOWE, METRICS, PLAN, WHERE, Company

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("EXAMPLES", "12"))
SEED = os.environ.get("SEED", "")
HAVANA = ZoneInfo("America/Havana")  # whose clock is changed at midnight
DAYS = (3, 30, 70, 90, 280, 300)


def dialect_of(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql"


def queries_of(parts: Parts, grain: Grain) -> Queries:
    """Return the queries; a headline is told at the panel's own grain, and of what can be put together."""
    panel, chart = parts.panel, ChartSQL(parts)
    has_headline = grain is panel.by and not (panel.split and parts.counts_distinct)
    return Queries(
        parts.dialect,
        complete=chart.complete(),
        running=chart.running(),
        before=chart.before(panel.compare) if panel.compare else "",
        target=chart.target(panel.target) if panel.target is not None else "",
        headline=headline_sql(parts) if has_headline else "",
        recent=recent_sql(parts) if has_headline else "",
    )


def examples(lot: Random, now: datetime) -> Iterator[tuple[Panel, Window, str]]:
    """Yield panels by chance, each with a range of time and a choice of the grain."""
    choices = list(product(METRICS, Grain, (None, "country"), WHERE, (None, *Grain)))
    for metric, by, split, where, compare in lot.sample(choices, EXAMPLES):
        back = compare if compare and may_be_compared(by, compare) else None
        since = now - timedelta(days=lot.choice(DAYS), hours=lot.randrange(24))
        until = lot.choice([now, now + timedelta(days=1), since + timedelta(days=5, hours=5)])
        panel = Panel(metric, by=by, split=split, where=dict(where), compare=back, target=lot.choice([None, 2.5]))
        yield panel, Window(since, until), lot.choice(["", "own", *GRAINS])


@pytest.mark.parametrize("zone", [PARIS, LORD_HOWE], ids=str)
def test_a_panel_draws_what_the_page_draws(warehouse_url: str, zone: ZoneInfo) -> None:
    lot = Random(f"panels in {zone} {SEED}")  # noqa: S311  # no secret
    company = Company(zone, lot)
    with open_warehouse(warehouse_url, zone, write=True, clock=lambda: company.now, plan=PLAN) as warehouse:
        company.fill(warehouse)
        with asked(warehouse_url) as ask:
            for panel, window, chosen in examples(lot, company.now):
                parts = Parts(panel, PLAN, zone, dialect_of(warehouse_url), by="${by:sqlstring}" if chosen else "")
                grain = Grain(chosen) if chosen in GRAINS and not parts.counts_distinct else panel.by
                try:
                    data = read_panel(panel, named(PLAN, panel.metric), warehouse, window, zone, by=grain)
                except Refused:
                    continue
                grafana = Grafana(ask, window, {"by": chosen})
                found = list(differences(queries_of(parts, grain), data, grafana, split=bool(panel.split)))
                assert not found, (panel, window, chosen)


@pytest.mark.parametrize("zone", [PARIS, LORD_HOWE, HAVANA], ids=str)
def test_a_bucket_is_compared_with_the_one_that_the_page_compares_it_with(warehouse_url: str, zone: ZoneInfo) -> None:
    with open_warehouse(warehouse_url, zone, write=True):
        pass
    connections = Connections(warehouse_url)
    with connections.writing() as connection:
        for year, month in product((2025, 2026), (3, 10)):  # in which clocks are changed
            begin = datetime(year, month, 1, tzinfo=UTC)
            calendar.fill(connection, Window(begin, begin + timedelta(days=40)), zone)
    connections.close()
    words, found = WORDS[dialect_of(warehouse_url)], 0
    with asked(warehouse_url) as ask:
        for grain, compare in product(Grain, Grain):
            if not may_be_compared(grain, compare):
                continue
            of_grain = f"SELECT time FROM calendar WHERE grain = '{grain}'"  # noqa: S608  # of our own
            query = with_({"_all": of_grain, **backs("_all", {grain: ""}, compare, zone, words)}, "SELECT * FROM _back")
            told = {moment(row["time"]): row["back"] and moment(row["back"]) for row in ask(query)}
            buckets = {moment(row["time"]) for row in ask(of_grain)}
            expected = {bucket: bucket_before(bucket, grain, compare, zone) for bucket in buckets}
            assert told == {bucket: back if back in buckets else None for bucket, back in expected.items()}
            found += sum(back is not None for back in told.values())
    assert found > 10_000
