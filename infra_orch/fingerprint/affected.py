"""Which units a change affects: those whose fingerprints differ, upstream values aside, and what comes after them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra_orch.fingerprint.fingerprint import Fingerprint, compare
from infra_orch.graph.graph import Graph
from infra_orch.render.index import RenderedStack


@dataclass(frozen=True)
class Content:
    """A stack as it is rendered, and what its units are made of."""

    stack: RenderedStack
    units: Mapping[str, Fingerprint]

    @property
    def graph(self) -> Graph:
        """The graph over its units and tasks."""
        return self.stack.graph

    @property
    def former(self) -> frozenset[str]:
        """The names that its units had before."""
        return frozenset(unit.formerly for unit in self.stack.units.values() if unit.formerly)


@dataclass(frozen=True)
class Affected:
    """What a change affects: by stack and unit, why; and what it deletes, as (stack, unit).

    *now* are the stacks as they are, those that nobody can tell left out.
    """

    reasons: Mapping[str, Mapping[str, tuple[str, ...]]]
    deleted: tuple[tuple[str, str], ...]
    now: Mapping[str, Content]

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
        there = now.get(stack)
        if known and (there or stack not in now):
            kept = there.units.keys() | there.former if there else frozenset[str]()
            deleted += [(stack, unit) for unit in known.units if unit not in kept]
    return Affected(reasons, tuple(deleted), {name: content for name, content in now.items() if content})


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
