"""An approval as a file: whose it is, of which run, and what that run was to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch.approval.effects import Plan, digest
from infra_orch.errors import UserError, Where
from infra_orch.record.read import read_outcomes
from infra_orch.record.record import node_json, resource_json
from infra_orch.run.outcome import Outcome
from infra_orch.shape import misfit

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:approval:1"
_KEPT = ("status", "changes", "outputs_changed", "basis", "unknown_inputs", "destroys", "denials", "means")
_SHAPE = {
    "schema": int,
    "run": str,
    "at": str,
    "planned_at": str,
    "by": str,
    "digest": str,
    "despite_policies": bool,
    "note": str,
    "units": {str: {"status": str, "changes": {str: int}, "resources": [{"address": str, "actions": [str]}]}},
}


@dataclass(frozen=True)
class Yes:
    """An approval as the record of a run names it: its *id*, or that of the pull request; whose it is; when it was
    given, or seen.
    """

    id: str
    by: str
    at: str


@dataclass(frozen=True)
class Approval:
    """That somebody, "Name <mail>", said yes *at* a time to what the units of a *run* were to do.

    *planned_at* is when that run began. *despite_policies*: also where policies denied it, for the reasons that are
    named in what was planned.
    """

    run: str
    planned_at: str
    by: str
    at: str
    note: str
    despite_policies: bool
    units: Mapping[str, Outcome]

    @property
    def id(self) -> str:
        """What it is called: after the run, and whose it is."""
        return f"{self.run}-{hashlib.sha256(self.by.encode()).hexdigest()[:8]}"

    @property
    def yes(self) -> Yes:
        """It, as a record names it."""
        return Yes(self.id, self.by, self.at)

    @property
    def digest(self) -> str:
        """The SHA-256 of what is approved."""
        return digest({name: self.plan(name) for name in self.units})

    def plan(self, unit: str) -> Plan:
        """What is approved of a unit."""
        return Plan(self.units[unit], self.planned_at)


def to_text(approval: Approval) -> str:
    """Return the text of an approval's file."""
    document = {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "run": approval.run,
        "planned_at": approval.planned_at,
        "by": approval.by,
        "at": approval.at,
        "note": approval.note,
        "digest": approval.digest,
        "despite_policies": approval.despite_policies,
        "units": {name: _unit(outcome) for name, outcome in approval.units.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def from_text(text: str, shown: str) -> Approval:
    """Read an approval, whose file messages call *shown*. Raises UserError where it is none, or was edited."""
    try:
        document = json.loads(text)
        wrong = misfit(document, _SHAPE)
        if not wrong and document["schema"] > SCHEMA:
            raise UserError("this was written by a newer infra-orch", where=Where(shown), hint="upgrade infra-orch")
        if not wrong:
            units = {name: {"error": None, "duration_s": 0, **unit} for name, unit in document["units"].items()}
            found = Approval(
                document["run"],
                document["planned_at"],
                document["by"],
                document["at"],
                document["note"],
                document["despite_policies"],
                read_outcomes({"units": units, "tasks": {}}),
            )
            wrong = "" if found.digest == document["digest"] else "what it approves is not what its digest is of"
            if not wrong:
                return found
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        wrong = str(error)
    raise UserError(f"this is not an approval: {wrong}", where=Where(shown), hint="infra-orch approve RUN records one")


def _unit(outcome: Outcome) -> dict[str, Any]:
    whole = node_json(outcome)
    return {**{key: whole[key] for key in _KEPT}, "resources": [resource_json(one) for one in outcome.resources]}
