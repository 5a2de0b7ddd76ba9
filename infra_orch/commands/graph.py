"""`infra-orch graph STACK`: show what depends on what."""

from __future__ import annotations

from infra_orch.commands.opening import render_spec
from infra_orch.console import Console
from infra_orch.errors import UsageError, nearest
from infra_orch.project import Project
from infra_orch.report.graph import FORMATS


def graph(project: Project, stack: str, console: Console, *, form: str) -> int:
    """Print the graph of a stack as `tree`, `mermaid`, `dot` or `json`.

    Raises UsageError for another format, SpecError with everything that is wrong with the spec.
    """
    if form not in FORMATS:
        raise UsageError(f'unknown format "{form}"', hint=nearest(form, FORMATS) or f"one of: {', '.join(FORMATS)}")
    _, rendering = render_spec(project, stack)
    if form == "tree" and not rendering.stack.graph.upstream:
        console.note(f"{rendering.stack.name} has no units and no tasks")
    else:
        console.result(FORMATS[form](rendering.stack))
    return 0
