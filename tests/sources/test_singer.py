"""The bridge to Singer: a tap is told the window, its records become rows, and nothing of it stays behind."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import pytest

from tallyline.errors import (
    Denied,
    NodeFailed,
    ProjectError,
    Refused,
    SourceFailed,
    Unavailable,
    UnexpectedAnswer,
    UnknownName,
)
from tallyline.graph import Graph, node, run
from tallyline.project import load_project
from tallyline.runner import read_source
from tallyline.secret import remember
from tallyline.sources.singer import SingerBridge, process, read_singer
from tallyline.warehouse import open_warehouse
from tallyline.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tallyline.graph import Report

TAP = [sys.executable, str(Path(__file__).with_name("tap_shop.py"))]
UTC_ZONE = ZoneInfo("UTC")
DAY = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
SECRET = "sk_live_9f2c"  # noqa: S105  # planted, to be found nowhere
VALUES: dict[str, float | str] = {"orders.count": 1, "orders.revenue": "total"}


def order(number: int, created_at: str, country: str | None = "FR", total: object = "2.50") -> dict[str, Any]:
    """Return an order as the shop has it."""
    return {"id": number, "created_at": created_at, "country": country, "total": total}


ORDERS = [order(hour, f"2026-07-14T{hour:02}:30:00.5Z") for hour in range(24)]


def bridge(
    orders: list[dict[str, Any]] = ORDERS,
    *,
    timeout: float = 60,
    catalog: Literal["catalog", "properties", ""] = "catalog",
    **config: object,
) -> SingerBridge:
    """Return a source that reads orders."""
    return SingerBridge(
        TAP,
        "orders",
        "created_at",
        VALUES,
        {"country": "country"},
        {"orders": orders, **config},
        catalog=catalog,
        timeout=timeout,
    )


def read(source: SingerBridge, window: Window = DAY, zone: ZoneInfo = UTC_ZONE, **services: object) -> list[Any]:
    """Read a source to its end."""
    rows: list[Any] = []
    given = {"window": window, "source_zone": zone, **services}
    run(source.graph("orders").followed_by(node(rows.append, name="keep")), given)
    return rows


def failure(source: SingerBridge, window: Window = DAY) -> BaseException:
    """Return what ends a read."""
    with pytest.raises(NodeFailed) as failed:
        read(source, window)
    assert failed.value.__cause__ is not None
    return failed.value.__cause__


def has_ended(pid: int) -> bool:
    """Wait until a process has ended, if it has not."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([watched], [], [], 10)
    finally:
        os.close(watched)
    return bool(ended)


@pytest.fixture
def child(tmp_path: Path) -> Path:
    """A file for the number of the process that the tap starts."""
    return tmp_path / "child"


@pytest.fixture
def shortly(monkeypatch: pytest.MonkeyPatch) -> Callable[[SingerBridge], str]:
    """Read a tap that is waited for only shortly once it has given a row; return what ends that."""
    taps: list[process.Tap] = []
    started = process.Tap.started

    async def noted(name: str, command: Sequence[str], folder: Path, seconds: float) -> process.Tap:
        taps.append(await started(name, command, folder, seconds))
        return taps[-1]

    def lose_patience(_: object) -> None:
        taps[-1].seconds = 0.05

    def reading(source: SingerBridge) -> str:
        graph = source.graph("orders").followed_by(node(lose_patience))
        with pytest.raises(NodeFailed) as failed:
            run(graph, {"window": DAY, "source_zone": UTC_ZONE})
        assert isinstance(failed.value.__cause__, Unavailable)
        return str(failed.value.__cause__)

    monkeypatch.setattr(process.Tap, "started", noted)
    return reading


def test_records_become_rows() -> None:
    rows = read(bridge())
    assert len(rows) == 24
    dims, metrics = rows[7]
    assert dims == {"time": datetime(2026, 7, 14, 7, 30, 0, 500_000, tzinfo=UTC), "country": "FR"}
    assert metrics == {"orders.count": 1, "orders.revenue": 2.5}


def test_three_pages_of_output_are_one_stream() -> None:
    long = [{**each, "note": "x" * 50_000} for each in ORDERS]
    pages: list[Any] = []
    run(Graph(bridge(long).graph("orders").node("orders"), pages.append), {"window": DAY, "source_zone": UTC_ZONE})
    assert len(pages) >= 3
    assert [row[0]["time"].hour for page in pages for row in page] == list(range(24))


def test_an_empty_window_is_no_failure() -> None:
    assert read(bridge([])) == []


def test_what_is_not_in_the_window_is_left_out_and_what_comes_twice_counts_once() -> None:
    orders = [
        order(1, "2026-07-13T23:59:59Z"),
        order(2, "2026-07-14T00:00:00Z"),
        order(2, "2026-07-14T00:00:00Z"),
        order(3, "2026-07-14T23:59:59Z"),
        order(4, "2026-07-15T00:00:00Z"),
    ]
    assert [row[0]["time"].hour for row in read(bridge(orders, start_date="2026-07-01"))] == [0, 23]


def test_a_time_without_an_offset_is_in_the_zone_of_the_source() -> None:
    [(dims, _)] = read(bridge([order(1, "2026-07-14T12:00")]), zone=ZoneInfo("Europe/Paris"))
    assert dims["time"] == datetime(2026, 7, 14, 10, tzinfo=UTC)


def test_null_is_not_measured_and_what_the_schema_has_may_be_left_out_of_a_record() -> None:
    [(dims, metrics)] = read(bridge([{"id": 1, "created_at": "2026-07-14T10:00Z", "total": None}]))
    assert dims["country"] is None
    assert metrics == {"orders.count": 1, "orders.revenue": None}


def test_the_tap_is_given_the_window_the_stream_and_the_fields(tmp_path: Path) -> None:
    read(bridge([], seen=str(tmp_path / "seen"), start_date="{since}", end_date="{until}"), folder=tmp_path)
    seen = json.loads((tmp_path / "seen").read_text("utf-8"))
    since = "2026-07-13T23:59:59Z"  # a moment before, for taps that leave out what is as old as the bookmark
    bookmark = {"replication_key": "created_at", "replication_key_value": since, "created_at": since}
    assert seen["state"] == {"bookmarks": {"orders": bookmark, "shop-orders": bookmark}}
    assert (seen["config"]["start_date"], seen["config"]["end_date"]) == (since, "2026-07-15T00:00:00Z")
    assert seen["folder"] == str(tmp_path)
    orders, customers = seen["catalog"]["streams"]
    assert (orders["selected"], customers["selected"]) == (True, False)
    assert (orders["replication_method"], orders["replication_key"]) == ("INCREMENTAL", "created_at")
    selected = {each["breadcrumb"][-1]: each["metadata"].get("selected") for each in orders["metadata"][1:]}
    assert selected == {"id": True, "created_at": True, "country": True, "total": True, "note": False}


def test_an_older_tap_takes_its_catalog_as_properties(tmp_path: Path) -> None:
    assert len(read(bridge(catalog="properties", seen=str(tmp_path / "seen")))) == 24
    assert "--properties" in json.loads((tmp_path / "seen").read_text("utf-8"))["arguments"]


def test_a_tap_without_discovery_is_run_as_it_is(tmp_path: Path) -> None:
    source = bridge(catalog="", wrong="no discovery", seen=str(tmp_path / "seen"))
    assert len(read(source)) == 24
    assert "--catalog" not in json.loads((tmp_path / "seen").read_text("utf-8"))["arguments"]
    assert source.probe("orders") is None


def test_a_stream_that_such_a_tap_says_nothing_of_is_told_with_those_that_it_does() -> None:
    told = failure(bridge([], catalog="", wrong="no schema"))
    assert str(told).startswith("python")
    assert "wrote no schema of the stream orders; it wrote of: " in str(told)
    assert "customers" in str(told)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("requests.exceptions.HTTPError: 429 Client Error: Too Many Requests for url", Unavailable),
        ("HTTP-error-code: 403, Error: API rate limit exceeded", Unavailable),
        ("HTTPError: 500 Server Error: Internal Server Error for path: /orders", Unavailable),
        ("psycopg2.OperationalError: connection to server at 127.0.0.1 failed: Connection refused", Unavailable),
        ("ReadTimeout: Read timed out. (read timeout=300)", Unavailable),
        ("FatalAPIError: 401 Client Error: Unauthorized for path: /orders", Denied),
        ("CRITICAL You do not have permission to read orders", Denied),
        ("KeyError: 'created_at'", SourceFailed),
    ],
)
def test_how_a_tap_ended_is_sorted_by_its_last_words(words: str, kind: type[Exception]) -> None:
    noise = "INFO fetched 401 of 503 rows, permission granted\n    response = get(url, timeout=300)\n"
    told = failure(bridge(words=noise + words))
    assert type(told) is kind
    assert f"ended with status 1\n  {words}" in str(told)


def test_what_was_busy_may_be_read_later() -> None:
    assert isinstance(failure(bridge(words="429 Too Many Requests", after=3)), Unavailable)
    assert len(read(bridge())) == 24


def test_a_refused_login_says_what_to_do_and_not_the_key() -> None:
    remember(SECRET)
    told = failure(bridge(words=f"401 Client Error: no such key {SECRET}"))
    assert isinstance(told, Denied)
    assert "no such key ***" in str(told)
    assert "check the config, and what who asks there may read" in str(told)


def test_a_long_farewell_is_kept_in_part_and_no_secret_is_cut_in_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LAST_WORDS", 30)
    remember(SECRET)
    told = failure(bridge(words=f"{'x' * 50}\nnot {SECRET} but\nthe last line"))
    assert "the last line" in str(told)
    assert SECRET[-4:] not in str(told)


def test_a_tap_that_is_silent_for_too_long_is_ended_with_what_it_started(
    child: Path, shortly: Callable[[SingerBridge], str]
) -> None:
    told = shortly(bridge(wrong="silent", after=1, child=str(child)))
    assert "wrote nothing for 0.05 seconds, and was ended" in told
    assert has_ended(int(child.read_text("utf-8")))


def test_a_tap_that_does_not_listen_is_killed(
    child: Path, shortly: Callable[[SingerBridge], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    shortly(bridge(wrong="deaf", after=1, child=str(child)))
    assert has_ended(int(child.read_text("utf-8")))


def test_what_a_tap_left_running_is_ended_too(child: Path) -> None:
    assert len(read(bridge(child=str(child)))) == 24
    assert has_ended(int(child.read_text("utf-8")))


def test_a_tap_that_closes_its_output_and_goes_on_is_ended(shortly: Callable[[SingerBridge], str]) -> None:
    assert "wrote nothing for 0.05 seconds" in shortly(bridge(wrong="closed", after=1))


def test_a_tap_that_is_killed_is_a_failure() -> None:
    assert "ended with the signal SIGKILL" in str(failure(bridge(wrong="killed", after=2)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("garbage", "no message of Singer that is known here: Traceback: this is no message"),
        ("batch", 'no message of Singer that is known here: {"type": "BATCH"'),
        ("no schema", 'wrote a record before the schema of its stream: {"id": 0'),
    ],
)
def test_what_is_no_message_is_told_with_a_sample(wrong: str, said: str) -> None:
    told = failure(bridge(wrong=wrong))
    assert isinstance(told, UnexpectedAnswer)
    assert said in str(told)


def test_a_line_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST_MESSAGE", 50_000)
    told = failure(bridge(wrong="long"))
    assert isinstance(told, UnexpectedAnswer)
    assert "wrote a line of more than 50000 bytes: xxx" in str(told)
    assert len(str(told)) < 400


def test_half_a_message_of_a_tap_that_died_is_a_failure() -> None:
    assert "ended with status 1" in str(failure(bridge(wrong="half", after=2)))


def test_half_a_message_of_a_tap_that_ended_well_is_one_too() -> None:
    told = failure(bridge(wrong="half", after=2, status=0))
    assert isinstance(told, UnexpectedAnswer)
    assert '{"type": "RECORD", "stream": "ord' in str(told)


def test_a_field_that_vanished_is_named_with_a_sample() -> None:
    orders = [{"id": 1, "created_at": "2026-07-14T10:00Z", "amount": 2.5, "country": "FR"}]
    told = failure(bridge(orders, fields=["id", "created_at", "amount", "country"]))
    assert isinstance(told, UnexpectedAnswer)
    assert 'an item has no "total"; write "total?" if it may be missing. It is {"id": 1' in str(told)


def test_a_field_of_another_shape_is_named_with_a_sample() -> None:
    told = failure(bridge([order(1, "2026-07-14T10:00Z", total="two")]))
    assert str(told).startswith('"total" is "two", where a number is expected; the item is {"id": 1')


def test_a_stream_that_does_not_exist_is_told_with_those_that_do() -> None:
    source = SingerBridge(TAP, "ordrs", "created_at", VALUES, config={"orders": []})
    told = failure(source)
    assert isinstance(told, UnknownName)
    assert str(told).endswith('called "ordrs"; did you mean "shop-orders"? There are: shop-customers, shop-orders')


def test_what_is_no_catalog_is_told_with_a_sample() -> None:
    told = failure(bridge(told_catalog="streams: none"))
    assert isinstance(told, UnexpectedAnswer)
    assert "--discover printed what is no catalog: streams: none" in str(told)


def test_a_tap_that_is_not_there_is_refused() -> None:
    source = SingerBridge(["tap-nowhere"], "orders", "created_at", VALUES)
    told = failure(source)
    assert isinstance(told, Refused)
    assert "tap-nowhere cannot be run in" in str(told)


def test_another_node_that_fails_ends_a_tap_that_is_silent(child: Path) -> None:
    def failing(_: object) -> None:
        message = "no more"
        raise ValueError(message)

    source = bridge(wrong="silent", after=1, child=str(child))
    graph = source.graph("orders").followed_by(node(failing, concurrency=2))
    with pytest.raises(NodeFailed, match="no more"):
        run(graph, {"window": DAY, "source_zone": UTC_ZONE})
    assert has_ended(int(child.read_text("utf-8")))


@pytest.mark.parametrize("concurrency", [None, 2])
def test_ctrl_c_ends_a_tap_that_is_silent(child: Path, concurrency: int | None) -> None:
    def interrupting(_: object) -> None:
        Timer(0.1, partial(os.kill, os.getpid(), signal.SIGINT)).start()

    source = bridge(wrong="silent", after=1, child=str(child))
    graph = source.graph("orders").followed_by(node(interrupting, concurrency=concurrency))
    with pytest.raises(KeyboardInterrupt):
        run(graph, {"window": DAY, "source_zone": UTC_ZONE})
    assert has_ended(int(child.read_text("utf-8")))


LEFT_BEHIND = """
import json, sys, threading
from datetime import UTC, datetime
from tallyline import Window, read_singer

tap, config = json.loads(sys.argv[1])
day = Window(datetime(2026, 7, 14, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC))
records, first = read_singer(tap, "orders", day, config=config), threading.Event()

def reading():
    for record in records:
        first.set()

threading.Thread(target=reading, daemon=True).start()
first.wait(60)
"""


def test_a_process_that_ends_without_waiting_leaves_no_tap_behind(child: Path) -> None:
    asked = [TAP, {"orders": ORDERS, "wrong": "silent", "after": 2, "child": str(child)}]
    subprocess.run([sys.executable, "-c", LEFT_BEHIND, json.dumps(asked)], check=True, timeout=60)
    assert has_ended(int(child.read_text("utf-8")))


def test_records_may_be_read_by_code_and_ending_early_ends_the_tap(child: Path) -> None:
    config = {"orders": ORDERS, "wrong": "silent", "after": 2, "child": str(child)}
    records = read_singer(TAP, "orders", DAY, config=config, time="created_at")
    assert [next(records), next(records)] == ORDERS[:2]
    close = getattr(records, "close")  # noqa: B009  # an iterator to the type checker, a generator in fact
    close()
    assert has_ended(int(child.read_text("utf-8")))


def test_without_a_time_code_is_given_records_of_any() -> None:
    config = {"orders": [order(1, "2026-07-13T10:00Z"), order(2, "2026-07-20T10:00Z")]}
    assert [each["id"] for each in read_singer(TAP, "orders", DAY, config=config, catalog="")] == [1, 2]


def test_a_probe_tells_of_the_stream_and_of_a_refusal() -> None:
    lines: list[str] = []
    probe = bridge().probe("orders")
    assert probe is not None
    run(probe.followed_by(node(lines.append)), {"window": DAY, "source_zone": UTC_ZONE})
    [line] = lines
    assert line.endswith("has the stream shop-orders, read by created_at")


def test_a_catalog_that_says_nothing_of_the_stream_selects_it_as_a_whole(tmp_path: Path) -> None:
    lines: list[str] = []
    told = json.dumps({"streams": [{"stream": "orders", "schema": {"properties": {}}}]})
    source = bridge(told_catalog=told, seen=str(tmp_path / "seen"))
    probe = source.probe("orders")
    assert probe is not None
    run(probe.followed_by(node(lines.append)), {"window": DAY, "source_zone": UTC_ZONE})
    assert lines[0].endswith("has the stream orders, read as a whole each time, as it names no replication key")
    assert len(read(source)) == 24
    seen = json.loads((tmp_path / "seen").read_text("utf-8"))
    [entry] = seen["catalog"]["streams"]
    assert entry["selected"] is entry["schema"]["selected"] is entry["metadata"][0]["metadata"]["selected"] is True
    assert "state" not in seen


def test_a_tap_is_called_by_its_own_name() -> None:
    source = SingerBridge(["uvx", "--from", "nowhere", "/nowhere/tap-x"], "orders", "at", VALUES, catalog="")
    assert "tap-x ended with" in str(failure(dataclasses.replace(source, tap=["false", *source.tap])))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tap": []}, "a tap is a command"),
        ({"timeout": 0}, "a tap is a command"),
        ({"values": {}}, "values is empty"),
        ({"dims": {"hour": "at"}}, 'a dim cannot be called "hour"'),
        ({"config": {"nested": {"api_key": "abc"}}}, r"config\.nested\.api_key: a secret stands in the file"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_refused(changed: dict[str, Any], said: str) -> None:
    told: dict[str, Any] = {"tap": TAP, "stream": "orders", "time": "at", "values": VALUES}
    with pytest.raises(Refused, match=said):
        SingerBridge(**told | changed)


PROJECT = """
    [metrics]
    "orders.count" = {}
    "orders.revenue" = {}

    [sources.orders]
    kind = "singer"
    tap = TAP
    stream = "orders"
    time = "created_at"
    dims = { country = "country?" }
    values = { "orders.count" = 1, "orders.revenue" = "total" }
    combine = "sum"
    start = 2026-07-14

    [sources.orders.config]
    api_key = "${SHOP_KEY}"
    seen = "seen"
    words = WORDS
    after = 2
    orders = [
        { id = 1, created_at = "2026-07-14T10:00:00Z", country = "FR", total = 2.5 },
        { id = 2, created_at = "2026-07-14T10:30:00Z", country = "FR", total = 3.0 },
    ]
"""


def project_in(folder: Path, words: str = "") -> None:
    """Write a project that reads the tap."""
    text = PROJECT.replace("TAP", json.dumps(TAP)).replace("WORDS", json.dumps(words))
    (folder / "tallyline.toml").write_text(text if words else text.replace('words = ""', ""), "utf-8")


def read_project(folder: Path) -> tuple[Report, BaseException | None]:
    """Read a project's source into its warehouse."""
    project, now = load_project(folder), datetime(2026, 7, 14, 15, tzinfo=UTC)
    with open_warehouse(f"sqlite:///{folder / 'warehouse.db'}", UTC_ZONE, write=True) as warehouse:
        result = read_source(project, project.source("orders"), warehouse, DAY, now=now, write=True)
        [run] = warehouse.runs()
        assert SECRET not in repr(run)
        return result.report, result.error


def test_a_project_declares_it_and_the_key_is_in_a_private_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_KEY", SECRET)
    project_in(tmp_path)
    report, error = read_project(tmp_path)
    assert error is None
    assert {each.name: each.rows_out for each in report.nodes}["normalize"] == 4
    seen = json.loads((tmp_path / "seen").read_text("utf-8"))
    assert seen["config"]["api_key"] == SECRET
    assert seen["modes"] == {"config": "0o600", "catalog": "0o600", "state": "0o600", "folder": "0o700"}
    assert SECRET not in " ".join(seen["arguments"])
    assert not Path(seen["private"]).exists()
    assert SECRET.encode() not in (tmp_path / "warehouse.db").read_bytes()


def test_a_project_that_fails_keeps_no_key_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_KEY", SECRET)
    project_in(tmp_path, "401 Unauthorized: ${SHOP_KEY}")
    _, error = read_project(tmp_path)
    assert "401 Unauthorized: ***" in str(error)
    assert SECRET.encode() not in (tmp_path / "warehouse.db").read_bytes()
    assert not Path(json.loads((tmp_path / "seen").read_text("utf-8"))["private"]).exists()
    assert SECRET not in "".join(capfd.readouterr())


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    project_in(tmp_path)
    _, error = read_project(tmp_path)
    assert "needs the environment variable SHOP_KEY, which is not set" in str(error)


def test_a_key_that_stands_in_the_file_is_a_mistake(tmp_path: Path) -> None:
    project_in(tmp_path)
    file = tmp_path / "tallyline.toml"
    file.write_text(file.read_text("utf-8").replace("${SHOP_KEY}", SECRET), "utf-8")
    with pytest.raises(ProjectError, match=r"config\.api_key: a secret stands in the file") as told:
        load_project(tmp_path)
    assert SECRET not in str(told.value)
