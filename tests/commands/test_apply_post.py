"""`apply --post`: what was applied, told on the pull request that the commit came by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from fake_github import TOKEN, GitHubServer, github_server
from fake_host import Said

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture
def there(two_units: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    """The pull request 7, whose merge is what is checked out."""
    with github_server() as server:
        merged = two_units.git("rev-parse", "HEAD")
        server.add_pull(state="closed", merged_at="2026-11-28T12:00:00Z", merge_commit_sha=merged)
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/infra")
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        monkeypatch.setattr("infra_orch.hosts.http._SLEEP", lambda _: None)
        yield server


APPLY = ("apply", "dev", "--auto-approve", "--post", "--host", "github")


def test_what_was_applied_is_on_the_pull_request_and_a_status_of_its_commit(
    two_units: Desk, there: GitHubServer
) -> None:
    merged = two_units.git("rev-parse", "HEAD")
    done = two_units.run(*APPLY)
    assert (done.code, "warning" in done.err) == (0, False), done.err
    assert [(one["sha"], one["context"], one["state"], one["description"]) for one in there.statuses] == [
        (merged, "infra-orch/apply", "pending", "the apply is under way"),
        (merged, "infra-orch/apply", "success", "applied 5 created · 2 units in 1 stack"),
    ]
    (comment,) = there.bodies()
    assert comment.startswith("### infra-orch: applied 5 created · 2 units in 1 stack\n")
    assert "<code>dev/network</code>: 3 created" in comment
    assert f" · commit `{merged[:12]}`\n" in comment
    assert comment.endswith("<!-- infra-orch apply: default -->\n")


def test_an_apply_that_fails_is_told_as_one(two_units: Desk, there: GitHubServer) -> None:
    text = (two_units.root / "modules/servers/main.tf").read_text()
    guarded = text.replace("  count = ", '  lifecycle {\n    postcondition {\n      condition     = self.input == "x"\n      error_message = "no"\n    }\n  }\n  count = ')  # fmt: skip
    two_units.write({"modules/servers/main.tf": guarded})
    done = two_units.run(*APPLY)
    assert done.code == 1
    assert there.statuses[-1]["state"] == "failure"
    assert there.statuses[-1]["description"] == "apply failed: 1 failed, 3 created · 1 unit in 1 stack"
    assert "#### `dev/web` failed" in there.bodies()[0]


def test_a_host_that_says_no_changes_nothing_in_an_apply(two_units: Desk, there: GitHubServer) -> None:
    there.fail("GET", "/pulls", *[Said(502)] * 20)
    there.fail("POST", "/statuses", *[Said(403, {"message": "no"})] * 2)
    done = two_units.run(*APPLY)
    assert done.code == 0
    assert "warning: the apply could not be posted: GitHub answered 502 to GET" in done.err
    assert done.err.count("403 to POST") == 1
    assert "recorded in" in done.err


def test_a_commit_that_came_by_no_pull_request_has_a_status_and_that_is_said(
    two_units: Desk, there: GitHubServer
) -> None:
    there.pulls.clear()
    done = two_units.run(*APPLY, "--group", "net")
    assert (done.code, "knows no pull request that commit" in done.err) == (0, True), done.err
    assert there.statuses[-1]["context"] == "infra-orch/apply/net"
