"""`tallyline demo` makes a working company in one command, and goes on with it the next time."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import takewhile
from typing import TYPE_CHECKING

from tallyline.demo import projects
from tests.cli.terminal import in_a_process, tallyline
from tests.warehouse.publishing import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SOURCES = [
    "visits",
    "visitors",
    "signups",
    "objects",
    "newsletter",
    "events",
    "timings",
    "stability",
    "machines",
    "payments",
    "charges",
    "recurring",
    "tickets",
    "workers",
    "subscriptions",
]


def runs(folder: Path) -> list[tuple[str, str, int]]:
    """Return the runs of the demo's ledger: source, state and how many values changed."""
    query = "SELECT source, state, added + changed + removed FROM run ORDER BY id"
    return [(source, state, changes) for source, state, changes in rows_of(f"sqlite:///{folder}/warehouse.db", query)]


def test_a_short_demo_reads_its_sources_and_then_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "DAYS_OF_COMPANY", 8)
    first = tallyline("demo", tmp_path / "demo", "--no-up")
    assert (first.status, first.err) == (0, "")
    assert "Making up two years of Pagesnap" in first.out
    again = tallyline("demo", tmp_path / "demo", "--no-up")
    assert (again.status, again.err) == (0, "")
    assert "Making up" not in again.out
    ran = runs(tmp_path / "demo")
    assert [source for source, _, _ in ran] == SOURCES * 2
    assert {state for _, state, _ in ran} == {"done"}
    assert {source for source, _, changes in ran[: len(SOURCES)] if not changes} <= {"payments", "charges"}
    assert (
        sum(changes for _, _, changes in ran[len(SOURCES) :])
        < sum(changes for _, _, changes in ran[: len(SOURCES)]) / 10
    )


def test_the_whole_demo_has_two_years_of_everything_it_shows(tmp_path: Path) -> None:
    demo = in_a_process("demo", tmp_path / "demo", "--no-up")
    assert (demo.status, demo.err) == (0, "")
    assert {(source, state) for source, state, _ in runs(tmp_path / "demo")} == {(source, "done") for source in SOURCES}
    for metric in ("visits.sessions", "users.new", "users.total", "events.count", "revenue.paid", "workers.active"):
        months = tallyline("show", metric, "--by", "month", "--json", project=tmp_path / "demo").data
        assert len(months) in {24, 25}
        assert all(month["value"] > 0 for month in months[1:])
        assert [month["complete"] for month in months] == [True] * (len(months) - 1) + [False]


SHORT_DEMO = """
import sys

from tallyline.cli import main
from tallyline.demo import projects

projects.DAYS_OF_COMPANY = 3
sys.argv = ["tallyline", "demo", sys.argv[1], "--port", "0"]
main()
"""


def test_the_demo_goes_on_reading_what_is_due(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SHORT_DEMO, str(tmp_path / "demo")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = list(takewhile(lambda line: "next: " not in line, process.stdout))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert any("is at http://127.0.0.1:" in line for line in said)
    assert {state for _, state, _ in runs(tmp_path / "demo")} == {"done"}


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    answer = tallyline("demo", tmp_path, "--no-up")
    assert (answer.status, answer.err) == (
        2,
        f"error: {tmp_path} is there already and is not empty; choose another name\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_another_project_is_left_alone(tmp_path: Path) -> None:
    assert tallyline("init", tmp_path / "shop").status == 0
    answer = tallyline("demo", tmp_path / "shop", "--no-up")
    assert (answer.status, answer.err) == (
        2,
        f"error: {tmp_path / 'shop'} holds another project; say where the demo is to be: tallyline demo DIR\n",
    )


def test_a_demo_that_cannot_read_its_database_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "DAYS_OF_COMPANY", 3)
    assert tallyline("demo", tmp_path / "demo", "--no-up").status == 0
    (tmp_path / "demo" / "product.db").unlink()
    answer = tallyline("demo", tmp_path / "demo", "--no-up")
    assert answer.status == 1
    assert answer.err.endswith("error: the demo's sources could not all be read\n")
