"""Whether a unit has to be planned at all: not where all that its plan depends on is as it was at its last apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra_orch.errors import UserError
from infra_orch.fingerprint.fingerprint import Fingerprint
from infra_orch.run.context import RunContext
from infra_orch.run.fingerprints import fingerprint_as_it_is
from infra_orch.run.outcome import Basis, Failure, Outcome, Status
from infra_orch.run.outputs import outputs_in
from infra_orch.run.prepare import UnitWork
from infra_orch.run.state import StateVersion
from infra_orch.run.stored import stored_state
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import Planned
from infra_orch.run.values import Output, upstream_values


@dataclass(frozen=True)
class Applied:
    """What a unit's last apply, the one of *run*, depended on, and the state that it left."""

    run: str
    fingerprint: Fingerprint
    state: StateVersion


def skipped_unit(
    work: UnitWork, context: RunContext, outputs: Mapping[str, Mapping[str, Output]], applied: Applied
) -> Planned | None:
    """Return the unit as it was *applied*, given its upstreams' *outputs*; None where it has to be planned.

    It has to be wherever anything has changed, or cannot be told.
    """
    unit, upstream = work.unit, upstream_values(work.unit.needs, outputs)
    if work.destroy or unit.formerly or applied.fingerprint.doubts or upstream.basis is not Basis.EXACT:
        return None
    try:
        now = fingerprint_as_it_is(work, context, upstream)
        state = stored_state(work, context, former=False) if now == applied.fingerprint else None
    except (StepError, UserError, OSError):
        return None
    if not state or StateVersion.of(state) != applied.state:
        return None
    reason = f"nothing that its plan depends on has changed since run {applied.run}; drift was not looked for"
    outcome = Outcome(unit.name, Status.SKIPPED, failure=Failure(reason, kind="skipped"))
    return Planned(outcome, outputs_in(state, context), upstream, fingerprint=now)
