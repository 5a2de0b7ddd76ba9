"""`infra-orch graph STACK…`: show what depends on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infra_orch.commands.affecting import Change, affected_units
from infra_orch.commands.opening import render_spec
from infra_orch.commands.stacks import for_each_stack
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, nearest
from infra_orch.project import Project
from infra_orch.render.index import RenderedStack
from infra_orch.render.neighbours import Neighbours
from infra_orch.report.graph import FORMATS


def graph(project: Project, stacks: Sequence[str], console: Console, *, form: str, change: Change | None = None) -> int:
    """Print the graphs of stacks as `tree`, `mermaid`, `dot` or `json`; with *change* only what that affects.

    Says everything that is wrong with a spec. Raises UsageError for another format, and as affected_units() does.
    """
    if form not in FORMATS:
        raise UsageError(f'unknown format "{form}"', hint=nearest(form, FORMATS) or f"one of: {', '.join(FORMATS)}")
    found = affected_units(project, stacks or None, change, console) if change else None
    deleted = found.deleted if found else ()
    rendered: list[RenderedStack] = []
    neighbours = Neighbours(project)

    def look(stack: str) -> int:
        rendered.append(render_spec(project, stack, neighbours)[1].stack)
        return ExitCode.DONE

    code = for_each_stack(list(found.reasons if found else stacks), console, look)
    if found:
        rendered = [_only(stack, found.units(stack.folder.name)) for stack in rendered]
    drawn = [stack for stack in rendered if stack.graph.upstream or form != "tree"]
    if drawn or deleted or (form != "tree" and not code):
        console.result(FORMATS[form](drawn, deleted))
    elif found and not code:
        console.note("nothing is affected")
    for stack in rendered:
        if form == "tree" and not stack.graph.upstream:
            console.note(f"{stack.name} has no units and no tasks")
    return code


def _only(stack: RenderedStack, units: Sequence[str]) -> RenderedStack:
    """*stack* narrowed to some of its units."""
    return replace(
        stack, units={name: stack.units[name] for name in units}, tasks={}, graph=stack.graph.only(set(units))
    )
