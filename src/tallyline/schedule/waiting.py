"""Waiting until a moment by the clock on the wall, or until something happens."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from tallyline.window import Clock, utc_now

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Pause", "Waiting"]

_LONGEST_SECONDS = 60.0


class Waiting(Protocol):
    """How the scheduler waits."""

    def __call__(self, until: datetime) -> None:
        """Wait until a moment, or until it is poked."""

    def poke(self) -> None:
        """End the wait, or the next one."""


class Pause:
    """Waits as long as it takes; a clock that is put forward, or a machine that slept, is noticed within a minute."""

    def __init__(self, clock: Clock = utc_now) -> None:
        """Take the clock."""
        self._clock = clock
        self._poked = threading.Event()

    def __call__(self, until: datetime) -> None:
        """Wait until a moment, or until it is poked."""
        while (left := (until - self._clock()).total_seconds()) > 0:
            if self._poked.wait(min(left, _LONGEST_SECONDS)):
                break
        self._poked.clear()

    def poke(self) -> None:
        """End the wait, or the next one."""
        self._poked.set()
