"""A commit that holds exactly the paths it was given, made while the user works in the same repository.

Git's plumbing makes it: the new tree grows in an index of its own (gitcore: GIT_INDEX_FILE), no hook and no filter
runs, and HEAD moves only from the commit that the tree was made for. Where somebody else committed meanwhile, it is
all made anew on top of that. Whatever the number of paths, it takes about twenty short processes.
"""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infra_orch.errors import UserError
from infra_orch.git import index
from infra_orch.git.index import Change, Entry, Move, index_info, mend_index, move_head, parse_raw
from infra_orch.git.repository import Repository, fallback_identity, git_words

_TRIES = 30  # with the pauses between them about 10 seconds
_FILE, _PROGRAM, _SUBMODULE, _ABSENT = "100644", "100755", "160000", "000000"
_SHOWN_PATHS = 8
_REFRESHED_PATHS = 500  # git add compares each path with each entry of the index


@dataclass(frozen=True)
class Commit:
    """What came of a commit.

    `sha` is the new commit's full id; None where the paths were committed already, as they are. `branch` is the branch
    that is checked out; None where HEAD is detached. `notes` are sentences that the user should read.
    """

    sha: str | None
    branch: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """What is to be committed: paths to blob ids (None: delete), the message, and how git is set up."""

    blobs: Mapping[str, str | None]
    message: str
    identity: Mapping[str, str]
    sign: bool
    trust_modes: bool


def commit_paths(repository: Repository, paths: Mapping[str, bytes | None], message: str) -> Commit:
    """Commit the new contents of *paths* (None: the path is deleted) on what is checked out, and nothing else.

    *paths* are relative to the repository's root; the caller has written or deleted the files themselves already, and
    the bytes are committed as they are, unfiltered. *message* is the whole message, trailers included. The user's own
    staged and unstaged work, his hooks, and a merge or rebase in progress are left as they are; his index learns of the
    new contents (see infra_orch.git.index).

    Raises UserError, which names what was not committed and the command that does it by hand, where git fails, hangs
    or cannot sign, where a path leads outside or through a symbolic link or a submodule, or where others keep moving
    HEAD. Nothing is committed then.
    """
    try:
        _check(repository, paths, message)
        blobs = _write_blobs(repository, paths)
        identity, notes = identity_of(repository)
        made = _commit(repository, _Wanted(blobs, message, identity, **commit_settings(repository)))
    except (UserError, OSError) as error:
        count = "1 file was" if len(paths) == 1 else f"{len(paths)} files were"
        by_hand = f"to commit by hand: {_by_hand(repository, paths, message)}"
        hint = f"{error.hint}; {by_hand}" if isinstance(error, UserError) and error.hint else by_hand
        raise UserError(f"{count} written but not committed: {error}", hint=hint) from error
    return Commit(made.sha, made.branch, (*notes, *made.notes)) if made.sha else made


def _commit(repository: Repository, wanted: _Wanted) -> Commit:
    deadline = time.monotonic() + index.LOCK_PATIENCE_SECONDS
    for number in range(1, _TRIES + 1):
        move = _draft(repository, wanted)
        if move is None:
            return Commit(None, repository.branch(), mend_index(repository))
        notes = move_head(repository, move, deadline)
        if notes is not None:
            return Commit(move.new, repository.branch(), (*notes, *_finish(repository, move)))
        time.sleep(min(0.02 * number, 0.5))
    raise UserError(f"somebody else moved HEAD at each of {_TRIES} tries")


def _draft(repository: Repository, wanted: _Wanted) -> Move | None:
    """Make the commit, on top of what is HEAD now, without moving HEAD. None where its tree would be HEAD's."""
    old = repository.head()
    base = old or repository.git("hash-object", "-t", "tree", "--stdin").decode().strip()
    entries = _entries(repository, wanted, base)
    with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        repository.git("read-tree", base, env=env)
        code, _, err = repository.ask("update-index", "-z", "--index-info", stdin=index_info(entries), env=env)
        if code or b"Ignoring path" in err:  # git drops a name that it takes for dangerous, and calls that success
            raise UserError(f"git update-index failed in {repository.root}: {git_words(err)}")
        tree = repository.git("write-tree", env=env).decode().strip()
    changes = parse_raw(repository.git("diff-tree", "-r", "--raw", "-z", "--no-renames", base, tree))
    if not changes:
        return None
    _refuse_others(changes, wanted.blobs)
    arguments = ("commit-tree", *(("-p", old) if old else ()), *(("-S",) if wanted.sign else ()), "-F", "-", tree)
    code, out, err = repository.ask(*arguments, stdin=wanted.message.encode(errors="replace"), env=wanted.identity)
    if code:
        raise UserError(
            f"git could not {'sign' if wanted.sign else 'make'} the commit: {git_words(err)}",
            hint="git config --show-origin --get-regexp 'gpg|sign' shows what it signs with" if wanted.sign else "",
        )
    return Move(old, out.decode().strip(), changes, f"infra-orch: {wanted.message.partition(chr(10))[0]}")


def _write_blobs(repository: Repository, paths: Mapping[str, bytes | None]) -> dict[str, str | None]:
    """Write the contents as blobs by one `git fast-import` (see its get-mark command); return each path's blob id."""
    contents = {path: content for path, content in paths.items() if content is not None}
    stream = [
        b"blob\nmark :%d\ndata %d\n%b\nget-mark :%d\n" % (mark, len(content), content, mark)
        for mark, content in enumerate(contents.values(), start=1)
    ]
    if not stream:
        return dict.fromkeys(paths)
    code, out, err = repository.ask("fast-import", "--quiet", "--done", stdin=b"".join([*stream, b"done\n"]))
    if code:
        words, _, report = err.partition(b"fast-import: dumping crash report to ")
        if report:  # a file in git's folder, which nobody ever cleans up
            (repository.root / os.fsdecode(report.strip())).unlink(missing_ok=True)
        raise UserError(f"git fast-import failed in {repository.root}: {git_words(words)}")
    return {**dict.fromkeys(paths), **dict(zip(contents, out.decode().split(), strict=True))}


def _entries(repository: Repository, wanted: _Wanted, base: str) -> dict[str, Entry]:
    """Return the tree entry of each path: executable where the file is, and where that cannot be told, as in *base*."""
    on_disk = {path: _mode_on_disk(repository.root / path) if wanted.trust_modes else None for path in wanted.blobs}
    in_base: set[str] = set()
    if None in on_disk.values():
        listing = repository.git("ls-tree", "-r", "-z", "--full-tree", base).split(b"\0")
        in_base = {os.fsdecode(line.partition(b"\t")[2]) for line in listing if line.startswith(_PROGRAM.encode())}
    entries = {}
    for path, blob in wanted.blobs.items():
        mode = on_disk[path] or (_PROGRAM if path in in_base else _FILE)
        entries[path] = Entry(mode, blob) if blob else Entry(_ABSENT, "0" * len(base))
    return entries


def _mode_on_disk(file: Path) -> str | None:
    try:
        mode = file.lstat().st_mode
    except OSError:
        return None
    return _PROGRAM if stat.S_ISREG(mode) and mode & stat.S_IXUSR else _FILE


def _check(repository: Repository, paths: Iterable[str], message: str) -> None:
    if "\0" in message:
        raise UserError("a commit message cannot hold a NUL byte")
    folders: set[PurePosixPath] = set()
    for path in paths:
        parts = path.split("/")
        if "\0" in path or any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts):
            raise UserError(f"{path!r} is not a path inside the repository")
        folders.update(PurePosixPath(path).parents)
    for folder in sorted(folders):
        if (repository.root / folder).is_symlink() and folder.parts:
            raise UserError(
                f'"{folder}" is a symbolic link, and git does not look behind one',
                hint=f'put a folder of its own in the place of "{folder}"',
            )


def _refuse_others(changes: Mapping[str, Change], paths: Mapping[str, str | None]) -> None:
    """Refuse a tree in which a given path stands where HEAD has something else: git drops that without a word."""
    for path, change in changes.items():
        if path not in paths or change.before.mode == _SUBMODULE:
            kind = {_SUBMODULE: "a submodule", "120000": "a symbolic link"}.get(change.before.mode, "a file")
            raise UserError(
                f'the commit would take away "{path}", which is {kind} in the last commit',
                hint=f"commit that yourself first if it is meant: git rm --cached -- {shlex.quote(path)} && git commit",
            )


def commit_settings(repository: Repository) -> dict[str, bool]:
    """Return whether commits are to be signed, and whether the executable bit of files on disk means something."""
    wanted = r"^(commit\.gpgsign|core\.filemode)$"
    code, out, err = repository.ask("config", "-z", "--type=bool", "--get-regexp", wanted)
    if code > 1:  # 1: neither is set
        raise UserError(f"git does not understand its configuration: {git_words(err)}")
    found = dict(line.split("\n", 1) for line in out.decode().split("\0") if line)
    return {"sign": found.get("commit.gpgsign") == "true", "trust_modes": found.get("core.filemode", "true") == "true"}


def identity_of(repository: Repository) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the environment that tells git who commits, empty where git knows that itself, and notes."""
    unknown = [role for role in ("AUTHOR", "COMMITTER") if repository.identity(role) is None]
    if not unknown:
        return {}, ()
    name, mail = fallback_identity()
    note = f'git does not know who you are, so the commit is by "{name} <{mail}>"; to set it:'
    note += ' git config --global user.name "Your Name" && git config --global user.email you@example.com'
    return {f"GIT_{role}_{part}": text for role in unknown for part, text in (("NAME", name), ("EMAIL", mail))}, (note,)


def _finish(repository: Repository, move: Move) -> tuple[str, ...]:
    """Do what is left when HEAD has moved; return what the user should know. Nothing here can undo the commit."""
    try:
        filtered = _filtered(repository, move.changes)
        fresh = [os.fsencode(path) for path in move.changes if path not in filtered]
        if 0 < len(fresh) <= _REFRESHED_PATHS:
            # The index's new entries lack the times and sizes of the files: `git diff-files` would take them for
            # changed. Where this is left out or fails (the index is locked), the user's git status does it.
            names = b"\0".join(fresh)
            repository.ask("add", "--refresh", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=names)
        return (*_place_notes(repository, move.new), *_filter_notes(filtered))
    except UserError as error:
        return (str(error),)


def _place_notes(repository: Repository, sha: str) -> tuple[str, ...]:
    if repository.branch() is not None:
        return ()
    folder = repository.git_path("rebase-merge").parent
    if (folder / "rebase-merge").exists() or (folder / "rebase-apply").exists():
        return (f"a rebase is in progress and the commit is part of it: git rebase --abort would drop {sha[:12]}",)
    return (f"HEAD is detached, so the commit is on no branch: git branch NAME {sha[:12]} keeps it",)


def _filtered(repository: Repository, paths: Iterable[str]) -> dict[str, str]:
    """Return the paths for which a filter (git-lfs) would commit other bytes than are there, and the attribute."""
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    _, out, _ = repository.ask("check-attr", "-z", "--stdin", "filter", "working-tree-encoding", stdin=names)
    fields = [os.fsdecode(part) for part in out.split(b"\0")]
    values = zip(fields[0::3], fields[1::3], fields[2::3], strict=False)
    return {path: f"{name}={value}" for path, name, value in values if value not in {"unspecified", "unset"}}


def _filter_notes(filtered: Mapping[str, str]) -> tuple[str, ...]:
    if not filtered:
        return ()
    path, attribute = min(filtered.items())
    note = (
        f'git attributes set {attribute} for "{path}": it was committed as it is, and git status may call it changed;'
    )
    return (f"{note} -{attribute.partition('=')[0]} for these files in .gitattributes ends that",)


def _by_hand(repository: Repository, paths: Iterable[str], message: str) -> str:
    shown = sorted(paths)
    if len(shown) > _SHOWN_PATHS:
        shown = sorted({str(PurePosixPath(path).parent) for path in shown})
    if len(shown) > _SHOWN_PATHS:
        shown = [os.path.commonpath(shown)]
    names = shlex.join(path or "." for path in shown)
    git = f"git -C {shlex.quote(str(repository.root))}"
    return f"{git} add --all --force -- {names} && {git} commit -m {shlex.quote(message.strip())} -- {names}"
