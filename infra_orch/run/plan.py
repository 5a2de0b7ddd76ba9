"""The plan phase of a run: every selected unit planned, in order, with truthful values from its upstreams."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import cast

from infra_orch.errors import InterruptedRun, UserError
from infra_orch.graph.graph import Graph
from infra_orch.project import as_seen_from, beside, stack_and_unit
from infra_orch.run.context import Contexts, RunContext
from infra_orch.run.executor import ThreadExecutor
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.outputs import read_outputs
from infra_orch.run.pace import Pace
from infra_orch.run.prepare import UnitWork
from infra_orch.run.schedule import walk
from infra_orch.run.skip import Applied, skipped_unit
from infra_orch.run.tasks import run_task
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import Planned, forget_plans, plan_unit, refuse_protected
from infra_orch.run.values import Output, Upstream, upstream_values
from infra_orch.spec.stack import Task


@dataclass(frozen=True)
class Selection:
    """What a run works on: units and tasks by name, and the order among them.

    In a run of several stacks the names are `network/vpc`, and *graph* leads from one stack to the other.
    *outside*: upstream units that are not part of the run, whose outputs are read from their states.
    *tasks*: functions by name; a task node without one is skipped, since a run from rendered files evaluates no Python.
    *kind* is `plan`, `apply` or `destroy`. *regions* are variables for tasks, of the region that the provider of their
    stack works in, by stack.
    *pace*: in which order, and how many at once.
    """

    units: Mapping[str, UnitWork]
    outside: Mapping[str, UnitWork]
    tasks: Mapping[str, Task]
    graph: Graph
    kind: str
    regions: Mapping[str, Mapping[str, str]]
    pace: Pace

    def regions_of(self, task: str) -> Mapping[str, str]:
        """The variables of a task's region."""
        return self.regions.get(stack_and_unit(task)[0], {})


@dataclass(frozen=True)
class Preview:
    """What a plan phase showed: every node by name, and what is known of the outputs of units outside the run."""

    nodes: Mapping[str, Planned]
    outside: Mapping[str, Mapping[str, Output]]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes by name."""
        return {name: planned.outcome for name, planned in self.nodes.items()}


def plan(selection: Selection, contexts: Contexts, applied: Mapping[str, Applied] = MappingProxyType({})) -> Preview:
    """Plan every unit of the selection, and run its tasks where the run is a plan.

    A unit of those in *applied* is not planned where nothing that its plan depends on has changed since.
    """
    planned: dict[str, Planned] = {}
    outside = OutsideOutputs(selection, contexts)
    to_ask = dict(applied)

    def work(name: str) -> Outcome:
        if name in selection.units:
            found = _plan_unit(selection, contexts, name, planned, outside, to_ask.get(name))
        else:
            found = Planned(_plan_task(name, selection, contexts.of(name), planned), {})
        planned[name] = found.called(name)
        return planned[name].outcome

    def at_once(name: str) -> Outcome | None:
        if name not in to_ask or not _is_at_hand(name, selection, contexts, planned):
            return None
        values = {need: planned[beside(name, need)].outputs for need in selection.units[name].unit.needs}
        found = skipped_unit(selection.units[name], contexts.of(name), values, to_ask.pop(name))
        if found is None:
            return None
        planned[name] = found.called(name)
        return planned[name].outcome

    outcomes = run_graph(selection, work, contexts, phase="plan", lets_on=_lets_preview_on, at_once=at_once)
    nodes = {name: planned.get(name, Planned(outcome, {})) for name, outcome in outcomes.items()}
    return Preview(nodes, outside.known)


def _is_at_hand(name: str, selection: Selection, contexts: Contexts, planned: Mapping[str, Planned]) -> bool:
    """Whether a unit's state is a file here, and the outputs that it reads are known."""
    unit = selection.units[name].unit
    is_local = unit.backend == "local" or contexts.of(name).sandbox is not None
    return is_local and all(beside(name, need) in planned for need in unit.needs)


def _plan_unit(
    selection: Selection,
    contexts: Contexts,
    name: str,
    planned: Mapping[str, Planned],
    outside: OutsideOutputs,
    applied: Applied | None,
) -> Planned:
    work, context = selection.units[name], contexts.of(name)
    # Where a unit that left the spec is destroyed in the middle of an apply, it reads what its upstreams are now.
    in_run = planned if not (work.destroy or work.drift) or selection.kind == "destroy" else {}
    values: dict[str, Mapping[str, Output]] = {}
    for need in work.unit.needs:
        upstream = beside(name, need)
        if upstream in in_run:
            values[need] = in_run[upstream].outputs
            continue
        context.progress.started(work.unit.name, "read")
        known = outside.outputs(upstream)
        if isinstance(known, Failure):
            status = Status.CANCELLED if known.kind == "cancelled" else Status.FAILED
            return Planned(Outcome(name, status, failure=known, destroys_unit=work.destroy), {})
        values[need] = known
    if applied and (skipped := skipped_unit(work, context, values, applied)):
        return skipped
    found = plan_unit(work, context, values)
    return found if work.drift else refuse_protected(work, found, known=work.unit.name in context.stack.units)


def run_graph(
    selection: Selection,
    work: Callable[[str], Outcome],
    contexts: Contexts,
    *,
    lets_on: Callable[[Outcome], bool],
    graph: Graph | None = None,
    phase: str = "read",
    at_once: Callable[[str], Outcome | None] = lambda _: None,
) -> dict[str, Outcome]:
    """Walk the selection's graph (or *graph*) at the selection's pace, and tell of it.

    Every node's outcome is told once, as soon as it is known; *phase* is what the walk is called there. *at_once* may
    give the outcome of a node on which there is next to nothing to do.
    """
    walked, context = graph or selection.graph, contexts.whole
    context.redactor.keep(walked.upstream)
    told: set[str] = set()

    def tell(outcome: Outcome) -> Outcome:
        told.add(outcome.name)
        context.progress.finished(outcome, phase)
        return outcome

    def guarded(do: Callable[[str], Outcome | None], name: str) -> Outcome | None:
        began = time.time()
        try:
            outcome = do(name)
        except Exception as error:  # noqa: BLE001 - a defect met at one node must not lose what becomes of the others
            where = "".join(traceback.format_exception(error))
            failure = Failure(f"a defect of infra-orch: {type(error).__name__}: {error}", where, kind="defect")
            outcome = Outcome(name, Status.FAILED, failure=failure, is_task=name not in selection.units)
        if outcome is None:
            return None
        tell(outcome)
        stack, node = stack_and_unit(name)
        after = sorted(as_seen_from(stack, first) for first in walked.upstream[name])
        contexts.of(name).journal.note("node", node=node, phase=phase, began=began, after=after)
        return outcome

    for journal in contexts.journals:
        journal.note("phase", phase=phase, workers=selection.pace.workers)
    pool: ThreadExecutor[Outcome] = ThreadExecutor(selection.pace.workers)
    with context.progress.phase(phase, walked.upstream), contextlib.closing(pool):
        outcomes = walk(
            walked,
            lambda name: cast("Outcome", guarded(work, name)),
            pool,
            stopping=lambda: context.supervisor.stopping,
            lets_on=lets_on,
            pace=selection.pace,
            at_once=partial(guarded, at_once),
        )
        for name, outcome in outcomes.items():
            if name not in told:
                # Blocked or cancelled by the scheduler, which does not know what it walks over.
                destroys = name in selection.units and selection.units[name].destroy
                settled = replace(outcome, is_task=name not in selection.units, destroys_unit=destroys)
                outcomes[name] = tell(settled)
    return outcomes


class OutsideOutputs:
    """Outputs of upstream units that are not part of the run, each read from its state at most once."""

    def __init__(self, selection: Selection, contexts: Contexts) -> None:
        self._selection = selection
        self._contexts = contexts
        self._read: dict[str, Mapping[str, Output] | Failure] = {}
        self._locks = {name: threading.Lock() for name in selection.outside}

    @property
    def known(self) -> dict[str, Mapping[str, Output]]:
        """What could be read."""
        return {name: found for name, found in self._read.items() if not isinstance(found, Failure)}

    def outputs(self, name: str) -> Mapping[str, Output] | Failure:
        """The outputs of *name*; none where it was never applied; a failure where its state cannot be read."""
        if name not in self._locks:
            if stack_and_unit(name)[0]:
                return {}  # of another stack that was never rendered, and so never applied
            return Failure(f"{name}, whose outputs it reads, is neither in the spec nor known to have left it")
        with self._locks[name]:
            if name not in self._read:
                try:
                    self._read[name] = read_outputs(self._selection.outside[name], self._contexts.of(name))
                except StepError as error:
                    self._read[name] = replace(error.failure, summary=f"{name}: {error.failure.summary}")
                except InterruptedRun as error:
                    self._read[name] = Failure(str(error), kind="cancelled")
                except (UserError, OSError, ValueError) as error:
                    self._read[name] = Failure(f"{name}: its outputs cannot be read: {error}")
            return self._read[name]


def known_upstream(selection: Selection, work: UnitWork, contexts: Contexts) -> Upstream:
    """What a unit is given of its upstreams, as their states are. Raises UserError where one cannot be read."""
    outside = OutsideOutputs(selection, contexts)
    known: dict[str, Mapping[str, Output]] = {}
    for name in work.unit.needs:
        outputs = outside.outputs(name)
        if isinstance(outputs, Failure):
            raise UserError(outputs.summary, hint=outputs.hint or outputs.log)
        known[name] = outputs
    return upstream_values(work.unit.needs, known)


def forget(selection: Selection, context: RunContext) -> None:
    """Remove from the units' work folders what holds secrets and is of no more use."""
    for name in selection.units:
        with contextlib.suppress(OSError):
            forget_plans(context, name)


def _lets_preview_on(outcome: Outcome) -> bool:
    """A preview goes on below a deferred or refused unit: what is there depends on values that nobody knows yet."""
    return outcome.status.lets_on or outcome.status in (Status.DEFERRED, Status.REFUSED)


def _plan_task(name: str, selection: Selection, context: RunContext, planned: Mapping[str, Planned]) -> Outcome:
    task = selection.tasks.get(name)
    if task is None:
        return skipped_task(name)
    if task.on == "plan":
        return run_task(task, context, outputs_before(name, selection.graph, planned), selection.regions_of(name))
    return Outcome(name, Status.PLANNED, is_task=True)


def outputs_before(task: str, graph: Graph, known: Mapping[str, Planned]) -> dict[str, Mapping[str, Output]]:
    """The outputs of the units of its stack that *task* comes after in *graph*, directly or not, by unit."""
    return outputs_of(task, graph.closure([task], down=False), known)


def outputs_of(task: str, units: Iterable[str], known: Mapping[str, Planned]) -> dict[str, Mapping[str, Output]]:
    """The outputs of those of *units* that are of the stack of *task*, by unit."""
    stack = stack_and_unit(task)[0]
    mine = (node for node in sorted(units) if node in known and stack_and_unit(node)[0] == stack)
    return {stack_and_unit(node)[1]: known[node].outputs for node in mine}


def skipped_task(name: str) -> Outcome:
    """The outcome of a task that a run from rendered files cannot run."""
    reason = Failure("a run from rendered files evaluates no Python, so it runs no task", kind="skipped")
    return Outcome(name, Status.SKIPPED, failure=reason, is_task=True)
