"""Walk a graph with a ready queue: no level barriers, and a failure blocks only what depends on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from infra_orch.graph.graph import Graph
from infra_orch.run.executor import Executor
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.pace import Pace, ReadyQueue


def walk(
    graph: Graph,
    work: Callable[[str], Outcome],
    executor: Executor[Outcome],
    *,
    stopping: Callable[[], bool],
    lets_on: Callable[[Outcome], bool],
    pace: Pace,
    at_once: Callable[[str], Outcome | None] = lambda _: None,
) -> dict[str, Outcome]:
    """Do *work* on every node once all that is upstream of it is done, and return all outcomes by name.

    Where *lets_on* says no to an outcome, what is downstream is blocked, and everything else goes on, as far as *pace*
    lets it. Once *stopping* says yes nothing new is begun, and what was not begun is cancelled. *at_once* may give the
    outcome of a node on which there is next to nothing to do, for which no other thread is worth its while. *work* must
    not raise for a node's own failure, and neither must that. The graph must have no cycle.
    """
    return _Walk(graph, work, executor, stopping, lets_on, pace, at_once).all()


class _Walk:
    """A walk under way."""

    def __init__(
        self,
        graph: Graph,
        work: Callable[[str], Outcome],
        executor: Executor[Outcome],
        stopping: Callable[[], bool],
        lets_on: Callable[[Outcome], bool],
        pace: Pace,
        at_once: Callable[[str], Outcome | None],
    ) -> None:
        self._graph = graph
        self._work = work
        self._executor = executor
        self._stopping = stopping
        self._lets_on = lets_on
        self._at_once = at_once
        self._most_failures = pace.max_failures
        self._ready = ReadyQueue(graph, pace)
        self._outcomes: dict[str, Outcome] = {}
        self._failures: list[str] = []
        self._missing = {node: len(upstream) for node, upstream in graph.upstream.items()}
        self._arrived = deque(node for node, count in self._missing.items() if not count)

    def all(self) -> dict[str, Outcome]:
        """Walk to the end; the outcomes in the graph's order."""
        while self._arrived or self._ready or self._executor.busy:
            self._look_at_arrived()
            self._begin()
            if not self._arrived and self._executor.busy:
                self._wait()
        return {node: self._outcomes[node] for node in self._graph.order()}

    def _look_at_arrived(self) -> None:
        while self._arrived:
            node = self._arrived.popleft()
            if outcome := self._unbegun(node) or self._at_once(node):
                self._settle(node, outcome)
            else:
                self._ready.add(node)

    def _begin(self) -> None:
        while self._executor.has_room and (node := self._ready.take()):
            if outcome := self._unbegun(node):
                self._ready.give_back(node)
                self._settle(node, outcome)
            else:
                self._executor.submit(node, partial(self._work, node))

    def _wait(self) -> None:
        for node, outcome in self._executor.wait_any():
            self._ready.give_back(node)
            self._settle(node, outcome)

    def _unbegun(self, node: str) -> Outcome | None:
        """The outcome of a node that is not to begin."""
        upstream = [self._outcomes[first] for first in sorted(self._graph.upstream[node])]
        if culprits := [outcome for outcome in upstream if not self._lets_on(outcome)]:
            return blocked(node, culprits)
        if self._stopping():
            return cancelled(node)
        if self._most_failures is not None and len(self._failures) >= self._most_failures:
            return given_up(node, self._failures)
        return None

    def _settle(self, node: str, outcome: Outcome) -> None:
        self._outcomes[node] = outcome
        if outcome.status is Status.FAILED:
            self._failures.append(node)
        for after in sorted(self._graph.downstream[node]):
            self._missing[after] -= 1
            if not self._missing[after]:
                self._arrived.append(after)


def blocked(node: str, culprits: Sequence[Outcome]) -> Outcome:
    """The outcome of a node that waits for something that will not come, with the root of that."""
    failed = [culprit for culprit in culprits if not _was_stopped(culprit)]
    if not failed:
        return cancelled(node)
    culprit = failed[0]
    root = culprit.failure.summary if culprit.status is Status.BLOCKED and culprit.failure else ""
    summary = root or f"{culprit.name} {_WORDS.get(culprit.status, culprit.status)}"
    return Outcome(node, Status.BLOCKED, failure=Failure(summary, kind="blocked"))


def _was_stopped(outcome: Outcome) -> bool:
    interrupted = outcome.failure is not None and outcome.failure.kind == "interrupted"
    return outcome.status is Status.CANCELLED or interrupted


_WORDS = {Status.REFUSED: "was refused", Status.DEFERRED: "is deferred"}


def cancelled(node: str) -> Outcome:
    """The outcome of a node that was not begun because the run was stopped."""
    return Outcome(node, Status.CANCELLED, failure=Failure("the run was stopped before it began", kind="cancelled"))


def given_up(node: str, failures: Sequence[str]) -> Outcome:
    """The outcome of a node that was not begun because as many others had failed as may."""
    summary = f"not begun: {', '.join(failures[:3])}{' and others' if len(failures) > 3 else ''} failed"
    return Outcome(node, Status.BLOCKED, failure=Failure(summary, kind="blocked"))
