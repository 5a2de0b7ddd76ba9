"""Walk a graph with a ready queue: no level barriers, and a failure blocks only what depends on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from infra_orch.graph.graph import Graph
from infra_orch.run.executor import Executor
from infra_orch.run.outcome import Failure, Outcome, Status


def walk(
    graph: Graph,
    work: Callable[[str], Outcome],
    executor: Executor[Outcome],
    *,
    stopping: Callable[[], bool],
    lets_on: Callable[[Outcome], bool],
) -> dict[str, Outcome]:
    """Do *work* on every node once all that is upstream of it is done, and return all outcomes by name.

    Where *lets_on* says no to an outcome, what is downstream is blocked, and everything else goes on. Once *stopping*
    says yes nothing new is begun, and what was not begun is cancelled. *work* must not raise for a node's own failure.
    The graph must have no cycle.
    """
    outcomes: dict[str, Outcome] = {}
    waiting = {node: len(upstream) for node, upstream in graph.upstream.items()}
    ready = sorted(node for node, count in waiting.items() if not count)
    while ready or executor.busy:
        for node in ready:
            culprits = [outcomes[first] for first in sorted(graph.upstream[node]) if not lets_on(outcomes[first])]
            if culprits:
                outcomes[node] = blocked(node, culprits)
            elif stopping():
                outcomes[node] = cancelled(node)
            else:
                executor.submit(node, partial(_unless_stopping, node, work, stopping))
        settled = [node for node in ready if node in outcomes]
        if not settled:
            for node, outcome in executor.wait_any():
                outcomes[node] = outcome
                settled.append(node)
        ready = []
        for node in settled:
            for after in graph.downstream[node]:
                waiting[after] -= 1
                if not waiting[after]:
                    ready.append(after)
        ready.sort()
    return {node: outcomes[node] for node in graph.order()}


def _unless_stopping(node: str, work: Callable[[str], Outcome], stopping: Callable[[], bool]) -> Outcome:
    """It may have waited for a free worker, and the run was stopped meanwhile."""
    return cancelled(node) if stopping() else work(node)


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
