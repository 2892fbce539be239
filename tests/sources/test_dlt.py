"""The bridge to dlt: a real resource, with dlt's own client and paginators, against a service on loopback."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dlt
import pandas as pd  # type: ignore[import-untyped]  # it has no types
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types
import pytest
from dlt.sources.helpers import requests
from pydantic import BaseModel

from tallyline.errors import (
    Denied,
    NodeFailed,
    ProjectError,
    Refused,
    SourceFailed,
    Unavailable,
    UnexpectedAnswer,
    UnknownName,
    may_work_later,
)
from tallyline.graph import node, run
from tallyline.project import load_project
from tallyline.runner import read_source
from tallyline.secret import remember
from tallyline.sources.dlt_resource import DltBridge, read_dlt
from tallyline.warehouse import open_warehouse
from tallyline.window import Window
from tests.sources.service import Said, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # dlt leaves connections to the garbage collector

UTC_ZONE, PARIS = ZoneInfo("UTC"), ZoneInfo("Europe/Paris")
DAY = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
SECRET = "sk_live_7b1d"  # noqa: S105  # planted, to be found nowhere
VALUES: dict[str, float | str] = {"orders.count": 1, "orders.revenue": "total"}
CREATED = dlt.sources.incremental("created_at", initial_value="2000-01-01T00:00:00Z")

SHOP = """
import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator
from helper import PATH


@dlt.resource(primary_key="id")
def orders(url, key=dlt.secrets.value, created_at=dlt.sources.incremental("created_at", initial_value="2000-01-01")):
    client = RESTClient(url, auth=BearerTokenAuth(key), paginator=JSONLinkPaginator(next_url_path="next"))
    params = {"since": created_at.last_value, "until": created_at.end_value or ""}
    yield from client.paginate(PATH, params=params, data_selector="data")


@dlt.source
def shop(url, key=dlt.secrets.value):
    return orders(url, key), dlt.resource([{"id": 1}], name="customers")


def nothing():
    return "nothing"


NUMBER = 7
"""


def order(number: int, created_at: object, **changed: object) -> dict[str, Any]:
    """Return an order as the shop has it."""
    return {"id": number, "created_at": created_at, "total": "2.50", "billing": {"country": "FR"}, **changed}


ORDERS = [order(hour, f"2026-07-14T{hour:02}:30:00.500Z") for hour in range(24)]


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Leave no connection of dlt behind that another test would be blamed for."""
    yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let dlt find no files of this machine, and write none to it."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a project that has a dlt resource in shop.py."""
    (tmp_path / "shop.py").write_text(SHOP, "utf-8")
    (tmp_path / "helper.py").write_text('PATH = "/orders"', "utf-8")
    return tmp_path


def bridge(service: Service, **changed: Any) -> DltBridge:  # noqa: ANN401
    """Return a source that reads orders."""
    told: dict[str, Any] = {
        "resource": "shop:orders",
        "time": "created_at",
        "values": VALUES,
        "dims": {"country": "billing.country"},
        "arguments": {"url": service.url, "key": SECRET},
        "incremental": "created_at",
    }
    return DltBridge(**told | changed)


def read(source: DltBridge, folder: Path, window: Window = DAY, zone: ZoneInfo = UTC_ZONE) -> list[Any]:
    """Read a source to its end."""
    rows: list[Any] = []
    given = {"window": window, "source_zone": zone, "folder": folder}
    run(source.graph("orders").followed_by(node(rows.append, name="keep")), given)
    return rows


def failure(source: DltBridge, folder: Path) -> BaseException:
    """Return what ends a read."""
    with pytest.raises(NodeFailed) as failed:
        read(source, folder)
    assert failed.value.__cause__ is not None
    return failed.value.__cause__


def paged(orders: list[dict[str, Any]], size: int, url: str) -> list[Said]:
    """Return orders as the pages of a service."""
    parts = [orders[at : at + size] for at in range(0, len(orders), size)] or [[]]
    following: list[str | None] = [f"{url}/orders"] * (len(parts) - 1)
    return [Said({"data": part, "next": to}) for part, to in zip(parts, [*following, None], strict=True)]


def ids(items: Iterator[Any]) -> list[int]:
    """Return which items there are."""
    return [item["id"] for item in items]


def test_items_become_rows_and_the_resource_is_told_the_window(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged(ORDERS, 100, service.url))
    rows = read(bridge(service), folder)
    assert len(rows) == 24
    dims, metrics = rows[7]
    assert dims == {"time": datetime(2026, 7, 14, 7, 30, 0, 500_000, tzinfo=UTC), "country": "FR"}
    assert metrics == {"orders.count": 1, "orders.revenue": 2.5}
    [asked] = service.asked
    assert asked.params == {"since": "2026-07-14T00:00:00Z", "until": "2026-07-15T00:00:00Z"}
    assert asked.headers["authorization"] == f"Bearer {SECRET}"


def test_three_pages_are_read(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged(ORDERS, 8, service.url))
    assert [row[0]["time"].hour for row in read(bridge(service), folder)] == list(range(24))
    assert len(service.asked) == 3


def test_an_empty_window_is_no_failure(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged([], 8, service.url))
    assert read(bridge(service), folder) == []


def test_the_same_window_gives_the_same_rows_again(service: Service, folder: Path) -> None:
    service.answer("/orders", lambda _: paged(ORDERS, 100, service.url)[0])
    assert read(bridge(service), folder) == read(bridge(service), folder)


def test_times_are_compared_as_times_however_they_are_written(service: Service, folder: Path) -> None:
    written = [
        "2026-07-13T23:59:59.999Z",
        "2026-07-14T00:00:00.001Z",
        "2026-07-14T00:00:00+00:00",
        "2026-07-14T23:30:00-01:00",
        "2026-07-15T01:30:00+02:00",
        "2026-07-15T00:00:00.000000Z",
    ]
    service.answer("/orders", *paged([order(n, at) for n, at in enumerate(written)], 100, service.url))
    rows = read(bridge(service, values={"orders.id": "id"}), folder)
    assert [metrics["orders.id"] for _, metrics in rows] == [1, 2, 4]


def test_items_chosen_by_when_they_were_changed_are_read_up_to_now(service: Service, folder: Path) -> None:
    changed = [
        order(1, "2026-07-13T10:00Z", updated_at="2026-07-14T12:00:00Z"),
        order(2, "2026-07-14T10:00Z", updated_at="2026-07-20T12:00:00Z"),
        order(3, "2026-07-15T10:00Z", updated_at="2026-07-20T12:00:00Z"),
    ]
    (folder / "shop.py").write_text(SHOP.replace('("created_at"', '("updated_at"'), "utf-8")
    service.answer("/orders", *paged(changed, 100, service.url))
    [(dims, _)] = read(bridge(service, incremental="updated_at"), folder)
    assert dims["time"] == datetime(2026, 7, 14, 10, tzinfo=UTC)
    assert service.asked[0].params == {"since": "2026-07-14T00:00:00Z", "until": ""}


def test_busy_then_fine_waits_as_long_as_it_is_asked(service: Service, folder: Path, waits: list[float]) -> None:
    busy = Said({"error": "slow down"}, 429, {"Retry-After": "7"})
    service.answer("/orders", busy, *paged(ORDERS, 100, service.url))
    assert len(read(bridge(service), folder)) == 24
    assert waits == [7]


def test_broken_then_fine_is_tried_again(service: Service, folder: Path, waits: list[float]) -> None:
    service.answer("/orders", Said({"error": "oops"}, 500), *paged(ORDERS, 100, service.url))
    assert len(read(bridge(service), folder)) == 24
    assert len(waits) == 1


def test_busy_to_the_end_may_work_later(service: Service, folder: Path) -> None:
    service.answer("/orders", Said({"error": "slow down"}, 429, {"Retry-After": "90"}))
    told = failure(bridge(service), folder)
    assert isinstance(told, Unavailable)
    assert told.wait is not None
    assert (told.wait.total_seconds(), may_work_later(told)) == (90, True)
    assert "429 Client Error" in str(told)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_tried_again_and_tells_no_key(
    service: Service, folder: Path, waits: list[float], status: int
) -> None:
    remember(SECRET)
    service.answer("/orders", Said({"error": f"no such key {SECRET}"}, status))
    told = failure(bridge(service), folder)
    assert isinstance(told, Denied)
    assert f"HTTPError: {status} Client Error" in str(told)
    assert "check who asks there, and what they may read" in str(told)
    assert (waits, SECRET in str(told)) == ([], False)


def test_half_an_answer_is_tried_again_and_then_told(service: Service, folder: Path, waits: list[float]) -> None:
    service.answer("/orders", Said({"data": ORDERS}, half=True))
    assert isinstance(failure(bridge(service), folder), Unavailable)
    assert len(waits) == 4


def test_an_answer_that_is_not_json_is_told(service: Service, folder: Path) -> None:
    service.answer("/orders", Said(b"<html>"))
    told = failure(bridge(service), folder)
    assert isinstance(told, UnexpectedAnswer)
    assert "of an answer that is not JSON" in str(told)


def test_a_service_that_does_not_answer_in_time_may_work_later(service: Service) -> None:
    @dlt.resource
    def orders() -> Iterator[Any]:
        client = requests.Client(request_timeout=0.05, request_max_attempts=1)
        yield client.get(f"{service.url}/orders").json()

    service.answer("/orders", Said(late=True))
    with pytest.raises(Unavailable, match=r"orders: ReadTimeout"):
        list(read_dlt(orders(), DAY))


def test_a_service_that_is_not_there_may_be_there_later(folder: Path) -> None:
    nowhere = Service("http://127.0.0.1:9")
    assert isinstance(failure(bridge(nowhere), folder), Unavailable)


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        ([{"id": 1, "total": 2}], "an item has no \"created_at\"; it is {'id': 1"),
        ([order(1, None)], "an item has no \"created_at\"; it is {'id': 1"),
        ([order(1, "soon")], "Could not coerce"),
        ([order(1, "2026-07-14T10:00Z", billing={})], 'an item has no "billing.country"; write "billing.country?"'),
        ([order(1, "2026-07-14T10:00Z", billing={"country": {"code": "FR"}})], '"billing.country" is {"code": "FR"}'),
        ([order(1, "2026-07-14T10:00Z", total="two")], '"total" is "two", where a number is expected'),
    ],
)
def test_another_shape_names_the_field_and_shows_a_sample(
    service: Service, folder: Path, orders: list[dict[str, Any]], said: str
) -> None:
    service.answer("/orders", *paged(orders, 100, service.url))
    told = failure(bridge(service), folder)
    assert isinstance(told, UnexpectedAnswer)
    assert said in str(told)


def test_a_failure_of_the_resource_itself_is_told_without_secrets() -> None:
    remember(SECRET)

    @dlt.resource
    def orders() -> Iterator[Any]:
        yield {"id": 1}
        raise LookupError(SECRET)

    items = read_dlt(orders(), DAY)
    assert next(items) == {"id": 1}
    with pytest.raises(SourceFailed, match=r"^orders: LookupError: \*\*\*$"):
        next(items)


def test_a_resource_of_a_source_is_chosen_by_name(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged(ORDERS, 100, service.url))
    assert len(read(bridge(service, resource="shop:shop", select="orders"), folder)) == 24
    assert str(failure(bridge(service, resource="shop:shop"), folder)).endswith("there are: customers, orders")
    told = failure(bridge(service, resource="shop:shop", select="ordrs"), folder)
    assert isinstance(told, UnknownName)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ("shop:ordrs", 'there is no function in shop called "ordrs"; did you mean "orders"?'),
        ("shop:NUMBER", 'there is no function in shop called "NUMBER"'),
        ("shoop:orders", "shoop cannot be imported in "),
        ("broken:orders", "broken cannot be imported in "),
        ("shop:nothing", "it gave 'nothing', where a resource or a source of dlt is expected"),
    ],
)
def test_a_resource_that_is_not_there_is_refused(service: Service, folder: Path, resource: str, said: str) -> None:
    (folder / "broken.py").write_text("1 / 0", "utf-8")
    told = failure(bridge(service, resource=resource, arguments={}), folder)
    assert isinstance(told, Refused)
    assert said in str(told)


def test_the_code_of_a_project_is_forgotten(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged(ORDERS, 100, service.url))
    read(bridge(service), folder)
    assert not {"shop", "helper"} & sys.modules.keys()
    assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"resource": "orders"}, "write package.module:function"),
        ({"values": {}}, "values is empty"),
        ({"dims": {"date": "at"}}, 'a dim cannot be called "date"'),
        ({"arguments": {"client_secret": "abc"}}, r"arguments\.client_secret: a secret stands in the file"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_refused(changed: dict[str, Any], said: str) -> None:
    told: dict[str, Any] = {"resource": "shop:orders", "time": "created_at", "values": VALUES}
    with pytest.raises(Refused, match=said):
        DltBridge(**told | changed)


def test_pages_tables_frames_and_models_are_given_item_by_item() -> None:
    class Order(BaseModel):
        id: int

    @dlt.resource
    def orders() -> Iterator[Any]:
        yield {"id": 1}
        yield [{"id": 2}, [{"id": 3}]]
        yield pa.table({"id": [4, 5]})
        yield pa.record_batch({"id": [6]})
        yield pd.DataFrame({"id": [7], "total": [float("nan")]})
        yield pl.DataFrame({"id": [8]})
        yield Order(id=9)

    items = list(read_dlt(orders(), DAY))
    assert [item["id"] for item in items] == list(range(1, 10))
    assert items[6]["total"] is None


@pytest.mark.parametrize("zone", [UTC_ZONE, PARIS])
@pytest.mark.parametrize("form", ["datetime", "local"])
def test_a_table_is_cut_to_the_window(form: str, zone: ZoneInfo) -> None:
    hours = [datetime(2026, 7, day, hour) for day in (13, 14, 15) for hour in (0, 1, 23)]  # noqa: DTZ001
    zoned = [hour.replace(tzinfo=zone) for hour in hours]

    @dlt.resource
    def orders(created_at: Any = CREATED) -> Iterator[Any]:  # noqa: ANN401
        assert created_at.end_value is not None
        yield pa.table({"id": range(9), "created_at": hours if form == "local" else zoned})

    day = Window(datetime(2026, 7, 14, tzinfo=zone), datetime(2026, 7, 15, tzinfo=zone))
    assert ids(read_dlt(orders(), day, "created_at", form=form, zone=zone)) == [3, 4, 5]


@pytest.mark.parametrize(
    ("form", "since", "until"),
    [
        ("%Y-%m-%d", "2026-07-14", "2026-07-15"),
        ("date", date(2026, 7, 14), date(2026, 7, 15)),
        ("seconds", 1783980000, 1784066400),
        ("milliseconds", 1783980000000, 1784066400000),
        ("%Y-%m-%d %H:%M:%S%z", "2026-07-14 00:00:00+0200", "2026-07-15 00:00:00+0200"),
        ("%Y-%m-%dT%H:%MZ", "2026-07-13T22:00Z", "2026-07-14T22:00Z"),
    ],
)
def test_the_window_is_told_as_the_resource_wants_it(form: str, since: object, until: object) -> None:
    told: list[object] = []

    @dlt.resource
    def orders(created_at: Any = CREATED) -> Iterator[Any]:  # noqa: ANN401
        told.extend([created_at.last_value, created_at.end_value])
        yield []

    day = Window(datetime(2026, 7, 14, tzinfo=PARIS), datetime(2026, 7, 15, tzinfo=PARIS))
    assert list(read_dlt(orders(), day, "created_at", form=form, zone=PARIS)) == []
    assert told == [since, until]


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match='form is "iso"; write one of datetime, local, date, seconds'):
        list(read_dlt(dlt.resource([], name="orders"), DAY, "created_at", form="iso"))


def test_without_an_incremental_arguments_may_tell_the_window(service: Service, folder: Path) -> None:
    (folder / "shop.py").write_text(
        SHOP.replace("def nothing():", "def nothing(since, until):").replace(
            'return "nothing"', 'return dlt.resource([{"at": since, "until": [until]}], name="orders")'
        ),
        "utf-8",
    )
    source = bridge(
        service,
        resource="shop:nothing",
        arguments={"since": "{since}", "until": "to {until}"},
        incremental="",
        time="at",
        values={"n": 1},
        dims={"until": "until.0", "missing": "missing?"},
    )
    [(dims, _)] = read(source, folder)
    assert dims == {"time": DAY.since, "until": "to 2026-07-15T00:00:00Z", "missing": None}


def test_what_a_pipeline_remembers_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dlt.resource
    def orders(created_at: Any = CREATED) -> Iterator[Any]:  # noqa: ANN401
        told.append(created_at.last_value)
        yield [order(1, "2026-07-14T10:00:00Z"), order(2, "2026-07-20T10:00:00Z")]

    told: list[object] = []
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    pipeline = dlt.pipeline("shop", pipelines_dir=str(tmp_path), destination="dummy")
    try:
        pipeline.extract(orders())
        assert ids(read_dlt(orders(), DAY, "created_at", to_the_end=False)) == [1, 2]
    finally:
        pipeline.deactivate()
    assert told == ["2000-01-01T00:00:00Z", "2026-07-14T00:00:00Z"]


def test_newest_first_ends_when_the_window_is_reached(service: Service) -> None:
    pages = [[order(day, f"2026-07-{day:02}T10:00:00Z")] for day in range(31, 0, -1)]
    given: list[int] = []

    @dlt.resource
    def orders(created_at: Any = CREATED) -> Iterator[Any]:  # noqa: ANN401
        for page in pages:
            given.append(page[0]["id"])
            yield page

    assert ids(read_dlt(orders(), DAY, "created_at", row_order="desc")) == [14]
    assert min(given) >= 12


def test_what_is_given_is_not_gathered_first() -> None:
    @dlt.resource
    def orders() -> Iterator[Any]:
        number = 0
        while True:
            number += 1
            yield [{"id": number}]

    items = read_dlt(orders(), DAY)
    assert [next(items)["id"] for _ in range(3)] == [1, 2, 3]


def test_threads_of_a_parallel_resource_end_with_the_read() -> None:
    @dlt.resource(parallelized=True)
    def orders() -> Iterator[Any]:
        for number in range(1000):
            yield [{"id": number}]

    items = read_dlt(orders(), DAY)
    assert next(items)["id"] == 0
    close = getattr(items, "close")  # noqa: B009  # an iterator to the type checker, a generator in fact
    close()
    for thread in [each for each in threading.enumerate() if "extract-threads" in each.name]:
        thread.join(10)
        assert not thread.is_alive()


def test_two_reads_at_a_time_do_not_mix() -> None:
    met = threading.Barrier(2, timeout=30)

    @dlt.resource
    def orders(created_at: Any = CREATED) -> Iterator[Any]:  # noqa: ANN401
        for number in range(50):
            met.wait()
            yield [order(number, created_at.last_value)]

    days = [DAY, Window(DAY.until, datetime(2026, 7, 16, tzinfo=UTC))]
    found: dict[int, set[str]] = {}

    def reading(at: int) -> None:
        found[at] = {item["created_at"] for item in read_dlt(orders(), days[at], "created_at")}

    threads = [threading.Thread(target=reading, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: {"2026-07-14T00:00:00Z"}, 1: {"2026-07-15T00:00:00Z"}}


def test_a_probe_reads_the_first_item(service: Service, folder: Path) -> None:
    def said() -> list[str]:
        lines: list[str] = []
        given = {"window": DAY, "source_zone": UTC_ZONE, "folder": folder}
        run(bridge(service).probe("orders").followed_by(node(lines.append)), given)
        return lines

    service.answer("/orders", *paged(ORDERS, 8, service.url))
    assert said() == ["shop:orders may be read, and its items have what is needed"]
    service.answer("/orders", *paged([], 8, service.url))
    assert said() == ["shop:orders may be read; it has nothing in 2026-07-14 00:00 … 2026-07-15 00:00"]


PROJECT = """
    [metrics]
    "orders.count" = {}
    "orders.revenue" = {}

    [sources.orders]
    kind = "dlt"
    resource = "shop:orders"
    arguments = { url = "URL", key = "${SHOP_KEY}" }
    incremental = "created_at"
    time = "created_at"
    dims = { country = "billing.country" }
    values = { "orders.count" = 1, "orders.revenue" = "total" }
    combine = "sum"
    start = 2026-07-14
"""


def read_project(folder: Path, url: str, text: str = PROJECT) -> BaseException | None:
    """Read a project's source into its warehouse, and look for the key there."""
    (folder / "tallyline.toml").write_text(text.replace("URL", url), "utf-8")
    project, now = load_project(folder), datetime(2026, 7, 14, 15, tzinfo=UTC)
    with open_warehouse(f"sqlite:///{folder / 'warehouse.db'}", UTC_ZONE, write=True) as warehouse:
        result = read_source(project, project.source("orders"), warehouse, DAY, now=now, write=True)
        assert SECRET not in repr(warehouse.runs())
    assert SECRET.encode() not in (folder / "warehouse.db").read_bytes()
    return result.error


@pytest.mark.parametrize("by", ["reference", "dlt"])
def test_a_project_declares_it_and_the_key_appears_nowhere(
    service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], by: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHOP_KEY" if by == "reference" else "SOURCES__SHOP__KEY", SECRET)
    text = PROJECT if by == "reference" else PROJECT.replace(', key = "${SHOP_KEY}"', "")
    service.answer("/orders", *paged(ORDERS, 8, service.url))
    assert read_project(folder, service.url, text) is None
    assert {asked.headers["authorization"] for asked in service.asked} == {f"Bearer {SECRET}"}
    service.answer("/orders", Said({"error": SECRET}, 401, {"X-Key": SECRET}))
    assert isinstance(getattr(read_project(folder, f"{service.url}/{SECRET}/..", text), "__cause__", None), Denied)
    assert SECRET not in "".join(capfd.readouterr())


def test_a_key_that_dlt_does_not_find_is_told(service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    error = read_project(folder, service.url, PROJECT.replace(', key = "${SHOP_KEY}"', ""))
    assert "Missing 1 field(s) in configuration" in str(error)
    assert "`key`; give it among the arguments, as ${NAME}" in str(error)


def test_a_key_that_stands_in_the_file_is_a_mistake(service: Service, folder: Path) -> None:
    with pytest.raises(ProjectError, match=r"arguments\.api_key: a secret stands in the file"):
        read_project(folder, service.url, PROJECT.replace('key = "${SHOP_KEY}"', 'api_key = "abc"'))


READING = """
import sys, json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo
from tallyline.sources.dlt_resource import DltBridge
from tallyline.window import Window

def watch(event, arguments):
    if event == "socket.connect":
        print("connect", arguments[1][1])
    if event == "open" and isinstance(arguments[0], str) and arguments[2] & 3 and arguments[0] != "/dev/null":
        print("write", arguments[0])
    if event == "os.mkdir":
        print("make", arguments[0])

sys.dont_write_bytecode = True
sys.addaudithook(watch)
source = DltBridge("shop:orders", "created_at", {"n": 1}, {}, {"url": sys.argv[1], "key": "k"}, "", "created_at")
day = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
print("rows", len(list(source.rows(day, ZoneInfo("UTC"), Path(sys.argv[2])))))
from dlt.common.runtime import telemetry, run_context
print("telemetry", run_context.active().runtime_config.dlthub_telemetry)
"""


def test_nothing_is_sent_to_others_or_written_anywhere(service: Service, folder: Path) -> None:
    service.answer("/orders", *paged(ORDERS, 8, service.url))
    away = {"DLT_DATA_DIR", "DLT_PROJECT_DIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}
    environment = {name: value for name, value in os.environ.items() if name not in away} | {"HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", READING, service.url, str(folder)],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    port = service.url.rpartition(":")[2]
    assert {line for line in done.stdout.splitlines() if not line.startswith("write /dev/")} == {
        f"connect {port}",
        "rows 24",
        "telemetry False",
    }


def test_without_dlt_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    with pytest.raises(
        Refused, match=r'dlt is not installed, which the kind "dlt" needs; pip install "tallyline\[dlt\]"'
    ):
        next(read_dlt([], DAY, ""))  # type: ignore[arg-type]
