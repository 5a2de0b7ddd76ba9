"""Where a run belongs: the host, the repository, the pull request and its commit, from what a CI says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra_orch.errors import UnavailableError, UsageError
from infra_orch.hosts.actions import SUMMARY_BYTES, add_to_summary, set_outputs
from infra_orch.hosts.find import find_place

HEAD, MERGE = "a" * 40, "e" * 40


def actions(tmp_path: Path, event: Any, **more: str) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    job = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/infra", "GITHUB_SHA": MERGE, "GITHUB_TOKEN": "t0ken"}
    return {**job, "GITHUB_EVENT_PATH": str(path), **more}


@pytest.mark.parametrize(
    ("event", "number", "commit"),
    [
        ({"pull_request": {"number": 7, "head": {"sha": HEAD}}}, 7, HEAD),
        ({"issue": {"number": 8, "pull_request": {}, "title": "x"}}, None, None),
        ({"issue": {"number": 8, "pull_request": {"url": "…"}}}, 8, None),
        ({"merge_group": {"head_sha": HEAD}}, None, HEAD),
        ({"ref": "refs/heads/main", "after": MERGE}, None, MERGE),
        ({"pull_request": {"number": "7; rm -rf", "head": {"sha": "--upload-pack=x"}}}, None, None),
        ({"pull_request": [7]}, None, MERGE),
        ("[1, 2]", None, MERGE),
        ("{no JSON", None, MERGE),
    ],
)
def test_what_an_event_of_actions_says(tmp_path: Path, event: Any, number: int | None, commit: str | None) -> None:
    place = find_place(environment=actions(tmp_path, event))
    assert (place.kind, place.number, place.commit, place.in_ci) == ("github", number, commit, True)


def test_a_number_that_is_given_wins_and_the_events_commit_is_that_of_another(tmp_path: Path) -> None:
    job = actions(tmp_path, {"pull_request": {"number": 7, "head": {"sha": HEAD}}})
    assert find_place(number=7, environment=job).commit == HEAD
    place = find_place(number=9, environment=job)
    assert (place.number, place.commit) == (9, None)


@pytest.mark.parametrize(
    ("variables", "api", "graphql"),
    [
        ({}, "https://api.github.com", "https://api.github.com/graphql"),
        ({"GITHUB_API_URL": "https://git.example.com/api/v3"}, "https://git.example.com/api/v3", "https://git.example.com/api/graphql"),
        ({"GITHUB_GRAPHQL_URL": "https://api.github.com/gq"}, "https://api.github.com", "https://api.github.com/gq"),
    ],
)  # fmt: skip
def test_the_addresses_of_github(variables: dict[str, str], api: str, graphql: str) -> None:
    place = find_place("github", 7, environment={"GITHUB_REPOSITORY": "acme/infra", **variables})
    assert (place.api, place.graphql) == (api, graphql)


@pytest.mark.parametrize(
    ("remote", "repository"),
    [
        ("git@github.com:acme/infra.git", "acme/infra"),
        ("https://github.com/acme/infra", "acme/infra"),
        ("https://x-access-token:secret@github.com/acme/infra.git", "acme/infra"),
        ("ssh://git@github.com:22/acme/infra.git/", "acme/infra"),
        ("git@evil.example.com:acme/infra.git", ""),
        ("https://github.com/acme/infra/../../x", ""),
        ("https://github.com.evil.example.com/acme/infra", ""),
        ("", ""),
    ],
)
def test_the_remote_tells_the_repository_at_github_itself_only(remote: str, repository: str) -> None:
    if repository:
        assert find_place("github", 7, remote, {}).repository == repository
    else:
        with pytest.raises(UsageError):
            find_place("github", 7, remote, {})


def test_a_pipeline_of_gitlab() -> None:
    job = {"GITLAB_CI": "true", "CI_PROJECT_ID": "5", "CI_COMMIT_SHA": MERGE, "CI_MERGE_REQUEST_IID": "7"}
    place = find_place(environment=job)
    assert (place.kind, place.repository, place.number, place.commit) == ("gitlab", "5", 7, MERGE)
    assert place.api == "https://gitlab.com/api/v4"
    assert find_place(environment={**job, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}).commit == HEAD
    with pytest.raises(UnavailableError, match="CI_JOB_TOKEN may write no notes"):
        place.host()
    assert find_place("gitlab", 7, "https://gitlab.com/a/b/c.git", {}).repository == "a/b/c"
    with pytest.raises(UsageError, match="nothing tells the project"):
        find_place("gitlab", 7, "https://gitlab.example.com/a/b.git", {})


def test_an_output_cannot_set_another(tmp_path: Path) -> None:
    job = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(tmp_path / "output")}
    assert set_outputs({"summary": "a\nend-\nhas_changes<<x\ntrue\nx", "exit_code": "0"}, job)
    first, *lines = (tmp_path / "output").read_text().splitlines()
    end = first.removeprefix("summary<<")
    assert lines[lines.index(end) + 1].startswith("exit_code<<")
    assert not set_outputs({"a": "b"}, {})


def test_a_summary_that_would_be_too_long_for_github_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    job = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert add_to_summary("one", job)
    assert add_to_summary("ä" * (SUMMARY_BYTES // 2 - 4), job)
    assert not add_to_summary("x" * 10, job)
    assert path.stat().st_size <= SUMMARY_BYTES
