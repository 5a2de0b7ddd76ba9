"""Whether a stack's states are its own, as far as the other rendered stacks of the project tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from infra_orch.errors import Problem, UserError
from infra_orch.project import StackFolder
from infra_orch.render.index import RenderedStack, read_index
from infra_orch.spec.check import CheckedStack


def shared_state_problems(checked: CheckedStack, backends: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what *checked* shares with another stack of the project: its name, or a unit's state.

    *backends* are the texts of backend.tf by unit. A neighbour that cannot be read is passed over.
    """
    stack, project = checked.stack, checked.folder.project
    mine = {_block(text): unit for unit, text in backends.items()}
    for folder in project.stack_folders():
        if folder.path == checked.folder.path or not folder.index.is_file():
            continue
        with contextlib.suppress(UserError):
            other = read_index(folder)
            shown = project.shown(folder.path)
            if other.name == stack.name:
                hint = "a stack's name tells its states from others'; every stack of a project has one of its own"
                yield Problem(f'the name "{stack.name}" is that of the stack in {shown}, too', stack.where, hint)
                continue
            for unit, block in _backend_blocks(other, folder, stack.backend.type):
                if block in mine:
                    message = f'unit "{mine[block]}" would share its state with "{unit}" in {shown}'
                    yield Problem(message, stack.backend.where, "put {stack} into the backend's key, prefix or path")


def _backend_blocks(stack: RenderedStack, folder: StackFolder, backend: str) -> Iterator[tuple[str, str]]:
    for name, unit in stack.units.items():
        if unit.backend == backend:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                yield name, _block((folder.rendered / name / "backend.tf").read_text(encoding="utf-8"))


def _block(text: str) -> str:
    """What a backend.tf says, without its comments."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))
