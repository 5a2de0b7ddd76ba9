"""The parts that a run has in several stacks, as one: its nodes go by their stack's name and their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from infra_orch.errors import RefusedError
from infra_orch.graph.graph import Graph
from infra_orch.project import beside, stack_and_unit
from infra_orch.render.index import RenderedStack, joint_graph
from infra_orch.run.context import Contexts, RunContext
from infra_orch.run.pace import Pace
from infra_orch.run.plan import Preview, Selection
from infra_orch.run.progress import Progress
from infra_orch.run.unit import Planned


def joined(
    parts: Mapping[str, Selection], stacks: Mapping[str, RenderedStack], let_go: Mapping[str, frozenset[str]]
) -> Selection:
    """Return what a run works on in all of *stacks*, given its parts, both by the names of the stacks' folders.

    *let_go*: by units that are deleted, what came after them: these are destroyed when that has let go of them.
    Raises RefusedError where stacks as they are rendered wait for each other.
    """
    first = next(iter(parts.values()))
    return Selection(
        units={f"{stack}/{name}": work for stack, part in parts.items() for name, work in part.units.items()},
        outside={
            beside(f"{stack}/", name): work for stack, part in parts.items() for name, work in part.outside.items()
        },
        tasks={f"{stack}/{name}": task for stack, part in parts.items() for name, task in part.tasks.items()},
        graph=_graph(parts, stacks, let_go),
        kind=first.kind,
        regions={stack: part.regions[""] for stack, part in parts.items()},
        pace=_pace({stack: part.pace for stack, part in parts.items()}),
    )


def contexts_of(by_stack: Mapping[str, RunContext], others: Mapping[str, RunContext], progress: Progress) -> Contexts:
    """Return the contexts of a run over several stacks; *others* are those of stacks of which it only reads units."""
    whole = replace(next(iter(by_stack.values())), progress=progress)
    return Contexts(whole, {**others, **by_stack})


def part_of(nodes: Mapping[str, Planned], stack: str) -> dict[str, Planned]:
    """Return what became of the nodes of one stack, by the names that they have in it."""
    mine = ((stack_and_unit(node), planned) for node, planned in nodes.items())
    return {name: planned.called(name) for (where, name), planned in mine if where == stack}


def preview_of(preview: Preview, stack: str) -> Preview:
    """Return what a preview shows of one stack."""
    outside = {stack_and_unit(name): outputs for name, outputs in preview.outside.items()}
    known = {name if where == stack else f"{where}/{name}": outputs for (where, name), outputs in outside.items()}
    return Preview(part_of(preview.nodes, stack), known)


def _graph(
    parts: Mapping[str, Selection], stacks: Mapping[str, RenderedStack], let_go: Mapping[str, frozenset[str]]
) -> Graph:
    """The order among all parts: that of each, and what leads from stack to stack, also by way of nodes left out."""
    whole = whole_graph(stacks, next(iter(parts.values())).kind)
    chosen = {f"{stack}/{node}" for stack, part in parts.items() for node in part.graph.upstream}
    within = {(f"{stack}/{a}", f"{stack}/{b}") for stack, part in parts.items() for a, b in part.graph.edges}
    within |= {(after, gone) for gone in let_go.keys() & chosen for after in let_go[gone] & chosen}
    joint = Graph.of(chosen, within.union(whole.only(chosen & whole.upstream.keys()).edges))
    if cycle := joint.cycle():
        raise RefusedError(f"with the units that left the spec there is no order: {' -> '.join(cycle)}")
    return joint


def whole_graph(stacks: Mapping[str, RenderedStack], kind: str) -> Graph:
    """Return the order among all nodes of *stacks* in a run of *kind*, in the order of creation.

    Raises RefusedError where stacks as they are rendered wait for each other.
    """
    whole = joint_graph(stacks, kind)
    if cycle := whole.cycle():
        raise RefusedError(
            f"these stacks wait for each other: {' -> '.join(cycle)}",
            hint="take one of the references between them out, and render them",
        )
    return whole


def _pace(paces: Mapping[str, Pace]) -> Pace:
    """One pace for all. Where stacks limit the same tag, it is the same resource, and the lower limit holds."""
    limits: dict[str, int] = {}
    for pace in paces.values():
        for tag, most in pace.limits.items():
            limits[tag] = min(most, limits.get(tag, most))
    return replace(
        next(iter(paces.values())),
        limits=limits,
        keys={f"{stack}/{node}": keys for stack, pace in paces.items() for node, keys in pace.keys.items()},
        seconds={f"{stack}/{node}": taken for stack, pace in paces.items() for node, taken in pace.seconds.items()},
    )
