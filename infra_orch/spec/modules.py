"""Find the modules of a stack's units and read what those in folders of the project declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra_orch.errors import Problem, SpecError, Where, nearest
from infra_orch.module.declaration import Module
from infra_orch.module.read import read_module
from infra_orch.project import Project, StackFolder
from infra_orch.spec.providers import PASSWORD_IN_URL, VERSION_HINT, is_version
from infra_orch.spec.sound import unplain
from infra_orch.spec.source import Source, parse_source
from infra_orch.spec.stack import Stack, Unit


@dataclass(frozen=True)
class ModuleOf:
    """The module of a unit. *module* is None where its files are not here, or where they are *broken*."""

    source: Source
    module: Module | None
    broken: bool = False


class ModuleFolders:
    """What the modules in folders of a project declare, each folder read when it is asked for first, and then known.

    It is for one command: what changes meanwhile is not seen.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[Path, Module | SpecError | None] = {}

    def read(self, folder: Path) -> Module | None:
        """What the module in *folder* declares; None where there is no such folder, or it lies outside the project.

        Raises SpecError as read_module() does.
        """
        if folder not in self._known:
            self._known[folder] = self._read(folder)
        found = self._known[folder]
        if isinstance(found, SpecError):
            raise found
        return found

    def _read(self, folder: Path) -> Module | SpecError | None:
        project = self._project
        if not folder.resolve().is_relative_to(project.root) or not folder.is_dir():
            return None
        try:
            return read_module(folder, shown_as=project.shown(folder), cache=project.cache / "modules")
        except SpecError as error:
            return error


def read_modules(
    stack: Stack, folder: StackFolder, folders: ModuleFolders | None = None
) -> tuple[Mapping[Unit, ModuleOf], list[Problem]]:
    """Return the module of every unit of *stack*, each folder read once, and every problem that was found.

    Who reads those of several stacks hands on what is known of *folders*.
    """
    folders = folders or ModuleFolders(folder.project)
    read: dict[Source, Module | None] = {}
    sources: dict[str, Source] = {}
    found: dict[Unit, ModuleOf] = {}
    problems: list[Problem] = []
    for unit in stack.units:
        if why := unplain(unit.module):
            problems.append(Problem(f'module= of unit "{unit.name}": {why}', unit.where))
            found[unit] = ModuleOf(Source("remote", unit.module), None, broken=True)
            continue
        source = sources.get(unit.module) or parse_source(unit.module, folder)
        sources[unit.module] = source
        if PASSWORD_IN_URL.search(unit.module):
            message = f'the password in module= of unit "{unit.name}" would be committed with the rendered files'
            hint = "take it out, and let git have it: a credential helper, or ssh"
            problems.append(Problem(message, unit.where, hint))
        problems += _version_problems(unit, source)
        if source.folder is not None and source not in read:
            try:
                read[source] = _read(source, unit, folder, folders)
            except SpecError as error:
                problems += error.problems
                read[source] = None
        module = read.get(source)
        problems += _output_problems(unit, module)
        found[unit] = ModuleOf(source, module, broken=source.folder is not None and module is None)
    return found, problems


def _read(source: Source, unit: Unit, folder: StackFolder, folders: ModuleFolders) -> Module:
    project = folder.project
    assert source.folder is not None
    shown = project.shown(source.folder)
    try:
        module = folders.read(source.folder)
    except SpecError as error:
        raise SpecError(_at_the_call(problem, shown, unit) for problem in error.problems) from error
    if module is not None:
        return module
    if not source.folder.resolve().is_relative_to(project.root):
        message = f'module "{source.text}" of unit "{unit.name}" lies outside the project'
        hint = "copy it into modules/, or name it by its git or registry address"
        raise SpecError([Problem(message, unit.where, hint)])
    known = [path.name for path in project.modules.iterdir() if path.is_dir()] if project.modules.is_dir() else []
    hint = nearest(source.text, known) or f"there is no folder {shown}/: infra-orch new module NAME makes one"
    raise SpecError([Problem(f'unknown module "{source.text}" of unit "{unit.name}"', unit.where, hint)])


def _at_the_call(problem: Problem, shown: str, unit: Unit) -> Problem:
    """What is wrong with the folder as a whole is shown where the spec names it; the rest at its line of the module."""
    if problem.where == Where(shown):
        return Problem(f'module of unit "{unit.name}": {problem.message}', unit.where, problem.hint)
    return problem


def _version_problems(unit: Unit, source: Source) -> Iterator[Problem]:
    if unit.version is None:
        return
    title = f'version="{unit.version}" of unit "{unit.name}"'
    if source.kind != "registry":
        hint = "a git source takes its version as ?ref=…" if source.kind == "remote" else "take version= out"
        yield Problem(f"{title}: its module is not one of a registry", unit.where, hint)
    elif not is_version(unit.version):
        yield Problem(f"{title} is no version constraint", unit.where, VERSION_HINT)


def _output_problems(unit: Unit, module: Module | None) -> Iterator[Problem]:
    if module is None:
        return
    for name in dict.fromkeys((*unit.extra_outputs, *unit.sensitive_outputs)):
        if name not in module.outputs:
            message = f'unit "{unit.name}" names the output "{name}", which module "{unit.module}" has not'
            yield Problem(message, unit.where, nearest(name, module.outputs))
