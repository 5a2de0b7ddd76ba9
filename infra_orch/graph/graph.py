"""A directed graph of names: order, cycles, reversal, and narrowing to a part. It knows nothing of stacks."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Graph:
    """Nodes by name, each with the names that must come before it. Ties are always broken by name."""

    upstream: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> Graph:
        """Make a graph from names and edges (before, after). Raises KeyError for an edge to a name that is no node."""
        before: dict[str, set[str]] = {node: set() for node in nodes}
        for first, second in edges:
            if first not in before:
                raise KeyError(first)
            before[second].add(first)
        return cls({node: frozenset(before[node]) for node in sorted(before)})

    @cached_property
    def downstream(self) -> Mapping[str, frozenset[str]]:
        """Each node with the names that come directly after it."""
        after: dict[str, set[str]] = {node: set() for node in self.upstream}
        for node, firsts in self.upstream.items():
            for first in firsts:
                after[first].add(node)
        return {node: frozenset(after[node]) for node in after}

    @cached_property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All edges (before, after), sorted."""
        return tuple(sorted((first, node) for node, firsts in self.upstream.items() for first in firsts))

    def cycle(self) -> tuple[str, ...]:
        """A cycle as a path, `("a", "b", "a")`, or nothing where there is none."""
        try:
            graphlib.TopologicalSorter(self.upstream).prepare()
        except graphlib.CycleError as error:
            path: list[str] = error.args[1][:-1]
            start = path.index(min(path))
            path = path[start:] + path[:start]
            return (*path, path[0])
        return ()

    def order(self) -> Iterator[str]:
        """Yield the nodes so that each comes after all of its upstream. The graph must have no cycle."""
        sorter = graphlib.TopologicalSorter(self.upstream)
        sorter.prepare()
        while ready := sorted(sorter.get_ready()):
            yield from ready
            sorter.done(*ready)

    def reversed(self) -> Graph:
        """The same graph the other way round, as destroy walks it."""
        return Graph({node: self.downstream[node] for node in self.upstream})

    def closure(self, nodes: Iterable[str], *, down: bool) -> frozenset[str]:
        """*nodes* and all that is (transitively) downstream of them, or upstream where *down* is false."""
        step = self.downstream if down else self.upstream
        found = set(nodes)
        frontier = list(found)
        while frontier:
            for node in step[frontier.pop()]:
                if node not in found:
                    found.add(node)
                    frontier.append(node)
        return frozenset(found)

    def without(self, nodes: Collection[str]) -> Graph:
        """The graph less *nodes* and their edges; unlike `only`, with no order that went through them."""
        return Graph({node: firsts.difference(nodes) for node, firsts in self.upstream.items() if node not in nodes})

    def only(self, nodes: Collection[str]) -> Graph:
        """The graph narrowed to *nodes*, keeping the order that nodes left out implied between them.

        Costs a walk over the edges for every left-out node's own neighbours only, so it is linear in practice.
        """
        keep = frozenset(nodes)
        reach: dict[str, frozenset[str]] = {}
        for node in self.order():
            # Through a node that is left out, its own kept upstream is what its downstream waits for.
            reach[node] = frozenset().union(
                *({first} if first in keep else reach[first] for first in self.upstream[node])
            )
        return Graph({node: reach[node] for node in self.upstream if node in keep})
