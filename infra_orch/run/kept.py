"""An outcome as JSON, for what has to be known of it when the process that had it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from infra_orch.run.outcome import Basis, Failure, Outcome, ResourceChange, Status, count


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as an intent has it: without the values of attributes."""
    return {
        "status": str(outcome.status),
        "resources": [
            [change.address, change.type, list(change.actions), change.moved_from, change.imported_id]
            for change in outcome.resources
        ],
        "outputs_changed": list(outcome.outputs_changed),
        "basis": str(outcome.basis),
        "unknown_inputs": list(outcome.unknown_inputs),
        "failure": asdict(outcome.failure) if outcome.failure else None,
        "warnings": list(outcome.warnings),
        "duration": outcome.duration,
        "destroys_unit": outcome.destroys_unit,
        "is_task": outcome.is_task,
        "addresses": list(outcome.addresses),
    }


def read_outcome(name: str, value: Mapping[str, Any]) -> Outcome:
    """Read what outcome_json() wrote. Raises ValueError, KeyError or TypeError for anything else."""
    resources = tuple(
        ResourceChange(str(address), str(kind), tuple(map(str, actions)), (), moved_from, imported_id)
        for address, kind, actions, moved_from, imported_id in value["resources"]
    )
    return Outcome(
        name=name,
        status=Status(value["status"]),
        counts=count(resources),
        resources=resources,
        outputs_changed=tuple(value["outputs_changed"]),
        basis=Basis(value["basis"]),
        unknown_inputs=tuple(value["unknown_inputs"]),
        failure=Failure(**value["failure"]) if value["failure"] else None,
        warnings=tuple(value["warnings"]),
        duration=float(value["duration"]),
        destroys_unit=bool(value["destroys_unit"]),
        is_task=bool(value["is_task"]),
        addresses=tuple(value["addresses"]),
    )
