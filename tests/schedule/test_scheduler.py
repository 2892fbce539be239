"""The scheduler by a clock that is turned by hand: what runs when, and what does not keep what else from running."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING

import pytest

from tallyline import Grain, source
from tallyline.errors import AtWork, Denied, RunFailed, Unavailable
from tallyline.plan import Retention
from tallyline.runner import read_source
from tallyline.schedule import scheduler as scheduler_module
from tallyline.schedule.agenda import Agenda, Job
from tallyline.schedule.due import due
from tallyline.schedule.scheduler import Scheduler
from tallyline.schedule.work import Work
from tallyline.warehouse import Covered
from tests.schedule.simulated import Clock, Told, Waits, opened, project_of, run_once, run_until, windows
from tests.warehouse.publishing import at, facts, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.project import Project
    from tallyline.schedule.due import Due
    from tallyline.sources import Options, SourceDeclaration
    from tallyline.warehouse import Cleaned, Progress, Warehouse
    from tallyline.window import Window

    Rows = Iterator[tuple[dict[str, object], dict[str, object]]]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = at("2026-07-14 10:30")
NOTHING = timedelta()
NOON = at("2026-07-14 12:00")


@pytest.fixture
def clock() -> Clock:
    """Half past ten."""
    return Clock(NOW)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of the warehouse; where two processes meet in it, tests run on both databases."""
    return f"sqlite:///{tmp_path / 'numbers.db'}"


@pytest.fixture
def warehouse(url: str, clock: Clock) -> Iterator[Warehouse]:
    """An empty warehouse."""
    with opened(url, clock) as warehouse:
        yield warehouse


def hourly(
    name: str = "numbers", work: Callable[[Window], None] = lambda _: None, **options: object
) -> SourceDeclaration:
    """Return a source that counts one for each hour, and does some work before."""

    def count(window: Window, zone: ZoneInfo) -> Rows:
        work(window)
        for hour in window.buckets(Grain.HOUR, zone):
            yield {"time": hour, "source": name}, {"numbers": 1}

    asked: dict[str, object] = {"lookback": NOTHING, "start": date(2026, 7, 14), "grain": Grain.HOUR, **options}
    return source(name=name, **asked)(count)  # type: ignore[call-overload, no-any-return]


def failing(error: Exception, *, until: datetime, clock: Clock) -> Callable[[Window], None]:
    """Return work that fails up to a moment."""

    def work(_: Window) -> None:
        if clock.now < until:
            raise error

    return work


def test_each_interval_is_read_once_it_has_ended(warehouse: Warehouse, url: str, clock: Clock) -> None:
    told = run_until(project_of(hourly()), warehouse, Waits(clock, at("2026-07-14 13:00")))
    assert windows(told) == [
        ("numbers", "2026-07-14 09:00 … 2026-07-14 10:00"),
        ("numbers", "2026-07-14 00:00 … 2026-07-14 09:00"),
        ("numbers", "2026-07-14 10:00 … 2026-07-14 11:00"),
        ("numbers", "2026-07-14 11:00 … 2026-07-14 12:00"),
    ]
    assert [run.started_at for run in reversed(warehouse.runs())][2:] == [
        at("2026-07-14 11:00:01"),
        at("2026-07-14 12:00:01"),
    ]
    assert [fact.value for fact in facts(url, "hourly")] == [1] * 12
    assert [each[0].moment for each in told.nexts] == [at(f"2026-07-14 {hour}:00") for hour in (11, 12, 13)]


def test_the_newest_of_all_sources_comes_before_what_any_has_missed(warehouse: Warehouse, clock: Clock) -> None:
    first = hourly("first", start=date(2026, 7, 1), at_once=10 * DAY)
    second = hourly("second", start=date(2026, 7, 13), schedule="@daily")
    told = run_until(project_of(first, second), warehouse, Waits(clock, at("2026-07-14 11:00")))
    assert windows(told) == [
        ("first", "2026-07-14 09:00 … 2026-07-14 10:00"),
        ("second", "2026-07-13 00:00 … 2026-07-14 00:00"),
        ("first", "2026-07-11 00:00 … 2026-07-14 09:00"),
        ("first", "2026-07-01 00:00 … 2026-07-11 00:00"),
    ]


def test_a_source_that_fails_is_tried_again_at_the_next_tick_and_keeps_no_other(
    warehouse: Warehouse, clock: Clock
) -> None:
    bad = hourly("bad", failing(Denied("no"), until=at("2026-07-14 12:00"), clock=clock), start=None)
    told = run_until(project_of(bad, hourly("good", start=None)), warehouse, Waits(clock, at("2026-07-14 13:00")))
    runs = [(run.source, run.started_at, run.state) for run in reversed(warehouse.runs())]
    assert [(at, state) for name, at, state in runs if name == "bad"] == [
        (NOW, "failed"),
        (at("2026-07-14 11:00:01"), "failed"),
        (at("2026-07-14 11:00:04"), "failed"),
        (at("2026-07-14 12:00:01"), "done"),
        (at("2026-07-14 12:00:01"), "done"),
    ]
    assert [state for name, _, state in runs if name == "good"] == ["done"] * 3
    assert [piece.state for piece in warehouse.coverage("bad")] == [Covered.FINAL]
    assert str(told.runs[0].result.error) == "count failed: no"


def test_a_service_that_is_away_is_asked_again_after_waits_that_grow(warehouse: Warehouse, clock: Clock) -> None:
    clock.now = at("2026-07-14 00:00:10")
    away = failing(Unavailable("it is away"), until=at("2026-07-14 02:00"), clock=clock)
    run_until(
        project_of(hourly(work=away, schedule="@daily", start=None)), warehouse, Waits(clock, at("2026-07-14 09:00"))
    )
    runs = list(reversed(warehouse.runs()))
    assert [run.started_at.strftime("%H:%M:%S") for run in runs] == [
        "00:00:10",
        "00:01:11",
        "00:02:23",
        "00:04:47",
        "00:09:35",
        "00:19:11",
        "00:38:23",
        "01:16:47",
        "02:16:48",
    ]
    assert [run.state for run in runs] == ["failed"] * 8 + ["done"]


def test_a_service_says_how_long_it_wants_to_be_left_alone(warehouse: Warehouse, clock: Clock) -> None:
    busy = failing(Unavailable("too many requests", wait=7 * HOUR), until=at("2026-07-14 12:00"), clock=clock)
    project = project_of(hourly(work=busy, schedule="@daily", start=None))
    told = run_until(project, warehouse, Waits(clock, at("2026-07-14 20:00")))
    assert [each[0].moment for each in told.nexts] == [NOW + 7 * HOUR, at("2026-07-15")]


def test_what_failed_before_it_was_started_is_tried_at_once_but_not_by_once(warehouse: Warehouse, clock: Clock) -> None:
    project = project_of(hourly(work=failing(Denied("no"), until=at("2026-07-14 10:40"), clock=clock), start=None))
    assert len(run_once(project, warehouse, clock).runs) == 1
    clock.now = at("2026-07-14 10:45")
    told = run_once(project, warehouse, clock)
    assert (told.runs, told.nexts[0][0].moment) == ([], at("2026-07-14 11:00"))
    assert len(run_until(project, warehouse, Waits(clock, at("2026-07-14 11:00"))).runs) == 1
    assert [run.state for run in warehouse.runs()] == ["done", "failed"]


def test_a_run_that_was_stopped_or_lost_is_due_at_once(warehouse: Warehouse, clock: Clock) -> None:
    project = project_of(hourly(start=None))
    run = warehouse.begin("numbers", window("2026-07-14 09:00", "2026-07-14 10:00"))
    warehouse.end(run, state="stopped", error="KeyboardInterrupt", report={})
    assert windows(run_once(project, warehouse, clock)) == [("numbers", "2026-07-14 09:00 … 2026-07-14 10:00")]


def test_a_source_that_is_slower_than_its_schedule_reads_the_newest_first_and_then_the_rest(
    warehouse: Warehouse, clock: Clock
) -> None:
    def work(_: Window) -> None:
        clock.turn(timedelta(minutes=150 if clock.now < at("2026-07-14 15:00") else 1))

    told = run_until(project_of(hourly(work=work, start=None)), warehouse, Waits(clock, at("2026-07-14 18:00")))
    assert windows(told) == [
        ("numbers", "2026-07-14 09:00 … 2026-07-14 10:00"),  # until 13:00
        ("numbers", "2026-07-14 12:00 … 2026-07-14 13:00"),  # until 15:30
        ("numbers", "2026-07-14 14:00 … 2026-07-14 15:00"),
        ("numbers", "2026-07-14 13:00 … 2026-07-14 14:00"),
        ("numbers", "2026-07-14 10:00 … 2026-07-14 12:00"),
        ("numbers", "2026-07-14 15:00 … 2026-07-14 16:00"),
        ("numbers", "2026-07-14 16:00 … 2026-07-14 17:00"),
    ]
    runs = list(reversed(warehouse.runs()))
    assert all(earlier.ended_at and earlier.ended_at <= later.started_at for earlier, later in pairwise(runs))


def test_an_interval_longer_than_is_read_at_once_is_read_in_parts_each_a_run(
    warehouse: Warehouse, url: str, clock: Clock
) -> None:
    weekly = hourly(schedule="@weekly", at_once=3 * DAY, start=None)
    told = run_until(project_of(weekly), warehouse, Waits(clock, at("2026-07-15")))
    assert windows(told) == [("numbers", "2026-07-06 00:00 … 2026-07-13 00:00")]
    assert [run.window for run in reversed(warehouse.runs())] == [
        window("2026-07-06", "2026-07-09"),
        window("2026-07-09", "2026-07-12"),
        window("2026-07-12", "2026-07-13"),
    ]
    assert (told.runs[0].rows, told.runs[0].result.changes.added) == (7 * 24, 7 * 24)
    assert [fact.value for fact in facts(url, "daily")] == [24] * 7


class Held:
    """Work that was begun, of which the oldest is done whenever the scheduler waits."""

    def __init__(self) -> None:
        self._works: list[Callable[[], None]] = []
        self.at_a_time: list[int] = []

    def start(self, work: Callable[[], None]) -> None:
        """Hold a work."""
        self._works.append(work)

    def __call__(self, until: datetime) -> None:
        """Do the oldest."""
        assert self._works, f"nothing is under way before {until}"
        self.at_a_time.append(len(self._works))
        self._works.pop(0)()

    def poke(self) -> None:
        """Do nothing: nobody waits."""


def test_so_many_runs_are_begun_at_a_time_and_no_more(warehouse: Warehouse, clock: Clock) -> None:
    held, told = Held(), Told()
    project = project_of(*(hourly(name, start=None) for name in "abcdef"))
    Scheduler(project, warehouse, told, clock=clock, pause=held, start=held.start, at_a_time=4).run_once()
    assert held.at_a_time == [4, 4, 4, 3, 2, 1]
    assert [run.result.error for run in told.runs] == [None] * 6


def test_missed_windows_are_begun_beside_each_other_as_the_source_says_but_never_the_newest(
    warehouse: Warehouse, clock: Clock
) -> None:
    held, told = Held(), Told()
    project = project_of(hourly(start=date(2026, 7, 9), at_once=DAY, parallel=3))
    Scheduler(project, warehouse, told, clock=clock, pause=held, start=held.start, at_a_time=8).run_once()
    assert held.at_a_time == [1, 3, 3, 3, 3, 2, 1]
    assert [run.result.error for run in told.runs] == [None] * 7


def test_the_newest_waits_for_missed_windows_that_are_under_way(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "SECONDS_TO_STOP", 0)  # what is held would not end
    held, told = Held(), Told()

    def work(_: Window) -> None:
        if len(told.runs) == 1:  # while the first missed windows are read, the schedule fires
            clock.turn(HOUR)
        if len(held.at_a_time) == 6:
            scheduler.stop()

    project = project_of(hourly(work=work, start=date(2026, 7, 10), at_once=DAY, parallel=3))
    scheduler = Scheduler(project, warehouse, told, clock=clock, pause=held, start=held.start, at_a_time=8)
    scheduler.run()
    ends = [run.result.window.until for run in told.runs if run.result.window]
    assert ends[:5] == [at("2026-07-14 10:00"), at("2026-07-14 09:00"), at("2026-07-14"), at("2026-07-13"), NOON - HOUR]
    assert held.at_a_time == [1, 3, 2, 1, 1, 2]


def test_a_snapshot_is_taken_at_each_tick(warehouse: Warehouse, url: str, clock: Clock) -> None:
    @source(name="stock", snapshot=True)
    def stock(now: datetime) -> Rows:
        yield {"time": now}, {"stock": now.hour}

    run_until(project_of(stock), warehouse, Waits(clock, at("2026-07-14 13:00")))
    assert [(fact.time[11:16], fact.value) for fact in facts(url, "hourly")] == [
        ("10:00", 10),
        ("11:00", 11),
        ("12:00", 12),
    ]


def test_what_another_process_has_read_meanwhile_is_not_read_again(warehouse_url: str, clock: Clock) -> None:
    project = project_of(hourly(start=None))
    with opened(warehouse_url, clock) as warehouse, opened(warehouse_url, clock) as another:
        job = first_job(project, warehouse, clock.now)
        assert windows(run_once(project, another, clock)) == [("numbers", "2026-07-14 09:00 … 2026-07-14 10:00")]
        ended = Work(project, warehouse, Event()).do(job)
        assert ended.is_elsewhere
        assert ended.ran is not None
        assert str(ended.ran.result.error) == "another process has just read what was due of numbers, or tried to"
        assert [run.state for run in warehouse.runs()] == ["done"]


def first_job(project: Project, warehouse: Warehouse, now: datetime) -> Job:
    """Return what a scheduler would begin with."""
    agenda = Agenda(project.source("numbers"), project.zone, project.retention, datetime.min.replace(tzinfo=UTC), now)
    agenda.look(warehouse, now)
    job = agenda.next_job(now)
    assert job is not None
    return job


def test_what_another_process_has_failed_to_read_meanwhile_is_not_tried_again(warehouse_url: str, clock: Clock) -> None:
    project = project_of(hourly(work=failing(Denied("no"), until=at("2026-07-14 11:00"), clock=clock), start=None))
    with opened(warehouse_url, clock) as warehouse, opened(warehouse_url, clock) as another:
        job = first_job(project, warehouse, clock.now)
        run_once(project, another, clock)
        assert Work(project, warehouse, Event()).do(job).is_elsewhere
        assert [run.state for run in warehouse.runs()] == ["failed"]


def test_a_fault_in_what_is_due_of_one_source_keeps_no_other(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(options: Options, *rest: object) -> list[Due]:
        if options.schedule == "@daily":
            msg = "a fault of ours"
            raise LookupError(msg)
        return due(options, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("tallyline.schedule.agenda.due", broken)
    project = project_of(hourly("broken", schedule="@daily"), hourly("good", start=None))
    told = run_until(project, warehouse, Waits(clock, at("2026-07-14 11:00")))
    assert windows(told) == [("good", "2026-07-14 09:00 … 2026-07-14 10:00")]
    assert told.troubles[:2] == ["a fault of ours until 10:31:00", "a fault of ours until 10:32:01"]
    with pytest.raises(LookupError):
        run_once(project, warehouse, clock)


def test_nothing_to_read_is_waited_for(warehouse: Warehouse, clock: Clock) -> None:
    told = run_until(project_of(), warehouse, Waits(clock, at("2026-07-14 11:00")))
    assert (told.runs, told.nexts) == ([], [[]])


# cleaning


def kept(**spans: timedelta) -> Retention:
    return Retention(**spans)


def test_what_was_kept_long_enough_is_removed_once_a_day_after_what_is_due(
    warehouse: Warehouse, url: str, clock: Clock
) -> None:
    project = project_of(hourly(start=date(2026, 7, 1)), retention=kept(hours=3 * DAY))
    told = run_until(project, warehouse, Waits(clock, at("2026-07-16 02:00")))
    removed = [cleaned if isinstance(cleaned, Exception) else cleaned.hours for _, cleaned in told.cleanings]
    assert removed == [10 * 24, 24, 24]  # at once, and after the two midnights
    assert min(fact.time for fact in facts(url, "hourly")) == "2026-07-13T00:00:00+00:00"
    assert sum(fact.value for fact in facts(url, "daily")) == 15 * 24 + 1
    again = run_until(project, warehouse, Waits(clock, at("2026-07-16 12:00")))
    assert again.cleanings == []


def test_what_was_missed_is_read_as_whole_days_where_the_hours_beside_it_were_cleaned_away(
    warehouse: Warehouse, url: str, clock: Clock
) -> None:
    project = project_of(hourly(start=date(2026, 7, 1)), retention=kept(hours=3 * DAY))
    numbers = project.source("numbers")
    for since, until in (("2026-07-01", "2026-07-05 14:00"), ("2026-07-08 09:00", "2026-07-14 10:00")):
        read_source(project, numbers, warehouse, window(since, until), now=clock.now, write=True)
    warehouse.clean("numbers", project.retention, write=True)
    told = run_until(project, warehouse, Waits(clock, at("2026-07-14 12:00")))
    assert windows(told)[0] == ("numbers", "2026-07-05 00:00 … 2026-07-09 00:00")
    assert all(run.result.error is None for run in told.runs)
    assert [fact.value for fact in facts(url, "daily")] == [24] * 13 + [11]


def test_cleaning_that_fails_is_told_and_tried_the_next_day(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clean(*_: object, **__: object) -> None:
        msg = "the warehouse refused: no"
        raise RunFailed(msg)

    monkeypatch.setattr(warehouse, "clean", clean)
    project = project_of(hourly(start=None), retention=kept(hours=3 * DAY))
    told = run_until(project, warehouse, Waits(clock, at("2026-07-16 02:00")))
    assert [str(cleaned) for _, cleaned in told.cleanings] == ["the warehouse refused: no"] * 3


def test_a_source_that_another_process_reads_is_cleaned_later(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = warehouse.clean

    def at_work(source: str, retention: Retention, *, write: bool) -> Cleaned:
        if clock.now < at("2026-07-14 10:31"):
            msg = "it is being read already"
            raise AtWork(msg)
        return clean(source, retention, write=write)

    monkeypatch.setattr(warehouse, "clean", at_work)
    project = project_of(hourly(start=None), retention=kept(hours=3 * DAY))
    assert run_once(project, warehouse, clock).cleanings == []
    told = run_until(project, warehouse, Waits(clock, at("2026-07-14 11:00")))
    assert [type(cleaned).__name__ for _, cleaned in told.cleanings] == ["Cleaned"]


# a warehouse that is away


def test_a_warehouse_that_is_away_is_told_and_waited_for(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = warehouse.progress

    def away(source: str, since: datetime) -> Progress:
        if at("2026-07-14 11:00") < clock.now < at("2026-07-14 11:01"):
            msg = "the warehouse refused: connection failed"
            raise Unavailable(msg)
        return progress(source, since)

    monkeypatch.setattr(warehouse, "progress", away)
    told = run_until(project_of(hourly(start=None)), warehouse, Waits(clock, at("2026-07-14 12:00")))
    assert windows(told) == [
        ("numbers", "2026-07-14 09:00 … 2026-07-14 10:00"),
        ("numbers", "2026-07-14 10:00 … 2026-07-14 11:00"),
    ]
    refused = "the warehouse refused: connection failed until 11:0"
    assert told.troubles == [*(f"{refused}{at}" for at in ("0:06", "0:17", "0:33", "0:54", "1:20")), "over"]


def test_once_ends_where_the_warehouse_is_away(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Progress:
        msg = "the warehouse refused: connection failed"
        raise Unavailable(msg)

    monkeypatch.setattr(warehouse, "progress", away)
    with pytest.raises(Unavailable):
        run_once(project_of(hourly()), warehouse, clock)
