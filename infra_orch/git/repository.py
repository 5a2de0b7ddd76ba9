"""What we ask of git, one function each. Nothing here changes a repository.

Every question goes through `Repository.ask`: an argv list, an environment of our own, paths with NUL between them.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.errors import UsageError, UserError
from infra_orch.process import Conversation, capture, converse

TIMEOUT_SECONDS = 120.0
"""How long one git command may take before it counts as hung."""

_CONFIGURED = (
    "git",
    "-c", f"core.hooksPath={os.devnull}",  # no hook of the user runs: also update-ref and update-index have some
    "-c", "core.fsmonitor=false",  # may be a program of the user's, asked whenever an index is read
    "-c", "core.splitIndex=false",  # a temporary index would leave its shared half in the user's git folder
    "-c", "i18n.commitEncoding=UTF-8",
    "-c", "i18n.logOutputEncoding=UTF-8",
    "-c", "log.showSignature=false",  # would put the words of gpg between the fields of a log
    "-c", "log.follow=false",
    "-c", "trailer.separators=:",
)  # fmt: skip

# Of git's own variables these stay: who the user is, where the configuration and git's programs are, how a partial
# clone reaches its server. All others go. GIT_DIR, GIT_INDEX_FILE, GIT_WORK_TREE and their like are set wherever a hook
# or an alias starts us, and would send our questions to another repository or index; GIT_TRACE writes among git's
# error messages; GIT_AUTHOR_DATE is the date of somebody else's commit.
_KEPT = re.compile(
    r"GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL)|GIT_CONFIG_.+|GIT_EXEC_PATH|GIT_CEILING_DIRECTORIES"
    r"|GIT_DISCOVERY_ACROSS_FILESYSTEM|GIT_ASKPASS|GIT_(SSH|SSL|HTTP|PROXY).*|GIT_ALLOW_PROTOCOL"
)

_REF = re.compile(r"[\w.@{][\w./@{}^~+#=,%-]*")
_PATHS_AT_ONCE = 500  # far below the smallest limit on a command line's length, with paths of 200 characters


@dataclass(frozen=True)
class LogEntry:
    """A commit in the history: full id, "Name <mail>", date as ISO 8601 with offset, first line, trailers."""

    sha: str
    author: str
    date: str
    subject: str
    trailers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Repository:
    """A git repository with a working tree; `root` is its top folder, absolute and free of symbolic links.

    Paths that go in or come out are relative to the root, with "/" between the parts, whatever folder one is in.
    Every method raises UserError where git fails, with git's own words, and UnavailableError where it hangs.
    """

    root: Path

    def ask(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, inherit: Sequence[int] = ()
    ) -> tuple[int, bytes, bytes]:
        """Run git with *arguments* in the root; return its exit code, stdout and stderr. *env* is added to ours.

        *inherit* are file descriptors that stay open in it.
        """
        argv, environment = (*_CONFIGURED, *arguments), {**_environment(), **(env or {})}
        return capture(argv, cwd=self.root, env=environment, stdin=stdin, timeout=TIMEOUT_SECONDS, inherit=inherit)

    def converse(self, *arguments: str) -> AbstractContextManager[Conversation]:
        """Run a git that is asked one thing after another; see `infra_orch.process.converse`."""
        return converse((*_CONFIGURED, *arguments), cwd=self.root, env=_environment(), timeout=TIMEOUT_SECONDS)

    def git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """Run git as `ask` does and return its stdout. Raises UserError where it fails."""
        code, out, err = self.ask(*arguments, stdin=stdin, env=env)
        if code:
            command = next((word for word in arguments if not word.startswith("-")), "")
            raise UserError(f"git {command} failed in {self.root}: {git_words(err) or f'exit code {code}'}")
        return out

    def relative(self, file: Path) -> str:
        """Return *file*, which need not exist, as a path of this repository. Raises UsageError where it lies outside.

        Symbolic links in its folder are followed, one at its end is not: git tracks that one itself.
        """
        absolute = file.parent.resolve() / file.name
        try:
            return absolute.relative_to(self.root).as_posix()
        except ValueError:
            raise UsageError(f'"{file}" is outside the git repository {self.root}') from None

    def prefix(self, folder: Path) -> str:
        """Return what the paths of files in *folder* begin with: empty, or with a slash at its end.

        Raises UsageError where it lies outside.
        """
        place = self.relative(folder)
        return "" if place == "." else f"{place}/"

    def git_path(self, name: str) -> Path:
        """Return where git keeps *name* ("index") for this working tree; each linked working tree has its own."""
        return self.root / _line(self.git("rev-parse", "--git-path", name))

    def head(self) -> str | None:
        """Return the id of the commit that is checked out, or None where there is no commit yet."""
        return self.resolve("HEAD")

    def resolve(self, ref: str) -> str | None:
        """Return the id of the commit that *ref* names, or None where there is none. UsageError: not a ref's name."""
        code, out, _ = self.ask("rev-parse", "--quiet", "--verify", f"{_checked(ref)}^{{commit}}")
        return None if code else _line(out)

    def parents(self, commit: str) -> tuple[str, ...]:
        """Return the parents of *commit*, what was merged into first."""
        return tuple(_line(self.git("log", "-1", "--format=%P", _checked(commit))).split())

    def branch(self) -> str | None:
        """Return the branch that is checked out, also one without a commit; None where HEAD is detached."""
        code, out, _ = self.ask("symbolic-ref", "--quiet", "HEAD")
        return None if code else _line(out).removeprefix("refs/heads/")

    def remote(self) -> str:
        """Return the address that git fetches from; empty where there is none."""
        code, out, _ = self.ask("remote", "get-url", "origin")
        return "" if code else _line(out)

    def identity(self, role: str = "AUTHOR") -> str | None:
        """Return the user as git is configured to know him, "Name <mail>"; None where it is not. Role: or COMMITTER."""
        # Without useConfigOnly git makes up a mail address from the host's name and does not say so.
        code, out, _ = self.ask("-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT")
        return None if code else _line(out).rsplit(" ", 2)[0]

    def user(self) -> str:
        """Return who works here, "Name <mail>": git's configuration, or the login name and the host."""
        return self.identity() or "{} <{}>".format(*fallback_identity())

    def dirty(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Return the files at or below *paths* that differ from HEAD, staged or not, untracked ones included, sorted.

        Files that .gitignore covers are not looked at, and git's filters (line ends, LFS) apply as in `git status`.
        """
        found: set[str] = set()
        wanted = sorted(set(paths))
        for start in range(0, len(wanted), _PATHS_AT_ONCE):
            out = self.git(
                "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--",
                *wanted[start : start + _PATHS_AT_ONCE],
            )  # fmt: skip
            found.update(entry[3:] for entry in _fields(out))
        return tuple(sorted(found))

    def show(self, ref: str, path: str) -> bytes | None:
        """Return the content of the file *path* in *ref*'s tree, or None where there is no such file or commit."""
        code, out, _ = self.ask("rev-parse", "--quiet", "--verify", f"{_checked(ref)}:{path}")
        if code:
            return None
        kind, content = self._objects([_line(out)])[_line(out)]
        return content if kind == "blob" else None

    def list_tree(self, ref: str, folder: str) -> list[tuple[str, str]]:
        """Return (path, blob id) of every regular file below *folder* ("": the root) in *ref*'s tree, sorted by git.

        Symbolic links and submodules are left out. Empty for HEAD where there is no commit yet.
        Raises UserError where *ref* names no commit.
        """
        return [(path, blob) for path, mode, blob in self.list_entries(ref, folder) if mode.startswith("100")]

    def list_entries(
        self, ref: str, folder: str, wanted: Callable[[str], bool] = lambda _: True
    ) -> list[tuple[str, str, str]]:
        """Return (path, mode, object id) of all below *folder* ("": the root) in *ref*'s tree, sorted by git.

        Only of paths that are *wanted*. The mode of a link is 120000, that of a submodule 160000. Otherwise as
        list_tree().
        """
        commit = self.resolve(ref)
        if commit is None:
            if ref == "HEAD":
                return []
            raise UserError(
                f'git knows no commit "{ref}" in {self.root}',
                hint="git fetch brings branches and older commits that are not here yet",
            )
        below = ("--", folder) if folder.strip("/.") else ()
        out = self.git("ls-tree", "-r", "-z", "--full-tree", commit, *below)
        split = (entry.partition("\t") for entry in os.fsdecode(out).split("\0") if entry)
        found = ((path, meta.split(" ")) for meta, _, path in split if wanted(path))
        return [(path, mode, blob) for path, (mode, _, blob) in found]

    def read_blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the content of each blob in *ids*, by id, in one pass. Raises UserError where one is missing."""
        return {blob: content for blob, (_, content) in self._objects(sorted(set(ids))).items()}

    def last_commit_with(self, path: str) -> str | None:
        """Return the newest commit, by date, in whose tree the file or folder *path* exists; None: it never did.

        That is HEAD where it exists there, and else the last commit that changed it before it was deleted.
        """
        if self.head() is None:
            return None
        for limit in (("--max-count=16",), ()):  # the first few nearly always hold it; a long history is slow to walk
            out = self.git("rev-list", "--full-history", *limit, "HEAD", "--", path)
            for commit in ("HEAD", *out.decode().split()):
                if self.ask("rev-parse", "--quiet", "--verify", f"{commit}:{path.rstrip('/')}")[0] == 0:
                    return self.head() if commit == "HEAD" else commit
        return None

    def authors(self, paths: Iterable[str], since: str | None) -> frozenset[str]:
        """Return who, as "Name <mail>", changed something at or below *paths* after the commit *since*, or ever; those
        who are named as co-authors are among them.

        Who only merged is not, unless the merge has what none of those that it merged had.
        """
        where = (f"{_checked(since)}..HEAD" if since else "HEAD", "--", *paths)
        named = "%(trailers:key=Co-authored-by,valueonly,unfold)"
        alone = self.git("log", "--no-merges", f"--format=%an <%ae>%n{named}", *where)
        merges = self.git(
            "log", "--merges", "--cc", "--no-color", "--no-ext-diff", "--no-textconv", "--format=%x00%an <%ae>", *where
        )
        split = (one.partition("\n") for one in merges.decode(errors="replace").split("\0"))
        own = (author for author, _, differing in split if differing.strip())
        return frozenset(filter(None, [*alone.decode(errors="replace").splitlines(), *own]))

    def commits_with(self, text: str, folder: str) -> list[tuple[str, str]]:
        """Return the commits that brought *text* into a file below *folder*, or took it out, and the file's path."""
        if self.head() is None:
            return []
        out = self.git("log", "--full-history", "--format=%x00%H", "--name-only", f"-S{text}", "HEAD", "--", folder)
        split = (one.split("\n") for one in os.fsdecode(out).split("\0") if one)
        return [(commit, path) for commit, *paths in split for path in paths if path]

    def signer(self, commit: str) -> str | None:
        """Return whose signature git verifies on a commit, with the keys that it is told to trust; None: nobody's.

        That is what the key is known by: "Name <mail>", or the principals of a line in the file of allowed signers.
        """
        if self.ask("verify-commit", "--", commit)[0]:
            return None
        return _line(self.git("log", "-1", "--format=%GS", _checked(commit)))

    def is_shallow(self) -> bool:
        """Whether older commits are missing, so that what these brought seems to come with the oldest that is here."""
        return _line(self.git("rev-parse", "--is-shallow-repository")) == "true"

    def log(self, paths: Iterable[str], limit: int) -> list[LogEntry]:
        """Return the newest *limit* commits that changed something at or below *paths*, newest first."""
        if self.head() is None:
            return []
        form = "%H%x00%an <%ae>%x00%aI%x00%s%x00%(trailers:only,unfold)"
        out = self.git("log", "-z", f"--max-count={limit}", f"--format=tformat:{form}", "HEAD", "--", *paths)
        # A message cannot hold a NUL: git refuses to make such a commit.
        values = out.decode(errors="replace").split("\0")
        return [_entry(values[start : start + 5]) for start in range(0, len(values) - 4, 5)]

    def _objects(self, ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        out = self.git("cat-file", "--batch", stdin="".join(f"{name}\n" for name in ids).encode())
        found: dict[str, tuple[str, bytes]] = {}
        place = 0
        for name in ids:
            end = out.index(b"\n", place)
            words = out[place:end].decode().split()
            if len(words) != 3:
                raise UserError(
                    f"git has no object {name} in {self.root}", hint="git fsck tells what is missing or damaged"
                )
            size = int(words[2])
            found[name] = (words[1], out[end + 1 : end + 1 + size])
            place = end + 1 + size + 1
        return found


def find_repository(folder: Path) -> Repository | None:
    """Return the repository that *folder*, which need not exist yet, lies in.

    None where there is none, where git is not installed, and for a bare repository, which has no files to work on.
    Raises UserError where git refuses to open it: owned by somebody else, or its configuration cannot be read.
    """
    if shutil.which("git") is None:
        return None
    start = folder.absolute()
    while not start.is_dir():
        start = start.parent
    code, out, err = Repository(start).ask("rev-parse", "--show-toplevel")
    if code == 0:
        return Repository(Path(_line(out)))
    words = err.decode(errors="replace")
    if "not a git repository" in words or "must be run in a work tree" in words:
        return None
    if "dubious ownership" in words or "unsafe repository" in words:
        owned = re.search(r"'(.*?)'", words)
        raise UserError(
            f"git does not open {owned[1] if owned else start}: it belongs to another user",
            hint=f'git config --global --add safe.directory "{owned[1] if owned else start}"',
        )
    raise UserError(f"git does not open {start}: {git_words(err)}")


def fallback_identity() -> tuple[str, str]:
    """Return the name and mail address for a user whom git does not know: the login name, and it at the host."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user id often has no entry in the password database
        login = "infra-orch"
    login = re.sub(r"[^\w.+-]", "", login) or "infra-orch"
    return login, f"{login}@{socket.gethostname() or 'localhost'}"


def git_words(err: bytes) -> str:
    """Return what git said on stderr in one line, without the credentials that a remote's URL may hold."""
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    return re.sub(r"://[^/\s@]+@", "://", "; ".join(lines[-4:]))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _KEPT.fullmatch(name)}
    return {
        **kept,
        "GIT_TERMINAL_PROMPT": "0",  # a partial clone may ask its server for an object; nobody is there to answer
        "GIT_OPTIONAL_LOCKS": "0",  # a question must never hold the lock of the user's index
        "GIT_LITERAL_PATHSPECS": "1",  # "*" and a leading ":" in a path mean themselves
        "LC_ALL": "C",  # what git says is compared with what we expect
    }


def _checked(ref: str) -> str:
    if not _REF.fullmatch(ref) or ".." in ref:
        raise UsageError(
            f"{ref!r} is not the name of a branch, a tag or a commit", hint="git log --oneline --all lists the commits"
        )
    return ref


def _entry(values: Sequence[str]) -> LogEntry:
    sha, author, date, subject, trailers = values
    found: dict[str, tuple[str, ...]] = {}
    for name, _, value in (line.partition(": ") for line in trailers.splitlines() if ": " in line):
        found[name] = (*found.get(name, ()), value)
    return LogEntry(sha, author, date, subject, found)


def _fields(out: bytes) -> Iterator[str]:
    return (os.fsdecode(part) for part in out.split(b"\0") if part)


def _line(out: bytes) -> str:
    return os.fsdecode(out).removesuffix("\n")
