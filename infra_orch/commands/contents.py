"""What the stacks of a project are made of, as it is or as it was: each state is looked at by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra_orch.commands.specs import Specs
from infra_orch.errors import UserError
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import Fingerprint, Given, fingerprint_from
from infra_orch.fingerprint.sources import ModuleSources, Sources, merged
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedStack

_NOTHING: Mapping[str, Any] = {"remote": {}, "unseen": (), "loose": ()}


@dataclass(frozen=True)
class Side:
    """One state of a *project*: of the *stacks* in it (None: of all; one that is not there is passed over), evaluated
    from the folder *cwd*; *within* is its repository.
    """

    project: Project
    within: Path
    cwd: Path
    stacks: tuple[str, ...] | None

    @cached_property
    def specs(self) -> Specs:
        """Its stacks."""
        there = [folder.name for folder in self.project.stack_folders()]
        names = there if self.stacks is None else [name for name in there if name in self.stacks]
        return Specs(self.project, names, apart=True, cwd=self.cwd)

    @cached_property
    def sources(self) -> Sources:
        """Its modules."""
        return Sources(self.project, self.within, fixed=True)

    def content(self, name: str, like: tuple[Side, Content] | None = None) -> Content | str:
        """What a stack is made of; or why it cannot be evaluated. *like*: another side, where the stack itself is the
        same, and what it is made of there.
        """
        folder = StackFolder(self.project, self.project.stacks / name)
        try:
            if like and self.key(name) and self.key(name) == like[0].key(name):
                return Content(like[1].stack, dict(self._fingerprints_like(*like, name)))
            entry = self.specs.entry(name)
            stack = entry.stack(folder)
            return Content(stack, dict(self._fingerprints(stack, stack.units, entry.said, folder)))
        except (UserError, OSError) as error:
            return str(error).splitlines()[0]

    def key(self, name: str) -> str | None:
        """The name of the entry that holds what a stack is, where it is kept."""
        return self.specs.keys().get(name)

    def _fingerprints_like(self, other: Side, content: Content, name: str) -> Iterator[tuple[str, Fingerprint]]:
        """The fingerprints where the stack is the same on the *other* side: made anew where something else is not."""
        mine, theirs = self.specs.folder(name), other.specs.folder(name)
        locks = self.locks(mine), other.locks(theirs)
        differing = [
            unit.name
            for unit in content.stack.units.values()
            if locks[0].get(unit.name) != locks[1].get(unit.name)
            or self.sources.of_module(unit.module) != other.sources.of_module(unit.module)
        ]
        yield from content.units.items()
        if differing:
            yield from self._fingerprints(content.stack, differing, self.specs.entry(name).said, mine)

    def _fingerprints(
        self, stack: RenderedStack, names: Iterable[str], said_there: Mapping[str, Any], folder: StackFolder
    ) -> Iterator[tuple[str, Fingerprint]]:
        locks = self.locks(folder)
        for unit in (stack.units[name] for name in names):
            own = said_there["own"].get(unit.name, _NOTHING)
            in_files = ModuleSources({}, own["remote"], tuple(own["unseen"]), tuple(own["loose"]))
            said = merged(self.sources.of_module(unit.module), in_files)
            lock = locks.get(unit.name, "")
            yield unit.name, fingerprint_from(unit, unit.files, lock, said, Given(engine=""))

    def locks(self, folder: StackFolder) -> dict[str, str]:
        """The dependency lock files of a stack's units."""
        if not folder.rendered.is_dir():
            return {}
        found = ((path, path / LOCK_FILE) for path in folder.rendered.iterdir())
        return {path.name: lock.read_text(encoding="utf-8") for path, lock in found if lock.is_file()}


def unchanged(now: Side, then: Side, name: str) -> bool:
    """Whether a stack is made of the same on both sides, and of nothing besides that nobody knows.

    False where that takes a closer look.
    """
    key = now.key(name)
    if key is None or then.key(name) != key:
        return False
    try:
        said = now.specs.entry(name).said
        modules = [(now.sources.of_module(module), then.sources.of_module(module)) for module in said["modules"]]
        locks = now.locks(now.specs.folder(name)), then.locks(then.specs.folder(name))
    except (UserError, OSError):
        return False
    seen = not any(own["unseen"] for own in said["own"].values())
    return seen and locks[0] == locks[1] and all(mine == theirs and not mine.unseen for mine, theirs in modules)
