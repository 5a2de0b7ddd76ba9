"""The checkout of a reconciler: moved to the newest commit of its branch, with its own records on top."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from infra_orch.console import Console
from infra_orch.errors import LockedError, RefusedError, UnavailableError, UsageError, UserError
from infra_orch.files import write_atomically
from infra_orch.git.checkout import Checkout
from infra_orch.git.remote import Answer, Remote, branch_ref, commits_between, find_remote, is_ancestor, unsigned
from infra_orch.git.repository import Repository, find_repository
from infra_orch.git.tree import changes_between, read_commit
from infra_orch.project import Project
from infra_orch.record.carry import carry, foreign, holds_records_alone, is_ours, is_rendered

_TRIES = 8
_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE = 5.0
_SHOWN = 5
SCHEMA = 1


@dataclass(frozen=True)
class Memory:
    """What a reconciler knows of its checkout from one round to the next: the *checkout*'s token; *moving*: from which
    commit to which it is being moved; *tip*: where the branch was when a round ended last, and whether all was *done*.
    """

    checkout: str
    moving: tuple[str, str] | None = None
    tip: str | None = None
    done: bool = False


@dataclass(frozen=True)
class Branch:
    """The branch that is followed, and the checkout that is moved along with it.

    *project* is the project's folder in the repository, "" or with "/" at its end.
    """

    checkout: Checkout
    remote: Remote
    name: str
    ref: str
    project: str
    notes: Path

    @property
    def repository(self) -> Repository:
        """The repository of the checkout."""
        return self.checkout.repository

    def memory(self) -> Memory:
        """What is known from earlier rounds."""
        return read_memory(self.notes)

    def remember(self, memory: Memory) -> None:
        """Keep *memory* for later rounds. Raises OSError where it cannot be written."""
        write_memory(self.notes, memory)


def read_memory(notes: Path) -> Memory:
    """Read what is kept in the file *notes*, or begin anew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(notes.read_text(encoding="utf-8"))
        if document["schema"] == SCHEMA:
            moving = document["moving"] and (str(document["moving"][0]), str(document["moving"][1]))
            return Memory(str(document["checkout"]), moving, document["tip"], bool(document["done"]))
    return Memory(secrets.token_hex(16))


def write_memory(notes: Path, memory: Memory) -> None:
    """Keep *memory* in the file *notes*. Raises OSError where it cannot be written."""
    text = json.dumps({"schema": SCHEMA, **asdict(memory)})
    write_atomically(notes, text + "\n", mode=0o600)


def notes_of(project: Project) -> Path:
    """Where a reconciler keeps what it knows of its checkout."""
    return project.scratch / "reconcile.json"


@contextlib.contextmanager
def followed(project: Project, remote: str, branch: str, console: Console) -> Iterator[Branch]:
    """Hold the checkout of *project*, whole and on *branch*, for as long as it is worked in.

    Raises LockedError where another reconciler holds it, UsageError where it is no checkout of the branch or there is
    no such remote, RefusedError where files in it are not what is committed.
    """
    repository = find_repository(project.root)
    if repository is None:
        raise UsageError(f"{project.root} is no git repository", hint="git clone the project, and run it there")
    there = find_remote(repository, remote)
    prefix = repository.prefix(project.root)
    with _held(project) as lock:
        followed_branch = Branch(
            Checkout(repository, lock), there, branch, branch_ref(repository, branch), prefix, notes_of(project)
        )
        _refuse_other_branch(repository, branch)
        _finish_move(followed_branch, console)
        yield followed_branch


@contextlib.contextmanager
def _held(project: Project) -> Iterator[int]:
    path = project.scratch / "reconcile.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockedError(
                f"another reconciler is at work in {project.root}, or what one that died has started there",
                hint="give each a clone of its own; what a dead one has started ends by itself",
            ) from error
        yield handle
    finally:
        os.close(handle)


def _refuse_other_branch(repository: Repository, branch: str) -> None:
    here = repository.branch()
    if here not in (None, branch):
        raise UsageError(
            f'"{here}" is checked out, and "{branch}" is to be followed',
            hint=f"git switch {branch}, or --branch {here}",
        )
    if repository.head() is None:
        raise UsageError("nothing is checked out here", hint=f"git pull REMOTE {branch}")


def _finish_move(branch: Branch, console: Console) -> None:
    """Make a move again that was killed half-way: what it had not come to is no work of anybody's."""
    memory = branch.memory()
    if memory.moving is None:
        branch.remember(memory)  # from now on the checkout has its token
        return
    if lock := branch.checkout.unlock_index():
        console.note(f"removed {lock}, which a git that died here has left")
    older, newer = memory.moving
    expected = changes_between(branch.repository, older, newer)
    odd = [path for path in _differing(branch) if path not in expected]
    if odd:
        raise _not_committed(odd)
    branch.checkout.move(newer)
    branch.remember(replace(memory, moving=None))
    console.note(f"a predecessor died as it moved the checkout to {newer[:10]}; it is there now")


def refuse_differing(branch: Branch) -> None:
    """Refuse a checkout in which files are not what is committed: a run makes rendered ones anew, and no others.

    Raises RefusedError.
    """
    if odd := [path for path in branch.repository.dirty(["."]) if not is_rendered(path, branch.project)]:
        raise _not_committed(odd)


def _differing(branch: Branch) -> list[str]:
    return [path for path in branch.repository.dirty(["."]) if not is_ours(path, branch.project)]


def _not_committed(paths: list[str]) -> RefusedError:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return RefusedError(
        f"files in this checkout are not what is committed: {', '.join(paths[:_SHOWN])}{more}",
        hint="only what is on the branch is applied: commit and push them, or give it a clone of its own",
    )


def fetch(branch: Branch) -> str:
    """Bring the newest commit of the branch here, and return its id.

    Raises UsageError where the remote has no such branch, UnavailableError where it cannot be reached.
    """
    for _ in range(_TRIES):
        tip = branch.remote.refs(branch.ref).get(branch.ref)
        if tip is None:
            raise UsageError(
                f'{branch.remote.name} has no branch "{branch.name}"',
                hint=f"git ls-remote --heads {branch.remote.name}",
            )
        if branch.remote.bring(branch.ref, tip):
            return tip
    raise UnavailableError(f'"{branch.name}" moves faster than it can be fetched', hint="run the same command again")


def move_on(branch: Branch, tip: str) -> None:
    """Move the checkout to the commit *tip* of the branch, with records on top of it that were not pushed yet.

    Raises RefusedError where the checkout has commits of somebody's that the branch has not: they were never pushed, or
    the branch was rewritten.
    """
    repository, head = branch.repository, branch.repository.head()
    assert head
    if head == tip or is_ancestor(repository, tip, head):
        return
    if is_ancestor(repository, head, tip):
        _move(branch, head, tip)
        return
    _refuse_foreign(branch, tip, head)
    _move(branch, head, carry(repository, commits_between(repository, tip, head), tip, branch.project))


def _refuse_foreign(branch: Branch, tip: str, head: str) -> None:
    if odd := foreign(branch.repository, tip, head, branch.project):
        raise RefusedError(
            f"this checkout has commits that are not on {branch.remote.name} {branch.name} and are no records of runs: "
            f"{', '.join(one[:10] for one in odd[:_SHOWN])}",
            hint="push them; or, where the branch was rewritten and that is right: "
            f"git fetch {branch.remote.name} && git reset --hard {branch.remote.name}/{branch.name}",
        )


def _move(branch: Branch, older: str, newer: str) -> None:
    memory = branch.memory()
    branch.remember(replace(memory, moving=(older, newer)))
    branch.checkout.move(newer)
    branch.remember(replace(memory, moving=None))


def unpushed(branch: Branch, tip: str) -> list[str]:
    """Return the commits here that the *tip* of the branch has not, oldest first. Raises RefusedError as move_on()."""
    head = branch.repository.head()
    assert head
    _refuse_foreign(branch, tip, head)
    return commits_between(branch.repository, tip, head)


def push(branch: Branch, tip: str, pause: Callable[[float], bool]) -> str:
    """Push the records that are here and not on the branch, of which *tip* is known; where that has moved on, put them
    on top of it and try again. *pause* waits for seconds, and says whether to stop. Returns the commit that the branch
    is at then.

    Raises UserError where the remote does not take them: they stay here, and the next round pushes them first.
    """
    for number in range(_TRIES):
        commits = unpushed(branch, tip)
        if not commits:
            return tip
        head = commits[-1]
        pushed = branch.remote.push(branch.ref, head)
        if pushed.answer is Answer.TAKEN:
            return head
        if pushed.answer is Answer.REFUSED:
            raise UserError(
                f"{branch.remote.name} does not take the records on {branch.name}: {pushed.words}",
                hint=f"let this user push to {branch.name}; they stay here, and the next round pushes them first",
            )
        if pause(min(_LONGEST_PAUSE, _PAUSE_SECONDS * 2**number) * (0.5 + secrets.randbelow(1000) / 1000)):
            break
        tip = fetch(branch)
        move_on(branch, tip)
    raise UserError(
        f"the records could not be pushed to {branch.name}, which others keep moving",
        hint="they stay here, and the next round pushes them first",
    )


def refuse_unsigned(branch: Branch, tip: str) -> None:
    """Refuse a *tip* that nobody known has signed: the newest commit that is no record, and each record on top of it.

    Raises RefusedError that names the commit.
    """
    line, commit = [tip], tip
    while holds_records_alone(branch.repository, commit, branch.project):
        commit = read_commit(branch.repository, commit).parents[0]
        line.append(commit)
    if found := unsigned(branch.repository, line):
        commit, words = found
        raise RefusedError(
            f"{commit[:10]} on {branch.name} is not signed by anybody whom git knows here: {words}",
            hint=f"git verify-commit {commit[:10]} asks the same; a signed commit on top vouches for all before it",
        )
