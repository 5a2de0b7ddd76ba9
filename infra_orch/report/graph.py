"""The graph of a stack as a tree, or for Mermaid, Graphviz and programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from infra_orch.render.index import RenderedStack
from infra_orch.report.style import safe

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:graph:1"


def tree(stack: RenderedStack) -> str:
    """Return the graph as a tree from what depends on nothing.

    A node that more than one leads to is drawn out once, and marked `…` wherever else it stands with something below.
    """
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


def mermaid(stack: RenderedStack) -> str:
    """Return the graph as a Mermaid flowchart, which GitHub and GitLab draw."""
    ids = {node: f"n{number}" for number, node in enumerate(stack.graph.upstream)}
    shapes = (f'    {ids[node]}["{node}"]' if node in stack.units else f'    {ids[node]}(["{node}"])' for node in ids)
    arrows = (f"    {ids[first]} --> {ids[second]}" for first, second in stack.graph.edges)
    return "\n".join(["flowchart LR", *shapes, *arrows])


def dot(stack: RenderedStack) -> str:
    """Return the graph in Graphviz' language."""
    shapes = (f'  "{node}" [shape={"box" if node in stack.units else "ellipse"}];' for node in stack.graph.upstream)
    arrows = (f'  "{first}" -> "{second}";' for first, second in stack.graph.edges)
    return "\n".join([f'digraph "{stack.name}" {{', "  rankdir=LR;", *shapes, *arrows, "}"])


def as_json(stack: RenderedStack) -> str:
    """Return the graph as a JSON document: nodes and edges, upstream → downstream. Its schema is graph-1.json."""
    nodes: list[Mapping[str, Any]] = [
        {
            "id": f"{stack.name}/{name}",
            "stack": stack.name,
            "unit": name,
            "module": unit.module,
            "tags": list(unit.tags),
        }
        for name, unit in stack.units.items()
    ]
    nodes += [{"id": f"{stack.name}/{name}", "stack": stack.name, "task": name} for name in stack.tasks]
    edges = [{"from": f"{stack.name}/{first}", "to": f"{stack.name}/{second}"} for first, second in stack.graph.edges]
    document = {"$schema": SCHEMA_ID, "schema": SCHEMA, "nodes": nodes, "edges": edges, "deleted": []}
    return json.dumps(document, indent=2, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[RenderedStack], str]] = {
    "tree": tree,
    "mermaid": mermaid,
    "dot": dot,
    "json": as_json,
}


def _label(stack: RenderedStack, node: str) -> str:
    if node in stack.units:
        return f"{node}  ({safe(stack.units[node].module)})"
    return f"{node}  (task, on {stack.tasks[node].on})"
