"""`infra-orch apply STACK` and `infra-orch destroy STACK`: do what was shown, after consent, and record it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from infra_orch.bundle.check import plan_command
from infra_orch.commands.affecting import narrow
from infra_orch.commands.bundling import Offer, offer_of, preview_offer, take
from infra_orch.commands.ending import exit_code, finish_apply, finish_plan
from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.previewing import preview
from infra_orch.commands.recovering import session_after_the_dead
from infra_orch.commands.resuming import narrowed, resumed
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import ExitCode, RefusedError
from infra_orch.project import Project
from infra_orch.recovery.intent import Consented, intent_of, write_intent
from infra_orch.report.progress import progress_for
from infra_orch.report.terminal import plan_lines
from infra_orch.run.apply import Consent
from infra_orch.run.apply import apply as apply_preview
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.unit import Planned


def apply(project: Project, stack: str, options: RunOptions, console: Console) -> int:
    """Plan a stack, or take the plan that --plan names, show it, ask, apply exactly that, and record it.

    Returns the exit code.
    """
    return _run(project, stack, options, console, "apply")


def destroy(project: Project, stack: str, options: RunOptions, console: Console) -> int:
    """Plan the destruction of a stack, show it, ask, do it in reverse order, and record it. Returns the exit code."""
    return _run(project, stack, options, console, "destroy")


def _run(project: Project, stack: str, options: RunOptions, console: Console, kind: str) -> int:
    offer = offer_of(project, stack, options, console)
    kind = offer.kind if offer else kind
    if not options.resume:
        _refuse_unasked(stack, options, console, kind)
    if options.change:
        options = replace(options, wanted=narrow(project, stack, options.wanted, options.change, console))
        if options.wanted.nothing and not console.json:
            return ExitCode.DONE
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    with (
        progress_for(console) as progress,
        session_after_the_dead(
            project, opened, kind, console, progress, offer.settled(options) if offer else options
        ) as run,
    ):
        left = resumed(run, options.resume) if options.resume else None
        options = narrowed(options, left) if left else options
        if offer:
            selection, shown, left_over = preview_offer(offer, opened, run, options, console)
        else:
            selection, shown, left_over = preview(project, opened, run, options, console, kind=kind)
        stopped = run.context.supervisor.stopping
        if stopped or _stands_in_the_way(shown.outcomes, options) or not _anything_to_do(shown.outcomes):
            finish_plan(selection, shown, run, console, left_over)
            return exit_code(shown.outcomes, run)
        if left and left.asked_before(shown, run):
            console.note(f"this is what run {left.run_id} showed and was told to do, so it is not asked again")
        elif not _agreed(stack, options, console, kind, run):
            finish_plan(selection, shown, run, console, left_over)
            console.note(f"{kind} cancelled: nothing was changed.")
            return ExitCode.INTERRUPTED if run.context.supervisor.stopping else ExitCode.REFUSED
        if offer:
            take(offer, selection, run, asked=not options.auto_approve)
        consent = Consented(options.commit, options.from_rendered, offer.bundle.id if offer else None)
        write_intent(intent_of(selection, shown, run.context, run.facts(), consent), run.context)
        nodes = apply_preview(selection, run.context, shown, _unseen(options, console, run, offer))
        finish_apply(selection, nodes, run, options, console, left_over, offer.bundle.id if offer else None)
        return exit_code({name: node.outcome for name, node in nodes.items()}, run)


def _refuse_unasked(stack: str, options: RunOptions, console: Console, kind: str) -> None:
    """Refuse to begin where nobody is there to be asked."""
    if not options.auto_approve and (not console.interactive or options.json):
        command = f"apply {stack} --plan {options.plan}" if options.plan else f"{kind} {stack}"
        raise RefusedError(
            f"{kind} asks before it changes anything, and nobody is there to be asked",
            hint=f"infra-orch {command} --auto-approve, if that is meant",
        )


def _agreed(stack: str, options: RunOptions, console: Console, kind: str, run: Session) -> bool:
    _refuse_unasked(stack, options, console, kind)
    return options.auto_approve or _consent(console, kind, run.context.stack.name, run)


def _anything_to_do(outcomes: dict[str, Outcome]) -> bool:
    return any(outcome.status.to_do for outcome in outcomes.values())


def _stands_in_the_way(outcomes: Mapping[str, Outcome], options: RunOptions) -> bool:
    """Whether nothing is to be applied of what was planned: a unit was refused, or as many have failed as may."""
    statuses = [outcome.status for outcome in outcomes.values()]
    failed = statuses.count(Status.FAILED)
    return Status.REFUSED in statuses or (options.max_failures is not None and failed >= options.max_failures)


def _consent(console: Console, kind: str, stack: str, run: Session) -> bool:
    where = " in the sandbox" if run.sandbox else ""
    return console.ask(f"\n{kind.capitalize()} this to {stack}{where}?", lambda: run.context.supervisor.stopping)


def _unseen(options: RunOptions, console: Console, run: Session, offer: Offer | None) -> Consent:
    again = f"make a plan of what is left ({plan_command(offer.bundle)})" if offer else "run the same command again"
    one_at_a_time = threading.Lock()

    def ask(planned: Planned, beyond: list[str]) -> bool:
        if options.allow_unseen:
            return True
        if not console.interactive or options.auto_approve or options.json:
            return False
        with one_at_a_time, console.still():
            console.result(plan_lines({planned.outcome.name: planned.outcome}, console.style))
            console.note(f"{planned.outcome.name}: the preview did not show " + "; ".join(beyond[:5]))
            return console.ask(f"Apply this to {planned.outcome.name}, too?", lambda: run.context.supervisor.stopping)

    return Consent(ask, f"{again} to see it and say yes, or allow it beforehand with --allow-unseen")
