"""What every node takes in and gives out is counted exactly, in graphs of every shape."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tallyline.errors import NodeFailed
from tallyline.graph import Graph, Report, State, node, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = tuple[str, ...]  # the names of the nodes that it came through, and its number
    Answer = Callable[[Row], object]

ANSWERS: dict[str, Answer] = {
    "same": lambda row: row,
    "none": lambda _: None,
    "half": lambda row: row if int(row[0]) % 2 else None,
    "twice": lambda row: iter([row, row]),
    "often": lambda row: (row for _ in range(int(row[0]) % 4)),
    "mixed": lambda row: map(tuple, [row]) if int(row[0]) % 2 else row,
}
_NO_CREWS: dict[str, int] = {}
SIZES = st.sampled_from([0, 1, 2, 5, 127, 128, 129, 300])


@dataclass(frozen=True)
class Plan:
    """A graph to be: each node has a number, the lower of which feed the higher."""

    starts: dict[str, int]
    answers: dict[str, str]
    edges: list[tuple[str, str]]

    def before(self, name: str) -> list[str]:
        """Return who feeds the node."""
        return [before for before, after in self.edges if after == name]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw graphs of up to seven nodes."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 7)))]
    edges = [
        (before, after)
        for index, after in enumerate(names)
        for before in names[:index]
        if draw(st.sampled_from([True, False, False]))
    ]
    fed = {after for _, after in edges}
    return Plan(
        {name: draw(SIZES) for name in names if name not in fed},
        {name: draw(st.sampled_from(sorted(ANSWERS))) for name in names if name in fed},
        edges,
    )


def expected(plan: Plan) -> tuple[Counter[str], Counter[str]]:
    """Count what every node takes in and gives out, node by node and row by row."""
    given_out: dict[str, list[Row]] = {}
    taken_in: Counter[str] = Counter()
    for name in sorted([*plan.starts, *plan.answers]):
        rows = [row for before in plan.before(name) for row in given_out[before]]
        taken_in[name] = 1 if name in plan.starts else len(rows)
        given_out[name] = given_out_by(name, plan, rows)
    return taken_in, Counter({name: len(rows) for name, rows in given_out.items()})


def given_out_by(name: str, plan: Plan, taken: list[Row]) -> list[Row]:
    if name in plan.starts:
        return [(str(number), name) for number in range(plan.starts[name])]
    return [(*row, name) for row in taken for _ in range(count_of(plan.answers[name], row))]


def count_of(answer: str, row: Row) -> int:
    number = int(row[0])
    return {"same": 1, "none": 0, "half": number % 2, "twice": 2, "often": number % 4, "mixed": 1}[answer]


class Watched:
    """The graph of a plan, in which every node notes what it takes, and one may fail."""

    def __init__(
        self, plan: Plan, *, fails: tuple[str, int] | None = None, crews: Mapping[str, int] = _NO_CREWS
    ) -> None:
        self.taken: dict[str, list[Row]] = defaultdict(list)
        self._fails = fails
        self.graph = Graph()
        for name, size in plan.starts.items():
            _ = self.graph >> node([(str(number), name) for number in range(size)], name=name)
        for name, answer in plan.answers.items():
            _ = self.graph >> node(self._through(name, ANSWERS[answer]), name=name, concurrency=crews.get(name))
        for before, after in plan.edges:
            self.graph.connect(before, after)

    def _through(self, name: str, answer: Answer) -> Answer:
        def through(row: Row) -> object:
            self.taken[name].append(row)
            if self._fails == (name, len(self.taken[name])):
                raise ValueError(name)
            return answer((*row, name))

        return through


@settings(deadline=None, max_examples=150)
@given(plans(), st.sampled_from([1, 100, 10_000]), st.data())
def test_every_node_is_counted_exactly(plan: Plan, room: int, data: st.DataObject) -> None:
    """Also where there is hardly any room for rows that wait, and where nodes work on several rows at a time."""
    crews = data.draw(st.dictionaries(st.sampled_from(sorted([*plan.starts, *plan.answers])), st.integers(1, 3)))
    watched = Watched(plan, crews=crews)
    report = run(watched.graph, most_rows=room, most_rows_overall=room)
    taken_in, given_out = expected(plan)
    assert {counts.name: counts.rows_in for counts in report.nodes} == taken_in
    assert {counts.name: counts.rows_out for counts in report.nodes} == given_out
    assert {(counts.errors, counts.state) for counts in report.nodes} == {(0, State.DONE)}


@settings(deadline=None, max_examples=150)
@given(plans())
def test_rows_keep_their_order_on_every_edge(plan: Plan) -> None:
    watched = Watched(plan)
    run(watched.graph)
    for before, after in plan.edges:
        arrived = [row for row in watched.taken[after] if row[-1] == before]
        assert arrived == given_out_by(before, plan, watched.taken[before])


@settings(deadline=None, max_examples=150)
@given(plans())
def test_a_node_takes_in_what_those_before_it_give_out(plan: Plan) -> None:
    report = run(Watched(plan).graph)
    for name in plan.answers:
        assert report[name].rows_in == sum(report[before].rows_out for before in plan.before(name))


@settings(deadline=None, max_examples=150)
@given(plans(), st.data())
def test_the_node_that_fails_is_the_only_one_to_have_an_error(plan: Plan, data: st.DataObject) -> None:
    if not plan.answers:
        return
    name = data.draw(st.sampled_from(sorted(plan.answers)))
    row = data.draw(st.sampled_from([1, 2, 100, 128, 129, 500]))
    watched = Watched(plan, fails=(name, row))
    observed: list[Report] = []
    if expected(plan)[0][name] < row:
        event("too few rows to fail")
        assert run(watched.graph).state is State.DONE
        return
    with pytest.raises(NodeFailed) as failed:
        run(watched.graph, observe=observed.append)
    assert (failed.value.node, failed.value.row) == (name, watched.taken[name][row - 1])
    counts = {each.name: each for each in observed[-1].nodes}
    assert observed[-1].state is State.FAILED
    assert {each.name: each.errors for each in counts.values() if each.errors} == {name: 1}
    assert counts[name].state is State.FAILED
    assert counts[name].rows_in == row
    assert {each.state for each in counts.values() if each.name != name} <= {State.STOPPED, State.DONE}
