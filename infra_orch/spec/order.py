"""The order of a stack's units and tasks: its graph, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from infra_orch.errors import Problem, nearest
from infra_orch.graph.graph import Graph
from infra_orch.project import stack_and_unit
from infra_orch.spec.elsewhere import Elsewhere, Missing
from infra_orch.spec.stack import Stack, Task, Unit
from infra_orch.spec.wiring import Wiring

_MOST_CYCLES = 10


def order(stack: Stack, wiring: Mapping[Unit, Wiring], elsewhere: Elsewhere) -> tuple[Graph, list[Problem]]:
    """Return the graph over the units and tasks of *stack*, and every problem: names that are none, and circles.

    The graph is in the order of creation, and a destroy walks it the other way round. So a task of a destroy stands in
    it reversed: between two units that go, after=[web], before=[network] is after network and before web.

    The graph has circles where these were reported. A unit that reads its own outputs is reported by wire(), not here.
    """
    declared: tuple[Unit | Task, ...] = (*stack.units, *stack.tasks)
    nodes = {node.name: node for node in declared}
    problems: list[Problem] = []
    reasons: dict[tuple[str, str], str] = {}
    for unit, wires in wiring.items():
        for first, outputs in wires.needs.items():
            if first != unit.name and first in nodes:
                reason = f"{unit.name} reads {'.'.join((first, 'outputs', *outputs[:1]))}"
                reasons[first, unit.name] = f"{reason} (line {unit.where.line})"
    for node in declared:
        before = node.before if isinstance(node, Task) else ()
        for word, other in (*(("after", name) for name in node.after), *(("before", name) for name in before)):
            if stack_and_unit(other)[0]:
                problems += _foreign_problems(word, other, node, elsewhere)
                continue
            if other not in nodes:
                message = f'{word}="{other}" of "{node.name}" is no unit or task of this stack'
                problems.append(Problem(message, node.where, nearest(other, nodes)))
                continue
            destroys = isinstance(node, Task) and node.on == "destroy"
            edge = (other, node.name) if (word == "after") is not destroys else (node.name, other)
            reason = f"{node.name} has {word}={other}{', of a destroy' if destroys else ''} (line {node.where.line})"
            reasons.setdefault(edge, reason)
    graph = Graph.of(nodes, reasons)
    for cycle in _cycles(graph):
        message = f"{' -> '.join(cycle)}: each would have to come before the next, in a circle"
        hint = f"take one of these out: {'; '.join(reasons[step] for step in pairwise(cycle))}"
        problems.append(Problem(message, nodes[cycle[0]].where, hint))
    return graph, problems


def across(stack: Stack, wiring: Mapping[Unit, Wiring]) -> dict[str, tuple[str, ...]]:
    """Return the units of other stacks (`network/vpc`) that nodes of *stack* come after, by the nodes' names."""
    found: dict[str, set[str]] = {}
    for unit, wires in wiring.items():
        found.setdefault(unit.name, set()).update(wires.needs)
    nodes: tuple[Unit | Task, ...] = (*stack.units, *stack.tasks)
    for node in nodes:
        found.setdefault(node.name, set()).update(node.after)
    others = {node: tuple(sorted(name for name in names if stack_and_unit(name)[0])) for node, names in found.items()}
    return {node: names for node, names in sorted(others.items()) if names}


def _foreign_problems(word: str, other: str, node: Unit | Task, elsewhere: Elsewhere) -> Iterator[Problem]:
    """What is wrong with a unit of another stack in `after=` or `before=`."""
    if word == "before" or (isinstance(node, Task) and node.on == "destroy"):
        what = "a task of a destroy" if word == "after" else "a task"
        message = f'{word}="{other}" of "{node.name}" is a unit of another stack, and {what} has its place in its own'
        yield Problem(message, node.where, "name a unit of this stack that comes before it or after it")
    elif isinstance(found := elsewhere.unit(other), Missing):
        yield Problem(f'{word}="{other}" of "{node.name}" names "{other}", {found.why}', node.where, found.hint)


def _cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Cycles that together hold an edge of every cycle there is, as far as they are not too many."""
    found: list[tuple[str, ...]] = []
    edges = set(graph.edges)
    while len(found) < _MOST_CYCLES and (cycle := Graph.of(graph.upstream, edges).cycle()):
        found.append(cycle)
        edges -= {(cycle[-2], cycle[-1])}
    return found
