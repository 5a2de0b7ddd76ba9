"""The backend of a root module: where Terraform keeps the state, and what is there, read without Terraform.

Terraform takes a tenth of a second of processor time for that, a run over many units many times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.engine.aws_credentials import Keys
from infra_orch.engine.s3_backend import arguments_by, read_object
from infra_orch.module.blocks import Value, native_blocks
from infra_orch.module.cache import keep, recall
from infra_orch.module.masking import BadSyntaxError


@dataclass(frozen=True)
class Backend:
    """A `backend` block: its *type* ("" where there is none), and its *arguments*, which are literals."""

    type: str
    arguments: Mapping[str, Any]


def read_backend(text: str, cache: Path | None) -> Backend:
    """Return the backend in *text*, the content of a `.tf` file.

    What was read is kept in the folder *cache* (None: nowhere). A file that is no HCL has none: Terraform says so.
    """
    content = text.encode()
    kept = recall(cache, "backend", content)
    if isinstance(kept, list):
        return Backend(*kept)
    try:
        bodies = [block.body for block in native_blocks(text) if block.type == "terraform"]
    except BadSyntaxError:
        return Backend("", {})
    found = (pair for body in bodies for backend in _items(body.get("backend")) for pair in backend.items())
    backend = next((Backend(kind, _literals(own)) for kind, own in found if isinstance(own, dict)), Backend("", {}))
    keep(cache, "backend", content, [backend.type, backend.arguments])
    return backend


def read_stored(backend: Backend, folder: Path, keys: Callable[[], Keys | None]) -> bytes | None:
    """Return what *backend* keeps as the state, empty where there is none; None where only Terraform can tell.

    *folder*, free of symbolic links, is the one that Terraform would run in; it need not be there. *keys* returns the
    AWS credentials that it would be given in the place of the environment's. Raises what *keys* raises.
    """
    if backend.type == "local" and set(backend.arguments) == {"path"}:
        try:
            return Path(os.path.normpath(folder / str(backend.arguments["path"]))).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError:
            return None
    return read_object(arguments_by(keys(), backend.arguments)) if backend.type == "s3" else None


def _items(value: Value) -> list[dict[str, Value]]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _literals(value: Mapping[str, Value]) -> dict[str, Any]:
    """The arguments that JSON can hold. A backend has no others: Terraform takes no expressions there."""
    return {
        key: _literals(item) if isinstance(item, dict) else item
        for key, item in value.items()
        if item is None or isinstance(item, (str, int, float, bool, list, dict))
    }
