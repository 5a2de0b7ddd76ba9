"""Stacks as they lie rendered and committed: read without evaluating any Python, and believed once they are checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra_orch.commands.committed import Differs, differences
from infra_orch.commands.planted import refuse_planted
from infra_orch.errors import RefusedError, UserError, Where
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import Fingerprint, Given, fingerprint_from, said_in
from infra_orch.fingerprint.sources import ModuleSources, Sources, merged
from infra_orch.git.repository import Repository, find_repository
from infra_orch.module.facts import file_facts
from infra_orch.module.files import LOCK_FILE, NOT_PART, module_folders
from infra_orch.module.masking import BadSyntaxError
from infra_orch.module.reads import read_outside
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedStack, RenderedUnit, digest, read_index
from infra_orch.run.prepare import read_files

_LOCAL = ("./", "../")


def committed_render(folder: StackFolder) -> RenderedStack:
    """Read one stack as committed_renders() does."""
    return committed_renders(folder.project, [folder])[folder.name]


def committed_renders(project: Project, folders: Sequence[StackFolder]) -> dict[str, RenderedStack]:
    """Read rendered stacks, by the names of their folders, without evaluating any Python.

    Raises RefusedError where the rendered files, or the local modules that they call and what these read outside of
    their folders, are not byte for byte what is committed, and where a rendered file is not the one that stack.json
    names, or a link; UserError where there are none.
    """
    found = {folder.name: _index(folder) for folder in folders}
    repository, commit = committed_in(project)
    refuse_planted(repository, commit, project)
    _refuse(differences(repository, commit, [folder.rendered for folder in folders]))
    roots: list[Path] = []
    for rendered in found.values():
        refuse_forged(rendered)
        # Told by the files that Terraform reads, and not by what the index says of them.
        roots += [rendered.folder.rendered / unit.name for unit in _all_units(rendered) if unit.files]
    own = {root.resolve() for root in roots}
    modules = [path for path in module_folders(roots, project.cache / "modules") if path not in own]
    outside = read_outside((path for module in modules for path in module.iterdir()), root=project.root)
    _refuse(differences(repository, commit, [*modules, *outside], besides=NOT_PART))
    return found


def committed_in(project: Project) -> tuple[Repository, str]:
    """Return the repository of a project and the commit that is checked out. Raises RefusedError where none is."""
    repository = find_repository(project.root)
    commit = repository.head() if repository else None
    if repository is None or commit is None:
        what = "a git repository" if repository is None else "a commit"
        raise RefusedError(f"--from-rendered needs {what}: it runs what is committed")
    return repository, commit


def refuse_forged(stack: RenderedStack) -> None:
    """Raise RefusedError where a rendered file of *stack* is not the one that its index names, or a link."""
    folder = stack.folder
    for at, folders, names in os.walk(folder.rendered):
        for name in sorted((*folders, *names)):
            _refuse_link(Path(at) / name, folder)
    for unit in _all_units(stack):
        for name, checksum in unit.files.items():
            path = folder.rendered / unit.name / name
            if not path.is_file() or digest(path.read_bytes()) != checksum:
                shown = folder.project.shown(path)
                raise RefusedError(
                    f"{shown} is not the file that stack.json names",
                    hint=f"infra-orch render {folder.name}, and commit it",
                    where=Where(shown),
                )


def _index(folder: StackFolder) -> RenderedStack:
    # Before it is read: a link can lead to anything that this machine has.
    _refuse_link(folder.rendered, folder)
    _refuse_link(folder.index, folder)
    return read_index(folder)


def _refuse_link(path: Path, folder: StackFolder) -> None:
    if path.is_symlink():
        shown = folder.project.shown(path)
        raise RefusedError(
            f"{shown} is a link, and what is rendered are files",
            hint=f"rm {shown}; infra-orch render {folder.name}, and commit it",
            where=Where(shown),
        )


def _refuse(differing: list[Differs]) -> None:
    if differing:
        first, more = differing[0], len(differing) - 1
        raise RefusedError(
            f"{first.path} {first.how}" + (f" (and {more} more)" if more else ""),
            hint="--from-rendered runs what is committed, and nothing else: commit it, or take the change back",
        )


def _all_units(stack: RenderedStack) -> list[RenderedUnit]:
    return [*stack.units.values(), *(kept.unit for kept in stack.left_over.values())]


@dataclass(frozen=True)
class RenderedSide:
    """One state of a *project*, told from its rendered files: of the *stacks* in it (None: of all; one that is not
    there is passed over). *within* is its repository. *here*: it is the working tree, which has to be what is
    committed.
    """

    project: Project
    within: Path
    stacks: frozenset[str] | None
    here: bool = False

    @cached_property
    def folders(self) -> Mapping[str, StackFolder]:
        """Its stacks, rendered or with nothing but a spec, by name."""
        found = {folder.name: folder for folder in self.project.stack_folders()}
        return found if self.stacks is None else {name: found[name] for name in sorted(found) if name in self.stacks}

    @cached_property
    def specs(self) -> frozenset[str]:
        """Those of its stacks that have a spec."""
        return frozenset(name for name, folder in self.folders.items() if folder.spec.is_file())

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self.project, self.within, fixed=True)

    def contents(self, names: Sequence[str]) -> dict[str, Content]:
        """What stacks are made of. Raises RefusedError and UserError for the first that cannot be told, OSError."""
        folders = [self.folders[name] for name in names]
        if self.here:
            found = committed_renders(self.project, folders)
        else:
            found = {folder.name: _index(folder) for folder in folders}
            for stack in found.values():
                refuse_forged(stack)
        return {name: self._content(stack) for name, stack in found.items()}

    def content(self, name: str) -> Content | str:
        """What a stack is made of; or why it cannot be told."""
        try:
            return self.contents([name])[name]
        except (UserError, OSError) as error:
            return str(error).splitlines()[0]

    def _content(self, stack: RenderedStack) -> Content:
        return Content(stack, {unit.name: self._fingerprint(stack, unit) for unit in stack.units.values()})

    def _fingerprint(self, stack: RenderedStack, unit: RenderedUnit) -> Fingerprint:
        """The fingerprint of a unit, less what a run gives it."""
        files = read_files(stack.folder.rendered, unit)
        # Told by the files that Terraform reads, and not by what the index says of them.
        said = merged(*self._called(stack, unit, files), said_in(unit, files, self._sources))
        return fingerprint_from(unit, unit.files, files.get(LOCK_FILE, ""), said, Given(engine=""))

    def _called(self, stack: RenderedStack, unit: RenderedUnit, files: Mapping[str, str]) -> Iterator[ModuleSources]:
        """What the local modules that a unit's files call are made of."""
        here = stack.folder.rendered / unit.name
        for name in unit.files:
            try:
                calls = file_facts(name, files[name].encode(), self.project.cache / "modules").calls
            except BadSyntaxError:  # said_in() says so, and what cannot be read counts as changed
                continue
            for source in (call.arguments.get("source") for call in calls):
                if isinstance(source, str) and source.startswith(_LOCAL):
                    place = Path(os.path.normpath(here / source))
                    if place.resolve().is_relative_to(self.within.resolve()):
                        module = Path(os.path.relpath(place, self.project.root)).as_posix()
                        yield self._sources.of_module(module)
                    else:
                        yield ModuleSources({}, {}, (f"{unit.name} calls {source}, which lies outside",))
