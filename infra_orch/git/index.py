"""HEAD moved to a commit of ours, with the user's index brought along for its paths alone.

Where HEAD moves and the index does not, git takes the old entries for staged work: the user's next plain `git commit`
would silently undo our commit. So both move together, under the lock that git itself takes (`index.lock`), and the
index goes first: a `git commit` of the user's reads HEAD, then the index, and takes the lock only after that. One that
read the new index with the old HEAD is refused by git, since HEAD has moved by then; the new HEAD with the old index is
what none ever reads. Entries in which the user staged something of his own stay.

Where somebody else holds the lock for too long (an editor open in `git commit -a`, a git that was killed), HEAD moves
alone and a file in git's folder, `infra-orch-<commit>.pending`, says which entries are owed; whoever next holds the
lock pays them. The file is written first, so that a run killed at any moment owes and does not forget. It has each
path's entry before the commit and in it, since of a run that was killed either may be what the index has: both are
known not to be the user's.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from infra_orch.errors import UserError
from infra_orch.files import write_atomically
from infra_orch.git.repository import Repository, git_words

LOCK_PATIENCE_SECONDS = 10.0
"""How long to wait for the lock of the user's index before HEAD moves without it."""

_POLL_SECONDS = 0.02
_LINGER_SECONDS = 0.03
"""How long the lock is kept once HEAD has moved. A `git commit` that read the index before that and locks it after that
writes what it read over ours, and only then is refused for the HEAD that it read (builtin/commit.c, prepare_index);
tried again, it would take our commit back. It has a moment between the two in which it finds the index locked instead.
"""
_ABANDONED_SECONDS = 3600.0
_MARK = b"held by infra-orch; whoever can flock this file may take it over\n"
_ABSENT_MODE = "000000"


class Entry(NamedTuple):
    """What a tree or an index says of a path: mode in six octal digits, object id; all zeros where it is absent."""

    mode: str
    id: str


class Change(NamedTuple):
    """How a path differs between two trees, or a tree and an index. `status` is git's letter: A, D, M, T or U."""

    before: Entry
    after: Entry
    status: str


@dataclass(frozen=True)
class Move:
    """From which commit (None: no commit yet) HEAD goes to which, how each path changes, and the reflog's line."""

    old: str | None
    new: str
    changes: Mapping[str, Change]
    reason: str


def parse_raw(out: bytes) -> dict[str, Change]:
    """Return what `git diff-tree` or `git diff-index` with --raw -z says, by path (gitdiff-core's raw format)."""
    parts = out.split(b"\0")
    changes: dict[str, Change] = {}
    for meta, path in zip(parts[0::2], parts[1::2], strict=False):
        mode_before, mode_after, before, after, status = meta.decode().removeprefix(":").split(" ")
        name = os.fsdecode(path)
        if name not in changes or status == "U":  # an unmerged path may have a second line for its working file
            changes[name] = Change(Entry(mode_before, before), Entry(mode_after, after), status)
    return changes


def index_info(entries: Mapping[str, Entry]) -> bytes:
    """Return *entries* in the form of `git update-index -z --index-info`; absent ones take their path out."""
    return b"".join(
        f"{'0' if entry.mode == _ABSENT_MODE else entry.mode} {entry.id}\t".encode() + os.fsencode(path) + b"\0"
        for path, entry in entries.items()
    )


def move_head(repository: Repository, move: Move, deadline: float) -> tuple[str, ...] | None:
    """Move HEAD, and the branch it stands for, as *move* says, and bring the user's index along.

    Waits for the index's lock until *deadline* (seconds, monotonic clock). Returns notes for the user, or None where
    HEAD is not at the old commit any more: then nothing was changed. Raises UserError where git fails, OSError where
    git's folder cannot be written: nothing was changed either.
    """
    index = _index(repository)
    owed = index.parent / f"infra-orch-{move.new}.pending"
    before = {path: change.before for path, change in move.changes.items()}
    after = {path: change.after for path, change in move.changes.items()}
    write_atomically(owed, index_info(before) + index_info(after))
    moved = False
    try:
        with _locked(index, deadline) as held:
            # After `git clone --no-checkout` there is no index: git makes it, and whole.
            whole = held and move.old is not None and not index.exists()
            ready = _prepared(repository, index, move.new) if held and not whole else contextlib.nullcontext()
            with ready as prepared, _head_locked(repository, move) as go:
                if go is None:
                    return None
                if prepared is None:
                    go()
                else:
                    _publish(prepared, index, go)
                moved = True
            if whole:
                owed.unlink()
            if not held:
                return (_locked_note(index),)
            return _staged_notes(prepared.left, move) if prepared else ()
    finally:
        if not moved and repository.head() != move.new:
            owed.unlink(missing_ok=True)


def mend_index(repository: Repository) -> tuple[str, ...]:
    """Pay what earlier commits of ours owe the user's index, where its lock is free now. Returns notes for the user."""
    index = _index(repository)
    if not _owed(index):
        return ()
    with contextlib.suppress(PermissionError), _locked(index, 0) as held:
        head = repository.head()
        if held and head is not None:
            with _prepared(repository, index, head) as prepared, contextlib.suppress(OSError):
                _publish(prepared, index, lambda: None)
            if prepared.file:
                return ("git's index was brought up to date with an earlier commit of infra-orch",)
    return ()


@dataclass(frozen=True)
class _Prepared:
    """A new index (None: nothing to change), the paths that were left as staged, and the debts paid by it."""

    file: Path | None
    left: tuple[str, ...]
    paid: tuple[Path, ...]


@contextlib.contextmanager
def _prepared(repository: Repository, index: Path, commit: str) -> Iterator[_Prepared]:
    """Yield a new index, in which what is owed has *commit*'s entries; entries that the user staged himself stay.

    Only the lock's holder may call this.
    """
    for left in index.parent.glob("infra-orch-*.work"):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    debts = {file: list(_read_owed(file)) for file in _owed(index)}
    paid = tuple(file for file in debts if _is_settled(repository, file, commit))
    with tempfile.TemporaryDirectory(dir=index.parent, prefix="infra-orch-", suffix=".work") as folder:
        fresh = Path(folder) / "index"
        if index.exists():
            # With its time: git takes entries as new as the index for changed, and looks at the files themselves.
            shutil.copy2(index, fresh)
        env = {"GIT_INDEX_FILE": str(fresh)}
        compare = ("diff-index", "--cached", "--raw", "-z", "--no-renames", "--ita-invisible-in-index", commit, "--")
        differs = parse_raw(repository.git(*compare, env=env))
        was: dict[str, set[Entry]] = {}
        for path, entry in itertools.chain.from_iterable(debts.values()):
            was.setdefault(path, set()).add(entry)
        ours = {path: change for path, change in differs.items() if path in was}
        due = {path: c.before for path, c in ours.items() if c.status != "U" and c.after in was[path]}
        if due:
            repository.git("update-index", "-z", "--index-info", stdin=index_info(due), env=env)
        yield _Prepared(fresh if due else None, tuple(sorted(ours.keys() - due.keys())), paid)


def _is_settled(repository: Repository, debt: Path, commit: str) -> bool:
    """Whether an index made for *commit* settles *debt*: it holds the debt's commit, or that one never came to be."""
    debtor = debt.name.removeprefix("infra-orch-").removesuffix(".pending")
    if debtor == commit or repository.ask("merge-base", "--is-ancestor", debtor, commit)[0] == 0:
        return True
    # A young one may belong to a process that is about to move HEAD without the lock.
    with contextlib.suppress(FileNotFoundError):
        return time.time() - debt.stat().st_mtime > _ABANDONED_SECONDS
    return True


def _publish(prepared: _Prepared, index: Path, move: Callable[[], None]) -> None:
    """Put the new index in place, *move* HEAD, and forget the debts.

    Where that raises something, the index is the one that it was.
    """
    with contextlib.ExitStack() as undo:
        if prepared.file:
            undo.callback(_put_in_place(prepared.file, index))
        move()
        undo.pop_all()
    time.sleep(_LINGER_SECONDS)
    for file in prepared.paid:
        with contextlib.suppress(OSError):  # the next run does it
            file.unlink(missing_ok=True)


def _put_in_place(fresh: Path, index: Path) -> Callable[[], object]:
    """Replace *index* by *fresh*; return what brings back the one that was there, or none."""
    before = fresh.with_name("before")
    existed = index.exists()
    if existed:
        shutil.copy2(index, before)
    fresh.replace(index)
    return lambda: before.replace(index) if existed else index.unlink(missing_ok=True)


@contextlib.contextmanager
def _head_locked(repository: Repository, move: Move) -> Iterator[Callable[[], None] | None]:
    """Lock HEAD, and the branch it stands for, and yield what moves it; None where it is not at the old commit.

    Until that is called nothing has changed, and nobody else can move HEAD. Both raise UserError where git fails.
    """
    with repository.converse("update-ref", "--stdin", "-m", move.reason) as git:

        def commit() -> None:
            if git.ask("commit\n") != "commit: ok":
                raise UserError(f"git update-ref failed in {repository.root}: {git_words(git.end())}")

        git.ask("start\n")
        if git.ask(f"update HEAD {move.new} {move.old or '0' * len(move.new)}\nprepare\n") == "prepare: ok":
            yield commit
            return
        err = git.end()
    # "File exists": another git holds the lock of the ref, for a moment.
    if b"File exists" not in err and repository.head() == move.old:
        raise UserError(f"git update-ref failed in {repository.root}: {git_words(err)}")
    yield None


def _staged_notes(left: tuple[str, ...], move: Move) -> tuple[str, ...]:
    staged = [path for path in left if path in move.changes]
    if not staged:
        return ()
    shown = ", ".join(staged[:3]) + (", …" if len(staged) > 3 else "")
    return (f"what you had staged yourself was left as it is: {shown} (git diff --cached shows it)",)


def _locked_note(index: Path) -> str:
    return (
        f"another program holds {index}.lock, so git status shows the recorded files as staged changes: do not commit"
        " them; the next run of infra-orch mends it, git reset --quiet -- PATHS does so by hand."
        " If no git is running, remove that file"
    )


def _index(repository: Repository) -> Path:
    return repository.git_path("index").resolve()


def _owed(index: Path) -> list[Path]:
    return sorted(index.parent.glob("infra-orch-*.pending"))


def _read_owed(file: Path) -> Iterator[tuple[str, Entry]]:
    with contextlib.suppress(FileNotFoundError):
        for line in file.read_bytes().split(b"\0"):
            meta, tab, path = line.partition(b"\t")
            if tab:
                mode, name = meta.decode().split(" ")
                yield os.fsdecode(path), Entry(_ABSENT_MODE if mode == "0" else mode, name)


@contextlib.contextmanager
def _locked(index: Path, deadline: float) -> Iterator[bool]:
    """Hold git's lock of *index*; yield whether it was had before *deadline*. It is tried once in any case.

    A lock that a killed run of ours left is taken over: its file has our mark, and no process holds its flock.
    """
    lock = index.with_name(index.name + ".lock")
    while (handle := _try_lock(lock)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            lock.unlink(missing_ok=True)
            os.close(handle)


def _try_lock(lock: Path) -> int | None:
    with contextlib.suppress(FileExistsError):
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # no flock here, or no room: it is held all the same
            # The mark comes after the flock: whoever sees the mark and gets the flock knows that the owner is dead.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(handle, _MARK)
        return handle
    with contextlib.suppress(OSError):
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            if os.read(handle, len(_MARK) + 1) == _MARK:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(handle).st_ino == lock.stat().st_ino:
                    return handle
        os.close(handle)
    return None
