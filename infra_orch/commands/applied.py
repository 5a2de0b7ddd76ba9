"""What an apply posts: what was applied, on the pull request that the commit came by, and as a status of the commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra_orch.commands.channel import Channel, channel_for
from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.hosts.comments import put_comment
from infra_orch.hosts.host import State
from infra_orch.hosts.reviews import pull_request_of
from infra_orch.project import Project
from infra_orch.report.comment import About, applied_verdict, comment, nodes_of
from infra_orch.report.mark import mark_of

_PATIENCE_BEFORE = 20.0
"""Seconds that a host may keep an apply from beginning."""


@dataclass
class AppliedPost:
    """Posts an apply of a *group* of stacks. The commit is that which was checked out as it began: the records that it
    leaves are in another.
    """

    channel: Channel
    group: str
    commit: str
    _number: int | None = field(default=None, init=False)

    @property
    def _context(self) -> str:
        return "infra-orch/apply" + (f"/{self.group}" if self.group != "default" else "")

    def begin(self) -> None:
        """Say that it is under way."""
        with self.channel.tries():
            host = self.channel.place.host(_PATIENCE_BEFORE)
            self.channel.status(host, self.commit, self._context, "pending", "the apply is under way")

    def broke(self) -> None:
        """Say that it ended as no apply should."""
        with self.channel.tries():
            host = self.channel.place.host(_PATIENCE_BEFORE)
            self.channel.status(host, self.commit, self._context, "error", "the apply did not end as it should")

    def end(self, found: Mapping[str, Mapping[str, Any]], code: int) -> None:
        """Post what was done, given the documents of the runs by the names of the stacks' folders."""
        said = applied_verdict(nodes_of(found))
        with self.channel.tries():
            host = self.channel.place.host()
            with self.channel.tries():
                state: State = "success" if code == ExitCode.DONE else "failure"
                self.channel.status(host, self.commit, self._context, state, said)
            number = self.channel.place.number or pull_request_of(host, self.commit).number
            about = About("", self.commit, self.group, self.channel.url, kind="apply")
            put_comment(host, number, mark_of("apply", self.group), comment(found, about, host.limit))


def applied_post(project: Project, console: Console, group: str, kind: str, number: int | None) -> AppliedPost:
    """Return what posts an apply. Raises UsageError where nothing tells the host, or the repository."""
    channel = channel_for(project, console, "the apply", kind, number, "")
    return AppliedPost(channel, group, channel.head())
