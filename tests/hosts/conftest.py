"""Hosts on this machine, with a pull request, and clients of theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_github import GitHubServer, github_server
from fake_gitlab import GitLabServer, gitlab_server
from host_clients import Clock, github_of, gitlab_of

from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def there() -> Iterator[GitHubServer]:
    """GitHub, with pull request 7."""
    with github_server() as server:
        server.add_pull()
        yield server


@pytest.fixture
def github(there: GitHubServer, clock: Clock) -> GitHub:
    return github_of(there.url, clock)


@pytest.fixture
def lab() -> Iterator[GitLabServer]:
    """GitLab, with merge request 7."""
    with gitlab_server() as server:
        server.add_merge()
        yield server


@pytest.fixture
def gitlab(lab: GitLabServer, clock: Clock) -> GitLab:
    return gitlab_of(lab.url, clock)
