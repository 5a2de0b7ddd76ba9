"""`infra-orch plan STACK…`: show what an apply would do."""

from __future__ import annotations

from infra_orch.commands.bundling import begun, writer_for
from infra_orch.commands.ending import exit_code, finish_plan, nothing_to_do
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import open_parts
from infra_orch.commands.previewing import preview
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.stacks import Asked
from infra_orch.console import Console
from infra_orch.errors import UsageError
from infra_orch.project import Project
from infra_orch.report.progress import progress_for


def plan(project: Project, stacks: Asked, options: RunOptions, console: Console) -> int:
    """Plan stacks, show it, and write the bundle that --out asks for. Returns the exit code."""
    writer = writer_for(options)
    if writer and options.changed_only:
        raise UsageError(
            "--changed-only leaves plans out, and --out writes a bundle of them all", hint="give one of the two"
        )
    parts = open_parts(project, stacks, options, console)
    if not parts:
        return nothing_to_do("plan", console)
    writer = begun(writer, parts[0].opened)
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, "plan", console, progress, several=stacks.several) as runs,
    ):
        kind = "destroy" if options.destroy else "plan"
        shown = preview(parts, runs, progress, console, kind=kind, several=stacks.several)
        bundles = {}
        try:
            if writer and (bundle := writer.write(shown.selection, shown.preview, runs[0], options, console)):
                bundles[parts[0].name] = bundle
        finally:
            finish_plan(shown.ended(bundles=bundles), console, several=stacks.several)
        return exit_code(shown.outcomes, runs[0], detailed=options.detailed_exitcode)
