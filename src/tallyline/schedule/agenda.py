"""What there is to do for a source: what is due of it by the last look, what is under way, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from tallyline.schedule.due import due, is_cleaning_due, newest_tick, next_change
from tallyline.warehouse import Wanted

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tallyline.plan import Retention
    from tallyline.schedule.due import Due
    from tallyline.sources import Source
    from tallyline.warehouse import Progress, Warehouse
    from tallyline.window import Window

__all__ = ["Agenda", "Job", "cleaned_key"]

_LONGEST_HOLD = 60
_ELSEWHERE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Job:
    """A window of a source to read, chosen at the moment `now`; without one, the source is to be cleaned."""

    source: Source
    now: datetime
    due: Due | None = None
    wanted: Wanted | None = None

    @property
    def urgency(self) -> tuple[int, float]:
        """What comes first: the newest of every source, then what was missed, the newest first, then cleaning."""
        if self.due is None:
            return 2, 0.0
        return int(self.due.missed), -self.due.window.until.timestamp()


@dataclass(slots=True)
class Agenda:
    """The agenda of a source. Runs that failed before the moment `since` do not count.

    Where it is only for `once`, nothing is begun a second time.
    """

    source: Source
    zone: ZoneInfo
    retention: Retention
    since: datetime
    look_at: datetime
    once: bool = False
    dues: list[Due] = field(default_factory=list)
    under_way: list[Job] = field(default_factory=list)
    _begun: list[Due] = field(default_factory=list)
    _looked_at: datetime | None = None
    _held_until: datetime | None = None
    _failed_in_a_row: int = 0
    _cleaned_at: datetime | None = None
    _is_cleaning_due: bool = False

    def look(self, warehouse: Warehouse, now: datetime) -> None:
        """Find out what is due at a moment."""
        options = self.source.options
        progress = warehouse.progress(self.source.name, self._failures_since(now))
        self.dues, self._looked_at = due(options, progress, now, self.zone), now
        self.look_at = next_change(options, progress, now, self.zone)
        if options.snapshot:  # what it tells is kept under the running hour or day
            self.look_at = min(self.look_at, options.facts.after(now, self.zone))
        self._is_cleaning_due = self._cleaning_is_due(warehouse, now)

    def postpone(self, until: datetime) -> None:
        """Do not look before a moment."""
        self.look_at, self._looked_at = until, None

    def next_job(self, now: datetime) -> Job | None:
        """Return what can begin at a moment, None where there is nothing."""
        if self._looked_at is None or self._is_held(now):
            return None
        at_work = [job.due for job in self.under_way]
        waiting = [each for each in self.dues if each not in at_work and each not in self._begun]
        if waiting and self._fits(waiting[0]):
            is_due = partial(self._is_due, waiting[0].window, self._looked_at)
            wanted = Wanted(self._failures_since(self._looked_at), is_due)
            return Job(self.source, self._looked_at, waiting[0], wanted)
        return Job(self.source, now) if self._is_cleaning_due and not waiting and not at_work else None

    def begin(self, job: Job) -> None:
        """Take in that a job is under way."""
        self.under_way.append(job)
        if self.once and job.due:
            self._begun.append(job.due)

    def end(self, job: Job, now: datetime, *, done: bool, elsewhere: bool = False) -> None:
        """Take in that a job has ended; after one that failed, nothing begins for a while, since it may be in vain."""
        self.under_way.remove(job)
        self.look_at = now
        if job.due is None:
            self._cleaned_at = job.now if self.once or not elsewhere else None
        if done or self.once:
            self._failed_in_a_row, self._held_until = 0, None
            return
        self._failed_in_a_row += 1
        seconds = min(self._failed_in_a_row, _LONGEST_HOLD)
        self._held_until = now + (_ELSEWHERE if elsewhere else timedelta(seconds=seconds))

    def goes_on_at(self, now: datetime) -> datetime:
        """Return when something may begin, unless what is under way ends before."""
        held, has_more = self._held_until, bool(self.dues) or self._is_cleaning_due
        return min(self.look_at, held) if held is not None and held > now and has_more else self.look_at

    def _is_held(self, now: datetime) -> bool:
        return self._held_until is not None and now < self._held_until

    def _fits(self, wanted: Due) -> bool:
        """Say whether it can be read beside what is under way: missed windows only, and none that overlaps."""
        others = [job.due for job in self.under_way]
        if not others:
            return True
        if not wanted.missed or len(others) >= self.source.options.parallel:
            return False
        return all(other is not None and other.missed and _are_apart(other.window, wanted.window) for other in others)

    def _failures_since(self, now: datetime) -> datetime:
        return max(newest_tick(self.source.options, now, self.zone) or self.since, self.since)

    def _is_due(self, window: Window, now: datetime, progress: Progress) -> bool:
        return any(each.window == window for each in due(self.source.options, progress, now, self.zone))

    def _cleaning_is_due(self, warehouse: Warehouse, now: datetime) -> bool:
        if not is_cleaning_due(self.retention, self._cleaned_at, now, self.zone):
            return False
        known = warehouse.recall(cleaned_key(self.source))
        self._cleaned_at = datetime.fromisoformat(known) if known else self._cleaned_at
        return is_cleaning_due(self.retention, self._cleaned_at, now, self.zone)


def cleaned_key(source: Source) -> str:
    """Return the name under which a warehouse remembers when a source was cleaned."""
    return f"{source.name} cleaned at"


def _are_apart(one: Window, other: Window) -> bool:
    return one.until <= other.since or other.until <= one.since
