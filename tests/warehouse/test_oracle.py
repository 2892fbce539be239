"""Random operations give the same answers on SQLite, on PostgreSQL and by an oracle of obvious lines.

Two sources tell of the same metrics in the days around both changes of the clock. They are read for hours and for days,
again and later, with rows that changed, came or vanished; runs fail, processes die in the middle of a transaction, and
what is old is cleaned away. EXAMPLES=100 makes about 2,000 operations of it.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import count, product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Engine
from sqlalchemy import event as database_event

from tallyline.errors import Refused, RunFailed, UnknownName
from tallyline.plan import Kind, Metric, Retention
from tallyline.warehouse import Changes, open_warehouse
from tallyline.window import Grain, Window
from tests.warehouse.publishing import PARIS, at, reading, rows_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from tallyline.warehouse import Reading, Warehouse

EXAMPLES = int(os.environ.get("EXAMPLES", "6"))
OPERATIONS = 20

PLAN = {
    metric.name: metric
    for metric in (
        Metric("visits", kind=Kind.COUNT),
        Metric("users", kind=Kind.LEVEL),
        Metric("busy", kind=Kind.MEAN),
        Metric("least", kind=Kind.MINIMUM),
        Metric("most", kind=Kind.MAXIMUM),
    )
}
DIMS = {
    "shop": ('{"country":"DE"}', '{"country":"FR"}', "{}"),
    "app": ('{"country":"FR","plan":"pro"}', '{"country":"IT","plan":"pro"}'),
}
SOURCES = tuple(DIMS)
FACTS = (Grain.HOUR, Grain.DAY)
GRAINS = (*FACTS, Grain.WEEK, Grain.MONTH)
FIRST_DAYS = (at("2026-03-22", PARIS), at("2026-10-18", PARIS))  # Sundays, a week before each change
HALF = timedelta(minutes=30)
DAY = timedelta(days=1)


class Key(NamedTuple):
    """A value of a source, a metric and dims, in the hour or day that begins at a moment."""

    source: str
    metric: str
    dims: str
    time: datetime


class PlantedError(Exception):
    """What the database was told to raise."""


class Told(NamedTuple):
    """A value of an answer, the part in the order in which parts are told."""

    time: datetime
    part: tuple[bool, str]
    value: float
    complete: bool


Facts = dict[Key, float]
Marks = dict[tuple[str, Grain], datetime]


@cache
def begin(moment: datetime, by: Grain) -> datetime:
    """Return when the bucket began that holds a moment."""
    if by is Grain.HOUR:
        return moment.replace(minute=0)
    day = moment.astimezone(PARIS).date()
    if by is Grain.WEEK:
        day -= timedelta(days=day.weekday())
    if by is Grain.MONTH:
        day = day.replace(day=1)
    return datetime.combine(day, time(), PARIS).astimezone(UTC)


@cache
def halves(since: datetime, until: datetime) -> frozenset[datetime]:
    """Return the half hours between two moments."""
    return frozenset(since + n * HALF for n in range((until - since) // HALF))


@cache
def halves_of(bucket: datetime, by: Grain) -> frozenset[datetime]:
    """Return the half hours of a bucket."""
    return frozenset(half for half in halves(bucket, bucket + 32 * DAY) if begin(half, by) == bucket)


def over_time(kind: Kind, values: Mapping[datetime, float], times: Collection[datetime], by: Grain) -> float | None:
    """Roll up values by their time; `times` are those at which there are any, of whatever series."""
    if kind is Kind.LEVEL:
        return values.get(max(times))
    if kind is Kind.MEAN:
        weights = {moment: len(halves_of(moment, by)) for moment in times}
        return sum(value * weights[moment] for moment, value in values.items()) / sum(weights.values())
    return over_series(kind, values.values())


def over_series(kind: Kind, values: Iterable[float]) -> float:
    """Roll up the values of several series."""
    return {Kind.MINIMUM: min, Kind.MAXIMUM: max}.get(kind, sum)(values)


def rolled_up(facts: Facts, by: Grain, into: Grain) -> Facts:
    """Roll up facts of one source, series by series."""
    series: dict[Key, dict[datetime, float]] = {}
    times: dict[tuple[str, datetime], set[datetime]] = {}
    for key, value in facts.items():
        bucket = begin(key.time, into)
        series.setdefault(key._replace(time=bucket), {})[key.time] = value
        times.setdefault((key.metric, bucket), set()).add(key.time)
    rolled = {
        key: over_time(PLAN[key.metric].kind, of_one, times[key.metric, key.time], by) for key, of_one in series.items()
    }
    return {key: value for key, value in rolled.items() if value is not None}


@dataclass
class State:
    """All that is known at a moment, but for what was cleaned away since.

    `read` are the half hours that were read of each source, `missing` those that it did not know. `since` is the begin
    of the first window in which a source told of a metric.
    """

    facts: dict[Grain, Facts] = field(default_factory=lambda: {Grain.HOUR: {}, Grain.DAY: {}})
    read: dict[str, set[datetime]] = field(default_factory=lambda: {source: set() for source in SOURCES})
    missing: dict[str, set[datetime]] = field(default_factory=lambda: {source: set() for source in SOURCES})
    since: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def publish(
        self, source: str, window: Window, rows: Facts, read_at: datetime, missing: Collection[Window] = ()
    ) -> None:
        """Replace the window by what was read."""
        hours, days = self.facts[Grain.HOUR], self.facts[Grain.DAY]
        for key in [key for key in hours if key.source == source and key.time in window]:
            del hours[key]
        hours |= rows
        touched = {begin(half, Grain.DAY) for half in halves(window.since, window.until)}
        for key in [key for key in days if key.source == source and key.time in touched]:
            del days[key]
        of_days = {
            key: value for key, value in hours.items() if key.source == source and begin(key.time, Grain.DAY) in touched
        }
        days |= rolled_up(of_days, Grain.HOUR, Grain.DAY)
        if window.since < read_at:
            reached = halves(window.since, min(window.until, read_at))
            unknown = {half for each in missing for half in halves(each.since, each.until)}
            self.read[source].update(reached)
            self.missing[source] = (self.missing[source] - reached) | (unknown & reached)
        for metric in {key.metric for key in rows}:
            self.since[source, metric] = min(window.since, self.since.get((source, metric), window.since))

    def known(self, metric: str, grain: Grain, cleaned: Marks) -> set[datetime]:
        """Return the half hours that all sources of a metric were read for, from where they were cleaned on."""
        told = [
            {half for half in self.read[source] - self.missing[source] if half >= cleaned.get((source, grain), half)}
            for source in self.tellers(metric)
        ]
        return set.intersection(*told) if told else set()

    def tellers(self, metric: str) -> list[str]:
        """Return the sources of a metric."""
        return [source for source in SOURCES if (source, metric) in self.since]

    def answer(self, metric: str, by: Grain, split: str | None, since: datetime | None, cleaned: Marks) -> list[Told]:
        """Return a metric's values."""
        kind, base = PLAN[metric].kind, Grain.HOUR if by is Grain.HOUR else Grain.DAY
        totals: dict[tuple[datetime, str | None], list[float]] = {}
        for key, value in self.facts[base].items():
            if key.metric == metric and (since is None or key.time >= begin(since, by)):
                part = json.loads(key.dims).get(split) if split else None
                totals.setdefault((key.time, part), []).append(value)
        buckets: dict[tuple[datetime, str | None], dict[datetime, float]] = {}
        times: dict[datetime, set[datetime]] = {}
        for (moment, part), values in totals.items():
            buckets.setdefault((begin(moment, by), part), {})[moment] = over_series(kind, values)
            times.setdefault(begin(moment, by), set()).add(moment)
        rolled = {key: over_time(kind, values, times[key[0]], base) for key, values in buckets.items()}
        told = {key: value for key, value in rolled.items() if value is not None}
        known, first = self.known(metric, base, cleaned), since or min(times, default=None)
        if kind is Kind.COUNT and known and first:
            begun = begin(max(first, *(self.since[source, metric] for source in self.tellers(metric))), by)
            parts = {part for _, part in told} or (set() if split else {None})
            buckets_known = {begin(half, by) for half in known}
            told = {(bucket, part): 0.0 for bucket in buckets_known if bucket >= begun for part in parts} | told
        return sorted(
            Told(bucket, (part is None, part or ""), value, halves_of(bucket, by) <= known)
            for (bucket, part), value in told.items()
        )


@dataclass
class Oracle:
    """What is known now, what was known at each moment, and what has been cleaned away."""

    now: State = field(default_factory=State)
    then: list[tuple[datetime, State]] = field(default_factory=list)
    cleaned: Marks = field(default_factory=dict)
    known_from: datetime = FIRST_DAYS[0]

    def publish(self, read: Reading, rows: Facts, read_at: datetime, ended_at: datetime) -> None:
        """Know more from a moment on."""
        self.now.publish(read.source, read.window, rows, read_at, read.missing)
        self.then.append((ended_at, deepcopy(self.now)))

    def at(self, moment: datetime | None) -> State:
        """Return what was known at a moment, or is known now."""
        then = [state for ended_at, state in self.then if moment and ended_at <= moment]
        return ([State(), *then] if moment else [self.now])[-1]

    def changes(self, source: str, window: Window, rows: Facts) -> tuple[Changes, Facts]:
        """Return how rows differ from what is known, and the values that are no more."""
        before = self.within(source, window)
        changed = {key: value for key, value in before.items() if key in rows and rows[key] != value}
        gone = {key: value for key, value in before.items() if key not in rows}
        added = len(rows.keys() - before.keys())
        return Changes(added, len(changed), len(gone), len(before) - len(changed) - len(gone)), changed | gone

    def within(self, source: str, window: Window) -> Facts:
        """Return the hours of a window."""
        hours = self.now.facts[Grain.HOUR]
        return {key: value for key, value in hours.items() if key.source == source and key.time in window}

    def refuses(self, source: str, window: Window) -> bool:
        """Say whether the window is a part of a day whose hours were cleaned away."""
        parts = [begin(edge, Grain.DAY) for edge in (window.since, window.until) if edge != begin(edge, Grain.DAY)]
        return any(day < self.cleaned.get((source, Grain.HOUR), day) for day in parts)

    def clean(self, source: str, retention: Retention, now: datetime) -> tuple[int, int]:
        """Forget what is old, as if it had never been known; return how many hours and days that were."""
        gone = [
            self.clean_facts(source, grain, begin(now - keep, Grain.DAY)) if keep else 0
            for grain, keep in ((Grain.HOUR, retention.hours or retention.days), (Grain.DAY, retention.days))
        ]
        if retention.restatements is not None:
            self.known_from = max(self.known_from, now - retention.restatements)
        return gone[0], gone[1]

    def clean_facts(self, source: str, grain: Grain, until: datetime) -> int:
        """Forget old hours or days; where there are no old hours, nothing becomes unknown."""
        old = sum(key.source == source and key.time < until for key in self.now.facts[grain])
        if old or grain is Grain.DAY:
            self.cleaned[source, grain] = max(until, self.cleaned.get((source, grain), until))
            for state in (self.now, *(state for _, state in self.then)):
                for key in [key for key in state.facts[grain] if key.source == source and key.time < until]:
                    del state.facts[grain][key]
        return old


def windows() -> st.SearchStrategy[tuple[int, int, int, int]]:
    """Make windows: from a day and an hour on, so many days and hours."""
    whole_days = st.tuples(st.integers(4, 11), st.just(0), st.sampled_from([1, 1, 2, 3, 8]), st.just(0))
    hours = st.tuples(st.integers(5, 10), st.integers(0, 23), st.sampled_from([0, 0, 1]), st.integers(1, 23))
    return st.one_of(whole_days, hours)


READS = st.sampled_from(["new", "again", "changed", "changed", "vanished", "empty"])
ROWS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from([*PLAN]), st.integers(0, 2), st.integers(-4, 40)), max_size=14
)
SOURCE = st.sampled_from(SOURCES)
FIRST_READS = st.lists(st.tuples(SOURCE, windows(), st.just("new"), ROWS, st.just(0)), min_size=2, max_size=2)
MISSING: st.SearchStrategy[list[int]] = st.one_of(st.just([]), st.lists(st.integers(0, 80), max_size=3))
SPLITS = (None, "country", "plan")
SPANS = st.sampled_from([None, None, DAY, 2 * DAY, 4 * DAY])


def as_reading(source: str, window: Window, rows: Facts) -> Reading:
    """Return a reading of these rows."""
    told = [({"time": key.time, **json.loads(key.dims)}, {key.metric: value}) for key, value in rows.items()]
    return reading(told, window, source=source, zone=PARIS, plan=PLAN, sources=SOURCES)


@contextmanager
def crash_at(statement: int) -> Iterator[None]:
    """Let the database fail at its so many-th statement, or where there are not as many, before it commits."""
    statements = count(1)

    def executes(*_: object) -> None:
        if next(statements) == statement:
            raise PlantedError

    def commits(_: object) -> None:
        raise PlantedError

    database_event.listen(Engine, "before_cursor_execute", executes)
    database_event.listen(Engine, "commit", commits)
    try:
        yield
    finally:
        database_event.remove(Engine, "before_cursor_execute", executes)
        database_event.remove(Engine, "commit", commits)


def answer(
    warehouse: Warehouse, metric: str, by: Grain, split: str | None, since: datetime | None, as_of: datetime | None
) -> list[Told] | type[Exception]:
    """Ask a warehouse, and return what it answers, or why it does not."""
    try:
        values = warehouse.query(metric, by=by, split=split, since=since, as_of=as_of)
    except UnknownName:
        return UnknownName
    except Refused as refused:
        assert "was cleaned away" in str(refused)  # noqa: PT017  # any other is wrong
        return Refused
    return [Told(value.time, (value.part is None, value.part or ""), value.value, value.complete) for value in values]


def assert_same(told: list[Told] | type[Exception], expected: list[Told], asked: str) -> None:
    """Compare an answer with that of the oracle; what has no dims of that name may be unknown."""
    if told is UnknownName:
        assert {value.part for value in expected} <= {(True, "")}, asked
        return
    assert isinstance(told, list), asked
    assert [value._replace(value=0) for value in told] == [value._replace(value=0) for value in expected], asked
    exact = [value.value for value in expected]
    assert [value.value for value in told] == (pytest.approx(exact, rel=1e-11) if "busy" in asked else exact), asked


class Machine(RuleBasedStateMachine):
    """A warehouse on SQLite, one on PostgreSQL, and the oracle."""

    numbers = count()

    def __init__(self, postgres_url: str, folder: Path) -> None:
        """Begin with empty databases."""
        super().__init__()
        rows_of(postgres_url, "DROP SCHEMA public CASCADE")
        rows_of(postgres_url, "CREATE SCHEMA public")
        self.urls = (f"sqlite:///{folder / f'{next(self.numbers)}.db'}", postgres_url)
        self.oracle = Oracle()
        self.first, self.now, self.turn = FIRST_DAYS[0], FIRST_DAYS[0], 0
        self.stack = ExitStack()

    @initialize(first=st.sampled_from(FIRST_DAYS), days=st.integers(8, 14), hours=st.integers(0, 40), reads=FIRST_READS)
    def begins(self, first: datetime, days: int, hours: int, reads: list[tuple[Any, ...]]) -> None:
        """Open the warehouses at a moment of one of the changes of the clock, and read the first windows."""
        self.first, self.now = first, first + days * DAY + hours * HALF
        self.oracle.known_from = first
        self.open()
        for read in reads:
            self.publishes(*read)

    def open(self) -> None:
        """Open both warehouses."""
        self.warehouses = [
            self.stack.enter_context(open_warehouse(url, PARIS, write=True, clock=lambda: self.now))
            for url in self.urls
        ]

    @rule()
    def reopens(self) -> None:
        """Close both and open them again."""
        self.stack.close()
        self.open()
        self.check()

    @rule(span=st.sampled_from([HALF, HALF, 6 * HALF, DAY, 3 * DAY]))
    def time_passes(self, span: timedelta) -> None:
        """Turn the clock; all answers stay as they are."""
        self.now += span

    @rule(source=SOURCE, place=windows(), read=READS, told=ROWS, lasts=st.sampled_from([0, 0, 1, 3]), missing=MISSING)
    def publishes(
        self,
        source: str,
        place: tuple[int, int, int, int],
        read: str,
        told: list[tuple[int, str, int, int]],
        lasts: int,
        missing: Collection[int] = (),
    ) -> None:
        """Read a window and publish it, but for hours that the source does not know, or be refused."""
        window, rows = self.read(source, place, read, told)
        hours = sorted(halves(window.since, window.until))[::2]
        unknown = [hours[which % len(hours)] for which in missing]
        begun = self.now
        whole = replace(as_reading(source, window, rows), missing=[Window(hour, hour + 2 * HALF) for hour in unknown])
        runs = [warehouse.begin(source, window) for warehouse in self.warehouses]
        self.now += lasts * HALF
        if self.oracle.refuses(source, window):
            event("refused")
            for warehouse, run in zip(self.warehouses, runs, strict=True):
                with pytest.raises(RunFailed, match="whose hours were cleaned away"):
                    warehouse.publish(run, whole, PLAN, {})
                warehouse.end(run, state="failed", error="refused", report={})
        else:
            event(f"read {read}")
            changes, _ = self.oracle.changes(source, window, rows)
            for warehouse, run in zip(self.warehouses, runs, strict=True):
                assert warehouse.publish(run, whole, PLAN, {}) == changes
            self.oracle.publish(whole, rows, begun, self.now)
        self.check()

    @rule(source=SOURCE, place=windows(), read=READS, told=ROWS)
    def previews(
        self, source: str, place: tuple[int, int, int, int], read: str, told: list[tuple[int, str, int, int]]
    ) -> None:
        """See what would change, and change nothing."""
        window, rows = self.read(source, place, read, told)
        whole = as_reading(source, window, rows)
        for warehouse in self.warehouses:
            if self.oracle.refuses(source, window):
                with pytest.raises(RunFailed, match="whose hours were cleaned away"):
                    warehouse.preview(whole, PLAN)
                continue
            changes, differing = self.oracle.changes(source, window, rows)
            preview = warehouse.preview(whole, PLAN, most=1000)
            assert preview.changes == changes
            assert {Key(source, *value[:3]): value[3:] for value in preview.differing} == {
                key: (before, rows.get(key)) for key, before in differing.items()
            }
        self.check()

    @rule(source=SOURCE, place=windows())
    def fails(self, source: str, place: tuple[int, int, int, int]) -> None:
        """Let a run fail before it publishes."""
        for warehouse in self.warehouses:
            run = warehouse.begin(source, self.window(place))
            warehouse.end(run, state="failed", error="no", report={})
        self.check()

    @rule(
        source=SOURCE,
        place=windows(),
        read=READS,
        told=ROWS,
        statement=st.integers(2, 30),
        dies=st.booleans(),
    )
    def crashes(
        self,
        source: str,
        place: tuple[int, int, int, int],
        read: str,
        told: list[tuple[int, str, int, int]],
        statement: int,
        dies: bool,  # noqa: FBT001  # hypothesis passes it by name
    ) -> None:
        """Let the database fail in the middle of a transaction; the run is ended, or its process dies, too."""
        window, rows = self.read(source, place, read, told)
        if self.oracle.refuses(source, window):
            return
        for warehouse in self.warehouses:
            run = warehouse.begin(source, window)
            with pytest.raises(PlantedError), crash_at(statement):
                warehouse.publish(run, as_reading(source, window, rows), PLAN, {})
            if not dies:
                warehouse.end(run, state="failed", error="crashed", report={})
        if dies:
            self.stack.close()
            self.open()
        self.check()

    @rule(source=SOURCE, hours=SPANS, days=SPANS, restatements=SPANS)
    def cleans(
        self, source: str, hours: timedelta | None, days: timedelta | None, restatements: timedelta | None
    ) -> None:
        """Remove what is old, after saying how much that is."""
        retention = Retention(min(hours, days or hours) if hours else None, days, restatements)
        would = [warehouse.clean(source, retention) for warehouse in self.warehouses]
        assert [warehouse.clean(source, retention, write=True) for warehouse in self.warehouses] == would
        assert would[0] == would[1]
        assert not would[0].refused
        gone = self.oracle.clean(source, retention, self.now)
        event("cleaned" if any(gone) else "nothing to clean")
        assert (would[0].hours, would[0].days) == gone
        self.check()

    @rule()
    def looks_back(self) -> None:
        """Compare all that was known at any moment."""
        for metric, by, moment in product(PLAN, FACTS, self.moments()):
            self.compare(metric, by, "country", None, moment)
        self.check()

    def window(self, place: tuple[int, int, int, int]) -> Window:
        """Return the window of a place, in hours of the business zone."""
        day, hour, days, hours = place
        since, until = (begin(self.first + n * DAY + 12 * 2 * HALF, Grain.DAY) for n in (day, day + days))
        return Window(since + hour * 2 * HALF, until + (hour + hours) * 2 * HALF)

    def read(
        self, source: str, place: tuple[int, int, int, int], how: str, told: list[tuple[int, str, int, int]]
    ) -> tuple[Window, Facts]:
        """Return what a source tells of a window: what it told before, more or less."""
        window = self.window(place)
        there, dims = sorted(halves(window.since, window.until))[::2], DIMS[source]
        rows = {
            Key(source, metric, dims[which % len(dims)], there[hour % len(there)]): value / 4
            for hour, metric, which, value in told
        }
        before = self.oracle.within(source, window)
        if how == "vanished":
            return window, {key: value for key, value in before.items() if key.dims != dims[0]}
        return window, {"new": rows, "again": before, "changed": before | rows, "empty": {}}[how]

    def check(self) -> None:
        """Compare what is known now, and what was known at moments before; each time with other splits."""
        self.turn += 1
        since = self.first + 5 * DAY if self.turn % 2 else None
        moments = self.moments()
        for number, (metric, by) in enumerate(product(PLAN, GRAINS)):
            self.compare(metric, by, SPLITS[(self.turn + number) % len(SPLITS)], since)
            if by in FACTS:
                moment = moments[(self.turn + number) % len(moments)]
                self.compare(metric, by, SPLITS[(self.turn // 2 + number) % len(SPLITS)], since, moment)
        for source, warehouse in product(SOURCES, self.warehouses):
            read = [halves(window.since, window.until) for window in warehouse.covered(source)]
            assert frozenset().union(*read) == self.oracle.now.read[source]

    def moments(self) -> list[datetime]:
        """Return the moments before at which something became known, and one before all of them."""
        return [self.first, *sorted({moment for moment, _ in self.oracle.then if moment < self.now})]

    def compare(
        self, metric: str, by: Grain, split: str | None, since: datetime | None, as_of: datetime | None = None
    ) -> None:
        """Compare answers with each other and with that of the oracle."""
        asked = f"{metric} by {by}, split {split}, since {since}, as of {as_of}"
        told, same = (answer(warehouse, metric, by, split, since, as_of) for warehouse in self.warehouses)
        assert told == same, asked
        if as_of and as_of < self.oracle.known_from:
            assert told is Refused, asked
        else:
            assert_same(told, self.oracle.at(as_of).answer(metric, by, split, since, self.oracle.cleaned), asked)

    def teardown(self) -> None:
        """Close the warehouses."""
        self.stack.close()


def test_random_operations_give_the_same_answers_as_the_oracle(postgres_url: str, tmp_path: Path) -> None:
    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(postgres_url, tmp_path)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=OPERATIONS,
            report_multiple_bugs=False,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
