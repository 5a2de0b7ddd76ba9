"""Whether a stack's states are its own, as far as the other rendered stacks of the project tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from infra_orch.errors import Problem, UserError
from infra_orch.project import Project
from infra_orch.render.index import RenderedStack, read_index
from infra_orch.spec.check import CheckedStack
from infra_orch.spec.elsewhere import Elsewhere


class Neighbours:
    """The stacks of a project as they lie rendered, read when they are asked for first; one that cannot be read is
    passed over. *specs* are the same as they are declared.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.specs = Elsewhere(project)

    def problems(self, checked: CheckedStack, backends: Mapping[str, str]) -> Iterator[Problem]:
        """Yield what *checked* shares with another stack of the project: its name, or a unit's state.

        *backends* are the texts of backend.tf by unit.
        """
        stack, own = checked.stack, checked.folder.path
        namesakes = [path for path in self._by_name.get(stack.name, ()) if path != own]
        for path in namesakes:
            hint = "a stack's name tells its states from others'; every stack of a project has one of its own"
            message = f'the name "{stack.name}" is that of the stack in {self._project.shown(path)}, too'
            yield Problem(message, stack.where, hint)
        for unit, text in backends.items():
            for path, other in self._by_backend.get(_block(text), ()):
                if path != own and path not in namesakes:
                    message = f'unit "{unit}" would share its state with "{other}" in {self._project.shown(path)}'
                    yield Problem(message, stack.backend.where, "put {stack} into the backend's key, prefix or path")

    @cached_property
    def _stacks(self) -> list[RenderedStack]:
        found = []
        for folder in self._project.stack_folders():
            if folder.index.is_file():
                with contextlib.suppress(UserError):
                    found.append(read_index(folder))
        return found

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for stack in self._stacks:
            found.setdefault(stack.name, []).append(stack.folder.path)
        return found

    @cached_property
    def _by_backend(self) -> Mapping[str, list[tuple[Path, str]]]:
        """Stack folders and units by what their backend.tf says."""
        found: dict[str, list[tuple[Path, str]]] = {}
        for stack in self._stacks:
            for unit in stack.units:
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    text = (stack.folder.rendered / unit / "backend.tf").read_text(encoding="utf-8")
                    found.setdefault(_block(text), []).append((stack.folder.path, unit))
        return found


def _block(text: str) -> str:
    """What a backend.tf says, without its comments."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))
