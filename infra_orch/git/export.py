"""Write out the files of a commit, so that they can be looked at beside those of the working tree."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path, PurePosixPath

from infra_orch.git.repository import Repository

_AT_ONCE = 1000
"""So many files are in memory at the same time."""


def export(repository: Repository, commit: str, folder: str, into: Path, wanted: Callable[[str], bool]) -> None:
    """Write the files that *commit* has below *folder* ("": the root) into the empty folder *into*.

    Those that are *wanted*, by their paths below *folder*: regular files alone, no links and no submodules. Raises
    UserError where git fails, OSError where the disk does.
    """
    prefix = f"{folder}/" if folder else ""
    listed = ((path.removeprefix(prefix), blob) for path, blob in repository.list_tree(commit, folder))
    files = ((path, blob) for path, blob in listed if wanted(path) and ".." not in PurePosixPath(path).parts)
    while some := list(islice(files, _AT_ONCE)):
        contents = repository.read_blobs({blob for _, blob in some})
        for path, blob in some:
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[blob])
