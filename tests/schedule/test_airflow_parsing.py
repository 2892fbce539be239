"""Folders of DAGs, parsed by a real Airflow as its DAG processor does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest

from tallyline import __version__
from tallyline.schedule.intervals import as_cron, intervals_before
from tests.cli.terminal import make_project, tallyline
from tests.schedule.airflow_home import Airflow
from tests.warehouse.publishing import PARIS, at

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]

SOURCES = 100
HEAVY = {"click", "httpx2", "psycopg", "pydantic", "sqlalchemy", "starlette"}
OURS = ("tallyline.api.client", "tallyline.database", "tallyline.project", "tallyline.runner", "tallyline.warehouse")
HEAD = """\
[project]
timezone = "Europe/Paris"
start = 2026-07-01

[services]
shop = "sqlite:///shop.db"

[metrics]
orders = {}
"""
SOURCE = """
[sources.{name}]
kind = "sql"
service = "shop"
schedule = "{schedule}"
query = "SELECT 1"
"""
STOCK = """
from tallyline import source

@source(schedule="@daily", snapshot=True)
def stock(now):
    yield
"""
BROKEN = "raise RuntimeError('code is not run where Airflow parses')"
SCHEDULES = ("@hourly", "@daily", "15 6 * * *", "*/15 * * * *", "0 3 * * *", "30 * * * *")
AT_NIGHT = ("30 2 * * *", "0 2 * * *", "0 */2 * * *", "0 2,14 * * *", "0 1-5 * * *")
CHANGES = (("2026-03-28T00:00Z", "2026-03-31T00:00Z"), ("2026-10-24T00:00Z", "2026-10-27T00:00Z"))


@dataclass(frozen=True)
class Looked:
    """What Airflow made of all the folders, in one process, and of one of them in another."""

    told: dict[str, Any]
    again: dict[str, Any]

    def dags(self, folder: str) -> dict[str, Any]:
        """The DAGs of a folder by their ids."""
        dags: dict[str, Any] = self.told["folders"][folder]["dags"]
        return dags

    def errors(self, folder: str) -> dict[str, str]:
        """What is wrong in a folder, by the names of files."""
        errors = self.told["folders"][folder]["errors"]
        return {Path(file).name: error for file, error in errors.items()}


@pytest.fixture(scope="module")
def looked(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """Projects and their DAG folders, all looked at by one process: it takes seconds to start."""
    home = tmp_path_factory.mktemp("looked")
    hundred = [(f"s{number:03}", f"{number % 60} * * * *") for number in range(SOURCES)]
    folders = {
        "hundred": dags_of(home / "hundred", "", *hundred),
        "plain": dags_of(home / "plain", STOCK, ("orders", "@hourly"), ("visits", "@weekly")),
        "bad": dags_of(home / "bad", "", ("orders", "@hourly"), ("visits", "61 * * * *"), ("refunds", "@daily")),
        "stale": dags_of(home / "stale", STOCK, ("orders", "@hourly")),
        "endless": dags_of(home / "endless", "", ("orders", "@hourly")),
        "wrong": dags_of(home / "wrong", "", ("orders", "@hourly")),
    }
    (home / "stale/project/sources.py").write_text(BROKEN, encoding="utf-8")
    endless = home / "endless/project/tallyline.toml"
    endless.write_text(endless.read_text("utf-8").replace("start =", "#"), encoding="utf-8")
    wrong = folders["wrong"] / "tallyline_dags.py"
    wrong.write_text(wrong.read_text("utf-8").replace("prefix=", "default_args={'retries': 'x'}, prefix="), "utf-8")
    asked = {
        "folders": {name: str(folder) for name, folder in folders.items()},
        "starting": {"tallyline.read.s007": str(folders["hundred"]), "another.dag": str(folders["hundred"])},
        "provider": True,
        "intervals": [[as_cron(cron), "Europe/Paris", *around] for cron in SCHEDULES + AT_NIGHT for around in CHANGES],
    }
    airflow = Airflow(airflow_python, home)
    told, _ = airflow.script("look", asked)
    again, _ = airflow.script("look", {"folders": {"plain": str(folders["plain"])}})
    return Looked(told, again)


def dags_of(folder: Path, code: str, *sources: tuple[str, str]) -> Path:
    """Make a project, and the DAG folder that `tallyline airflow init` writes for it."""
    text = HEAD + "".join(SOURCE.format(name=name, schedule=schedule) for name, schedule in sources)
    make_project(folder / "project", text, code)
    if "61 *" in text:  # was made when it was right
        (folder / "project/tallyline.toml").write_text(text.replace("61 *", "1 *"), encoding="utf-8")
    answer = tallyline("airflow", "init", folder / "dags", project=folder / "project")
    assert answer.status == 0, answer.err
    (folder / "project/tallyline.toml").write_text(text, encoding="utf-8")
    return folder / "dags"


def test_a_hundred_sources_are_parsed_in_no_time(looked: Looked) -> None:
    """What is measured is the work of the process on both files, since a busy machine takes longer."""
    assert (len(looked.dags("hundred")), looked.errors("hundred")) == (SOURCES + 1, {})
    assert looked.told["folders"]["hundred"]["seconds"] < 4  # of about 1, half of it for each file


def test_nothing_heavy_is_imported(looked: Looked) -> None:
    imported = looked.told["modules"]
    assert "tallyline.schedule.airflow.inside.building" in imported
    assert [name for name in imported if name.split(".")[0] in HEAVY or name.startswith(OURS)] == []
    assert [name for name in imported if name.startswith("tallyline.sources.")] == [
        "tallyline.sources.kinds",
        "tallyline.sources.source",
    ]


def test_the_dags_of_a_project(looked: Looked) -> None:
    dags = looked.dags("plain")
    told = {name: (dag["schedule"][0], dag["start"], dag["catchup"]) for name, dag in dags.items()}
    assert told == {
        "tallyline.clean.all": ("30 3 * * *", None, False),
        "tallyline.read.orders": ("0 * * * *", "2026-06-30T22:00:00+00:00", True),
        "tallyline.read.stock": ("0 0 * * *", "2026-06-30T22:00:00+00:00", False),
        # the week that has the first day of data begins before it
        "tallyline.read.visits": ("0 0 * * 1", "2026-06-28T22:00:00+00:00", True),
    }
    assert {dag["schedule"][1] for dag in dags.values()} == {"Europe/Paris"}
    assert (dags["tallyline.read.orders"]["tasks"], dags["tallyline.clean.all"]["tasks"]) == (
        ["plan", "read"],
        ["clean"],
    )
    assert (dags["tallyline.read.orders"]["params"], dags["tallyline.read.stock"]["params"]) == (["end", "start"], [])


def test_a_source_that_says_no_start_is_read_from_now_on(looked: Looked) -> None:
    dag = looked.dags("endless")["tallyline.read.orders"]
    assert (dag["start"], dag["catchup"]) == (None, False)


def test_parsing_again_makes_no_new_version(looked: Looked) -> None:
    """Airflow keeps a version of a DAG for each of its hashes."""
    again = looked.again["folders"]["plain"]["dags"]
    assert {name: dag["hash"] for name, dag in again.items()} == {
        name: dag["hash"] for name, dag in looked.dags("plain").items()
    }
    assert not any("plain/project" in dag["text"] for dag in again.values())  # so that one that moved makes none


def test_one_bad_source_keeps_no_other_away(looked: Looked) -> None:
    assert sorted(looked.dags("bad")) == ["tallyline.clean.all", "tallyline.read.orders", "tallyline.read.refunds"]
    ((file, error),) = looked.errors("bad").items()
    assert file == "tallyline_problems.py"
    assert 'tallyline.toml sources.visits.schedule: "61 * * * *" is no schedule' in error


def test_code_that_has_changed_since_is_seen_and_is_not_run(looked: Looked) -> None:
    assert sorted(looked.dags("stale")) == ["tallyline.clean.all", "tallyline.read.orders", "tallyline.read.stock"]
    ((file, error),) = looked.errors("stale").items()
    assert file == "tallyline_problems.py"
    assert "sources.py: this has changed since Airflow was told what it declares" in error


def test_where_no_dag_can_be_made_the_file_itself_says_so(looked: Looked) -> None:
    assert looked.dags("wrong") == {}
    assert "tallyline.read.orders: " in looked.errors("wrong")["tallyline_dags.py"]


def test_a_task_that_starts_makes_its_own_dag_alone(looked: Looked) -> None:
    assert looked.told["starting"] == {"tallyline.read.s007": ["tallyline.read.s007"], "another.dag": []}


@pytest.mark.parametrize("cron", SCHEDULES + AT_NIGHT)
def test_intervals_are_without_gaps_where_the_clock_changes(looked: Looked, cron: str) -> None:
    position = (SCHEDULES + AT_NIGHT).index(cron) * len(CHANGES)
    for intervals in looked.told["intervals"][position : position + len(CHANGES)]:
        assert len(intervals) > 1
        assert all(before[1] == after[0] for before, after in pairwise(intervals))


@pytest.mark.parametrize("cron", SCHEDULES)
def test_intervals_are_those_of_the_embedded_scheduler(looked: Looked, cron: str) -> None:
    """But for what is scheduled in the night of a change, in an hour that the clock skips or has twice."""
    position = SCHEDULES.index(cron) * len(CHANGES)
    for found, (since, until) in zip(looked.told["intervals"][position:], CHANGES, strict=False):
        ours = takewhile(lambda each: each.since >= at(since), intervals_before(cron, at(until), PARIS))  # noqa: B023
        expected = [(each.since, each.until) for each in reversed(list(ours))]
        assert [tuple(map(datetime.fromisoformat, each)) for each in found] == expected


def test_airflow_knows_the_provider(looked: Looked) -> None:
    assert looked.told["provider"] == {
        "version": __version__,
        "hook": ["tallyline.schedule.airflow.inside.hook.ServiceHook", "Tallyline: HTTP API"],
        "links": ["tallyline.schedule.airflow.inside.operators.RunLink"],
        "settings": ["page_url"],
        "uri": "tallyline://shop/orders",
    }
