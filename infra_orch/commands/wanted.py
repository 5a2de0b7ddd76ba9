"""What of a stack a command was asked to work on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_NOTHING = frozenset({""})


@dataclass(frozen=True)
class Wanted:
    """What was asked for: unit names or globs, tags, and whether what is up- or downstream of them comes along; or
    exactly these *nodes*, units and tasks. *gone*: units that have left the spec, and are to be destroyed where --prune
    says so.
    """

    units: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    with_upstream: bool = False
    with_downstream: bool = False
    nodes: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    @classmethod
    def of_units(cls, units: Iterable[str], gone: Iterable[str] = ()) -> Wanted:
        """Exactly these *units*, maybe none, and those that are *gone*."""
        found = tuple(units)
        return cls(units=found, nodes=frozenset() if found else _NOTHING, gone=frozenset(gone))

    @property
    def nothing(self) -> bool:
        """Whether it is known that there is nothing to work on."""
        return self.nodes == _NOTHING and not self.gone

    @property
    def everything(self) -> bool:
        """Whether nothing was named."""
        return not (self.units or self.tags or self.nodes)
