"""Nodes that work on several rows at a time, that wait, that try again, that may skip, or that take all rows."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.errors import GraphError, NodeFailed
from tallyline.graph import Graph, State, keep, limit, node, over, run, service, write_json_lines
from tests.graph.threads import PATIENCE, met, none_left_behind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


SLOW = 0.03  # a start that takes so long for a row hands it on before it makes the next


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    with none_left_behind():
        yield


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses before a retry be short."""
    monkeypatch.setattr("tallyline.graph.step.FIRST_PAUSE", 0.001)


# several rows at a time


def test_a_concurrent_node_works_on_as_many_rows_at_a_time_as_it_says() -> None:
    together = threading.Barrier(4, timeout=PATIENCE)

    def meet(row: int) -> int:
        together.wait()
        return row

    rows: list[int] = []
    run(Graph(range(8), node(meet, concurrency=4), rows.append))
    assert rows == list(range(8))


def test_a_concurrent_generator_works_on_as_many_rows_at_a_time_as_it_says() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)

    def pages(row: int) -> Iterator[str]:
        for page in "ab":
            together.wait()
            yield f"{row}{page}"

    rows: list[str] = []
    run(Graph(range(3), node(pages, concurrency=3), rows.append))
    assert rows == ["0a", "0b", "1a", "1b", "2a", "2b"]


class Gauge:
    """Counts how many are at work."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._counting = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count one at work."""
        with self._counting:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self._counting:
                self.now -= 1


@pytest.mark.parametrize("ordered", [True, False])
def test_a_concurrent_node_never_works_on_more_rows_than_it_says(ordered: bool) -> None:  # noqa: FBT001  # by name only
    gauge = Gauge()

    def work(row: int) -> int:
        with gauge.working():
            time.sleep(0.001 * (row % 3))
        return row

    rows: list[int] = []
    run(Graph(range(60), node(work, concurrency=3, ordered=ordered), rows.append))
    assert gauge.most <= 3
    assert sorted(rows) == list(range(60))


@pytest.mark.parametrize("concurrency", [None, 5])
def test_asynchronous_work_is_done_on_as_many_rows_at_a_time_as_it_says(concurrency: int | None) -> None:
    gauge = Gauge()
    wanted = concurrency or 16

    async def meet(row: int) -> int:
        with gauge.working():
            while gauge.most < wanted:  # noqa: ASYNC110  # of all in the event loop
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        return row

    rows: list[int] = []
    run(Graph(range(40), node(meet, concurrency=concurrency), rows.append))
    assert gauge.most == wanted
    assert rows == list(range(40))


def test_rows_leave_a_concurrent_node_in_the_order_in_which_they_came() -> None:
    second_is_done = threading.Event()

    def work(row: int) -> int:
        if row == 0:
            met(second_is_done)
        if row == 1:
            second_is_done.set()
        return row

    rows: list[int] = []
    run(Graph([0, 1, 2], node(work, concurrency=2), rows.append))
    assert rows == [0, 1, 2]


def test_rows_leave_a_concurrent_node_as_they_are_ready_where_order_does_not_matter() -> None:
    others_were_taken = threading.Event()

    def work(row: int) -> int:
        if row == 0:
            met(others_were_taken)
        return row

    rows: list[int] = []

    def take(row: int) -> None:
        rows.append(row)
        if len(rows) == 2:
            others_were_taken.set()

    run(Graph([0, 1, 2], node(work, concurrency=2, ordered=False), take))
    assert rows == [1, 2, 0]


def test_a_slow_row_does_not_hold_those_before_it() -> None:
    first_was_taken = threading.Event()

    def work(row: int) -> int:
        if row == 1:
            met(first_was_taken)
        return row

    def take(row: int) -> None:
        if row == 0:
            first_was_taken.set()

    run(Graph([0, 1], node(work, concurrency=2), take))
    assert first_was_taken.is_set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_row_that_is_ready_is_handed_on_while_no_other_arrives(asynchronous: bool) -> None:  # noqa: FBT001
    first_was_taken = threading.Event()

    def rows() -> Iterator[int]:
        time.sleep(SLOW)
        yield 0
        met(first_was_taken)
        yield 1

    async def later(row: int) -> int:
        await asyncio.sleep(0)
        return row

    def work(row: int) -> int:
        return row

    run(Graph(rows, later if asynchronous else node(work, concurrency=4), lambda _: first_was_taken.set()))
    assert first_was_taken.is_set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_concurrent_node_that_is_held_up_holds_its_feeder_back(asynchronous: bool) -> None:  # noqa: FBT001
    given = 0
    is_held = threading.Event()

    def rows() -> Iterator[int]:
        nonlocal given
        for given in range(100_000):  # noqa: UP028  # it is looked at from without
            yield given

    def take(row: int) -> int:
        """Wait until the feeder has been still for a while."""
        if not is_held.is_set():
            before = -1
            while before != given:
                before = given
                time.sleep(0.05)
            is_held.set()
            assert given < 2_000
        return row

    async def later(row: int) -> int:
        return row

    def work(row: int) -> int:
        return row

    worked = node(later if asynchronous else work, concurrency=2)
    taken: list[int] = []
    run(Graph(rows, worked, take, limit(1_000), taken.append), most_rows=256)
    assert taken == list(range(1_000))


def test_an_error_in_a_concurrent_node_is_told_with_its_row() -> None:
    graph = Graph(itertools.count(), node(lambda row: 1 // (50 - row), name="divide", concurrency=4))
    with pytest.raises(NodeFailed) as failed:
        run(graph)
    assert (failed.value.node, failed.value.row) == ("divide", 50)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_an_error_in_asynchronous_work_is_told_with_its_row() -> None:
    async def divide(row: int) -> int:
        await asyncio.sleep(0)
        return 1 // (50 - row)

    with pytest.raises(NodeFailed) as failed:
        run(Graph(itertools.count(), divide))
    assert (failed.value.node, failed.value.row) == ("divide", 50)


def test_rows_before_the_one_that_failed_were_handed_on_in_order() -> None:
    rows: list[int] = []
    with pytest.raises(NodeFailed):
        run(Graph(range(100), node(lambda row: row if row < 60 else 1 // 0, concurrency=4), rows.append))
    assert rows == list(range(len(rows)))
    assert len(rows) <= 60


def test_calls_of_a_concurrent_node_share_its_services() -> None:
    opened: list[object] = []
    seen: set[int] = set()

    def shop() -> object:
        opened.append(object())
        return opened[-1]

    def work(row: int, shop: object) -> None:
        seen.add(id(shop))

    run(Graph(range(20), node(work, concurrency=4)), {"shop": service(shop)})
    assert seen == {id(opened[0])}
    assert len(opened) == 1


@pytest.mark.parametrize("answer", [0, "", False, 0.0, (), {}], ids=repr)
def test_falsy_answers_of_a_concurrent_node_are_rows(answer: object) -> None:
    rows: list[object] = []
    run(Graph([1], node(lambda _: answer, concurrency=2), rows.append))
    assert rows == [answer]


def test_none_of_a_concurrent_node_is_no_row() -> None:
    rows: list[object] = []
    run(Graph(range(10), node(lambda row: row if row % 2 else None, concurrency=2), rows.append))
    assert rows == [1, 3, 5, 7, 9]


def test_a_concurrent_node_may_be_fed_by_several() -> None:
    graph = Graph()
    rows: list[int] = []
    place = graph >> range(200) >> node(lambda row: -row, name="minus", concurrency=3)
    _ = graph >> range(200) >> place >> rows.append
    run(graph)
    assert sorted(rows) == sorted([-row for row in range(200)] * 2)


# asynchronous work


def test_an_asynchronous_generator_gives_several_rows_for_one() -> None:
    async def letters(row: str) -> AsyncIterator[str]:
        for letter in row:
            await asyncio.sleep(0)
            yield letter

    rows: list[str] = []
    run(Graph(["ab", "", "cd"], letters, rows.append))
    assert rows == ["a", "b", "c", "d"]


def test_an_asynchronous_generator_starts_a_chain() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(300):
            yield number

    rows: list[int] = []
    run(Graph(numbers, rows.append))
    assert rows == list(range(300))


def test_a_coroutine_function_starts_a_chain_with_what_it_returns() -> None:
    async def numbers() -> list[int]:
        await asyncio.sleep(0)
        return [1, 2]

    rows: list[int] = []
    run(Graph(numbers, rows.append))
    assert rows == [1, 2]


def test_an_object_that_is_called_asynchronously_is_a_node() -> None:
    class Fetch:
        async def __call__(self, row: int) -> int:
            await asyncio.sleep(0)
            return row + 1

    rows: list[int] = []
    run(Graph([1, 2], Fetch(), rows.append))
    assert rows == [2, 3]


def test_asynchronous_work_is_given_services() -> None:
    async def rate(row: int, factor: int) -> int:
        return row * factor

    async def numbers(factor: int) -> AsyncIterator[int]:
        yield factor

    rows: list[int] = []
    run(Graph(numbers, rate, rows.append), {"factor": 3})
    assert rows == [9]


def test_all_asynchronous_work_of_a_run_shares_one_event_loop() -> None:
    loops: set[int] = set()

    async def look(row: int) -> int:
        loops.add(id(asyncio.get_running_loop()))
        return row

    async def numbers() -> AsyncIterator[int]:
        loops.add(id(asyncio.get_running_loop()))
        yield 1

    run(Graph(numbers, look, node(look)))
    assert len(loops) == 1


def test_an_asynchronous_start_that_fails_ends_the_run() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(NodeFailed, match="numbers failed: OSError: gone"):
        run(Graph(numbers, str))


def test_asynchronous_work_runs_though_the_caller_has_an_event_loop() -> None:
    async def double(row: int) -> int:
        return row * 2

    rows: list[int] = []

    async def main() -> None:
        run(Graph([1, 2], double, rows.append))

    asyncio.run(main())
    assert rows == [2, 4]


# timeout


def test_a_call_in_time_is_like_any_other() -> None:
    rows: list[int] = []
    run(Graph(range(5), node(lambda row: row * 2, timeout=PATIENCE), rows.append))
    assert rows == [0, 2, 4, 6, 8]


def test_a_call_that_takes_too_long_fails_and_is_left_behind() -> None:
    released = threading.Event()
    try:
        with pytest.raises(NodeFailed, match=r"wait failed at row 1: TimeoutError: it took longer than 0\.05 s"):
            run(Graph([1], node(lambda _: met(released), name="wait", timeout=0.05)))
    finally:
        let_go(released, "wait worker")


def test_rows_after_one_that_took_too_long_are_worked_on() -> None:
    released = threading.Event()
    rows: list[int] = []

    def work(row: int) -> int:
        if row == 1:
            met(released)
        return row

    try:
        report = run(Graph(range(4), node(work, timeout=0.2, on_error="skip"), rows.append))
    finally:
        let_go(released, "work worker")
    assert rows == [0, 2, 3]
    assert [sample.error for sample in report["work"].samples] == ["TimeoutError: it took longer than 0.2 s"]


def let_go(released: threading.Event, name: str) -> None:
    """Let a call return that was left behind, and wait for its thread."""
    released.set()
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(PATIENCE)


def test_asynchronous_work_that_takes_too_long_is_cancelled_and_fails() -> None:
    cancelled = threading.Event()

    async def wait(row: int) -> None:
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(NodeFailed, match=r"wait failed at row 1: TimeoutError: it took longer than 0\.05 s"):
        run(Graph([1], node(wait, timeout=0.05)))
    assert cancelled.is_set()


def test_a_timeout_of_the_work_itself_is_told_as_it_is() -> None:
    async def wait(row: int) -> None:
        raise TimeoutError("the service is slow")

    with pytest.raises(NodeFailed, match="TimeoutError: the service is slow"):
        run(Graph([1], node(wait, timeout=PATIENCE)))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_time_of_a_row_includes_its_retries(asynchronous: bool) -> None:  # noqa: FBT001  # by name only
    def refuse(row: int) -> None:
        raise OSError("busy")

    async def refuse_later(row: int) -> None:
        raise OSError("busy")

    work = refuse_later if asynchronous else refuse
    try:
        with pytest.raises(NodeFailed, match="TimeoutError: it took longer than"):
            run(Graph([1], node(work, timeout=0.15, retry=10)))
    finally:
        let_go(threading.Event(), "refuse worker")


def test_a_generator_that_takes_too_long_fails() -> None:
    released = threading.Event()

    def pages(row: int) -> Iterator[int]:
        yield row
        met(released)

    try:
        with pytest.raises(NodeFailed, match="pages failed at row 1: TimeoutError"):
            run(Graph([1], node(pages, timeout=0.05)))
    finally:
        let_go(released, "pages worker")


# retry


class Flaky:
    """Fails so many times a row, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries: dict[int, int] = {}

    def attempt(self, row: int) -> int:
        """Answer, or not."""
        self.tries[row] = self.tries.get(row, 0) + 1
        if self.tries[row] <= self.failures:
            raise OSError("busy", self.tries[row])
        return row * 10

    def generate(self, row: int) -> Iterator[int]:
        """Give a row, then another one, or not."""
        yield row
        yield self.attempt(row)

    async def later(self, row: int) -> int:
        """Answer, or not."""
        await asyncio.sleep(0)
        return self.attempt(row)

    async def generate_later(self, row: int) -> AsyncIterator[int]:
        """Give a row, then another one, or not."""
        yield row
        yield self.attempt(row)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("concurrency", [None, 2])
@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("attempt", [10, 20]),
        ("later", [10, 20]),
        ("generate", [1, 10, 2, 20]),
        ("generate_later", [1, 10, 2, 20]),
    ],
)
def test_a_row_is_tried_again_after_an_error_that_passes(
    kind: str, answers: list[int], concurrency: int | None
) -> None:
    flaky = Flaky(failures=2)
    rows: list[int] = []
    report = run(Graph([1, 2], node(getattr(flaky, kind), retry=2, concurrency=concurrency), rows.append))
    assert rows == answers
    assert flaky.tries == {1: 3, 2: 3}
    assert (report[kind].rows_in, report[kind].skipped, report[kind].errors) == (2, 0, 0)


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize("kind", ["attempt", "later", "generate", "generate_later"])
def test_a_row_is_given_up_after_as_many_tries_as_were_allowed(kind: str) -> None:
    flaky = Flaky(failures=9)
    with pytest.raises(NodeFailed, match=f"{kind} failed at row 1: OSError: .*busy.* 3"):
        run(Graph([1], node(getattr(flaky, kind), retry=2)))
    assert flaky.tries == {1: 3}


@pytest.mark.usefixtures("_no_pauses")
def test_a_row_that_is_given_up_may_be_skipped() -> None:
    flaky = Flaky(failures=1)
    report = run(Graph([1, 2], node(flaky.attempt, on_error="skip"), Flaky(failures=0).attempt))
    assert report["attempt"].skipped == 2
    flaky = Flaky(failures=3)
    report = run(Graph([1, 2], node(flaky.attempt, retry=2, on_error="skip")))
    assert (report["attempt"].skipped, flaky.tries) == (2, {1: 3, 2: 3})


@pytest.mark.usefixtures("_no_pauses")
def test_a_callable_start_is_called_again() -> None:
    flaky = Flaky(failures=2)
    rows: list[int] = []
    run(Graph(node(lambda: [flaky.attempt(1)], name="start", retry=2), rows.append))
    assert rows == [10]


def test_the_rows_of_a_start_with_retries_are_not_gathered() -> None:
    rows: list[int] = []
    run(Graph(node(lambda: itertools.count(), name="start", retry=2), limit(3), rows.append))  # noqa: PLW0108
    assert rows == [0, 1, 2]


@pytest.mark.parametrize("concurrency", [None, 2])
def test_a_run_that_stops_ends_the_pauses_before_a_retry(concurrency: int | None) -> None:
    tried = threading.Event()

    def refuse(row: int) -> None:
        tried.set()
        raise OSError("busy")

    def fail(rows: Iterator[int]) -> Iterator[int]:
        met(tried)
        raise ValueError("the reason")
        yield from rows

    graph = Graph([1], node(refuse, retry=60, concurrency=concurrency))
    _ = graph["list"] >> over(fail)
    with pytest.raises(NodeFailed, match="the reason"):
        run(graph)


def test_what_ends_the_run_ends_the_pauses_of_other_rows_of_the_same_node() -> None:
    tried = threading.Event()

    def work(row: int) -> int:
        if row:
            met(tried)
            raise KeyboardInterrupt  # which is not tried again
        tried.set()
        raise OSError("busy")

    with pytest.raises(KeyboardInterrupt):
        run(Graph([0, 1], node(work, retry=60, concurrency=2, ordered=False)))


# functions over all rows


def test_a_function_over_all_rows_gives_what_it_likes() -> None:
    rows: list[int] = []
    run(Graph([3, 1, 2], over(sorted), rows.append))
    assert rows == [1, 2, 3]


def test_a_function_over_all_rows_may_be_a_generator() -> None:
    def pairs(rows: Iterator[int]) -> Iterator[tuple[int, int]]:
        return itertools.pairwise(rows)

    rows: list[tuple[int, int]] = []
    run(Graph([1, 2, 3], over(pairs), rows.append))
    assert rows == [(1, 2), (2, 3)]


def test_a_function_over_all_rows_hands_on_before_they_end() -> None:
    taken = threading.Event()

    def start() -> Iterator[int]:
        time.sleep(SLOW)
        yield 1
        met(taken)

    run(Graph(start, over(lambda rows: rows), lambda _: taken.set()))
    assert taken.is_set()


def test_a_function_over_all_rows_runs_though_there_are_none() -> None:
    rows: list[int] = []
    report = run(Graph([], over(lambda rows: [sum(rows)], name="sum"), rows.append))
    assert rows == [0]
    assert (report["sum"].rows_in, report["sum"].rows_out) == (0, 1)


def test_a_function_over_all_rows_that_wants_no_more_ends_an_endless_start() -> None:
    closed: list[bool] = []

    def numbers() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    rows: list[str] = []
    report = run(Graph(numbers, str, limit(3), rows.append))
    assert rows == ["0", "1", "2"]
    assert closed == [True]
    assert {each.state for each in report.nodes} == {State.DONE}


def test_a_start_that_waits_for_room_ends_when_nobody_wants_more() -> None:
    soon_waits = threading.Event()

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            if number == 300:  # too many for what may wait: the next batch has no room
                soon_waits.set()
            yield number

    def first(rows: Iterator[int]) -> list[int]:
        row = next(rows)
        met(soon_waits)
        time.sleep(0.05)
        return [row]

    report = run(Graph(numbers, over(first)), most_rows=250)
    assert (report["first"].rows_in, report["first"].rows_out) == (1, 1)


def test_what_one_branch_wants_no_more_the_other_still_gets() -> None:
    graph = Graph(range(1_000))
    few: list[int] = []
    all_rows: list[int] = []
    _ = graph["range"] >> limit(2) >> few.append
    _ = graph["range"] >> all_rows.append
    run(graph)
    assert few == [0, 1]
    assert all_rows == list(range(1_000))


def test_a_start_ends_when_all_its_branches_want_no_more() -> None:
    graph = Graph(itertools.count())
    _ = graph["count"] >> limit(2)
    _ = graph["count"] >> str >> limit(300)
    report = run(graph)
    assert [report["limit"].rows_out, report["limit-2"].rows_out] == [2, 300]


def test_starts_that_meet_end_when_nobody_wants_more() -> None:
    graph = Graph(itertools.count(), node(str, name="meet"), limit(5))
    _ = graph >> itertools.count() >> graph["meet"]
    report = run(graph, most_rows=1)
    assert report["limit"].rows_out == 5


def test_a_concurrent_node_ends_when_nobody_wants_its_rows() -> None:
    async def double(row: int) -> int:
        return row * 2

    rows: list[int] = []
    run(Graph(itertools.count(), node(lambda row: row, concurrency=3), double, limit(5), rows.append))
    assert rows == [0, 2, 4, 6, 8]


def test_a_function_over_all_rows_that_fails_ends_the_run_without_a_row() -> None:
    def fail(rows: Iterator[int]) -> Iterator[int]:
        yield next(rows)
        raise OSError("disk full")

    with pytest.raises(NodeFailed, match=r"^fail failed: OSError: disk full$") as failed:
        run(Graph(itertools.count(), over(fail)))
    assert failed.value.row is None


def test_a_function_over_all_rows_that_gives_no_rows_fails() -> None:
    with pytest.raises(NodeFailed, match="it is to give rows, and gave 3"):
        run(Graph([1, 2], over(lambda rows: sum(rows))))  # type: ignore[arg-type,return-value]  # noqa: PLW0108


def test_a_function_over_all_rows_is_given_services() -> None:
    rows: list[int] = []

    def scaled(rows: Iterator[int], factor: int) -> Iterator[int]:
        return (row * factor for row in rows)

    run(Graph([1, 2], over(scaled), rows.append), {"factor": 10})
    assert rows == [10, 20]


def test_a_function_over_all_rows_needs_a_feeder() -> None:
    with pytest.raises(GraphError, match="sorted takes all rows, but no node feeds it"):
        run(Graph(over(sorted)))


@pytest.mark.parametrize(
    ("option", "value"), [("concurrency", 2), ("retry", 1), ("timeout", 1), ("on_error", "skip"), ("max_errors", 1)]
)
def test_options_for_a_row_are_refused_where_all_rows_are_taken_at_once(option: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(GraphError, match=f"sorted takes all rows at once: {option} is for nodes that take one row"):
        node(over(sorted), **{option: value})


# rows that are skipped


SKIPPERS: list[dict[str, Any]] = [
    {},
    {"concurrency": 1},
    {"concurrency": 3},
    {"concurrency": 3, "ordered": False},
    {"timeout": PATIENCE},
]


def odd_ones(row: int) -> int:
    if row % 2:
        raise ValueError(row, "is odd")
    return row


async def odd_ones_later(row: int) -> int:
    await asyncio.sleep(0)
    return odd_ones(row)


@pytest.mark.parametrize("options", SKIPPERS, ids=str)
@pytest.mark.parametrize("work", [odd_ones, odd_ones_later])
def test_rows_that_fail_are_skipped_and_counted(work: Callable[[int], object], options: dict[str, Any]) -> None:
    rows: list[int] = []
    report = run(Graph(range(300), node(work, name="even", on_error="skip", **options), rows.append))
    assert sorted(rows) == list(range(0, 300, 2))
    even = report["even"]
    assert (even.rows_in, even.rows_out, even.skipped, even.errors) == (300, 150, 150, 0)
    assert (even.state, report.state) == (State.DONE, State.DONE)


def test_the_first_five_rows_that_were_skipped_are_kept_as_samples() -> None:
    report = run(Graph(range(20), node(odd_ones, on_error="skip")))
    assert [(sample.row, sample.error) for sample in report["odd_ones"].samples] == [
        (str(row), f"ValueError: ({row}, 'is odd')") for row in (1, 3, 5, 7, 9)
    ]


def test_samples_of_long_rows_are_shortened() -> None:
    report = run(Graph(["x" * 1_000], node(int, on_error="skip")))
    (sample,) = report["int"].samples
    assert len(sample.row) <= 201
    assert sample.row.startswith("'xxx")
    assert sample.row.endswith("…")


@pytest.mark.parametrize("options", SKIPPERS, ids=str)
@pytest.mark.parametrize("work", [odd_ones, odd_ones_later])
def test_as_many_rows_may_be_skipped_as_the_budget_allows(
    work: Callable[[int], object], options: dict[str, Any]
) -> None:
    report = run(Graph(range(10), node(work, name="even", on_error="skip", max_errors=5, **options)))
    assert report["even"].skipped == 5


@pytest.mark.parametrize("options", SKIPPERS, ids=str)
@pytest.mark.parametrize("work", [odd_ones, odd_ones_later])
def test_one_row_more_than_the_budget_allows_fails_the_run(
    work: Callable[[int], object], options: dict[str, Any]
) -> None:
    with pytest.raises(NodeFailed, match=r"even failed at row \d: ValueError: \(\d, 'is odd'\)") as failed:
        run(Graph(range(10), node(work, name="even", on_error="skip", max_errors=4, **options)))
    even = failed.value.report["even"]  # type: ignore[index]
    assert (even.skipped, even.errors, even.state) == (4, 1, State.FAILED)


def test_rows_of_an_answer_before_the_one_that_failed_stay() -> None:
    def letters(row: str) -> Iterator[str]:
        for letter in row:
            if letter == "!":
                raise ValueError("no letter")
            yield letter

    rows: list[str] = []
    report = run(Graph(["ab", "c!d", "ef"], node(letters, on_error="skip"), rows.append))
    assert rows == ["a", "b", "c", "e", "f"]
    assert (report["letters"].rows_in, report["letters"].rows_out, report["letters"].skipped) == (3, 5, 1)
    assert report["letters"].samples[0].row == "'c!d'"


@pytest.mark.parametrize("options", SKIPPERS[1:], ids=str)
def test_a_concurrent_answer_that_failed_midway_is_skipped_whole(options: dict[str, Any]) -> None:
    def letters(row: str) -> Iterator[str]:
        for letter in row:
            if letter == "!":
                raise ValueError("no letter")
            yield letter

    rows: list[str] = []
    report = run(Graph(["ab", "c!d", "ef"], node(letters, on_error="skip", **options), rows.append))
    assert sorted(rows) == ["a", "b", "e", "f"]
    assert report["letters"].skipped == 1


def test_a_start_that_fails_is_never_skipped() -> None:
    def start() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(NodeFailed, match="start failed: OSError: gone"):
        run(Graph(node(start, on_error="skip"), str))


def test_ready_nodes_take_options_too() -> None:
    rows: list[dict[str, int]] = []
    careful = node(keep(lambda row: row["a"]), on_error="skip", name="careful")
    report = run(Graph([{"a": 1}, {"b": 2}, {"a": 3}], careful, rows.append))
    assert rows == [{"a": 1}, {"a": 3}]
    assert report["careful"].skipped == 1


def test_options_of_a_node_stay_when_others_are_changed() -> None:
    first = node(odd_ones, on_error="skip", max_errors=3, concurrency=2)
    second = node(first, retry=1)
    assert (second.on_error, second.max_errors, second.concurrency, second.retry) == ("skip", 3, 2, 1)
    assert first.retry == 0


# work that is entered and left


class Door:
    """Work that is a context manager, and notes what happens to it."""

    def __init__(self, name: str = "door", fails: str = "", hides: bool = False) -> None:  # noqa: FBT001, FBT002
        self.name = name
        self.fails = fails
        self.hides = hides
        self.events: list[str] = []

    def __enter__(self) -> Callable[[int], int]:
        """Open."""
        self.events.append("entered")
        if self.fails == "enter":
            raise OSError("it is locked")
        return self._through

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        """Close."""
        self.events.append(f"left with {kind.__name__}" if kind else "left")
        if self.fails == "leave":
            raise OSError("it is stuck")
        return self.hides

    def __call__(self, row: int) -> int:
        """Never be called: what entering gives is."""
        raise NotImplementedError

    def _through(self, row: int) -> int:
        self.events.append(f"row {row}")
        return row


def test_work_that_is_a_context_manager_is_entered_and_left_once_a_run() -> None:
    door = Door()
    graph = Graph([1, 2], door)
    run(graph)
    run(graph)
    assert door.events == ["entered", "row 1", "row 2", "left"] * 2


def test_work_that_is_a_context_manager_is_left_when_the_run_fails() -> None:
    door = Door()
    with pytest.raises(NodeFailed):
        run(Graph([1, 2], door, lambda row: row // 0))
    assert door.events == ["entered", "row 1", "left with NodeFailed"]


def test_work_that_cannot_be_entered_fails_its_node_and_leaves_the_others() -> None:
    first, second = Door(), Door(fails="enter")
    started: list[int] = []
    with pytest.raises(NodeFailed, match="second failed: OSError: it is locked") as failed:
        run(Graph([1], started.append, first, node(second, name="second")))
    assert first.events == ["entered", "left with NodeFailed"]
    assert started == []
    assert failed.value.report["second"].state is State.FAILED  # type: ignore[index]


def test_work_that_cannot_be_left_fails_its_node() -> None:
    first, second = Door(), Door(fails="leave")
    with pytest.raises(NodeFailed, match="second failed: OSError: it is stuck") as failed:
        run(Graph([1], first, node(second, name="second")))
    assert first.events == ["entered", "row 1", "left with NodeFailed"]
    assert (failed.value.report["second"].errors, failed.value.report["second"].state) == (1, State.FAILED)  # type: ignore[index]


def test_work_that_cannot_be_left_does_not_hide_what_ended_the_run() -> None:
    with pytest.raises(NodeFailed, match="ZeroDivisionError") as failed:
        run(Graph([1], Door(fails="leave"), lambda row: row // 0))
    assert failed.value.__notes__ == ["Door failed when it was left: OSError: it is stuck"]


def test_work_that_swallows_errors_does_not_hide_what_ended_the_run() -> None:
    with pytest.raises(NodeFailed, match="ZeroDivisionError"):
        run(Graph([1], Door(hides=True), lambda row: row // 0))


def test_a_file_that_starts_a_chain_is_closed_after_the_run(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\n", encoding="utf-8")
    rows: list[str] = []
    file = path.open(encoding="utf-8")
    run(Graph(file, str.strip, rows.append))
    assert rows == ["a", "b"]
    assert file.closed


# graphs in graphs


def test_a_graph_is_put_into_another_as_a_node() -> None:
    inner = Graph(str.strip, node(str.upper, concurrency=2))
    rows: list[str] = []
    run(Graph([" a", "b "], inner, rows.append))
    assert rows == ["A", "B"]


def test_the_same_graph_is_put_in_twice_and_counted_twice() -> None:
    inner = Graph(node(lambda row: row + 1, name="more"))
    rows: list[int] = []
    report = run(Graph([1, 2], inner, inner, rows.append))
    assert rows == [3, 4]
    assert [each.name for each in report.nodes] == ["list", "more", "more-2", "append"]


def test_the_same_writer_in_two_places_is_opened_once(tmp_path: Path) -> None:
    inner = Graph(write_json_lines(tmp_path / "rows.jsonl"))
    run(Graph([1, 2], inner, inner))
    assert (tmp_path / "rows.jsonl").read_text("utf-8").split() == ["1", "1", "2", "2"]


def test_a_graph_that_ran_cannot_be_changed() -> None:
    graph = Graph([1, 2], str)
    run(graph)
    with pytest.raises(GraphError, match="a graph that has run cannot be changed"):
        _ = graph["str"] >> print


@pytest.mark.parametrize(
    "work", [str, node(str, concurrency=2), over(lambda rows: map(str, rows))], ids=["plain", "concurrent", "over"]
)
def test_a_graph_that_ran_can_run_again(work: Any) -> None:  # noqa: ANN401  # any work
    rows: list[str] = []
    graph = Graph([1, 2], work, rows.append)
    first, second = run(graph), run(graph)
    assert rows == ["1", "2"] * 2
    assert str(first) == str(second)


def test_two_runs_of_one_graph_go_on_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)
    graph = Graph(range(3), lambda row: (together.wait(), row)[1])
    threads = [threading.Thread(target=run, args=[graph]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not together.broken
