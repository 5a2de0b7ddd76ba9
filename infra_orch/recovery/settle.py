"""What became of the nodes of a run that died: by its journal, by what Terraform said, and by the states."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from infra_orch.recovery.death import DeadRun, Step
from infra_orch.recovery.intent import Intent
from infra_orch.run.context import RunContext
from infra_orch.run.diagnosis import Messages, read_messages
from infra_orch.run.done import outcome_of
from infra_orch.run.kept import read_outcome
from infra_orch.run.outcome import Counts, Failure, Outcome, Status
from infra_orch.run.pace import Pace
from infra_orch.run.plan import Selection
from infra_orch.run.prepare import UnitWork, read_files
from infra_orch.run.terraform import Invocation
from infra_orch.run.unit import Planned, after_apply

_NOT_BEGUN = Failure("the run was killed before it was begun", hint="apply again", kind="killed")
_UNKNOWN_END = Failure(
    "it had begun when the run was killed, and nothing tells whether it ended: it is not run again",
    hint="look at what it does, and whether that was done",
    kind="killed",
)


def selection_of(intent: Intent, context: RunContext) -> Selection:
    """The selection that a run worked on, from what it was about to do. Its tasks have no functions."""
    units = {
        name: UnitWork(unit, _files(name, intent, context), destroy=intent.nodes[name].destroys_unit)
        for name, unit in [*intent.stack.units.items(), *((n, k.unit) for n, k in intent.stack.left_over.items())]
        if name in intent.nodes
    }
    kind = intent.facts.command
    graph = intent.graph.reversed() if kind == "destroy" else intent.graph
    return Selection(units, {}, {}, graph, kind, {}, pace=Pace(workers=1))


def settle(dead: DeadRun, intent: Intent, selection: Selection, context: RunContext) -> dict[str, Planned]:
    """Return what became of every node of a run that died."""
    nodes: dict[str, Planned] = {}
    for name, outcome in intent.nodes.items():
        step = dead.step(name)
        if outcome.is_task:
            nodes[name] = Planned(_task(outcome, step), {})
        elif not outcome.status.to_do:
            nodes[name] = Planned(outcome, {})
        elif step is None:
            nodes[name] = Planned(_not_begun(outcome), {})
        else:
            nodes[name] = _unit(selection.units[name], outcome, step, context)
    return nodes


def due_tasks(dead: DeadRun, intent: Intent, nodes: Mapping[str, Planned]) -> list[str]:
    """The tasks that were to run next, and that the journal proves not to have begun, in their order."""
    due: list[str] = []
    for name in intent.graph.order():
        outcome = intent.nodes[name]
        if not outcome.is_task or outcome.status is not Status.PLANNED or dead.step(name) is not None:
            continue
        ready = all(first in due or nodes[first].outcome.status.lets_on for first in intent.graph.upstream[name])
        # A task that comes before something is part of what was not done: an apply does both.
        if ready and all(nodes[after].outcome.status.lets_on for after in _units_after(intent, name)):
            due.append(name)
    return due


def in_order(intent: Intent, names: list[str], run: Callable[[str], Outcome], nodes: dict[str, Planned]) -> None:
    """Run tasks one after the other, into *nodes*; one whose upstream task failed is left as it is."""
    for name in names:
        if all(nodes[first].outcome.status.lets_on for first in intent.graph.upstream[name]):
            nodes[name] = Planned(run(name), {})


def said_by(step: Step) -> Messages:
    """What Terraform said in a step."""
    try:
        return read_messages(step.log)
    except OSError:
        return Messages()


def _units_after(intent: Intent, task: str) -> frozenset[str]:
    return frozenset(name for name in intent.graph.closure([task], down=True) if not intent.nodes[name].is_task)


def _files(name: str, intent: Intent, context: RunContext) -> dict[str, str]:
    """The files that the unit was run from: those in its work folder, or where they are gone the rendered ones."""
    unit = intent.stack.units[name] if name in intent.stack.units else intent.stack.left_over[name].unit
    for folder in (context.work, context.stack.folder.rendered):
        try:
            return read_files(folder, unit)
        except OSError:
            continue
    return {"backend.tf": ""}


def _task(outcome: Outcome, step: Step | None) -> Outcome:
    if outcome.status is not Status.PLANNED:
        return outcome
    if step is None:
        return _not_begun(outcome)
    if step.ended is None:
        return replace(outcome, status=Status.CANCELLED, failure=_UNKNOWN_END)
    try:
        status = Status(str(step.ended.get("status")))
    except ValueError:
        return replace(outcome, status=Status.CANCELLED, failure=_UNKNOWN_END)
    failure = None if status is Status.APPLIED else Failure(str(step.ended.get("error") or "it failed"), kind="task")
    return replace(outcome, status=status, failure=failure, result=step.ended.get("result"), duration=step.seconds)


def _not_begun(outcome: Outcome) -> Outcome:
    return replace(outcome, status=Status.CANCELLED, failure=_NOT_BEGUN, resources=(), counts=Counts())


def _unit(work: UnitWork, outcome: Outcome, step: Step, context: RunContext) -> Planned:
    planned, moves = _as_begun(outcome, step.begun)
    said = said_by(step)
    name = str(step.begun.get("step"))
    folder = context.work / outcome.name
    code = _exit_code(step, said)
    done = Invocation(context, outcome.name, name, folder, code, step.log, said)
    settled = replace(outcome_of(done, planned), destroys_unit=work.destroy, duration=step.seconds)
    if step.ended is None and code < 0:
        failure = Failure(
            f"killed with {len(settled.resources)} of {len(planned.resources)} changes made",
            done.text(),
            "",
            context.shown(step.log),
            "killed",
        )
        settled = replace(settled, failure=failure)
    return after_apply(work, context, Planned(settled, {}, state_moves=moves), done)


def _as_begun(outcome: Outcome, begun: Mapping[str, Any]) -> tuple[Outcome, bool]:
    """What the unit's plan was when it was applied, which may be another than the preview's."""
    try:
        return read_outcome(outcome.name, begun["plan"]), bool(begun.get("state_moves"))
    except (KeyError, ValueError, TypeError):
        return outcome, False


def _exit_code(step: Step, said: Messages) -> int:
    """How it ended: as the journal says, or as it said itself where nobody was there any more to wait for it."""
    if step.ended is not None and isinstance(step.ended.get("returncode"), int):
        return int(step.ended["returncode"])
    if said.complete:
        return 0
    return 1 if said.errors else -int(signal.SIGKILL)
