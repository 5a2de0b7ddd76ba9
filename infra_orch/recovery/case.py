"""All that is known of a run that died, once its journal, its logs and the states were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra_orch.errors import UserError
from infra_orch.recovery.clean import learn_secrets
from infra_orch.recovery.death import DeadRun
from infra_orch.recovery.intent import Intent
from infra_orch.recovery.lost import InFlight, Lost, in_flight, lost_resources
from infra_orch.recovery.settle import due_tasks, said_by, selection_of, settle
from infra_orch.recovery.unsaved import Unsaved, unsaved_states
from infra_orch.run.changes import PlanDocument
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Status
from infra_orch.run.plan import Selection
from infra_orch.run.rename import pull_state
from infra_orch.run.state_lock import StateLock, is_ours, lock_of
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import PLAN_FILE, REPLAN_FILE, Planned, saved_plan


@dataclass(frozen=True)
class Case:
    """A run that died.

    *nodes* are what became of its units and tasks. *unsaved*: states that are not where they belong. *locks*: state
    locks that are held. *due*: tasks that were to run next and had not begun.
    """

    dead: DeadRun
    intent: Intent
    selection: Selection
    nodes: dict[str, Planned]
    lost: Sequence[Lost]
    flying: Sequence[InFlight]
    locks: Sequence[StateLock]
    unsaved: Sequence[Unsaved]
    due: Sequence[str]

    @property
    def needs_eyes(self) -> bool:
        """Whether something has to be decided before the stack may be changed again."""
        return bool(self.lost or self.flying or self.locks or self.unsaved)

    def left_behind(self, lock: StateLock) -> bool:
        """Whether a lock is certainly the dead run's: taken by this user here, as the run's own command began."""
        if lock.created is None or not lock.id or not is_ours(lock):
            return False
        return self.dead.took(lock.unit, lock.created.timestamp())


def examine(dead: DeadRun, intent: Intent, context: RunContext) -> Case:
    """Find out what became of a run that died. *context* is that run's, as far as it can be had again.

    Changes nothing. Raises UserError where a state cannot be read: nothing is guessed.
    """
    selection = selection_of(intent, context)
    learn_secrets(selection.units, context)
    nodes = settle(dead, intent, selection, context)
    lost: list[Lost] = []
    flying: list[InFlight] = []
    locks: list[StateLock] = []
    unsaved = [found for work in selection.units.values() for found in unsaved_states(work.unit, context)]
    for name, work in selection.units.items():
        step = dead.step(name)
        if step is None or nodes[name].outcome.status is Status.APPLIED or any(name == u.unit for u in unsaved):
            continue
        try:
            state = pull_state(work, context, former=False)
            if lock := lock_of(work, context):
                locks.append(lock)
        except (StepError, ValueError) as error:
            hint = error.failure.hint if isinstance(error, StepError) else ""
            raise UserError(
                f"the state of {name} cannot be read, so nobody can tell what run {dead.run_id} did: {error}",
                hint=hint or "mend that, then run the same command again",
            ) from error
        seen = [entry for entry in dead.created if entry.get("node") == name]
        missing = lost_resources(name, step.log, state, seen)
        known = {item.address for item in missing}
        lost += missing
        begun = in_flight(name, step.log, said_by(step), state, _plan(context, name), context.redactor)
        flying += [item for item in begun if item.address not in known]
    return Case(dead, intent, selection, nodes, lost, flying, locks, unsaved, due_tasks(dead, intent, nodes))


def _plan(context: RunContext, unit: str) -> PlanDocument | None:
    """The plan that was applied, where it is still there."""
    for name in (REPLAN_FILE, PLAN_FILE):
        try:
            return saved_plan(context, unit, name)
        except (OSError, ValueError):
            continue
    return None
