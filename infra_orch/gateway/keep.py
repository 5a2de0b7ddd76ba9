"""Which types and functions of a provider a unit can name: those whose names stand anywhere in what Terraform reads.

Whatever looks like an identifier in the configuration, in the modules that it calls, in its plan or its local state
counts. That is more than is used, never less, but for a state that lies elsewhere and holds a type that the
configuration has lost: Terraform fails on that type then, and the command runs again with the whole schema.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from infra_orch.module.configuration import SUFFIXES, installed_folders

_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_-]*")
_TYPE = re.compile(rb'"type":\s*"([A-Za-z0-9_-]+)"')


def names_of(cwd: Path, plan: str | None) -> frozenset[bytes]:
    """Every name that an initialised folder can ask a provider about; *plan* is the plan file that is shown or applied.

    Raises OSError or ValueError where something cannot be read: then nothing may be left out.
    """
    try:
        return _names_of(cwd, plan)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("what init wrote down is not what it should be") from error


def _names_of(cwd: Path, plan: str | None) -> frozenset[bytes]:
    found: set[bytes] = set()
    for folder in installed_folders(cwd):
        for path in folder.iterdir():
            if path.name.endswith(SUFFIXES) and path.is_file():
                found |= _identifiers(path, *_version(path))
    for document in (_local_state(cwd), cwd / f"{plan}.json" if plan else None):
        if document is not None and document.is_file():
            found |= frozenset(_TYPE.findall(document.read_bytes()))
    return frozenset(found)


def _local_state(cwd: Path) -> Path | None:
    """The file that the unit's state is, where its backend is the local one."""
    backend = cwd / ".terraform" / "terraform.tfstate"
    if not backend.is_file():
        return cwd / "terraform.tfstate"
    settled: Any = json.loads(backend.read_bytes())
    about = settled.get("backend") or {}
    path = (about.get("config") or {}).get("path") if about.get("type") == "local" else None
    return cwd / path if isinstance(path, str) else None


def _version(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_mtime_ns, known.st_size


@functools.lru_cache(maxsize=4096)
def _identifiers(path: Path, _modified: int, _size: int) -> frozenset[bytes]:
    return frozenset(_IDENTIFIER.findall(path.read_bytes()))
