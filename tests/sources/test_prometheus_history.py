"""The Prometheus source against a real Prometheus whose history is known: every figure is that of what was put in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from tallyline.api import Api, opened
from tallyline.errors import Denied
from tallyline.plan import Kind, Metric, Retention
from tallyline.project import Project
from tallyline.runner import read_source
from tallyline.sources import Options, Source
from tallyline.sources.prometheus import ALIVE, PrometheusSource, read_prometheus
from tallyline.warehouse import Warehouse, open_warehouse
from tallyline.window import Grain, Window, parse_moment
from tests.sources.prometheus_server import exposing, running, scraping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tallyline.warehouse import Changes
    from tests.sources.prometheus_server import Sample

PARIS = ZoneInfo("Europe/Paris")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ORDERS, WAITING, TAKEN = "orders.count", "jobs.waiting", "jobs.seconds"
PLAN = {
    metric.name: metric
    for metric in (
        Metric(ORDERS, "Orders", "orders"),
        Metric(WAITING, "Jobs waiting", "jobs", Kind.LEVEL),
        Metric("jobs.mean", "Jobs waiting", "jobs", Kind.MEAN),
        Metric("jobs.most", "Jobs waiting", "jobs", Kind.MAXIMUM),
    )
}
QUERIES = {
    ORDERS: "sum by (shop) (increase(orders_total[$range]))",
    WAITING: "sum by (queue) (jobs_waiting)",
    "jobs.mean": "sum by (queue) (avg_over_time(jobs_waiting[$range]))",
    "jobs.most": "max by (queue) (max_over_time(jobs_waiting[$range]))",
}


def at(text: str) -> datetime:
    return parse_moment(text, PARIS)


def days(since: str, until: str) -> Window:
    return Window(at(since), at(until))


SPRING, AUTUMN = days("2025-03-29", "2025-04-01"), days("2025-10-25", "2025-10-28")
DAY = days("2025-03-29", "2025-03-30")
RESTARTED = at("2025-03-29 15:30")
DOWN = days("2025-03-29 18:00", "2025-03-29 21:00")


def orders_in(hour: datetime) -> int:
    """Return how many orders came in each minute of an hour."""
    return 1 + int(hour.timestamp() // 3600) % 7


def waiting_in(hour: datetime) -> int:
    """Return how many jobs waited in an hour, from its first minute to its end."""
    return 10 + int(hour.timestamp() // 3600) % 5


def history(window: Window) -> Iterator[Sample]:
    """Tell every minute from the first to the last of a window."""
    moment, orders = window.since, 1000
    while moment <= window.until:
        hour = Grain.HOUR.floor(moment - MINUTE, PARIS)
        if moment == RESTARTED:
            orders = 0
        orders += orders_in(hour) if moment > window.since else 0
        if not DOWN.since < moment < DOWN.until:
            yield 'orders_total{shop="paris",instance="a"}', orders, moment
            yield 'up{job="shop",instance="a"}', 1, moment
        yield 'jobs_waiting{queue="pages"}', waiting_in(hour), moment
        moment += MINUTE


def ended() -> Iterator[Sample]:
    """Tell a counter that there is only for a part of a day, and a level that is not a number for one of its hours."""
    for minute in range(5 * 60 + 1):
        moment = at("2025-03-30 10:00") + minute * MINUTE
        yield 'orders_total{shop="lyon",instance="b"}', float(minute), moment
        yield 'jobs_waiting{queue="odd"}', float("nan") if 60 < minute <= 120 else 5.0, moment


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that knows the days around two changes of the clock."""
    told = [*history(SPRING), *history(AUTUMN), *ended()]
    with running(tmp_path_factory.mktemp("prometheus"), told) as url:
        yield url


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    """A client of it."""
    with opened(Api(url, name="prometheus")) as api:
        yield api


class Told(NamedTuple):
    """A value that was read."""

    time: datetime
    dims: Mapping[str, object]
    value: float | None


def told(api: Api, metric: str, window: Window, grain: Grain = Grain.HOUR, **dims: str) -> list[Told]:
    """Return what is read of the series that have these dims."""
    rows = read_prometheus(api, {metric: QUERIES[metric]}, window, PARIS, datetime.now(UTC), grain=grain)
    values = [Told(when["time"], {**when, "time": None}, metrics[metric]) for when, metrics in rows]  # type: ignore[arg-type]
    return [value for value in values if dims.items() <= value.dims.items()]


def hours(window: Window) -> list[datetime]:
    return list(window.buckets(Grain.HOUR, PARIS))


def orders_of(hour: datetime) -> float | None:
    """Return the orders of an hour: Prometheus has nothing of the time in which it was down."""
    return None if hour in DOWN else 60.0 * orders_in(hour)


@pytest.mark.parametrize("window", [SPRING, AUTUMN])
def test_increases_are_those_that_were_put_in_also_where_the_counter_restarts(api: Api, window: Window) -> None:
    read = told(api, ORDERS, window, shop="paris")
    assert [value.time for value in read] == hours(window)
    assert [value.value for value in read] == [pytest.approx(orders_of(hour)) for hour in hours(window)]


@pytest.mark.parametrize(("window", "lengths"), [(SPRING, [24, 23, 24]), (AUTUMN, [24, 25, 24])])
def test_days_have_the_hours_that_the_clock_gives_them(api: Api, window: Window, lengths: list[int]) -> None:
    read = told(api, ORDERS, window, Grain.DAY, shop="paris")
    of_days = [hours(Window(day, Grain.DAY.after(day, PARIS))) for day in window.buckets(Grain.DAY, PARIS)]
    assert [len(of_day) for of_day in of_days] == lengths
    counted = [sum(60 * orders_in(hour) for hour in of_day) for of_day in of_days]
    assert [value.value for value in read] == [pytest.approx(count) for count in counted]


def test_a_level_is_that_of_the_end_of_the_bucket(api: Api) -> None:
    by_hour = told(api, WAITING, SPRING, queue="pages")
    assert [value.value for value in by_hour] == [waiting_in(hour) for hour in hours(SPRING)]
    by_day = told(api, WAITING, SPRING, Grain.DAY, queue="pages")
    last = [Grain.DAY.after(day, PARIS) - HOUR for day in SPRING.buckets(Grain.DAY, PARIS)]
    assert [value.value for value in by_day] == [waiting_in(hour) for hour in last]


def test_a_mean_and_a_maximum_are_over_the_bucket(api: Api) -> None:
    [mean] = told(api, "jobs.mean", days("2025-03-29", "2025-03-30"), Grain.DAY, queue="pages")
    assert mean.value == pytest.approx(sum(map(waiting_in, hours(DAY))) / 24, rel=1e-3)
    [most] = told(api, "jobs.most", days("2025-03-29", "2025-03-30"), Grain.DAY, queue="pages")
    assert most.value == 14


def test_a_series_that_ends_is_told_up_to_there(api: Api) -> None:
    lyon = told(api, ORDERS, days("2025-03-30", "2025-03-31"), shop="lyon")
    assert [value.time for value in lyon] == [at("2025-03-30 10:00") + hour * HOUR for hour in range(5)]
    assert [value.value for value in lyon] == [pytest.approx(60)] * 5


def test_what_is_no_number_is_a_gap(api: Api) -> None:
    odd = told(api, WAITING, days("2025-03-30", "2025-03-31"), queue="odd")
    assert [value.value for value in odd] == [5, 5, None, 5, 5, 5][: len(odd)]
    assert len(odd) >= 5


def test_chunks_tell_what_one_request_tells(api: Api) -> None:
    whole, chunked = (
        list(read_prometheus(api, QUERIES, AUTUMN, PARIS, datetime.now(UTC), points=points)) for points in (11_000, 30)
    )
    assert sorted(chunked, key=str) == sorted(whole, key=str)
    assert len(whole) == 4 * 73


def test_before_its_history_prometheus_knows_nothing(api: Api) -> None:
    assert told(api, ORDERS, days("2024-06-01", "2024-06-03")) == []


def test_more_points_than_prometheus_gives_are_told(api: Api) -> None:
    years = days("2023-01-01", "2025-01-01")
    assert list(read_prometheus(api, QUERIES, years, PARIS, datetime.now(UTC))) == []
    with pytest.raises(Denied, match=r"exceeded maximum resolution of 11,000 points per timeseries.*; orders"):
        list(read_prometheus(api, QUERIES, years, PARIS, datetime.now(UTC), points=20_000))


def test_what_it_does_not_understand_is_told_in_its_words(api: Api) -> None:
    with pytest.raises(Denied, match=r"parse error.*; orders\.count asks for sum by \(orders_total\[3600s\]"):
        list(read_prometheus(api, {ORDERS: "sum by (orders_total[$range]"}, DAY, PARIS, datetime.now(UTC)))


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with open_warehouse(warehouse_url, PARIS, write=True) as warehouse:
        yield warehouse


def publish(warehouse: Warehouse, api: Api, window: Window, alive: str = ALIVE, **options: object) -> Changes:
    """Read the queries into a warehouse, as a run of a project does."""
    kind = PrometheusSource(service="prometheus", queries=QUERIES, alive=alive)
    source = Source("numbers", lambda: kind.graph("numbers"), Options(**options), kind.definition)  # type: ignore[arg-type]
    project = Project(
        Path(), "Shop", "sqlite://", PARIS, PLAN, {"prometheus": api}, {source.name: source}, (), Retention()
    )
    result = read_source(project, source, warehouse, window, now=datetime.now(UTC), write=True)
    assert result.error is None
    return result.changes


def test_an_hour_in_which_nothing_was_scraped_is_not_known_to_be_zero(warehouse: Warehouse, api: Api) -> None:
    publish(warehouse, api, DAY)
    by_hour = warehouse.query(ORDERS, by=Grain.HOUR)
    assert [value.time for value in by_hour] == [hour for hour in hours(DAY) if hour not in DOWN]
    assert [value.complete for value in warehouse.query(ORDERS, by=Grain.DAY)] == [False]
    assert warehouse.covered("numbers") == [DAY]
    missing = [piece.window for piece in warehouse.coverage("numbers") if not piece.is_known]
    assert missing == [DOWN]


def test_where_it_is_said_that_all_was_scraped_such_an_hour_is_zero(warehouse: Warehouse, api: Api) -> None:
    publish(warehouse, api, DAY, alive="")
    by_hour = warehouse.query(ORDERS, by=Grain.HOUR)
    assert [value.time for value in by_hour if not value.value] == hours(DOWN)


def values(warehouse: Warehouse, metric: str, by: Grain, **where: str) -> list[float]:
    answer = warehouse.query(metric, by=by, since=SPRING.since, until=SPRING.until, where=where)
    return [value.value for value in answer]


@pytest.mark.parametrize("grain", [Grain.HOUR, Grain.DAY])
def test_days_in_the_warehouse_are_those_that_were_put_in(warehouse: Warehouse, api: Api, grain: Grain) -> None:
    publish(warehouse, api, SPRING, grain=grain)
    days = [hours(Window(day, Grain.DAY.after(day, PARIS))) for day in SPRING.buckets(Grain.DAY, PARIS)]
    counted = [sum(60 * orders_in(hour) for hour in day) for day in days]
    if grain is Grain.HOUR:
        counted[0] -= sum(60 * orders_in(hour) for hour in hours(DOWN))
    assert values(warehouse, ORDERS, Grain.DAY, shop="paris") == [pytest.approx(count) for count in counted]
    assert values(warehouse, WAITING, Grain.DAY, queue="pages") == [waiting_in(day[-1]) for day in days]
    means = [sum(map(waiting_in, day)) / len(day) for day in days]
    told_means = values(warehouse, "jobs.mean", Grain.DAY, queue="pages")
    assert told_means == [pytest.approx(mean, rel=1e-2) for mean in means]
    assert values(warehouse, "jobs.most", Grain.DAY, queue="pages") == [14, 14, 14]


def test_reading_again_changes_nothing(warehouse: Warehouse, api: Api) -> None:
    assert publish(warehouse, api, SPRING).added > 0
    again = publish(warehouse, api, SPRING)
    assert (again.added, again.changed, again.removed) == (0, 0, 0)


def test_a_series_that_is_not_told_any_more_is_a_gap_at_once(tmp_path: Path) -> None:
    """A level that is exposed no longer is gone with the next scrape, not five minutes later."""
    shown = "jobs_waiting 7\n"
    with exposing({"/shop": shown}) as shop:
        config = scraping({"shop": (shop.address, "/shop")})
        with running(tmp_path / "prometheus", config=config) as url, opened(Api(url)) as api:

            def now_waiting() -> list[object]:
                now = datetime.now(UTC)
                window = Window(Grain.HOUR.floor(now, PARIS), Grain.HOUR.after(now, PARIS))
                rows = read_prometheus(api, {WAITING: "jobs_waiting"}, window, PARIS, now)
                return [metrics[WAITING] for _, metrics in rows]

            shop.wait()
            assert now_waiting() == [7]
            shop.told["/shop"] = "other 1\n"
            shop.wait()
            assert now_waiting() == []
