"""A scheduler whose time is in the test's hands: it never waits, and works in the test's own thread."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tallyline.plan import Kind, Metric, Retention
from tallyline.project import Project
from tallyline.schedule.scheduler import Scheduler
from tallyline.warehouse import open_warehouse
from tests.warehouse.publishing import UTC_ZONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from tallyline.schedule.telling import Next, Ran
    from tallyline.sources import SourceDeclaration
    from tallyline.warehouse import Cleaned, Warehouse

SECOND = timedelta(seconds=1)
PLAN = {metric.name: metric for metric in (Metric("numbers"), Metric("stock", kind=Kind.LEVEL))}


class Over(Exception):
    """The time that was to pass has passed."""


@dataclass
class Clock:
    """The clock on the wall, which only waiting and slow work move."""

    now: datetime

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def turn(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span


@dataclass
class Waits:
    """Waits by turning the clock, a little too late as all waits are, until the scheduler is to stop."""

    clock: Clock
    until: datetime
    late: Callable[[], timedelta] = lambda: SECOND
    meanwhile: Callable[[datetime], None] = lambda _: None
    stop: Callable[[], None] = lambda: None
    moments: list[datetime] = field(default_factory=list)

    def __call__(self, until: datetime) -> None:
        """Let the time until a moment pass at once."""
        assert until > self.clock.now, "the scheduler waits for nothing"
        self.moments.append(until)
        self.clock.now = until + self.late()
        self.meanwhile(self.clock.now)
        if self.clock.now >= self.until:
            self.stop()

    def poke(self) -> None:
        """Do nothing: nobody waits."""


@dataclass
class Told:
    """All that a scheduler tells."""

    runs: list[Ran] = field(default_factory=list)
    cleanings: list[tuple[str, Cleaned | Exception]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    nexts: list[list[Next]] = field(default_factory=list)

    def ran(self, run: Ran) -> None:
        """Take a run."""
        self.runs.append(run)

    def cleaned(self, source: str, cleaned: Cleaned | Exception) -> None:
        """Take a cleaning."""
        self.cleanings.append((source, cleaned))

    def troubled(self, error: Exception, until: datetime) -> None:
        """Take a trouble."""
        self.troubles.append(f"{error} until {until:%H:%M:%S}")

    def recovered(self) -> None:
        """Take that it is over."""
        self.troubles.append("over")

    def waits(self, coming: Sequence[Next]) -> None:
        """Take what is next."""
        self.nexts.append(list(coming))


def project_of(
    *sources: SourceDeclaration,
    zone: ZoneInfo = UTC_ZONE,
    retention: Retention | None = None,
    services: Mapping[str, object] | None = None,
) -> Project:
    """Return a project with these sources."""
    named = {source.name or "": source.named("") for source in sources}
    return Project(Path(), "Shop", "sqlite://", zone, PLAN, services or {}, named, (), retention or Retention())


@contextmanager
def opened(url: str, clock: Clock, zone: ZoneInfo = UTC_ZONE) -> Iterator[Warehouse]:
    """Open a warehouse that goes by the clock."""
    with open_warehouse(url, zone, write=True, clock=clock, plan=PLAN) as warehouse:
        yield warehouse


def run_until(
    project: Project,
    warehouse: Warehouse,
    waits: Waits,
    *,
    told: Told | None = None,
    start: Callable[[Callable[[], None]], None] = lambda work: work(),
) -> Told:
    """Run a scheduler until the moment that the waits are for; return what it told."""
    told = told or Told()
    scheduler = Scheduler(project, warehouse, told, clock=waits.clock, pause=waits, start=start)
    waits.stop = scheduler.stop
    scheduler.run()
    return told


def run_once(project: Project, warehouse: Warehouse, clock: Clock) -> Told:
    """Run what is due; return what was told."""
    told = Told()
    Scheduler(
        project, warehouse, told, clock=clock, pause=Waits(clock, clock.now), start=lambda work: work()
    ).run_once()
    return told


def windows(told: Told, zone: ZoneInfo = UTC_ZONE) -> list[tuple[str, str]]:
    """Return the windows that were read, in the order in which that ended."""
    return [(run.result.source, run.result.window.text(zone)) for run in told.runs if run.result.window]
