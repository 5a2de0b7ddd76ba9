"""`preview --post`: a preview on its pull request, and an exit code that is that of the plans, whatever becomes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fake_gitlab
import pytest
from fake_github import EVE, TOKEN, GitHubServer, github_server
from fake_gitlab import GitLabServer, gitlab_server
from fake_host import Said

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input            = var.text
      triggers_replace = var.text
    }
    """
STACK = """
    from infra_orch import Stack

    stack = Stack("app")
    stack.unit("web", module="it", inputs={"text": "v1"})
    """
MARK = "<!-- infra-orch preview: default -->"
MOVED = "d" * 40


@pytest.fixture
def change(begin: Begin) -> Desk:
    """An applied stack, and a change of it that replaces what there is, on a branch."""
    return begin(changed)


def changed(desk: Desk) -> None:
    desk.write({"modules/it/main.tf": MODULE, "stacks/app/stack.py": STACK})
    desk.commit()
    assert desk.run("apply", "app", "--auto-approve").code == 0
    desk.git("tag", "main-then")
    desk.write({"stacks/app/stack.py": STACK.replace("v1", "v2")})
    assert desk.run("render", "app").code == 0
    desk.commit()


@pytest.fixture
def there(change: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GitHubServer]:
    """A job of GitHub Actions for pull request 7, whose head is what is checked out."""
    with github_server() as server:
        head = change.git("rev-parse", "HEAD")
        server.add_pull(head=head)
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"action": "opened", "pull_request": server.pulls[7]}))
        job = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": server.url,
            "GITHUB_GRAPHQL_URL": f"{server.url}/graphql",
            "GITHUB_REPOSITORY": "acme/infra",
            "GITHUB_SERVER_URL": "https://github.example.com",
            "GITHUB_RUN_ID": "42",
            "GITHUB_SHA": "e" * 40,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_TOKEN": TOKEN,
        }
        for name, value in job.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("infra_orch.hosts.http._SLEEP", lambda _: None)
        yield server


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "output").read_text().splitlines()
    return {lines[n].partition("<<")[0]: lines[n + 1] for n in range(0, len(lines), 3)}


def test_a_preview_is_a_comment_a_status_annotations_a_summary_and_outputs(
    change: Desk, there: GitHubServer, tmp_path: Path
) -> None:
    done = change.run("preview", "--base", "main-then", "--post", "--detailed-exitcode")
    assert done.code == 2, done.err
    assert "warning" not in done.err
    head = there.pulls[7]["head"]["sha"]
    (comment,) = there.bodies()
    assert comment.startswith(
        "### infra-orch: 1 to replace · 1 unit in 1 stack\n\n#### Destroyed or replaced: 1 resource"
    )
    assert f"commit `{head[:12]}` compared with `main-then` · " in comment
    assert "[full report](<https://github.example.com/acme/infra/actions/runs/42>)" in comment
    assert comment.rstrip().endswith(f"<!-- infra-orch commit: {head} -->\n{MARK}")
    assert [(one["sha"], one["context"], one["state"], one["description"]) for one in there.statuses] == [
        (head, "infra-orch/default", "pending", "the preview is under way"),
        (head, "infra-orch/default", "success", "1 to replace · 1 unit in 1 stack"),
    ]
    assert [(one["name"], one["conclusion"]) for one in there.checks] == [("infra-orch preview: default", "neutral")]
    (note,) = there.annotations
    assert (note["path"], note["start_line"], note["annotation_level"]) == (
        "stacks/app/rendered/web/main.tf",
        1,
        "warning",
    )
    assert note["message"] == "module.web.terraform_data.it is replaced"
    assert (tmp_path / "summary.md").read_text().startswith("### infra-orch: 1 to replace")
    assert outputs(tmp_path) == {
        "has_changes": "true",
        "has_destructions": "true",
        "summary": "infra-orch: 1 to replace · 1 unit in 1 stack",
        "exit_code": "2",
    }


def test_an_older_comment_is_out_of_date_as_soon_as_the_next_preview_begins(change: Desk, there: GitHubServer) -> None:
    there.say(f"### infra-orch: 1 to destroy\n\nmore\n\n{MARK}")
    there.say(f"### infra-orch: all is well\n\n{MARK}", EVE)
    seen: list[str] = []
    real = there.status

    def status(asked: Any, commit: str) -> Any:
        seen.extend(there.bodies())
        return real(asked, commit)

    there.routes = [(m, p, status if r == real else r) for m, p, r in there.routes]
    assert change.run("preview", "--base", "main-then", "--post").code == 0
    head = there.pulls[7]["head"]["sha"]
    changed = [one.body["body"] for one in there.requests("PATCH", "/comments")]
    assert changed[0] == (
        f"**Out of date**: a preview of `{head[:12]}` is under way.\n\n### ~~infra-orch: 1 to destroy~~\n\nmore\n\n{MARK}"
    )
    assert len(there.bodies()) == 1
    assert there.bodies()[0].startswith("### infra-orch: 1 to replace")
    assert there.bodies(EVE) == [f"### infra-orch: all is well\n\n{MARK}"]


def test_a_plan_that_fails_is_a_failed_status_at_its_line(change: Desk, there: GitHubServer) -> None:
    change.write({"modules/it/main.tf": MODULE.replace("= var.text\n    }", '= file("none")\n    }', 1)})
    done = change.run("preview", "--base", "main-then", "--post")
    assert done.code == 1
    assert there.statuses[-1]["state"] == "failure"
    assert there.statuses[-1]["description"] == "1 failed"
    assert there.checks[-1]["conclusion"] == "failure"
    assert there.annotations[0]["annotation_level"] == "failure"
    assert there.bodies()[0].startswith("### infra-orch: 1 failed")


def test_a_spec_that_is_wrong_is_told_on_the_pull_request(change: Desk, there: GitHubServer) -> None:
    change.write({"stacks/app/stack.py": STACK.replace('"text": "v1"', '"txt": "v1"')})
    done = change.run("preview", "--base", "main-then", "--post")
    assert done.code == 65
    assert there.statuses[-1]["state"] == "error"
    (comment,) = there.bodies()
    assert comment.startswith("### infra-orch: the preview could not be made\n\n```\nstacks/app/stack.py:")
    assert comment.endswith(MARK)


def test_a_head_that_moved_meanwhile_is_said(change: Desk, there: GitHubServer) -> None:
    old = there.pulls[7]["head"]["sha"]
    there.pulls[7]["head"]["sha"] = MOVED
    assert change.run("preview", "--base", "main-then", "--post").code == 0
    (comment,) = there.bodies()
    assert comment.startswith(
        f"**Out of date**: this is of `{old[:12]}`, and the pull request has moved to `{MOVED[:12]}`.\n\n### ~~infra-orch"
    )
    assert {one["sha"] for one in there.statuses} == {old}, "it is true of that commit"


def test_a_run_that_is_late_leaves_the_comment_of_a_newer_one(change: Desk, there: GitHubServer) -> None:
    there.pulls[7]["head"]["sha"] = MOVED
    newer = f"### infra-orch: no changes\n\nfoot\n\n<!-- infra-orch commit: {MOVED} -->\n{MARK}"

    def say(*_: Any) -> Any:
        there.comments.clear()
        there.say(newer)
        return real(*_)

    # The other run ends while this one plans: between its first question for the branch and its last for the comments.
    real = there.branch
    there.routes = [(m, p, say if r == real else r) for m, p, r in there.routes]
    done = change.run("preview", "--base", "main-then", "--post")
    assert "newer commit already" in done.err
    assert commit_line(there.bodies()[0]) == MOVED


def commit_line(body: str) -> str:
    return body.partition("infra-orch commit: ")[2].partition(" ")[0]


def test_a_base_that_moved_meanwhile_is_said(change: Desk, there: GitHubServer) -> None:
    there.pulls[7]["base"]["ref"] = "re`lease/<b>@eve"
    there.branches = {"re`lease/<b>@eve": "1" * 40}
    real = there.branch

    def moving(*asked: Any) -> Any:
        answer = real(*asked)
        there.branches = dict.fromkeys(there.branches, "2" * 40)
        return answer

    there.routes = [(m, p, moving if r == real else r) for m, p, r in there.routes]
    assert change.run("preview", "--base", "main-then", "--post").code == 0
    assert there.bodies()[0].startswith(
        "**Out of date**: `` re`lease/<b>@eve `` has moved to `222222222222`.\n\n### ~~infra"
    )


@pytest.mark.parametrize(
    ("method", "path", "answer", "words"),
    [
        ("POST", "/comments", Said(403, {"message": "Resource not accessible by integration"}), "403 to POST"),
        ("POST", "/comments", Said(502), "502 to POST"),
        ("GET", "/pulls/7", Said(500, {}), "500 to GET"),
        ("POST", "/check-runs", Said(422, {"message": "\x1b[31mno"}), "422 to POST"),
    ],
)
def test_what_cannot_be_posted_is_a_warning_and_the_exit_code_that_of_the_plans(
    change: Desk, there: GitHubServer, method: str, path: str, answer: Said, words: str
) -> None:
    there.fail(method, path, *[answer] * 40)
    done = change.run("preview", "--base", "main-then", "--post", "--detailed-exitcode")
    assert done.code == 2, done.err
    assert "warning: the preview could not be posted: " in done.err
    assert words in done.err
    assert TOKEN not in done.err + done.out
    assert "\x1b[31mno" not in done.err
    assert done.out.startswith("### infra-orch: 1 to replace"), "it is printed all the same"


def test_a_token_that_may_not_make_checks_is_no_warning(change: Desk, there: GitHubServer) -> None:
    there.may_check = False
    done = change.run("preview", "--base", "main-then", "--post")
    assert (done.code, "warning" in done.err) == (0, False), done.err
    assert len(there.statuses) == 2


def test_without_a_token_it_is_said_once_and_the_summary_is_there(
    change: Desk, there: GitHubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    done = change.run("preview", "--base", "main-then", "--post")
    assert (done.code, done.err.count("there is no token for GitHub; GITHUB_TOKEN")) == (0, 1), done.err
    assert (tmp_path / "summary.md").read_text().startswith("### infra-orch: 1 to replace")
    assert there.asked == []


def test_without_a_pull_request_the_commit_has_a_status(
    change: Desk, there: GitHubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "event.json").write_text(json.dumps({"merge_group": {"head_sha": "f" * 40}}))
    done = change.run("preview", "--base", "main-then", "--post")
    assert (done.code, "none to comment on" in done.err) == (0, True), done.err
    assert {one["sha"] for one in there.statuses} == {"f" * 40}
    assert there.bodies() == []


def test_nobody_knows_where_to_post_at_a_desk(change: Desk) -> None:
    done = change.run("preview", "--base", "main-then", "--post")
    assert (done.code, "--host github --pull-request N" in done.err) == (64, True)
    done = change.run("preview", "--base", "main-then", "--post", "--host", "github", "--pull-request", "7")
    assert (done.code, "nothing tells the repository at GitHub" in done.err) == (64, True)
    done = change.run("preview", "--base", "main-then", "--post", "--host", "gitea")
    assert (done.code, '--host "gitea" is none' in done.err) == (64, True)


def test_at_a_desk_flags_and_the_remote_say_where(
    change: Desk, there: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name)
    change.git("remote", "add", "origin", "git@github.com:acme/infra.git")
    done = change.run("preview", "--base", "main-then", "--post", "--host", "github", "--pull-request", "7")
    assert (done.code, "warning" in done.err) == (0, False), done.err
    assert len(there.bodies()) == 1
    assert there.statuses[-1]["sha"] == change.git("rev-parse", "HEAD")


def test_a_merge_of_the_pull_requests_head_is_of_that_head(
    change: Desk, there: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    head = change.git("rev-parse", "HEAD")
    change.git("checkout", "--quiet", "--detach", "main-then")
    change.git("merge", "--quiet", "--no-ff", "--message", "merge", head)
    assert change.git("rev-parse", "HEAD") != head
    done = change.run("preview", "--base", "main-then", "--post", "--host", "github", "--pull-request", "7")
    assert (done.code, "warning" in done.err) == (0, False), done.err
    assert {one["sha"] for one in there.statuses} == {head}
    assert not there.bodies()[0].startswith("**Out of date**")


def test_the_command_in_a_process_of_its_own_posts_the_same(change: Desk, there: GitHubServer) -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "infra_orch", "preview", "--base", "main-then", "--post"],
            cwd=change.root,
            env={**os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
    assert len(there.bodies()) == 1
    assert TOKEN not in done.stdout + done.stderr


def test_all_previews_into_a_branch_that_moved_are_out_of_date(change: Desk, there: GitHubServer) -> None:
    there.add_pull(8)
    there.add_pull(9, base="release")
    there.add_pull(10, state="closed")
    for number in (7, 8, 9, 10):
        there.say(f"### infra-orch: no changes\n\n{MARK}", number=number)
    there.say("### infra-orch: no changes\n\n<!-- infra-orch preview: other -->", number=8)
    there.say(f"evil\n{MARK}", EVE, number=8)
    there.say("a talk", number=8)
    done = change.run("outdated", "--base", "main")
    assert (done.code, done.err) == (0, "3 previews of pull requests into main out of date\n")
    marked = [
        one["number"] for one in there.comments.values() if one["body"].startswith("**Out of date**: `main` has moved")
    ]
    assert marked == [7, 8, 8]
    assert change.run("outdated", "--base", "main").code == 0
    assert len(there.requests("PATCH", "/comments")) == 3, "what is said already is not said again"
    there.fail("GET", "/pulls", Said(404, {"message": "Not Found"}))
    assert change.run("outdated", "--base", "main").code == 69


@pytest.fixture
def lab(change: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitLabServer]:
    """A job of GitLab CI for merge request 7, in a pipeline for merged results."""
    with gitlab_server() as server:
        server.add_merge(head=change.git("rev-parse", "HEAD"))
        job = {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": server.url,
            "CI_PROJECT_ID": "5",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_COMMIT_SHA": "e" * 40,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": server.merges[7]["sha"],
            "CI_PIPELINE_ID": "31",
            "CI_JOB_URL": "https://gitlab.example.com/acme/infra/-/jobs/9",
            "GITLAB_TOKEN": fake_gitlab.TOKEN,
        }
        for name, value in job.items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_preview_on_a_merge_request(change: Desk, lab: GitLabServer) -> None:
    done = change.run("preview", "--base", "main-then", "--post", "--terraform-report", "tf.json")
    assert (done.code, "warning" in done.err) == (0, False), done.err
    (note,) = lab.bodies()
    assert note.startswith("### infra-orch: 1 to replace")
    assert "[full report](<https://gitlab.example.com/acme/infra/-/jobs/9>)" in note
    assert [(one["name"], one["state"], one["pipeline_id"]) for one in lab.statuses] == [
        ("infra-orch/default", "pending", 31),
        ("infra-orch/default", "success", 31),
    ]
    assert {one["sha"] for one in lab.statuses} == {lab.merges[7]["sha"]}
    assert json.loads((change.root / "tf.json").read_text()) == {"create": 1, "update": 0, "delete": 1}


def test_the_token_of_a_job_of_gitlab_is_not_enough_and_that_is_said(
    change: Desk, lab: GitLabServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITLAB_TOKEN")
    monkeypatch.setenv("CI_JOB_TOKEN", "job-token-0123456789")
    done = change.run("preview", "--base", "main-then", "--post")
    assert (done.code, "CI_JOB_TOKEN may write no notes; GITLAB_TOKEN" in done.err) == (0, True), done.err
    assert lab.asked == []
