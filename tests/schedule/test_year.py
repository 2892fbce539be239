"""A simulated year: downtime, both clock changes, slow and failing sources. Nothing is lost, and nothing read twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from tallyline import Grain, source
from tallyline.errors import Denied, Unavailable
from tallyline.schedule.due import newest_tick
from tallyline.warehouse import Covered
from tallyline.window import Window, gaps
from tests.schedule.simulated import Clock, Told, Waits, opened, project_of, run_until
from tests.warehouse.publishing import PARIS, at, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from tallyline.project import Project
    from tallyline.warehouse import Warehouse

    Rows = Iterator[tuple[dict[str, object], dict[str, object]]]

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
NIGHTLY, SELDOM, WEEKLY, PRESENT = "nightly", "seldom", "weekly", "present"


@dataclass
class World:
    """What sources meet: services are away or refuse by chance, some days are broken for long, reads take time."""

    clock: Clock
    chance: Random
    broken: dict[datetime, datetime]
    reads: list[tuple[str, Window]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def meets(self, name: str, window: Window) -> None:
        """Let a read of a source take its time, and perhaps fail."""
        self.clock.turn((2 * HOUR if name == WEEKLY else SECOND) * self.chance.uniform(0.2, 3))
        outcome = self.chance.choices(["fine", "away", "refused"], [90, 6, 4])[0]
        if any(day in window and self.clock.now < mended for day, mended in self.broken.items() if name == NIGHTLY):
            outcome = "refused"
        if outcome == "fine":
            self.reads.append((name, window))
            return
        self.failed[outcome] += 1
        raise Unavailable(name) if outcome == "away" else Denied(name)


def project(world: World, start: date) -> Project:
    """Return a project that goes by the clock of Paris."""

    def hours(name: str, window: Window, zone: ZoneInfo) -> Rows:
        world.meets(name, window)
        for hour in window.buckets(Grain.HOUR, zone):
            yield {"time": hour, "source": name}, {"numbers": 1}

    at_once = timedelta(days=31)

    @source(name=NIGHTLY, schedule="30 2 * * *", grain="hour", lookback=timedelta(), start=start, at_once=at_once)
    def nightly(window: Window, zone: ZoneInfo) -> Rows:
        yield from hours(NIGHTLY, window, zone)

    @source(name=SELDOM, schedule="0 */8 */4 * *", lookback=2 * DAY, start=start, at_once=at_once)
    def seldom(window: Window, zone: ZoneInfo) -> Rows:
        yield from hours(SELDOM, window, zone)

    @source(name=WEEKLY, schedule="@weekly", grain="hour", lookback=timedelta(), start=start, at_once=at_once)
    def weekly(window: Window, zone: ZoneInfo) -> Rows:
        yield from hours(WEEKLY, window, zone)

    @source(name=PRESENT, schedule="@weekly", snapshot=True)
    def present(now: datetime, window: Window) -> Rows:
        world.meets(PRESENT, window)
        yield {"time": now}, {"stock": 1}

    return project_of(nightly, seldom, weekly, present, zone=PARIS)


def passes(url: str, world: World, shop: Project, until: datetime) -> Told:
    """Let the time pass, in which the scheduler is started, and stopped for a while, again and again."""
    told, chance = Told(), world.chance
    while world.clock.now < until:
        waits = Waits(world.clock, min(world.clock.now + chance.uniform(1, 40) * DAY, until))
        waits.late = lambda: chance.uniform(0, 3) * SECOND
        with opened(url, world.clock, PARIS) as warehouse:
            run_until(shop, warehouse, waits, told=told)
        world.clock.turn(chance.choice([SECOND, HOUR, 5 * HOUR, 6 * DAY]) * chance.uniform(0.1, 1.5))
    return told


@pytest.mark.parametrize(
    ("kind", "since", "until"),
    [
        ("sqlite", "2026-01-01", "2027-01-01"),
        ("postgresql", "2026-03-22", "2026-04-04"),
        ("postgresql", "2026-10-18", "2026-10-31"),
    ],
)
def test_every_window_is_read_or_known_as_failed(
    kind: str, since: str, until: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'year.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    start, end = at(since, PARIS), at(until, PARIS)
    broken = {start + 2 * DAY: start + 5 * DAY, end - 4 * DAY: end + 400 * DAY}  # one is mended, the other is not
    world = World(Clock(start + DAY), Random(since), broken)  # noqa: S311  # no secret
    shop = project(world, date.fromisoformat(since))
    told = passes(url, world, shop, end)
    assert told.troubles == []
    assert min(world.failed.values()) > 1
    with opened(url, world.clock, PARIS) as warehouse:
        for name in (NIGHTLY, SELDOM, WEEKLY):
            is_accounted_for(warehouse, shop, world, name, start)
        failed = [piece.window for piece in warehouse.coverage(NIGHTLY) if piece.state is Covered.FAILED]
        assert any(end - 4 * DAY in window for window in failed)
        assert not any(start + 2 * DAY in window for window in failed)
    is_told_by_the_ledger(url, world)
    values_are_right(url, world)


def is_accounted_for(warehouse: Warehouse, shop: Project, world: World, name: str, start: datetime) -> None:
    """Check that each window up to the last tick that was seen is read or has failed, and which was read how often."""
    options = shop.source(name).options
    last = max(run.started_at for run in warehouse.runs(10_000, source=name))
    newest = newest_tick(options, last, PARIS)
    assert newest is not None
    assert list(gaps(Window(start, newest), [piece.window for piece in warehouse.coverage(name)])) == []
    windows = [window for source, window in world.reads if source == name]
    often = Counter(hour for window in windows for hour in window.buckets(Grain.HOUR, PARIS))
    if not options.lookback:  # the hour of 02:30 is read up to then, and once more as a whole
        again = {hour.astimezone(PARIS).hour for hour, count in often.items() if count > 1}
        assert again <= ({2, 3} if name == NIGHTLY else set())
        assert max(often.values()) <= (2 if name == NIGHTLY else 1)


def is_told_by_the_ledger(url: str, world: World) -> None:
    """Check that the ledger has every run, and that none of a source began before the one before it had ended."""
    states = Counter(state for (state,) in rows_of(url, "SELECT state FROM run"))
    assert states == {"done": len(world.reads), "failed": world.failed.total()}
    overlapping = """
        SELECT count(*) FROM run JOIN run AS other ON other.source = run.source AND other.id > run.id
        WHERE other.started_at < run.ended_at
    """
    assert rows_of(url, overlapping) == [(0,)]


def values_are_right(url: str, world: World) -> None:
    """Check that each hour that was read has its value, and no other has one."""
    query = "SELECT dims ->> 'source', count(*), sum(value) FROM hourly WHERE metric = 'numbers' GROUP BY 1"
    for name, count, total in rows_of(url, query):
        hours = {hour for source, window in world.reads if source == name for hour in window.buckets(Grain.HOUR, PARIS)}
        assert count == total == len(hours)
    [(days,)] = rows_of(url, "SELECT count(*) FROM daily WHERE metric = 'stock'")
    assert days == len({window for source, window in world.reads if source == PRESENT})
