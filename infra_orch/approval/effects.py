"""What a unit's plan does, as people approve it: addresses, actions, and the values that attributes get.

The order in which Terraform lists things, data that is only read, and the time at which a plan was made are no part of
it. What is masked in what people see, is here, too: an approval is of what was shown.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from infra_orch.record.record import resource_json
from infra_orch.run.compare import action_words
from infra_orch.run.differences import UNKNOWN_TEXT
from infra_orch.run.outcome import AttributeChange, Outcome, ResourceChange

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NOW = "(when it is planned)"
_PLAN_TAKES = timedelta(hours=1)
_CLOCKS_DIFFER = timedelta(minutes=2)


@dataclass(frozen=True)
class Plan:
    """What was planned of a unit in a run that began *at* (ISO 8601)."""

    outcome: Outcome
    at: str

    @property
    def changes(self) -> dict[tuple[str, str], ResourceChange]:
        """What happens to resources, by address and deposed key ("": what is in use); what is only read is left out."""
        return {(one.address, one.deposed or ""): one for one in self.outcome.resources if one.actions != ("read",)}

    def timeless(self, text: str) -> str:
        """*text* without the time at which the plan was made, as `plantimestamp()` gives it."""
        return _TIME.sub(self._without, text) if "T" in text else text

    def _without(self, match: re.Match[str]) -> str:
        began, time = datetime.fromisoformat(self.at), datetime.fromisoformat(match[0])
        is_now = began - _CLOCKS_DIFFER <= time <= began + _PLAN_TAKES
        return _NOW if is_now else match[0]


def digest(units: Mapping[str, Plan]) -> str:
    """Return the SHA-256 of what plans of units, by name, do."""
    does = {
        name: {
            "destroys": plan.outcome.destroys_unit,
            "outputs": sorted(plan.outcome.outputs_changed),
            "changes": _content(plan),
            "means": plan.outcome.means,
        }
        for name, plan in units.items()
    }
    return hashlib.sha256(json.dumps(does, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _content(plan: Plan) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _, change in sorted(plan.changes.items()):
        entry = resource_json(change)
        attributes = sorted(
            (one.path, plan.timeless(one.before), plan.timeless(one.after), one.forces_replacement)
            for one in change.attributes
        )
        found.append({**entry, "attributes": attributes})
    return found


def beyond(approved: Plan, now: Plan) -> list[str]:
    """Return what a plan does that the *approved* one did not, a line each; nothing where it does no more.

    What was to be known after the apply may be known by now, and what was to be replaced may be updated.
    """
    found: list[str] = []
    shown = approved.changes
    for key, change in now.changes.items():
        found += _beyond(approved, shown.get(key), now, change)
    for name in now.outcome.outputs_changed:
        if name not in approved.outcome.outputs_changed:
            found.append(f"output {name} changes, which was not approved")
    if now.changes:
        found += _means(approved, now)
    if now.outcome.destroys_unit and not approved.outcome.destroys_unit:
        found.append("the unit is destroyed, which was not approved")
    return found


def _means(approved: Plan, now: Plan) -> list[str]:
    if now.outcome.means == approved.outcome.means:
        return []
    return ["provisioners, or arguments of providers such as the region or the role, are not those that were approved"]


def _beyond(approved: Plan, shown: ResourceChange | None, now: Plan, change: ResourceChange) -> Iterator[str]:
    address = f"{change.address} (deposed {change.deposed})" if change.deposed else change.address
    if shown is None:
        yield f"{address}: {action_words(change.actions)}, which was not approved"
        return
    if change.actions != shown.actions and not (change.actions == ("update",) and shown.replaces):
        yield f"{address}: {action_words(change.actions)}, where {action_words(shown.actions)} was approved"
    if change.moved_from and change.moved_from != shown.moved_from:
        yield f"{address}: moved from {change.moved_from}, which was not approved"
    if change.imported_id is not None and change.imported_id != shown.imported_id:
        yield f"{address}: imported as {change.imported_id}, which was not approved"
    for line in _values_beyond(approved, shown, now, change):
        yield f"{address}: {line}"


def _values_beyond(approved: Plan, shown: ResourceChange, now: Plan, change: ResourceChange) -> Iterator[str]:
    # Lines and parts of lists that go have the number that they had, so a path may be there twice.
    known: dict[str, list[AttributeChange]] = {}
    for one in shown.attributes:
        known.setdefault(one.path, []).append(one)
    for attribute in change.attributes:
        words = [_differs(approved, one, now, attribute) for one in known.get(attribute.path, (None,))]
        if all(words):
            yield f"{attribute.path} {words[0]}"
    if "create" not in change.actions:
        return
    there = {attribute.path for attribute in change.attributes}
    for one in shown.attributes:  # what is made without a value that was approved is no less, but another thing
        if one.path not in there and one.after not in (UNKNOWN_TEXT, "null"):
            yield f"{one.path} is not set, where {one.after} was approved"


def _differs(approved: Plan, shown: AttributeChange | None, now: Plan, attribute: AttributeChange) -> str:
    after = now.timeless(attribute.after)
    if shown is None:
        # Of two plans within a second, the time of planning is no change.
        return "" if after == f'"{_NOW}"' else f"becomes {attribute.after}, which was not approved"
    if shown.after != UNKNOWN_TEXT and after != approved.timeless(shown.after):
        return f"becomes {attribute.after}, where {shown.after} was approved"
    before = now.timeless(attribute.before)
    if shown.before != UNKNOWN_TEXT and before != approved.timeless(shown.before):
        return f"is {attribute.before} by now, and was {shown.before} when it was approved"
    return ""
