"""Graphs as they are built: chains, forks, merges, and what cannot be built."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.errors import GraphError, UnknownName
from tallyline.graph import Graph, node, run


def test_a_chain_is_connected_in_its_order() -> None:
    graph = Graph([1], str, len, print)
    assert graph.names == ("list", "str", "len", "print")
    assert graph.edges == (("list", "str"), ("str", "len"), ("len", "print"))


def test_an_empty_graph_has_nothing() -> None:
    graph = Graph()
    assert (graph.names, graph.edges, graph.starts, graph.ends) == ((), (), (), ())


def test_the_operator_builds_the_same_as_the_chain() -> None:
    graph = Graph()
    _ = graph >> [1] >> str >> len
    assert graph.edges == Graph([1], str, len).edges


def test_a_fork_feeds_both_branches() -> None:
    graph = Graph([1], str)
    _ = graph["list"] >> len
    assert graph.after("list") == ("str", "len")
    assert graph.ends == ("str", "len")


def test_a_merge_is_fed_by_both_branches() -> None:
    graph = Graph([1], str, print)
    _ = graph >> {2} >> graph["print"]
    assert graph.before("print") == ("str", "set")
    assert graph.starts == ("list", "set")


def test_the_same_callable_twice_is_two_nodes() -> None:
    graph = Graph([1], str, str, str)
    assert graph.edges == (("list", "str"), ("str", "str-2"), ("str-2", "str-3"))


def test_a_name_that_is_taken_is_counted_further() -> None:
    graph = Graph([1], str, node(len, name="str-2"), str)
    assert graph.names == ("list", "str", "str-2", "str-3")


def test_the_same_node_twice_is_one_place() -> None:
    collect = node(print)
    graph = Graph([1], str, collect)
    _ = graph["list"] >> len >> collect
    assert graph.names == ("list", "str", "print", "len")
    assert graph.before("print") == ("str", "len")


def test_a_connection_made_twice_is_one() -> None:
    graph = Graph([1], str)
    _ = graph["list"] >> graph["str"]
    assert graph.edges == (("list", "str"),)


def test_a_place_leads_on_from_where_it_is() -> None:
    graph = Graph()
    place = graph >> [1] >> str
    _ = place >> len
    _ = place >> print
    assert graph.after("str") == ("len", "print")


def test_a_graph_knows_the_names_of_its_nodes() -> None:
    graph = Graph([1], str)
    assert "str" in graph
    assert "len" not in graph
    assert graph.node("str").work is str


def test_a_graph_that_is_followed_stays_as_it_was() -> None:
    graph = Graph([1], str)
    longer = graph.followed_by(len, print)
    assert graph.names == ("list", "str")
    assert longer.edges == (("list", "str"), ("str", "len"), ("len", "print"))


def test_every_end_of_a_graph_is_followed() -> None:
    graph = Graph([1], str)
    _ = graph["list"] >> float
    assert graph.followed_by(print).before("print") == ("str", "float")


def test_a_cycle_is_refused_and_told() -> None:
    graph = Graph([1], str, len, print)
    with pytest.raises(GraphError) as refused:
        _ = graph["print"] >> graph["str"]
    assert str(refused.value) == "print >> str would close a cycle: str >> len >> print >> str"


def test_a_self_loop_is_refused() -> None:
    graph = Graph([1], str)
    with pytest.raises(GraphError) as refused:
        graph.connect("str", "str")
    assert str(refused.value) == "str >> str would close a cycle: str >> str"


def test_a_node_that_comes_again_in_its_own_chain_is_refused() -> None:
    again = node(str)
    with pytest.raises(GraphError, match=r"^len >> str would close a cycle: str >> len >> str$"):
        Graph([1], again, len, again)


def test_a_refused_connection_is_not_made() -> None:
    graph = Graph([1], str, len)
    with pytest.raises(GraphError):
        graph.connect("len", "str")
    assert graph.edges == (("list", "str"), ("str", "len"))


def test_an_unknown_place_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownName) as refused:
        Graph([1], str)["srt"]
    assert str(refused.value) == 'there is no node "srt"; did you mean "str"? There are: list, str'


@pytest.mark.parametrize(("before", "after"), [("list", "nowhere"), ("nowhere", "list"), ("nowhere", "nowhere")])
def test_an_unknown_name_is_not_connected(before: str, after: str) -> None:
    graph = Graph([1], str)
    with pytest.raises(UnknownName, match=r'^there is no node "nowhere"; there are: list, str$'):
        graph.connect(before, after)


def test_places_of_two_graphs_are_not_joined() -> None:
    with pytest.raises(GraphError, match=r"^str belongs to another graph: only places of one graph can be joined$"):
        _ = Graph([1])["list"] >> Graph([1], str)["str"]


@pytest.mark.parametrize("work", [3, None])
def test_what_is_no_node_is_refused_in_a_chain(work: object) -> None:
    with pytest.raises(GraphError, match="cannot be a node: a node is an iterable or a callable"):
        Graph([1], work, print)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_connections_are_refused_exactly_where_they_close_a_cycle(wanted: list[tuple[int, int]]) -> None:
    graph = Graph()
    for number in range(6):
        _ = graph >> node(str, name=str(number))
    made: list[tuple[int, int]] = []
    for edge in wanted:
        closes = has_cycle([*made, edge])
        try:
            graph.connect(str(edge[0]), str(edge[1]))
        except GraphError:
            assert closes
        else:
            assert not closes
            made.append(edge)
    assert graph.edges == tuple((str(before), str(after)) for before, after in dict.fromkeys(made))


def has_cycle(edges: list[tuple[int, int]]) -> bool:
    feeders: dict[int, set[int]] = {}
    for before, after in edges:
        feeders.setdefault(after, set()).add(before)
    try:
        TopologicalSorter(feeders).prepare()
    except CycleError:
        return True
    return any(before == after for before, after in edges)


def test_a_graph_that_starts_with_an_iterator_runs_once() -> None:
    graph = Graph(iter([1, 2]), str)
    run(graph)

    with pytest.raises(GraphError, match="list_iterator is an iterator and was used up by the first run"):
        run(graph)


def test_a_graph_may_begin_with_another_graph_which_stays_as_it_was() -> None:
    both = Graph([1, 2], node(str, name="left"))
    _ = both["list"] >> node(float, name="right")
    rows: list[object] = []
    run(Graph(both, rows.append))
    assert sorted(map(str, rows)) == ["1", "1.0", "2", "2.0"]
    assert both.names == ("list", "left", "right")
