"""No test of the engine may hang, and none has to wait: the clock is turned by hand."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

LIMIT = 60


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    """Fail a test that hangs, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def too_late(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"the graph did not come to its end in {LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@dataclass
class Clock:
    """The clock of runs, which stands still until it is turned."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which runs measure, in this test's hands."""
    hands = Clock()
    monkeypatch.setattr(time, "perf_counter", hands)
    return hands
