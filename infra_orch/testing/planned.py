"""A plan as a test sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from infra_orch.testing.resources import Resource, Resources, check
from infra_orch.testing.values import Named

_SHOWN = 20


@dataclass(frozen=True, eq=False)
class PlannedUnit:
    """What became of a unit in a plan.

    name: the unit.
    status: `planned` (it has changes), `unchanged`, `deferred` (it cannot be planned before what it waits for is
        known), or `refused` (policies deny it).
    resources: its resource instances.
    outputs: as they will be, by name; UNKNOWN where nobody knows.
    waits_for: what has to be known before it can be planned.
    warnings: what Terraform and policies warn of.
    denials: what policies say against it.
    """

    name: str
    status: str
    resources: tuple[Resource, ...] = field(repr=False)
    outputs: Mapping[str, Any]
    waits_for: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Planned:
    """A plan of a stack.

    stack: its name.
    units: what became of each unit, by name.
    tasks: what tasks that run in a plan returned, by name.
    """

    stack: str
    units: Mapping[str, PlannedUnit]
    tasks: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<the plan of {self.stack}: {self.summary}>"

    def resources(
        self,
        *,
        type: str | None = None,  # noqa: A002 - Terraform's word
        unit: str | None = None,
        action: str | None = None,
        mode: str = "managed",
    ) -> tuple[Resource, ...]:
        """The resource instances of a type, a unit, an action: all of them where none is said.

        type: of this type alone, as `aws_subnet`.
        unit: of this unit alone.
        action: with this action alone: `create`, `update`, `delete`, `replace`, `read`, `no-op` or `forget`.
        mode: `managed`, or `data` for data sources that are read during the apply.

        Raises KeyError for a unit that is not there.
        """
        return self._all.chosen(type=type, unit=unit, action=action, mode=mode)

    def resource(self, address: str, *, unit: str | None = None) -> Resource:
        """The resource instance at an address.

        address: as Terraform writes it, in the unit's module or in its root module: `aws_s3_bucket.this`,
            `aws_subnet.private["a"]`, `module.store.aws_s3_bucket.this`.
        unit: of this unit; it can be left out where one unit alone has such a resource.

        Raises AssertionError where there is none, with the nearest address.
        """
        __tracebackhide__ = True
        return self._all.one(address, unit)

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """The outputs as they will be, by unit and name."""
        return Named({name: unit.outputs for name, unit in self.units.items()}, "unit")

    @property
    def counts(self) -> Mapping[str, int]:
        """How many resources there are of each action: `planned.counts["create"]`."""
        return Counter(one.action for one in self.resources())

    @property
    def summary(self) -> str:
        """What Terraform would say of it in one line: `Plan: 3 to add, 0 to change, 0 to destroy.`"""
        if not self.changed and not self.waiting:
            return "No changes."
        counts = self.counts
        add, destroy = (counts[kind] + counts["replace"] for kind in ("create", "delete"))
        return f"Plan: {add} to add, {counts['update']} to change, {destroy} to destroy."

    @property
    def changed(self) -> tuple[Resource, ...]:
        """The resource instances that are not left as they are."""
        return tuple(one for one in self._all.all if one.action not in ("no-op", "read"))

    @property
    def waiting(self) -> Mapping[str, tuple[str, ...]]:
        """The units that cannot be planned yet, with what they wait for."""
        return {name: unit.waits_for for name, unit in self.units.items() if unit.status == "deferred"}

    def assert_resource(
        self,
        address: str,
        /,
        *,
        unit: str | None = None,
        action: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        **expected: Any,
    ) -> Resource:
        """Fail unless there is such a resource, and return it.

        address: as that of resource().
        unit: as that of resource().
        action: what is done with it: `create`, `update`, `delete`, `replace`, `read`, `no-op` or `forget`.
        attributes: what its attributes have to be, by name.
        expected: the same, by keyword.

        Raises AssertionError, in Terraform's words.
        """
        __tracebackhide__ = True
        return assert_resource(self._all, address, unit, action, {**(attributes or {}), **expected})

    def assert_no_resource(self, address: str, /, *, unit: str | None = None) -> None:
        """Fail where there is a resource at an address, or instances of one.

        address: as that of resource(), also without the key of an instance.
        unit: of this unit alone.
        """
        __tracebackhide__ = True
        there = [
            one
            for one in self.resources(unit=unit)
            if address in (one.address, one.local_address) or f"{one.local_address}[".startswith(f"{address}[")
        ]
        if there:
            raise AssertionError("\n".join(map(str, there[:_SHOWN])))

    def assert_no_changes(self) -> None:
        """Fail unless Terraform would say of every unit: no changes."""
        __tracebackhide__ = True
        if not self.changed and not self.waiting and all(one.status == "unchanged" for one in self.units.values()):
            return
        self._fail()

    def _fail(self) -> NoReturn:
        __tracebackhide__ = True
        lines = [str(one) for one in self.changed]
        lines += [f"{name} waits for {', '.join(what)}" for name, what in self.waiting.items()]
        said = {one.unit for one in self.changed} | self.waiting.keys()
        rest = [name for name, one in self.units.items() if one.status != "unchanged" and name not in said]
        lines += [f"{name}: its outputs change" for name in rest]
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise AssertionError("\n".join([f"expected no changes. {self.summary}", *lines[:_SHOWN], *more]))

    @property
    def _all(self) -> Resources:
        hidden = {name: _why(unit) for name, unit in self.units.items() if unit.status == "deferred"}
        return Resources([one for unit in self.units.values() for one in unit.resources], self.units, hidden)


def assert_resource(
    resources: Resources, address: str, unit: str | None, action: str | None, expected: Mapping[str, Any]
) -> Resource:
    """Fail unless there is such a resource as *expected*; return it."""
    __tracebackhide__ = True
    found = resources.one(address, unit)
    if wrong := check(found, action, expected):
        raise AssertionError("\n".join([f"{found}, and not as expected:", *wrong]))
    return found


def _why(unit: PlannedUnit) -> str:
    waits = ", ".join(unit.waits_for)
    return f"it cannot be planned before {waits} is known; the fixture `applied` has what becomes of it"
