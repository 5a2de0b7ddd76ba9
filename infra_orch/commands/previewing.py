"""The part that plan, apply and destroy share: select, plan, show."""

from __future__ import annotations

import contextlib

from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.selecting import refuse_missing_variables, refuse_orphans, select, states_elsewhere
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UserError
from infra_orch.project import Project
from infra_orch.record.applied import applied_units
from infra_orch.record.leftover import LeftOver, bring_back, names_left_over
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
    whole = options.wanted.everything
    prune = options.prune or project.settings.prune
    gone = bring_back(left_over, opened.folder, run.repository) if whole and (prune or kind == "destroy") else []
    selection = select(opened, options.wanted, kind, pace_of(run, options, records), left_over=gone)
    if kind == "destroy":
        refuse_orphans(opened, selection.units, records, gone or _known(left_over, opened, run))
    refuse_missing_variables(selection)
    if not run.sandbox and (missing := states_elsewhere(selection, opened.folder, records)):
        _states_are_missing(missing, opened, run, console)
    if not selection.units:
        console.warn(f"{opened.rendered.name} has no units to work on")
    try:
        shown = plan(selection, run.context, applied_units(records) if options.changed_only else {})
        show_preview(selection, shown, run, options, console, kind=kind)
    except BaseException:
        forget(selection, run.context)
        raise
    remaining = [name for name in left_over if name not in selection.units]
    if remaining:
        still = "still exists; --prune destroys it" if len(remaining) == 1 else "still exist; --prune destroys them"
        when = " in a run of the whole stack" if prune and not whole else ""
        names = ", ".join(remaining)
        console.note(f"{console.err_style('left over:', 'yellow')} {names} left the spec and {still}{when}")
    return selection, shown, remaining


def _known(left_over: list[str], opened: Opened, run: Session) -> list[LeftOver]:
    """Those units that left the spec of which the last render is to be found."""
    found: list[LeftOver] = []
    for name in left_over:
        with contextlib.suppress(UserError):
            found += bring_back([name], opened.folder, run.repository)
    return found


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


def _states_are_missing(units: list[str], opened: Opened, run: Session, console: Console) -> None:
    """Say that units exist whose states are not here. Raises RefusedError where the run is to change things."""
    folder = opened.folder.project.shown(opened.folder.state)
    exist = "exists" if len(units) == 1 else "exist"
    what = f"{', '.join(units)} {exist}, says the record in git, and no state is in {folder}/"
    hint = (
        "states beside the stack are on the machine that applied it: bring them here, or use a backend that all share; "
        f"what is certainly gone: git rm {opened.folder.project.shown(opened.folder.record)}/{units[0]}.json"
    )
    if run.command != "plan":
        raise RefusedError(what, hint=hint)
    console.warn(f"{what}; {hint}")
