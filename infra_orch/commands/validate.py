"""`infra-orch validate STACK…`: find everything that is wrong with stacks, without running anything."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from infra_orch.commands.specs import specs_of
from infra_orch.commands.stacks import for_each_stack
from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.project import Project


def validate(project: Project, stacks: Sequence[str], console: Console) -> int:
    """Evaluate, check and render stacks in memory, and say all that is wrong with each. Returns the exit code."""
    with specs_of(project, stacks) as specs:

        def check(stack: str) -> int:
            declared = specs.stack(stack)
            units, tasks = _so_many(declared.units, "unit"), _so_many(declared.tasks, "task")
            console.result(f"{declared.name} is valid: {units}, {tasks}")
            return ExitCode.DONE

        return for_each_stack(stacks, console, check)


def _so_many(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
