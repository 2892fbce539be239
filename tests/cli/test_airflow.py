"""`tallyline airflow`: a folder of DAGs, and what Airflow is told of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import make_project, tallyline

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
[services]
shop = "sqlite:///shop.db"

[metrics]
orders = {}

[sources.orders]
kind = "sql"
service = "shop"
query = "SELECT 1"
"""
CODE = """
from tallyline import source


@source(schedule="@daily")
def visits(window):
    yield from ()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "shop", PROJECT, CODE)


def test_a_folder_of_dags(project: Path, tmp_path: Path) -> None:
    answer = tallyline("airflow", "init", tmp_path / "dags", "--prefix", "acme", project=project)
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == f"Airflow finds the DAGs with AIRFLOW__CORE__DAGS_FOLDER={tmp_path / 'dags'}"
    dags, problems = (tmp_path / f"dags/tallyline_{name}.py" for name in ("dags", "problems"))
    assert 'globals().update(dags("../shop", prefix="acme"))' in dags.read_text("utf-8")
    assert 'raise_problems("../shop")' in problems.read_text("utf-8")
    for file in (dags, problems):  # or Airflow does not look at it
        assert all(word in file.read_text("utf-8").lower() for word in ("airflow", "dag"))
    assert not (tmp_path / "dags/.airflowignore").exists()
    assert "visits" in (project / "tallyline.airflow.json").read_text("utf-8")


def test_making_it_again_changes_nothing(project: Path, tmp_path: Path) -> None:
    tallyline("airflow", "init", tmp_path / "dags", project=project)
    files = [*(tmp_path / "dags").iterdir(), project / "tallyline.airflow.json"]
    before = [(file, file.read_bytes()) for file in files]
    assert "is written" not in tallyline("airflow", "init", tmp_path / "dags", project=project).out
    assert [(file, file.read_bytes()) for file in files] == before


def test_what_was_edited_is_kept(project: Path, tmp_path: Path) -> None:
    tallyline("airflow", "init", tmp_path / "dags", project=project)
    edited = tmp_path / "dags/tallyline_dags.py"
    edited.write_text("# my own\n", encoding="utf-8")
    answer = tallyline("airflow", "init", tmp_path / "dags", project=project)
    assert (answer.status, edited.read_text("utf-8")) == (2, "# my own\n")
    assert "is there already, with another text; remove it, or name another folder" in answer.err


def test_by_default_it_is_the_folder_dags_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert tallyline("airflow", "init").status == 0
    assert 'dags("..", prefix="tallyline")' in (project / "dags/tallyline_dags.py").read_text("utf-8")


def test_a_project_that_lies_elsewhere(project: Path, tmp_path: Path) -> None:
    tallyline("airflow", "init", tmp_path / "opt/airflow/dags", project=project)
    assert f'dags("{project}", ' in (tmp_path / "opt/airflow/dags/tallyline_dags.py").read_text("utf-8")


def test_airflow_does_not_look_for_dags_in_the_project(project: Path, tmp_path: Path) -> None:
    ignored = tmp_path / ".airflowignore"
    ignored.write_text("archive/\n", encoding="utf-8")
    for _ in range(2):
        tallyline("airflow", "init", tmp_path, project=project)
        assert ignored.read_text("utf-8") == "archive/\nshop/\n"
    tallyline("airflow", "init", project, project=project)
    assert (project / ".airflowignore").read_text("utf-8") == "sources.py\nsources/\ndashboards.py\n"
    assert 'dags(".", ' in (project / "tallyline_dags.py").read_text("utf-8")


@pytest.mark.parametrize("prefix", ["my shop", "a.b", ""])
def test_a_prefix_that_no_dag_can_have(project: Path, tmp_path: Path, prefix: str) -> None:
    answer = tallyline("airflow", "init", tmp_path / "dags", "--prefix", prefix, project=project)
    assert answer.status == 2
    assert f'"{prefix}" cannot be the prefix of DAGs; use letters, digits, _ and -' in answer.err


def test_nothing_is_written_for_a_project_that_cannot_be_read(project: Path, tmp_path: Path) -> None:
    (project / "sources.py").write_text("import nowhere", encoding="utf-8")
    answer = tallyline("airflow", "init", tmp_path / "dags", project=project)
    assert answer.status == 2
    assert "sources.py:1: ModuleNotFoundError: No module named 'nowhere'" in answer.err
    assert not (tmp_path / "dags").exists()


def test_what_airflow_is_told_of_code_is_checked(project: Path) -> None:
    answer = tallyline("airflow", "compile", "--check", project=project)
    assert answer.status == 1
    assert "what this code declares is not known to Airflow" in answer.err
    assert "is written" in tallyline("airflow", "compile", project=project).out
    assert tallyline("airflow", "compile", "--check", project=project).status == 0
    (project / "sources.py").write_text("", encoding="utf-8")
    assert tallyline("airflow", "compile", "--check", project=project).status == 1


def test_a_project_without_code_needs_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path / "shop", PROJECT)
    assert tallyline("airflow", "compile", project=project).out == "There is no code that declares sources.\n"
    assert tallyline("airflow", "compile", "--check", project=project).status == 0
    assert not (project / "tallyline.airflow.json").exists()
