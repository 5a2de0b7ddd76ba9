"""Stacks as tests name or declare them, found to be right, and rendered in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from infra_orch.errors import UsageError
from infra_orch.project import NoProjectError, Project, StackFolder, find_project
from infra_orch.render.neighbours import Neighbours
from infra_orch.render.write import Rendering, render_stack
from infra_orch.spec.check import CheckedStack, check_stack
from infra_orch.spec.load import load_aside, load_stack
from infra_orch.spec.stack import Stack, Unit
from infra_orch.testing.values import MissingError


@dataclass(frozen=True, eq=False)
class Declared:
    """A stack: as it was declared, checked and rendered. *own*: it was declared in a test file."""

    stack: Stack
    checked: CheckedStack
    rendering: Rendering
    own: bool = False

    @property
    def folder(self) -> StackFolder:
        """Its folder, in the copy of the project."""
        return self.checked.folder

    @cached_property
    def uses_aws(self) -> bool:
        """Whether it needs an emulated AWS."""
        units = self.rendering.stack.units.values()
        sources = {use.source or use.name for unit in units for use in unit.providers}
        sources |= {source for unit in units for source in unit.required}
        named = {provider.name for provider in self.stack.providers}
        return "aws" in named or any(source.rpartition("/")[2] == "aws" for source in sources)

    def with_inputs(self, inputs: Mapping[str, Mapping[str, Any]]) -> Declared:
        """The same stack with other inputs of units, by their names.

        Raises KeyError for a unit that is not there, SpecError as check_stack() does.
        """
        known = {unit.name for unit in self.stack.units}
        for name in inputs.keys() - known:
            raise MissingError(f'unit "{name}"', name, known)
        units = [replace(unit, inputs={**unit.inputs, **inputs.get(unit.name, {})}) for unit in self.stack.units]
        return _declared(_with_units(self.stack, units), self.folder, own=self.own)

    def before(self) -> list[Declared]:
        """The stacks that it refers to, directly or not, each after those that it refers to itself.

        Raises SpecError for what is wrong with one of them.
        """
        found: dict[str, Declared] = {}

        def visit(declared: Declared) -> None:
            for name in declared.rendering.stack.stacks_before:
                if name not in found:
                    folder = self.folder.project.stack(name)
                    other = _declared(load_aside(folder), folder)
                    visit(other)
                    found[name] = other

        visit(self)
        return list(found.values())


def declared_in_project(project: Project, name: str | None) -> Declared:
    """A stack of the project; None: the only one that there is.

    Raises SpecError with all that is wrong with it, UsageError where there is none of that name, or several.
    """
    folder = project.stack(name or _the_only(project))
    declared = _declared(load_stack(folder), folder)
    Neighbours(project).refuse_shared(declared.rendering.claim(declared.checked), folder.path)
    return declared


def declared_in_test(project: Project, stack: Stack, test: Path) -> Declared:
    """A *stack* that was declared in the file *test*, given by its path in the project. Modules whose paths begin with
    `./` or `../` are looked for from there. Raises SpecError with all that is wrong with it.
    """
    path = project.stacks / stack.name
    if path.exists():
        path = project.stacks / f"{stack.name}-{test.stem}"
    place = project.root / test.parent
    units = [
        replace(unit, module=Path(os.path.relpath(place / unit.module, path)).as_posix())
        if unit.module.startswith(("./", "../"))
        else unit
        for unit in stack.units
    ]
    return _declared(_with_units(stack, units), StackFolder(project, path), own=True)


def project_root(start: Path) -> Path:
    """The root of the project that a test in the folder *start* is of; of a repository of modules, where these lie.

    Raises UsageError where there is none.
    """
    try:
        return find_project(start).root
    except NoProjectError:
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / "modules").is_dir():
                return folder
        raise


def _declared(stack: Stack, folder: StackFolder, *, own: bool = False) -> Declared:
    checked = check_stack(stack, folder)
    return Declared(stack, checked, render_stack(checked), own)


def _with_units(stack: Stack, units: list[Unit]) -> Stack:
    found = replace(stack)
    found.where, found.tasks, found.units = stack.where, stack.tasks, units
    return found


def _the_only(project: Project) -> str:
    names = [folder.name for folder in project.stack_folders() if folder.spec.is_file()]
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("there is no stack to test", hint="infra-orch new stack NAME makes one")
    raise UsageError(
        f"there are {len(names)} stacks, and the test does not say which it is about",
        hint=f'pytestmark = pytest.mark.stack("NAME"), of {", ".join(names[:10])}{", …" if len(names) > 10 else ""}',
    )
