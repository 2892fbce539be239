"""Whatever is connected to whatever, and whatever fails or ends early: no graph hangs, and every row is accounted for.

EXAMPLES=10000 tries more graphs.
"""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Report, State, node, over, run, service
from tests.graph.threads import none_left_behind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tallyline.graph import Node

EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
HARD_LIMIT = 30.0
MOST_NODES = 12

Path = tuple[str, ...]
Key = tuple[int, ...]
Row = tuple[Path, Key]


class PlantedError(Exception):
    """What a node was told to raise."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Plan:
    """How one node is to be made, and what it is to do."""

    kind: str
    feeders: frozenset[int]
    rows: int
    concurrency: int
    answer: str
    raises_at: frozenset[int]
    max_errors: int | None
    ends_after: int
    naps: bool


STARTS = ["start", "async start", "endless start"]
ROW_BY_ROW = ["plain", "concurrent", "unordered", "async", "async concurrent", "timed"]
OVER = ["over", "limit", "all"]
ANSWERS = ["same", "drop", "many", "none", "iterator"]
PLANS = st.builds(
    Plan,
    kind=st.sampled_from(STARTS[:1] + ROW_BY_ROW * 2 + OVER + STARTS),
    feeders=st.frozensets(st.integers(0, MOST_NODES - 1), min_size=1, max_size=3),
    rows=st.sampled_from([0, 1, 2, 5, 30, 140, 400]),
    concurrency=st.integers(1, 4),
    answer=st.sampled_from(ANSWERS),
    raises_at=st.one_of(st.just(frozenset()), st.just(frozenset()), st.frozensets(st.integers(0, 150), max_size=3)),
    max_errors=st.sampled_from([None, -1, -1, 0, 1, 2]),
    ends_after=st.integers(0, 40),
    naps=st.booleans(),
)


@dataclass
class Player:
    """A node at work that counts for itself, and keeps an eye on the order of what it takes."""

    name: str
    plan: Plan
    ledger: Ledger
    taken: int = 0
    given: int = 0
    raised: int = 0
    last: dict[Path, Key] = field(default_factory=dict)
    counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def skips(self) -> bool:
        """Whether rows that it fails on are skipped."""
        return self.plan.max_errors != -1 and self.plan.kind in ROW_BY_ROW

    @property
    def budget(self) -> int | None:
        """How many it may skip."""
        return self.plan.max_errors if self.skips else None

    def plays(self) -> Node:
        """Return the node."""
        work: dict[str, Callable[[], Node]] = {
            "start": lambda: node(self.start, name=self.name),
            "endless start": lambda: node(self.start, name=self.name),
            "async start": lambda: node(self.async_start, name=self.name),
            "over": lambda: over(self.over, name=self.name),
            "limit": lambda: over(self.limit, name=self.name),
            "all": lambda: over(self.all, name=self.name),
        }
        return work[self.plan.kind]() if self.plan.kind in work else self.row_by_row()

    def row_by_row(self) -> Node:
        """Return a node that takes one row at a time."""
        kind = self.plan.kind
        return node(
            self.async_work if kind.startswith("async") else self.work,
            name=self.name,
            concurrency=self.plan.concurrency if kind in {"concurrent", "unordered", "async concurrent"} else None,
            ordered=kind != "unordered",
            timeout=HARD_LIMIT if kind == "timed" else None,
            on_error="skip" if self.skips else "fail",
            max_errors=self.budget,
        )

    def numbers(self) -> Iterator[int]:
        """Give the numbers of a start's rows."""
        return itertools.count() if self.plan.kind == "endless start" else iter(range(self.plan.rows))

    def start(self, shop: str) -> Iterator[Row]:
        """Give rows."""
        with self.ledger.opened(shop):
            for number in self.numbers():
                self.may_raise(number)
                self.given += 1
                yield (self.name,), (number,)

    async def async_start(self, shop: str) -> AsyncIterator[Row]:
        """Give rows."""
        with self.ledger.opened(shop):
            for number in self.numbers():
                self.may_raise(number)
                if number % 50 == 0:
                    await asyncio.sleep(0)
                self.given += 1
                yield (self.name,), (number,)

    def work(self, row: Row, shop: str) -> object:  # noqa: ARG002  # asked for so that it is opened
        """Take a row and answer."""
        number = self.took(row)
        if self.plan.naps and number % 40 == 0:
            time.sleep(0.0005)
        return self.answer(row)

    async def async_work(self, row: Row, shop: str) -> object:  # noqa: ARG002
        """Take a row and answer."""
        number = self.took(row)
        if self.plan.naps and number % 40 == 0:
            await asyncio.sleep(0.0005)
        return self.answer(row)

    def over(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Take all rows, and answer each."""
        with self.ledger.opened("shop"):
            for row in rows:
                self.took(row)
                yield from self.answers(row)

    def limit(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Take some rows."""
        return self.over(itertools.islice(rows, self.plan.ends_after))

    def all(self, rows: Iterator[Row]) -> list[Row]:
        """Take all rows before the first answer."""
        return list(self.over(rows))

    def took(self, row: Row) -> int:
        """Count a row that was taken, and see whether it came in its order."""
        with self.counting:
            number = self.taken
            self.taken += 1
        path, key = row
        if self.plan.kind in {"plain", *OVER} and not self.ledger.disordered & set(path):
            if path in self.last and not self.last[path] < key:
                self.ledger.wrong.append(f"{self.name} took {key} after {self.last[path]} of {path}")
            self.last[path] = key
        self.may_raise(number)
        return number

    def may_raise(self, number: int) -> None:
        """Raise, where it is so planned."""
        if number in self.plan.raises_at:
            with self.counting:
                self.raised += 1
            raise PlantedError(self.name)

    def answers(self, row: Row) -> list[Row]:
        """Return the rows that a row becomes."""
        path, key = row
        count = {"drop": key[-1] % 2, "none": 0, "many": 0 if len(path) > 4 else 3}.get(self.plan.answer, 1)
        with self.counting:
            self.given += count
        return [((*path, self.name), (*key, part)) for part in range(count)]

    def answer(self, row: Row) -> object:
        """Return them as a node does."""
        rows = self.answers(row)
        if self.plan.answer == "iterator" or len(rows) > 1:
            return iter(rows)
        return rows[0] if rows else None


@dataclass
class Ledger:
    """What all nodes of a run note together."""

    disordered: frozenset[str]
    open: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def opened(self, what: str) -> Iterator[str]:
        """Count what is open."""
        self.open[what] += 1
        try:
            yield what
        finally:
            self.open[what] -= 1


@dataclass
class Play:
    """A graph made of plans, and its run."""

    plans: list[Plan]
    most_rows: int
    most_rows_overall: int

    def __post_init__(self) -> None:
        """Make the graph."""
        names = [f"n{index}" for index in range(len(self.plans))]
        self.ledger = Ledger(frozenset(name for name, plan in zip(names, self.plans, strict=True) if unordered(plan)))
        self.graph = Graph()
        self.players: dict[str, Player] = {}
        for index, (name, wanted) in enumerate(zip(names, self.plans, strict=True)):
            is_start = index == 0 or wanted.kind in STARTS
            kind = wanted.kind if wanted.kind in STARTS or not is_start else "start"
            self.players[name] = Player(name, with_kind(wanted, kind), self.ledger)
        for index, player in enumerate(self.players.values()):
            if player.plan.kind in STARTS:
                feeders = []
            else:
                feeders = sorted({names[feeder % index] for feeder in player.plan.feeders})
            place = player.plays()
            if not feeders:
                _ = self.graph >> place
            for feeder in feeders:
                _ = self.graph[feeder] >> place
        for name in self.graph.starts:
            player = self.players[name]
            followers = [self.players[after].plan.kind for after in self.graph.after(name)]
            if player.plan.kind == "endless start" and (not followers or set(followers) != {"limit"}):
                player.plan = with_kind(player.plan, "start")

    def may_end_early(self, name: str) -> bool:
        """Say whether it may come to pass that nobody wants the node's rows any more."""
        after = self.graph.after(name)
        return self.players[name].plan.kind == "limit" or bool(after and all(map(self.may_end_early, after)))

    def run(self) -> tuple[Report, NodeFailed | None]:
        """Run the graph."""
        reports: list[Report] = []
        limits = {"most_rows": self.most_rows, "most_rows_overall": self.most_rows_overall}
        try:
            with none_left_behind():
                run(self.graph, {"shop": service(lambda: self.ledger.opened("service"))}, reports.append, **limits)
        except NodeFailed as error:
            return reports[-1], error
        return reports[-1], None


def unordered(plan: Plan) -> bool:
    """Say whether a node gives its rows in another order."""
    return plan.kind == "unordered"


def with_kind(plan: Plan, kind: str) -> Plan:
    """Return the plan of another kind."""
    return Plan(**{**plan.__dict__, "kind": kind})


def in_time(work: Callable[[], Any]) -> Any:  # noqa: ANN401  # what the work returns
    """Do work in a thread, and fail the test where it hangs."""
    answers: list[Any] = []
    errors: list[BaseException] = []

    def worker() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001  # it is raised in the test
            errors.append(error)

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    thread.join(HARD_LIMIT)
    if thread.is_alive():
        faulthandler.dump_traceback()
        pytest.fail(f"the run did not end in {HARD_LIMIT:g} s")
    if errors:
        raise errors[0]
    return answers[0]


@pytest.fixture(autouse=True)
def _no_alarm(_time_limit: None) -> None:
    """Many graphs take longer than one test may; each has its own limit."""
    import signal  # noqa: PLC0415

    if hasattr(signal, "SIGALRM"):
        signal.alarm(0)


@given(
    st.lists(PLANS, min_size=2, max_size=MOST_NODES),
    st.sampled_from([1, 2, 7, 100, 2_048]),
    st.sampled_from([1, 3, 50, 65_536]),
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_graph_hangs_and_every_row_is_accounted_for(plans: list[Plan], most_rows: int, overall: int) -> None:
    play = Play(plans, most_rows, overall)
    report, failure = in_time(play.run)
    event("failed" if failure else "done")
    assert play.ledger.wrong == []
    assert not +play.ledger.open, "something was left open"
    assert {each.state for each in report.nodes} <= {State.DONE, State.FAILED, State.STOPPED}
    if failure is not None:
        check_failure(play, report, failure)
    else:
        check_counts(play, report)


def check_failure(play: Play, report: Report, failure: NodeFailed) -> None:
    """The failure is a planted one, of the node that is named, and beyond what it may skip."""
    assert isinstance(failure.__cause__, PlantedError)
    assert failure.__cause__.name == failure.node
    player = play.players[failure.node]
    counts = report[failure.node]
    assert (counts.state, counts.errors) == (State.FAILED, 1)
    assert not player.skips or counts.skipped == player.budget
    assert report.state is State.FAILED
    assert report.error == str(failure)


def check_counts(play: Play, report: Report) -> None:
    """Every row that was put on an edge was taken from it, and every row that was taken was answered or skipped."""
    assert report.state is State.DONE
    for name, player in play.players.items():
        counts = report[name]
        assert (counts.state, counts.errors) == (State.DONE, 0)
        assert len(counts.samples) == min(counts.skipped, 5)
        if play.may_end_early(name):
            event("ended early")
            continue
        before = play.graph.before(name)
        assert counts.rows_in == (sum(report[feeder].rows_out for feeder in before) if before else 1)
        assert counts.rows_out == player.given
        assert counts.skipped == player.raised
        assert player.skips or not player.raised
        assert not before or counts.rows_in == player.taken
