"""What the stacks of a project are made of, as it is or as it was: each state is looked at by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from infra_orch.commands.specs import Specs
from infra_orch.errors import UserError
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import Fingerprint, Given, fingerprint_from
from infra_orch.fingerprint.sources import ModuleSources, Sources, merged
from infra_orch.git.export import Aside
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedUnit
from infra_orch.render.kept import Entry


@dataclass(frozen=True)
class Side:
    """One state of a *project*: of the *stacks* in it (None: of all; one that is not there is passed over), evaluated
    from the folder *cwd*; *within* is its repository. *aside* are those of its files that are not written yet. *apart*:
    nothing is evaluated in this process, as Specs has it.
    """

    project: Project
    within: Path
    cwd: Path
    stacks: frozenset[str] | None
    aside: Aside = field(default_factory=Aside)
    apart: bool = True

    @cached_property
    def specs(self) -> Specs:
        """Its stacks."""
        aside = {path.parent.relative_to(self.project.stacks).as_posix() for path in self.aside.contents}
        found = {folder.name for folder in self.project.stack_folders() if folder.spec.is_file()} | aside
        names = sorted(found if self.stacks is None else found & self.stacks)
        return Specs(self.project, names, self.aside, apart=self.apart, cwd=self.cwd)

    @cached_property
    def sources(self) -> Sources:
        """Its modules."""
        return Sources(self.project, self.within, fixed=True)

    def content(self, name: str) -> Content | str:
        """What a stack is made of; or why it cannot be evaluated."""
        try:
            return self.evaluated(name)
        except (UserError, OSError) as error:
            return str(error).splitlines()[0]

    def evaluated(self, name: str) -> Content:
        """What a stack is made of.

        Raises SpecError where it cannot be evaluated, OSError where a file cannot be read.
        """
        folder = StackFolder(self.project, self.project.stacks / name)
        entry = self.specs.entry(name)
        stack, locks = entry.stack(folder), self.locks(folder)
        return Content(stack, {unit.name: self.fingerprint(unit, entry, locks) for unit in stack.units.values()})

    def key(self, name: str) -> str | None:
        """The name of the entry that holds what a stack is, where it is kept."""
        return self.specs.keys().get(name)

    def said(self, unit: RenderedUnit, entry: Entry) -> ModuleSources:
        """What the modules of a unit are made of, and what is said of others in its rendered files."""
        own = entry.said["own"].get(unit.name)
        module = self.sources.of_module(unit.module)
        if own is None:
            return module
        return merged(module, ModuleSources({}, own["remote"], tuple(own["unseen"]), tuple(own["loose"])))

    def fingerprint(self, unit: RenderedUnit, entry: Entry, locks: Mapping[str, str]) -> Fingerprint:
        """The fingerprint of a unit, less what a run gives it."""
        return fingerprint_from(unit, unit.files, locks.get(unit.name, ""), self.said(unit, entry), Given(engine=""))

    def locks(self, folder: StackFolder) -> dict[str, str]:
        """The dependency lock files of a stack's units."""
        try:
            units = [entry.name for entry in os.scandir(folder.rendered)]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        top = str(folder.rendered)
        locks = {unit: f"{top}/{unit}/{LOCK_FILE}" for unit in units}
        # Asked for each unit of the project, of which most have none.
        found = {unit: lock for unit, lock in locks.items() if os.path.isfile(lock)}  # noqa: PTH113
        return {unit: Path(lock).read_text(encoding="utf-8") for unit, lock in found.items()}


@dataclass(frozen=True)
class Alike:
    """A stack of which both sides have the same entry: the stacks that it comes *after*, and whether it is made of the
    *same* on both, as far as its own units go.
    """

    after: frozenset[str]
    same: bool
    contents: Callable[[], tuple[Content, Content]]
    """What it is made of on each side; of units that are the same it says no more than that."""


def alike_on_both(now: Side, then: Side, name: str) -> Alike:
    """Look at a stack of which both sides have the same entry. Raises UserError and OSError where it cannot be told."""
    folder = now.specs.folder(name)
    entry, locks = now.specs.entry(name), (now.locks(folder), then.locks(then.specs.folder(name)))
    changed = {
        module for module in entry.said["modules"] if now.sources.of_module(module) != then.sources.of_module(module)
    }
    odd = any(now.sources.of_module(module).unseen for module in entry.said["modules"])
    unseen = odd or any(own["unseen"] for own in entry.said["own"].values())

    def contents() -> tuple[Content, Content]:
        stack = entry.stack(folder)
        sides: tuple[dict[str, Fingerprint], dict[str, Fingerprint]] = ({}, {})
        for unit in stack.units.values():
            if unit.module in changed or locks[0].get(unit.name) != locks[1].get(unit.name):
                pair = tuple(side.fingerprint(unit, entry, lock) for side, lock in zip((now, then), locks, strict=True))
            else:
                pair = (Fingerprint({}, now.said(unit, entry).unseen),) * 2
            for side, fingerprint in zip(sides, pair, strict=True):
                side[unit.name] = fingerprint
        return Content(stack, sides[0]), Content(stack, sides[1])

    same = not changed and not unseen and locks[0] == locks[1]
    return Alike(frozenset(entry.said["stacks_before"]), same, contents)
