"""`infra-orch render STACK…`: write the Terraform root modules of stacks, or say what in them is stale."""

from __future__ import annotations

from collections.abc import Sequence

from infra_orch.commands.opening import keeping, write_render
from infra_orch.commands.specs import Specs, specs_of
from infra_orch.commands.stacks import for_each_stack
from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.project import Project
from infra_orch.render.write import stale


def render(project: Project, stacks: Sequence[str], console: Console, *, check: bool) -> int:
    """Render stacks into their `rendered/` folders. With *check* nothing is written: 1 and a diff where one is stale.

    Says everything that is wrong with a spec. Raises UserError where a folder cannot be written.
    """
    with specs_of(project, stacks) as specs:
        return for_each_stack(stacks, console, lambda stack: _render(specs, stack, console, check=check))


def _render(specs: Specs, stack: str, console: Console, *, check: bool) -> int:
    project, rendering = specs.project, keeping(specs.rendering(stack))
    shown = project.shown(rendering.stack.folder.rendered)
    if check:
        diff = stale(rendering)
        if diff:
            console.result(diff.rstrip("\n"))
            console.note(f"{shown} is stale; infra-orch render {rendering.stack.folder.name} writes it anew")
            return ExitCode.FAILED
        console.note(f"{shown} is up to date")
        return ExitCode.DONE
    written = write_render(rendering, console)
    for path in written.written:
        console.result(f"wrote {shown}/{path}")
    for path in written.removed:
        console.result(f"removed {shown}/{path}")
    if not written.written and not written.removed:
        console.note(f"{shown} is up to date")
    return ExitCode.DONE
