"""`infra-orch graph STACK…`: show what depends on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infra_orch.commands.affecting import Change, affected_units
from infra_orch.commands.rendered import committed_renders
from infra_orch.commands.specs import specs_of
from infra_orch.commands.stacks import for_each_stack
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, nearest
from infra_orch.fingerprint.affected import Affected
from infra_orch.project import Project
from infra_orch.render.index import RenderedStack
from infra_orch.report.graph import FORMATS


def graph(
    project: Project,
    stacks: Sequence[str],
    console: Console,
    *,
    form: str,
    change: Change | None = None,
    from_rendered: bool = False,
) -> int:
    """Print the graphs of stacks as `tree`, `mermaid`, `dot` or `json`; with *change* only what that affects.

    Says everything that is wrong with a spec. Raises UsageError for another format, and as affected_units() and, for
    *from_rendered*, committed_renders() do.
    """
    if form not in FORMATS:
        raise UsageError(f'unknown format "{form}"', hint=nearest(form, FORMATS) or f"one of: {', '.join(FORMATS)}")
    found = affected_units(project, stacks or None, change, console) if change else None
    if found:
        rendered, code = _affected(found)
    elif from_rendered:
        committed = committed_renders(project, [project.stack(name) for name in stacks])
        rendered, code = list(committed.values()), int(ExitCode.DONE)
    else:
        rendered, code = _evaluated(project, stacks, console)
    if code and found and not (change and change.head):
        # What is wrong is said as it always is.
        _evaluated(project, [name for name in found.reasons if name not in found.now], console)
    deleted = found.deleted if found else ()
    drawn = [stack for stack in rendered if stack.graph.upstream or form != "tree"]
    if drawn or deleted or (form != "tree" and not code):
        console.result(FORMATS[form](drawn, deleted))
    elif found and not code:
        console.note("nothing is affected")
    for stack in rendered:
        if form == "tree" and not stack.graph.upstream:
            console.note(f"{stack.folder.name} has no units and no tasks")
    return code


def _evaluated(project: Project, stacks: Sequence[str], console: Console) -> tuple[list[RenderedStack], int]:
    """The stacks as they are rendered, and an exit code that says whether one cannot be."""
    rendered: list[RenderedStack] = []
    with specs_of(project, stacks) as specs:

        def look(stack: str) -> int:
            rendered.append(specs.stack(stack))
            return ExitCode.DONE

        return rendered, for_each_stack(stacks, console, look)


def _affected(found: Affected) -> tuple[list[RenderedStack], int]:
    """The stacks narrowed to what is affected, and an exit code that says whether one cannot be told."""
    rendered = [_only(found.now[name].stack, found.units(name)) for name in found.reasons if name in found.now]
    return rendered, ExitCode.DONE if len(rendered) == len(found.reasons) else ExitCode.SPEC


def _only(stack: RenderedStack, units: Sequence[str]) -> RenderedStack:
    """*stack* narrowed to some of its units."""
    return replace(
        stack, units={name: stack.units[name] for name in units}, tasks={}, graph=stack.graph.only(set(units))
    )
