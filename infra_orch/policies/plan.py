"""A unit's plan as a policy sees it. Sensitive values are masked: no message can hold one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch.redact import MASK


@dataclass(frozen=True)
class Change:
    """What happens to one resource instance.

    *address*, *type* and *provider* (its source address) are Terraform's own, and so are *actions*: `("create",)`,
    `("delete", "create")`. *before* and *after* are its attributes, None where it is not there then; what is sensitive
    is "(sensitive)". *unknown* has true in the place of what is known after apply only.
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

    *stack* is the name of its stack's folder, *module* where its module lies (`modules/network`) or its address, *tags*
    are those of the unit. *destroys*: the unit goes as a whole.
    """

    stack: str
    unit: str
    module: str
    tags: frozenset[str]
    destroys: bool
    changes: tuple[Change, ...]


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
