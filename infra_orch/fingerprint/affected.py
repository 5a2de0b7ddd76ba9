"""Which units a change affects: those whose fingerprints differ, upstream values aside, and what comes after them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from infra_orch.fingerprint.fingerprint import Fingerprint, compare
from infra_orch.project import as_seen_from, stack_and_unit
from infra_orch.render.index import RenderedStack, joint_graph


@dataclass(frozen=True)
class Content:
    """A stack as it is rendered, and what its units are made of."""

    stack: RenderedStack
    units: Mapping[str, Fingerprint]

    @property
    def former(self) -> frozenset[str]:
        """The names that its units had before."""
        return frozenset(unit.formerly for unit in self.stack.units.values() if unit.formerly)


@dataclass(frozen=True)
class Affected:
    """What a change affects: by stack and unit, why; and what it deletes, as (stack, unit).

    *now* are the stacks as they are, those that nobody can tell left out. *let_go*: what came after units that are
    deleted, by these, as `network/vpc`.
    """

    reasons: Mapping[str, Mapping[str, tuple[str, ...]]]
    deleted: tuple[tuple[str, str], ...]
    now: Mapping[str, Content]
    let_go: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def only(self, stacks: Collection[str]) -> Affected:
        """The same of some *stacks* alone."""
        return replace(
            self,
            reasons={stack: units for stack, units in self.reasons.items() if stack in stacks},
            deleted=tuple((stack, unit) for stack, unit in self.deleted if stack in stacks),
            now={stack: content for stack, content in self.now.items() if stack in stacks},
        )

    @property
    def deleted_stacks(self) -> tuple[str, ...]:
        """The stacks that are deleted as a whole."""
        return tuple(sorted({stack for stack, _ in self.deleted if stack not in self.now}))

    def units(self, stack: str) -> tuple[str, ...]:
        """The units of a stack that are affected."""
        return tuple(self.reasons.get(stack, {}))

    def gone_from(self, stack: str) -> tuple[str, ...]:
        """The units of a stack that are deleted."""
        return tuple(unit for where, unit in self.deleted if where == stack)


def affected(now: Mapping[str, Content | None], before: Mapping[str, Content | None], *, downstream: bool) -> Affected:
    """Return what differs between two states of stacks, by the names of their folders; None: nobody can tell what one
    is, or was.

    A stack that cannot be told is affected, without units. With *downstream*, units that come after one that is
    affected, or deleted, are so, too, whatever stack they are of.
    """
    known = {stack: content for stack, content in now.items() if content}
    changed: dict[str, dict[str, tuple[str, ...]]] = {}
    for stack, content in known.items():
        if stack in before:
            changed[stack] = dict(_changed(content, before[stack]))
        else:
            changed[stack] = dict.fromkeys(content.units, ("its stack is new",))
    deleted = [
        (stack, unit) for stack, content in sorted(before.items()) if content for unit in _gone(stack, content, now)
    ]
    then = joint_graph({stack: content.stack for stack, content in before.items() if content}, "plan")
    let_go = {f"{stack}/{unit}": then.downstream.get(f"{stack}/{unit}", frozenset()) for stack, unit in deleted}
    if downstream:
        for stack, units in _below(known, changed, let_go.values()).items():
            changed[stack] |= units
    reasons = {
        stack: {unit: changed[stack][unit] for unit in content.units if unit in changed[stack]} if content else {}
        for stack, content in now.items()
    }
    found = {stack: units for stack, units in reasons.items() if units or now[stack] is None}
    return Affected(found, tuple(deleted), known, let_go)


def _gone(stack: str, before: Content, now: Mapping[str, Content | None]) -> Iterator[str]:
    """The units of a stack that are no more, under any name."""
    there = now.get(stack)
    if there is None and stack in now:
        return  # nobody can tell
    kept = there.units.keys() | there.former if there else frozenset[str]()
    yield from (unit for unit in before.units if unit not in kept)


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
    now: Mapping[str, Content],
    changed: Mapping[str, Mapping[str, tuple[str, ...]]],
    let_go: Collection[frozenset[str]],
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The units, by stack, that come after those that are affected, with what they come after directly; and those that
    came after what is deleted.
    """
    graph = joint_graph({stack: content.stack for stack, content in now.items()}, "plan")
    orphaned = frozenset[str]().union(*let_go) & graph.upstream.keys()
    own = {f"{stack}/{unit}" for stack, units in changed.items() for unit in units}
    reached = graph.closure(own | orphaned, down=True)
    found: dict[str, dict[str, tuple[str, ...]]] = {stack: {} for stack in now}
    for node in reached - own:
        stack, name = stack_and_unit(node)
        if name in now[stack].units:
            first = sorted(as_seen_from(stack, upstream) for upstream in graph.upstream[node] & reached)
            found[stack][name] = (f"it comes after {', '.join(first) or 'what is deleted'}",)
    return found
