"""Plans, applies and destroys of a stack under test: what the commands do, with values in place of text."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part
from infra_orch.commands.previewing import preview
from infra_orch.commands.selecting import select
from infra_orch.commands.session import Session, sessions
from infra_orch.console import Console
from infra_orch.engine import command
from infra_orch.gateway.client import KeptGateway
from infra_orch.run.apply import Consent
from infra_orch.run.apply import apply as apply_preview
from infra_orch.run.changes import with_unknowns
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.plan import Preview, Selection, forget
from infra_orch.run.progress import Progress
from infra_orch.run.tasks import run_task
from infra_orch.run.terraform import StepError, printed
from infra_orch.run.unit import Planned as PlannedNode
from infra_orch.run.unit import saved_plan
from infra_orch.run.values import UNKNOWN_RESOURCE, Output, plain
from infra_orch.testing.failed import RunFailedError
from infra_orch.testing.planned import Planned, PlannedUnit
from infra_orch.testing.resources import Resource
from infra_orch.testing.values import SENSITIVE, Named

_ACTIONS = {frozenset({"delete", "create"}): "replace"}
_FAILED = (Status.FAILED, Status.BLOCKED, Status.CANCELLED)


@dataclass(frozen=True)
class PlanRun:
    """A plan that was made, as the test sees it, and as an apply of it takes it."""

    planned: Planned
    preview: Preview


@dataclass(frozen=True)
class ApplyRun:
    """What an apply came to: outputs by unit, what tasks returned, and the resources in the states."""

    outputs: Mapping[str, Mapping[str, Output]]
    tasks: Mapping[str, Any]
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Stage:
    """What a run goes on: a stack that is *opened*, the *url* of the emulator, and the gateway that all runs share."""

    opened: Opened
    url: str
    gateway: KeptGateway

    @property
    def unprotected(self) -> Stage:
        """The same without anything that is protected."""
        units = {name: replace(unit, protect=False) for name, unit in self.opened.rendered.units.items()}
        return replace(self, opened=replace(self.opened, rendered=replace(self.opened.rendered, units=units)))

    @property
    def options(self) -> RunOptions:
        """What the run is told."""
        return RunOptions(
            sandbox=True,
            emulator_url=self.url,
            gateway=self.gateway,
            auto_approve=True,
            allow_unseen=True,
            commit=False,
        )


@contextlib.contextmanager
def _session(stage: Stage, kind: str) -> Iterator[tuple[Part, Session, Console]]:
    """A run that tells nobody what it does."""
    told = io.StringIO()
    console = Console(out=told, err=told)
    part = Part(stage.opened, stage.options)
    with sessions(stage.opened.folder.project, [part], kind, console, Progress()) as runs:
        yield part, runs[0], console
        if runs[0].context.supervisor.stopping:
            raise KeyboardInterrupt
        runs[0].context.journal.write("done", durable=True, status=kind)


def plan_run(stage: Stage) -> PlanRun:
    """Plan a stack. What Terraform planned stays in the work folders until it is applied, or forgotten.

    Raises RunFailedError where a unit cannot be planned, UserError as the commands do.
    """
    with _session(stage, "plan") as (part, run, console):
        shown = preview([part], [run], run.context.progress, console, kind="plan", several=False)
        _refuse_failed("plan", shown.outcomes, run)
        units = {name: _planned_unit(shown.preview.nodes[name], run) for name in shown.selection.units}
        tasks = {name: one.result for name, one in shown.outcomes.items() if one.is_task and one.result is not None}
        stack = stage.opened.rendered.name
        return PlanRun(Planned(stack, Named(units, "unit"), Named(tasks, "task")), shown.preview)


def apply_run(stage: Stage, planned: PlanRun) -> ApplyRun:
    """Apply a stack as it was *planned*. Raises RunFailedError where something fails, UserError as commands do."""
    with _session(stage, "apply") as (part, run, _):
        pace = pace_of(run, part.options, run.records)
        selection = select(stage.opened, part.options.wanted, "apply", pace)
        nodes = planned.preview.nodes
        known = {name: node for name, node in nodes.items() if name in selection.graph.upstream}
        _refuse_failed("apply", {name: node.outcome for name, node in known.items()}, run, refused=True)
        done = _applied(selection, run, Preview(known, planned.preview.outside))
        _refuse_failed("apply", {name: node.outcome for name, node in done.items()}, run, refused=True)
        resources = [one for name in selection.units for one in _resources_in_state(name, run)]
        tasks = {name: node.outcome.result for name, node in done.items() if node.outcome.is_task}
        outputs = {name: done[name].outputs for name in selection.units}
        return ApplyRun(outputs, tasks, tuple(resources))


def task_run(stage: Stage, name: str, outputs: Mapping[str, Mapping[str, Output]]) -> Any:
    """Run one task once more, with the *outputs* of all units. Returns what it returns; raises RunFailedError."""
    with _session(stage, "apply") as (_, run, _console):
        task = replace(stage.opened.tasks[name], retries=0)
        outcome = run_task(task, run.context, outputs, stage.opened.regions)
        _refuse_failed(f"task {name}", {name: outcome}, run)
        return outcome.result


def destroy_run(stage: Stage) -> None:
    """Destroy a stack, what it protects too. Raises RunFailedError where something of it fails."""
    with _session(stage.unprotected, "destroy") as (part, run, console):
        shown = preview([part], [run], run.context.progress, console, kind="destroy", several=False)
        _refuse_failed("destroy", shown.outcomes, run, refused=True)
        done = _applied(shown.selection, run, shown.preview)
        _refuse_failed("destroy", {name: node.outcome for name, node in done.items()}, run, refused=True)


def _applied(selection: Selection, run: Session, shown: Preview) -> dict[str, PlannedNode]:
    try:
        return apply_preview(selection, run.contexts, shown, Consent(lambda _planned, _beyond: True, ""))
    finally:
        forget(selection, run.context)


def _refuse_failed(what: str, outcomes: Mapping[str, Outcome], run: Session, *, refused: bool = False) -> None:
    """Raise RunFailedError that names what failed, and why; KeyboardInterrupt where somebody stopped it.

    *refused*: also what was refused, or could not be planned by then, counts.
    """
    if run.context.supervisor.stopping:
        raise KeyboardInterrupt
    bad = (*_FAILED, Status.REFUSED) if refused else _FAILED
    failed = [one for one in outcomes.values() if one.status in bad]
    if refused:
        failed += [one for one in outcomes.values() if one.status is Status.DEFERRED and one.failure]
    failed = [one for one in failed if one.status is not Status.BLOCKED] or failed
    if not failed:
        return
    lines = [f"the {what} of {run.context.stack.name} failed"]
    for one in failed:
        lines += _told(one)
    raise RunFailedError("\n".join(lines), hint=next((one.failure.hint for one in failed if one.failure), ""))


def _told(outcome: Outcome) -> Iterator[str]:
    failure = outcome.failure
    yield f"{outcome.name}: {failure.summary if failure else outcome.status}"
    detail = failure.detail if failure else ""
    yield from (f"    {line}" for line in detail.splitlines())
    yield from (f"    {denial}" for denial in outcome.denials)


def _planned_unit(node: PlannedNode, run: Session) -> PlannedUnit:
    outcome = node.outcome
    return PlannedUnit(
        outcome.name,
        str(outcome.status),
        tuple(_resources_in_plan(outcome, run)),
        Named(outputs_seen(node.outputs), f"output of {outcome.name} called"),
        outcome.unknown_inputs,
        outcome.warnings,
        outcome.denials,
    )


def outputs_seen(outputs: Mapping[str, Output]) -> dict[str, Any]:
    """The values of outputs by name, with SENSITIVE for what is sensitive."""
    return {name: SENSITIVE if output.sensitive else plain(output.value) for name, output in outputs.items()}


def _resources_in_plan(outcome: Outcome, run: Session) -> Iterator[Resource]:
    if outcome.status is Status.DEFERRED:
        return
    for one in saved_plan(run.context, outcome.name).document.get("resource_changes") or ():
        if one["address"] == UNKNOWN_RESOURCE or one.get("deposed"):
            continue
        change = one["change"]
        actions = change["actions"]
        after = with_unknowns(change.get("after"), change.get("after_unknown"))
        yield Resource(
            unit=outcome.name,
            address=one["address"],
            type=one["type"],
            name=one["name"],
            mode=one["mode"],
            action=_ACTIONS.get(frozenset(actions), actions[0]),
            actions=tuple(actions),
            _values=_mapping(plain(after)),
            _sensitive=change.get("after_sensitive"),
            _before=_mapping(plain(change.get("before"))),
            _before_sensitive=change.get("before_sensitive"),
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _resources_in_state(unit: str, run: Session) -> Iterator[Resource]:
    """The resources in the state of a unit, as Terraform shows it. Raises RunFailedError where it cannot."""
    context = run.context
    try:
        text = printed(context, unit, "state", command.show(context.engine), context.work / unit)
        document = json.loads(text, parse_float=Decimal)
        root = (document.get("values") or {}).get("root_module") or {}
        yield from _in_module(unit, root)
    except (StepError, ValueError, KeyError) as error:
        raise RunFailedError(f"{unit}: its state cannot be read: {error}") from error


def _in_module(unit: str, module: Mapping[str, Any]) -> Iterator[Resource]:
    for one in module.get("resources") or ():
        yield Resource(
            unit=unit,
            address=one["address"],
            type=one["type"],
            name=one["name"],
            mode=one["mode"],
            action="no-op",
            actions=("no-op",),
            _values=_mapping(plain(one.get("values"))),
            _sensitive=one.get("sensitive_values"),
        )
    for child in module.get("child_modules") or ():
        yield from _in_module(unit, child)
