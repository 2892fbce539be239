"""What is done beside the scheduler: a window is read, a source is cleaned."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallyline.errors import AtWork
from tallyline.runner import ReadResult, read_in_parts
from tallyline.schedule.agenda import cleaned_key
from tallyline.schedule.telling import Ran

if TYPE_CHECKING:
    from threading import Event

    from tallyline.graph import Report
    from tallyline.project import Project
    from tallyline.schedule.agenda import Job
    from tallyline.warehouse import Cleaned, Warehouse
    from tallyline.window import Window

__all__ = ["Ended", "Work"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended: the run, or what was cleaned, or why that was not."""

    job: Job
    ran: Ran | None = None
    cleaned: Cleaned | Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether it did what it was to do."""
        return not isinstance(self._error, Exception)

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process is at it."""
        return isinstance(self._error, AtWork)

    @property
    def _error(self) -> object:
        return self.ran.result.error if self.ran else self.cleaned


class Work:
    """Does jobs, in any thread, until it is to stop."""

    def __init__(self, project: Project, warehouse: Warehouse, stopping: Event) -> None:
        """Take the project, where its numbers go, and what says that all is to end."""
        self._project, self._warehouse, self._stopping = project, warehouse, stopping

    def do(self, job: Job) -> Ended:
        """Do a job; whatever happens, it ends."""
        if job.due is None:
            return Ended(job, cleaned=self._cleaned(job))
        return Ended(job, self._ran(job, job.due.window))

    def _ran(self, job: Job, window: Window) -> Ran:
        began = time.monotonic()
        try:
            result = read_in_parts(
                self._project,
                job.source,
                self._warehouse,
                window,
                now=job.now,
                write=True,
                observe=self._watch,
                wanted=job.wanted,
            )
        except Exception as error:  # noqa: BLE001  # a fault of ours is that of one run, too
            result = ReadResult(job.source.name, window, error=error)
        except BaseException:  # noqa: BLE001  # it was to stop
            return Ran(ReadResult(job.source.name, window), time.monotonic() - began, stopped=True)
        return Ran(result, time.monotonic() - began)

    def _watch(self, _: Report) -> None:
        if self._stopping.is_set():  # raised where the run is waited for, this ends it as Ctrl-C would
            raise KeyboardInterrupt

    def _cleaned(self, job: Job) -> Cleaned | Exception:
        name = job.source.name
        try:
            cleaned = self._warehouse.clean(name, self._project.retention, write=True)
            self._warehouse.remember(cleaned_key(job.source), job.now.isoformat())
        except Exception as error:  # noqa: BLE001  # it is told
            return error
        return cleaned
