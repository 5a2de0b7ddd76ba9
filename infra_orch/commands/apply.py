"""`infra-orch apply STACK…` and `infra-orch destroy STACK…`: do what was shown, after consent, and record it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra_orch.bundle.check import plan_command
from infra_orch.commands.approving import Approvals
from infra_orch.commands.ending import (
    exit_code,
    finish_apply,
    finish_plan,
    finish_unchanged,
    finished_document,
    nothing_to_do,
)
from infra_orch.commands.notifying import announce, failures_told, tell_complaints, told_of
from infra_orch.commands.offering import Offer, offered
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part, open_parts, refuse_unknown
from infra_orch.commands.previewing import Shown, preview
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.restoring import beyond_offer, preview_offer, take
from infra_orch.commands.resuming import narrowed, resumed
from infra_orch.commands.stacks import Asked, refuse_several
from infra_orch.console import Console
from infra_orch.errors import ExitCode, RefusedError, UserError
from infra_orch.notify.send import Sending
from infra_orch.project import Project
from infra_orch.recovery.intent import Consented, intent_of, write_intent
from infra_orch.report.message import Documents
from infra_orch.report.progress import progress_for
from infra_orch.report.terminal import plan_lines
from infra_orch.run.apply import Consent
from infra_orch.run.apply import apply as apply_preview
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.unit import Planned

if TYPE_CHECKING:
    from infra_orch.commands.applied import AppliedPost

_NAMED = 5
"""So many stacks a question names."""


def apply(
    project: Project, stacks: Asked, options: RunOptions, console: Console, post: AppliedPost | None = None
) -> int:
    """Plan stacks, or take the plans that --plan or --bundle name, show them, ask, apply exactly that, record it, and
    *post* it.

    Returns the exit code.
    """
    with offered(project, stacks, options, console) as offer:
        return _run(project, stacks, options, console, offer.kind if offer else "apply", offer, post)


def destroy(project: Project, stacks: Asked, options: RunOptions, console: Console) -> int:
    """Plan the destruction of stacks, show it, ask, do it in reverse order, and record it. Returns the exit code."""
    return _run(project, stacks, options, console, "destroy", None)


def _run(
    project: Project,
    stacks: Asked,
    options: RunOptions,
    console: Console,
    kind: str,
    offer: Offer | None,
    post: AppliedPost | None = None,
) -> int:
    if stacks.several:
        refuse_several(options)
    if not options.resume and _nobody_to_ask(options, console):
        if not offer:
            # With a yes it would be no better, so it is told first.
            refuse_unknown(project, stacks, options)
        raise _unasked(console, kind)
    parts = offer.parts(project, options, console) if offer else open_parts(project, stacks, options, console)
    if not parts:
        if offer:
            console.note("the preview had nothing to do")
        return nothing_to_do(kind, console)
    names = [part.name for part in parts]
    with failures_told(project, names, kind, console, sandbox=options.sandbox):
        done = _in_sessions(project, parts, stacks, options, console, kind, offer, post)
    # The stacks are free again: nobody waits for what is sent now.
    ended = announce(project, done.documents, done.event)
    tell_complaints(console, *done.under_way, ended)
    return done.code


@dataclass(frozen=True)
class _Done:
    """How a run ended: its exit code, and what is to be told of it.

    *event* is what happened where the *documents* do not say it. *under_way* are messages of before.
    """

    code: int
    documents: Documents = field(default_factory=dict)
    event: str = ""
    under_way: tuple[Sending, ...] = ()


def _in_sessions(
    project: Project,
    parts: list[Part],
    stacks: Asked,
    options: RunOptions,
    console: Console,
    kind: str,
    offer: Offer | None,
    post: AppliedPost | None,
) -> _Done:
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, kind, console, progress, several=stacks.several) as runs,
    ):
        left = resumed(runs[0], options.resume) if options.resume else None
        parts = [narrowed(parts[0], left)] if left else parts
        restored = preview_offer(offer, parts, runs, progress, console) if offer else None
        shown = restored or preview(parts, runs, progress, console, kind=kind, several=stacks.several)
        beyond = beyond_offer(offer, shown) if offer and not restored else {}
        approvals = Approvals(shown, console, previewed=bool(offer and not offer.strict), beyond=beyond)
        outcomes, stopped = shown.outcomes, shown.run.context.supervisor.stopping
        if stopped or _stands_in_the_way(outcomes, options) or not _anything_to_do(outcomes):
            finish = finish_plan if stopped else finish_unchanged
            documents = finish(shown.ended(), console, several=stacks.several)
            return _Done(exit_code(outcomes, shown.run), documents, "cancelled" if stopped else "")
        try:
            approvals.refuse_unapproved()
        except RefusedError as error:
            documents = finish_plan(shown.ended(), console, several=stacks.several)
            console.error(error)
            return _Done(error.exit_code, documents, "waiting")
        if left and left.asked_before(shown.preview, shown.run):
            console.note(f"this is what run {left.run_id} showed and was told to do, so it is not asked again")
        elif not _agreed(options, console, kind, shown):
            finish_plan(shown.ended(), console, several=stacks.several)
            console.note(f"{kind} cancelled: nothing was changed.")
            # Who said no knows it.
            return _Done(ExitCode.INTERRUPTED if shown.run.context.supervisor.stopping else ExitCode.REFUSED)
        _confirm(shown, options, console)
        saved = offer if restored else None
        return _posted(post, lambda: _apply(project, shown, options, console, saved, approvals))


def _confirm(shown: Shown, options: RunOptions, console: Console) -> None:
    """Ask whoever stands over the run, before anything is changed. Raises what that raises."""
    if options.confirm:
        try:
            options.confirm()
        except UserError:
            finish_plan(shown.ended(), console, several=shown.several)
            raise


def _posted(post: AppliedPost | None, work: Callable[[], _Done]) -> _Done:
    """Apply, and *post* that it begins and how it ended."""
    if post is None:
        return work()
    post.begin()
    try:
        done = work()
    except BaseException:
        post.broke()
        raise
    post.end(done.documents, done.code)
    return done


def _apply(
    project: Project, shown: Shown, options: RunOptions, console: Console, offer: Offer | None, approvals: Approvals
) -> _Done:
    """Do what was shown, which was saved as *offer*, and record it."""
    if offer:
        take(offer, shown, asked=not options.auto_approve)
    bundles = {name: bundle.id for name, bundle in offer.bundles.items()} if offer else {}
    for one in shown.chosen:
        context = one.run.context
        consent = Consented(options.commit, options.from_rendered, bundles.get(one.part.name))
        write_intent(intent_of(one.selection, shown.of(one), context, one.run.facts(), consent), context)
    beginning = shown.ended() if told_of(project, "start") else []
    started = announce(project, {one.stack: finished_document(one) for one in beginning}, "start")
    consent_to = _unseen(options, console, shown, offer, approvals)
    nodes = apply_preview(shown.selection, shown.contexts, shown.preview, consent_to)
    documents = finish_apply(shown.ended(nodes, bundles, approvals.used()), console, several=shown.several)
    code = exit_code({name: node.outcome for name, node in nodes.items()}, shown.run)
    return _Done(code, documents, under_way=(started,))


def _nobody_to_ask(options: RunOptions, console: Console) -> bool:
    """Whether nothing may be changed, since nobody can say yes to it, and nobody has."""
    return not options.auto_approve and (not console.interactive or options.json)


def _unasked(console: Console, kind: str) -> RefusedError:
    return RefusedError(
        f"{kind} asks before it changes anything, and nobody is there to be asked",
        hint=f"{console.again('--auto-approve')}, if that is meant",
    )


def _agreed(options: RunOptions, console: Console, kind: str, shown: Shown) -> bool:
    if _nobody_to_ask(options, console):
        raise _unasked(console, kind)
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
    what = "Destroy this in" if kind == "destroy" else f"{kind.capitalize()} this to"
    return console.ask(f"\n{what} {stacks}{where}?", lambda: shown.run.context.supervisor.stopping)


def _unseen(options: RunOptions, console: Console, shown: Shown, offer: Offer | None, approvals: Approvals) -> Consent:
    again = "run the same command again"
    if offer and offer.strict:
        again = f"make a plan of what is left ({plan_command(offer.bundles[offer.stacks.only])})"
    otherwise = f"{again} to see it and say yes, or allow it beforehand with --allow-unseen"
    if approvals.required:
        otherwise = "plan what is left, have that approved (infra-orch approve RUN), and apply again"
    supervisor = shown.run.context.supervisor
    one_at_a_time = threading.Lock()

    def ask(planned: Planned, beyond: list[str]) -> bool:
        if approvals.required:
            return approvals.allow(planned.outcome.name, planned.outcome)
        if options.allow_unseen:
            return True
        if not console.interactive or options.auto_approve or options.json:
            return False
        with one_at_a_time, console.still():
            console.result(plan_lines({planned.outcome.name: planned.outcome}, console.style))
            console.note(f"{planned.outcome.name}: the preview did not show " + "; ".join(beyond[:5]))
            return console.ask(f"Apply this to {planned.outcome.name}, too?", lambda: supervisor.stopping)

    return Consent(ask, otherwise)
