"""Clients of hosts on this machine, whose waits are only written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import fake_github
import fake_gitlab

from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab
from infra_orch.hosts.http import Http

NOW = 1_795_867_200.0


@dataclass
class Clock:
    """Time that goes on only where somebody waits."""

    seconds: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds

    def now(self) -> float:
        return NOW + self.seconds - 1000.0

    def clock(self) -> float:
        return self.seconds


def github_of(url: str, clock: Clock, token: str = fake_github.TOKEN, **more: Any) -> GitHub:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    http = Http("GitHub", url, token, headers=headers, pause=clock.pause, clock=clock.clock, now=clock.now, **more)
    return GitHub(http, "acme/infra", f"{url}/graphql", in_actions=True)


def gitlab_of(url: str, clock: Clock, token: str = fake_gitlab.TOKEN) -> GitLab:
    http = Http(
        "GitLab", url, token, header="PRIVATE-TOKEN", scheme="", pause=clock.pause, clock=clock.clock, now=clock.now
    )
    return GitLab(http, "acme/infra", 12)
