"""What a change affects, told from the specs and modules as they were at a commit, and as they are."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from infra_orch.commands.contents import Alike, Side, alike_on_both
from infra_orch.commands.copies import Copy, copied
from infra_orch.commands.rendered import RenderedSide, committed_in
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import UsageError, UserError
from infra_orch.fingerprint.affected import Affected, Content, affected
from infra_orch.git.repository import Repository, find_repository
from infra_orch.project import Project, is_spec

_MADE = re.compile(r"(?:.+/)?stacks/.+/(?:rendered/(?:stack\.json|[^/]+/[^/]+\.tf)|record/(?:runs/)?[^/]+\.json)")
"""What is made of specs and runs, and so tells nothing of what has changed."""
_RECORD = re.compile(r"(?:.+/)?stacks/.+/record/(?:runs/)?[^/]+\.json")


_Contents: TypeAlias = dict[str, Content | str]


@dataclass(frozen=True)
class Change:
    """From the commit *base* to the one called *head*, or to the working tree.

    *downstream*: what comes after an affected unit is so, too. *why*: the reasons are told. *rendered*: it is told from
    the files that are rendered and committed, without evaluating any Python of either side.
    """

    base: str
    head: str | None = None
    downstream: bool = True
    why: bool = False
    rendered: bool = False


def change_asked_for(
    base: str | None,
    head: str | None = None,
    *,
    wanted: bool,
    downstream: bool,
    why: bool,
    from_rendered: bool = False,
) -> Change | None:
    """Return the change that the flags name. Raises UsageError where they do not go together."""
    if not wanted:
        # A variable may say it for all commands of a job.
        given = {"--base": base and base != os.environ.get("INFRA_ORCH_BASE"), "--head": head, "--why": why}
        for flag in (name for name, value in {**given, "--no-downstream": not downstream}.items() if value):
            raise UsageError(f"{flag} says what --affected compares, which is missing", hint="add --affected")
        return None
    if not base:
        raise UsageError("--affected compares with a commit, which is missing", hint="--base main")
    return Change(base, head, downstream, why, from_rendered)


def affected_units(project: Project, stacks: Sequence[str] | None, change: Change, console: Console) -> Affected:
    """Return what a change affects in *stacks*; None: in all that there are, or were.

    The specs of both sides are evaluated, as far as what comes of them is not known: the base's, and the head's where
    one is named, from a copy of the commit: the checkout is not touched. Where the change is told from rendered files,
    nothing is evaluated. Raises UsageError where a commit is not there, and as RenderedSide.contents() does.
    """
    repository = find_repository(project.root)
    if repository is None:
        raise UsageError("--affected compares with a commit, and this is no git repository", hint="git init")
    wanted = None if stacks is None else frozenset(stacks)
    compare = _compared_as_rendered if change.rendered else _compared
    compared = compare(project, repository, change, wanted)
    # What a stack comes after may be in others, and be affected.
    seen = wanted
    while seen is not None and (more := compared.referred_to - seen):
        seen |= more
        compared = compare(project, repository, change, seen)
    if compared.said:
        console.note(compared.said)
    for name, why in compared.before.items():
        if isinstance(why, str) and name in compared.after:
            cannot = "told" if change.rendered else "evaluated"
            console.warn(f"{name} cannot be {cannot} as it was at {change.base}, so all of it is selected: {why}")
    for name, why in compared.after.items():
        if isinstance(why, str) and change.head:
            console.warn(f"{name} cannot be evaluated as it is at {change.head}: {why}")
    found = affected(_known(compared.after), _known(compared.before), downstream=change.downstream)
    found = found if wanted is None else found.only(wanted)
    if change.why:
        _explain(found, console)
    return found


@dataclass(frozen=True)
class _Compared:
    """What stacks are made of *after* and *before* a change, or why it cannot be told; those are left out that are the
    same and come after none of these. *referred_to*: the stacks that any refers to. *said*: what their specs printed.
    """

    after: _Contents
    before: _Contents
    referred_to: frozenset[str]
    said: str = ""


def _compared(project: Project, repository: Repository, change: Change, stacks: frozenset[str] | None) -> _Compared:
    with contextlib.ExitStack() as stack:
        then = stack.enter_context(at_commit(project, repository, change.base, stacks))
        now = Side(project, repository.root, Path.cwd(), stacks)
        if change.head is not None:
            now = stack.enter_context(at_commit(project, repository, change.head, stacks))
        stack.callback(now.specs.close)
        now.specs.evaluate()
        then.specs.evaluate()  # after the other side, of which most is the same, and is known now
        return replace(_differing(now, then), said="".join(now.specs.said).rstrip())


def _compared_as_rendered(
    project: Project, repository: Repository, change: Change, stacks: frozenset[str] | None
) -> _Compared:
    committed_in(project)
    with contextlib.ExitStack() as stack:
        then = _rendered_side(stack.enter_context(copied(project, repository, change.base, _no_record)), stacks)
        now = RenderedSide(project, repository.root, stacks, here=True)
        if change.head is not None:
            now = _rendered_side(stack.enter_context(copied(project, repository, change.head, _no_record)), stacks)
        # What lies rendered of a stack whose spec is deleted is there to destroy it.
        left = (then.specs - now.specs) & now.folders.keys()
        after: _Contents = dict(now.contents([name for name in now.folders if name not in left]))
        before: _Contents = {name: then.content(name) for name in then.folders}
    known = (found.stack for found in (*after.values(), *before.values()) if isinstance(found, Content))
    return _Compared(after, before, frozenset(name for one in known for name in one.stacks_before))


def _rendered_side(copy: Copy, stacks: frozenset[str] | None) -> RenderedSide:
    return RenderedSide(copy.project, copy.within, stacks)


def _no_record(path: str) -> bool:
    return not _RECORD.fullmatch(path)


def affected_stacks(project: Project, stacks: Sequence[str], change: Change, console: Console) -> list[str]:
    """Return those of *stacks* (none: of all) in which a change affects something, and say so where there are none.

    Raises as affected_units() does.
    """
    found = affected_units(project, stacks or None, change, console)
    if not found.reasons:
        console.note(f"nothing is affected by what changed since {change.base}")
    return list(found.reasons)


def refuse_chosen(wanted: Wanted) -> None:
    """Refuse that units are chosen by hand, too. Raises UsageError."""
    if not wanted.everything:
        raise UsageError("--affected chooses the units, and so do --unit and --tag", hint="give one of the two")


def tell_deleted(found: Affected, base: str, console: Console, *, prunes: bool) -> None:
    """Say which units and stacks a change deletes, and what destroys what still exists of them."""
    if names := deleted_names(found):
        hint = "" if prunes else "; --prune destroys what still exists of it"
        console.note(f"deleted since {base}: {', '.join(names)}{hint}")


def deleted_names(found: Affected) -> tuple[str, ...]:
    """Return the units and the stacks that a change deletes, as they are told: `network/vpc`, `the stack network`."""
    units = [f"{stack}/{unit}" for stack, unit in found.deleted if stack in found.now]
    return (*units, *(f"the stack {stack}" for stack in found.deleted_stacks))


def narrow(project: Project, stack: str, wanted: Wanted, change: Change, console: Console, *, prunes: bool) -> Wanted:
    """Return what of a stack a change affects, to be worked on; *prunes*: units that it deletes are so, too.

    Raises UsageError where something else was asked for, too, and as affected_units() does.
    """
    refuse_chosen(wanted)
    stack = project.stack(stack).name
    found = affected_units(project, [stack], change, console)
    tell_deleted(found, change.base, console, prunes=prunes)
    gone = found.gone_from(stack) if prunes else ()
    if stack in found.reasons and not found.reasons[stack]:
        return wanted  # opening it says what is wrong with it
    units = found.units(stack)
    if not units and not gone:
        console.note(f"nothing in {stack} is affected by what changed since {change.base}")
    return Wanted.of_units(units, gone)


def _differing(now: Side, then: Side) -> _Compared:
    after: _Contents = {}
    before: _Contents = {}
    same: dict[str, Alike] = {}
    for name in now.specs.names:
        if (key := now.key(name)) and key == then.key(name):
            with contextlib.suppress(UserError, OSError):
                same[name] = alike_on_both(now, then, name)
        if name not in same:
            after[name] = now.content(name)
    before |= {name: then.content(name) for name in then.specs.names if name not in same}
    differing = (found.stack for found in (*after.values(), *before.values()) if isinstance(found, Content))
    referred_to = {name for stack in differing for name in stack.stacks_before}
    referred_to |= {name for found in same.values() for name in found.after}
    wanted = [name for name, found in same.items() if not found.same]
    while wanted:
        for name in wanted:
            after[name], before[name] = same.pop(name).contents()
        # What is the same itself may come after what is not.
        wanted = [name for name, found in same.items() if not found.after.isdisjoint(after.keys() | before.keys())]
    return _Compared(after, before, frozenset(referred_to))


def _known(found: Mapping[str, Content | str]) -> dict[str, Content | None]:
    """What stacks are made of; None where one cannot be evaluated."""
    return {name: content if isinstance(content, Content) else None for name, content in found.items()}


def _explain(found: Affected, console: Console) -> None:
    for stack, units in found.reasons.items():
        for unit, reasons in units.items():
            console.note(f"{stack}/{unit}: {'; '.join(reasons)}")
    for stack, unit in found.deleted:
        console.note(f"{stack}/{unit}: it is deleted")


@contextlib.contextmanager
def at_commit(project: Project, repository: Repository, ref: str, stacks: frozenset[str] | None) -> Iterator[Side]:
    """The project as it was at a commit, to be evaluated in a folder of its own that is removed afterwards."""
    place = project.root.relative_to(repository.root)
    prefix = "" if place == Path() else f"{place.as_posix()}/"
    with copied(project, repository, ref, lambda path: not _MADE.fullmatch(path), _is_spec(prefix)) as copy:
        root, here = copy.project.root, Path.cwd().resolve()
        cwd = copy.within / here.relative_to(repository.root) if here.is_relative_to(repository.root) else root
        side = Side(copy.project, copy.within, cwd if cwd.is_dir() else root, stacks, copy.aside)
        try:
            yield side
        finally:
            side.specs.close()


def _is_spec(project: str) -> Callable[[str], bool]:
    """Whether a file of the repository is a spec, where the project's begin with the path *project*."""
    return lambda path: path.startswith(project) and is_spec(path[len(project) :])
