"""A source as the warehouse would know it, without one: how far it is after each run that was done, failed or lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from tallyline.plan import Points
from tallyline.schedule.due import due, newest_tick
from tallyline.warehouse import Failure, Progress, Reading
from tallyline.warehouse.coverage import after_failure, after_read
from tallyline.window import start_of_day

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from tallyline.schedule.due import Due
    from tallyline.sources import Options
    from tallyline.warehouse import Coverage
    from tallyline.window import Window


@dataclass
class Memory:
    """What is known of one source, and which windows were read when, those that failed left out."""

    options: Options
    zone: ZoneInfo
    coverage: list[Coverage] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    reads: list[tuple[datetime, Window]] = field(default_factory=list)
    runs: int = 0

    def progress(self, now: datetime) -> Progress:
        """Return how far it is, with what failed since the newest tick."""
        tick = newest_tick(self.options, now, self.zone)
        return Progress(self.coverage, [each for each in self.failures if tick is None or each.began_at >= tick])

    def due(self, now: datetime) -> list[Due]:
        """Return what is due."""
        return due(self.options, self.progress(now), now, self.zone)

    def read(self, window: Window, now: datetime) -> None:
        """Read a window, as a run that began at a moment."""
        self.runs += 1
        options, start = self.options, self.options.start
        tells_all = start is not None and window.since <= start_of_day(start, self.zone)
        reading = Reading(
            "numbers",
            window,
            options.facts,
            Points(),
            ("numbers",),
            lookback=options.lookback,
            snapshot=options.snapshot,
            tells_all=tells_all,
        )
        self.coverage = after_read(self.coverage, self.runs, now, reading, self.zone)
        self.reads.append((now, window))

    def fail(self, window: Window, now: datetime, wait: timedelta | None = None, took: timedelta = timedelta()) -> None:
        """Fail to read a window."""
        self.runs += 1
        self.coverage = after_failure(self.coverage, window, self.runs, now)
        self.failures.append(Failure(window, now, now + took, wait))
