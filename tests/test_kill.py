"""A run that is killed or interrupted, wherever it stands, leaves the warehouse as it was; the next one is whole."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import command, make_project, tallyline
from tests.warehouse.publishing import facts, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.warehouse.publishing import Fact

DEADLINE = 60
WINDOW = ("--since", "2026-07-01", "--until", "2026-07-04")
LOST = "the process ended without a word; nothing was written"

PROJECT = """\
[project]
warehouse = "${WAREHOUSE_URL}"

[metrics]
numbers = {}
others = {}
"""

SOURCES = '''
"""Numbers whose reader can be met half-way, and whose publishing ends at a statement that is named beforehand."""

import os
from pathlib import Path

from sqlalchemy import Engine, Pool, event

from tallyline import Grain, source

MEETING = os.environ.get("MEETING")
TOLD = os.environ.get("TOLD")


def give(metric, window, zone):
    turn = int(os.environ["TURN"])
    hours = list(window.buckets(Grain.HOUR, zone))
    for number, hour in enumerate(hours):
        if MEETING and number == len(hours) // 2:
            Path(MEETING, "reached").write_text("half-way", encoding="utf-8")
            Path(MEETING, "go").read_text(encoding="utf-8")
        for part in range(turn, turn + 20):
            yield {"time": hour, "part": part}, {metric: part * turn if part % 2 else part}
    if TOLD or "END_BEFORE" in os.environ:
        watch()


@source
def numbers(window, zone):
    yield from give("numbers", window, zone)


@source
def others(window, zone):
    yield from give("others", window, zone)


def watch():
    event.listen(Engine, "before_cursor_execute", lambda _, __, statement, *___: reach(statement))
    event.listen(Engine, "commit", lambda _: reach("COMMIT"))
    event.listen(Pool, "reset", lambda *_: reach("CLOSE"))


def reach(statement):
    if TOLD:
        os.write(int(TOLD), b".")
    elif os.environ.get("END_BEFORE", "nothing") in statement:
        del os.environ["END_BEFORE"]
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
'''


@pytest.fixture
def project(tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has published its first numbers."""
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    monkeypatch.setenv("TURN", "1")
    return make_project(tmp_path / "project", PROJECT, SOURCES)


@pytest.fixture
def first(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[Fact]:
    """What is in the warehouse before the run that is killed, in which most values differ, are new or are gone."""
    assert read(project) == 0
    monkeypatch.setenv("TURN", "3")
    return everything(os.environ["WAREHOUSE_URL"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Fact]:
    """What is in another warehouse that the same two runs were left to write in peace."""
    folder = tmp_path_factory.mktemp("undisturbed")
    url = f"sqlite:///{folder / 'warehouse.db'}"
    project = make_project(folder, PROJECT, SOURCES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_URL", url)
        seen = []
        for turn in ("1", "3"):
            patch.setenv("TURN", turn)
            assert read(project) == 0
            seen.append(everything(url))
    assert seen[0] != seen[1]
    return seen[1]


def read(project: Path, source: str = "numbers") -> int:
    """Read a source in this process, and return the exit status."""
    return tallyline("read", source, "--write", *WINDOW, project=project).status


def everything(url: str) -> list[Fact]:
    """Return all rows of both views."""
    return [*facts(url, "hourly"), *facts(url, "daily")]


def states(url: str) -> list[tuple[str, str]]:
    """Return how the runs ended, the oldest first, and with what error."""
    return [(state, error) for state, error in rows_of(url, "SELECT state, error FROM run ORDER BY id")]


@contextmanager
def reading(
    project: Path, source: str = "numbers", pass_on: tuple[int, ...] = (), **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Read a source in a process of its own."""
    words = command("read", source, "--write", *WINDOW, f"--project={project}")
    with subprocess.Popen(
        words,
        env={**os.environ, **environment},
        pass_fds=pass_on,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until a process ends; return its status and what it said on stderr."""
    _, said = process.communicate(timeout=DEADLINE)
    return process.returncode, said.strip()


def meeting_place(folder: Path) -> Path:
    """Make the two pipes at which a source tells that it stands half-way, and is told to go on."""
    folder.mkdir()
    os.mkfifo(folder / "reached")
    os.mkfifo(folder / "go")
    return folder


@contextmanager
def met_half_way(project: Path, place: Path, source: str = "numbers") -> Iterator[subprocess.Popen[str]]:
    """Read in a process of its own that waits half-way."""
    meeting_place(place)
    reached = os.open(place / "reached", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with reading(project, source, MEETING=str(place)) as process:
            assert select.select([reached], [], [], DEADLINE)[0], "the source did not get half-way"
            yield process
    finally:
        os.close(reached)


def let_go(place: Path) -> None:
    """Let the source that waits there go on."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            os.close(os.open(place / "go", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # it does not wait yet
            continue
        return
    pytest.fail("the source did not wait")


def test_killed_while_it_reads(
    project: Path, warehouse_url: str, tmp_path: Path, first: list[Fact], undisturbed: list[Fact]
) -> None:
    with met_half_way(project, tmp_path / "meeting") as process:
        assert states(warehouse_url) == [("done", ""), ("running", "")]
        process.kill()
        assert ended(process) == (-signal.SIGKILL, "")
    assert everything(warehouse_url) == first
    assert read(project) == 0
    assert everything(warehouse_url) == undisturbed
    assert states(warehouse_url) == [("done", ""), ("lost", LOST), ("done", "")]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO series",
        "DELETE FROM hourly_value",
        "DELETE FROM daily_value",
        "INSERT INTO covered",
        "UPDATE run",
        "COMMIT",
    ],
)
def test_killed_while_it_publishes(
    project: Path, warehouse_url: str, first: list[Fact], undisturbed: list[Fact], statement: str
) -> None:
    with reading(project, END_BEFORE=statement, SIGNAL=str(signal.SIGKILL.value)) as process:
        assert ended(process) == (-signal.SIGKILL, "")
    assert everything(warehouse_url) == first
    assert read(project) == 0
    assert everything(warehouse_url) == undisturbed
    assert states(warehouse_url) == [("done", ""), ("lost", LOST), ("done", "")]


def test_killed_as_soon_as_it_has_published(
    project: Path, warehouse_url: str, first: list[Fact], undisturbed: list[Fact]
) -> None:
    with reading(project, END_BEFORE="CLOSE", SIGNAL=str(signal.SIGKILL.value)) as process:
        assert ended(process) == (-signal.SIGKILL, "")
    assert everything(warehouse_url) == undisturbed
    assert read(project) == 0
    assert everything(warehouse_url) == undisturbed
    assert states(warehouse_url) == [("done", "")] * 3


def test_killed_from_outside_again_and_again(
    project: Path, warehouse_url: str, first: list[Fact], undisturbed: list[Fact]
) -> None:
    """The process tells each statement; after so many as the lot says it is killed, wherever it is by then."""
    lot = Random(2026)  # noqa: S311  # no secret
    for _ in range(2):
        listening, telling = os.pipe()
        with reading(project, pass_on=(telling,), TOLD=str(telling)) as process:
            os.close(telling)
            for _ in range(lot.randint(1, 12)):
                assert os.read(listening, 1) == b"."
            process.kill()
            assert ended(process) == (-signal.SIGKILL, "")
        os.close(listening)
        assert everything(warehouse_url) in (first, undisturbed)
    assert read(project) == 0
    assert everything(warehouse_url) == undisturbed
    assert {state for state, _ in states(warehouse_url)} <= {"lost", "done"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_while_it_reads(
    project: Path, warehouse_url: str, tmp_path: Path, first: list[Fact], number: signal.Signals
) -> None:
    with met_half_way(project, tmp_path / "meeting", "all") as process:
        process.send_signal(number)
        assert ended(process) == (1, "interrupted: nothing of what was under way was written")
    assert everything(warehouse_url) == first
    assert states(warehouse_url) == [("done", ""), ("stopped", "KeyboardInterrupt")]  # and nothing of the next source


@pytest.mark.parametrize(
    ("number", "statement"), [(signal.SIGTERM, "DELETE FROM hourly_value"), (signal.SIGINT, "COMMIT")]
)
def test_interrupted_while_it_publishes(
    project: Path, warehouse_url: str, first: list[Fact], number: signal.Signals, statement: str
) -> None:
    with reading(project, END_BEFORE=statement, SIGNAL=str(number.value)) as process:
        assert ended(process) == (1, "interrupted: nothing of what was under way was written")
    assert everything(warehouse_url) == first
    assert states(warehouse_url) == [("done", ""), ("stopped", "KeyboardInterrupt")]


def test_two_processes_at_once(
    project: Path, warehouse_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (tmp_path / "one", tmp_path / "two")
    with met_half_way(project, places[0]) as one, met_half_way(project, places[1], "others") as two:
        for place in places:
            let_go(place)
        assert [ended(process) for process in (one, two)] == [(0, ""), (0, "")]
    assert states(warehouse_url) == [("done", "")] * 2
    found = everything(warehouse_url)
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path / 'alone.db'}")
    for source in ("numbers", "others"):
        assert read(project, source) == 0
    assert found == everything(os.environ["WAREHOUSE_URL"])


def test_a_source_is_not_read_by_two_processes_at_once(project: Path, warehouse_url: str, tmp_path: Path) -> None:
    with met_half_way(project, tmp_path / "meeting") as process:
        second = tallyline("read", "numbers", "--write", *WINDOW, project=project)
        assert second.status == 1
        assert f"numbers is being read already: run 1, process {process.pid} on " in second.err
        let_go(tmp_path / "meeting")
        assert ended(process) == (0, "")
    assert read(project) == 0
    assert states(warehouse_url) == [("done", "")] * 2
