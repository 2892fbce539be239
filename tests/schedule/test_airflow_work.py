"""What the tasks of a DAG do: plan, read and clean, as it is without Airflow."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import (
    AtWork,
    BadPoint,
    Denied,
    NodeFailed,
    ProjectError,
    Refused,
    RunFailed,
    Unavailable,
    UnknownName,
)
from tallyline.project import load_project
from tallyline.schedule.airflow import work
from tallyline.schedule.airflow.asked import Asked
from tallyline.warehouse import open_warehouse
from tests.cli.terminal import make_project, tallyline
from tests.schedule.contents import contents
from tests.schedule.test_airflow_connections import Connection
from tests.warehouse.publishing import at, facts, rows_of, window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tallyline.warehouse import Warehouse

PROJECT = """\
[project]
start = 2024-06-01

[services]
shop = "sqlite:///not-here.db"

[metrics]
orders = {}
customers = { kind = "level" }
visitors = { kind = "distinct" }
rate = { formula = "orders / customers" }

[sources.orders]
kind = "sql"
service = "shop"
at_once = "2d"
query = "SELECT time, orders FROM orders WHERE time >= :since AND time < :until"
"""
CODE = """
from tallyline import source


@source(snapshot=True)
def customers(now):
    yield {"time": now}, {"customers": now.hour}


@source
def web(window):
    yield {"time": window.since}, {"visitors": 5}
"""
NOW = at("2024-06-08 10:30")
SHOP = Connection("sqlite", "shop.db")
PART = {"since": "2024-06-01T00:00:00+00:00", "until": "2024-06-03T00:00:00+00:00", "name": "the first two days"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = make_project(tmp_path / "shop", PROJECT, CODE)
    hours = ", ".join(f"('2024-06-0{day} {hour:02}:00:00', {hour + day})" for day in range(1, 8) for hour in range(24))
    rows_of(f"sqlite:///{folder}/shop.db", "CREATE TABLE orders (time TEXT, orders INTEGER)")
    rows_of(f"sqlite:///{folder}/shop.db", f"INSERT INTO orders VALUES {hours}")  # noqa: S608
    return folder


def connections(**known: Connection) -> work.LookUp:
    return known.get


def planned(project: Path, source: str = "orders", **told: object) -> list[dict[str, str]]:
    asked = Asked(run_type="manual", run_after=NOW, **told)  # type: ignore[arg-type]
    return work.planned(project, source, asked, NOW)


@contextmanager
def warehouse_of(project: Path) -> Iterator[Warehouse]:
    loaded = load_project(project)
    with open_warehouse(f"sqlite:///{project}/warehouse.db", loaded.zone, write=True, plan=loaded.plan) as warehouse:
        yield warehouse


def test_a_long_window_is_planned_in_parts(project: Path) -> None:
    assert planned(project, conf={"start": "2024-06-01", "end": "2024-06-04"}) == [
        {
            "since": "2024-06-01T00:00:00+00:00",
            "until": "2024-06-03T00:00:00+00:00",
            "name": "2024-06-01 00:00 … 2024-06-03 00:00",
        },
        {
            "since": "2024-06-03T00:00:00+00:00",
            "until": "2024-06-04T00:00:00+00:00",
            "name": "2024-06-03 00:00 … 2024-06-04 00:00",
        },
    ]


def test_parts_are_read_as_the_command_reads_the_window(project: Path) -> None:
    for part in planned(project, conf={"start": "2024-06-01", "end": "2024-06-06"}):
        result = work.read(project, "orders", part, connections(shop=SHOP), NOW)
        assert result.error is None
    found = contents(f"sqlite:///{project}/warehouse.db")
    (project / "warehouse.db").unlink()
    text = (project / "tallyline.toml").read_text("utf-8").replace("not-here", "shop")
    (project / "tallyline.toml").write_text(text, encoding="utf-8")
    window_asked = ("--since", "2024-06-01", "--until", "2024-06-06")
    assert tallyline("read", "orders", "--write", *window_asked, project=project).status == 0
    assert contents(f"sqlite:///{project}/warehouse.db") == found


def test_what_is_told_of_a_read(project: Path) -> None:
    told = work.told(work.read(project, "orders", PART, connections(shop=SHOP), NOW))
    report = told.pop("report")
    assert told == {
        "source": "orders",
        "since": "2024-06-01T00:00:00+00:00",
        "until": "2024-06-03T00:00:00+00:00",
        "run": 1,
        "changes": {"added": 48, "changed": 0, "removed": 0, "unchanged": 0},
        "metrics": ["orders"],
    }
    assert json.loads(json.dumps(report))["state"] == "done"


def test_a_snapshot_is_of_the_moment_that_it_is_read_at(project: Path) -> None:
    (part,) = planned(project, "customers")
    result = work.read(project, "customers", part, connections(), at("2024-06-08 13:05"))
    assert result.window == window("2024-06-08 13:00", "2024-06-08 14:00")
    assert [fact.value for fact in facts(f"sqlite:///{project}/warehouse.db", "hourly")] == [13]


def test_the_warehouse_may_be_a_connection(project: Path, postgres_url: str) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    url = make_url(postgres_url)
    told = Connection("postgres", url.host, url.username, url.password, url.database, url.port, dict(url.query))
    look_up = connections(shop=SHOP, tallyline_warehouse=told)
    assert work.read(project, "orders", PART, look_up, NOW).error is None
    assert len(facts(postgres_url, "hourly")) == 48
    assert not (project / "warehouse.db").exists()


def test_without_connections_services_are_the_projects_own(project: Path) -> None:
    result = work.read(project, "orders", PART, connections(), NOW)
    assert "there is no SQLite file" in str(result.error)
    assert result.run == 1


def test_what_is_wrong_with_others_does_not_matter(project: Path) -> None:
    wrong = """
[sources.refunds]
kind = "sqll"

[dashboards.shop]
panels = [{ metric = "nothing" }]
"""
    text = (project / "tallyline.toml").read_text("utf-8").replace('"orders / customers"', '"orders / nothing"')
    (project / "tallyline.toml").write_text(f"{text}{wrong}", encoding="utf-8")
    (project / "sources.py").write_text("raise OSError", encoding="utf-8")
    with pytest.raises(ProjectError, match="4 mistakes"):
        load_project(project)
    assert planned(project, conf={"start": "2024-06-01", "end": "2024-06-04"})
    assert work.read(project, "orders", PART, connections(shop=SHOP), NOW).error is None
    for source in ("refunds", "customers"):  # themselves
        with pytest.raises(ProjectError, match="4 mistakes"):
            planned(project, source)


def test_what_is_wrong_with_the_project_matters(project: Path) -> None:
    text = (project / "tallyline.toml").read_text("utf-8").replace("[services]", "[services]\nbank = 5")
    (project / "tallyline.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=r"services\.bank"):
        planned(project)


def test_a_broken_source_cannot_be_read_by_others_way(project: Path) -> None:
    text = (project / "tallyline.toml").read_text("utf-8")
    (project / "tallyline.toml").write_text(f'{text}[sources.refunds]\nkind = "sqll"', encoding="utf-8")
    broken = load_project(project, only=["orders"]).source("refunds")
    with pytest.raises(Refused, match="there are mistakes in this source"):
        broken.graph()


def test_a_source_that_there_is_not(project: Path) -> None:
    with pytest.raises(UnknownName, match='there is no source "order"; did you mean "orders"'):
        planned(project, "order")


def kept(project: Path, hours: str = "400d") -> Path:
    text = (project / "tallyline.toml").read_text("utf-8")
    (project / "tallyline.toml").write_text(f'{text}\n[retention]\nhours = "{hours}"\n', encoding="utf-8")
    return project


def old(project: Path) -> None:
    moment = at("2024-06-08 10:30")
    for source, look_up in (("orders", connections(shop=SHOP)), ("customers", connections())):
        part = PART if source == "orders" else planned(project, source)[0]
        assert work.read(project, source, part, look_up, moment).error is None


def test_nothing_is_cleaned_where_everything_is_kept(project: Path) -> None:
    assert work.clean(project, connections()) == {}


def test_cleaning_tells_what_went_of_each_source(project: Path) -> None:
    old(project)
    cleaned = work.clean(kept(project, "30d"), connections())
    assert sorted(cleaned) == ["customers", "orders", "web"]
    assert cleaned["orders"]["hours"] == 48
    assert [fact.metric for fact in facts(f"sqlite:///{project}/warehouse.db", "hourly")] == []


def test_hours_that_were_never_rolled_up_are_kept_and_told(project: Path) -> None:
    old(project)
    assert work.read(project, "web", PART, connections(), NOW).error is None
    with pytest.raises(Refused, match="hours of web were never rolled up into days, and were kept"):
        work.clean(kept(project, "30d"), connections())
    assert [fact.metric for fact in facts(f"sqlite:///{project}/warehouse.db", "hourly")] == ["visitors"]


def test_a_source_that_is_read_is_cleaned_later(project: Path) -> None:
    old(project)
    kept(project, "30d")
    with warehouse_of(project) as warehouse:
        rows = "UPDATE run SET state = 'running', ended_at = NULL, process = 1, holder = '' WHERE source = 'orders'"
        rows_of(f"sqlite:///{project}/warehouse.db", rows)
        with pytest.raises(AtWork, match="orders is being read already") as at_work:
            work.clean(project, connections())
        assert warehouse.coverage("orders")
    assert work.is_worth_another_try(at_work.value)
    assert [fact.metric for fact in facts(f"sqlite:///{project}/warehouse.db", "hourly")] == ["orders"] * 48


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Unavailable("busy"), True),
        (NodeFailed("orders", None, Unavailable("busy")), True),
        (AtWork("it is read already"), True),
        (RunFailed("the warehouse refused: it is away"), True),
        (NodeFailed("orders", None, ValueError("a mistake in code")), False),
        (Denied("no such key"), False),
        (BadPoint("no time"), False),
        (Refused("no such source"), False),
    ],
)
def test_what_is_tried_again(error: Refused | RunFailed, *, again: bool) -> None:
    assert work.is_worth_another_try(error) is again
