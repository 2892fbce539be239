"""When sources are read, told without running a project's code."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING

import pytest

from tallyline.errors import ProjectError, Refused
from tallyline.project import load_project
from tallyline.schedule.airflow.manifest import MANIFEST, compile_manifest, read_manifest
from tallyline.schedule.airflow.timed import Timed, read_timed
from tests.cli.terminal import make_project

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
[project]
timezone = "Europe/Paris"
start = 2026-07-01

[services]
shop = "sqlite:///shop.db"

[metrics]
orders = {}

[sources.orders]
kind = "sql"
service = "shop"
schedule = "15 6 * * *"
start = 2026-01-01
query = "SELECT 1"

[sources.basket]
kind = "sql"
service = "shop"
snapshot = true
query = "SELECT 1"
"""
CODE = """
from datetime import date
from helpers import SCHEDULE
from tallyline import source


@source(schedule=SCHEDULE, start=date(2026, 5, 1))
def visits(window):
    yield from ()


@source(name="stock", snapshot=True)
def counted(now):
    yield from ()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = make_project(tmp_path / "shop", PROJECT, CODE)
    (folder / "helpers.py").write_text('SCHEDULE = "@weekly"\n', encoding="utf-8")
    return folder


def told(project: Path) -> list[str]:
    return [str(problem) for problem in read_timed(project).problems]


def edited(project: Path, old: str, new: str, file: str = "tallyline.toml") -> Path:
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return project


def test_sources_of_the_file_and_of_code(project: Path) -> None:
    compile_manifest(project)
    timed = read_timed(project)
    assert (timed.zone.key, timed.problems) == ("Europe/Paris", ())
    assert timed.sources == (
        Timed("basket", "@hourly", date(2026, 7, 1), snapshot=True),
        Timed("orders", "15 6 * * *", date(2026, 1, 1)),
        Timed("stock", "@hourly", date(2026, 7, 1), snapshot=True),
        Timed("visits", "@weekly", date(2026, 5, 1)),
    )


def test_it_says_what_the_project_itself_says(project: Path) -> None:
    compile_manifest(project)
    sources = load_project(project).sources
    assert {timed.name: timed for timed in read_timed(project).sources} == {
        name: Timed(name, source.options.schedule, source.options.start, source.options.snapshot)
        for name, source in sources.items()
    }


def test_code_is_not_run(project: Path) -> None:
    compile_manifest(project)
    edited(project, "from datetime", "raise SystemExit\nfrom datetime", "sources.py")
    assert [timed.name for timed in read_timed(project).sources] == ["basket", "orders", "stock", "visits"]


def test_nothing_heavy_is_imported(project: Path) -> None:
    compile_manifest(project)
    heavy = ("airflow", "httpx2", "pydantic", "sqlalchemy", "tallyline.project", "tallyline.sources.sql", "click")
    code = (
        "import sys; from pathlib import Path; from tallyline.schedule.airflow.timed import read_timed;"
        f"read_timed(Path({str(project)!r})); print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_code_that_airflow_was_never_told_of(project: Path) -> None:
    (problem,) = told(project)
    assert problem.startswith("sources.py: what this code declares is not known to Airflow, which does not run it; run")
    assert [timed.name for timed in read_timed(project).sources] == ["basket", "orders"]


@pytest.mark.parametrize("file", ["sources.py", "helpers.py"])
def test_code_that_has_changed_since(project: Path, file: str) -> None:
    compile_manifest(project)
    edited(project, "weekly" if file == "helpers.py" else "snapshot=True", "daily", file)
    (problem,) = told(project)
    assert problem.startswith(f"{file}: this has changed since Airflow was told what it declares")
    assert Timed("visits", "@weekly", date(2026, 5, 1)) in read_timed(project).sources


def test_a_file_that_came_or_went_since(project: Path) -> None:
    compile_manifest(project)
    (project / "more.py").write_text("", encoding="utf-8")
    (project / "helpers.py").unlink()
    assert [problem.split(":")[0] for problem in told(project)] == ["helpers.py", "more.py"]


def test_dashboards_in_code_do_not_matter(project: Path) -> None:
    compile_manifest(project)
    (project / "dashboards.py").write_text("", encoding="utf-8")
    assert told(project) == []


def test_the_file_is_the_same_for_the_same_code(project: Path) -> None:
    compile_manifest(project)
    first = (project / MANIFEST).read_bytes()
    compile_manifest(project)
    assert (project / MANIFEST).read_bytes() == first
    assert str(project) not in first.decode()


def test_without_code_there_is_no_file(project: Path) -> None:
    compile_manifest(project)
    (project / "sources.py").unlink()
    assert compile_manifest(project) is None
    assert not (project / MANIFEST).exists()
    assert read_manifest(project).problems == ()


def test_code_in_a_folder(project: Path) -> None:
    (project / "sources").mkdir()
    (project / "sources.py").rename(project / "sources/web.py")
    compile_manifest(project)
    assert told(project) == []
    assert "visits" in {timed.name for timed in read_timed(project).sources}


def test_code_that_cannot_be_imported_is_not_written_down(project: Path) -> None:
    edited(project, "from helpers", "from nowhere", "sources.py")
    with pytest.raises(ProjectError, match=r"sources.py:3: ModuleNotFoundError: No module named 'nowhere'"):
        compile_manifest(project)
    assert not (project / MANIFEST).exists()


@pytest.mark.parametrize("text", ["", "[]", '{"code": {}}', '{"code": 1, "sources": 2}'])
def test_a_file_that_was_damaged(project: Path, text: str) -> None:
    (project / MANIFEST).write_text(text, encoding="utf-8")
    assert told(project)[0].startswith(f"{MANIFEST}: this cannot be read")
    assert [timed.name for timed in read_timed(project).sources] == ["basket", "orders"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"15 6 * * *"', '"61 6 * * *"', 'sources.orders.schedule: "61 6 * * *" is no schedule'),
        ('"15 6 * * *"', '"0 0 30 2 *"', 'sources.orders.schedule: "0 0 30 2 *" is no schedule'),
        ('"15 6 * * *"', '"@yearly"', 'sources.orders.schedule: "@yearly" is no schedule; there are @hourly'),
        ('"15 6 * * *"', "15", 'sources.orders.schedule: "15" is no schedule'),
        ("start = 2026-01-01", 'start = "spring"', "sources.orders.start: 'spring' is no date; write 2026-01-31"),
        ("start = 2026-01-01", 'snapshot = "no"', "sources.orders: snapshot is 'no', neither true nor false"),
        ("[sources.orders]", "[sources.Orders]", 'sources.Orders: "Orders" cannot be a source\'s name'),
        ("[sources.orders]", "[sources.all]", 'sources.all: "all" cannot be a source\'s name'),
        ("[sources.basket]", '[sources]\norders = "sql"\n[x]', "sources.orders: 'sql' is no table"),
    ],
)
def test_a_source_that_is_wrong_keeps_no_other_away(project: Path, old: str, new: str, said: str) -> None:
    compile_manifest(project)
    if old == "[sources.basket]":
        edited(project, "[sources.orders]", "[sources.sound]")
        edited(project, "[sources.sound]", "[y]")
    edited(project, old, new)
    (problem,) = told(project)
    assert problem.startswith(f"tallyline.toml {said}")
    assert {"stock", "visits"} <= {timed.name for timed in read_timed(project).sources}
    assert not {"orders", "Orders", "all"} & {timed.name for timed in read_timed(project).sources}


def test_two_sources_of_one_name(project: Path) -> None:
    compile_manifest(project)
    edited(project, "[sources.orders]", "[sources.visits]")
    assert told(project) == ["tallyline.toml sources.visits: two sources have this name, and one of them is in code"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[project]", "[project", "tallyline.toml: this is not TOML"),
        ('"Europe/Paris"', '"Europe/Pariss"', "project.timezone: there is no time zone"),
        ("start = 2026-07-01", 'start = "soon"', "project.start: 'soon' is no date"),
        ("[project]", "sources = 5\n[project]", "tallyline.toml: this is not TOML"),
    ],
)
def test_a_project_of_which_nothing_can_be_told(project: Path, old: str, new: str, said: str) -> None:
    edited(project, old, new)
    with pytest.raises(ProjectError) as wrong:
        read_timed(project)
    assert said in str(wrong.value)


def test_sources_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="sources: 5 is no table of keys and values"):
        read_timed(make_project(tmp_path, "sources = 5"))


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"there is no project in .*; give the folder that has it"):
        read_timed(tmp_path)


def test_the_starter_needs_no_more_than_its_manifest(project: Path) -> None:
    manifest = json.loads(compile_manifest(project, write=False) or "")
    assert sorted(manifest["code"]) == ["helpers.py", "sources.py"]
    assert manifest["sources"] == {
        "stock": {"schedule": "@hourly", "snapshot": True},
        "visits": {"schedule": "@weekly", "start": "2026-05-01"},
    }
