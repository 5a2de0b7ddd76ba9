"""The scheduler: whatever the graph and whatever fails, every node comes to one outcome, at the right time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra_orch.graph.graph import Graph
from infra_orch.run.executor import ThreadExecutor
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.pace import Pace
from infra_orch.run.schedule import walk

ENDINGS = st.sampled_from([Status.APPLIED, Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.REFUSED])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    names = [f"n{number:02}" for number in range(draw(st.integers(0, 12)))]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    order = draw(st.permutations(names))
    renamed = dict(zip(names, order, strict=True))
    return Graph.of(names, [(renamed[a], renamed[b]) for a, b in edges])


class Watch:
    """Work that ends as it is told to, and notes what ran when."""

    def __init__(self, endings: dict[str, Status]) -> None:
        self.endings = endings
        self.events: list[tuple[str, str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def work(self, node: str) -> Outcome:
        with self._lock:
            self.events.append(("begin", node))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(0.0005)
        with self._lock:
            self._at_once -= 1
            self.events.append(("end", node))
        return Outcome(node, self.endings[node])


def run(
    graph: Graph,
    work: Callable[[str], Outcome],
    workers: int,
    stopping: Callable[[], bool] = lambda: False,
    at_once: Callable[[str], Outcome | None] = lambda _: None,
    **pace: Any,
) -> dict[str, Outcome]:
    pool: ThreadExecutor[Outcome] = ThreadExecutor(workers)
    lets_on = lambda outcome: outcome.status.lets_on  # noqa: E731
    try:
        how = {"stopping": stopping, "lets_on": lets_on, "at_once": at_once}
        return walk(graph, work, pool, pace=Pace(workers, **pace), **how)
    finally:
        pool.close()


@settings(deadline=None, max_examples=60)
@given(graph=graphs(), workers=st.integers(1, 4), data=st.data())
def test_each_node_runs_once_after_what_it_needs_or_is_blocked(graph: Graph, workers: int, data: st.DataObject) -> None:
    watch = Watch({node: data.draw(ENDINGS) for node in graph.upstream})
    outcomes = run(graph, watch.work, workers)
    assert list(outcomes) == list(graph.order())
    ran = [node for event, node in watch.events if event == "begin"]
    for node in graph.upstream:
        above = graph.closure([node], down=False) - {node}
        if above & {other for other in graph.upstream if outcomes[other].status in (Status.FAILED, Status.REFUSED)}:
            assert (outcomes[node].status, node in ran) == (Status.BLOCKED, False)
        else:
            assert (outcomes[node].status, ran.count(node)) == (watch.endings[node], 1)
            assert all(watch.events.index(("end", first)) < watch.events.index(("begin", node)) for first in above)
    assert watch.most_at_once <= workers


@settings(deadline=None, max_examples=30)
@given(graph=graphs(), data=st.data())
def test_what_is_done_at_once_lets_on_or_blocks_as_all_else_does(graph: Graph, data: st.DataObject) -> None:
    watch = Watch({node: data.draw(ENDINGS) for node in graph.upstream})
    quick = {node: Outcome(node, watch.endings[node]) for node in graph.upstream if data.draw(st.booleans())}
    outcomes = run(graph, watch.work, 2, at_once=quick.get)
    assert {node: outcome.status for node, outcome in outcomes.items()} == {
        node: outcome.status for node, outcome in run(graph, watch.work, 2).items()
    }
    watch.events.clear()
    run(graph, watch.work, 2, at_once=quick.get)
    assert not quick.keys() & {node for _, node in watch.events}


@settings(deadline=None, max_examples=60)
@given(graph=graphs(), data=st.data())
def test_what_is_blocked_names_a_node_that_failed(graph: Graph, data: st.DataObject) -> None:
    watch = Watch({node: data.draw(ENDINGS) for node in graph.upstream})
    outcomes = run(graph, watch.work, 2)
    for node, outcome in outcomes.items():
        if outcome.status is Status.BLOCKED:
            assert outcome.failure is not None
            culprit = outcome.failure.summary.split()[0]
            assert outcomes[culprit].status in (Status.FAILED, Status.REFUSED)
            assert culprit in graph.closure([node], down=False)


@settings(deadline=None, max_examples=30)
@given(graph=graphs(), after=st.integers(0, 6))
def test_once_stopped_nothing_new_begins_and_all_is_accounted_for(graph: Graph, after: int) -> None:
    stopped = threading.Event()
    begun: list[str] = []

    def work(node: str) -> Outcome:
        assert not stopped.is_set()
        begun.append(node)
        if len(begun) > after:
            stopped.set()
        return Outcome(node, Status.APPLIED)

    outcomes = run(graph, work, 1, stopped.is_set)
    assert {node for node, outcome in outcomes.items() if outcome.status is Status.APPLIED} == set(begun)
    assert {outcome.status for node, outcome in outcomes.items() if node not in begun} <= {Status.CANCELLED}
    assert len(begun) == min(after + 1, len(graph.upstream))


def test_a_slow_node_holds_up_nothing_that_does_not_need_it() -> None:
    graph = Graph.of(["slow", "a", "b", "c"], [("a", "b"), ("b", "c")])
    ended = threading.Event()

    def work(node: str) -> Outcome:
        if node == "slow":
            assert ended.wait(20), "c waits for slow, which it does not need"
        if node == "c":
            ended.set()
        return Outcome(node, Status.APPLIED)

    assert {outcome.status for outcome in run(graph, work, 2).values()} == {Status.APPLIED}


def test_what_waits_for_a_worker_is_not_begun_after_a_stop() -> None:
    stopped = threading.Event()

    def work(node: str) -> Outcome:
        stopped.set()
        return Outcome(node, Status.APPLIED)

    outcomes = run(Graph.of(["a", "b", "c"], []), work, 1, stopped.is_set)
    assert [outcome.status for outcome in outcomes.values()] == [Status.APPLIED, Status.CANCELLED, Status.CANCELLED]


def test_below_a_cancelled_and_a_failed_node_the_failed_one_is_named() -> None:
    graph = Graph.of(["a", "b", "c"], [("a", "c"), ("b", "c")])
    endings = {"a": Status.CANCELLED, "b": Status.FAILED}
    outcomes = run(graph, lambda node: Outcome(node, endings[node]), 2)
    assert outcomes["c"].failure is not None
    assert (outcomes["c"].status, outcomes["c"].failure.summary) == (Status.BLOCKED, "b failed")


@settings(deadline=None, max_examples=40)
@given(graph=graphs(), limits=st.dictionaries(st.sampled_from("xyz"), st.integers(1, 2)), data=st.data())
def test_of_nodes_that_share_a_key_no_more_are_at_work_at_once_than_may(
    graph: Graph, limits: dict[str, int], data: st.DataObject
) -> None:
    keys = {node: data.draw(st.sets(st.sampled_from("xyz"))) for node in graph.upstream}
    watch = Watch(dict.fromkeys(graph.upstream, Status.APPLIED))
    outcomes = run(graph, watch.work, 4, limits=limits, keys=keys)
    assert {outcome.status for outcome in outcomes.values()} <= {Status.APPLIED}
    for key, most in limits.items():
        at_work = 0
        for event, node in watch.events:
            if key in keys[node]:
                at_work += 1 if event == "begin" else -1
                assert at_work <= most


def test_what_takes_longest_with_all_that_waits_for_it_comes_first() -> None:
    graph = Graph.of(["a", "b", "c", "first", "last", "unknown"], [("first", "last")])
    watch = Watch(dict.fromkeys(graph.upstream, Status.APPLIED))
    run(graph, watch.work, 1, seconds={"a": 1.0, "b": 5.0, "c": 3.0, "first": 2.0, "last": 4.0})
    assert [node for event, node in watch.events if event == "begin"] == ["first", "b", "last", "c", "unknown", "a"]


def test_where_nothing_is_known_of_durations_the_longest_chain_comes_first() -> None:
    graph = Graph.of(["a", "b", "c", "z"], [("z", "c")])
    watch = Watch(dict.fromkeys(graph.upstream, Status.APPLIED))
    run(graph, watch.work, 1)
    assert [node for event, node in watch.events if event == "begin"] == ["z", "a", "b", "c"]


def test_once_as_many_have_failed_as_may_nothing_more_begins_and_each_node_says_why() -> None:
    graph = Graph.of(["a", "b", "c", "d", "e"], [("d", "e")])
    endings = {"a": Status.FAILED, "b": Status.APPLIED, "c": Status.FAILED}
    seconds = {"a": 9.0, "b": 8.0, "c": 7.0, "d": 1.0, "e": 1.0}
    outcomes = run(graph, lambda node: Outcome(node, endings[node]), 1, max_failures=2, seconds=seconds)
    told = {node: outcome.failure.summary for node, outcome in outcomes.items() if outcome.failure}
    assert [outcomes[node].status for node in "abc"] == [Status.FAILED, Status.APPLIED, Status.FAILED]
    assert told == {"d": "not begun: a, c failed", "e": "not begun: a, c failed"}
