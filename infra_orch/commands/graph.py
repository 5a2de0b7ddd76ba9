"""`infra-orch graph STACK…`: show what depends on what."""

from __future__ import annotations

from collections.abc import Sequence

from infra_orch.commands.opening import render_spec
from infra_orch.console import Console
from infra_orch.errors import UsageError, nearest
from infra_orch.project import Project
from infra_orch.report.graph import FORMATS


def graph(project: Project, stacks: Sequence[str], console: Console, *, form: str) -> int:
    """Print the graphs of stacks as `tree`, `mermaid`, `dot` or `json`.

    Raises UsageError for another format, SpecError with everything that is wrong with the spec.
    """
    if form not in FORMATS:
        raise UsageError(f'unknown format "{form}"', hint=nearest(form, FORMATS) or f"one of: {', '.join(FORMATS)}")
    rendered = [render_spec(project, stack)[1].stack for stack in stacks]
    drawn = [stack for stack in rendered if stack.graph.upstream or form != "tree"]
    if drawn:
        console.result(FORMATS[form](drawn))
    for stack in rendered:
        if form == "tree" and not stack.graph.upstream:
            console.note(f"{stack.name} has no units and no tasks")
    return 0
