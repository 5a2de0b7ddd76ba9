"""The stack that a test is about, as its spec declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra_orch.testing.values import MissingError, Named

if TYPE_CHECKING:
    from infra_orch.spec.check import CheckedStack
    from infra_orch.testing.trial import Trial


@dataclass(frozen=True)
class UnitUnderTest:
    """A unit, as the spec declares it.

    name: of the unit.
    module: as the spec has it.
    inputs: by name.
    tags: in the order of the spec.
    needs: the outputs that it reads, by upstream unit.
    protect: whether nothing in it may be destroyed or replaced.

    What has no value while a spec is evaluated is text in the inputs: `${network.outputs.vpc_id}`, also within a string
    (`${network.outputs.name}-web`), `${env('TOKEN')}`; an expression is `${length(network.outputs.subnet_ids)}`.
    """

    name: str
    module: str
    inputs: Mapping[str, Any]
    tags: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]
    protect: bool


@dataclass(frozen=True, eq=False, repr=False)
class StackUnderTest:
    """A stack that was found to be right.

    name: of the stack.
    units: by name.
    tasks: their names.
    order: in which units and tasks are worked on: each comes after all that it depends on.
    """

    name: str
    units: Mapping[str, UnitUnderTest]
    tasks: tuple[str, ...]
    order: tuple[str, ...]
    trial: Trial = field(repr=False)

    @classmethod
    def of(cls, checked: CheckedStack, trial: Trial) -> StackUnderTest:
        """What a checked stack is to a test."""
        units = {
            name: UnitUnderTest(
                name, one.unit.module, _written(one.unit.inputs), one.unit.tags, dict(one.needs), one.unit.protect
            )
            for name, one in checked.units.items()
        }
        return cls(checked.stack.name, Named(units, "unit"), tuple(checked.tasks), tuple(checked.graph.order()), trial)

    def __repr__(self) -> str:
        return f"<the stack {self.name}: {', '.join(self.units)}>"

    def comes_after(self, node: str) -> frozenset[str]:
        """All units and tasks that a unit or task comes after, directly or not.

        node: the name of a unit or a task.

        Raises KeyError for a name of none.
        """
        graph = self.trial.declared.checked.graph
        if node not in graph.upstream:
            raise MissingError(f'unit or task "{node}"', node, graph.upstream)
        return frozenset(graph.closure([node], down=False) - {node})


def _written(value: Any) -> Any:
    """An input as plain Python, with text for what has no value yet."""
    from infra_orch.spec.values import Expression, is_opaque, pieces  # noqa: PLC0415 - not before a fixture is used

    if isinstance(value, Expression):
        inner = "".join(part if isinstance(part, str) else repr(part) for part in pieces(value.text))
        return f"${{{inner}}}"
    if is_opaque(value):
        return f"${{{value!r}}}"
    if isinstance(value, str):
        return "".join(part if isinstance(part, str) else str(_written(part)) for part in pieces(value))
    if isinstance(value, Mapping):
        return {_written(key): _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, (list, tuple)) else value
