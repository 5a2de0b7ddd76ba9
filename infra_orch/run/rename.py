"""A unit that was renamed: its state moves from its former name's place, after the plan that shows the move is applied.

While the state lies under the former name, the unit is planned and applied there, where Terraform shows the moved
addresses; then the state is copied to its new place, and what stays behind is emptied, so that nobody takes it for
real. Cut off at any point, the next run goes on from where this one was.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from infra_orch.engine import command
from infra_orch.files import write_atomically
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, prepare_backend, put_backend
from infra_orch.run.state import read_state
from infra_orch.run.stored import stored_state
from infra_orch.run.terraform import StepError, UnitCommand, invoke, printed


class Place(Enum):
    """Where the state of a unit lies: in its own place, under its former name, or, cut off on its way, in both."""

    OWN = "own"
    FORMER = "former"
    BOTH = "both"


def place_of_state(work: UnitWork, context: RunContext) -> Place:
    """Return where the state of a unit lies.

    Raises StepError where a state cannot be read, and where there is another one under the former name.
    """
    unit = work.unit
    if unit.formerly is None or unit.former_backend is None:
        return Place.OWN
    here, there = pull_state(work, context, former=False), pull_state(work, context, former=True)
    if not _resources(there):
        return Place.OWN
    if not _resources(here):
        return Place.FORMER
    if here.get("lineage") == there.get("lineage"):
        return Place.BOTH
    raise StepError(
        f'"{unit.name}" exists, and so does "{unit.formerly}", which it is said to have been',
        hint=f'take formerly="{unit.formerly}" out at {unit.where}, and destroy what is left over',
    )


def state_is_elsewhere(work: UnitWork, context: RunContext) -> bool:
    """Whether the unit's state lies under its former name, and only there. Raises as place_of_state() does."""
    return place_of_state(work, context) is Place.FORMER


def bring_state(work: UnitWork, context: RunContext) -> None:
    """Copy the state to its own place, where it is not there yet, and empty the former one.

    The unit's work folder must be ready. Raises StepError where Terraform refuses.
    """
    name, folder = work.unit.name, context.work / work.unit.name
    if place_of_state(work, context) is Place.FORMER:
        put_backend(work, context, folder, former=False)
        argv = command.init(context.engine, migrate_state=True)
        invoke(context, UnitCommand(name, "move", argv, folder, context.init_environment, changes_world=True)).check()
    here, there = pull_state(work, context, former=False), pull_state(work, context, former=True)
    if not _resources(here) or here.get("lineage") != there.get("lineage"):
        raise StepError(f"the state of {name} did not come to its own place", hint="run the same command again")
    former = prepare_backend(work, context, former=True)
    empty = {**there, "serial": int(there["serial"]) + 1, "outputs": {}, "resources": [], "check_results": None}
    file = former / "empty.json"
    write_atomically(file, json.dumps(empty), mode=0o600)
    try:
        push = command.state_push(context.engine, file.name, lock_timeout=context.lock_timeout)
        invoke(context, UnitCommand(name, "move", push, former, context.environment, changes_world=True)).check()
    finally:
        file.unlink(missing_ok=True)


def pull_state(work: UnitWork, context: RunContext, *, former: bool) -> dict[str, Any]:
    """The state in the unit's own place, or under its former name, as JSON has it; empty where there is none.

    Raises StepError where Terraform cannot read it, ValueError where what it prints is no state.
    """
    state = stored_state(work, context, former=former)
    if state is not None:
        return state
    folder = prepare_backend(work, context, former=former)
    return read_state(printed(context, work.unit.name, "state", command.state_pull(context.engine), folder))


def _resources(state: dict[str, Any]) -> list[Any]:
    return list(state.get("resources") or ())
