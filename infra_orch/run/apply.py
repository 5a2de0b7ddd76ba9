"""The apply phase of a run: what was planned is done, in order, and nothing that the preview did not show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from infra_orch.project import beside
from infra_orch.run.compare import beyond_preview
from infra_orch.run.context import Contexts, RunContext
from infra_orch.run.outcome import Basis, Counts, Failure, Outcome, Status
from infra_orch.run.outside import upstream_outside, way_in
from infra_orch.run.plan import Preview, Selection, outputs_before, outputs_of, run_graph, skipped_task
from infra_orch.run.prepare import UnitWork
from infra_orch.run.tasks import run_task
from infra_orch.run.unit import (
    PLAN_FILE,
    REPLAN_FILE,
    Planned,
    apply_unit,
    plan_unit,
    refuse_protected,
    saved_plan,
)
from infra_orch.run.values import same_values


@dataclass(frozen=True)
class Consent:
    """What may be done beyond the preview. *unseen* is asked with a plan that the preview could not show or that
    differs from it, and what is beyond; it says whether to go on. It may be called from several threads. *otherwise* is
    the hint where it does not.
    """

    unseen: Callable[[Planned, list[str]], bool]
    otherwise: str


def apply(selection: Selection, contexts: Contexts, preview: Preview, consent: Consent) -> dict[str, Planned]:
    """Apply what *preview* showed. Returns what became of every node by name, with its outputs.

    Destroys go in reverse order. What failed blocks what comes after it and nothing else.
    """
    actual: dict[str, Planned] = {}
    order = selection.graph.reversed() if selection.kind == "destroy" else selection.graph

    def work(name: str) -> Outcome:
        if name in selection.units:
            done = _apply(_Turn(name, selection.units[name], contexts.of(name), preview, actual, consent))
            actual[name] = done.called(name)
            return actual[name].outcome
        if name not in selection.tasks:
            return skipped_task(name)
        if selection.kind == "destroy":
            # Of what it comes after nothing is left, and what it comes before is still there: it is given both.
            related = selection.graph.closure([name], down=True) | selection.graph.closure([name], down=False)
            known = outputs_of(name, related & selection.units.keys(), preview.nodes)
        else:
            known = outputs_before(name, order, actual)
        outcome = run_task(selection.tasks[name], contexts.of(name), known, selection.regions_of(name))
        return replace(outcome, name=name)

    outcomes = run_graph(
        selection,
        work,
        contexts,
        lets_on=lambda outcome: outcome.status.lets_on,
        graph=order,
        phase=selection.kind,
    )
    return {
        name: replace(actual.get(name, Planned(outcome, {})), outcome=outcome) for name, outcome in outcomes.items()
    }


@dataclass(frozen=True)
class _Turn:
    """A unit whose turn it is: the node *name*, what was shown of all, and what *actual*ly became of those before."""

    name: str
    work: UnitWork
    context: RunContext
    preview: Preview
    actual: Mapping[str, Planned]
    consent: Consent


def _apply(turn: _Turn) -> Planned:
    work, context = turn.work, turn.context
    planned = turn.preview.nodes[turn.name]
    if not planned.outcome.status.lets_on and planned.outcome.status is not Status.DEFERRED:
        return planned
    if work.destroy or _promises_kept(turn, planned):
        if planned.outcome.status in (Status.UNCHANGED, Status.SKIPPED):
            return planned
        return apply_unit(work, context, planned)
    return _replan(turn, planned)


def _promises_kept(turn: _Turn, planned: Planned) -> bool:
    """Whether the saved plan may be applied: its inputs are still what they were, or what had been promised."""
    if planned.outcome.basis is Basis.UNKNOWN:
        return False
    shown, actual = turn.preview.nodes, turn.actual
    needs = [(beside(turn.name, need), names) for need, names in turn.work.unit.needs.items()]
    return all(
        upstream not in actual or same_values(shown[upstream].outputs, actual[upstream].outputs, names)
        for upstream, names in needs
    )


def _replan(turn: _Turn, planned: Planned) -> Planned:
    work, context, actual = turn.work, turn.context, turn.actual
    name = work.unit.name
    upstreams = {need: beside(turn.name, need) for need in work.unit.needs}
    outputs = {
        need: actual[upstream].outputs if upstream in actual else turn.preview.outside.get(upstream, {})
        for need, upstream in upstreams.items()
    }
    again = refuse_protected(
        work, plan_unit(work, context, outputs, keep_as=REPLAN_FILE), known=name in context.stack.units
    )
    if again.outcome.status is Status.REFUSED:
        return _not_done(again, again.outcome.failure, Status.REFUSED)
    if again.outcome.status is not Status.PLANNED:
        return again
    if again.upstream is None or again.upstream.holds_unknown:
        return _not_done(again, _still_waits(turn, again.outcome.unknown_inputs), Status.DEFERRED)
    deferred = planned.outcome.status is Status.DEFERRED
    if deferred:
        beyond = [f"{change.address}: {' and '.join(change.actions)}" for change in again.outcome.resources]
    else:
        beyond = beyond_preview(saved_plan(context, name, PLAN_FILE), saved_plan(context, name, REPLAN_FILE))
    beyond = [context.redactor.text(line) for line in beyond]
    if beyond and not turn.consent.unseen(again.called(turn.name), beyond):
        return _unseen(again, beyond, turn.consent.otherwise, deferred=deferred)
    return apply_unit(work, context, again, plan=REPLAN_FILE)


def _still_waits(turn: _Turn, unknown: tuple[str, ...]) -> Failure:
    nodes = turn.preview.nodes
    missing = upstream_outside(turn.name, unknown, nodes)
    hint = f"{way_in(missing, nodes, turn.context)} applies {', '.join(missing)}, too" if missing else ""
    return Failure(f"still waits for {', '.join(unknown)}", hint=hint, kind="deferred")


def _unseen(again: Planned, beyond: list[str], hint: str, *, deferred: bool) -> Planned:
    what = "its plan could not be shown before" if deferred else "its plan does more than the preview showed"
    failure = Failure(
        f"{what}: {beyond[0]}" + (f" (and {len(beyond) - 1} more)" if len(beyond) > 1 else ""),
        "\n".join(beyond),
        hint,
        kind="unseen",
    )
    return _not_done(again, failure, Status.DEFERRED if deferred else Status.REFUSED)


def _not_done(again: Planned, failure: Failure | None, status: Status) -> Planned:
    """*again*, of which nothing is done: after an apply, an outcome names what was done."""
    outcome = replace(again.outcome, status=status, failure=failure, resources=(), counts=Counts())
    return replace(again, outcome=outcome)
