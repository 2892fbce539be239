"""The embedded scheduler: one process that runs what is due, several sources at a time, none of them twice.

It keeps nothing that would be lost with it: what is due follows from the warehouse, and so does when to try again. A
run begins only if it is still due once no other process can read its source, so several may work on one warehouse.
"""

from __future__ import annotations

import queue
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from tallyline.errors import TallylineError
from tallyline.schedule.agenda import Agenda
from tallyline.schedule.telling import Next
from tallyline.schedule.waiting import Pause
from tallyline.schedule.work import Ended, Work
from tallyline.window import Clock, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallyline.project import Project
    from tallyline.schedule.agenda import Job
    from tallyline.schedule.telling import Teller
    from tallyline.schedule.waiting import Waiting
    from tallyline.warehouse import Warehouse

__all__ = ["AT_A_TIME", "Scheduler"]

AT_A_TIME = 4
SECONDS_TO_STOP = 20.0
_FIRST_REST, _LONGEST_REST = timedelta(seconds=5), timedelta(minutes=1)
_LONG = timedelta(days=1)
_EVER = datetime.min.replace(tzinfo=UTC)


class Scheduler:
    """Runs what is due of a project's sources: `run` until it is stopped, `run_once` only what is due now.

    The clock and how to wait are handed in, and so is how to `start` the work that is done beside: by default, in a
    thread for each run. Its methods are called by one thread, but for `stop`.
    """

    def __init__(
        self,
        project: Project,
        warehouse: Warehouse,
        teller: Teller,
        *,
        clock: Clock = utc_now,
        pause: Waiting | None = None,
        start: Callable[[Callable[[], None]], None] | None = None,
        at_a_time: int = AT_A_TIME,
    ) -> None:
        """Take the project, where its numbers go, and who is told of it."""
        self._project, self._warehouse, self._teller = project, warehouse, teller
        self._clock = clock
        self._pause = pause or Pause(clock)
        self._start = start or _in_a_thread
        self._at_a_time = at_a_time
        self._agendas: dict[str, Agenda] = {}
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._work = Work(project, warehouse, self._stopping)
        self._troubles = 0
        self._has_news = True

    def run(self) -> None:
        """Run what is due until it is stopped. What failed before is tried again at once."""
        self._make_agendas(self._clock(), once=False)
        try:
            while not self._stopping.is_set():
                self._pause(self._go_on())
        finally:
            self._stop_all()

    def run_once(self) -> None:
        """Run what is due at this moment, each window once. Raises what keeps it from going on."""
        moment = self._clock()
        self._clock = lambda: moment
        self._make_agendas(_EVER, once=True)
        try:
            self._begin_all()
            while self._under_way:
                self._pause(moment + _LONG)
                self._begin_all()
            self._tell_what_is_next()
        finally:
            self._stop_all()

    def stop(self) -> None:
        """End soon: what is under way is not written. `run` returns once it has ended, in bounded time."""
        self._stopping.set()
        self._pause.poke()

    @property
    def _under_way(self) -> int:
        return sum(len(agenda.under_way) for agenda in self._agendas.values())

    def _make_agendas(self, since: datetime, *, once: bool) -> None:
        zone, retention, now = self._project.zone, self._project.retention, self._clock()
        for name, source in self._project.sources.items():
            self._agendas[name] = Agenda(source, zone, retention, since, now, once)

    def _go_on(self) -> datetime:
        """Begin what can begin, and return until when to wait; whatever goes wrong, there is a next time."""
        try:
            self._begin_all()
        except TallylineError as error:
            until = self._clock() + min(_FIRST_REST * (1 + self._troubles), _LONGEST_REST)
            self._troubles += 1
            self._teller.troubled(error, until)
            return until
        if self._troubles:
            self._troubles = 0
            self._teller.recovered()
        self._tell_what_is_next()
        coming = self._coming()
        return coming[0].moment if coming else self._clock() + _LONG

    def _begin_all(self) -> None:
        while (job := self._next_job()) is not None:
            self._agendas[job.source.name].begin(job)
            self._start(partial(self._do, job))

    def _next_job(self) -> Job | None:
        self._take_in()
        now = self._clock()
        for agenda in self._agendas.values():
            if agenda.look_at <= now:
                self._look(agenda, now)
        if self._stopping.is_set() or self._under_way >= self._at_a_time:
            return None
        jobs = [job for agenda in self._agendas.values() if (job := agenda.next_job(now)) is not None]
        return min(jobs, key=lambda job: job.urgency, default=None)

    def _look(self, agenda: Agenda, now: datetime) -> None:
        """Look what is due of a source; a fault of ours in it does not keep the others."""
        try:
            agenda.look(self._warehouse, now)
        except TallylineError:
            raise
        except Exception as error:
            if agenda.once:
                raise
            agenda.postpone(now + _LONGEST_REST)
            self._teller.troubled(error, agenda.look_at)

    def _do(self, job: Job) -> None:
        self._ended.put(self._work.do(job))
        self._pause.poke()

    def _take_in(self) -> None:
        while not self._ended.empty():
            self._take(self._ended.get())

    def _take(self, ended: Ended) -> None:
        agenda, job, now = self._agendas[ended.job.source.name], ended.job, self._clock()
        agenda.end(job, now, done=ended.is_done, elsewhere=ended.is_elsewhere)
        self._has_news = True
        if ended.ran is not None:
            self._teller.ran(ended.ran)
        elif not ended.is_elsewhere and ended.cleaned is not None:
            self._teller.cleaned(job.source.name, ended.cleaned)

    def _tell_what_is_next(self) -> None:
        if self._has_news and not self._under_way:
            self._has_news = False
            self._teller.waits(self._coming())

    def _coming(self) -> list[Next]:
        now = self._clock()
        coming = [Next(agenda.goes_on_at(now), name) for name, agenda in self._agendas.items()]
        return sorted(coming, key=lambda each: each.moment)

    def _stop_all(self) -> None:
        """End what is under way; what cannot be ended in time is left behind, and writes nothing any more."""
        self._stopping.set()
        deadline = time.monotonic() + SECONDS_TO_STOP
        while self._under_way and (left := deadline - time.monotonic()) > 0:
            try:
                self._take(self._ended.get(timeout=left))
            except queue.Empty:
                return


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="scheduled run", daemon=True).start()
