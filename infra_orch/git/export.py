"""The files of a commit, written out so that they can be looked at beside those of the working tree."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from infra_orch.git.repository import Repository

_FILE, _LINK, _SUBMODULE = "100", "120000", "160000"
_AT_ONCE = 1000
"""So many files are in memory at the same time."""


@dataclass
class Aside:
    """Files that are known and not written yet, *contents* by path: few are ever needed, and each takes its time."""

    contents: Mapping[Path, bytes] = field(default_factory=dict)
    _written: bool = False

    def write(self) -> None:
        """Write them, once. Raises OSError where the disk fails."""
        for path, content in {} if self._written else self.contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._written = True


def export(
    repository: Repository,
    commit: str,
    into: Path,
    wanted: Callable[[str], bool],
    later: Callable[[str], bool] = lambda _: False,
) -> Aside:
    """Write the files of *commit* that are *wanted*, by their paths, into the empty folder *into*.

    Those that are also to be written *later*, if at all, are returned. For what cannot be written, a submodule or a
    link that leads out of the repository, a file stands that is never the same twice. Raises UserError where git fails,
    OSError where the disk does.
    """
    listed = repository.list_entries(commit, "", wanted)
    entries = (entry for entry in listed if ".." not in PurePosixPath(entry[0]).parts)
    aside: dict[Path, bytes] = {}
    while some := list(islice(entries, _AT_ONCE)):
        contents = repository.read_blobs({blob for _, mode, blob in some if mode != _SUBMODULE})
        for path, mode, blob in some:
            if mode.startswith(_FILE) and later(path):
                aside[into / path] = contents[blob]
            else:
                _write(into, into / path, mode, contents.get(blob, b""))
    return Aside(aside)


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
