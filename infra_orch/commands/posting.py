"""What a run posts to the host of its repository. Whatever becomes of that, the run ends as its plans do."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from infra_orch.commands.channel import Channel, channel_for
from infra_orch.commands.told import Told
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UserError
from infra_orch.hosts.actions import SUMMARY_BYTES, add_to_summary, set_outputs
from infra_orch.hosts.comments import find_comment, put_comment
from infra_orch.hosts.host import Check, Comment, Host, PullRequest, State
from infra_orch.project import Project
from infra_orch.report.mark import ROOM, broken, commit_of, mark_of, moved, of_commit, outdated
from infra_orch.report.markdown import code

_AT_FIRST = 20.0
"""Seconds that a host may keep a run from beginning. In the end it is given all the patience that there is."""


def poster_for(project: Project, console: Console, group: str, kind: str, number: int | None, url: str) -> Poster:
    """Return what posts the preview of a group of stacks: to *kind* and the pull request *number*, or to where the CI's
    variables say. *url* is the address of more; "": that of the job.

    Raises UsageError where nothing tells the host, or the repository.
    """
    return Poster(channel_for(project, console, "the preview", kind, number, url), group)


@dataclass
class Poster:
    """Posts a preview: as a context, that it is under way, and that it came to nothing where an error leaves it.

    *commit* is the one that is previewed, as far as that is known.
    """

    channel: Channel
    group: str
    commit: str = field(default="", init=False)
    _pull: PullRequest | None = field(default=None, init=False)
    _base: str = field(default="", init=False)

    @property
    def _mark(self) -> str:
        return mark_of("preview", self.group)

    def __enter__(self) -> Self:
        local = self.channel.head()
        place = self.channel.place
        self.commit = place.commit or local
        # What does not answer the first question is not asked more: nobody waits for it before anything is planned.
        with self.channel.tries():
            host = place.host(_AT_FIRST)
            if place.number is not None:
                self._pull = host.pull_request(place.number)
                self.commit = place.commit or self._looked_at(self._pull.head, local)
            with self.channel.tries():
                self._status(host, "pending", "the preview is under way")
            if self._pull:
                self._base = host.branch(self._pull.base)
                self._under_way(host, self._pull)
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
        lines = [self.channel.redactor.text(line) for line in lines]
        with self.channel.tries():
            host = self.channel.place.host(_AT_FIRST)
            self._status(host, "error", lines[0])
            if self._pull:
                put_comment(host, self._pull.number, self._mark, broken(lines, self.commit, self._mark))

    def _under_way(self, host: Host, pull: PullRequest) -> None:
        found = find_comment(host, pull.number, self._mark)
        if found and not self._is_newer(found, pull):
            why = f"a preview of {code(self.commit[:12])} is under way."
            host.change_comment(pull.number, found.id, outdated(found.body, why, host.limit))

    def end(self, told: Told) -> None:
        """Post what a preview came to. What cannot be posted is said, and changes nothing."""
        host: Host | None = None
        with self.channel.tries():
            host = self.channel.place.host()
        if host is not None:
            self._end(host, told)
        with self.channel.tries():
            add_to_summary(told.text(SUMMARY_BYTES // 4, self.commit, self.channel.url))
            flags = {"has_changes": told.changes, "has_destructions": told.destroys}
            outputs = {name: str(flag).lower() for name, flag in flags.items()}
            set_outputs({**outputs, "summary": told.verdict, "exit_code": str(int(told.code))})

    def _end(self, host: Host, told: Told) -> None:
        with self.channel.tries():
            self._comment(host, told)
        with self.channel.tries():
            state: State = "error" if told.code == ExitCode.INTERRUPTED else "failure" if told.failed else "success"
            self._status(host, state, told.verdict)
        with self.channel.tries():
            if told.annotations and self.commit:
                name = f"infra-orch preview: {self.group}"
                host.annotate(self.commit, Check(name, told.failed, told.verdict, told.annotations, self.channel.url))

    def _comment(self, host: Host, told: Told) -> None:
        if self.channel.place.number is None:
            self.channel.console.note("this is not of a pull request, so there is none to comment on")
            return
        now = host.pull_request(self.channel.place.number)
        body = of_commit(told.text(host.limit - ROOM, self.commit, self.channel.url), self.commit)
        why = self._moved(host, now)
        if why:
            found = find_comment(host, now.number, self._mark)
            if found and self._is_newer(found, now):
                self.channel.console.note("the comment is of a newer commit already, and stays as it is")
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
        self.channel.status(host, self.commit, f"infra-orch/{self.group}", state, description)

    def _looked_at(self, head: str, local: str) -> str:
        """The commit that is previewed: a merge of a pull request's head is of that head."""
        repository = self.channel.repository
        return head if repository and local != head and repository.resolve("HEAD^2") == head else local
