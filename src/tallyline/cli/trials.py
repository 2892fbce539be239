"""Trying several things at a time, each for itself and for so long at most; what is left behind holds nothing up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Semaphore, Thread
from typing import TYPE_CHECKING

from tallyline.errors import NodeFailed, Refused, TallylineError
from tallyline.secret import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Check", "State", "Tell", "Waits", "Work", "tried"]

Tell = Callable[[str], None]
Work = Callable[[Tell], None]

AT_A_TIME = 8


class State(StrEnum):
    """How a check ended: it works, it does not, it is configured wrongly, or it was not tried."""

    WORKS = "works"
    FAILED = "failed"
    WRONG = "wrong"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Check:
    """What was tried of something: a line for each thing that works, then why it went no further."""

    name: str
    state: State
    works: Sequence[str] = ()
    error: str = ""


class Waits(Exception):
    """Something was not tried, because of what it says."""


def tried(work: Mapping[str, Work], seconds: float) -> Iterator[Check]:
    """Yield how each ended, in order, while those after it are under way; what takes too long is left behind."""
    turns = Semaphore(AT_A_TIME)
    trials = [_Trial(name, each, turns) for name, each in work.items()]
    for trial in trials:
        trial.thread.start()
    for trial in trials:
        yield trial.ended(seconds)


class _Trial:
    def __init__(self, name: str, work: Work, turns: Semaphore) -> None:
        self.thread = Thread(target=self._run, name=f"check {name}", daemon=True)
        self._name = name
        self._work = work
        self._turns = turns
        self._works: list[str] = []
        self._error: BaseException | None = None
        self._began = Event()
        self._done = Event()
        self._at = 0.0

    def ended(self, seconds: float) -> Check:
        self._began.wait()
        if not self._done.wait(max(self._at + seconds - time.monotonic(), 0)):
            self._turns.release()
            return Check(self._name, State.FAILED, list(self._works), f"did not end within {seconds:g} s")
        return _judged(self._name, self._works, self._error)

    def _run(self) -> None:
        self._turns.acquire()
        self._at = time.monotonic()
        self._began.set()
        try:
            self._work(lambda line: self._works.append(masked(line)))
        except BaseException as error:  # noqa: BLE001  # whatever is wrong with it is what is asked
            self._error = error
        self._done.set()
        self._turns.release()


def _judged(name: str, works: Sequence[str], error: BaseException | None) -> Check:
    cause = error.__cause__ if isinstance(error, NodeFailed) and isinstance(error.__cause__, TallylineError) else error
    match cause:
        case None:
            return Check(name, State.WORKS, works)
        case Waits():
            return Check(name, State.NOT_TRIED, works, f"waits for {cause}")
        case TallylineError():
            return Check(name, State.WRONG if isinstance(cause, Refused) else State.FAILED, works, masked(str(cause)))
        case _:
            return Check(name, State.FAILED, works, masked(f"{type(cause).__name__}: {cause}"))
