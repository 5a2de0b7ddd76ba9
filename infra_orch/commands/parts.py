"""What a run is to do of each of the stacks that it is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from infra_orch.commands.affecting import Change, affected_units, deleted_names, narrow, refuse_chosen, tell_deleted
from infra_orch.commands.gone import let_go_of, open_gone
from infra_orch.commands.opening import Opened, open_stack, open_stacks, open_unwritten
from infra_orch.commands.options import RunOptions
from infra_orch.commands.selecting import chosen_names, wanted_of_each
from infra_orch.commands.stacks import Asked, refuse_several
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.fingerprint.affected import Affected
from infra_orch.project import Project
from infra_orch.render.index import RenderedUnit


@dataclass(frozen=True)
class Part:
    """What a run is to do of one stack: *options* are those of the run, narrowed to what is wanted of the stack.

    *let_go*: nodes of all stacks that came after units that are deleted, by these (`network/vpc`).
    """

    opened: Opened
    options: RunOptions
    let_go: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The stack, by the name of its folder."""
        return self.opened.folder.name

    def node(self, name: str, *, several: bool) -> str:
        """Return what a unit or task of the stack is called in a run of *several* stacks, or of this one."""
        return f"{self.name}/{name}" if several else name

    @property
    def chosen(self) -> dict[str, RenderedUnit]:
        """The units that are wanted, by name."""
        names = chosen_names(self.opened, self.options.wanted)
        return {name: unit for name, unit in self.opened.rendered.units.items() if name in names}


def open_parts(project: Project, asked: Asked, options: RunOptions, console: Console) -> list[Part]:
    """Open the stacks that were *asked* for, and settle what is wanted of each; those of which nothing is are left out.

    Raises UsageError where what was asked for is nowhere, and as open_stack() and affected_units() do.
    """
    if asked.several:
        refuse_several(options)
    elif options.change:
        prunes = options.prunes(project)
        wanted_there = narrow(project, asked.only, options.wanted, options.change, console, prunes=prunes)
        options = replace(options, wanted=wanted_there)
        if options.wanted.nothing and not console.json:
            return []
    if not asked.several:
        return [Part(open_stack(project, asked.only, console, from_rendered=options.from_rendered), options)]
    if options.change:
        return open_affected(project, asked, options, options.change, console)[0]
    opened = open_stacks(project, asked.names, console, from_rendered=options.from_rendered)
    settled = wanted_of_each(opened, options.wanted)
    wanted = {name: of_it for name, of_it in settled.items() if not of_it.nothing}
    let_go = let_go_of(project, options.deleted)
    parts = [Part(opened[name], replace(options, wanted=of_it), let_go) for name, of_it in wanted.items()]
    return [*parts, *_gone(project, options.deleted, options, let_go, console)]


def refuse_unknown(project: Project, asked: Asked, options: RunOptions) -> None:
    """Refuse a stack, unit or tag that there is none of, and write nothing. What a change affects is not looked at.

    Raises as open_parts() does.
    """
    if options.change:
        return
    opened = open_unwritten(project, asked.names, from_rendered=options.from_rendered)
    if asked.several:
        wanted_of_each(opened, options.wanted)
    else:
        chosen_names(opened[asked.only], options.wanted)


def open_affected(
    project: Project, asked: Asked, options: RunOptions, change: Change, console: Console
) -> tuple[list[Part], tuple[str, ...]]:
    """Open what the *change* affects, and what it deletes where that is to be destroyed; where it is not, its names are
    returned, too.

    Raises as open_parts() does.
    """
    refuse_chosen(options.wanted)
    found = affected_units(project, asked.names or None, change, console)
    prunes = options.prunes(project)
    tell_deleted(found, change.base, console, prunes=prunes)
    if not found.reasons and not (found.deleted and prunes):
        console.note(f"nothing is affected by what changed since {change.base}")
    wanted = _wanted(found, prunes=prunes)
    opened = open_stacks(project, wanted, console, from_rendered=options.from_rendered)
    parts = [Part(one, replace(options, wanted=wanted[name]), found.let_go) for name, one in opened.items()]
    gone = _gone(project, found.deleted_stacks if prunes else (), options, found.let_go, console)
    return [*parts, *gone], () if prunes else deleted_names(found)


def _gone(
    project: Project,
    names: Iterable[str],
    options: RunOptions,
    let_go: Mapping[str, frozenset[str]],
    console: Console,
) -> Iterator[Part]:
    """What still exists of stacks that are gone, to be destroyed."""
    for name in names:
        if gone := open_gone(project, name, console, sandbox=options.sandbox, from_rendered=options.from_rendered):
            of_it = replace(options, wanted=Wanted.of_units((), gone.rendered.left_over))
            yield Part(gone, of_it, let_go)


def _wanted(found: Affected, *, prunes: bool) -> dict[str, Wanted]:
    wanted: dict[str, Wanted] = {}
    for stack in found.now:
        units, gone = found.units(stack), found.gone_from(stack) if prunes else ()
        if units or gone:
            wanted[stack] = Wanted.of_units(units, gone)
    # What is wrong with the others is said when they are opened.
    return {**wanted, **{stack: Wanted() for stack in found.reasons if stack not in found.now}}
