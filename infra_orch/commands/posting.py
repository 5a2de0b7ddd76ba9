"""What a run posts to the host of its repository. Whatever becomes of that, the run ends as its plans do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from infra_orch.commands.told import Told
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UserError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.hosts.actions import add_to_summary, set_outputs
from infra_orch.hosts.comments import find_comment, put_comment
from infra_orch.hosts.find import Place, find_place
from infra_orch.hosts.host import Check, Comment, Host, PullRequest, State, Status
from infra_orch.project import Project
from infra_orch.redact import Redactor
from infra_orch.report.mark import ROOM, broken, commit_of, mark_of, moved, of_commit, outdated
from infra_orch.report.markdown import code
from infra_orch.report.style import safe

_AT_FIRST = 20.0
"""Seconds that a host may keep a run from beginning. In the end it is given all the patience that there is."""


def poster_for(project: Project, console: Console, group: str, kind: str, number: int | None, url: str) -> Poster:
    """Return what posts the preview of a group of stacks: to *kind* and the pull request *number*, or to where the CI's
    variables say. *url* is the address of more; "": that of the job.

    Raises UsageError where nothing tells the host, or the repository.
    """
    repository = find_repository(project.root)
    place = find_place(kind, number, repository.remote() if repository else "")
    redactor = Redactor(project.settings.redact)
    redactor.add_environment(os.environ)
    return Poster(place, group, url or place.url, console, repository, redactor)


@dataclass
class Poster:
    """Posts a preview: as a context, that it is under way, and that it came to nothing where an error leaves it.

    *commit* is the one that is previewed, *limit* how long its comment may be; both are known within it.
    """

    place: Place
    group: str
    url: str
    console: Console
    repository: Repository | None
    redactor: Redactor
    commit: str = field(default="", init=False)
    _pull: PullRequest | None = field(default=None, init=False)
    _base: str = field(default="", init=False)
    _told: set[str] = field(default_factory=set, init=False)

    @property
    def _context(self) -> str:
        return f"infra-orch/{self.group}"

    @property
    def _mark(self) -> str:
        return mark_of("preview", self.group)

    def __enter__(self) -> Self:
        local = (self.repository.head() if self.repository else None) or ""
        self.commit = self.place.commit or local
        with self._tries():
            host = self.place.host(_AT_FIRST)
            if self.place.number is not None:
                self._pull = host.pull_request(self.place.number)
                self.commit = self.place.commit or self._looked_at(self._pull.head, local)
                self._base = host.branch(self._pull.base)
            self._status(host, "pending", "the preview is under way")
            found = find_comment(host, self._pull.number, self._mark) if self._pull else None
            if self._pull and found and not self._is_newer(found, self._pull):
                why = f"a preview of {code(self.commit[:12])} is under way."
                body = outdated(found.body, why, host.limit)
                host.change_comment(self._pull.number, found.id, body)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        interrupted = isinstance(error, KeyboardInterrupt)
        lines = ["it was interrupted"] if interrupted else ["a defect of infra-orch"]
        if isinstance(error, UserError):
            lines = [f"{problem.where or ''} {problem.message}".strip() for problem in error.problems]
        lines = [self.redactor.text(line) for line in lines]
        with self._tries():
            host = self.place.host(_AT_FIRST)
            self._status(host, "error", lines[0])
            if self._pull:
                put_comment(host, self._pull.number, self._mark, broken(lines, self.commit, self._mark))

    def end(self, told: Told) -> None:
        """Post what a preview came to. What cannot be posted is said, and changes nothing."""
        host: Host | None = None
        with self._tries():
            host = self.place.host()
        if host is not None:
            self._end(host, told)
        with self._tries():
            add_to_summary(told.text(ROOM * 1000, self.commit, self.url))
            flags = {"has_changes": told.changes, "has_destructions": told.destroys}
            outputs = {name: str(flag).lower() for name, flag in flags.items()}
            set_outputs({**outputs, "summary": told.verdict, "exit_code": str(int(told.code))})

    def _end(self, host: Host, told: Told) -> None:
        with self._tries():
            self._comment(host, told)
        with self._tries():
            state: State = "error" if told.code == ExitCode.INTERRUPTED else "failure" if told.failed else "success"
            self._status(host, state, told.verdict)
        with self._tries():
            if told.annotations and self.commit:
                name = f"infra-orch preview: {self.group}"
                host.annotate(self.commit, Check(name, told.failed, told.verdict, told.annotations, self.url))

    def _comment(self, host: Host, told: Told) -> None:
        if self.place.number is None:
            self.console.note("this is not of a pull request, so there is none to comment on")
            return
        now = host.pull_request(self.place.number)
        body = of_commit(told.text(host.limit - ROOM, self.commit, self.url), self.commit) if self.commit else ""
        body = body or told.text(host.limit - ROOM, self.commit, self.url)
        why = self._moved(host, now)
        if why:
            found = find_comment(host, now.number, self._mark)
            if found and self._is_newer(found, now):
                self.console.note("the comment is of a newer commit already, and stays as it is")
                return
            body = outdated(body, why, host.limit)
        put_comment(host, now.number, self._mark, body)

    def _is_newer(self, found: Comment, now: PullRequest) -> bool:
        """Whether a comment is of the pull request as it is, while this preview is not."""
        return commit_of(found.body) == now.head != self.commit

    def _moved(self, host: Host, now: PullRequest) -> str:
        """Why what was previewed is not what there is by now, if it is not."""
        if self.commit and now.head != self.commit:
            return f"this is of {code(self.commit[:12])}, and {moved('the pull request', now.head)}"
        base = host.branch(now.base) if self._base else ""
        return moved(code(now.base), base) if base != self._base else ""

    def _status(self, host: Host, state: State, description: str) -> None:
        if self.commit:
            text = safe(description.removeprefix("infra-orch: "), keep_newlines=False)
            host.set_status(self.commit, Status(self._context, state, text, self.url))

    def _looked_at(self, head: str, local: str) -> str:
        """The commit that is previewed: a merge of a pull request's head is of that head."""
        if self.repository and local != head and self.repository.resolve("HEAD^2") == head:
            return head
        return local

    @contextlib.contextmanager
    def _tries(self) -> Iterator[None]:
        """Within it nothing that goes wrong is more than a warning."""
        try:
            yield
        except UserError as error:
            self._warn(error.summary, error.hint)
        except OSError as error:
            self._warn(f"{error.filename or ''} {error.strerror or error}".strip(), "")
        except Exception as error:  # noqa: BLE001  a defect here is no reason to fail a preview
            self._warn(f"a defect of infra-orch: {type(error).__name__}: {error}", "")

    def _warn(self, what: str, hint: str) -> None:
        text = self.redactor.text(f"the preview could not be posted: {what}{f'; {hint}' if hint else ''}")
        if text not in self._told:
            self._told.add(text)
            self.console.warn(safe(text, keep_newlines=False))
