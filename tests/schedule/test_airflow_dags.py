"""Every way that a source's DAG can go, run by a real Airflow's `dag.test()`, all in one process."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.terminal import make_project, tallyline
from tests.schedule.airflow_home import Airflow
from tests.schedule.contents import contents
from tests.schedule.test_airflow_connections import Echo
from tests.warehouse.publishing import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

TOKEN = "tok-of-the-echo"  # noqa: S105  # no secret
PAGE = "https://metrics.example.com"
PROJECT = """\
[project]
timezone = "Europe/Paris"
start = 2026-07-01

[services]
shop = "sqlite:///not-here.db"
echo = "http://127.0.0.1:9"

[metrics]
orders = {}
stock = { kind = "level" }
answers = {}
headers = {}

[sources.orders]
kind = "sql"
service = "shop"
timezone = "UTC"
at_once = "2d"
query = "SELECT time, orders FROM orders WHERE time >= :since AND time < :until"

[sources.refunds]
kind = "sqll"

[retention]
runs = "400d"
"""
CODE = '''
"""Sources that go well or wrong in every way."""

from datetime import timedelta
from pathlib import Path

from tallyline import service, source
from tallyline.errors import Denied, Unavailable

ASKED = Path(__file__).with_name("asked")


@service
def own():
    """Return what has no Connection."""
    return 1


@source
def flaky(window, own):
    first = not ASKED.exists()
    ASKED.touch()
    if first:
        raise Unavailable("the service is busy", timedelta(milliseconds=1))
    yield {"time": window.since}, {"answers": own}


@source
def denied(window):
    raise Denied("the service refuses the key")
    yield


@source
def asking(echo, window):
    yield {"time": window.since}, {"headers": len(echo.get("/").data["Authorization"])}


@source
def leaking(echo):
    raise ValueError(f"what came was {echo.get('/').data}")
    yield


@source(snapshot=True)
def stock(now):
    yield {"time": now}, {"stock": 7}
'''
DAGS = """
from datetime import timedelta

from tallyline.schedule.airflow import dags

again = {"retries": 1, "retry_delay": timedelta(hours=1), "retry_exponential_backoff": False}
globals().update(dags("../project", prefix="shop", default_args=again))
"""
WINDOW = {"start": "2026-07-01", "end": "2026-07-06"}
RUNS: dict[str, dict[str, Any]] = {
    "window": {"dag": "orders", "conf": WINDOW},
    "date": {"dag": "orders", "logical_date": "2026-07-09T12:10:00+00:00"},
    "no date": {"dag": "orders"},
    "half a window": {"dag": "orders", "conf": {"start": "2026-07-01"}},
    "flaky": {"dag": "flaky"},
    "denied": {"dag": "denied"},
    "mistaken": {"dag": "refunds"},
    "asking": {"dag": "asking"},
    "leaking": {"dag": "leaking"},
    "snapshot": {"dag": "stock"},
    "past snapshot": {"dag": "stock", "conf": WINDOW},
    "clean": {"dag": "clean.all"},
}


@dataclass(frozen=True)
class Ran:
    """What came of the runs, what was logged, and the folder of the project."""

    told: dict[str, Any]
    log: str
    project: Path

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """The tasks of a run, in the order of their names."""
        tasks: list[dict[str, Any]] = self.told["runs"][run]["tasks"]
        return tasks

    def ends(self, run: str) -> list[tuple[str, str, int]]:
        """How each task of a run ended, and at which try."""
        return [(task["task"], task["state"], task["tries"]) for task in self.tasks(run)]


@pytest.fixture(scope="module")
def ran(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """All runs, in one process of Airflow's: the first task costs many seconds."""
    home = tmp_path_factory.mktemp("ran")
    project = make_project(home / "project", PROJECT, CODE)
    fill_shop(project)
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connections = {
            "SHOP": {"conn_type": "sqlite", "host": str(project / "shop.db")},
            "ECHO": {"conn_type": "tallyline", "host": f"http://127.0.0.1:{server.server_port}", "password": TOKEN},
            "UNFIT": {"conn_type": "tallyline", "extra": {"timeout": "soon"}},
            "TALLYLINE_WAREHOUSE": {"conn_type": "sqlite", "host": "of-a-connection.db"},
        }
        settings = {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}
        airflow = Airflow(airflow_python, home, {**settings, "AIRFLOW__TALLYLINE__PAGE_URL": f"{PAGE}/"})
        answer = tallyline("airflow", "init", airflow.dags, "--prefix", "shop", project=project)
        assert answer.status == 0, answer.err
        (airflow.dags / "tallyline_dags.py").write_text(DAGS, encoding="utf-8")
        migrated = airflow.run("-m", "airflow", "db", "migrate")
        assert migrated.returncode == 0, migrated.stderr
        cases = {name: {**case, "dag": dag_of(case["dag"])} for name, case in RUNS.items()}
        told, log = airflow.script("run", cases)
        yield Ran(told, log, project)
        server.shutdown()


def dag_of(source: str) -> str:
    return f"shop.{source}" if "." in source else f"shop.read.{source}"


def fill_shop(project: Path) -> None:
    shop = f"sqlite:///{project}/shop.db"
    rows_of(shop, "CREATE TABLE orders (time TEXT, orders INTEGER)")
    hours = ", ".join(f"('2026-07-0{day} {hour:02}:00:00', {hour + day})" for day in range(1, 10) for hour in range(24))
    rows_of(shop, f"INSERT INTO orders VALUES {hours}")  # noqa: S608  # the test's own


def test_a_long_window_is_read_in_parts(ran: Ran) -> None:
    assert ran.ends("window") == [("plan", "success", 1)] + [("read", "success", 1)] * 3
    assert [task["part"] for task in ran.tasks("window")[1:]] == [
        "2026-07-01 00:00 … 2026-07-03 00:00",
        "2026-07-03 00:00 … 2026-07-05 00:00",
        "2026-07-05 00:00 … 2026-07-06 00:00",
    ]
    reports = [task["told"]["return_value"] for task in ran.tasks("window")[1:]]
    assert [report["changes"]["added"] for report in reports] == [46, 48, 24]  # the first day begins at 22:00 UTC
    assert reports[0]["report"]["nodes"][0]["name"] == "orders"


def test_the_warehouse_is_what_the_command_writes(ran: Ran, tmp_path: Path) -> None:
    """But for the look-back of the run for a date, which is read here as a window of its own."""
    project = make_project(tmp_path / "project", PROJECT.replace("not-here", "shop").split("[sources.refunds]")[0])
    fill_shop(project)
    for since, until in (("2026-07-01", "2026-07-06"), ("2026-07-07T13:00", "2026-07-09T14:00")):
        asked = ("--since", since, "--until", until)
        assert tallyline("read", "orders", "--write", *asked, project=project).status == 0
    found = contents(f"sqlite:///{ran.project}/of-a-connection.db")
    expected = contents(f"sqlite:///{project}/warehouse.db")
    for table in ("hourly_value", "daily_value"):
        assert [row for row in found[table] if '"orders {}' in row] == expected[table]
        assert expected[table]


def test_a_run_for_a_date_reads_the_interval_before_it_and_the_look_back(ran: Ran) -> None:
    assert [task["part"] for task in ran.tasks("date")[1:]] == [
        "2026-07-07 13:00 … 2026-07-09 00:00",
        "2026-07-09 00:00 … 2026-07-09 14:00",
    ]


def test_a_run_without_a_date_is_for_the_last_complete_interval(ran: Ran) -> None:
    assert {end[1:] for end in ran.ends("no date")} == {("success", 1)}


def test_what_is_not_certain_is_refused_at_once(ran: Ran) -> None:
    assert ran.ends("half a window")[0] == ("plan", "failed", 1)
    assert "end is missing; give both start and end" in ran.log
    assert ran.ends("past snapshot")[0] == ("plan", "failed", 1)
    assert "stock is a snapshot, which tells only the present" in ran.log


def test_what_may_work_later_is_tried_again(ran: Ran) -> None:
    """When the service said, which is sooner than what the task says."""
    assert ran.ends("flaky") == [("plan", "success", 1), ("read", "success", 2)]


def test_what_does_not_help_is_not_tried_again(ran: Ran) -> None:
    assert ran.ends("denied") == [("plan", "success", 1), ("read", "failed", 1)]
    assert "the service refuses the key" in ran.log


def test_a_source_with_a_mistake_fails_alone(ran: Ran) -> None:
    assert ran.ends("mistaken")[0] == ("plan", "failed", 1)
    assert "sources.refunds.kind: there is no kind of source" in ran.log


def test_a_service_is_the_connection_of_its_name(ran: Ran) -> None:
    assert ran.ends("asking") == [("plan", "success", 1), ("read", "success", 1)]


def test_a_connection_is_tried(ran: Ran) -> None:
    assert [works for works, _ in ran.told["tried"]] == [True, False]
    assert "the timeout of the Connection" in ran.told["tried"][1][1]


def test_no_secret_is_told(ran: Ran) -> None:
    assert ran.ends("leaking") == [("plan", "success", 1), ("read", "failed", 1)]
    assert "what came was" in ran.log
    assert TOKEN not in ran.log + json.dumps(ran.told)
    database = (ran.project.parent / "airflow.db").read_bytes()
    assert TOKEN.encode() not in database


def test_a_snapshot_is_read(ran: Ran) -> None:
    assert ran.ends("snapshot") == [("plan", "success", 1), ("read", "success", 1)]


def test_cleaning_tells_what_went(ran: Ran) -> None:
    (task,) = ran.tasks("clean")
    assert (task["state"], sorted(task["told"]["return_value"])) == (
        "success",
        ["asking", "denied", "flaky", "leaking", "orders", "refunds", "stock"],
    )


def test_assets_name_the_metrics_that_were_written(ran: Ran) -> None:
    told = {(event["uri"], event["extra"]["source"]) for event in ran.told["assets"]}
    assert told == {
        ("tallyline://shop/headers", "asking"),
        ("tallyline://shop/answers", "flaky"),
        ("tallyline://shop/orders", "orders"),
        ("tallyline://shop/stock", "stock"),
    }
    begins = {event["extra"]["since"] for event in ran.told["assets"] if event["extra"]["source"] == "orders"}
    assert "2026-06-30T22:00:00+00:00" in begins


def test_a_link_leads_to_the_run(ran: Ran) -> None:
    (task,) = [task for task in ran.tasks("denied") if task["task"] == "read"]
    ((number,),) = rows_of(f"sqlite:///{ran.project}/of-a-connection.db", "SELECT id FROM run WHERE source = 'denied'")
    assert task["told"]["_link_RunLink"] == f"{PAGE}/runs#run-{number}"
