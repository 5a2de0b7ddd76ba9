"""Which state a plan was made on, and which one there is now.

Terraform checks that itself when it applies a saved plan, but not where the plan was made on an empty state
(https://github.com/hashicorp/terraform/issues/24078), and only unit by unit, when others are applied already.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra_orch.errors import UnavailableError, UserError
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.prepare import UnitWork
from infra_orch.run.rename import pull_state, state_is_elsewhere
from infra_orch.run.state import StateVersion
from infra_orch.run.terraform import StepError

_STATE_IN_PLAN = "tfstate"
"""The member of a plan file that Terraform compares with the state when it applies it (tried with 1.11)."""


def planned_on(plan: Path) -> StateVersion:
    """Return the version of the state that Terraform's plan file *plan* was made on.

    Raises UserError where it cannot be told, as of a plan file that OpenTofu encrypted.
    """
    try:
        with zipfile.ZipFile(plan) as archive:
            return StateVersion.of(json.loads(archive.read(_STATE_IN_PLAN)))
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{plan.parent.name} cannot be bundled: its plan file does not say which state it was made on: {error}",
            hint="an encrypted plan file is one reason; infra-orch apply plans and applies in one go",
        ) from error


def current_state(work: UnitWork, context: RunContext) -> tuple[StateVersion, bool]:
    """Return the version of a unit's state now, and whether it lies under the unit's former name.

    Raises UnavailableError where it cannot be read.
    """
    name = work.unit.name
    try:
        former = state_is_elsewhere(work, context)
        state = pull_state(work, context, former=former)
        return StateVersion.of(state), former
    except StepError as error:
        failure = error.failure
        raise UnavailableError(
            f"the state of {name} cannot be read: {failure.summary}", hint=failure.hint or failure.log
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"the state of {name} cannot be read: {error}") from error


def current_states(
    units: Mapping[str, UnitWork], context: RunContext, workers: int
) -> dict[str, tuple[StateVersion, bool]]:
    """Return current_state() of every unit, read by several threads. Raises what it raises for the first that fails."""

    def read(name: str) -> tuple[StateVersion, bool]:
        context.progress.started(name, "read")
        found = current_state(units[name], context)
        context.progress.finished(Outcome(name, Status.UNCHANGED), "read")
        return found

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="infra-orch-state")
    with context.progress.phase("read", list(units)), pool:
        return dict(zip(units, pool.map(read, units), strict=True))
