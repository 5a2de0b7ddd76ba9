"""Units and resources as the page's script reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.record.store import words
from infra_orch.report.terminal import sign_of, worth_showing
from infra_orch.run.outcome import AttributeChange, Basis, Outcome, ResourceChange, Status

_BASIS = {
    Basis.EXACT: "exact: it rests on values that exist",
    Basis.PLANNED: "planned: it rests on values that upstream plans promise",
    Basis.UNKNOWN: "unknown: it waits for values that nobody knows yet",
}
_NOT_BEGUN = (Status.BLOCKED, Status.CANCELLED, Status.SKIPPED)
_MINUTE = 60


def entry(outcome: Outcome) -> dict[str, Any]:
    """Return a unit's outcome as plain values."""
    return {
        "name": outcome.name,
        "status": str(outcome.status),
        "remark": remark(outcome),
        "took": duration_text(outcome.duration),
        "folded": is_folded(outcome),
        "destroys": outcome.destroys_unit,
        "basis": "" if outcome.status in _NOT_BEGUN else _BASIS[outcome.basis],
        "waits_for": list(outcome.unknown_inputs),
        "resources": [_resource(change) for change in outcome.resources],
        "unfinished": list(outcome.unfinished),
        "outputs": list(outcome.outputs_changed),
        "warnings": list(outcome.warnings),
        "error": error(outcome),
    }


def is_folded(outcome: Outcome) -> bool:
    """Whether nothing is to be said of a unit but that it is unchanged, or was skipped."""
    return outcome.status in (Status.UNCHANGED, Status.SKIPPED) and not (outcome.warnings or outcome.resources)


def remark(outcome: Outcome) -> str:
    """Return what became of a node in a few words, less its status, which stands beside them."""
    return words(outcome).removeprefix(str(outcome.status)).removeprefix(": ").strip()


def error(outcome: Outcome) -> Mapping[str, str] | None:
    """Return why a node is not done, or None."""
    failure = outcome.failure
    if failure is None:
        return None
    return {"summary": failure.summary, "detail": failure.detail.strip(), "hint": failure.hint, "log": failure.log}


def duration_text(seconds: float) -> str:
    """Return a time as people say it: `12.3 s`, or `3 min 20 s`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"


def _resource(change: ResourceChange) -> dict[str, Any]:
    attributes, unknown = worth_showing(change)
    return {
        "sign": sign_of(change)[0].strip(),
        "actions": _actions(change),
        "address": change.address,
        "type": change.type,
        "moved_from": change.moved_from,
        "imported_id": change.imported_id,
        "attributes": [_attribute(attribute, change) for attribute in attributes],
        "unknown": list(unknown),
    }


def _actions(change: ResourceChange) -> list[str]:
    """What happens to a resource by the names that changes are counted by; a moved one may be updated, too."""
    own = ["replace"] if change.replaces else [action for action in change.actions if action != "no-op"]
    own += ["import"] * (change.imported_id is not None)
    return own + ["move"] * (change.moved_from is not None)


def _attribute(attribute: AttributeChange, change: ResourceChange) -> dict[str, Any]:
    return {
        "path": attribute.path,
        "before": None if change.actions == ("create",) else attribute.before,
        "after": attribute.after,
        "forces": attribute.forces_replacement,
    }
