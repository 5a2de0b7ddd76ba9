"""A unit's state as its backend keeps it, read without Terraform where that is known to come to the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_orch.engine.backend import Backend, read_backend, read_stored
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, write_backend
from infra_orch.run.state import is_plain, read_state

_BY_VARIABLE = {
    "AWS_ACCESS_KEY_ID": "access_key",
    "AWS_SECRET_ACCESS_KEY": "secret_key",
    "AWS_SESSION_TOKEN": "token",
}


def stored_state(work: UnitWork, context: RunContext, *, former: bool) -> dict[str, Any] | None:
    """The state in the unit's own place, or under its former name; empty where there is none.

    None where only Terraform can tell: of other backends than a file and S3, of workspaces, and of states that are
    encrypted, broken, or of another format. Raises what write_backend() raises, CredentialsError where the unit's
    credentials cannot be had.
    """
    folder = write_backend(work, context, former=former)
    if context.sandbox:
        name = work.unit.formerly if former and work.unit.formerly else work.unit.name
        backend = Backend("local", {"path": str(context.sandbox.state / f"{name}.tfstate")})
    else:
        written = (folder / "backend.tf").read_text(encoding="utf-8")
        backend = read_backend(written, context.stack.folder.project.cache / "modules")
    text = read_stored(backend, folder, context.environment, _keys(work, context) if backend.type == "s3" else {})
    if text is None:
        return None
    try:
        state = read_state(text)
    except ValueError:
        return None
    return state if is_plain(state) else None


def _keys(work: UnitWork, context: RunContext) -> Mapping[str, str]:
    """The unit's own credentials, as arguments of the backend."""
    own = context.wallet.for_unit(work.unit.name, {}, changes=False)
    return {argument: own[name] for name, argument in _BY_VARIABLE.items() if name in own}
