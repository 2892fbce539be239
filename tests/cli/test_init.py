"""`tallyline init` makes a project that runs as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import in_a_process, tallyline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A new project."""
    assert tallyline("init", tmp_path / "my-company").status == 0
    return tmp_path / "my-company"


def test_it_says_what_is_there_and_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = tallyline("init", "my-company")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines()[-3:] == ["  cd my-company", "  tallyline read all --write", "  tallyline up"]
    made = sorted(path.name for path in (tmp_path / "my-company").iterdir())
    assert made == ["shop.db", "sources.py", "tallyline.toml"]


def test_the_new_project_reads_and_shows(company: Path) -> None:
    read = in_a_process("read", "all", "--write", folder=company)
    assert (read.status, read.err) == (0, "")
    assert read.out.splitlines()[-1].startswith("2 sources, ")
    for metric in ("orders.count", "orders.revenue", "customers.total"):
        values = tallyline("show", metric, "--json", project=company).data
        assert values
        assert all(value["value"] > 0 for value in values)
    assert (
        len(tallyline("show", "orders.count", "--split", "country", "--last", "7d", "--json", project=company).data) > 7
    )


def test_reading_it_again_changes_nothing_that_is_over(company: Path) -> None:
    assert tallyline("read", "orders", "--write", project=company).status == 0
    [again] = tallyline("read", "orders", "--write", "--json", project=company).data
    assert again["changes"]["unchanged"] > 0
    assert (again["changes"]["added"], again["changes"]["changed"], again["changes"]["removed"]) == (0, 0, 0)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    answer = tallyline("init", tmp_path)
    assert answer.status == 2
    assert answer.err == f"error: {tmp_path} is there already and is not empty; choose another name\n"
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    assert tallyline("init", tmp_path / "letter.txt").status == 2


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    assert tallyline("init", tmp_path).status == 0
