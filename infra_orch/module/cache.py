"""What was read from a file, kept by the file's content, so that it is parsed once.

A cache entry is `<folder>/<sha256>.json`. The hash is over everything that the answer depends on: the content, how it
is read, this module's SCHEMA and the version of python-hcl2. So no entry is ever out of date, and processes that write
the same one write the same bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from infra_orch.files import private_folder, write_atomically

SCHEMA = 3
"""To be raised with every change of what is kept, or of how files are read."""


def recall(folder: Path | None, kind: str, content: bytes) -> Any:
    """Return what was kept for *content*, as JSON has it, or None; a damaged entry counts as none."""
    if folder is None:
        return None
    try:
        entry = json.loads((folder / _name(kind, content)).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return entry.get("value") if isinstance(entry, dict) and entry.get("schema") == SCHEMA else None


def keep(folder: Path | None, kind: str, content: bytes, value: Any) -> None:
    """Keep *value*, which JSON can hold, for *content*. A cache that cannot be written is done without."""
    if folder is not None:
        with contextlib.suppress(OSError):
            private_folder(folder)
            entry = json.dumps({"schema": SCHEMA, "value": value}, separators=(",", ":"))
            write_atomically(folder / _name(kind, content), entry, mode=0o600, durable=False)


def _name(kind: str, content: bytes) -> str:
    digest = hashlib.sha256(f"{SCHEMA}\0{_parser_version()}\0{kind}\0".encode())
    digest.update(content)
    return f"{digest.hexdigest()}.json"


@functools.cache
def _parser_version() -> str:
    return importlib.metadata.version("python-hcl2")
