"""The files on the page for those who come from Bonobo do what the page says, run as they stand there."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

FENCED = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r":caption: (?P<name>\S+)\n")


@pytest.fixture
def page(pytestconfig: pytest.Config) -> str:
    """The page as it is written."""
    return (pytestconfig.rootpath / "docs" / "bonobo.md").read_text("utf-8")


@pytest.fixture
def folder(page: str, tmp_path: Path) -> Path:
    """A folder with the files that the page shows."""
    for block in FENCED.finditer(page):
        text = block["text"]
        if caption := CAPTION.match(text):
            (tmp_path / caption["name"]).write_text(text[caption.end() :], encoding="utf-8")
    return tmp_path


def test_the_commands_on_the_page_say_what_it_shows(page: str, folder: Path) -> None:
    shown = "".join(block["text"] for block in FENCED.finditer(page) if block["kind"] == "console")
    assert "".join(said(line[2:], folder) for line in shown.splitlines() if line.startswith("$ ")) == shown


def said(command: str, folder: Path) -> str:
    """Run a command in the folder and return the lines that a terminal shows."""
    program, argument = command.split()
    if program == "cat":
        output = (folder / argument).read_text("utf-8")
    else:
        ran = subprocess.run(
            [sys.executable, "-W", "error", argument], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        output = ran.stdout
    return f"$ {command}\n{output}"


def test_a_newcomer_reads_no_more_than_ten_lines(folder: Path) -> None:
    assert len((folder / "first.py").read_text("utf-8").splitlines()) <= 10


def test_a_line_without_a_number_ends_the_first_file_as_the_page_says(folder: Path) -> None:
    said("python first.py", folder)
    before = (folder / "visits.jsonl").read_text("utf-8")
    with (folder / "visits.csv").open("a", encoding="utf-8") as file:
        file.write("/new,many\n")
    ran = subprocess.run([sys.executable, "first.py"], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 1
    assert "set_fields failed at row {'page': '/new', 'visits': 'many'}: ValueError" in ran.stderr
    assert (folder / "visits.jsonl").read_text("utf-8") == before


def test_the_pipeline_leaves_the_same_rows_when_it_is_run_again(folder: Path) -> None:
    said("python open_shop.py", folder)
    said("python revenue.py", folder)
    before = revenue(folder)
    said("python revenue.py", folder)
    assert revenue(folder) == before
    assert len(before) == 15
    assert sum(cents for _, _, cents in before) == sum(range(2_500))


def test_the_pipeline_writes_nothing_when_it_fails(folder: Path) -> None:
    said("python open_shop.py", folder)
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("INSERT INTO orders (time, country, cents) VALUES ('2026-03-09', 'FR', 'many')")
    ran = subprocess.run([sys.executable, "revenue.py"], cwd=folder, capture_output=True, check=False)
    assert ran.returncode == 1
    assert revenue(folder) == []


def revenue(folder: Path) -> list[tuple[str, str, int]]:
    """Return what the pipeline wrote."""
    with closing(sqlite3.connect(folder / "warehouse.db")) as database:
        return database.execute("SELECT day, country, cents FROM revenue ORDER BY day, country").fetchall()
