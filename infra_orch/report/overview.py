"""Where one stands in a project, and what one is likely to want next: made from what lies there, and cheap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_orch.report.style import Style, safe

_STACKS = 12
"""So many stacks are shown, those first of which there is something to tell."""
_COMMANDS = 3


@dataclass(frozen=True)
class StackStanding:
    """A stack: how many *units* it has by its rendered index (None: it was never rendered), and by its records how many
    of them are *applied*, which *failed* last, and which are *left_over*.

    *last*: when something of it was applied last. *died*: a run died here. *at_work*: the run that is at work.
    *unreadable*: what is rendered or recorded of it cannot be read, so that nothing else is known.
    """

    name: str
    units: int | None = None
    applied: int = 0
    failed: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    last: str = ""
    died: bool = False
    at_work: str = ""
    has_spec: bool = True
    unreadable: bool = False

    @property
    def waiting(self) -> bool:
        """Whether it has units that were never applied."""
        return self.units is not None and self.applied < self.units


@dataclass(frozen=True)
class Standing:
    """A project. *uncommitted* are files of its stacks that git does not have as they are."""

    root: Path
    stacks: Sequence[StackStanding]
    uncommitted: Sequence[str] = ()


def overview_lines(standing: Standing, style: Style) -> Iterator[str]:
    """Yield where one stands, and the three most likely next commands."""
    stacks = standing.stacks
    units = sum(stack.units or 0 for stack in stacks)
    applied = sum(stack.applied for stack in stacks)
    total = f"{_so_many(len(stacks), 'stack')}, {_so_many(units, 'unit')} rendered, {applied} of them applied"
    yield f"{style(safe(standing.root.name, keep_newlines=False), 'bold')}  {total}"
    shown = sorted(stacks, key=lambda stack: not _remarks(stack))[:_STACKS]
    width = max((len(stack.name) for stack in shown), default=0)
    for stack in sorted(shown, key=lambda stack: stack.name):
        yield f"  {stack.name:<{width}}  {_line(stack, style)}"
    if len(stacks) > _STACKS:
        yield f"  and {_so_many(len(stacks) - _STACKS, 'more stack')}"
    if standing.uncommitted:
        first = safe(standing.uncommitted[0], keep_newlines=False)
        rest = len(standing.uncommitted) - 1
        yield style(f"  not committed: {first}{f', and {rest} more' if rest else ''}", "yellow")
    yield ""
    commands = next_commands(standing)
    width = max(len(command) for command, _ in commands)
    for command, why in commands:
        yield f"  {style(f'{command:<{width}}', 'cyan')}  {why}"


def next_commands(standing: Standing) -> list[tuple[str, str]]:
    """Return the three commands that are most likely wanted next, each with why: what is amiss comes first."""
    return list(dict(_wanted(standing)).items())[:_COMMANDS]


def _wanted(standing: Standing) -> Iterator[tuple[str, str]]:
    if not standing.stacks:
        yield "infra-orch new stack dev", "make the first stack"
        yield "infra-orch new module network", "make a module for it"
        yield "infra-orch doctor", "see what is missing on this machine"
        return
    for stack in [stack for stack in standing.stacks if stack.unreadable][:1]:
        yield f"infra-orch history {stack.name}", "see what of it cannot be read, and how that is mended"
    yield from _mending(standing.stacks)
    yield from _going_on([stack for stack in standing.stacks if stack.has_spec and not stack.unreadable])
    if standing.uncommitted:
        yield "git status", "see what is not committed"
    which = standing.stacks[0].name if len(standing.stacks) == 1 else "--all"
    yield "infra-orch list", "see all units, and what of each has changed since its last apply"
    yield f"infra-orch plan {which}", "see what an apply would do"
    yield f"infra-orch drift {which}", "see what is not as the last apply left it"


def _mending(stacks: Sequence[StackStanding]) -> Iterator[tuple[str, str]]:
    """What mends what is amiss: one command of each kind."""
    for stack in [stack for stack in stacks if stack.died][:1]:
        yield f"infra-orch recover {stack.name}", "see to the end of a run that died here"
    for stack in [stack for stack in stacks if stack.failed][:1]:
        yield f"infra-orch history {stack.name}", f"see which run failed: {_some(stack.failed)}"
    for stack in [stack for stack in stacks if stack.left_over and stack.has_spec][:1]:
        yield f"infra-orch plan {stack.name} --prune", f"also destroy what left the spec: {_some(stack.left_over)}"
    for stack in [stack for stack in stacks if stack.left_over and not stack.has_spec][:1]:
        yield f"infra-orch destroy {stack.name} --from-rendered", "destroy what still exists of it"


def _going_on(stacks: Sequence[StackStanding]) -> Iterator[tuple[str, str]]:
    """What leads on to an apply of what was never applied."""
    fresh = [stack.name for stack in stacks if stack.units is None]
    if fresh:
        which = fresh[0] if len(fresh) == 1 else "--all"
        yield f"infra-orch validate {which}", "find everything that is wrong with it"
    waiting = [stack.name for stack in stacks if stack.waiting or stack.units is None]
    if waiting:
        which = waiting[0] if len(waiting) == 1 else "--all"
        yield f"infra-orch plan {which}", "see what an apply would do"
        yield f"infra-orch apply {which}", "plan, show, ask, do exactly that"


def _line(stack: StackStanding, style: Style) -> str:
    if stack.unreadable:
        return style("cannot be read", "yellow")
    units = "never rendered" if stack.units is None else _so_many(stack.units, "unit")
    last = f"applied last {stack.last}" if stack.last else "never applied"
    remarks = [style(remark, "yellow") for remark in _remarks(stack)]
    return ", ".join([units, safe(last, keep_newlines=False), *remarks])


def _remarks(stack: StackStanding) -> list[str]:
    found = ["cannot be read"] if stack.unreadable else []
    if not stack.has_spec:
        found.append("its spec is gone")
    if stack.at_work:
        found.append(safe(f"{stack.at_work} is at work", keep_newlines=False))
    if stack.died:
        found.append("a run died")
    if stack.failed:
        found.append(f"failed: {_some(stack.failed)}")
    if stack.left_over:
        found.append(f"left over: {_some(stack.left_over)}")
    return found


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]


def _so_many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
