"""What a project's own tests are given: rows of a source, recordings replayed, a warehouse in memory, fixtures."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine

from tallyline import Grain, Graph, Window, source
from tallyline.errors import Denied, GraphError, NodeFailed, Refused, RunFailed
from tallyline.plan import Metric, Sketch
from tallyline.sources.sql import SqlSource
from tallyline.testing import NotRecorded, Point, Reply, fake_api, fixed_clock, read_rows, replayed, warehouse
from tallyline.warehouse import Changes
from tests.cli.terminal import make_project, tallyline
from tests.warehouse.publishing import at, publish, reading, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.api import Api

DAY = ("2026-07-14", "2026-07-15")

PROJECT = """\
[project]
timezone = "Europe/Paris"

[services]
shop = "${SHOP_URL:-sqlite:///shop.db}"

[metrics]
orders = {}
wait = { kind = "duration", unit = "s" }

[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT at AS time, country AS country, count(*) AS orders FROM bought WHERE at < :until GROUP BY 1, 2"
"""
CODE = """
from tallyline import source


@source
def waits(shop, window):
    with shop.connect() as connection:
        for at, seconds in connection.exec_driver_sql("SELECT at, seconds FROM bought"):
            yield {"time": at}, {"wait": seconds}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project, its two sources recorded, whose shop is gone."""
    folder = make_project(tmp_path / "project", PROJECT, CODE)
    shop = create_engine(f"sqlite:///{folder / 'shop.db'}")
    with shop.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bought (at TEXT, country TEXT, seconds INTEGER)")
        connection.exec_driver_sql(
            "INSERT INTO bought VALUES ('2026-07-14 10:00', 'FR', 3), ('2026-07-14 11:00', 'DE', 5), "
            "('2026-07-14 11:00', 'DE', 9), ('2026-07-14 10:00', NULL, 2)"
        )
    shop.dispose()
    for name in ("orders", "waits"):
        answer = tallyline("record", name, "--since", DAY[0], "--until", DAY[1], project=folder)
        assert answer.status == 0, answer.err
    (folder / "shop.db").unlink()
    return folder


def test_a_replay_gives_points_and_what_they_changed(project: Path) -> None:
    replay = replayed(project, "orders")
    assert replay.points == [
        Point("orders", {}, datetime(2026, 7, 14, 8, tzinfo=UTC), 1.0),
        Point("orders", {"country": "FR"}, datetime(2026, 7, 14, 8, tzinfo=UTC), 1.0),
        Point("orders", {"country": "DE"}, datetime(2026, 7, 14, 9, tzinfo=UTC), 2.0),
    ]
    assert replay.changes == Changes(added=3)
    assert replay.window == Window(at("2026-07-13 22:00"), at("2026-07-14 22:00"))
    assert replay.report["orders"].rows_out == 3
    assert replay.values("orders", country="DE") == [2.0]


def test_durations_are_told_as_sketches(project: Path) -> None:
    values = replayed(str(project), "waits").values("wait")
    assert [value.count for value in values if isinstance(value, Sketch)] == [2, 2]


def test_a_second_replay_into_the_same_warehouse_changes_nothing(project: Path) -> None:
    with warehouse("Europe/Paris") as store:
        assert replayed(project, "orders", into=store).changes == Changes(added=3)
        assert replayed(project, "orders", into=store).changes == Changes(unchanged=3)
        assert [value.value for value in store.query("orders", by="day")] == [4]
        assert [run.state for run in store.runs()] == ["done", "done"]


def test_a_recording_may_lie_elsewhere(project: Path, tmp_path: Path) -> None:
    moved = (project / "recordings/orders.json").rename(tmp_path / "kept.json")
    assert len(replayed(project, "orders", moved).points) == 3
    with pytest.raises(Refused, match=r"there is no recording .*orders.json"):
        replayed(project, "orders")


def test_a_service_may_be_given(project: Path) -> None:
    other = create_engine("sqlite://")
    with other.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE bought (at TEXT, country TEXT)")
    assert replayed(project, "orders", services={"shop": other}).points == []
    other.dispose()


def test_a_source_that_asks_otherwise_is_told(project: Path) -> None:
    make_project(project, PROJECT.replace("at < :until", "at <= :until"), CODE)
    with pytest.raises(NodeFailed, match="the recording has no answer") as failed:
        replayed(project, "orders")
    assert isinstance(failed.value.__cause__, NotRecorded)


@source(schedule="@daily", timezone="America/New_York")
def told(
    window: Window, now: datetime, zone: ZoneInfo, source_zone: ZoneInfo, grain: Grain
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Give what it was given."""
    yield {"window": window, "now": now, "zone": zone.key, "source_zone": source_zone.key, "grain": grain}, {}


def test_a_source_is_given_what_a_run_gives() -> None:
    [(given, _)] = read_rows(told, window=DAY, zone="Europe/Paris")
    paris = window("2026-07-13 22:00", "2026-07-14 22:00")
    zones = {"zone": "Europe/Paris", "source_zone": "America/New_York"}
    assert given == {"window": paris, "now": paris.until, "grain": Grain.DAY, **zones}


def test_what_a_source_is_given_may_be_said() -> None:
    whole = window("2026-07-14", "2026-07-15")
    [(given, _)] = read_rows(told, window=whole, now="2026-07-14 15:00", source_zone="Asia/Tokyo", grain="week")
    assert given == {
        "window": whole,
        "now": at("2026-07-14 15:00"),
        "zone": "UTC",
        "source_zone": "Asia/Tokyo",
        "grain": Grain.WEEK,
    }


def test_a_function_a_graph_and_a_kind_are_sources_too() -> None:
    def plain(rate: int) -> Iterator[object]:
        yield {"rate": rate}, {}

    def built() -> Graph:
        return Graph([1, 2], lambda row, rate: ({"row": row * rate}, {}))

    shop = create_engine("sqlite://")
    assert read_rows(plain, window=DAY, rate=3) == [({"rate": 3}, {})]
    assert read_rows(built, window=DAY, rate=3) == [({"row": 3}, {}), ({"row": 6}, {})]
    assert read_rows(built(), window=DAY, rate=2) == [({"row": 2}, {}), ({"row": 4}, {})]
    [(dims, metrics)] = read_rows(SqlSource("shop", "SELECT :since AS date, 7 AS orders"), window=DAY, shop=shop)
    assert (dims, metrics) == ({"date": "2026-07-14"}, {"orders": 7})
    shop.dispose()


def test_a_missing_service_is_refused() -> None:
    def plain(rate: int) -> Iterator[object]:
        yield {"rate": rate}, {}

    with pytest.raises(GraphError, match='asks for the service "rate", which does not exist'):
        read_rows(plain, window=DAY)


def test_a_fake_service_answers_by_path() -> None:
    api = fake_api(
        {
            "/orders": {"count": 7},
            "/echo": lambda params, body: [params, body],
            "/text": Reply("{}", headers={"X-Kind": "text"}),
            "/closed": Reply({"error": "no"}, 403),
        }
    )
    assert api.get("/orders").data == {"count": 7}
    assert api.get("/echo", {"a": 1}).data == [{"a": "1"}, None]
    assert api.post("/echo", {"b": 2}).data == [{}, {"b": 2}]
    assert api.get("/text").headers["x-kind"] == "text"
    with pytest.raises(Denied, match="answered 403"):
        api.get("/closed")
    with pytest.raises(RunFailed, match='no answer to GET /ordres; did you mean "/orders"'):
        api.get("/ordres")


def test_a_fake_service_is_asked_once() -> None:
    asked: list[int] = []

    def busy(*_: object) -> Reply:
        asked.append(1)
        return Reply("busy", 503)

    def contacts(crm: Api) -> Iterator[object]:
        yield crm.get("/contacts").data, {}

    with pytest.raises(NodeFailed, match="answered 503"):
        read_rows(contacts, window=DAY, crm=fake_api({"/contacts": busy}))
    assert asked == [1]


def test_a_clock_stands_still_and_a_warehouse_goes_by_it() -> None:
    assert fixed_clock(at("2026-07-14 10:00"))() == at("2026-07-14 10:00")
    plan = {"users.new": Metric("users.new")}
    with warehouse(now="2026-07-14 10:00", plan=plan) as store:
        publish(store, reading([({"time": "2026-07-14 08:00"}, {"users.new": 3})], window(*DAY), plan=plan), plan)
        [run] = store.runs()
        assert run.started_at == run.ended_at == at("2026-07-14 10:00")


USERS_TEST = """
from datetime import UTC, datetime


def test_orders(replay, tallyline_warehouse):
    result = replay("orders")
    assert result.values("orders", country="DE") == [2.0]
    assert result.changes.added == 3
    [day] = tallyline_warehouse.query("orders", by="day", since=datetime(2026, 7, 14, tzinfo=UTC))
    assert day.value == 4


def test_where(tallyline_project):
    assert (tallyline_project / "recordings").is_dir()
"""


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of a project as its authors do, in a process of their own."""
    installed = any(point.value == "tallyline.pytest_plugin" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "tallyline.pytest_plugin"]
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *plugin]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_fixtures_are_there_without_an_import(project: Path) -> None:
    (project / "tests").mkdir()
    (project / "tests/test_orders.py").write_text(USERS_TEST, encoding="utf-8")
    done = run_pytest(project)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_test_that_lies_in_no_project_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(USERS_TEST, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 1
    assert "there is no tallyline.toml above" in done.stdout


def test_what_the_plugin_imports_is_light() -> None:
    code = "import sys, tallyline.pytest_plugin\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"sqlalchemy", "httpx2", "pydantic"} & set(done.stdout.split()) == set()
