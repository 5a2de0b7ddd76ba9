"""`infra-orch plan STACK`: show what an apply would do."""

from __future__ import annotations

from dataclasses import replace

from infra_orch.commands.affecting import narrow
from infra_orch.commands.bundling import begun, writer_for
from infra_orch.commands.ending import exit_code, finish_plan
from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.previewing import preview
from infra_orch.commands.recovering import session_after_the_dead
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError
from infra_orch.project import Project
from infra_orch.report.progress import progress_for


def plan(project: Project, stack: str, options: RunOptions, console: Console) -> int:
    """Plan a stack, show it, and write the bundle that --out asks for. Returns the exit code."""
    writer = writer_for(options)
    if writer and options.changed_only:
        raise UsageError(
            "--changed-only leaves plans out, and --out writes a bundle of them all", hint="give one of the two"
        )
    if options.change:
        options = replace(options, wanted=narrow(project, stack, options.wanted, options.change, console))
        if options.wanted.nothing and not console.json:
            return ExitCode.DONE
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    writer = begun(writer, opened)
    with (
        progress_for(console) as progress,
        session_after_the_dead(project, opened, "plan", console, progress, options) as run,
    ):
        kind = "destroy" if options.destroy else "plan"
        selection, shown, left_over = preview(project, opened, run, options, console, kind=kind)
        bundle = None
        try:
            bundle = writer.write(selection, shown, run, options, console) if writer else None
        finally:
            finish_plan(selection, shown, run, console, left_over, bundle)
        return exit_code(shown.outcomes, run, detailed=options.detailed_exitcode)
