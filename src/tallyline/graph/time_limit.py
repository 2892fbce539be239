"""Runs that can be ended from outside, at a time limit or because who observes them raises, even where they hang.

It ends where it reports next. Where it does not come to that, in a loop or a call that waits, it is ended by force: in
the main thread by an alarm, wherever it is, as Ctrl-C would. Any other thread cannot be reached in a call that waits.
So it only waits for the run, which has a thread of its own, and which is left behind where it does not end: whatever it
gives then, nobody takes.
"""

from __future__ import annotations

import contextvars
import ctypes
import signal
import threading
import time
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from tallyline.errors import OverTime
from tallyline.graph.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import FrameType

    Observe = Callable[[Report], None]

__all__ = ["in_time"]

T = TypeVar("T")

LOOK_EVERY = 0.1
SECONDS_TO_REPORT = 1.0
GRACE_SECONDS = 5.0
_TO_REACH_IT = 0.05


def in_time(work: Callable[[Observe], T], observe: Observe, longest: timedelta | None, too_long: str) -> T:
    """Do work that reports to an observer, and return what it gives.

    Raises OverTime, saying that it was `too_long`, after the `longest` time that it may take. Raises what `observe`
    raises, which is called every now and then; from another thread than the main one, whatever the work does.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        return _Apart(work).result(observe, longest, too_long)
    if longest is None or signal.getitimer(signal.ITIMER_REAL)[0]:  # somebody else has set the alarm
        return work(observe)
    return _Here(work).result(observe, longest, too_long)


class _Alarm(BaseException):
    """The time is up: raised in the main thread."""


class _Here(Generic[T]):
    """Work in the main thread."""

    def __init__(self, work: Callable[[Observe], T]) -> None:
        self._work = work
        self._is_to_end = False

    def result(self, observe: Observe, longest: timedelta, too_long: str) -> T:
        """Return what it gives."""

        def watch(report: Report) -> None:
            if self._is_to_end:
                _raise_alarm()
            observe(report)

        before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, longest.total_seconds(), SECONDS_TO_REPORT)
        try:
            return self._work(watch)
        except _Alarm:
            raise OverTime(too_long) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_to_end:
            _raise_alarm()
        self._is_to_end = True


def _raise_alarm() -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS, GRACE_SECONDS)
    raise _Alarm


class _Apart(Generic[T]):
    """Work in a thread of its own."""

    def __init__(self, work: Callable[[Observe], T]) -> None:
        self._work = work
        self._latest = Report()
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._is_to_end = False
        self._ended = threading.Event()
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._do,), name="run", daemon=True)

    def result(self, observe: Observe, longest: timedelta | None, too_long: str) -> T:
        """Wait for what it gives."""
        deadline = float("inf") if longest is None else time.monotonic() + longest.total_seconds()
        self._thread.start()
        try:
            while not self._ended.wait(min(LOOK_EVERY, max(deadline - time.monotonic(), 0))):
                observe(self._latest)
                _check(deadline, too_long)
            observe(self._latest)
        except BaseException:
            self._end()
            raise
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _do(self) -> None:
        try:
            self._results.append(self._work(self._watch))
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            self._error = error
        finally:
            self._ended.set()

    def _watch(self, report: Report) -> None:
        self._latest = report
        if self._is_to_end:
            raise SystemExit

    def _end(self) -> None:
        """End the thread where it reports next; where it does not, wherever it runs Python, or else leave it behind."""
        self._is_to_end = True
        if not self._ended.wait(SECONDS_TO_REPORT) and self._thread.ident is not None:
            _exit_where_it_runs(self._thread.ident)
        self._ended.wait(GRACE_SECONDS)


class _TakenBack(BaseException):
    """Raised in the thread that asks for it, and nowhere else."""


def _exit_where_it_runs(thread: int) -> None:
    """Raise SystemExit in a thread, and take it back where the thread runs no Python that it could meet.

    As long as an exception is on its way, Python 3.11 lets no thread that is traced (by a debugger, or for coverage)
    enter a function. So nothing in here calls Python. That one was taken back, it notices only when another one has
    arrived: hence the one that this thread raises in itself.
    """
    raise_in, wait = ctypes.pythonapi.PyThreadState_SetAsyncExc, time.sleep
    other, this = ctypes.c_ulong(thread), ctypes.c_ulong(threading.get_ident())
    ends, taken_back, nothing = ctypes.py_object(SystemExit), ctypes.py_object(_TakenBack), ctypes.py_object()
    raise_in(other, ends)
    wait(_TO_REACH_IT)
    raise_in(other, nothing)
    try:  # suppress() is Python
        raise_in(this, taken_back)
        wait(0)
    except _TakenBack:
        pass


def _check(deadline: float, too_long: str) -> None:
    if time.monotonic() >= deadline:
        raise OverTime(too_long)
