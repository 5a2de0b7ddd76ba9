"""A unit's plan as a policy sees it. Sensitive values are masked: no message can hold one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra_orch.redact import MASK


@dataclass(frozen=True)
class Change:
    """What happens to one resource instance.

    address: Terraform's: `module.store.aws_s3_bucket.this`.
    type: Terraform's: `aws_s3_bucket`.
    provider: its source address: `registry.terraform.io/hashicorp/aws`.
    actions: Terraform's: `("create",)`, `("delete", "create")`.
    before: its attributes as they are; None where it is not there. What is sensitive is "(sensitive)".
    after: its attributes as they would be; None where it would be gone.
    unknown: true in the place of each attribute that is known after apply only.
    """

    address: str
    type: str
    provider: str
    actions: tuple[str, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    unknown: Mapping[str, Any]

    @property
    def creates(self) -> bool:
        """Whether a resource comes to be, for the first time or in the place of another."""
        return "create" in self.actions

    @property
    def updates(self) -> bool:
        """Whether a resource is changed where it is."""
        return "update" in self.actions

    @property
    def destroys(self) -> bool:
        """Whether a resource that exists is deleted, for good or to be replaced."""
        return "delete" in self.actions

    @property
    def replaces(self) -> bool:
        """Whether a resource is deleted and created anew."""
        return self.creates and self.destroys


@dataclass(frozen=True)
class Plan:
    """What would happen to a unit.

    stack: the name of its stack's folder.
    unit: its name.
    module: where its module lies (`modules/network`), or the module's address.
    tags: those of the unit.
    destroys: whether the unit goes as a whole.
    changes: what happens to each resource instance.
    json: what is handed on of the plan as Terraform writes it, for policies in Rego; empty where there are none.
    """

    stack: str
    unit: str
    module: str
    tags: frozenset[str]
    destroys: bool
    changes: tuple[Change, ...]
    json: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


PLAN_KEYS = ("format_version", "terraform_version", "resource_changes", "output_changes", "planned_values")
"""What is handed on of Terraform's JSON plan. The rest has values that it does not mark where they are sensitive."""


def changes_of(raw: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    """Yield the changes that Terraform's JSON plan lists under `resource_changes`."""
    for entry in raw:
        change = entry["change"]
        unknown = change.get("after_unknown")
        yield Change(
            address=entry["address"],
            type=entry["type"],
            provider=str(entry.get("provider_name", "")),
            actions=tuple(change["actions"]),
            before=_masked(change.get("before"), change.get("before_sensitive")),
            after=_masked(change.get("after"), change.get("after_sensitive")),
            unknown=unknown if isinstance(unknown, Mapping) else {},
        )


def masked_plan(document: Mapping[str, Any], without: str) -> dict[str, Any]:
    """Return Terraform's JSON plan, the PLAN_KEYS of it, with what is sensitive masked, and the resource at the address
    *without* left out.
    """
    planned = document.get("planned_values") or {}
    return {
        "format_version": document.get("format_version"),
        "terraform_version": document.get("terraform_version"),
        "resource_changes": [
            {**entry, "change": _masked_change(entry["change"])}
            for entry in document.get("resource_changes") or ()
            if entry["address"] != without
        ],
        "output_changes": {
            name: _masked_change(change) for name, change in (document.get("output_changes") or {}).items()
        },
        "planned_values": {
            "outputs": {
                name: {**output, "value": _masked(output.get("value"), output.get("sensitive"))}
                for name, output in (planned.get("outputs") or {}).items()
            },
            "root_module": _masked_module(planned.get("root_module") or {}, without),
        },
    }


def _masked_change(change: Mapping[str, Any]) -> dict[str, Any]:
    sides = {side: _masked(change.get(side), change.get(f"{side}_sensitive")) for side in ("before", "after")}
    return {**change, **sides}


def _masked_module(module: Mapping[str, Any], without: str) -> dict[str, Any]:
    resources = [
        {**resource, "values": _masked(resource.get("values"), resource.get("sensitive_values"))}
        for resource in module.get("resources") or ()
        if resource["address"] != without
    ]
    children = [_masked_module(child, without) for child in module.get("child_modules") or ()]
    return {**module, "resources": resources, "child_modules": children}


def _masked(value: Any, sensitive: Any) -> Any:
    """*value* without what *sensitive* marks: true for all of it, or as deep as it goes."""
    if sensitive is True:
        return None if value is None else MASK
    if isinstance(sensitive, Mapping) and isinstance(value, Mapping):
        return {key: _masked(part, sensitive.get(key)) for key, part in value.items()}
    if isinstance(sensitive, list) and isinstance(value, list):
        marks = [*sensitive, *[None] * (len(value) - len(sensitive))]
        return [_masked(part, mark) for part, mark in zip(value, marks, strict=False)]
    return value
