"""Other stacks of a project, as far as a stack refers to their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from infra_orch.errors import SpecError, UsageError, nearest
from infra_orch.project import Project, StackFolder, stack_and_unit
from infra_orch.spec.load import load_aside
from infra_orch.spec.modules import ModuleFolders, ModuleOf, read_modules
from infra_orch.spec.stack import Stack, Unit

Edge: TypeAlias = tuple[str, str]
"""What comes before what, by names as all stacks know: `("network/vpc", "app/web")`."""


@dataclass(frozen=True)
class Other:
    """A stack that others refer to: as it is declared, with its modules read. It need not be right as a whole."""

    stack: Stack
    modules: Mapping[Unit, ModuleOf]

    def unit(self, name: str) -> Unit | None:
        """The unit that is called so; of two the first."""
        return next((unit for unit in self.stack.units if unit.name == name), None)


@dataclass(frozen=True)
class Missing:
    """Why what a reference names is not there, as the end of a sentence, and how to mend it."""

    why: str
    hint: str = ""


class Elsewhere:
    """The stacks of a project as their specs have them, each evaluated when it is referred to for the first time, and
    what the modules in their *folders* declare.

    Whoever checks several stacks hands on the same one. *edges*: by stack, those that are known so far.
    """

    def __init__(self, project: Project, folders: ModuleFolders | None = None) -> None:
        self._project = project
        self.folders = folders or ModuleFolders(project)
        self.evaluated: list[StackFolder] = []
        """The stacks whose specs were evaluated here because others refer to them."""
        self._known: dict[str, Other | Missing] = {}
        self.edges: dict[str, frozenset[Edge]] = {}

    def learn(self, folder: StackFolder, stack: Stack, modules: Mapping[Unit, ModuleOf]) -> None:
        """Learn of a stack that has been evaluated already."""
        self._known[folder.name] = Other(stack, modules)

    def stack(self, name: str) -> Other | Missing:
        """Return a stack by the name of its folder."""
        if name not in self._known:
            self._known[name] = self._evaluated(name)
        return self._known[name]

    def unit(self, name: str) -> tuple[Unit, ModuleOf] | Missing:
        """Return a unit by its stack's name and its own, `network/vpc`, with its module."""
        where, unit = stack_and_unit(name)
        other = self.stack(where)
        if isinstance(other, Missing):
            return other
        found = other.unit(unit)
        if found is None:
            return Missing(f'which is no unit of the stack "{where}"', _like(unit, where, other))
        return found, other.modules[found]

    def _evaluated(self, name: str) -> Other | Missing:
        try:
            folder = self._project.stack(name)
        except UsageError as error:
            return Missing(f"and {error.summary}", error.hint)
        if folder.name != name:
            return Missing(f'and no stack is called "{name}"', f'it is Stack.reference("{folder.name}")')
        self.evaluated.append(folder)
        try:
            stack = load_aside(folder)
        except SpecError as error:
            first = error.problems[0]
            return Missing(
                f'and the stack "{name}" cannot be evaluated: {first.message.splitlines()[0]}'
                + (f" ({first.where})" if first.where else ""),
                f"infra-orch validate {name}",
            )
        return Other(stack, read_modules(stack, folder, self.folders)[0])


def _like(unit: str, stack: str, other: Other) -> str:
    names = sorted({found.name for found in other.stack.units})
    if (like := nearest(unit, names)) or not names:
        return like or f"it has no units; Stack.reference({stack!r}) names the stack"
    return f"its units: {', '.join(names[:10])}"
