"""A stand-in for GitHub's REST API of 2022-11-28 (https://docs.github.com/en/rest), as far as it is asked here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from fake_host import Asked, FakeHost, serving

TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyzAB"
ME = {"id": 41898282, "login": "github-actions[bot]", "type": "Bot"}
ADA = {"id": 1, "login": "ada", "type": "User"}
EVE = {"id": 2, "login": "eve", "type": "User"}
HEAD = "a" * 40
BASE = "b" * 40
_R = "/repos/acme/infra"


@dataclass
class GitHubServer(FakeHost):
    """A repository `acme/infra`. *may* is what the token may do, *app*: it is of an app, as that of Actions is."""

    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=lambda: {"main": BASE})
    rules: list[dict[str, Any]] = field(default_factory=list)
    classic_rule: dict[str, Any] | None = None
    decision: str | None = None
    may_check: bool = True
    app: bool = True
    graphql: bool = True

    def __post_init__(self) -> None:
        self.routes = [
            (method, re.compile(pattern), route)
            for method, pattern, route in (
                ("GET", rf"{_R}/pulls/(\d+)", self.pull),
                ("GET", rf"{_R}/pulls", self.list_pulls),
                ("GET", rf"{_R}/commits/([0-9a-f]+)/pulls", self.pulls_of),
                ("GET", rf"{_R}/branches/([^/]+)", self.branch),
                ("GET", rf"{_R}/issues/(\d+)/comments", self.list_comments),
                ("POST", rf"{_R}/issues/(\d+)/comments", self.add_comment),
                ("PATCH", rf"{_R}/issues/comments/(\d+)", self.change_comment),
                ("DELETE", rf"{_R}/issues/comments/(\d+)", self.remove_comment),
                ("POST", rf"{_R}/statuses/([0-9a-f]{{40}})", self.status),
                ("POST", rf"{_R}/check-runs", self.check),
                ("PATCH", rf"{_R}/check-runs/(\d+)", self.more_of_check),
                ("GET", rf"{_R}/pulls/(\d+)/reviews", lambda _, __: (200, self.reviews)),
                ("GET", rf"{_R}/collaborators/([^/]+)/permission", self.permission),
                ("GET", rf"{_R}/rules/branches/([^/]+)", lambda _, __: (200, self.rules)),
                ("GET", rf"{_R}/issues", self.list_issues),
                ("POST", rf"{_R}/issues", self.add_issue),
                ("PATCH", rf"{_R}/issues/(\d+)", self.change_issue),
                ("GET", "/user", self.user),
                ("GET", "/users/github-actions%5Bbot%5D", lambda _: (200, ME)),
                ("POST", "/graphql", self.ask_graphql),
            )
        ]

    def add_pull(self, number: int = 7, *, head: str = HEAD, base: str = "main", **more: Any) -> None:
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "title": "</title><h1>@everyone \x1b[31m",
            "user": ADA,
            "head": {"sha": head, "ref": "feature"},
            "base": {"sha": BASE, "ref": base},
            "merge_commit_sha": "c" * 40,
            "merged_at": None,
            **more,
        }

    def say(self, body: str, user: dict[str, Any] = ME, number: int = 7) -> int:
        new = 1000 + len(self.comments)
        self.comments[new] = {"id": new, "body": body, "user": user, "number": number}
        return new

    def bodies(self, user: dict[str, Any] = ME) -> list[str]:
        return [one["body"] for one in self.comments.values() if one["user"] == user]

    def review(self, user: dict[str, Any] | None, state: str, commit: str = HEAD) -> None:
        self.reviews.append({"id": len(self.reviews), "user": user, "state": state, "commit_id": commit, "body": ""})

    def refused(self, asked: Asked) -> tuple[int, Any] | None:
        self.is_so(asked, asked.headers.get("accept") == "application/vnd.github+json", "Accept")
        self.is_so(asked, asked.headers.get("x-github-api-version") == "2022-11-28", "X-GitHub-Api-Version")
        self.is_so(asked, asked.headers.get("user-agent", "").startswith("infra-orch/"), "User-Agent")
        if asked.body is not None:
            self.is_so(asked, asked.headers.get("content-type") == "application/json", "Content-Type")
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        return None

    def user(self, asked: Asked) -> tuple[int, Any]:
        return (403, {"message": "Resource not accessible by integration"}) if self.app else (200, ME)

    def pull(self, asked: Asked, number: str) -> tuple[int, Any]:
        found = self.pulls.get(int(number))
        return (200, found) if found else (404, {"message": "Not Found"})

    def list_pulls(self, asked: Asked) -> tuple[int, Any]:
        wanted = (asked.query.get("state", "open"), asked.query.get("base"))
        return 200, [one for one in self.pulls.values() if (one["state"], one["base"]["ref"]) == wanted]

    def pulls_of(self, asked: Asked, commit: str) -> tuple[int, Any]:
        return 200, [p for p in self.pulls.values() if commit in (p["head"]["sha"], p["merge_commit_sha"])]

    def branch(self, asked: Asked, name: str) -> tuple[int, Any]:
        sha = self.branches.get(unquote(name))
        return (200, {"name": name, "commit": {"sha": sha}}) if sha else (404, {"message": "Branch not found"})

    def list_comments(self, asked: Asked, number: str) -> tuple[int, Any]:
        return 200, [one for one in self.comments.values() if one["number"] == int(number)]

    def fits(self, body: str) -> bool:
        return len(body.encode("utf-16-le")) // 2 <= 65_536

    def add_comment(self, asked: Asked, number: str) -> tuple[int, Any]:
        if not self.body_has(asked, {"body"}) or not self.is_so(asked, self.fits(asked.body["body"]), "too long"):
            return 422, {"message": "Validation Failed"}
        return 201, {"id": self.say(asked.body["body"], number=int(number))}

    def change_comment(self, asked: Asked, number: str) -> tuple[int, Any]:
        one = self.comments.get(int(number))
        if one is None:
            return 404, {"message": "Not Found"}
        if not self.is_so(asked, one["user"] == ME, "it is somebody else's"):
            return 403, {"message": "Must have admin rights to Repository."}
        if not self.body_has(asked, {"body"}) or not self.is_so(asked, self.fits(asked.body["body"]), "too long"):
            return 422, {"message": "Validation Failed"}
        one["body"] = asked.body["body"]
        return 200, one

    def remove_comment(self, asked: Asked, number: str) -> tuple[int, Any]:
        one = self.comments.pop(int(number))
        self.is_so(asked, one["user"] == ME, "it is somebody else's")
        return 204, None

    def status(self, asked: Asked, commit: str) -> tuple[int, Any]:
        fine = self.body_has(asked, {"state", "context", "description"}, {"target_url"})
        fine = fine and self.is_so(asked, asked.body["state"] in ("error", "failure", "pending", "success"), "state")
        if not fine or not self.is_so(asked, len(asked.body["description"]) <= 140, "description"):
            return 422, {"message": "Validation Failed"}
        self.statuses.append({"sha": commit, **asked.body})
        return 201, {"id": len(self.statuses), **asked.body}

    def check(self, asked: Asked) -> tuple[int, Any]:
        if not self.may_check:
            return 403, {"message": "Resource not accessible by personal access token"}
        fine = self.body_has(asked, {"name", "head_sha", "status", "conclusion", "output"}, {"details_url"})
        kinds = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out")
        fine = fine and self.is_so(asked, asked.body["conclusion"] in kinds, "conclusion")
        if not fine or not self.output(asked):
            return 422, {"message": "Validation Failed"}
        self.checks.append(asked.body)
        return 201, {"id": 500 + len(self.checks)}

    def more_of_check(self, asked: Asked, number: str) -> tuple[int, Any]:
        fine = self.body_has(asked, {"output"}) and self.output(asked)
        return (200, {"id": int(number)}) if fine else (422, {"message": "Validation Failed"})

    def output(self, asked: Asked) -> bool:
        """https://docs.github.com/en/rest/checks/runs: `output` needs title and summary, and takes 50 annotations."""
        output = asked.body["output"]
        notes = output.get("annotations", [])
        fine = {"title", "summary"} <= set(output) and len(notes) <= 50 and len(output["summary"]) <= 65_535
        for note in notes:
            fine = fine and {"path", "start_line", "end_line", "annotation_level", "message"} <= set(note)
            fine = fine and note["annotation_level"] in ("notice", "warning", "failure")
            fine = fine and len(note.get("title", "")) <= 255 and len(note["message"].encode()) <= 65_536
        self.annotations += notes
        return self.is_so(asked, fine, "output")

    def permission(self, asked: Asked, login: str) -> tuple[int, Any]:
        found = self.permissions.get(unquote(login))
        if found is None:
            return 404, {"message": f"{login} is not a user"}
        return 200, {"permission": found, "role_name": found, "user": {}}

    def list_issues(self, asked: Asked) -> tuple[int, Any]:
        pulls = [
            {"id": number, "number": number, "user": ME, "body": one.get("body"), "state": "open", "pull_request": {}}
            for number, one in self.pulls.items()
        ]
        return 200, [*pulls, *(one for one in self.issues.values() if one["state"] == asked.query.get("state"))]

    def add_issue(self, asked: Asked) -> tuple[int, Any]:
        if not self.body_has(asked, {"title", "body"}, {"labels"}):
            return 422, {"message": "Validation Failed"}
        number = 100 + len(self.issues)
        self.issues[number] = {"id": 9000 + number, "number": number, "user": ME, "state": "open", **asked.body}
        return 201, self.issues[number]

    def change_issue(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.body_has(asked, set(), {"body", "state", "state_reason", "title"})
        self.issues[int(number)] |= asked.body
        return 200, self.issues[int(number)]

    def ask_graphql(self, asked: Asked) -> tuple[int, Any]:
        self.body_has(asked, {"query", "variables"})
        if not self.graphql:
            return 403, {"message": "Resource not accessible by integration"}
        if "viewer" in asked.body["query"]:
            return 200, {"data": {"viewer": {"databaseId": ME["id"], "login": "github-actions[bot]"}}}
        wanted = {"owner": "acme", "name": "infra", "number": 7}
        self.is_so(asked, asked.body["variables"] == wanted, "variables")
        pull = {"reviewDecision": self.decision, "baseRef": {"refUpdateRule": self.classic_rule}}
        return 200, {"data": {"repository": {"pullRequest": pull}}}


@contextlib.contextmanager
def github_server() -> Iterator[GitHubServer]:
    """GitHub, as it is documented. What it was asked that is not, fails the test."""
    server = GitHubServer()
    with serving(server):
        yield server
    assert server.wrong == []
