"""States that did not get to where they belong: that Terraform could not write, or that were cut off as it wrote them.

Terraform writes a state that it cannot put into its backend into `errored.tfstate` beside the configuration. A local
state it writes in its place, after it has emptied the file; what was there before the run is in `<file>.backup` (tried
with 1.11: killed at that moment, it leaves an empty file).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from infra_orch.engine import command
from infra_orch.files import write_atomically
from infra_orch.render.index import RenderedUnit
from infra_orch.run.context import RunContext
from infra_orch.run.terraform import UnitCommand, invoke

_ERRORED = "errored.tfstate"
_PATH = re.compile(r'^\s*path\s*=\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


@dataclass(frozen=True)
class Unsaved:
    """A state of a unit that is not where it belongs, but in *file*. *target* is the local state that was cut off; None
    where Terraform knows the place.
    """

    unit: str
    file: Path
    target: Path | None


def unsaved_states(unit: RenderedUnit, context: RunContext) -> list[Unsaved]:
    """The states of a unit that are not where they belong."""
    folder = context.work / unit.name
    if (folder / _ERRORED).is_file():
        return [Unsaved(unit.name, folder / _ERRORED, None)]
    state = _local_state(unit, context, folder)
    if state is None or not state.is_file() or _is_state(state):
        return []
    backup = state.with_name(f"{state.name}.backup")
    return [Unsaved(unit.name, backup, state)] if _is_state(backup) else []


def save(unsaved: Unsaved, context: RunContext) -> None:
    """Put a state where it belongs. Raises StepError where Terraform refuses: another one has been written since."""
    if unsaved.target:
        write_atomically(unsaved.target, unsaved.file.read_bytes(), mode=0o600)
        return
    folder = unsaved.file.parent
    argv = command.state_push(context.engine, unsaved.file.name, lock_timeout=context.lock_timeout)
    invoke(context, UnitCommand(unsaved.unit, "push", argv, folder, context.environment, changes_world=True)).check()
    unsaved.file.unlink()


def _local_state(unit: RenderedUnit, context: RunContext, folder: Path) -> Path | None:
    """The file of a unit's state; None where it is kept elsewhere."""
    if context.sandbox:
        return context.sandbox.state / f"{unit.name}.tfstate"
    backend = folder / "backend.tf"
    if unit.backend != "local" or not backend.is_file():
        return None
    path = _PATH.search(backend.read_text(encoding="utf-8"))
    return folder / json.loads(f'"{path[1]}"') if path else None


def _is_state(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError, RecursionError):
        return False
