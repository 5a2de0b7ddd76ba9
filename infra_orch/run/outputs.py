"""The outputs of a unit as they are: from what an apply said, or from its state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra_orch.engine import command
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, prepare_backend
from infra_orch.run.rename import state_is_elsewhere
from infra_orch.run.stored import stored_state
from infra_orch.run.terraform import Invocation, printed
from infra_orch.run.values import Output


def read_outputs(work: UnitWork, context: RunContext) -> dict[str, Output]:
    """Read the outputs of a unit from its state; none where it was never applied.

    Raises StepError where Terraform cannot read it, ValueError where what it prints is not what it should be, and what
    stored_state() raises.
    """
    former = state_is_elsewhere(work, context)
    state = stored_state(work, context, former=former)
    if state is not None:
        return outputs_in(state, context)
    return outputs_of_state(work.unit.name, prepare_backend(work, context, former=former), context)


def outputs_of_state(unit: str, folder: Path, context: RunContext) -> dict[str, Output]:
    """Read the outputs of the state that *folder* is initialised for. Raises as read_outputs() does."""
    text = printed(context, unit, "output", command.output(context.engine), folder)
    try:
        return _learnt(json.loads(text, parse_float=Decimal), context)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"terraform output printed something else than outputs: {error}") from error


def _learnt(entries: Mapping[str, Mapping[str, Any]], context: RunContext) -> dict[str, Output]:
    """Outputs as Terraform has them; the redactor learns what is sensitive."""
    found = _outputs(entries)
    for output in found.values():
        if output.sensitive:
            context.redactor.add(output.value)
    return found


def outputs_in(state: Mapping[str, Any], context: RunContext) -> dict[str, Output]:
    """The outputs in a state as read_state() has it."""
    return _learnt(state.get("outputs") or {}, context)


def outputs_after(done: Invocation, work: UnitWork, context: RunContext) -> dict[str, Output]:
    """The outputs after an apply: what it said of them, or what is in the state where one is sensitive and so not said.

    Raises as read_outputs() does.
    """
    said = done.messages.outputs
    if any(work.unit.outputs.values()) or said is None:
        found = outputs_of_state(work.unit.name, context.work / work.unit.name, context)
    else:
        found = _outputs(said)
    # Terraform keeps no output that is null.
    null = {name: Output(None, sensitive, None, promised=False) for name, sensitive in work.unit.outputs.items()}
    return {**null, **found}


def _outputs(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Output]:
    return {
        name: Output(entry["value"], bool(entry.get("sensitive")), entry.get("type"), promised=False)
        for name, entry in entries.items()
    }
