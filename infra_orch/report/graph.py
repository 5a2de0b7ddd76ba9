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
    What a node depends on in another stack stands behind it.
    """
    if len(stacks) == 1:
        trees = [_tree(stacks[0])]
    else:
        trees = [f"{stack.folder.name}\n{textwrap.indent(_tree(stack), '  ')}" for stack in stacks]
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


def _across(stacks: Sequence[RenderedStack]) -> list[tuple[str, str]]:
    """The edges between nodes of different stacks that are drawn, as `network/vpc` and `app/web`, sorted."""
    drawn = {f"{stack.folder.name}/{node}" for stack in stacks for node in stack.graph.upstream}
    edges = {
        (first, f"{stack.folder.name}/{node}")
        for stack in stacks
        for node, firsts in stack.across.items()
        for first in firsts
    }
    return sorted(edge for edge in edges if drawn.issuperset(edge))


def mermaid(stacks: Sequence[RenderedStack], _deleted: Deleted = ()) -> str:
    """Return the graphs as a Mermaid flowchart, which GitHub and GitLab draw; several stacks each in a box."""
    lines, numbers = ["flowchart LR"], itertools.count()
    known: dict[str, str] = {}
    for box, stack in enumerate(stacks):
        ids = {node: f"n{next(numbers)}" for node in stack.graph.upstream}
        known |= {f"{stack.folder.name}/{node}": number for node, number in ids.items()}
        own = [f'{ids[node]}["{node}"]' if node in stack.units else f'{ids[node]}(["{node}"])' for node in ids]
        own += [f"{ids[first]} --> {ids[second]}" for first, second in stack.graph.edges]
        if len(stacks) > 1:
            own = [f'subgraph s{box}["{stack.folder.name}"]', *(f"    {line}" for line in own), "end"]
        lines += [f"    {line}" for line in own]
    lines += [f"    {known[first]} --> {known[second]}" for first, second in _across(stacks)]
    return "\n".join(lines)


def dot(stacks: Sequence[RenderedStack], _deleted: Deleted = ()) -> str:
    """Return the graphs in Graphviz' language; several stacks each in a box."""
    name = stacks[0].folder.name if len(stacks) == 1 else "stacks"
    lines = [f'digraph "{name}" {{', "  rankdir=LR;"]
    for box, stack in enumerate(stacks):
        several = len(stacks) > 1
        ids = {node: f"{stack.folder.name}/{node}" if several else node for node in stack.graph.upstream}
        shape = {node: "box" if node in stack.units else "ellipse" for node in ids}
        labels = {node: f' label="{node}"' if several else "" for node in ids}
        own = [f'"{ids[node]}" [shape={shape[node]}{labels[node]}];' for node in ids]
        own += [f'"{ids[first]}" -> "{ids[second]}";' for first, second in stack.graph.edges]
        if several:
            label = f'  label="{stack.folder.name}";'
            own = [f"subgraph cluster_{box} {{", label, *(f"  {line}" for line in own), "}"]
        lines += [f"  {line}" for line in own]
    lines += [f'  "{first}" -> "{second}";' for first, second in _across(stacks)]
    return "\n".join([*lines, "}"])


def as_json(stacks: Sequence[RenderedStack], deleted: Deleted = ()) -> str:
    """Return the graphs as one JSON document: nodes and edges, upstream → downstream. Its schema is graph-1.json.

    Stacks go by the names of their folders, which is what commands take.
    """
    edges = [
        (f"{stack.folder.name}/{first}", f"{stack.folder.name}/{second}")
        for stack in stacks
        for first, second in stack.graph.edges
    ]
    lists: Mapping[str, Sequence[Mapping[str, Any]]] = {
        "nodes": [node for stack in stacks for node in _nodes(stack)],
        "edges": [{"from": first, "to": second} for first, second in (*edges, *_across(stacks))],
        "deleted": [{"stack": stack, "unit": unit} for stack, unit in deleted],
    }
    # A line for each: for thousands of units, the other layouts of the library take longer than all the rest.
    parts = [f'  "$schema": {json.dumps(SCHEMA_ID)}', f'  "schema": {SCHEMA}']
    for name, items in lists.items():
        lines = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in items)
        parts.append(f'  "{name}": [\n{lines}\n  ]' if items else f'  "{name}": []')
    return "{\n" + ",\n".join(parts) + "\n}"


def _nodes(stack: RenderedStack) -> list[Mapping[str, Any]]:
    name = stack.folder.name
    units: list[Mapping[str, Any]] = [
        {"id": f"{name}/{unit}", "stack": name, "unit": unit, "module": about.module, "tags": list(about.tags)}
        for unit, about in stack.units.items()
    ]
    return [*units, *({"id": f"{name}/{task}", "stack": name, "task": task} for task in stack.tasks)]


FORMATS: Mapping[str, Callable[[Sequence[RenderedStack], Deleted], str]] = {
    "tree": tree,
    "mermaid": mermaid,
    "dot": dot,
    "json": as_json,
}


def _label(stack: RenderedStack, node: str) -> str:
    before = "".join(f"  ← {first}" for first in stack.across.get(node, ()))
    if node in stack.units:
        return f"{node}  ({safe(stack.units[node].module)}){before}"
    return f"{node}  (task, on {stack.tasks[node].on}){before}"
