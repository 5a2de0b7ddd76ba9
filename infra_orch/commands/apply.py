"""`infra-orch apply STACK…` and `infra-orch destroy STACK…`: do what was shown, after consent, and record it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from infra_orch.bundle.check import plan_command
from infra_orch.commands.bundling import Offer, offer_of, preview_offer, take
from infra_orch.commands.ending import exit_code, finish_apply, finish_plan, nothing_to_do
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import open_parts
from infra_orch.commands.previewing import Shown, preview
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.resuming import narrowed, resumed
from infra_orch.commands.stacks import Asked, refuse_several
from infra_orch.console import Console
from infra_orch.errors import ExitCode, RefusedError, UserError
from infra_orch.project import Project
from infra_orch.recovery.intent import Consented, intent_of, write_intent
from infra_orch.report.progress import progress_for
from infra_orch.report.terminal import plan_lines
from infra_orch.run.apply import Consent
from infra_orch.run.apply import apply as apply_preview
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.unit import Planned

_NAMED = 5
"""So many stacks a question names."""


def apply(project: Project, stacks: Asked, options: RunOptions, console: Console) -> int:
    """Plan stacks, or take the plan that --plan names, show it, ask, apply exactly that, and record it.

    Returns the exit code.
    """
    return _run(project, stacks, options, console, "apply")


def destroy(project: Project, stacks: Asked, options: RunOptions, console: Console) -> int:
    """Plan the destruction of stacks, show it, ask, do it in reverse order, and record it. Returns the exit code."""
    return _run(project, stacks, options, console, "destroy")


def _run(project: Project, stacks: Asked, options: RunOptions, console: Console, kind: str) -> int:
    if stacks.several:
        refuse_several(options)
    offer = offer_of(project, stacks.only, options, console) if options.plan else None
    kind = offer.kind if offer else kind
    if not options.resume:
        _refuse_unasked(stacks, options, console, kind)
    parts = open_parts(project, stacks, offer.settled(options) if offer else options, console)
    if not parts:
        return nothing_to_do(kind, console)
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, kind, console, progress, several=stacks.several) as runs,
    ):
        left = resumed(runs[0], options.resume) if options.resume else None
        parts = [narrowed(parts[0], left)] if left else parts
        if offer:
            shown = preview_offer(offer, parts[0], runs[0], console)
        else:
            shown = preview(parts, runs, progress, console, kind=kind, several=stacks.several)
        outcomes, stopped = shown.outcomes, shown.run.context.supervisor.stopping
        if stopped or _stands_in_the_way(outcomes, options) or not _anything_to_do(outcomes):
            finish_plan(shown.ended(), console, several=stacks.several)
            return exit_code(outcomes, shown.run)
        if left and left.asked_before(shown.preview, shown.run):
            console.note(f"this is what run {left.run_id} showed and was told to do, so it is not asked again")
        elif not _agreed(stacks, options, console, kind, shown):
            finish_plan(shown.ended(), console, several=stacks.several)
            console.note(f"{kind} cancelled: nothing was changed.")
            return ExitCode.INTERRUPTED if shown.run.context.supervisor.stopping else ExitCode.REFUSED
        _confirm(shown, options, console)
        return _apply(shown, options, console, offer)


def _confirm(shown: Shown, options: RunOptions, console: Console) -> None:
    """Ask whoever stands over the run, before anything is changed. Raises what that raises."""
    if options.confirm:
        try:
            options.confirm()
        except UserError:
            finish_plan(shown.ended(), console, several=shown.several)
            raise


def _apply(shown: Shown, options: RunOptions, console: Console, offer: Offer | None) -> int:
    """Do what was shown, and record it. Returns the exit code."""
    if offer:
        take(offer, shown.selection, shown.run, asked=not options.auto_approve)
    bundle = offer.bundle.id if offer else None
    consent = Consented(options.commit, options.from_rendered, bundle)
    for one in shown.chosen:
        context = one.run.context
        write_intent(intent_of(one.selection, shown.of(one), context, one.run.facts(), consent), context)
    nodes = apply_preview(shown.selection, shown.contexts, shown.preview, _unseen(options, console, shown, offer))
    finish_apply(shown.ended(nodes, bundle), console, several=shown.several)
    return exit_code({name: node.outcome for name, node in nodes.items()}, shown.run)


def _refuse_unasked(stacks: Asked, options: RunOptions, console: Console, kind: str) -> None:
    """Refuse to begin where nobody is there to be asked."""
    if not options.auto_approve and (not console.interactive or options.json):
        command = f"apply {stacks.words} --plan {options.plan}" if options.plan else f"{kind} {stacks.words}"
        raise RefusedError(
            f"{kind} asks before it changes anything, and nobody is there to be asked",
            hint=f"infra-orch {command} --auto-approve, if that is meant",
        )


def _agreed(stacks: Asked, options: RunOptions, console: Console, kind: str, shown: Shown) -> bool:
    _refuse_unasked(stacks, options, console, kind)
    return options.auto_approve or _consent(console, kind, shown)


def _anything_to_do(outcomes: dict[str, Outcome]) -> bool:
    return any(outcome.status.to_do for outcome in outcomes.values())


def _stands_in_the_way(outcomes: Mapping[str, Outcome], options: RunOptions) -> bool:
    """Whether nothing is to be applied of what was planned: a unit was refused, or as many have failed as may."""
    statuses = [outcome.status for outcome in outcomes.values()]
    failed = statuses.count(Status.FAILED)
    return Status.REFUSED in statuses or (options.max_failures is not None and failed >= options.max_failures)


def _consent(console: Console, kind: str, shown: Shown) -> bool:
    names = [one.run.context.stack.name for one in shown.chosen]
    stacks = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more stacks" if len(names) > _NAMED else "")
    where = " in the sandbox" if shown.run.sandbox else ""
    return console.ask(f"\n{kind.capitalize()} this to {stacks}{where}?", lambda: shown.run.context.supervisor.stopping)


def _unseen(options: RunOptions, console: Console, shown: Shown, offer: Offer | None) -> Consent:
    again = f"make a plan of what is left ({plan_command(offer.bundle)})" if offer else "run the same command again"
    supervisor = shown.run.context.supervisor
    one_at_a_time = threading.Lock()

    def ask(planned: Planned, beyond: list[str]) -> bool:
        if options.allow_unseen:
            return True
        if not console.interactive or options.auto_approve or options.json:
            return False
        with one_at_a_time, console.still():
            console.result(plan_lines({planned.outcome.name: planned.outcome}, console.style))
            console.note(f"{planned.outcome.name}: the preview did not show " + "; ".join(beyond[:5]))
            return console.ask(f"Apply this to {planned.outcome.name}, too?", lambda: supervisor.stopping)

    return Consent(ask, f"{again} to see it and say yes, or allow it beforehand with --allow-unseen")
