"""The files that a local module consists of, those of the local modules that it calls included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra_orch.module.configuration import SUFFIXES
from infra_orch.module.facts import file_facts
from infra_orch.module.masking import BadSyntaxError

LOCK_FILE = ".terraform.lock.hcl"
"""Terraform's dependency lock file."""

NOT_PART = frozenset({".terraform", ".git", ".infra-orch", "__pycache__", ".DS_Store", LOCK_FILE})
"""What lies in a module's folder by accident. All else counts, also what is no Terraform: templates, archives."""


def module_folders(folders: Iterable[Path], cache: Path | None) -> list[Path]:
    """Return *folders* and those of the local modules that they call, and so on; resolved, each once.

    *cache* is the folder of what was parsed before (None: nowhere). A file that cannot be parsed calls nothing:
    Terraform says so itself. Raises OSError where a file cannot be read.
    """
    waiting, found = [folder.resolve() for folder in folders], dict[Path, None]()
    while waiting:
        folder = waiting.pop(0)
        if folder in found:
            continue
        found[folder] = None
        for path in sorted(folder.iterdir()):
            if path.name.endswith(SUFFIXES) and path.is_file():
                waiting += _called(path, cache)
    return list(found)


def module_files(folders: Iterable[Path], cache: Path | None) -> Iterator[Path]:
    """Yield every file below *folders*, and below those of the local modules that any of them calls.

    Raises OSError where a file cannot be read.
    """
    waiting, seen = list(folders), set[Path]()
    while waiting:
        folder = waiting.pop()
        if folder.resolve() in seen:
            continue
        for path in _files(folder, seen):
            yield path
            if path.name.endswith(SUFFIXES):
                waiting += _called(path, cache)


def _files(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """The files below *folder*, through links to folders too; each folder once, which *seen* remembers."""
    for at, folders, names in os.walk(folder, followlinks=True):
        here = Path(at)
        if here.resolve() in seen:
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = sorted(name for name in folders if name not in NOT_PART)
        yield from (here / name for name in sorted(names) if name not in NOT_PART and (here / name).is_file())


def _called(path: Path, cache: Path | None) -> list[Path]:
    """The folders of local modules that a file calls."""
    try:
        calls = file_facts(path.name, path.read_bytes(), cache).calls
    except (BadSyntaxError, UnicodeDecodeError):
        return []
    sources = [call.arguments.get("source") for call in calls]
    # Terraform follows a link to a module's folder before it looks for those nested in it.
    here = path.parent.resolve()
    local = [here / source for source in sources if isinstance(source, str) and source.startswith(("./", "../"))]
    return [folder.resolve() for folder in local if folder.is_dir()]
