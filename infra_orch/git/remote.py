"""A remote repository: where its refs are, the commits that they lead to, and pushes that never force a branch.

What is fetched goes into the objects alone: no ref here is moved, so a git that is killed leaves no lock of a ref
behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from infra_orch.errors import UnavailableError, UsageError, UserError
from infra_orch.git.repository import TIMEOUT_SECONDS, Repository, git_words

_MOVED = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "already exists",
    "failed to update ref",
    "cannot lock ref",
    "incorrect old value",
    "needs force",
)
"""What git says, in brackets, of a ref that is not where it was expected to be, or that another push is moving."""


class Answer(Enum):
    """What a remote made of a push: it took it; the ref is not where it was expected; it does not take such a push."""

    TAKEN = "taken"
    MOVED = "moved"
    REFUSED = "refused"


@dataclass(frozen=True)
class Pushed:
    """What came of a push, and in what words of the remote's."""

    answer: Answer
    words: str = ""


@dataclass(frozen=True)
class Remote:
    """One of a repository's remotes, by its *name*: `origin`.

    Every method raises UnavailableError, with git's own words less credentials, where the remote cannot be reached.
    """

    repository: Repository
    name: str

    def refs(self, *names: str) -> dict[str, str]:
        """Return the object that each of the refs *names* (`refs/heads/main`) leads to, of those that are there."""
        code, out, err = self._ask("ls-remote", "--", self.name, *names)
        if code:
            raise self._unreachable(err)
        lines = (line.partition("\t") for line in os.fsdecode(out).splitlines())
        # A name fits every ref that ends in it, so also `refs/remotes/x/refs/heads/main`.
        return {ref: found for found, _, ref in lines if ref in names}

    def bring(self, ref: str, wanted: str) -> bool:
        """Bring what *ref* leads to here, unless the object *wanted* is here. Returns whether it is afterwards.

        It is not where the ref was moved back, or was deleted, meanwhile.
        """
        if self._is_here(wanted):
            return True
        code, _, err = self._ask(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--refmap=", "--",
            self.name, ref,
        )  # fmt: skip
        if code and b"couldn't find remote ref" not in err:
            raise self._unreachable(err)
        return self._is_here(wanted)

    def push(self, ref: str, commit: str) -> Pushed:
        """Move *ref* on to *commit*, which has to have in it what the ref leads to now."""
        return self._push(f"{commit}:{ref}")

    def swap(self, ref: str, found: str | None, wanted: str | None) -> Pushed:
        """Move *ref* from the object that it was *found* to lead to (None: to be absent) to *wanted* (None: delete it),
        at once or not at all.
        """
        return self._push(f"--force-with-lease={ref}:{found or ''}", f"{wanted or ''}:{ref}")

    def _push(self, *arguments: str) -> Pushed:
        options, refspec = arguments[:-1], arguments[-1]
        code, out, err = self._ask(
            "push", "--porcelain", "--no-follow-tags", "--recurse-submodules=no", *options, "--", self.name, refspec
        )
        told = [line.split("\t") for line in os.fsdecode(out).splitlines() if line.startswith("!\t")]
        if code == 0:
            return Pushed(Answer.TAKEN)
        if not told:
            raise self._unreachable(err)
        words = told[0][-1]
        if any(one in words for one in _MOVED):
            return Pushed(Answer.MOVED, words)
        return Pushed(Answer.REFUSED, f"{words}; {git_words(_of_the_remote(err))}".rstrip("; "))

    def _ask(self, *arguments: str) -> tuple[int, bytes, bytes]:
        try:
            return self.repository.ask(*arguments)
        except UnavailableError as error:  # it hangs
            raise self._unreachable(f"no answer within {TIMEOUT_SECONDS:g} s".encode()) from error

    def _is_here(self, commit: str) -> bool:
        # cat-file of a partial clone would ask its server for the object.
        env = {"GIT_NO_LAZY_FETCH": "1"}
        return self.repository.ask("cat-file", "-e", f"{commit}^{{commit}}", env=env)[0] == 0

    def _unreachable(self, err: bytes) -> UnavailableError:
        words = git_words(err) or "git said nothing"
        return UnavailableError(
            f'the remote "{self.name}" cannot be reached: {words}',
            hint=f"git ls-remote {self.name} asks the same",
        )


def find_remote(repository: Repository, name: str) -> Remote:
    """Return a remote by its name. Raises UsageError where the repository has none of that name."""
    known = os.fsdecode(repository.git("remote")).split()
    if name not in known:
        there = f"remotes here: {', '.join(known)}" if known else "git remote add origin URL"
        raise UsageError(f'there is no remote "{name}" in {repository.root}', hint=there)
    return Remote(repository, name)


def branch_ref(repository: Repository, branch: str) -> str:
    """Return the full name of a branch's ref. Raises UsageError where a branch cannot be called so."""
    ref = f"refs/heads/{branch}"
    if branch.startswith("-") or repository.ask("check-ref-format", ref)[0]:
        raise UsageError(f'"{branch}" is not the name of a branch', hint="git branch --all lists the branches")
    return ref


def unsigned(repository: Repository, commits: Iterable[str]) -> tuple[str, str] | None:
    """Return the first of *commits* whose signature git does not verify, and what it says of it; None: it does of all.

    Raises UserError where git cannot look.
    """
    for commit in commits:
        code, _, err = repository.ask("verify-commit", "--", commit)
        if code:
            return commit, git_words(err) or "it is not signed"
    return None


def commits_between(repository: Repository, base: str, tip: str) -> list[str]:
    """Return the commits that *tip* has and *base* has not, oldest first. Raises UserError where git cannot tell."""
    return repository.git("rev-list", "--reverse", "--topo-order", f"{base}..{tip}").decode().split()


def is_ancestor(repository: Repository, older: str, newer: str) -> bool:
    """Whether *newer* has *older* in its history. Raises UserError where git cannot tell."""
    code, _, err = repository.ask("merge-base", "--is-ancestor", older, newer)
    if code > 1:
        raise UserError(f"git merge-base failed in {repository.root}: {git_words(err)}")
    return code == 0


def _of_the_remote(err: bytes) -> bytes:
    """What the remote itself said: a hook tells there why."""
    lines = [line.partition(b":")[2].strip() for line in err.splitlines() if line.startswith(b"remote:")]
    return b"\n".join(line for line in lines if line)
