"""Circles that lead through other stacks: what no run could bring into an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from infra_orch.errors import Problem
from infra_orch.graph.graph import Graph
from infra_orch.project import StackFolder, stack_and_unit
from infra_orch.spec.elsewhere import Edge, Elsewhere, Missing
from infra_orch.spec.order import across
from infra_orch.spec.stack import Stack, Unit
from infra_orch.spec.wiring import Wiring, wire


def circle_problems(
    stack: Stack, folder: StackFolder, wiring: Mapping[Unit, Wiring], elsewhere: Elsewhere
) -> Iterator[Problem]:
    """Yield a problem where units of *stack* come after each other by way of other stacks, with the way as a path."""
    own = folder.name
    elsewhere.edges[own] = _edges(own, stack, wiring)
    stacks = _stacks_before(own, elsewhere)
    if not any(own in _others(name, elsewhere) for name in stacks if name != own):
        return  # nobody there refers back to this stack
    edges = {edge for name in stacks for edge in elsewhere.edges[name]}
    circle = _circle_through(own, edges)
    if circle:
        unit = next((unit for unit in stack.units if f"{own}/{unit.name}" in circle), None)
        message = f"{' -> '.join(circle)}: each would have to come before the next, in a circle"
        hint = "take one of the references between these stacks out"
        yield Problem(message, unit.where if unit else stack.where, hint)


def _edges(name: str, stack: Stack, wiring: Mapping[Unit, Wiring]) -> frozenset[Edge]:
    """What comes before what among the units and tasks of a stack and units of others, by names as all stacks know."""
    found = {(first, f"{name}/{node}") for node, firsts in across(stack, wiring).items() for first in firsts}
    names = {*(unit.name for unit in stack.units), *(task.name for task in stack.tasks)}
    for unit, wires in wiring.items():
        found |= {(f"{name}/{first}", f"{name}/{unit.name}") for first in names & {*wires.needs, *unit.after}}
    for task in stack.tasks:
        if task.on != "destroy":
            found |= {(f"{name}/{first}", f"{name}/{task.name}") for first in names.intersection(task.after)}
            found |= {(f"{name}/{task.name}", f"{name}/{then}") for then in names.intersection(task.before)}
    return frozenset(found)


def _stacks_before(name: str, elsewhere: Elsewhere) -> set[str]:
    """The stack and all that it refers to, directly or not, as far as they can be evaluated."""
    found, waiting = {name}, [name]
    while waiting:
        for other in _others(waiting.pop(), elsewhere) - found:
            there = elsewhere.stack(other)
            if not isinstance(there, Missing):
                if other not in elsewhere.edges:
                    elsewhere.edges[other] = _edges(other, there.stack, wire(there.stack, there.modules, elsewhere)[0])
                found.add(other)
                waiting.append(other)
    return found


def _others(name: str, elsewhere: Elsewhere) -> set[str]:
    """The other stacks that a stack refers to."""
    return {stack_and_unit(first)[0] for first, _ in elsewhere.edges[name]} - {name}


def _circle_through(own: str, edges: Iterable[Edge]) -> tuple[str, ...]:
    """A circle of nodes of the stack *own* and of others; one within a single stack is told where that is checked."""
    left = set(edges)
    nodes = {node for edge in left for node in edge}
    while cycle := Graph.of(nodes, left).cycle():
        stacks = {stack_and_unit(node)[0] for node in cycle}
        if own in stacks and len(stacks) > 1:
            return cycle
        left.discard((cycle[-2], cycle[-1]))
    return ()
