"""Which of the nodes that could begin begins next, and how many of a kind are at work at once."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from infra_orch.graph.graph import Graph


@dataclass(frozen=True)
class Pace:
    """How a run goes about its work: on so many *workers*, until *max_failures* nodes have failed (None: to the end).

    *limits*: of the nodes that have a key at most so many at once. *keys*: those of each node, limited or not.
    *seconds*: how long nodes took the last time, as far as that is known.
    """

    workers: int
    max_failures: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, Collection[str]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


class ReadyQueue:
    """Nodes that could begin. The one whose work, with all that waits for it, takes longest comes first.

    Nodes that share the same limits wait in one line, so that a long line costs nothing while it stands.
    """

    def __init__(self, graph: Graph, pace: Pace) -> None:
        self._limits = pace.limits
        self._keys = {node: frozenset(pace.keys.get(node, ())).intersection(pace.limits) for node in graph.upstream}
        self._left = _seconds_left(graph, pace.seconds)
        self._lines: dict[frozenset[str], list[tuple[float, str]]] = {}
        self._at_work: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def add(self, node: str) -> None:
        """*node* could begin."""
        heapq.heappush(self._lines.setdefault(self._keys[node], []), (-self._left[node], node))

    def take(self) -> str | None:
        """Return the node that begins now; None where none may. It counts against its limits until it is given back."""
        free = [line for keys, line in self._lines.items() if line and not self._full(keys)]
        if not free:
            return None
        _, node = heapq.heappop(min(free, key=lambda line: line[0]))
        self._at_work.update(self._keys[node])
        return node

    def give_back(self, node: str) -> None:
        """*node* is no longer at work."""
        self._at_work.subtract(self._keys[node])

    def _full(self, keys: Collection[str]) -> bool:
        return any(self._at_work[key] >= self._limits[key] for key in keys)


def _seconds_left(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """How long the longest way from each node to an end takes. A node of which nothing is known takes as long as others
    do on average.
    """
    known = [seconds[node] for node in graph.upstream if node in seconds]
    usual = sum(known) / len(known) if known else 1.0
    left: dict[str, float] = {}
    for node in reversed(list(graph.order())):
        left[node] = seconds.get(node, usual) + max((left[after] for after in graph.downstream[node]), default=0.0)
    return left
