"""The graphs of stacks as trees, or for Mermaid, Graphviz and programs."""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from infra_orch.render.index import RenderedStack
from infra_orch.report.style import safe

Deleted: TypeAlias = Sequence[tuple[str, str]]
"""Units that are gone, as (stack, unit)."""
SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:graph:1"


def tree(stacks: Sequence[RenderedStack], deleted: Deleted = ()) -> str:
    """Return the graphs as trees from what depends on nothing; of several stacks each below its name; then *deleted*.

    A node that more than one leads to is drawn out once, and marked `…` wherever else it stands with something below.
    """
    if len(stacks) == 1:
        trees = [_tree(stacks[0])]
    else:
        trees = [f"{stack.name}\n{textwrap.indent(_tree(stack), '  ')}" for stack in stacks]
    gone = "\n".join(f"deleted: {stack}/{unit}" for stack, unit in deleted)
    return "\n\n".join(filter(None, [*trees, gone]))


def _tree(stack: RenderedStack) -> str:
    graph = stack.graph
    lines: list[str] = []
    drawn: set[str] = set()
    # What is still to be drawn, next last: a node, its branch, and what stands in front of what is below it. No
    # recursion: a chain may be longer than Python's stack is deep.
    waiting = [(node, "", "") for node in sorted(graph.upstream, reverse=True) if not graph.upstream[node]]
    while waiting:
        node, branch, prefix = waiting.pop()
        below = sorted(graph.downstream[node])
        lines.append(f"{branch}{_label(stack, node)}{' …' if below and node in drawn else ''}")
        if node not in drawn:
            drawn.add(node)
            for child in reversed(below):
                here, beyond = ("└── ", "    ") if child == below[-1] else ("├── ", "│   ")
                waiting.append((child, prefix + here, prefix + beyond))
    return "\n".join(lines)


def mermaid(stacks: Sequence[RenderedStack], _deleted: Deleted = ()) -> str:
    """Return the graphs as a Mermaid flowchart, which GitHub and GitLab draw; several stacks each in a box."""
    lines, numbers = ["flowchart LR"], itertools.count()
    for box, stack in enumerate(stacks):
        ids = {node: f"n{next(numbers)}" for node in stack.graph.upstream}
        own = [f'{ids[node]}["{node}"]' if node in stack.units else f'{ids[node]}(["{node}"])' for node in ids]
        own += [f"{ids[first]} --> {ids[second]}" for first, second in stack.graph.edges]
        if len(stacks) > 1:
            own = [f's{box}["{stack.name}"]', *(f"    {line}" for line in own), "end"]
            own[0] = f"subgraph {own[0]}"
        lines += [f"    {line}" for line in own]
    return "\n".join(lines)


def dot(stacks: Sequence[RenderedStack], _deleted: Deleted = ()) -> str:
    """Return the graphs in Graphviz' language; several stacks each in a box."""
    name = stacks[0].name if len(stacks) == 1 else "stacks"
    lines = [f'digraph "{name}" {{', "  rankdir=LR;"]
    for box, stack in enumerate(stacks):
        several = len(stacks) > 1
        ids = {node: f"{stack.name}/{node}" if several else node for node in stack.graph.upstream}
        shape = {node: "box" if node in stack.units else "ellipse" for node in ids}
        labels = {node: f' label="{node}"' if several else "" for node in ids}
        own = [f'"{ids[node]}" [shape={shape[node]}{labels[node]}];' for node in ids]
        own += [f'"{ids[first]}" -> "{ids[second]}";' for first, second in stack.graph.edges]
        if several:
            own = [f"subgraph cluster_{box} {{", f'  label="{stack.name}";', *(f"  {line}" for line in own), "}"]
        lines += [f"  {line}" for line in own]
    return "\n".join([*lines, "}"])


def as_json(stacks: Sequence[RenderedStack], deleted: Deleted = ()) -> str:
    """Return the graphs as one JSON document: nodes and edges, upstream → downstream. Its schema is graph-1.json."""
    gone = [{"stack": stack, "unit": unit} for stack, unit in deleted]
    nodes: list[Mapping[str, Any]] = []
    edges: list[Mapping[str, str]] = []
    for stack in stacks:
        nodes += _nodes(stack)
        edges += [
            {"from": f"{stack.name}/{first}", "to": f"{stack.name}/{second}"} for first, second in stack.graph.edges
        ]
    document = {"$schema": SCHEMA_ID, "schema": SCHEMA, "nodes": nodes, "edges": edges, "deleted": gone}
    return json.dumps(document, indent=2, ensure_ascii=False)


def _nodes(stack: RenderedStack) -> list[Mapping[str, Any]]:
    units: list[Mapping[str, Any]] = [
        {
            "id": f"{stack.name}/{name}",
            "stack": stack.name,
            "unit": name,
            "module": unit.module,
            "tags": list(unit.tags),
        }
        for name, unit in stack.units.items()
    ]
    return [*units, *({"id": f"{stack.name}/{name}", "stack": stack.name, "task": name} for name in stack.tasks)]


FORMATS: Mapping[str, Callable[[Sequence[RenderedStack], Deleted], str]] = {
    "tree": tree,
    "mermaid": mermaid,
    "dot": dot,
    "json": as_json,
}


def _label(stack: RenderedStack, node: str) -> str:
    if node in stack.units:
        return f"{node}  ({safe(stack.units[node].module)})"
    return f"{node}  (task, on {stack.tasks[node].on})"
