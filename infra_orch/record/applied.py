"""What the records say of the last applies of units: what these depended on, and the states that they left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.fingerprint.fingerprint import Fingerprint
from infra_orch.record.store import Records
from infra_orch.run.skip import Applied
from infra_orch.run.state import StateVersion
from infra_orch.shape import misfit

_STATE = {"lineage": str, "serial": int}


def applied_units(records: Records) -> dict[str, Applied]:
    """Return the last apply of every unit whose record says all that there is to know of it, and that it succeeded.

    Raises UserError where a record cannot be read.
    """
    found = {name: _applied(record) for name, record in records.units().items()}
    return {name: applied for name, applied in found.items() if applied}


def _applied(record: Mapping[str, Any]) -> Applied | None:
    fingerprint, state = Fingerprint.from_json(record.get("fingerprint")), record.get("state")
    if record["status"] != "applied" or fingerprint is None or misfit(state, _STATE):
        return None
    return Applied(str(record["run"]), fingerprint, StateVersion.of(dict(state or {})))
