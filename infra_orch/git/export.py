"""Write out the files of a commit, so that they can be looked at beside those of the working tree."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePosixPath

from infra_orch.git.repository import Repository

_LINK, _SUBMODULE = "120000", "160000"
_AT_ONCE = 1000
"""So many files are in memory at the same time."""


def export(repository: Repository, commit: str, into: Path, wanted: Callable[[str], bool]) -> None:
    """Write the files of *commit* that are *wanted*, by their paths, into the empty folder *into*.

    For what cannot be written, a submodule or a link that leads out of the repository, a file stands that is never the
    same twice. Raises UserError where git fails, OSError where the disk does.
    """
    listed = (entry for entry in repository.list_entries(commit, "") if wanted(entry[0]))
    entries = (entry for entry in listed if ".." not in PurePosixPath(entry[0]).parts)
    while some := list(islice(entries, _AT_ONCE)):
        contents = repository.read_blobs({blob for _, mode, blob in some if mode != _SUBMODULE})
        for path, mode, blob in some:
            _write(into, into / path, mode, contents.get(blob, b""))


def _write(into: Path, path: Path, mode: str, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == _LINK:
        target = content.decode("utf-8", "surrogateescape")
        if not target.startswith("/") and (path.parent / target).resolve().is_relative_to(into.resolve()):
            path.symlink_to(target)
            return
    if mode in (_LINK, _SUBMODULE):
        content = secrets.token_bytes(16)
    path.write_bytes(content)
