"""What a run leaves in git: one record per unit (its last apply), and one per run. Values in, JSON out; redacted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra_orch.redact import MASK, Redactor, secret_name
from infra_orch.run.outcome import AttributeChange, Outcome, ResourceChange, Status
from infra_orch.run.unit import Planned
from infra_orch.run.values import contains_unknown, json_text
from infra_orch.shape import Optional

SCHEMA = 1
UNIT_SCHEMA_ID = "urn:infra-orch:schema:unit-record:1"
RUN_SCHEMA_ID = "urn:infra-orch:schema:run-record:1"
_ERROR = Optional({"kind": str, "summary": str, "hint": str, "log": str})
_RESOURCES = [{"address": str, "type": str, "actions": [str]}]
_ENGINE = {"name": str, "version": str}
_TASK = {"status": str, "error": _ERROR, "duration_s": (int, float)}
_NODE = {**_TASK, "changes": {str: int}, "resources": _RESOURCES}
RUN_SHAPE = {
    "status": str,
    "command": str,
    "stack": str,
    "engine": Optional(_ENGINE),
    "at": str,
    "by": str,
    "commit": Optional(str),
    "run": Optional(str),
    "run_id": Optional(str),
    "duration_s": (int, float),
    "units": {str: _NODE},
    "tasks": {str: _TASK},
}
"""What readers of a run's record, or of its document, rely on."""
UNIT_SHAPE = {
    "unit": str,
    "status": str,
    "run": str,
    "at": str,
    "changes": {str: int},
    "resources": _RESOURCES,
    "addresses": [str],
    "providers": {str: str},
    "commit": Optional(str),
}
"""What readers of a unit's record rely on."""


@dataclass(frozen=True)
class RunFacts:
    """What is true of a whole run. *at* is when it began, ISO 8601 in UTC; *duration* is in seconds.

    *commit* is the commit that was checked out, and *dirty* whether the stack's or its modules' files differed from it.
    """

    run_id: str
    stack: str
    command: str
    at: str
    duration: float
    by: str
    commit: str | None
    dirty: bool
    engine: str
    engine_version: str
    sandbox: bool
    version: str

    def as_json(self) -> dict[str, Any]:
        """The facts by the names that records and documents give them."""
        return {
            "run": self.run_id,
            "stack": self.stack,
            "command": self.command,
            "at": self.at,
            "by": self.by,
            "commit": self.commit,
            "dirty": self.dirty,
            "engine": {"name": self.engine, "version": self.engine_version},
            "sandbox": self.sandbox,
            "infra_orch": self.version,
        }


def changed_the_world(outcome: Outcome) -> bool:
    """Whether an outcome belongs into a record of its unit: something was done, or was begun and failed half-way."""
    half_way = outcome.status is Status.FAILED and bool(outcome.resources or outcome.unfinished)
    return not outcome.is_task and (outcome.status is Status.APPLIED or half_way)


def unit_record(
    node: Planned, facts: RunFacts, *, module: str, providers: Mapping[str, str], redactor: Redactor
) -> dict[str, Any]:
    """Return the record of a unit's last apply: who, when, with what, what was done, and outputs that are no secret."""
    outcome = node.outcome
    destroyed = outcome.destroys_unit and outcome.status is Status.APPLIED
    adopted = outcome.status is Status.UNCHANGED  # it is as an apply would leave it, and has no record yet
    outputs = {} if outcome.destroys_unit else _outputs(node, redactor)
    return {
        "$schema": UNIT_SCHEMA_ID,
        "schema": SCHEMA,
        **facts.as_json(),
        "unit": outcome.name,
        "module": module,
        "status": "destroyed" if destroyed else str(Status.APPLIED if adopted else outcome.status),
        "changes": outcome.counts.as_json(),
        "resources": _resources(outcome),
        "unfinished": [redactor.text(address) for address in outcome.unfinished],
        "addresses": [] if destroyed else [redactor.text(address) for address in outcome.addresses],
        "providers": dict(sorted(providers.items())),
        "fingerprint": node.fingerprint.as_json() if node.fingerprint and not destroyed else None,
        "state": asdict(node.state) if node.state and not destroyed else None,
        "outputs": outputs,
        "error": outcome.failure.summary if outcome.failure else None,
        "duration_s": round(outcome.duration, 2),
    }


def run_record(outcomes: Mapping[str, Outcome], facts: RunFacts, *, status: str) -> dict[str, Any]:
    """Return the record of a run: what became of each unit and task, and how long it took."""
    return {
        "$schema": RUN_SCHEMA_ID,
        "schema": SCHEMA,
        **facts.as_json(),
        "status": status,
        "duration_s": round(facts.duration, 2),
        "units": {name: node_json(outcome) for name, outcome in outcomes.items() if not outcome.is_task},
        "tasks": {name: task_json(outcome) for name, outcome in outcomes.items() if outcome.is_task},
    }


def node_json(outcome: Outcome) -> dict[str, Any]:
    """Return a unit's outcome as `--json` and the run's record have it."""
    return {
        "status": str(outcome.status),
        "changes": outcome.counts.as_json(),
        "resources": _resources(outcome),
        "unfinished": list(outcome.unfinished),
        "outputs_changed": list(outcome.outputs_changed),
        "basis": str(outcome.basis),
        "unknown_inputs": list(outcome.unknown_inputs),
        "destroys": outcome.destroys_unit,
        "warnings": list(outcome.warnings),
        "denials": list(outcome.denials),
        "means": outcome.means,
        "error": _error(outcome),
        "duration_s": round(outcome.duration, 2),
    }


def task_json(outcome: Outcome) -> dict[str, Any]:
    """Return a task's outcome as `--json` and the run's record have it."""
    return {
        "status": str(outcome.status),
        "result": outcome.result,
        "error": _error(outcome),
        "duration_s": round(outcome.duration, 2),
    }


def to_text(document: Mapping[str, Any]) -> str:
    """Return a record's text: indented, keys in their order, one line at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


def resource_json(change: ResourceChange) -> dict[str, Any]:
    """Return what happens to a resource, with each of its attributes, as documents have it."""
    return {**_resource(change), "attributes": [_attribute(attribute) for attribute in change.attributes]}


def _attribute(change: AttributeChange) -> dict[str, Any]:
    forces = {"forces_replacement": True} if change.forces_replacement else {}
    return {"path": change.path, "before": change.before, "after": change.after, **forces}


def _resources(outcome: Outcome) -> list[dict[str, Any]]:
    """What a record has of resources: no attribute."""
    return [_resource(change) for change in outcome.resources]


def _resource(change: ResourceChange) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": change.address, "type": change.type, "actions": list(change.actions)}
    if change.moved_from:
        entry["moved_from"] = change.moved_from
    if change.imported_id is not None:
        entry["imported_id"] = change.imported_id
    if change.deposed:
        entry["deposed"] = change.deposed
    return entry


def _error(outcome: Outcome) -> dict[str, str] | None:
    failure = outcome.failure
    if failure is None:
        return None
    return {"kind": failure.kind, "summary": failure.summary, "hint": failure.hint, "log": failure.log}


def _outputs(node: Planned, redactor: Redactor) -> dict[str, Any]:
    return {
        name: MASK if secret_name(name) else json.loads(json_text(redactor.value(output.value)))
        for name, output in sorted(node.outputs.items())
        if not output.sensitive and not contains_unknown(output.value)
    }
