"""Run one unit: plan it, apply its plan, read its outputs. Takes values, returns an outcome; knows no scheduler."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from infra_orch.engine import command
from infra_orch.errors import InterruptedRun, RefusedError, UserError
from infra_orch.fingerprint.fingerprint import Fingerprint
from infra_orch.run.changes import PlanDocument, read_plan
from infra_orch.run.context import RunContext
from infra_orch.run.diagnosis import DISK_FULL, is_full, needs_init, waits_for_unknown, warning_texts
from infra_orch.run.done import outcome_of
from infra_orch.run.fingerprints import fingerprint_unit
from infra_orch.run.judging import judged
from infra_orch.run.kept import outcome_json
from infra_orch.run.outcome import Basis, Counts, Failure, Outcome, Status, count
from infra_orch.run.outputs import outputs_after, outputs_of_state
from infra_orch.run.prepare import Ready, UnitWork, initialise, prepare
from infra_orch.run.progress import operations
from infra_orch.run.rename import Place, bring_state, place_of_state
from infra_orch.run.state import StateVersion
from infra_orch.run.stored import stored_version
from infra_orch.run.terraform import Invocation, StepError, UnitCommand, invoke, printed
from infra_orch.run.values import (
    UNKNOWN_RESOURCE,
    UPSTREAM_FILE,
    Output,
    Upstream,
    contains_unknown,
    upstream_values,
)

_DEFERRED = "an apply plans it when that is known, and asks before it goes on (--allow-unseen: without asking)"
PLAN_FILE = "tfplan"
PLAN_JSON = "tfplan.json"
REPLAN_FILE = "replan"
Outputs: TypeAlias = Mapping[str, Mapping[str, Output]]


@dataclass(frozen=True)
class Planned:
    """A unit that was planned: its outcome, what its outputs will be, and what the plan was made with.

    *state_moves*: its state lies under the unit's former name, and comes along when the plan is applied.
    *fingerprint*: of all that the plan depends on. *state*: the version of the state after an apply, where that could
    be told without Terraform.
    """

    outcome: Outcome
    outputs: Mapping[str, Output]
    upstream: Upstream | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    state_moves: bool = False
    fingerprint: Fingerprint | None = None
    state: StateVersion | None = None

    def called(self, node: str) -> Planned:
        """The same under another name, as the node is called in a run of several stacks."""
        return replace(self, outcome=replace(self.outcome, name=node))


def plan_unit(work: UnitWork, context: RunContext, outputs: Outputs, *, keep_as: str = PLAN_FILE) -> Planned:
    """Plan one unit with what is known of its upstreams' *outputs*.

    Leaves the plan in the unit's work folder as *keep_as* and `<keep_as>.json`. Never raises for the unit's own
    failure: that is its outcome.
    """
    began = time.monotonic()
    upstream = upstream_values(work.unit.needs, outputs)
    learn_upstream(context, upstream)
    try:
        place = place_of_state(work, context)
        ready = prepare(work, context, upstream, former=place is Place.FORMER)
        fingerprint = fingerprint_unit(work, context, upstream.text, ready.variables, ready.folder)
        planned = replace(_plan(work, context, ready, upstream, keep_as), fingerprint=fingerprint)
        moves = place is not Place.OWN
        if moves and planned.outcome.status is Status.UNCHANGED:
            # Its state has to come along, which is a change even where Terraform has none to make.
            planned = replace(planned, outcome=replace(planned.outcome, status=Status.PLANNED))
        planned = replace(planned, variables=ready.variables, state_moves=moves)
    except (StepError, UserError, OSError, ValueError) as error:
        planned = not_planned(work, upstream, error)
    outcome = replace(planned.outcome, duration=time.monotonic() - began, destroys_unit=work.destroy)
    return replace(planned, outcome=outcome, upstream=upstream)


def refuse_protected(work: UnitWork, planned: Planned, *, known: bool) -> Planned:
    """Return *planned*, refused where its unit is protected and it would destroy something. *known*: to the spec."""
    doomed = [change.address for change in planned.outcome.resources if change.destroys]
    if not work.unit.protect or not doomed:
        return planned
    name = work.unit.name
    failure = Failure(
        f"{name} is protected, and {doomed[0]} would be destroyed"
        + (f" (and {len(doomed) - 1} more)" if len(doomed) > 1 else ""),
        hint=f"take protect=True from it at {work.unit.where} if that is meant"
        if known
        else f"if that is meant, put {name} back into the spec without protect=True, apply that, and take it out again",
        kind="protected",
    )
    return replace(planned, outcome=replace(planned.outcome, status=Status.REFUSED, failure=failure))


def not_planned(work: UnitWork, upstream: Upstream, error: Exception) -> Planned:
    """What became of a unit whose plan *error* stood in the way of."""
    status = Status.CANCELLED if isinstance(error, InterruptedRun) else Status.FAILED
    status = Status.REFUSED if isinstance(error, RefusedError) else status
    outcome = Outcome(work.unit.name, status, failure=_of(error), basis=upstream.basis, destroys_unit=work.destroy)
    return Planned(outcome, {}, upstream)


def apply_unit(work: UnitWork, context: RunContext, planned: Planned, *, plan: str = PLAN_FILE) -> Planned:
    """Apply the saved plan of a unit, and return what was done and what its outputs are.

    Never raises for the unit's own failure. What an apply that failed half-way did is in its outcome.
    """
    # A destroy creates nothing, and so not the resource that stands for what is unknown either.
    if planned.upstream is None or (planned.upstream.holds_unknown and not work.destroy):
        raise AssertionError("a plan that holds unknown values is never applied")
    began = time.monotonic()
    name = work.unit.name
    step = "destroy" if work.destroy else "apply"
    context.progress.started(name, step, context.log(name, step), operations(planned.outcome.resources))
    try:
        argv = command.apply(context.engine, plan, lock_timeout=context.lock_timeout)
        done = invoke(
            context,
            UnitCommand(
                name,
                step,
                argv,
                context.work / name,
                context.environment,
                variables=planned.variables,
                changes_world=True,
                facts={"plan": outcome_json(planned.outcome), "state_moves": planned.state_moves},
            ),
        )
    except (InterruptedRun, UserError, OSError) as error:
        status = Status.CANCELLED if isinstance(error, InterruptedRun) else Status.FAILED
        nothing = replace(planned.outcome, status=status, failure=_of(error), resources=(), counts=Counts())
        settled = replace(planned, outcome=nothing)
    else:
        settled = after_apply(work, context, replace(planned, outcome=outcome_of(done, planned.outcome)), done)
    duration = planned.outcome.duration + time.monotonic() - began
    return replace(settled, outcome=replace(settled.outcome, duration=duration, destroys_unit=work.destroy))


def after_apply(work: UnitWork, context: RunContext, applied: Planned, done: Invocation) -> Planned:
    """See to what comes after an apply: the state's place, and the outputs that others wait for."""
    if applied.outcome.status is not Status.APPLIED:
        return _after_failure(work, context, applied)
    if work.destroy:
        return replace(applied, outputs={})
    try:
        if applied.state_moves:
            bring_state(work, context)
        return replace(applied, outputs=outputs_after(done, work, context), state=stored_version(work, context))
    except (StepError, UserError, OSError, ValueError) as error:
        # What was done is done, and what comes after this unit cannot go on without its outputs.
        return replace(applied, outputs={}, outcome=replace(applied.outcome, status=Status.FAILED, failure=_of(error)))


def _after_failure(work: UnitWork, context: RunContext, failed: Planned) -> Planned:
    """What there is after an apply that failed, by its state; where that cannot be read, by what the apply said."""
    folder = context.work / work.unit.name
    try:
        addresses = _addresses_of_state(work.unit.name, folder, context)
        outputs = outputs_of_state(work.unit.name, folder, context)
    except (StepError, UserError, OSError, ValueError):
        return replace(failed, outputs={})
    return replace(failed, outputs=outputs, outcome=replace(failed.outcome, addresses=addresses))


def _addresses_of_state(unit: str, folder: Path, context: RunContext) -> tuple[str, ...]:
    text = printed(context, unit, "state", command.state_list(context.engine), folder)
    lines = text.decode("utf-8").split("\n")
    return tuple(sorted(line for line in lines if line and not _DATA.match(line)))


def show_text(work: UnitWork, context: RunContext, plan: str = PLAN_FILE) -> str:
    """Return Terraform's own text of a unit's plan, redacted."""
    name = work.unit.name
    text = printed(context, name, "show", command.show(context.engine, plan, json=False), context.work / name)
    return context.redactor.text(_without_helper(text.decode("utf-8", errors="replace")))


def saved_plan(context: RunContext, unit: str, name: str = PLAN_FILE) -> PlanDocument:
    """Read the JSON form of a plan that plan_unit() left."""
    return read_plan(context.work / unit / f"{name}.json")


def forget_plans(context: RunContext, unit: str) -> None:
    """Remove what holds secrets and is of no more use: plans, and the file of upstream values."""
    folder = context.work / unit
    with contextlib.suppress(FileNotFoundError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith((PLAN_FILE, REPLAN_FILE)) or entry.name == UPSTREAM_FILE:
                Path(entry).unlink(missing_ok=True)


def _plan(work: UnitWork, context: RunContext, ready: Ready, upstream: Upstream, keep_as: str) -> Planned:
    done = _run_plan(work, context, ready, keep_as)
    if done.returncode not in (0, 2) and needs_init(done.text()):
        initialise(work, context, ready)
        done = _run_plan(work, context, ready, keep_as)
    waits = done.returncode not in (0, 2) and bool(upstream.unknown) and waits_for_unknown(done.messages)
    if waits and work.destroy:
        # What exists goes by its state alone; it is the refresh before that which evaluates the rest.
        done = _run_plan(work, context, ready, keep_as, refresh=False)
    elif waits:
        failure = Failure(
            f"waits for {', '.join(upstream.unknown)}", done.text(), _DEFERRED, context.shown(done.log), "deferred"
        )
        outcome = Outcome(
            work.unit.name, Status.DEFERRED, basis=Basis.UNKNOWN, unknown_inputs=upstream.unknown, failure=failure
        )
        return Planned(outcome, {})
    done.check((0, 2))
    document = _show(work, context, ready.folder, keep_as)
    document.learn_secrets(context.redactor, ready.variables)
    resources = document.drifted(context.redactor) if work.drift else document.resources(context.redactor)
    changes = bool(resources) if work.drift else done.returncode == 2
    outcome = Outcome(
        work.unit.name,
        Status.PLANNED if changes else Status.UNCHANGED,
        counts=count(resources),
        resources=resources,
        outputs_changed=() if work.drift else document.outputs_changed(),
        basis=upstream.basis,
        unknown_inputs=upstream.unknown,
        warnings=warning_texts(done.messages),
        addresses=document.addresses(),
        means=means_of(document, context),
    )
    outcome = _less_helper(outcome) if work.drift else judged(_less_helper(outcome), document, work, context)
    return Planned(outcome, planned_outputs(document, work, context))


def means_of(document: PlanDocument, context: RunContext) -> str:
    """PlanDocument.means(); nothing in the sandbox, where providers are turned to one emulator after another."""
    return document.means() if context.sandbox is None else ""


def planned_outputs(document: PlanDocument, work: UnitWork, context: RunContext) -> dict[str, Output]:
    """The outputs of a unit as its plan has them. Raises as outputs_of_state() does."""
    outputs = document.outputs(destroy=work.destroy)
    if any(contains_unknown(output.value) for output in outputs.values() if not output.promised):
        # Numbers that the JSON of a plan rounds; the state, which is the one of the plan, has them exactly.
        exact = outputs_of_state(work.unit.name, context.work / work.unit.name, context)
        outputs |= {name: exact[name] for name, output in outputs.items() if not output.promised and name in exact}
    return outputs


def _less_helper(outcome: Outcome) -> Outcome:
    """Terraform counts our helper resource as a change; without it there may be none."""
    if outcome.status is Status.PLANNED and not outcome.resources and not outcome.outputs_changed:
        return replace(outcome, status=Status.UNCHANGED)
    return outcome


def _run_plan(work: UnitWork, context: RunContext, ready: Ready, keep_as: str, *, refresh: bool = True) -> Invocation:
    log = context.log(work.unit.name, "plan")
    context.progress.started(work.unit.name, "plan", log)
    log.unlink(missing_ok=True)
    options = command.PlanOptions(
        destroy=work.destroy, refresh=refresh, refresh_only=work.drift, lock_timeout=context.lock_timeout
    )
    argv = command.plan(context.engine, keep_as, options)
    return invoke(
        context, UnitCommand(work.unit.name, "plan", argv, ready.folder, context.environment, variables=ready.variables)
    )


def _show(work: UnitWork, context: RunContext, folder: Path, plan: str) -> PlanDocument:
    path = folder / f"{plan}.json"
    path.unlink(missing_ok=True)
    done = invoke(
        context,
        UnitCommand(
            work.unit.name, "show", command.show(context.engine, plan), folder, context.environment, stdout=path
        ),
    ).check()
    try:
        return read_plan(path)
    except ValueError as error:
        failure = Failure(f"terraform show printed no whole plan: {error}", log=context.shown(done.log), kind="garbage")
        raise StepError.of(replace(DISK_FULL, log=failure.log) if is_full(folder) else failure) from error


def learn_upstream(context: RunContext, upstream: Upstream) -> None:
    """Teach the redactor the sensitive values that a unit is given."""
    for text in upstream.variables.values():
        context.redactor.add(json.loads(text))


def _of(error: Exception) -> Failure:
    if isinstance(error, StepError):
        return error.failure
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return replace(DISK_FULL, detail=str(error))
    hint = error.hint if isinstance(error, UserError) else ""
    return Failure(str(error), hint=hint, kind="cancelled" if isinstance(error, InterruptedRun) else "failed")


_DATA = re.compile(r'(?:module\.[\w-]+(?:\[(?:\d+|"(?:[^"\\]|\\.)*")\])?\.)*data\.')
_HELPER = re.compile(rf"^  # {re.escape(UNKNOWN_RESOURCE)} will be created\n.*?^    }}\n\n?", re.MULTILINE | re.DOTALL)
_TOTAL = re.compile(r"^Plan: (\d+) to add", re.MULTILINE)


def _without_helper(text: str) -> str:
    """Terraform's text of a plan, less the resource that stands for what is unknown."""
    rest, found = _HELPER.subn("", text)
    return _TOTAL.sub(lambda total: f"Plan: {int(total[1]) - found} to add", rest)
