"""Batches on their way between the threads of a run: bounded, in order, and never stuck.

Every inbox takes a batch when it is empty, whatever the limits, and the thread behind it takes whatever comes, in the
order in which it comes. So the last thread in the order of the graph always gets on; then the one before it does, and
so on: a graph has no cycle, hence nobody waits for ever. When the run stops, every wait ends at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallyline.graph.report import NodeReport
    from tallyline.graph.step import Batch

__all__ = ["Inbox", "Stopped", "Traffic", "Unwanted"]

T = TypeVar("T")

_LOOK_FOR_SIGNALS = 0.5


class Stopped(BaseException):
    """The run stops: raised in threads that wait, and only within the engine."""


class Unwanted(BaseException):
    """Nobody takes what this thread gives any more: raised towards its head, and only within the engine."""


class Traffic:
    """What the threads of a run share: a lock, how many rows are under way, and whether to stop."""

    def __init__(self, *, most_rows: int, most_rows_overall: int) -> None:
        self.changed = threading.Condition()
        self.most_rows = most_rows
        self.most_rows_overall = most_rows_overall
        self.rows = 0
        self.failure: BaseException | None = None
        self._stopping = False
        self._underway: dict[int, list[Any]] = {}

    @property
    def stopping(self) -> bool:
        """Whether the run is to end early."""
        return self._stopping

    def check(self) -> None:
        """Raise Stopped where the run stops."""
        if self._stopping:
            raise Stopped

    def stop(self, failure: BaseException | None = None) -> None:
        """End the run early; the first failure is kept."""
        with self.changed:
            if not self._stopping:
                self.failure = failure
            self._stopping = True
            self.changed.notify_all()
        for rows in list(self._underway.values()):
            rows.clear()

    def underway(self, worker: object, rows: list[T]) -> list[T]:
        """Return the list that a worker is about to iterate over; where the run stops it is emptied, which ends that.

        So a loop in C, which does not look whether to stop, ends with the call that it is in.
        """
        self._underway[id(worker)] = rows
        self.check()
        return rows

    def poke(self) -> None:
        """Let whoever waits look again."""
        with self.changed:
            self.changed.notify_all()

    def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Wait until something is true or the run stops."""
        with self.changed:
            self.wait(is_true)

    def pause(self, seconds: float) -> None:
        """Wait so long; raises Stopped where the run stops meanwhile."""
        with self.changed:
            self.wait(lambda: False, seconds)
            self.check()

    def wait(self, is_true: Callable[[], bool], seconds: float = math.inf) -> None:
        """Wait, as who holds the lock, until something is true, the run stops, or so many seconds have gone by.

        A signal ends no wait where a package has taken Ctrl-C over (Polars does), so the wait ends by itself now and
        then: in between, Python takes it in.
        """
        deadline = time.monotonic() + seconds
        while not (is_true() or self._stopping) and (left := deadline - time.monotonic()) > 0:
            self.changed.wait(min(left, _LOOK_FOR_SIGNALS))


class Inbox:
    """Batches for one thread, from any number of feeders."""

    def __init__(self, traffic: Traffic, feeders: int) -> None:
        self._traffic = traffic
        self._feeders = feeders
        self._batches: deque[Batch] = deque()
        self._rows = 0
        self._closed = False

    def put(self, batch: Batch, counts: NodeReport) -> None:
        """Add a batch, after waiting for room; the wait is the feeder's."""
        traffic = self._traffic
        with traffic.changed:
            if not self._has_room():
                began = time.perf_counter()
                traffic.wait(self._has_room)
                counts.waiting += time.perf_counter() - began
            if traffic.stopping:
                raise Stopped
            if self._closed:
                raise Unwanted
            self._batches.append(batch)
            self._rows += len(batch)
            traffic.rows += len(batch)
            traffic.changed.notify_all()

    def get(self, counts: NodeReport) -> Batch | None:
        """Take the next batch, after waiting for one; None where all feeders have ended."""
        self.wait(counts, lambda: bool(self._batches) or self.ended)
        return self.get_if_any()

    def get_if_any(self) -> Batch | None:
        """Take the next batch if there is one."""
        with self._traffic.changed:
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._rows -= len(batch)
            self._traffic.rows -= len(batch)
            self._traffic.changed.notify_all()
            return batch

    def wait(self, counts: NodeReport, until: Callable[[], bool], seconds: float = math.inf) -> None:
        """Wait until something is true, or so many seconds; raises Stopped where the run stops."""
        traffic = self._traffic
        with traffic.changed:
            if not (until() or traffic.stopping):
                began = time.perf_counter()
                traffic.wait(until, seconds)
                counts.waiting += time.perf_counter() - began
            if traffic.stopping:
                raise Stopped

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there now."""
        return not self._batches

    @property
    def ended(self) -> bool:
        """Whether nothing is there and nothing will come."""
        return not self._feeders and not self._batches

    def feeder_ended(self) -> None:
        """Note that one feeder will give nothing more."""
        with self._traffic.changed:
            self._feeders -= 1
            self._traffic.changed.notify_all()

    def close(self) -> None:
        """Take nothing more: drop what is there and what is yet to come."""
        with self._traffic.changed:
            self._closed = True
            self._traffic.rows -= self._rows
            self._batches.clear()
            self._rows = 0
            self._traffic.changed.notify_all()

    def _has_room(self) -> bool:
        if self._closed or not self._batches:
            return True
        return self._rows < self._traffic.most_rows and self._traffic.rows < self._traffic.most_rows_overall
