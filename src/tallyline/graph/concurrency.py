"""Work on several rows at a time, in threads or in the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from tallyline.graph.event_loop import awaited
from tallyline.graph.report import State
from tallyline.graph.step import LEFT_OUT, gathered, is_asynchronous, pause_before_retry
from tallyline.graph.traffic import Stopped, Unwanted

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from concurrent.futures import Future

    from tallyline.graph.event_loop import EventLoop
    from tallyline.graph.step import Step
    from tallyline.graph.traffic import Inbox

__all__ = ["run_concurrent"]

ASYNC_CONCURRENCY = 16
LOOK_FOR_OVERDUE = 0.05


def run_concurrent(step: Step, inbox: Inbox, loop: EventLoop) -> None:
    """Work on several rows at a time, in threads or in the event loop; what is ready is handed on at once."""
    step.counts.state = State.RUNNING
    crew = _Tasks(step, inbox, loop) if is_asynchronous(step.call) else _Workers(step, inbox)
    try:
        with contextlib.suppress(Unwanted):
            _Concurrent(step, inbox, crew).run()
        inbox.close()
    except BaseException as error:
        step.traffic.stop(error)  # so that the crew begins nothing more, and pauses no longer
        raise
    finally:
        crew.close()


@dataclass(slots=True)
class _Job:
    row: object
    began: float | None = None
    worker: threading.Thread | None = None
    took: float = 0.0
    answer: object = LEFT_OUT
    error: BaseException | None = None
    is_done: bool = False

    def is_overdue(self, timeout: float | None) -> bool:
        return timeout is not None and self.began is not None and time.monotonic() - self.began > timeout


class _Crew(Protocol):
    def submit(self, job: _Job) -> None: ...
    def abandon(self, job: _Job) -> None: ...
    def close(self) -> None: ...


class _Concurrent:
    def __init__(self, step: Step, inbox: Inbox, crew: _Crew) -> None:
        self._step = step
        self._inbox = inbox
        self._crew = crew
        self._most = step.node.concurrency or ASYNC_CONCURRENCY
        self._rows: deque[object] = deque()
        self._jobs: deque[_Job] = deque()

    def run(self) -> None:
        look = LOOK_FOR_OVERDUE if self._step.node.timeout else math.inf
        while True:
            self._hand_on_ready()
            while self._rows and len(self._jobs) < self._most:
                self._submit(self._rows.popleft())
            if self._wants_rows and (batch := self._inbox.get_if_any()):
                self._rows.extend(batch)
                continue
            if self._is_over:
                return
            self._inbox.wait(self._step.counts, self._can_go_on, look)

    @property
    def _wants_rows(self) -> bool:
        return not self._rows and len(self._jobs) < self._most

    @property
    def _is_over(self) -> bool:
        return self._inbox.ended and not self._rows and not self._jobs

    def _can_go_on(self) -> bool:
        return self._has_ready() or self._is_over or (self._wants_rows and not self._inbox.is_empty)

    def _submit(self, row: object) -> None:
        job = _Job(row)
        self._jobs.append(job)
        self._crew.submit(job)

    def _has_ready(self) -> bool:
        looked_at = islice(self._jobs, 1 if self._step.node.ordered else None)
        return any(job.is_done or job.is_overdue(self._step.node.timeout) for job in looked_at)

    def _hand_on_ready(self) -> None:
        ready = list(self._take_ready())
        for job in ready:
            self._step.counts.rows_in += 1
            self._step.counts.seconds += job.took
            if job.error is not None:
                self._step.failed(job.row, job.error)
        self._step.give([job.row for job in ready], [job.answer for job in ready])

    def _take_ready(self) -> Iterator[_Job]:
        waiting = deque[_Job]()
        while self._jobs:
            job = self._jobs.popleft()
            if not job.is_done and job.is_overdue(self._step.node.timeout):
                self._crew.abandon(job)
                job = _Job(job.row, error=_overdue(self._step))
                job.is_done = True
            if job.is_done:
                yield job
            else:
                waiting.append(job)
                if self._step.node.ordered:
                    break
        self._jobs.extendleft(reversed(waiting))


class _Workers:
    """Threads that call the node."""

    def __init__(self, step: Step, inbox: Inbox) -> None:
        self._step = step
        self._inbox = inbox
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._left_behind: set[threading.Thread | None] = set()
        for _ in range(step.node.concurrency or 1):
            self._hire()

    def submit(self, job: _Job) -> None:
        self._jobs.put(job)

    def abandon(self, job: _Job) -> None:
        self._left_behind.add(job.worker)
        self._hire()

    def close(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        timeout, began = self._step.node.timeout, time.monotonic()
        for thread in self._threads:
            if thread not in self._left_behind:
                thread.join(None if timeout is None else max(began + timeout - time.monotonic(), 0))

    def _hire(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._step.counts.name} worker", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        worker = threading.current_thread()
        while (job := self._jobs.get()) is not None:
            if self._step.traffic.stopping:
                return
            job.worker, job.began = worker, time.monotonic()
            try:
                job.answer = gathered(self._step.call(job.row), self._step.traffic)
            except Stopped:
                return
            except BaseException as error:  # noqa: BLE001  # it is raised where the job is waited for
                job.error = error
            job.took = time.monotonic() - job.began
            job.is_done = True
            self._step.traffic.poke()


class _Tasks:
    """Tasks in the event loop."""

    def __init__(self, step: Step, inbox: Inbox, loop: EventLoop) -> None:
        self._step = step
        self._inbox = inbox
        self._loop = loop
        self._futures: set[Future[object]] = set()

    def submit(self, job: _Job) -> None:
        future = self._loop.submit(self._work(job))
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def abandon(self, job: _Job) -> None:
        """Nothing is left behind: a task that is overdue was cancelled."""

    def close(self) -> None:
        for future in list(self._futures):
            future.cancel()

    async def _work(self, job: _Job) -> None:
        began = time.monotonic()
        try:
            job.answer = await self._in_time(self._tried(job.row))
        except asyncio.CancelledError:  # by its own doing, or because nobody waits for it any more
            job.error = RuntimeError("it was cancelled")
        except BaseException as error:  # noqa: BLE001  # it is raised where the job is waited for
            job.error = error
        job.took = time.monotonic() - began
        job.is_done = True
        self._step.traffic.poke()

    async def _tried(self, row: object) -> object:
        node = self._step.node
        for attempt in range(node.retry):
            try:
                return await awaited(self._step.call(row))
            except Exception:  # noqa: BLE001  # the last try's error counts
                await asyncio.sleep(pause_before_retry(attempt))
        return await awaited(self._step.call(row))

    async def _in_time(self, work: Coroutine[object, object, object]) -> object:
        try:
            async with asyncio.timeout(self._step.node.timeout) as limit:
                return await work
        except TimeoutError:
            if not limit.expired():
                raise
            raise _overdue(self._step) from None


def _overdue(step: Step) -> TimeoutError:
    return TimeoutError(f"it took longer than {step.node.timeout:g} s")
