"""Which units a change affects: those whose fingerprints differ, upstream values aside, and what comes after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra_orch.fingerprint.fingerprint import Fingerprint, compare
from infra_orch.graph.graph import Graph


@dataclass(frozen=True)
class Content:
    """What the units of a stack are made of, and the graph over its units and tasks.

    *renamed* are the names that units have now, by their former ones.
    """

    units: Mapping[str, Fingerprint]
    graph: Graph
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Affected:
    """What a change affects: by stack and unit, why; and what it deletes, as (stack, unit)."""

    reasons: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    deleted: tuple[tuple[str, str], ...] = ()

    def units(self, stack: str) -> tuple[str, ...]:
        """The units of a stack that are affected."""
        return tuple(self.reasons.get(stack, {}))


def affected(now: Mapping[str, Content | None], before: Mapping[str, Content | None], *, downstream: bool) -> Affected:
    """Return what differs between two states of stacks, by their names; None: nobody can tell what one is, or was.

    A stack that cannot be told is affected, without units. With *downstream*, units that come after one that is
    affected, or deleted, are so, too.
    """
    reasons: dict[str, Mapping[str, tuple[str, ...]]] = {}
    deleted: list[tuple[str, str]] = []
    for stack, content in now.items():
        if content is None:
            reasons[stack] = {}
            continue
        if stack in before:
            own = dict(_changed(content, before[stack]))
        else:
            own = dict.fromkeys(content.units, ("its stack is new",))
        if downstream:
            own |= _below(content, before.get(stack), own)
        if own:
            reasons[stack] = {unit: own[unit] for unit in content.units if unit in own}
    for stack, known in sorted(before.items()):
        there = now.get(stack) if stack in now else Content({}, Graph({}))
        if known and there:
            left = (unit for unit in known.units if unit not in there.units and unit not in there.renamed)
            deleted += [(stack, unit) for unit in left]
    return Affected(reasons, tuple(deleted))


def _changed(now: Content, before: Content | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    for unit, found in now.units.items():
        known = before.units.get(unit) if before else None
        if before is None:
            yield unit, ("what it was before cannot be told",)
        elif known is None:
            yield unit, ("it is new",)
        elif differing := [f"{name} {word}" for name, word in compare(found, known).items() if word != "same"]:
            yield unit, tuple(differing)
        elif found.unseen:
            yield unit, found.unseen


def _below(
    content: Content, before: Content | None, changed: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The units that come after those that are affected, with what they come after directly."""
    gone = {unit for unit in before.units if unit not in content.units} if before else set[str]()
    orphaned = {
        node
        for unit in gone
        for node in (before.graph.downstream.get(unit, ()) if before else ())
        if node in content.graph.upstream
    }
    reached = content.graph.closure({*changed, *orphaned}, down=True)
    found = {}
    for node in reached - changed.keys():
        first = sorted(content.graph.upstream[node] & reached)
        found[node] = (f"it comes after {', '.join(first) or 'what is deleted'}",)
    return {node: why for node, why in found.items() if node in content.units}
