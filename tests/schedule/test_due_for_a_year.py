"""A year of a source by what is due alone: downtime, clock changes, runs that are slow, fail or are lost."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from tallyline.schedule.due import newest_tick, next_due
from tallyline.sources import Options
from tallyline.window import Grain, Window, gaps
from tests.schedule.memory import Memory
from tests.warehouse.publishing import PARIS, at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
START, END = at("2026-01-01", PARIS), at("2027-01-01", PARIS)


def lives(source: Memory, chance: Random) -> datetime:
    """Let a year pass: whatever happens, what is due first is done first. Return when all of it was done."""
    now = START + 10 * DAY
    while now < END:
        if chance.random() < 0.01:
            now += chance.random() * 20 * DAY
        dues = source.due(now)
        if not dues:
            now = next_due(source.options, source.progress(now), now, PARIS) + chance.random() * 5 * SECOND
            continue
        took = (HOUR if chance.random() < 0.02 else SECOND) * chance.uniform(0.1, 5)
        outcome = chance.choices(["done", "failed", "away", "lost"], [86, 6, 5, 3])[0]
        if outcome == "done":
            source.read(dues[0].window, now)
        elif outcome != "lost":
            source.fail(dues[0].window, now, SECOND if outcome == "away" else None, took)
        now += took
    while dues := source.due(now):
        source.read(dues[0].window, now)
    return now


def hours_read(source: Memory) -> Counter[datetime]:
    """Return how often each hour was read."""
    return Counter(hour for _, window in source.reads for hour in window.buckets(Grain.HOUR, PARIS))


def read_again(source: Memory) -> Iterator[tuple[Window, datetime, datetime]]:
    """Yield each hour before the newest look-back that was read again, with the moments of both reads."""
    last: dict[datetime, datetime] = {}
    for now, window in source.reads:
        tick = newest_tick(source.options, now, PARIS)
        assert tick is not None
        before = newest_tick(source.options, tick - SECOND, PARIS)
        assert before is not None
        for hour in window.buckets(Grain.HOUR, PARIS):
            if hour in last and hour < source.options.facts.floor(before - source.options.lookback, PARIS):
                yield Window(hour, hour + HOUR), last[hour], now
            last[hour] = now


@pytest.mark.parametrize(
    ("schedule", "lookback", "grain"),
    [
        ("@hourly", timedelta(), None),
        ("0 */3 * * *", 2 * DAY, None),
        ("@daily", timedelta(), None),
        ("30 2 * * *", 36 * HOUR, Grain.DAY),
        ("@weekly", 3 * DAY, Grain.HOUR),
        ("@monthly", 10 * DAY, None),
    ],
)
def test_every_window_of_the_year_is_read(schedule: str, lookback: timedelta, grain: Grain | None) -> None:
    start = date(2026, 1, 1)
    source = Memory(Options(schedule=schedule, lookback=lookback, grain=grain, start=start, at_once=31 * DAY), PARIS)
    ended = lives(source, Random(schedule))  # noqa: S311  # no secret
    newest = newest_tick(source.options, ended, PARIS)
    assert newest is not None
    assert len(source.failures) > 5 or schedule in {"@weekly", "@monthly"}
    assert list(gaps(Window(START, newest), [window for _, window in source.reads])) == []
    assert all(piece.is_read for piece in source.coverage if piece.window.until <= newest)
    if not lookback:
        assert set(hours_read(source).values()) == {1}
    for hour, earlier, _ in read_again(source):
        assert earlier < hour.until + lookback + DAY  # it was not final then, for the day that it belongs to
