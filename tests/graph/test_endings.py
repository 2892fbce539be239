"""However a run ends, it says so, closes what it opened, and leaves files whole: the old ones or the new ones."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Report, State, node, over, run, service, write_csv, write_json_lines
from tests.graph.threads import met, none_left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tallyline.graph import Node

    Ending = tuple[type[BaseException] | None, State]

PATIENCE = 30


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    with none_left_behind():
        yield


class Witness:
    """A start, a service and a node that note when they are closed."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.closed: list[str] = []

    def start(self) -> Iterator[dict[str, int]]:
        """Give rows."""
        try:
            for number in range(self.rows):
                yield {"number": number}
        finally:
            self.closed.append("start")

    @contextmanager
    def shop(self) -> Iterator[str]:
        """Open the service."""
        try:
            yield "shop"
        finally:
            self.closed.append("shop")

    @contextmanager
    def ask(self) -> Iterator[Callable[..., object]]:
        """Enter the node."""
        try:
            yield lambda row: row
        finally:
            self.closed.append("node")


def fails_at(*numbers: int, error: type[BaseException] = ZeroDivisionError) -> Callable[[Any, str], object]:
    def check(row: dict[str, int], shop: str) -> object:
        if row["number"] in numbers:
            raise error
        return row

    return check


ENDINGS = {
    "done": (node(fails_at(), name="check"), None, State.DONE),
    "failed": (node(fails_at(700), name="check"), NodeFailed, State.FAILED),
    "failed at once": (node(fails_at(0), name="check"), NodeFailed, State.FAILED),
    "skipped": (node(fails_at(3, 700), name="check", on_error="skip"), None, State.DONE),
    "skipped within the budget": (
        node(fails_at(3, 700), name="check", on_error="skip", max_errors=2),
        None,
        State.DONE,
    ),
    "skipped over the budget": (
        node(fails_at(3, 700), name="check", on_error="skip", max_errors=1),
        NodeFailed,
        State.FAILED,
    ),
    "interrupted": (
        node(fails_at(700, error=KeyboardInterrupt), name="check", on_error="skip"),
        KeyboardInterrupt,
        State.STOPPED,
    ),
    "exited": (node(fails_at(700, error=SystemExit), name="check", on_error="skip"), SystemExit, State.STOPPED),
}
SHAPES: dict[str, Callable[[Node], Node]] = {
    "fused": lambda checked: checked,
    "concurrent": lambda checked: node(checked, concurrency=3),
    "unordered": lambda checked: node(checked, concurrency=3, ordered=False),
    "in time": lambda checked: node(checked, timeout=PATIENCE),
}


def ended(graph: Graph, services: dict[str, object], error: type[BaseException] | None) -> Report:
    """Run the graph to the ending that it is to have, and return the last report."""
    reports: list[Report] = []
    if error is None:
        run(graph, services, reports.append)
    else:
        with pytest.raises(error):
            run(graph, services, reports.append)
    return reports[-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_closes_everything_and_leaves_whole_files(ending: str, shape: str, tmp_path: Path) -> None:
    check, error, state = ENDINGS[ending]
    old, new = tmp_path / "old.jsonl", tmp_path / "new.csv"
    old.write_text("what was there\n", encoding="utf-8")
    witness = Witness(1_000)
    graph = Graph(
        witness.start,
        SHAPES[shape](check),
        node(witness.ask(), name="ask"),
        write_json_lines(old),
        write_csv(new),
    )
    report = ended(graph, {"shop": service(witness.shop)}, error)
    assert report.state is state
    assert witness.closed == ["start", "node", "shop"]
    written = 1_000 - report["check"].skipped
    if state is State.DONE:
        assert (len(old.read_text("utf-8").splitlines()), len(new.read_text("utf-8").splitlines())) == (
            written,
            written + 1,
        )
        assert {each.state for each in report.nodes} == {State.DONE}
    else:
        assert old.read_text("utf-8") == "what was there\n"
        assert not new.exists()
        assert report["write_csv"].state is State.STOPPED
    assert {path.name for path in tmp_path.iterdir()} <= {"old.jsonl", "new.csv"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("budget", "skipped", "errors", "state"),
    [(None, 3, 0, State.DONE), (3, 3, 0, State.DONE), (2, 2, 1, State.FAILED), (0, 0, 1, State.FAILED)],
)
def test_the_report_tells_how_many_rows_were_skipped_before_the_budget_was_spent(
    shape: str, budget: int | None, skipped: int, errors: int, state: State
) -> None:
    check = node(fails_at(3, 300, 600), name="check", on_error="skip", max_errors=budget)
    graph = Graph(Witness(1_000).start, SHAPES[shape](check))
    report = ended(graph, {"shop": "shop"}, NodeFailed if errors else None)
    checked = report["check"]
    assert (report.state, checked.state) == (state, state)
    assert (checked.skipped, checked.errors) == (skipped, errors)
    if state is State.DONE:
        assert (checked.rows_in, checked.rows_out) == (1_000, 997)


def test_the_report_of_a_failed_run_tells_the_node_the_row_and_the_reason() -> None:
    graph = Graph(Witness(10).start, node(fails_at(3), name="check", concurrency=2))
    report = ended(graph, {"shop": "shop"}, NodeFailed)
    assert report.error == "check failed at row {'number': 3}: ZeroDivisionError: "
    assert [each.state for each in report.nodes][1] is State.FAILED


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_asynchronous_work_ends_the_run_as_it_is(interruption: type[BaseException]) -> None:
    async def interrupted(row: int) -> int:
        await asyncio.sleep(0)
        if row == 3:
            raise interruption
        return row

    with pytest.raises(interruption):
        run(Graph(count(), interrupted))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_an_asynchronous_start_ends_the_run_as_it_is(interruption: type[BaseException]) -> None:
    async def interrupted() -> Any:  # noqa: ANN401  # an asynchronous generator
        yield 1
        raise interruption

    with pytest.raises(interruption):
        run(Graph(interrupted, str))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_a_function_over_all_rows_ends_the_run_as_it_is(interruption: type[BaseException]) -> None:
    def interrupted(rows: Iterator[int]) -> Iterator[int]:
        yield next(rows)
        raise interruption

    with pytest.raises(interruption):
        run(Graph(count(), over(interrupted), str))


def test_work_that_asks_to_be_cancelled_fails_like_any_other() -> None:
    async def cancelled(row: int) -> int:
        raise asyncio.CancelledError

    with pytest.raises(NodeFailed, match="cancelled failed at row 1: RuntimeError: it was cancelled"):
        run(Graph([1], cancelled))


def test_an_asynchronous_generator_is_closed_when_the_run_fails() -> None:
    closed: list[str] = []

    async def numbers() -> Any:  # noqa: ANN401  # an asynchronous generator
        try:
            for number in count():
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append("numbers")

    with pytest.raises(NodeFailed):
        run(Graph(numbers, lambda row: 1 // (5 - row)))
    assert closed == ["numbers"]


def test_an_asynchronous_generator_is_closed_when_nobody_wants_more() -> None:
    closed: list[str] = []

    async def numbers() -> Any:  # noqa: ANN401  # an asynchronous generator
        try:
            for number in count():
                yield number
        finally:
            closed.append("numbers")

    run(Graph(numbers, over(lambda rows: [next(rows)])))
    assert closed == ["numbers"]


def test_asynchronous_work_under_way_is_cancelled_when_the_run_fails() -> None:
    cancelled = threading.Event()

    async def work(row: int) -> int:
        if row:
            await asyncio.sleep(0.01)
            raise ValueError
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return row

    with pytest.raises(NodeFailed):
        run(Graph([0, 1], node(work, ordered=False)))
    assert cancelled.is_set()


def test_threads_that_asynchronous_work_started_do_not_outlive_the_run() -> None:
    async def work(row: int) -> int:
        return await asyncio.to_thread(lambda: row * 2)

    rows: list[int] = []
    run(Graph(range(5), work, rows.append))
    assert rows == [0, 2, 4, 6, 8]


def test_a_service_is_open_until_the_last_call_under_way_has_returned() -> None:
    events: list[str] = []
    under_way, failed = threading.Event(), threading.Event()

    def work(row: int, shop: str) -> None:
        if row:
            met(under_way)
            failed.set()
            raise ValueError
        under_way.set()
        met(failed)
        time.sleep(0.05)
        events.append("returned")

    @contextmanager
    def open_shop() -> Iterator[str]:
        try:
            yield "shop"
        finally:
            events.append("closed")

    with pytest.raises(NodeFailed):
        run(Graph([0, 1], node(work, concurrency=2, ordered=False)), {"shop": service(open_shop)})
    assert events == ["returned", "closed"]


def test_a_failure_in_one_branch_ends_a_branch_that_waits_for_room() -> None:
    blocked = threading.Event()

    def quick() -> Iterator[int]:
        for number in count():
            if number > 500:
                blocked.set()
            yield number

    def fails(rows: Iterator[int]) -> Iterator[int]:
        yield next(rows)
        met(blocked)
        raise ValueError

    with pytest.raises(NodeFailed, match="fails failed"):
        run(Graph(quick, over(fails)), most_rows=400)


PRELUDE = """
import asyncio, json, os, sys, time
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tallyline.graph import Graph, node, over, run, service, write_json_lines

out = Path(sys.argv[1])

def say(word):
    os.write(sys.stdout.fileno(), f"{word}\\n".encode())  # whole: threads of print come between a line and its end

def rows():
    try:
        for number in count():
            yield number
    finally:
        say("start closed")

@contextmanager
def shop():
    try:
        yield "shop"
    finally:
        say("shop closed")

def pause(seconds):
    def paused(row, shop):
        if row == 3:
            say("reached")
        time.sleep(seconds)
        return row
    return paused

def turn_slow(row):
    if row == 1000:
        say("reached")
    if row >= 1000:
        time.sleep(0.5)
    return row

def slow_rows():
    try:
        for number in count():
            yield turn_slow(number)
    finally:
        say("start closed")

def each(rows):
    for row in rows:
        yield turn_slow(row)

async def long(row, shop):
    if row == 3:
        say("reached")
    if row >= 3:
        await asyncio.sleep(60)
    return row

async def arounds():
    try:
        for number in count():
            yield number
            if number == 3:
                say("reached")
                await asyncio.sleep(60)
    finally:
        say("start closed")

def ask(row, shop):
    return row

def refused(row, shop):
    if row == 3:
        say("reached")
        raise OSError("the service says no")
    return row

def ends(report):
    if report.state.ended:
        say(json.dumps(report.as_dict()))

def go(graph, most_rows=1):
    run(graph, {"shop": service(shop)}, ends, most_rows=most_rows)
"""
GRAPHS = {
    "one thread": "go(Graph(rows, pause(0.01), write_json_lines(out)))",
    "blocked on a full edge": "go(Graph(rows, node(pause(0.05), concurrency=1), write_json_lines(out)))",
    "calls that take a second": "go(Graph(rows, node(pause(1), concurrency=4), write_json_lines(out)))",
    "a call in each of two threads": "go(Graph(rows, over(iter), pause(0.2), write_json_lines(out)))",
    "a node that turns slow": "go(Graph(rows, node(turn_slow, concurrency=1), ask, write_json_lines(out)), 2048)",
    "a start that turns slow": "go(Graph(slow_rows, over(iter), ask, write_json_lines(out)), 2048)",
    "a function over all rows that turns slow": "go(Graph(rows, over(each), ask, write_json_lines(out)), 2048)",
    "asynchronous work": "go(Graph(rows, long, write_json_lines(out)))",
    "an asynchronous start": "go(Graph(arounds, ask, write_json_lines(out)))",
    "an asynchronous start beside Polars": "import polars\ngo(Graph(arounds, ask, write_json_lines(out)))",
    "pauses before a retry": "go(Graph(rows, node(refused, retry=20, concurrency=2), write_json_lines(out)))",
    "pauses before a retry, one thread": "go(Graph(rows, node(refused, retry=20), write_json_lines(out)))",
    "work that is overdue later": "go(Graph(rows, node(pause(0.05), timeout=20), write_json_lines(out)))",
}


@contextmanager
def program(tmp_path: Path, graph: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that runs the graph, and come back when it is in the middle of its work."""
    script = tmp_path / "program.py"
    script.write_text(PRELUDE + graph, encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    (out / "rows.jsonl").write_text("what was there\n", encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), str(out / "rows.jsonl")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(process, "reached")
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[str], word: str) -> None:
    """Read what the program says until it says the word."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.strip() == word:
            return
    pytest.fail(f"it never said {word!r}, but {said}; {process.stderr and process.stderr.read()}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [(signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, 128 + signal.SIGTERM, "143")],
    ids=["SIGINT", "SIGTERM"],
)
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_signal_ends_a_run_within_a_second_and_the_call_under_way(
    graph: str, sent: signal.Signals, status: int, reason: str, tmp_path: Path
) -> None:
    with program(tmp_path, GRAPHS[graph]) as process:
        began = time.monotonic()
        process.send_signal(sent)
        said, complained = process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - began
    lines = said.splitlines()
    assert process.returncode == status, complained
    assert seconds < 4  # a second, a call of a second, and as long again for a busy machine
    assert lines[:-1] == ["start closed", "shop closed"]
    report = json.loads(lines[-1])
    assert (report["state"], report["error"]) == ("stopped", reason)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.jsonl"]
    assert (tmp_path / "out" / "rows.jsonl").read_text("utf-8") == "what was there\n"
    assert "Exception ignored" not in complained
    assert "never awaited" not in complained


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize(
    "graph",
    [
        "go(Graph(rows, node(pause(30), concurrency=4), write_json_lines(out)))",
        "go(Graph(rows, over(iter), pause(30), write_json_lines(out)))",
    ],
    ids=["concurrent", "in a thread"],
)
def test_a_second_interrupt_does_not_wait_for_a_call_that_hangs(graph: str, tmp_path: Path) -> None:
    graph = graph.replace("pause(30)", "(lambda row, shop: pause(30)(3, shop))")
    with program(tmp_path, graph) as process:
        process.send_signal(signal.SIGINT)
        until(process, "start closed")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        seconds = time.monotonic() - began
    assert process.returncode == -signal.SIGINT
    assert seconds < 4
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.jsonl"]
    assert (tmp_path / "out" / "rows.jsonl").read_text("utf-8") == "what was there\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_a_program_that_handles_sigterm_itself_goes_on_doing_so() -> None:
    handled: list[int] = []

    def handle(number: int, _frame: object) -> None:
        handled.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        run(Graph([1], lambda _: signal.raise_signal(signal.SIGTERM)))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handled == [signal.SIGTERM]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_a_run_leaves_sigterm_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(NodeFailed):
        run(Graph([1], lambda row: row // 0))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("ending", "status"),
    [("run(Graph([1], str))", 0), ("run(Graph([1], lambda row: row // 0))", 1)],
    ids=["done", "failed"],
)
def test_the_exit_status_of_a_program_tells_how_its_run_ended(ending: str, status: int) -> None:
    program = f"from tallyline.graph import *\n{ending}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.returncode == status
