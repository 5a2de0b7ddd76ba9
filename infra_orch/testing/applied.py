"""A stack that was applied in the sandbox, as a test sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra_orch.testing.planned import Planned, assert_resource
from infra_orch.testing.resources import Resource, Resources


@dataclass(frozen=True, eq=False, repr=False)
class Applied:
    """A stack that is there, in the sandbox.

    stack: its name.
    outputs: by unit and name; sensitive ones are SENSITIVE, and reveal() has them.
    tasks: what its tasks returned, by name.
    """

    stack: str
    outputs: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Any]
    _resources: Resources = field(repr=False)
    _revealed: Mapping[str, Mapping[str, Any]] = field(repr=False)
    _client: Callable[[str, str | None], Any] = field(repr=False)
    _plan: Callable[[Mapping[str, Mapping[str, Any]]], Planned] = field(repr=False)
    _task: Callable[[str], Any] = field(repr=False)

    def __repr__(self) -> str:
        return f"<{self.stack}, applied: {len(self.resources())} resources>"

    def resources(
        self,
        *,
        type: str | None = None,  # noqa: A002 - Terraform's word
        unit: str | None = None,
        mode: str = "managed",
    ) -> tuple[Resource, ...]:
        """The resource instances in the states, of a type or a unit: all of them where none is said.

        type: of this type alone, as `aws_subnet`.
        unit: of this unit alone.
        mode: `managed`, or `data` for data sources.

        Raises KeyError for a unit that is not there.
        """
        return self._resources.chosen(type=type, unit=unit, action=None, mode=mode)

    def resource(self, address: str, *, unit: str | None = None) -> Resource:
        """The resource instance at an address.

        address: as Terraform writes it, in the unit's module or in its root module: `aws_s3_bucket.this`.
        unit: of this unit; it can be left out where one unit alone has such a resource.

        Raises AssertionError where there is none, with the nearest address.
        """
        __tracebackhide__ = True
        return self._resources.one(address, unit)

    def assert_resource(
        self,
        address: str,
        /,
        *,
        unit: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        **expected: Any,
    ) -> Resource:
        """Fail unless there is such a resource, and return it.

        address: as that of resource().
        unit: as that of resource().
        attributes: what its attributes have to be, by name.
        expected: the same, by keyword.

        Raises AssertionError, in Terraform's words.
        """
        __tracebackhide__ = True
        return assert_resource(self._resources, address, unit, None, {**(attributes or {}), **expected})

    def reveal(self, unit: str, output: str) -> Any:
        """An output as it is, also where it is sensitive.

        unit: whose it is.
        output: its name.

        Raises KeyError where there is none of that name.
        """
        return self._revealed[unit][output]

    def client(self, service: str, region_name: str | None = None) -> Any:
        """A boto3 client that talks to the sandbox.

        service: of AWS, as boto3 calls it: `s3`.
        region_name: that of the stack's first AWS provider where none is said.

        Raises RunFailedError where the stack uses no AWS provider: then there is no emulated AWS.
        """
        __tracebackhide__ = True
        return self._client(service, region_name)

    def run_task(self, name: str) -> Any:
        """Run a task of the stack once more, without retries, as an apply would, and return what it returns.

        name: of the task.

        Raises RunFailedError where it fails, KeyError where there is none of that name.
        """
        __tracebackhide__ = True
        return self._task(name)

    def plan_again(self, inputs: Mapping[str, Mapping[str, Any]] | None = None) -> Planned:
        """Plan the stack once more, now that it is there.

        inputs: other inputs of units, by the units' names, to see what such a change would do:
            `applied.plan_again({"network": {"zone_count": 3}})`.

        Raises RunFailedError where it cannot be planned, or an input is wrong.
        """
        __tracebackhide__ = True
        return self._plan(inputs or {})

    def assert_no_changes(self) -> None:
        """Plan the stack once more, and fail unless that has nothing to do."""
        __tracebackhide__ = True
        self.plan_again().assert_no_changes()
