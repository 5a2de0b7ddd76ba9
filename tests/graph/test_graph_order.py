"""Order, circles, reversal and narrowing of graphs, for graphs of every shape."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra_orch.graph.graph import Graph

NAMES = "abcdefgh"
QUICK = settings(max_examples=150, deadline=None, database=None)


@st.composite
def acyclic(draw: st.DrawFn) -> Graph:
    """A graph whose edges all lead from earlier to later in some order of its names."""
    names = draw(st.permutations(NAMES[: draw(st.integers(0, len(NAMES)))]))
    pairs = list(itertools.combinations(names, 2))
    return Graph.of(names, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else [])


ANY = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), unique=True).map(
    lambda edges: Graph.of(NAMES, edges)
)


def reaches(graph: Graph, first: str, last: str) -> bool:
    """Whether a path leads from *first* to *last*, by trying them all."""
    seen, waiting = set(), [first]
    while waiting:
        node = waiting.pop()
        for after in graph.downstream[node]:
            if after == last:
                return True
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return False


@QUICK
@given(graph=acyclic())
def test_every_node_comes_once_and_after_all_that_is_upstream_of_it(graph: Graph) -> None:
    place = {node: number for number, node in enumerate(graph.order())}
    assert place.keys() == graph.upstream.keys()
    assert all(place[first] < place[then] for first, then in graph.edges)


@QUICK
@given(graph=acyclic())
def test_the_order_is_the_same_however_the_graph_was_made(graph: Graph) -> None:
    again = Graph.of(reversed(graph.upstream), reversed(graph.edges))
    assert list(again.order()) == list(graph.order())


@QUICK
@given(graph=acyclic())
def test_reversed_twice_is_the_same(graph: Graph) -> None:
    assert graph.reversed().reversed() == graph
    assert {(then, first) for first, then in graph.edges} == set(graph.reversed().edges)


@QUICK
@given(graph=ANY)
def test_a_circle_is_a_path_that_ends_where_it_begins_and_is_found_where_there_is_one(graph: Graph) -> None:
    cycle = graph.cycle()
    assert bool(cycle) == any(reaches(graph, node, node) for node in NAMES)
    assert all(step in graph.edges for step in itertools.pairwise(cycle))
    assert not cycle or (cycle[0] == cycle[-1] == min(cycle))


@QUICK
@given(graph=ANY, names=st.sets(st.sampled_from(NAMES)), down=st.booleans())
def test_a_closure_holds_what_can_be_reached_and_nothing_else(graph: Graph, names: set[str], down: bool) -> None:
    way = graph if down else graph.reversed()
    expected = names | {node for node in NAMES for name in names if reaches(way, name, node)}
    assert graph.closure(names, down=down) == expected


@QUICK
@given(graph=acyclic(), keep=st.sets(st.sampled_from(NAMES)))
def test_a_part_keeps_the_order_that_what_is_left_out_implied(graph: Graph, keep: set[str]) -> None:
    part = graph.only(keep)
    kept = keep & graph.upstream.keys()
    assert part.upstream.keys() == kept
    for first, then in itertools.permutations(kept, 2):
        assert reaches(part, first, then) == reaches(graph, first, then)


def test_an_edge_to_nothing_is_refused() -> None:
    with pytest.raises(KeyError):
        Graph.of("a", [("a", "b")])


def test_a_long_chain_is_no_deep_recursion() -> None:
    names = [f"n{number:05}" for number in range(5000)]
    chain = Graph.of(names, itertools.pairwise(names))
    assert list(chain.order()) == names
    assert chain.closure(names[:1], down=True) == frozenset(names)
    assert list(chain.only({names[0], names[-1]}).edges) == [(names[0], names[-1])]
