"""The part that plan, apply and destroy share: select, plan, show."""

from __future__ import annotations

from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.selecting import refuse_missing_variables, refuse_orphans, select
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.project import Project
from infra_orch.record.leftover import bring_back, names_left_over
from infra_orch.report.terminal import plan_lines, plan_summary
from infra_orch.run.outcome import Status
from infra_orch.run.plan import Preview, Selection, forget, plan
from infra_orch.run.unit import show_text


def preview(
    project: Project, opened: Opened, run: Session, options: RunOptions, console: Console, *, kind: str
) -> tuple[Selection, Preview, list[str]]:
    """Plan what was asked for and show it. Returns the selection, the preview, and the units that are left over."""
    records = run.records
    left_over = names_left_over(records, opened.rendered)
    prune = (options.prune or project.settings.prune) and not options.wanted.units and not options.wanted.tags
    whole_destroy = kind == "destroy" and not options.wanted.units and not options.wanted.tags
    gone = bring_back(left_over, opened.folder, run.repository) if left_over and (prune or whole_destroy) else []
    selection = select(opened, options.wanted, kind, workers=project.settings.workers, left_over=gone)
    if kind == "destroy":
        refuse_orphans(opened, selection.units, records)
    refuse_missing_variables(selection)
    if not selection.units:
        console.warn(f"{opened.rendered.name} has no units to work on")
    try:
        shown = plan(selection, run.context)
        show_preview(selection, shown, run, options, console, kind=kind)
    except BaseException:
        forget(selection, run.context)
        raise
    remaining = [name for name in left_over if name not in selection.units]
    if remaining:
        console.note(
            f"{console.err_style('left over:', 'yellow')} {', '.join(remaining)} left the spec and still exist; "
            "--prune destroys them"
        )
    return selection, shown, remaining


def show_preview(
    selection: Selection, shown: Preview, run: Session, options: RunOptions, console: Console, *, kind: str
) -> None:
    """Print a preview: what changes in each unit, and a summary."""
    outcomes = shown.outcomes
    texts = {}
    if options.full and not console.json:
        texts = {
            name: show_text(selection.units[name], run.context)
            for name, outcome in outcomes.items()
            if outcome.status is Status.PLANNED and name in selection.units
        }
    console.result(plan_lines(outcomes, console.style, texts))
    console.result(plan_summary(outcomes, console.style, kind))
