"""What the page on the talk shows is what the demo has, and its commands do what the page says of them."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tallyline.demo import projects
from tallyline.window import utc_now

if TYPE_CHECKING:
    from pathlib import Path

FENCED = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
DAYS = 70
SAYS = {
    "show activation.rate": "From a new user to an active one by week",
    "show screenshots.time.p95": "by week, in ms",
    "inspect workers": "normalize",
    "read all --write": " - workers in=1 out=",
    "clean all --write": "",
    "grafana export grafana": "",
    "airflow init dags": "Airflow finds the DAGs",
    "up --once": "",
    "status": "read up to",
}


class Block(NamedTuple):
    """A block of the page."""

    kind: str
    text: str


@pytest.fixture(scope="module")
def blocks(pytestconfig: pytest.Config) -> list[Block]:
    """The blocks of the page, in its order."""
    text = (pytestconfig.rootpath / "docs" / "talk.md").read_text("utf-8")
    return [Block(found["kind"], found["text"]) for found in FENCED.finditer(text)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project, of fewer days, with its numbers read."""
    folder = tmp_path_factory.mktemp("talk") / "pagesnap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projects, "DAYS_OF_COMPANY", DAYS)
        projects.make_company(folder, utc_now())
    run(folder, "read", "all", "--write")
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command in the folder, and return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "tallyline", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def company(name: str) -> str:
    """Return a file of the demo's project, as it is in the package."""
    return files("tallyline.demo").joinpath("company", name).read_text("utf-8")


def test_the_tables_are_those_of_the_demo(blocks: list[Block]) -> None:
    tables = [block.text for block in blocks if block.kind == "toml"]
    assert len(tables) > 8
    for table in tables:
        lines = iter(company("tallyline.toml").splitlines())
        assert [line for line in table.splitlines() if line not in lines] == []  # each, and in this order


def test_the_code_is_that_of_the_demo_and_of_the_file_for_airflow(blocks: list[Block], folder: Path) -> None:
    of_worker, of_airflow = (block.text for block in blocks if block.kind == "python")
    assert of_worker in company("sources.py")
    run(folder, "airflow", "init", "dags")
    written = (folder / "dags" / "tallyline_dags.py").read_text("utf-8")
    assert re.sub(r"dags\(.*\)\)", 'dags("project-folder"))', written).endswith(of_airflow)


def test_the_statement_reads_the_warehouse(blocks: list[Block], folder: Path) -> None:
    [statement] = [block.text for block in blocks if block.kind == "sql"]
    with closing(sqlite3.connect(folder / "warehouse.db")) as warehouse:
        rows = warehouse.execute(statement).fetchall()
    assert len(rows) == 5
    assert {row[0] for row in rows} == {"users.new"}


def test_the_commands_do_what_the_page_says(blocks: list[Block], folder: Path) -> None:
    lines = [line for block in blocks if block.kind == "console" for line in block.text.splitlines()]
    commands = [shlex.split(line)[2:] for line in lines[2:]]  # the first two make the folder
    assert len(commands) == len(SAYS)
    for command in commands:
        [said] = [text for begin, text in SAYS.items() if " ".join(command).startswith(begin)]
        assert said in run(folder, *command)
    assert list((folder / "grafana" / "dashboards").rglob("*.json"))


def test_reading_twice_changes_nothing(folder: Path) -> None:
    events = ("read", "events", "--write", "--since", "2026-01-01", "--until", "2026-01-02")
    run(folder, *events)
    assert " 0 new, 0 changed, 0 removed" in run(folder, *events)
