"""Packs in a real Prometheus: each query tells the right figure of what its exporter exposes, under published names.

In `expositions` is what exporters expose: a series, its value at ten o'clock, and by how much it grows a minute.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tallyline import run
from tallyline.api import Api, opened
from tallyline.errors import Refused, UnknownName
from tallyline.plan import Kind, Retention, check_formulas, with_units
from tallyline.project import Project
from tallyline.runner import read_source
from tallyline.sources import Options, Source
from tallyline.sources.prometheus import PrometheusSource, load_pack, pack_names
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, Window
from tests.sources.prometheus_server import exposing, running, scraping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.sources.prometheus_server import Sample

EXPOSITIONS = Path(__file__).parent / "expositions"
UTC_ZONE = ZoneInfo("UTC")
TEN = datetime(2025, 7, 1, 10, tzinfo=UTC)
HOUR = Window(TEN, TEN + timedelta(hours=1))
LINE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \+(?P<growth>\S+))?")

EXPECTED: Mapping[str, Mapping[str, float]] = {
    "redis": {
        "redis.memory.used": 1_030_000,
        "redis.clients": 12,
        "redis.keys": 650,
        "redis.keys.expired": 180,
        "redis.keys.evicted": 60,
        "redis.commands": 3000,
        "redis.cache.hits": 540,
        "redis.cache.misses": 60,
        "redis.cache.hit_rate": 0.9,
    },
    "rabbitmq": {
        "rabbitmq.queue.length": 1030,
        "rabbitmq.queue.longest": 1060,
        "rabbitmq.queue.unacknowledged": 8,
        "rabbitmq.queues": 3,
        "rabbitmq.consumers": 5,
        "rabbitmq.connections": 6,
        "rabbitmq.messages.received": 60 * 21,
        "rabbitmq.messages.delivered": 60 * 20,
        "rabbitmq.messages.redelivered": 60,
        "rabbitmq.messages.dropped": 120,
        "rabbitmq.messages.redelivery_rate": 1 / 20,
        "rabbitmq.memory.used": 150_000_000,
        "rabbitmq.memory.limit": 600_000_000,
        "rabbitmq.memory.saturation": 0.25,
    },
    "nginx": {
        "nginx.requests": 6000,
        "nginx.connections.accepted": 600,
        "nginx.connections.handled": 540,
        "nginx.connections.dropped": 60,
        "nginx.connections.active": 230,
        "nginx.connections.most": 260,
    },
    "nginx-vts": {
        "vts.requests": 1200,
        "vts.requests.refused": 180,
        "vts.requests.failed": 60,
        "vts.requests.failure_rate": 1 / 20,
        "vts.requests.seconds": 300,
        "vts.requests.time": 250,
        "vts.traffic.received": 30_000,
        "vts.traffic.sent": 420_000,
        "vts.cache.lookups": 600,
        "vts.cache.hits": 420,
        "vts.cache.hit_rate": 0.7,
    },
    "postgres": {
        "postgres.transactions.committed": 1140,
        "postgres.transactions.rolled_back": 60,
        "postgres.transactions.rollback_rate": 1 / 20,
        "postgres.deadlocks": 6,
        "postgres.blocks.cached": 5940,
        "postgres.blocks.read": 60,
        "postgres.cache.hit_rate": 0.99,
        "postgres.connections": 25,
        "postgres.connections.limit": 100,
        "postgres.connections.saturation": 0.25,
        "postgres.size": 7_006_000,
    },
    "node": {
        "node.cpu.time": 7200,
        "node.cpu.busy": 1440,
        "node.cpu.usage": 0.2,
        "node.cpu.cores": 2,
        "node.load": 1.5,
        "node.saturation": 0.75,
        "node.memory.total": 8e9,
        "node.memory.available": 6e9,
        "node.memory.usage": 0.25,
        "node.disk.size": 4000,
        "node.disk.free": 3000,
        "node.disk.usage": 0.25,
        "node.network.received": 18_000,
        "node.network.sent": 12_000,
    },
    "kubernetes": {
        "kubernetes.pods.running": 2,
        "kubernetes.pods.pending": 1,
        "kubernetes.pods.failed": 1,
        "kubernetes.containers.restarts": 6,
        "kubernetes.replicas.desired": 4,
        "kubernetes.replicas.available": 3,
        "kubernetes.replicas.unavailable": 1,
        "kubernetes.cpu.requested": 1,
        "kubernetes.cpu.allocatable": 4,
        "kubernetes.cpu.saturation": 0.25,
        "kubernetes.memory.requested": 1000,
        "kubernetes.memory.allocatable": 4000,
        "kubernetes.memory.saturation": 0.25,
        "kubernetes.nodes": 2,
        "kubernetes.nodes.ready": 1,
        "kubernetes.jobs.failed": 2,
    },
    "prometheus": {
        "prometheus.targets": 2,
        "prometheus.targets.up": 1,
        "prometheus.targets.availability": 0.5,
        "prometheus.series": 9000,
        "prometheus.samples": 36_000,
        "prometheus.disk.used": 123_456,
        "prometheus.requests": 300,
        "prometheus.requests.seconds": 36,
        "prometheus.requests.time": 120,
        "prometheus.rules.failed": 12,
    },
}
OLD_VTS = {
    "vts.requests": 600,
    "vts.requests.refused": 60,
    "vts.requests.failed": 120,
    "vts.traffic.received": 1800,
    "vts.traffic.sent": 2400,
    "vts.cache.hit_rate": 0.5,
}


def lines(exposition: str) -> Iterator[re.Match[str]]:
    for line in (EXPOSITIONS / f"{exposition}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            found = LINE.fullmatch(line)
            assert found is not None, line
            yield found


def history() -> Iterator[Sample]:
    """Tell what each exporter exposed in every minute of the hour, and for ten minutes before."""
    for file in sorted(EXPOSITIONS.iterdir()):
        for line in lines(file.stem):
            target = "" if line["name"] == "up" else f'job="{file.stem}",instance="{file.stem}:1",'
            series = f"{line['name']}{{{target}{line['labels'] or ''}}}".replace(",}", "}")
            for minute in range(-10, 61):
                value = float(line["value"]) + float(line["growth"] or 0) * minute
                yield series, max(value, 0.0), TEN + minute * timedelta(minutes=1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that knows what all exporters exposed."""
    with running(tmp_path_factory.mktemp("prometheus"), history()) as url:
        yield url


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    """A client of it."""
    with opened(Api(url, name="prometheus")) as api:
        yield api


def figures(api: Api, source: PrometheusSource, grain: Grain = Grain.HOUR) -> dict[str, float]:
    """Read the hour into a warehouse; return each of the metrics as it is told there."""
    plan = with_units(source.metrics)
    numbers = Source("numbers", lambda: source.graph("numbers"), Options(grain=grain), source.definition)
    project = Project(
        Path(), "Shop", "sqlite://", UTC_ZONE, plan, {"prometheus": api}, {"numbers": numbers}, (), Retention()
    )
    with open_warehouse("sqlite://", UTC_ZONE, write=True, plan=plan) as warehouse:
        window = HOUR.widened(grain, UTC_ZONE)
        result = read_source(project, numbers, warehouse, window, now=datetime.now(UTC), write=True)
        assert result.error is None
        known = warehouse.metrics().keys()
        parts = {name: set(metric.parsed.metrics) if metric.formula else {name} for name, metric in plan.items()}
        told = {name: list(warehouse.query(name, by=grain)) for name in plan if parts[name] <= known}
    return {name: value.value for name, values in told.items() for value in values}


@pytest.mark.parametrize("pack", pack_names())
def test_a_pack_tells_what_its_exporter_exposes(api: Api, pack: str) -> None:
    match = 'job="web"|job="prometheus"' if pack == "prometheus" else f'job="{pack}"'
    source = PrometheusSource("prometheus", pack=pack, match="" if pack == "prometheus" else match)
    assert figures(api, source) == pytest.approx(EXPECTED[pack], rel=1e-3)


def test_the_exporter_of_vts_has_other_names(api: Api) -> None:
    told = figures(api, PrometheusSource("prometheus", pack="nginx-vts", match='job="nginx-vts-exporter"'))
    assert {name: told[name] for name in OLD_VTS} == pytest.approx(OLD_VTS, rel=1e-3)


@pytest.mark.parametrize("by", [(), ("job",), ("job", "instance")])
def test_a_pack_sums_up_by_any_labels(api: Api, by: tuple[str, ...]) -> None:
    for pack in pack_names():
        source = PrometheusSource("prometheus", pack=pack, by=by, match='job=~".+"')
        told = figures(api, source)
        assert told.keys() == EXPECTED[pack].keys()


def test_what_does_not_match_is_not_told(api: Api) -> None:
    packs = tuple(pack_names())
    assert figures(api, PrometheusSource("prometheus", packs=packs, match='job="nothing"')) == {}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that scrapes what the exporters expose."""
    names = sorted(file.stem for file in EXPOSITIONS.iterdir())
    told = {f"/{name}": (EXPOSITIONS / f"{name}.txt").read_text(encoding="utf-8") for name in names}
    scraped = {path: re.sub(r" \+\S+$", "", text, flags=re.MULTILINE) for path, text in told.items()}
    with exposing(scraped) as exporters:
        config = scraping({name: (exporters.address, f"/{name}") for name in names})
        with running(tmp_path_factory.mktemp("prometheus"), config=config) as url:
            exporters.wait(4)
            yield url


def test_everything_that_is_scraped_has_a_value(exposed: str) -> None:
    """What is looked at by the minute may have none yet, if no minute was full since the first scrape."""
    source = PrometheusSource("prometheus", packs=tuple(pack_names()))
    version, *told, last = probed(source, exposed)
    assert re.fullmatch(r"Prometheus \d+\.\d+\.\d+\S* answers", version)
    by_the_minute = {name for name, query in source.asked.items() if "[$range:1m]" in query}
    assert {line.split()[0] for line in told} <= by_the_minute
    assert last == f"{len(source.asked) - len(told)} of {len(source.asked)} queries have values now"


def test_what_nothing_is_scraped_for_is_named(url: str) -> None:
    _, first, *_, last = probed(PrometheusSource("prometheus", pack="nginx"), url)
    assert first == (
        "nginx.requests has no value now: nothing that is scraped answers to "
        "sum by (instance) (increase(nginx_http_requests_total{}[$range]))"
    )
    assert last == "0 of 5 queries have values now"


def probed(source: PrometheusSource, url: str) -> list[str]:
    """Return the lines of a source's probe."""
    told: list[str] = []
    with opened(Api(url, name="prometheus")) as api:
        run(source.probe("numbers").followed_by(told.append), {"prometheus": api})
    return told


# What needs no Prometheus


def test_every_pack_is_well_formed() -> None:
    assert set(pack_names()) == EXPECTED.keys()
    for name in pack_names():
        pack = load_pack(name)
        assert check_formulas(pack.metrics) == {}
        assert pack.queries.keys() == {metric for metric, told in pack.metrics.items() if told.kind is not Kind.FORMULA}
        assert all(told.title for told in pack.metrics.values())
        assert all("$match" in query for query in pack.queries.values())


def test_counters_are_counts_and_tell_how_much_they_grew() -> None:
    for pack in map(load_pack, pack_names()):
        for name, query in pack.queries.items():
            assert ("increase(" in query) == (pack.metrics[name].kind is Kind.COUNT), name
            assert ("$range" in query) == (pack.metrics[name].kind is not Kind.LEVEL), name


def test_no_two_packs_tell_the_same() -> None:
    names = [name for pack in map(load_pack, pack_names()) for name in pack.metrics]
    assert len(names) == len(set(names))


def test_a_pack_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UnknownName, match=r'^there is no pack "postgresql"; did you mean "postgres"\?'):
        load_pack("postgresql")


def test_a_pack_may_be_named_twice_and_is_asked_once() -> None:
    assert PrometheusSource("prometheus", pack="redis", packs=("redis",)) != PrometheusSource(
        "prometheus", pack="redis"
    )
    assert PrometheusSource("prometheus", pack="redis", packs=("redis",)).asked == load_pack("redis").asked() | {
        name: query.replace("$match", "") for name, query in load_pack("redis").asked().items()
    }


def test_nothing_to_ask_is_refused() -> None:
    with pytest.raises(Refused, match=r"^it asks for nothing; give it queries, or a pack: there are kubernetes, "):
        PrometheusSource("prometheus")


def test_the_documentation_has_every_metric_of_every_pack() -> None:
    text = (Path(__file__).parents[2] / "docs/sources/packs.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \| (\S*) \| (.+) \|$", text, re.MULTILINE)
    plans = [with_units(load_pack(name).metrics) for name in pack_names()]
    assert documented == [(told.name, told.kind, told.unit, told.title) for plan in plans for told in plan.values()]
    assert re.findall(r"^## .*: `(.+)`$", text, re.MULTILINE) == pack_names()
