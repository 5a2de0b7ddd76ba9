"""`infra-orch validate STACK`: find everything that is wrong with a stack, without running anything."""

from __future__ import annotations

from collections.abc import Sized

from infra_orch.commands.opening import render_spec
from infra_orch.console import Console
from infra_orch.project import Project


def validate(project: Project, stack: str, console: Console) -> int:
    """Evaluate, check and render a stack in memory. Returns 0; raises SpecError with everything that is wrong."""
    declared, _ = render_spec(project, stack)
    console.result(f"{declared.name} is valid: {_so_many(declared.units, 'unit')}, {_so_many(declared.tasks, 'task')}")
    return 0


def _so_many(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
