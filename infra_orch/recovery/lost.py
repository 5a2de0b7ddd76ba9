"""What a run that died left in the world and in no state: by what Terraform said, held against the state.

With a remote state this happens: Terraform writes it at intervals, and one that is killed takes what came after the
last of them along. Its log says of every resource that is complete which address and id it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.redact import Redactor
from infra_orch.run.changes import PlanDocument
from infra_orch.run.diagnosis import Messages
from infra_orch.run.state import instances

_IN_STATE_ALONE = frozenset({"terraform_data"})
"""Resources of Terraform's own that are nothing but what the state has of them."""
_NAMES = ("bucket", "identifier", "function_name", "name")
_TOLD = (*_NAMES, "cidr_block", "description")


@dataclass(frozen=True)
class Lost:
    """A resource that was created and is not in the state.

    *in_state* is the id of another one that the state has under its address, empty where there is none; *gone* is
    whether Terraform said that it has deleted that.
    """

    unit: str
    address: str
    type: str
    id_key: str
    id: str
    in_state: str = ""
    gone: bool = False

    def __str__(self) -> str:
        return f"{self.address} ({self.id_key} {self.id})"


@dataclass(frozen=True)
class InFlight:
    """A resource whose creation was begun and not seen to end: it may exist. *signs* are what to look for."""

    unit: str
    address: str
    type: str
    since: str
    signs: Mapping[str, str]

    def under_its_name(self) -> Lost | None:
        """It, if it exists and is identified by the name that the plan gives it; None where it gives it none."""
        name = next((name for name in _NAMES if name in self.signs), None)
        return Lost(self.unit, self.address, self.type, name, self.signs[name]) if name else None

    def __str__(self) -> str:
        signs = ", ".join(f"{name} {value}" for name, value in self.signs.items())
        return f"{self.address}, begun at {self.since}" + (f": look for {signs}" if signs else "")


def lost_resources(
    unit: str, log: Path, state: Mapping[str, Any], seen: Sequence[Mapping[str, Any]] = ()
) -> list[Lost]:
    """The resources that were created, and that *state* (as Terraform's JSON has it) does not hold.

    *log* says what Terraform knew of, *seen* what the provider gateway saw: more, where Terraform was killed before the
    provider had answered.
    """
    held = dict(instances(state))
    created, deleted = _created_and_deleted(log)
    found = []
    ids = {(kind, id_value) for kind, _, id_value in created.values()}
    ids |= set(_ids(state))
    for entry in seen:
        kind, id_value = str(entry.get("type")), str(entry.get("id"))
        address = next((name for name in _addresses(entry) if name not in created and name not in held), None)
        if address and (kind, id_value) not in ids and kind not in _IN_STATE_ALONE:
            created[address] = kind, "id", id_value
            ids.add((kind, id_value))
    for address, (kind, id_key, id_value) in created.items():
        there = str(held[address].get(id_key)) if address in held else ""
        if there != id_value:
            found.append(Lost(unit, address, kind, id_key, id_value, there, (address, there) in deleted))
    return found


def in_flight(
    unit: str, log: Path, said: Messages, state: Mapping[str, Any], plan: PlanDocument | None, redactor: Redactor
) -> list[InFlight]:
    """The resources whose creation was begun and not seen to end, and that *state* does not hold."""
    held = {address for address, _ in instances(state)}
    begun = _begun(log)
    changes = {change["address"]: change for change in plan.raw_changes} if plan else {}
    return [
        InFlight(unit, address, kind, since, _signs(changes.get(address), redactor))
        for address, (kind, action, since) in begun.items()
        if address in said.unfinished and action == "create" and address not in held and kind not in _IN_STATE_ALONE
    ]


def _created_and_deleted(log: Path) -> tuple[dict[str, tuple[str, str, str]], set[tuple[str, str]]]:
    """By address what was created last: type, the name of what identifies it, and that; and what was deleted, by
    address and id. Terraform says the id of what it deletes when it begins, and only the address when it is done.
    """
    created: dict[str, tuple[str, str, str]] = {}
    deleting: dict[str, str] = {}
    deleted: set[tuple[str, str]] = set()
    for kind, hook in _hooks(log):
        resource = hook["resource"]
        address, action = str(resource.get("addr", "")), hook.get("action")
        if kind == "apply_start" and action == "delete":
            deleting[address] = str(hook.get("id_value", ""))
        elif kind == "apply_complete" and action == "delete":
            deleted.add((address, deleting.pop(address, "")))
        elif kind == "apply_complete" and action == "create" and hook.get("id_value"):
            about = (str(resource.get("resource_type", "")), str(hook.get("id_key")), str(hook["id_value"]))
            if about[0] not in _IN_STATE_ALONE:
                created[address] = about
    return created, deleted


def _addresses(entry: Mapping[str, Any]) -> list[str]:
    """The addresses in the plan that something the gateway saw created may have: several where they want the same."""
    addresses = entry.get("addresses")
    return [name for name in addresses if isinstance(name, str)] if isinstance(addresses, list) else []


def _ids(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Type and id of every managed resource in a state."""
    for resource in state.get("resources") or ():
        if resource.get("mode") == "managed":
            for instance in resource.get("instances") or ():
                yield resource["type"], str((instance.get("attributes") or {}).get("id"))


def _begun(log: Path) -> dict[str, tuple[str, str, str]]:
    """By address what was begun last: type, action, and when."""
    found: dict[str, tuple[str, str, str]] = {}
    for kind, hook in _hooks(log):
        if kind == "apply_start":
            resource = hook["resource"]
            about = (str(resource.get("resource_type", "")), str(hook.get("action")), str(hook.get("at", "")))
            found[str(resource.get("addr", ""))] = about
    return found


def _hooks(log: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The messages of a log that speak of a resource: `resource` is a mapping, `at` the time they were said at."""
    try:
        lines = log.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(hook := entry.get("hook"), dict):
            resource = hook.get("resource")
            about = {"resource": resource if isinstance(resource, dict) else {}, "at": entry.get("@timestamp", "")}
            yield str(entry.get("type")), {**hook, **about}


def _signs(change: Mapping[str, Any] | None, redactor: Redactor) -> dict[str, str]:
    """By what the plan says a resource can be found: its name and tags, as far as they are known and no secret."""
    after = ((change or {}).get("change") or {}).get("after") or {}
    sensitive = ((change or {}).get("change") or {}).get("after_sensitive") or {}
    found = {}
    for name in _TOLD:
        if isinstance(after.get(name), str) and after[name] and not sensitive.get(name):
            found[name] = redactor.text(after[name])
    tags = after.get("tags")
    if isinstance(tags, Mapping) and tags and not sensitive.get("tags"):
        found["tags"] = redactor.text(", ".join(f"{key}={value}" for key, value in sorted(tags.items())))
    return found
