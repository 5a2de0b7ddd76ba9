"""Read what Terraform's JSON plan says: which resources change, in which attributes, and what the outputs will be.

Source of the format: Terraform's documentation of its JSON output format (plan representation).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

from infra_orch.redact import Redactor
from infra_orch.run.differences import Side, differences, part_at
from infra_orch.run.outcome import AttributeChange, ResourceChange
from infra_orch.run.values import UNKNOWN, UNKNOWN_RESOURCE, Output
from infra_orch.shape import Optional, misfit

_MODULE: dict[str, Any] = {"resources": Optional([{"mode": str, "address": str}])}
_MODULE["child_modules"] = Optional([_MODULE])
_CHANGE = {"actions": [str], "importing": Optional({str: object}), "replace_paths": Optional([list])}
_CHANGED = {"address": str, "type": str, "previous_address": Optional(str), "deposed": Optional(str), "change": _CHANGE}
_CHANGES = Optional([_CHANGED])
_PLAN = {
    "resource_changes": _CHANGES,
    "resource_drift": _CHANGES,
    "output_changes": Optional({str: {"actions": [str], "before_sensitive": object, "after_sensitive": object}}),
    "planned_values": Optional({"outputs": Optional({str: dict}), "root_module": Optional(_MODULE)}),
}
_NOTHING = {"null", "[]", "{}"}
_TRUSTED_DIGITS = 15
_TRUSTED = 1 << 53


@dataclass(frozen=True)
class PlanDocument:
    """A plan as `terraform show -json` prints it, parsed. Holds secrets: it is read, used and dropped."""

    document: Mapping[str, Any]

    @property
    def raw_changes(self) -> list[Mapping[str, Any]]:
        """The resource changes as Terraform lists them, less our own helper and what stays as it is."""
        return [
            change
            for change in self.document.get("resource_changes") or ()
            if change["address"] != UNKNOWN_RESOURCE
            and (change["change"]["actions"] != ["no-op"] or _moves(change) or _imports(change))
        ]

    def learn_secrets(self, redactor: Redactor, variables: Mapping[str, str]) -> None:
        """Teach the redactor every value that Terraform marks sensitive, and the `env()` values."""
        for value in variables.values():
            redactor.add(value)
        changes = self.document.get("resource_changes") or (), self.document.get("resource_drift") or ()
        for change in chain(*changes):
            for side in ("before", "after"):
                for value in _marked(change["change"].get(side), change["change"].get(f"{side}_sensitive")):
                    redactor.add(value)
        for output in (self.document.get("output_changes") or {}).values():
            for side in ("before", "after"):
                for value in _marked(output.get(side), output.get(f"{side}_sensitive")):
                    redactor.add(value)

    def resources(self, redactor: Redactor) -> tuple[ResourceChange, ...]:
        """The resource changes, ready to be shown."""
        return tuple(_resource(change, redactor) for change in self.raw_changes)

    def drifted(self, redactor: Redactor) -> tuple[ResourceChange, ...]:
        """What has changed since the state was written, ready to be shown: before is the state, after what there is.

        Of what was changed within resources the attributes are named; what is gone is deleted. A provider that reads
        back `{}` where it was given nothing says in other words what is the same.
        """
        drift = (one for one in self.document.get("resource_drift") or () if one["change"]["actions"] != ["no-op"])
        found = (_resource(one, redactor) for one in drift)
        told = (replace(one, attributes=tuple(filter(_says_something, one.attributes))) for one in found)
        return tuple(one for one in told if one.attributes or one.destroys)

    def outputs_changed(self) -> tuple[str, ...]:
        """The names of root outputs that the plan changes."""
        changes = self.document.get("output_changes") or {}
        return tuple(sorted(name for name, change in changes.items() if change["actions"] != ["no-op"]))

    def outputs(self, *, destroy: bool) -> dict[str, Output]:
        """The root outputs as they will be; before a destroy, as they are (that is what others' destroys need).

        A number that the JSON of a plan has rounded (Terraform 1.11 writes it as a double) is unknown here.
        """
        planned = (self.document.get("planned_values") or {}).get("outputs") or {}
        found = {}
        for name, change in (self.document.get("output_changes") or {}).items():
            if destroy:
                if change.get("before") is not None:
                    value = _exact(change["before"])
                    found[name] = Output(value, bool(change["before_sensitive"]), None, promised=False)
                continue
            value = _exact(with_unknowns(change.get("after"), change.get("after_unknown")))
            kind = planned.get(name, {}).get("type")
            promised = change["actions"] != ["no-op"]
            found[name] = Output(value, bool(change["after_sensitive"]), kind, promised=promised)
        return found

    def means(self) -> str:
        """A digest of what a plan does its work with, and its changes do not say: the arguments of providers, such as
        the region and the role, and provisioners.
        """
        configuration = self.document.get("configuration") or {}
        providers = {
            name: {key: value for key, value in one.items() if key != "version_constraint"}
            for name, one in (configuration.get("provider_config") or {}).items()
        }
        provisioners = list(_provisioners("", configuration.get("root_module") or {}))
        text = json.dumps([providers, provisioners], sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()

    def addresses(self) -> tuple[str, ...]:
        """The addresses of all managed resources that there will be once the plan is applied."""
        root = (self.document.get("planned_values") or {}).get("root_module") or {}
        return tuple(sorted(_addresses(root)))


def read_plan(path: Path) -> PlanDocument:
    """Parse the output of `terraform show -json`. Raises ValueError where it is not that."""
    with path.open("rb") as file:
        document = json.load(file, parse_float=Decimal)
    if not isinstance(document, dict) or "format_version" not in document:
        raise ValueError("not a plan in Terraform's JSON format")
    if wrong := misfit(document, _PLAN):
        raise ValueError(f"not a plan in Terraform's JSON format: {wrong}")
    return PlanDocument(document)


def _addresses(module: Mapping[str, Any]) -> Iterator[str]:
    for resource in module.get("resources") or ():
        if resource["mode"] == "managed" and resource["address"] != UNKNOWN_RESOURCE:
            yield resource["address"]
    for child in module.get("child_modules") or ():
        yield from _addresses(child)


def _provisioners(path: str, module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The provisioners of resources in a module's configuration, and in those that it calls."""
    for resource in module.get("resources") or ():
        if resource.get("provisioners"):
            yield f"{path}{resource['address']}", resource["provisioners"]
    for name, call in sorted((module.get("module_calls") or {}).items()):
        yield from _provisioners(f"{path}module.{name}.", call.get("module") or {})


def _moves(change: Mapping[str, Any]) -> bool:
    return bool(change.get("previous_address", change["address"]) != change["address"])


def _imports(change: Mapping[str, Any]) -> bool:
    return bool(change["change"].get("importing"))


def _resource(raw: Mapping[str, Any], redactor: Redactor) -> ResourceChange:
    change = raw["change"]
    importing = change.get("importing") or {}
    return ResourceChange(
        address=redactor.text(raw["address"]),
        type=raw["type"],
        actions=tuple(change["actions"]),
        attributes=tuple(_attributes(change, redactor)),
        moved_from=raw["previous_address"] if _moves(raw) else None,
        imported_id=redactor.text(str(importing.get("id", ""))) if importing else None,
        deposed=raw.get("deposed"),
    )


def _says_something(attribute: AttributeChange) -> bool:
    return not {attribute.before, attribute.after} <= _NOTHING


def _attributes(change: Mapping[str, Any], redactor: Redactor) -> Iterator[AttributeChange]:
    if "create" not in change["actions"] and "update" not in change["actions"]:
        return
    forcing = [tuple(path) for path in change.get("replace_paths") or ()]
    before = Side(change.get("before"), change.get("before_sensitive"))
    after = Side(change.get("after"), change.get("after_sensitive"), change.get("after_unknown"))
    found = list(differences(before, after))
    tags = {path[1:]: new.key for path, _, new in found if path[0] == "tags"}
    for path, old, new in found:
        if path[0] == "tags_all" and tags.get(path[1:]) == new.key:
            # The same as in `tags`, said once more: with the provider's default tags they are what AWS is sent.
            continue
        name = _path_text(path)
        forces = any(path[: len(force)] == force or force[: len(path)] == path for force in forcing)
        yield AttributeChange(name, old.text(name, redactor), new.text(name, redactor), forces)


def _path_text(path: tuple[str | int, ...]) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.startswith("line "):
            text += f" {step}"
        elif step.replace("_", "").replace("-", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


def with_unknowns(after: Any, unknown: Any) -> Any:
    """Merge `after` and `after_unknown` into one value with UNKNOWN where nothing is known yet."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, Mapping) and unknown:
        known = after if isinstance(after, Mapping) else {}
        return {key: with_unknowns(known.get(key), unknown.get(key)) for key in {**known, **unknown}}
    if isinstance(unknown, list) and unknown:
        known_items = after if isinstance(after, list) else []
        size = max(len(known_items), len(unknown))
        return [with_unknowns(part_at(known_items, n), part_at(unknown, n)) for n in range(size)]
    return after


def _exact(value: Any) -> Any:
    """*value* with UNKNOWN for numbers of so many digits that they may be rounded."""
    if isinstance(value, Mapping):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return value
    number = Decimal(value)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    return UNKNOWN if len(digits) > _TRUSTED_DIGITS or abs(number) > _TRUSTED else value


def _marked(value: Any, sensitive: Any) -> Iterator[Any]:
    if sensitive is True:
        yield value
    elif isinstance(sensitive, Mapping):
        for key, part in sensitive.items():
            yield from _marked(part_at(value, key), part)
    elif isinstance(sensitive, list):
        for number, part in enumerate(sensitive):
            yield from _marked(part_at(value, number), part)
