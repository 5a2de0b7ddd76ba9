"""A unit's state as its backend keeps it, read without Terraform where that is known to come to the same."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from infra_orch.engine.backend import Backend, read_backend, read_stored
from infra_orch.errors import UserError
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, write_backend
from infra_orch.run.state import StateVersion, is_plain, read_state


def stored_state(work: UnitWork, context: RunContext, *, former: bool) -> dict[str, Any] | None:
    """The state in the unit's own place, or under its former name; empty where there is none.

    None where only Terraform can tell: of other backends than a file and S3, of workspaces, and of states that are
    encrypted, broken, or of another format. Raises what write_backend() raises, CredentialsError where the unit's
    credentials cannot be had.
    """
    unit, project = work.unit, context.stack.folder.project
    context.wallet.learn(unit)
    if project.settings.allow.is_set:
        write_backend(work, context, former=former)  # what is allowed is looked for in files
    if context.sandbox:
        name = unit.formerly if former and unit.formerly else unit.name
        backend = Backend("local", {"path": str(context.sandbox.state / f"{name}.tfstate")})
    else:
        written = unit.former_backend if former and unit.former_backend else work.files["backend.tf"]
        backend = read_backend(written, project.cache / "modules")
    folder = Path(_real(context.work), unit.name)
    text = read_stored(backend, folder, lambda: context.wallet.keys_to_read(work.unit.name))
    if text is None:
        return None
    try:
        state = read_state(text)
    except ValueError:
        return None
    return state if is_plain(state) else None


@functools.cache
def _real(folder: Path) -> str:
    """*folder* without symbolic links, looked at once for all units in it."""
    return os.path.realpath(folder)


def stored_version(work: UnitWork, context: RunContext) -> StateVersion | None:
    """The version of the state in the unit's own place; None where only Terraform can tell."""
    try:
        state = stored_state(work, context, former=False)
    except (UserError, OSError):
        return None
    return None if state is None else StateVersion.of(state)
