"""Packs with the exporters that Debian has: of real servers, each query finds something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tallyline import run
from tallyline.api import Api, opened
from tallyline.sources.prometheus import PrometheusSource
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from tests.sources.servers import Servers

UTC_ZONE = ZoneInfo("UTC")
WITHOUT_RULES = {"prometheus.rules.failed"}


@pytest.mark.parametrize("pack", ["node", "redis", "nginx", "postgres", "rabbitmq", "prometheus"])
def test_every_query_finds_something_of_a_real_server(servers: Servers, pack: str) -> None:
    source = PrometheusSource("prometheus", pack=pack)
    told: list[str] = []
    missing: list[Window] = []
    with opened(Api(servers.prometheus, name="prometheus")) as api:
        run(source.probe(pack).followed_by(told.append), {"prometheus": api})
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now).widened(Grain.HOUR, UTC_ZONE)
        rows = list(source.rows(api, window, UTC_ZONE, now, Grain.HOUR, missing.append))
    may_be_missing = {name for name, query in source.asked.items() if "[$range:1m]" in query} | WITHOUT_RULES
    assert {line.split()[0] for line in told[1:-1]} <= may_be_missing
    assert {name for _, metrics in rows for name in metrics} >= source.asked.keys() - may_be_missing
