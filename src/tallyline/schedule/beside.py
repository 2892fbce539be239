"""The scheduler in a thread of its own, beside whatever the main thread does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tallyline.schedule.scheduler import SECONDS_TO_STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallyline.schedule.scheduler import Scheduler

__all__ = ["Beside"]

LOOK_FOR_SIGNALS = 0.5
_TO_SAY_SO = 5.0


class Beside:
    """Lets a scheduler work beside the thread that starts it, where no signal meets it half-way."""

    def __init__(self, scheduler: Scheduler, *, once: bool = False) -> None:
        """Take the scheduler, which is to run until it is stopped, or `once`."""
        self._scheduler = scheduler
        self._work: Callable[[], None] = scheduler.run_once if once else scheduler.run
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until it has ended; raises what ended it."""
        while not self._ended.wait(LOOK_FOR_SIGNALS):
            pass  # a signal that another thread was given is taken in between
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it in bounded time: what is under way is not written."""
        if self._thread.ident is not None:
            self._scheduler.stop()
            self._ended.wait(SECONDS_TO_STOP + _TO_SAY_SO)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            self._error = error
        finally:
            self._ended.set()
