"""An Airflow with its servers: what it reads by LocalExecutor and by Celery is what `tallyline read` reads."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tallyline.demo import projects
from tallyline.project import load_project
from tallyline.window import utc_now
from tests.cli.terminal import make_project, tallyline
from tests.postgres import new_database
from tests.schedule.airflow_home import Airflow
from tests.schedule.airflow_server import ENDED, Server, prepare, running, scheduling, settings
from tests.schedule.contents import contents
from tests.warehouse.publishing import rows_of
from tools.debian import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

DAYS = 20
PAGE = "https://metrics.example.com"
AGAIN = {"retry_delay": 3, "retry_exponential_backoff": False}
BY_CELERY = """
from tallyline.schedule.airflow import dags

own = {"executor": "CeleryExecutor", "retry_delay": 3, "retry_exponential_backoff": False}
globals().update(dags("../company", prefix="celery", assets=False, default_args=own))
"""
WAITING = """
from airflow.sdk import DAG, Asset
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG("waiting", schedule=Asset("tallyline://shop/orders"), catchup=False):
    EmptyOperator(task_id="told", inlets=[Asset("tallyline://shop/orders")])
"""
SHOP = """\
[project]
warehouse = "sqlite:///warehouse.db"
start = {start}

[metrics]
orders = {{}}

[sources.broken]
kind = "sql"
service = "none"
schedule = "61 * * * *"
query = "SELECT 1"
"""
ORDERS = """
from tallyline import source


@source(schedule="@daily", lookback=__import__("datetime").timedelta(0))
def orders(window):
    yield {"date": window.since.date()}, {"orders": window.since.day}
"""


@dataclass(frozen=True)
class Place:
    """The running Airflow, the projects that it runs, and the warehouses that it writes, by executor."""

    server: Server
    company: Path
    shop: Path
    warehouses: dict[str, str]
    window: tuple[str, str]


@pytest.fixture(scope="module")
def place(airflow_python: Path, postgres: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An Airflow that keeps what it knows in PostgreSQL, and has both executors."""
    missing = installed("redis-server")
    if missing and "CI" in os.environ:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    home, now = tmp_path_factory.mktemp("airflow"), utc_now()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        urls = {
            name: stack.enter_context(new_database(postgres, f"airflow_{name}", "postgresql"))
            for name in ("metadata", "local", "celery", "read")
        }
        airflow = Airflow(
            airflow_python,
            home,
            settings(urls["metadata"].replace("postgresql", "postgresql+psycopg2", 1), home)
            | {"WAREHOUSE": urls["local"], "AIRFLOW__TALLYLINE__PAGE_URL": PAGE},
        )
        patch.setattr(projects, "DAYS_OF_COMPANY", DAYS)
        company, shop = make_company(home, now), make_shop(home, now)
        for project, prefix in ((company, "local"), (shop, "shop")):
            answer = tallyline("airflow", "init", home / "written" / prefix, "--prefix", prefix, project=project)
            assert answer.status == 0, answer.err
        shutil.copytree(home / "written", airflow.dags)
        (airflow.dags / "celery_dags.py").write_text(BY_CELERY, encoding="utf-8")
        (airflow.dags / "waiting.py").write_text(WAITING, encoding="utf-8")
        told(airflow.dags / "shop/tallyline_dags.py", "catchup=False")
        told(airflow.dags / "local/tallyline_dags.py", f"default_args={AGAIN}")
        prepare(airflow)
        since, until = (now - timedelta(days=days) for days in (DAYS - 2, 5))
        window = (f"{since:%Y-%m-%d}", f"{until:%Y-%m-%d}")
        with running(airflow, {"WAREHOUSE": urls["celery"]}) as server:
            yield Place(server, company, shop, urls, window)


def told(file: Path, argument: str) -> None:
    """Add an argument to the call that a DAG file has."""
    file.write_text(file.read_text("utf-8").replace("prefix=", f"{argument}, prefix="), encoding="utf-8")


def make_company(home: Path, now: datetime) -> Path:
    """Make the demo's company, whose warehouse is the one that a variable names."""
    projects.make_company(home / "company", now)
    file = home / "company/tallyline.toml"
    text = file.read_text("utf-8").replace('"sqlite:///warehouse.db"', '"${WAREHOUSE}"')
    file.write_text(text, encoding="utf-8")
    return home / "company"


def make_shop(home: Path, now: datetime) -> Path:
    """Make a project whose one sound source is read by the day, without making up for what was before."""
    start = (now - timedelta(days=30)).date()
    return make_project(home / "shop", SHOP.format(start=start), ORDERS)


def start_run(place: Place, dag: str, **asked: object) -> str:
    """Start a run, and return its id."""
    run_id: str = place.server.post(f"dags/{dag}/dagRuns", {"logical_date": None, **asked})["dag_run_id"]
    return run_id


def ended(place: Place, runs: dict[str, str]) -> dict[str, str]:
    """Wait until all runs have ended, and return how, by their DAGs."""

    def states() -> dict[str, str]:
        told = place.server.post("dags/~/dagRuns/list", {"dag_ids": list(runs), "page_limit": 100})["dag_runs"]
        return {run["dag_id"]: run["state"] for run in told if run["dag_run_id"] == runs[run["dag_id"]]}

    def all_ended() -> dict[str, str] | None:
        found = states()
        return found if set(found.values()) <= ENDED else None

    found: dict[str, str] = place.server.until("the runs", all_ended)
    return found


def wake(place: Place, *dags: str) -> None:
    """Let DAGs run, which are paused when they are new."""
    for dag in dags:
        place.server.patch(f"dags/{dag}", {"is_paused": False})


def tasks(place: Place, dag: str, run: str) -> list[dict[str, Any]]:
    """Return the tasks of a run."""
    told: list[dict[str, Any]] = place.server.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
    return told


def read_all(place: Place, sources: Sequence[str]) -> None:
    """Read the same windows by the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE", place.warehouses["read"])
        since, until = place.window
        for source in sources:
            asked = ("--since", since, "--until", until)
            answer = tallyline("read", source, "--write", *asked, project=place.company)
            assert answer.status == 0, answer.err


def test_every_source_of_the_demo_is_read_by_both_executors_as_by_the_command(place: Place) -> None:
    """All windows are in the past, and are the same bytes whoever reads them: only the ledger tells them apart."""
    sources = sorted(load_project(place.company).sources)
    dags = [f"{prefix}.read.{source}" for prefix in ("local", "celery") for source in sources]
    conf = dict(zip(("start", "end"), place.window, strict=True))
    runs = {dag: start_run(place, dag, conf=conf) for dag in dags}
    wake(place, *dags)
    with scheduling(place.server, by_schedule=False):
        read_all(place, sources)  # while they run
        states = ended(place, runs)
    place.server.patch("dags?dag_id_pattern=~", {"is_paused": True})
    assert states == dict.fromkeys(dags, "success"), [
        tasks(place, dag, runs[dag]) for dag in dags if states[dag] != "success"
    ]
    expected = contents(place.warehouses["read"])
    assert len(expected["hourly_value"]) > 1000
    assert contents(place.warehouses["local"]) == expected
    assert contents(place.warehouses["celery"]) == expected
    task = f"dags/local.read.signups/dagRuns/{quote(runs['local.read.signups'])}/taskInstances/read"
    report = place.server.get(f"{task}/xcomEntries/return_value?map_index=0")["value"]
    assert report["source"] == "signups"
    links = place.server.get(f"{task}/links?map_index=0")["extra_links"]
    assert links == {"Tallyline run": f"{PAGE}/runs#run-{report['run']}"}
    events = place.server.get("assets/events?source_dag_id=local.read.signups")["asset_events"]
    assert {event["uri"] for event in events} == {"tallyline://local/users.activated", "tallyline://local/users.new"}
    assert {event["extra"]["run"] for event in events} == {report["run"]}
    kept = "SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"  # LocalExecutor writes none
    ((count,),) = rows_of(place.warehouses["metadata"], kept)
    assert count >= 2 * len(sources)


def test_the_schedule_and_a_backfill_read_their_intervals_and_whoever_waits_is_told(place: Place) -> None:
    dag, today = "shop.read.orders", datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    wake(place, dag, "waiting")
    backfill = {
        "dag_id": dag,
        "from_date": (today - timedelta(days=4)).isoformat(),
        "to_date": (today - timedelta(days=3)).isoformat(),
        "max_active_runs": 2,
    }
    place.server.post("backfills", backfill)

    def done() -> list[dict[str, Any]] | None:
        runs = place.server.get(f"dags/{dag}/dagRuns")["dag_runs"]
        return runs if len(runs) >= 3 and {run["state"] for run in runs} <= ENDED else None

    def waited() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = place.server.get("dags/waiting/dagRuns")["dag_runs"]
        return [run for run in found if run["state"] in ENDED]

    with scheduling(place.server, by_schedule=True):
        runs = place.server.until("the backfill", done)
        after = place.server.until("the DAG that waits for a metric", waited)
    assert {(run["run_type"], run["state"]) for run in after} == {("asset_triggered", "success")}
    assert sorted((run["run_type"], run["state"]) for run in runs) == [("backfill", "success")] * 2 + [
        ("scheduled", "success")
    ]
    read = rows_of(f"sqlite:///{place.shop}/warehouse.db", "SELECT since, until FROM run ORDER BY since")
    days = [(today - timedelta(days=days)).timestamp() for days in (4, 3, 1)]
    assert read == [(day, day + 86400) for day in days]


def test_what_is_wrong_with_a_source_is_an_import_error(place: Place) -> None:
    errors = place.server.get("importErrors")["import_errors"]
    assert [error["filename"].rpartition("/")[2] for error in errors] == ["tallyline_problems.py"]
    assert 'tallyline.toml sources.broken.schedule: "61 * * * *" is no schedule' in errors[0]["stack_trace"]
    providers = place.server.get("providers?limit=100")["providers"]
    assert "tallyline" in {provider["package_name"] for provider in providers}
