"""The scheduler with threads and the real clock: how much at a time, and how it stops."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tallyline import Grain, source
from tallyline.graph import time_limit
from tallyline.schedule.beside import Beside
from tallyline.schedule.scheduler import Scheduler
from tallyline.warehouse import open_warehouse
from tallyline.window import start_of_day, utc_now
from tests.schedule.simulated import PLAN, Told, project_of
from tests.warehouse.publishing import UTC_ZONE, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from tallyline.project import Project
    from tallyline.sources import SourceDeclaration
    from tallyline.warehouse import RunRecord, Warehouse
    from tallyline.window import Window

PATIENCE = 60
DAY = timedelta(days=1)


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with open_warehouse(warehouse_url, UTC_ZONE, write=True, plan=PLAN) as warehouse:
        yield warehouse


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What sources that hang wait for: the end of the test. Nobody waits long for them."""
    monkeypatch.setattr(time_limit, "GRACE_SECONDS", 0.05)
    event = threading.Event()
    yield event
    event.set()


def counting(name: str, work: Callable[[Window], object], **options: object) -> SourceDeclaration:
    """Return a source that does some work, and counts one for each hour."""

    def count(window: Window, zone: ZoneInfo) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
        work(window)
        for hour in window.buckets(Grain.HOUR, zone):
            yield {"time": hour, "source": name}, {"numbers": 1}

    asked: dict[str, object] = {"lookback": timedelta(), **options}
    return source(name=name, **asked)(count)  # type: ignore[call-overload, no-any-return]


class Meeting:
    """Where several must be at a time to go on, and never more than that."""

    def __init__(self, size: int) -> None:
        self._all_there = threading.Barrier(size, timeout=PATIENCE)
        self._lock = threading.Lock()
        self._there = 0
        self.most = 0

    def __call__(self, _: Window) -> None:
        """Wait for the others."""
        with self._lock:
            self._there += 1
            self.most = max(self.most, self._there)
        self._all_there.wait()
        with self._lock:
            self._there -= 1


def run_once(project: Project, warehouse: Warehouse, at_a_time: int) -> Told:
    """Run what is due."""
    told = Told()
    beside = Beside(Scheduler(project, warehouse, told, at_a_time=at_a_time), once=True)
    beside.start()
    beside.wait()
    return told


def test_so_many_sources_are_read_at_a_time_and_no_more(warehouse: Warehouse) -> None:
    meeting = Meeting(2)
    told = run_once(project_of(*(counting(name, meeting) for name in "abcdef")), warehouse, 2)
    assert [run.result.error for run in told.runs] == [None] * 6
    assert meeting.most == 2


def test_missed_windows_are_read_beside_each_other_where_the_source_says_so_but_never_the_newest(
    warehouse: Warehouse,
) -> None:
    today = start_of_day(utc_now().date(), UTC_ZONE)
    meeting, alone = Meeting(3), Counter[str]()

    def work(window: Window) -> None:
        if window.until == today:
            alone["newest"] += 1
            return
        meeting(window)

    start = (today - 7 * DAY).date()
    options = {"schedule": "@daily", "grain": Grain.HOUR, "start": start, "at_once": DAY, "parallel": 3}
    told = run_once(project_of(counting("numbers", work, **options)), warehouse, 8)
    assert [run.result.error for run in told.runs] == [None] * 7
    assert (meeting.most, alone) == (3, {"newest": 1})
    assert told.runs[0].result.window is not None
    assert told.runs[0].result.window.until == today
    assert sum(value.value for value in warehouse.query("numbers")) == 7 * 24


def test_it_stops_in_bounded_time_whatever_a_source_is_at(
    warehouse: Warehouse, warehouse_url: str, over: threading.Event
) -> None:
    reached, told = threading.Event(), Told()

    def hang(_: Window) -> None:
        reached.set()
        over.wait()

    beside = Beside(Scheduler(project_of(counting("numbers", hang)), warehouse, told))
    beside.start()
    assert reached.wait(PATIENCE)
    beside.stop()
    beside.wait()  # it has ended, and raises nothing
    [run] = told.runs
    assert (run.stopped, run.result.error) == (True, None)
    assert states(warehouse.runs()) == ["stopped"]
    with open_warehouse(warehouse_url, UTC_ZONE, write=True) as another:
        another.begin("numbers", window("2026-07-14", "2026-07-15"))  # nobody is at work any more


def test_a_source_that_hangs_is_ended_at_its_time_limit_and_the_others_are_read(
    warehouse: Warehouse, over: threading.Event
) -> None:
    bad = counting("bad", lambda _: over.wait(), longest_run=timedelta(milliseconds=50))
    told = run_once(project_of(bad, counting("good", lambda _: None)), warehouse, 1)
    assert {run.result.source: run.result.error is None for run in told.runs} == {"bad": False, "good": True}
    assert states(warehouse.runs(source="bad")) == ["failed"]
    assert "longest_run" in warehouse.runs(source="bad")[0].error


def test_it_can_be_stopped_before_it_has_begun(warehouse: Warehouse) -> None:
    Beside(Scheduler(project_of(), warehouse, Told())).stop()


def test_what_ends_it_is_raised_where_it_is_waited_for(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def progress(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(warehouse, "progress", progress)
    with pytest.raises(LookupError):
        run_once(project_of(counting("numbers", lambda _: None)), warehouse, 1)


def states(runs: list[RunRecord]) -> list[str]:
    """Return how runs ended, the newest first."""
    return [run.state for run in runs]
