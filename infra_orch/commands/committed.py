"""Whether what lies in folders is what is committed, byte for byte.

`git status` does not tell: it passes over what .gitignore covers and what is marked as assumed unchanged, and compares
after the filters that a clone may have set up.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.errors import UsageError
from infra_orch.git.repository import Repository


@dataclass(frozen=True)
class Differs:
    """One file that is not as the commit has it: its path in the repository, and in words what it is instead."""

    path: str
    how: str


@dataclass
class _Found:
    """What lies on disk: regular files, and what links say, by their paths in the repository."""

    files: dict[str, Path] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    odd: list[Differs] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


def differences(
    repository: Repository, commit: str, folders: Iterable[Path], *, besides: Collection[str] = ()
) -> list[Differs]:
    """Return what below *folders* differs from *commit*: changed, missing and additional files, by path.

    A file may stand for a folder, and is compared alone. Links count as what they say, and what they lead to is
    compared too. Files and folders called as one of *besides* are left out of account.
    """
    found = _Found()
    for folder in folders:
        _walk(folder, repository, frozenset(besides), found)
    tracked = dict(repository.list_tree(commit, ""))
    blobs = repository.read_blobs({tracked[path] for path in found.files if path in tracked})
    differing = [*found.odd, *_missing(tracked, found, frozenset(besides))]
    for path, file in found.files.items():
        if path not in tracked:
            differing.append(Differs(path, "is not committed"))
        elif file.read_bytes() != blobs[tracked[path]]:
            differing.append(Differs(path, "is not what is committed"))
    for path, text in found.links.items():
        if path in tracked or repository.show(commit, path) != os.fsencode(text):
            differing.append(Differs(path, "is a link that is not committed"))
    return sorted(set(differing), key=lambda one: one.path)


def _walk(start: Path, repository: Repository, besides: frozenset[str], found: _Found) -> None:
    waiting = [start]
    while waiting:
        top = waiting.pop()
        try:
            shown = repository.relative(top)
        except UsageError:
            found.odd.append(Differs(str(top), "lies outside the repository"))
            continue
        if top.is_file():
            found.files[shown] = top
            continue
        if shown in found.folders:
            continue
        found.folders.append(shown)
        for path in _entries(top, besides):
            relative = repository.relative(path)
            if path.is_symlink():
                found.links[relative] = os.readlink(path)  # noqa: PTH115 - a Path would tidy its text up
                waiting += _behind(path, repository, found)
            elif path.is_file():
                found.files[relative] = path
            else:
                found.odd.append(Differs(relative, "is no regular file"))


def _entries(top: Path, besides: frozenset[str]) -> Iterator[Path]:
    """What is below *top* and no folder, links to folders included."""
    for at, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in besides)
        links = [name for name in folders if (Path(at) / name).is_symlink()]
        yield from (Path(at) / name for name in sorted({*names, *links}) if name not in besides)


def _behind(link: Path, repository: Repository, found: _Found) -> list[Path]:
    """The folder that *link* leads to, if it is one; a file is noted as found."""
    target = link.resolve()
    if target.is_dir():
        return [target]
    try:
        found.files[repository.relative(target)] = target
    except UsageError:
        found.odd.append(Differs(repository.relative(link), "leads out of the repository"))
    return []


def _missing(tracked: Iterable[str], found: _Found, besides: frozenset[str]) -> Iterator[Differs]:
    for path in tracked:
        if path in found.files or path in found.links:
            continue
        below = [path[len(top) :].lstrip("/") for top in found.folders if top == "." or path.startswith(f"{top}/")]
        if below and not any(besides.intersection(rest.split("/")) for rest in below):
            yield Differs(path, "is missing")
