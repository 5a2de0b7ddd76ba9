"""What `list` shows: the stacks and units that there are, and how each stands to its last apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from infra_orch.report.style import Style, safe

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:list:1"

State = Literal["current", "stale", "failed", "unapplied", "destroyed", "unknown", "left over"]

_COLOURS: Mapping[State, str] = {
    "current": "green",
    "stale": "yellow",
    "failed": "red",
    "unapplied": "cyan",
    "destroyed": "dim",
    "unknown": "yellow",
    "left over": "magenta",
}
_WORTH_COUNTING: Sequence[State] = ("stale", "failed", "unapplied", "unknown", "left over")
_REASONS = 2


@dataclass(frozen=True)
class ListedUnit:
    """A unit, and how it stands to its last apply.

    *last* is the record of that; None: there is none. *changed* says what is not as it was then, *unseen* what else its
    plan may depend on, and nobody has looked at. What has left its spec has no module.
    """

    name: str
    state: State
    last: Mapping[str, Any] | None = None
    module: str | None = None
    tags: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListedStack:
    """A stack and its *units*. *deleted*: it has no spec any more. *problems* are what is wrong with its spec."""

    name: str
    units: tuple[ListedUnit, ...] = ()
    deleted: bool = False
    problems: tuple[str, ...] = field(default=())

    def tagged(self, tags: Sequence[str]) -> ListedStack:
        """The same with only those units that have one of *tags*, where there are any."""
        units = tuple(unit for unit in self.units if not tags or not set(tags).isdisjoint(unit.tags))
        return ListedStack(self.name, units, self.deleted, self.problems)


def listing_document(stacks: Sequence[ListedStack], *, sandbox: bool) -> dict[str, Any]:
    """Return the listing as `--json` has it."""
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "sandbox": sandbox,
        "stacks": [
            {
                "stack": stack.name,
                "deleted": stack.deleted,
                "problems": list(stack.problems),
                "units": [_unit_json(unit) for unit in stack.units],
            }
            for stack in stacks
        ],
    }


def listing_lines(stacks: Sequence[ListedStack], style: Style) -> Iterator[str]:
    """Yield the listing for people: a line for each stack, and one for each of its units."""
    width = max((len(unit.name) for stack in stacks for unit in stack.units), default=0)
    for stack in stacks:
        remark = "  its folder is deleted" if stack.deleted else "  its spec is wrong" if stack.problems else ""
        yield style(stack.name, "bold") + style(remark, "red")
        for unit in stack.units:
            yield f"  {unit.name:<{width}}  {style(f'{unit.state:<9}', _COLOURS[unit.state])}{_rest(unit)}".rstrip()


def listing_summary(stacks: Sequence[ListedStack]) -> str:
    """Return how many there are, and how many of them somebody may want to do something about."""
    states = [unit.state for stack in stacks for unit in stack.units]
    special = [f"{number} {state}" for state in _WORTH_COUNTING if (number := states.count(state))]
    total = f"{_so_many(len(stacks), 'stack')}, {_so_many(len(states), 'unit')}"
    return f"{total}: {', '.join(special)}" if special else total


def _so_many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _rest(unit: ListedUnit) -> str:
    words = [""]
    if unit.last:
        words.append(safe(f"{unit.last['status']} {unit.last['at']} {unit.last['run']}", keep_newlines=False))
    if unit.tags:
        words.append(safe(f"[{', '.join(unit.tags)}]", keep_newlines=False))
    reasons = unit.changed or (unit.unseen if unit.state == "unknown" else ())
    if reasons:
        more = len(reasons) - _REASONS
        shown = ", ".join(reasons[:_REASONS]) + (f", and {more} more" if more > 0 else "")
        words.append(safe(f"({shown})", keep_newlines=False))
    return "  ".join(words)


def _unit_json(unit: ListedUnit) -> dict[str, Any]:
    last = unit.last
    keys = ("run", "at", "by", "status", "commit")
    return {
        "unit": unit.name,
        "state": unit.state.replace(" ", "_"),
        "module": unit.module,
        "tags": list(unit.tags),
        "changed": list(unit.changed),
        "unseen": list(unit.unseen),
        "last_apply": {key: last.get(key) for key in keys} if last else None,
    }
