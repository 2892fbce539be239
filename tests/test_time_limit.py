"""Runs end at their time limit, and when who observes them wants it, whatever they are at: also where they hang."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import pytest

from tallyline import source
from tallyline.errors import OverTime, Refused
from tallyline.graph import Graph, Report, State, in_time, run, time_limit
from tallyline.runner import read_source
from tallyline.sources import Options
from tallyline.warehouse import open_warehouse
from tests.schedule.simulated import project_of
from tests.warehouse.publishing import UTC_ZONE, at, facts, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.window import Window

    Observe = Callable[[Report], None]

T = TypeVar("T")

SOON = timedelta(milliseconds=50)
DAY = window("2026-07-14", "2026-07-15")
NOW = at("2026-07-14 15:20")
PATIENCE = 30


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "GRACE_SECONDS", 0.05)


@pytest.fixture
def hanging() -> Iterator[Callable[[], None]]:
    """A call that waits until the test is over, and that nothing of Python can interrupt in another thread."""
    over = threading.Event()
    yield over.wait  # type: ignore[misc]  # what it returns is nobody's
    over.set()


def apart(work: Callable[[], T]) -> T:
    """Do it in another thread than the main one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result(timeout=PATIENCE)


def here(work: Callable[[], T]) -> T:
    """Do it in the main thread."""
    assert threading.current_thread() is threading.main_thread()
    return work()


def hours(rows: int) -> Callable[[Observe], Report]:
    """Return work that lets rows through a graph."""
    return lambda observe: run(Graph(lambda: iter(range(rows)), str), observe=observe)


Where = pytest.mark.parametrize("where", [here, apart])


@Where
def test_what_ends_in_time_gives_what_it_has_and_its_last_report(where: Callable[..., Report]) -> None:
    seen: list[State] = []
    report = where(
        lambda: in_time(hours(5), lambda report: seen.append(report.state), timedelta(minutes=1), "too long")
    )
    assert report["str"].rows_out == 5
    assert seen[-1] is State.DONE


@Where
def test_an_error_comes_out_as_it_is(where: Callable[..., object]) -> None:
    def work(_: Observe) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        where(lambda: in_time(work, lambda _: None, SOON, "too long"))


@Where
def test_a_call_that_hangs_is_ended(where: Callable[..., object], hanging: Callable[[], None]) -> None:
    with pytest.raises(OverTime, match="too long"):
        where(lambda: in_time(lambda _: hanging(), lambda _: None, SOON, "too long"))


@Where
def test_a_loop_without_an_end_is_ended(where: Callable[..., object]) -> None:
    ended = threading.Event()

    def work(_: Observe) -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(OverTime):
        where(lambda: in_time(work, lambda _: None, SOON, "too long"))
    assert ended.wait(PATIENCE)


@Where
def test_rows_without_an_end_are_ended(where: Callable[..., object]) -> None:
    def work(observe: Observe) -> Report:
        return run(Graph(lambda: iter(int, 1), str), observe=observe)

    with pytest.raises(OverTime):
        where(lambda: in_time(work, lambda _: None, SOON, "too long"))


@Where
def test_work_that_reports_is_ended_there_and_nowhere_else(where: Callable[..., object]) -> None:
    unfinished: list[str] = []

    def work(observe: Observe) -> None:
        while True:
            unfinished.append("a piece of work")
            sum(range(1000))
            unfinished.pop()
            observe(Report())

    with pytest.raises(OverTime):
        where(lambda: in_time(work, lambda _: None, SOON, "too long"))
    assert unfinished == []


def test_who_observes_ends_a_call_that_hangs(hanging: Callable[[], None]) -> None:
    def stop(_: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart(lambda: in_time(lambda _: hanging(), stop, None, ""))


def test_what_is_left_behind_ends_once_its_call_returns() -> None:
    going_on, ended = threading.Event(), threading.Event()

    def work(_: Observe) -> None:
        try:
            going_on.wait(PATIENCE)
        finally:
            ended.set()

    with pytest.raises(OverTime):
        apart(lambda: in_time(work, lambda _: None, SOON, "too long"))
    assert not ended.is_set()
    going_on.set()
    assert ended.wait(PATIENCE)


def test_the_alarm_is_put_away(hanging: Callable[[], None]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OverTime):
        in_time(lambda _: hanging(), lambda _: None, SOON, "too long")
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0.0, 0.0))


def test_an_alarm_that_somebody_else_has_set_is_left_alone() -> None:
    signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        in_time(hours(3), lambda _: None, SOON, "too long")
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 3000
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@Where
def test_a_run_that_takes_too_long_has_failed_and_wrote_nothing(
    where: Callable[..., object], warehouse_url: str, hanging: Callable[[], None]
) -> None:
    @source(name="numbers", longest_run=SOON)
    def numbers(window: Window) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        yield {"time": window.since}, {"numbers": 1}
        hanging()

    project = project_of(numbers)
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as warehouse:

        def read() -> object:
            return read_source(project, project.source("numbers"), warehouse, DAY, now=NOW, write=True).error

        error = where(read)
        assert isinstance(error, OverTime)
        [entered] = warehouse.runs()
        assert str(error) == entered.error
        assert entered.error.startswith(
            "it took longer than 0:00:00.050000; let it take longer by longest_run, or read"
        )
        assert (entered.state, entered.report["state"]) == ("failed", "stopped")
        nodes = entered.report["nodes"]
        assert isinstance(nodes, list)
        assert {node["state"] for node in nodes} == {"stopped"}
        assert facts(warehouse_url, "hourly") == []
        warehouse.begin("numbers", DAY)  # nobody else is at work


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(Refused, match="longest_run is 0:00:00; give the length of time that a run may take"):
        Options(longest_run=timedelta())
