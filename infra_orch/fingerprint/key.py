"""The key that secrets are digested with: made once, readable by its owner alone, and never in git."""

from __future__ import annotations

import contextlib
import os
import secrets

from infra_orch.files import private_folder
from infra_orch.project import Project

_NAME = "fingerprint.key"
_BYTES = 32


def key_of(project: Project) -> bytes:
    """Return the key of a project on this machine, made where there is none. Raises OSError where it cannot be."""
    path = private_folder(project.scratch) / _NAME
    partial = path.with_name(f".{_NAME}.{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):
        if len(known := path.read_bytes()) == _BYTES:
            return known
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)  # unlike a rename: whoever was first has made it
    finally:
        partial.unlink(missing_ok=True)
    return path.read_bytes()
