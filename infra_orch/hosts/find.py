"""Which host, which repository and which pull request a run belongs to: from the variables of a CI, or from flags."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.errors import UnavailableError, UsageError
from infra_orch.hosts.github import GitHub
from infra_orch.hosts.gitlab import GitLab
from infra_orch.hosts.host import Host
from infra_orch.hosts.http import Http

HOSTS = ("github", "gitlab")
_GITHUB_VERSION = "2022-11-28"
_LONGEST_EVENT = 32 * 1024 * 1024
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_REMOTE = re.compile(r"(?:https?://|ssh://)?(?:[^/@\s]*@)?([\w.-]+)(?::\d+)?[:/]+([\w./-]+?)(?:\.git)?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GITHUB_HINT = "GITHUB_TOKEN; in a job of Actions: env: GITHUB_TOKEN: ${{ github.token }}"
_GITLAB_HINT = "GITLAB_TOKEN: a project access token with the scope api and the role Developer"


@dataclass(frozen=True)
class Place:
    """A repository at a host, and what of it a run is about.

    *number* is the pull request, *commit* the one that the CI says is looked at: the pull request's head, where CI has
    checked out a merge of it. None: nobody says. *url* is the address of the job. *in_ci*: it is one of this host's CI.
    """

    kind: str
    api: str
    graphql: str
    repository: str
    number: int | None
    commit: str | None
    pipeline: int | None
    url: str
    in_ci: bool
    token: str = field(repr=False)

    def host(self, patience: float = 120.0) -> Host:
        """Return the repository, of which anything can be asked. Raises UnavailableError where there is no token."""
        if self.kind == "github":
            if not self.token:
                raise UnavailableError("there is no token for GitHub", hint=_GITHUB_HINT)
            headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _GITHUB_VERSION}
            http = Http("GitHub", self.api, self.token, headers=headers, patience=patience)
            return GitHub(http, self.repository, self.graphql, self.in_ci)
        if not self.token:
            raise UnavailableError("there is no token for GitLab; CI_JOB_TOKEN may write no notes", hint=_GITLAB_HINT)
        http = Http("GitLab", self.api, self.token, header="PRIVATE-TOKEN", scheme="", patience=patience)
        return GitLab(http, self.repository, self.pipeline)


def find_place(
    kind: str = "", number: int | None = None, remote: str = "", environment: Mapping[str, str] = os.environ
) -> Place:
    """Return where a run belongs. *kind* and *number* are those of flags, and win; *remote* is the address that git
    fetches from, which tells the repository where no variable does.

    Raises UsageError where nothing tells the host, or the repository.
    """
    if kind and kind not in HOSTS:
        raise UsageError(f'--host "{kind}" is none', hint=f"one of {', '.join(HOSTS)}")
    inside = {"github": environment.get("GITHUB_ACTIONS") == "true", "gitlab": environment.get("GITLAB_CI") == "true"}
    kind = kind or next((name for name, here in inside.items() if here), "")
    if not kind:
        raise UsageError(
            "nothing tells which host to post to: this is no job of GitHub Actions or GitLab CI",
            hint="--host github --pull-request N; what is of no pull request, as drift, takes --host alone",
        )
    found = _github if kind == "github" else _gitlab
    return found(number, remote, environment, inside[kind])


def _github(number: int | None, remote: str, environment: Mapping[str, str], inside: bool) -> Place:  # noqa: FBT001
    api = environment.get("GITHUB_API_URL") or "https://api.github.com"
    server, path = _remote(remote)
    repository = environment.get("GITHUB_REPOSITORY") or (path if server == "github.com" else "")
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(
            f'"{repository}" is no repository at GitHub' if repository else "nothing tells the repository at GitHub",
            hint="GITHUB_REPOSITORY=owner/name; GITHUB_API_URL=https://HOST/api/v3 for a server of your own",
        )
    event = _event(environment) if inside else {}
    here, commit = _of_event(event, environment) if inside else (None, None)
    # A server of one's own has it at /api/graphql, beside /api/v3.
    graphql = environment.get("GITHUB_GRAPHQL_URL") or f"{api.rstrip('/').removesuffix('/v3')}/graphql"
    return Place(
        kind="github",
        api=api,
        graphql=graphql,
        repository=repository,
        number=number or here,
        commit=commit if number in (None, here) else None,
        pipeline=None,
        url=_job(environment) if inside else "",
        in_ci=inside,
        token=(environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN") or "").strip(),
    )


def _event(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """What began the job, as GitHub describes it; empty where that cannot be read."""
    path = Path(environment.get("GITHUB_EVENT_PATH") or os.devnull)
    try:
        if path.stat().st_size > _LONGEST_EVENT:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _of_event(event: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[int | None, str | None]:
    """The pull request that an event is about, and the commit that its job looks at.

    In a job for a pull request GITHUB_SHA is a merge that GitHub made, which nobody sees: the head is in the event. In
    one for a comment, neither is what was checked out.
    """
    pull, issue, group = (_table(event, name) for name in ("pull_request", "issue", "merge_group"))
    if pull:
        return _number(pull.get("number")), _commit(_table(pull, "head").get("sha"))
    if issue:
        return (_number(issue.get("number")) if issue.get("pull_request") else None), None
    return None, _commit(group.get("head_sha")) or _commit(environment.get("GITHUB_SHA"))


def _job(environment: Mapping[str, str]) -> str:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and run else ""


def _gitlab(number: int | None, remote: str, environment: Mapping[str, str], inside: bool) -> Place:  # noqa: FBT001
    server, path = _remote(remote)
    project = environment.get("CI_PROJECT_ID") or environment.get("CI_PROJECT_PATH") or ""
    project = project or (path if server == "gitlab.com" else "")
    if not project:
        raise UsageError(
            "nothing tells the project at GitLab",
            hint="CI_PROJECT_PATH=group/name; CI_API_V4_URL=https://HOST/api/v4 for a server of your own",
        )
    here = _number(environment.get("CI_MERGE_REQUEST_IID")) if inside else None
    # In a pipeline for merged results, CI_COMMIT_SHA is a merge that nobody sees.
    commit = environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environment.get("CI_COMMIT_SHA")
    known = inside and number in (None, here)
    return Place(
        kind="gitlab",
        api=environment.get("CI_API_V4_URL") or "https://gitlab.com/api/v4",
        graphql="",
        repository=project,
        number=number or here,
        commit=_commit(commit) if known else None,
        pipeline=_number(environment.get("CI_PIPELINE_ID")) if known else None,
        url=environment.get("CI_JOB_URL", "") if inside else "",
        in_ci=inside,
        token=(environment.get("GITLAB_TOKEN") or "").strip(),
    )


def _remote(address: str) -> tuple[str, str]:
    found = _REMOTE.fullmatch(address.strip())
    return (found[1].lower(), found[2]) if found else ("", "")


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and 0 < len(text) < 12 else None


def _commit(value: object) -> str | None:
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else None
