"""Resources of a plan or a state, and how one is found by its address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra_orch.testing.values import SENSITIVE, UNKNOWN, MissingError, as_terraform_shows, masked, what_there_is

_WILL = {
    "create": "will be created",
    "update": "will be updated in-place",
    "delete": "will be destroyed",
    "replace": "must be replaced",
    "read": "will be read during apply",
    "no-op": "stays as it is",
    "forget": "will no longer be managed",
}


@dataclass(frozen=True, eq=False)
class Resource:
    """A resource instance: `resource["versioning"]` is an attribute of it, `"tags" in resource` whether it has one.

    An attribute that nobody knows before an apply is UNKNOWN, a sensitive one SENSITIVE, also within others.

    unit: whose it is.
    address: Terraform's, in the root module of its unit: `module.store.aws_s3_bucket.this`.
    type: `aws_s3_bucket`.
    name: `this`.
    mode: `managed` or `data`.
    action: `create`, `update`, `delete`, `replace`, `read`, `no-op` or `forget`; of a state `no-op`.
    actions: Terraform's own, in their order: of a replacement `("delete", "create")`, or the other way round.
    """

    unit: str
    address: str
    type: str
    name: str
    mode: str
    action: str
    actions: tuple[str, ...]
    _values: Mapping[str, Any] = field(repr=False)
    _sensitive: Any = field(default=None, repr=False)
    _before: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _before_sensitive: Any = field(default=None, repr=False)

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes as they will be, by name; of what is destroyed there are none."""
        return {name: self.get(name) for name in self._values}

    @property
    def before(self) -> dict[str, Any]:
        """All attributes as they are before the plan is applied; of what is created there are none."""
        found = masked(self._before, self._before_sensitive)
        return found if isinstance(found, dict) else {}

    @property
    def local_address(self) -> str:
        """The address within the unit's module, `aws_s3_bucket.this`."""
        return self.address.removeprefix(f"module.{self.unit}.")

    def __getitem__(self, name: str) -> Any:
        __tracebackhide__ = True
        if name not in self._values:
            raise MissingError(f'attribute "{name}" of {self.address}', name, self._values)
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute.

        name: of the attribute.
        default: what is returned where there is none of that name.
        """
        if name not in self._values:
            return default
        sensitive = self._sensitive
        mark = sensitive if sensitive is True or sensitive is None else sensitive.get(name)
        return masked(self._values[name], mark)

    def reveal(self, name: str) -> Any:
        """An attribute as it is, also where it is sensitive.

        name: of the attribute.

        Raises KeyError where there is none of that name.
        """
        __tracebackhide__ = True
        self[name]
        return self._values[name]

    def is_unknown(self, name: str) -> bool:
        """Whether an attribute is `(known after apply)` as a whole, be it sensitive or not.

        name: of the attribute.

        Raises KeyError where there is none of that name.
        """
        return self.reveal(name) is UNKNOWN

    def is_sensitive(self, name: str) -> bool:
        """Whether an attribute is sensitive as a whole.

        name: of the attribute.

        Raises KeyError where there is none of that name.
        """
        return self[name] is SENSITIVE

    def __str__(self) -> str:
        return f"{self.address} {_WILL.get(self.action, self.action)}"


@dataclass(frozen=True)
class Resources:
    """Resources, and why those of some units are not among them, by unit."""

    all: Sequence[Resource]
    units: Iterable[str]
    not_known: Mapping[str, str] = field(default_factory=dict)

    def chosen(
        self,
        *,
        type: str | None,  # noqa: A002 - Terraform's word
        unit: str | None,
        action: str | None,
        mode: str = "managed",
    ) -> tuple[Resource, ...]:
        """Those of a type, of a unit, of an action. Raises KeyError for a unit that is not there."""
        __tracebackhide__ = True
        self._refuse_unknown(unit)
        return tuple(
            one
            for one in self.all
            if one.mode == mode
            and type in (None, one.type)
            and unit in (None, one.unit)
            and action in (None, one.action)
        )

    def find(self, address: str, unit: str | None) -> list[Resource]:
        """Those at an address, as it is in the root module or in the unit's."""
        __tracebackhide__ = True
        self._refuse_unknown(unit)
        return [one for one in self.all if address in (one.address, one.local_address) and unit in (None, one.unit)]

    def one(self, address: str, unit: str | None) -> Resource:
        """The one at an address. Raises AssertionError where there is none, or one in several units."""
        __tracebackhide__ = True
        found = self.find(address, unit)
        if len(found) == 1:
            return found[0]
        if found:
            units = ", ".join(one.unit for one in found)
            raise AssertionError(f"{address} is in several units ({units}): say which, with unit=")
        raise AssertionError(self._missing(address, unit))

    def _missing(self, address: str, unit: str | None) -> str:
        there = [one for one in self.all if unit in (None, one.unit)]
        where = f" in {unit}" if unit else ""
        instances = [one.local_address for one in there if one.local_address.startswith(f"{address}[")]
        if instances:
            return f"{address} has instances{where}: {', '.join(instances[:10])}; name one of them"
        hidden = {name: why for name, why in self.not_known.items() if unit in (None, name)}
        lines = [f"there is no {address}{where}"]
        if there or not hidden:
            full = address.startswith("module.")
            names = {one.address if full else one.local_address for one in there}
            lines[0] += f"; {what_there_is(address, names)}"
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in sorted(hidden.items()))])

    def _refuse_unknown(self, unit: str | None) -> None:
        __tracebackhide__ = True
        if unit is not None and unit not in self.units:
            raise MissingError(f'unit "{unit}"', unit, self.units)


def check(resource: Resource, action: str | None, expected: Mapping[str, Any]) -> list[str]:
    """What of *resource* is not as *expected*, a line each."""
    wrong = []
    if action is not None and resource.action != action:
        wrong.append(f"  action: expected {action}, and it {_WILL.get(resource.action, resource.action)}")
    for name, value in expected.items():
        if name not in resource:
            wrong.append(f"  {name}: there is no such attribute; {what_there_is(name, resource)}")
        elif resource.get(name) != value and not _revealed(resource, name, value):
            wrong.append(
                f"  {name}: expected {as_terraform_shows(value)}, and it is {as_terraform_shows(resource.get(name))}"
            )
    return wrong


def _revealed(resource: Resource, name: str, value: Any) -> bool:
    """Whether a sensitive attribute is *value*: who knows it may ask whether it is that."""
    return resource.get(name) is SENSITIVE and bool(resource.reveal(name) == value)
