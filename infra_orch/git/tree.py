"""Commits made from others, without a working tree: what one changed, put on top of another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra_orch.errors import UserError
from infra_orch.git.commit import commit_settings, identity_of
from infra_orch.git.index import Change, Entry, index_info, parse_raw
from infra_orch.git.repository import Repository, git_words

_PATHS_AT_ONCE = 500


@dataclass(frozen=True)
class Made:
    """A commit: its parents, its message, and who wrote it when, as git's environment has that."""

    sha: str
    parents: tuple[str, ...]
    message: str
    author: Mapping[str, str]

    @property
    def written(self) -> str:
        """When it was written first, ISO 8601 with offset."""
        return self.author["GIT_AUTHOR_DATE"]


def read_commit(repository: Repository, commit: str) -> Made:
    """Read a commit. Raises UserError where there is none."""
    form = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%B"
    out = repository.git("show", "--no-patch", f"--format=tformat:{form}", commit)
    sha, parents, name, mail, date, message = out.decode(errors="replace").split("\0", 5)
    author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail, "GIT_AUTHOR_DATE": date}
    return Made(sha, tuple(parents.split()), message.rstrip("\n") + "\n", author)


def changes_between(repository: Repository, older: str, newer: str) -> dict[str, Change]:
    """Return what differs between the trees of two commits, by path. Raises UserError where git cannot tell."""
    return parse_raw(repository.git("diff-tree", "-r", "--raw", "-z", "--no-renames", older, newer, "--"))


def entries_at(repository: Repository, commit: str, paths: Iterable[str]) -> dict[str, Entry]:
    """Return what the tree of *commit* has at *paths*; of a path at which there is nothing, none."""
    found: dict[str, Entry] = {}
    wanted = sorted(set(paths))
    for start in range(0, len(wanted), _PATHS_AT_ONCE):
        some = wanted[start : start + _PATHS_AT_ONCE]
        for line in repository.git("ls-tree", "-z", "--full-tree", commit, "--", *some).split(b"\0"):
            meta, tab, path = line.partition(b"\t")
            if tab:
                mode, _, name = meta.decode().split(" ")
                found[os.fsdecode(path)] = Entry(mode, name)
    return found


def deleted_files(repository: Repository, path: str) -> frozenset[str]:
    """Return the files at or below *path* that any commit in HEAD's history deleted; they may be there again.

    Raises UserError where git cannot tell.
    """
    if repository.head() is None:
        return frozenset()
    out = repository.git("log", "-z", "--diff-filter=D", "--name-only", "--no-renames", "--format=", "HEAD", "--", path)
    return frozenset(os.fsdecode(part) for part in out.split(b"\0") if part)


def commit_on(repository: Repository, base: str, entries: Mapping[str, Entry], like: Made) -> str:
    """Make a commit on top of *base* that has *entries* (absent ones are deleted), with the message and the author of
    *like*; no ref is moved. Returns its id, which is *base* where it would change nothing.

    Raises UserError where git fails or cannot sign.
    """
    with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        repository.git("read-tree", base, env=env)
        repository.git("update-index", "-z", "--index-info", stdin=index_info(entries), env=env)
        tree = repository.git("write-tree", env=env).decode().strip()
    if tree == repository.git("rev-parse", "--verify", f"{base}^{{tree}}").decode().strip():
        return base
    identity, _ = identity_of(repository)
    sign = ("-S",) if commit_settings(repository)["sign"] else ()
    code, out, err = repository.ask(
        "commit-tree", "-p", base, *sign, "-F", "-", tree,
        stdin=like.message.encode(errors="replace"), env={**identity, **like.author},
    )  # fmt: skip
    if code:
        raise UserError(
            f"git could not {'sign' if sign else 'make'} the commit: {git_words(err)}",
            hint="git config --show-origin --get-regexp 'gpg|sign' shows what it signs with" if sign else "",
        )
    return out.decode().strip()
