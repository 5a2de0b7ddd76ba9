"""A stand-in for version 4 of GitLab's REST API (https://docs.gitlab.com/api/), as far as it is asked here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from fake_host import Asked, FakeHost, serving

TOKEN = "glpat-0123456789abcdefghij"
ME = {"id": 77, "username": "project_5_bot_1f"}
ADA = {"id": 1, "username": "ada"}
EVE = {"id": 2, "username": "eve"}
HEAD = "a" * 40
BASE = "b" * 40
_P = "/projects/(?:5|acme%2Finfra)"


@dataclass
class GitLabServer(FakeHost):
    """A project. *statuses* are by name: GitLab lets none go from a state to the same one."""

    merges: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    approved_by: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    members: dict[int, int] = field(default_factory=dict)
    rules: list[dict[str, Any]] | None = None
    branches: dict[str, str] = field(default_factory=lambda: {"main": BASE})

    def __post_init__(self) -> None:
        merge = rf"{_P}/merge_requests/(\d+)"
        self.routes = [
            (method, re.compile(pattern), route)
            for method, pattern, route in (
                ("GET", merge, self.merge),
                ("GET", rf"{_P}/merge_requests", self.list_merges),
                ("GET", rf"{_P}/repository/commits/([0-9a-f]+)/merge_requests", self.merges_of),
                ("GET", rf"{_P}/repository/branches/([^/]+)", self.branch),
                ("GET", rf"{merge}/notes", self.list_notes),
                ("POST", rf"{merge}/notes", self.add_note),
                ("PUT", rf"{merge}/notes/(\d+)", self.change_note),
                ("DELETE", rf"{merge}/notes/(\d+)", lambda _, __, note: (204, self.notes.pop(int(note)) and None)),
                ("POST", rf"{_P}/statuses/([0-9a-f]{{40}})", self.status),
                ("GET", rf"{merge}/approvals", lambda _, __: (200, {"approved_by": self.approved_by})),
                ("GET", rf"{merge}/approval_state", self.approval_state),
                ("GET", rf"{merge}/versions", lambda _, __: (200, self.versions)),
                ("GET", rf"{_P}/members/all/(\d+)", self.member),
                ("GET", rf"{_P}/issues", self.list_issues),
                ("POST", rf"{_P}/issues", self.add_issue),
                ("PUT", rf"{_P}/issues/(\d+)", self.change_issue),
                ("POST", rf"{_P}/issues/(\d+)/notes", self.note_of_issue),
                ("GET", "/user", lambda _: (200, ME)),
            )
        ]

    def add_merge(self, number: int = 7, *, head: str = HEAD, base: str = "main", **more: Any) -> None:
        self.merges[number] = {
            "iid": number,
            "id": 9000 + number,
            "state": "opened",
            "title": "</title><h1>@all \x1b[31m",
            "author": ADA,
            "sha": head,
            "target_branch": base,
            "merge_commit_sha": None,
            "squash_commit_sha": None,
            **more,
        }

    def say(self, body: str, author: dict[str, Any] = ME, number: int = 7, **more: Any) -> int:
        new = 1000 + len(self.notes)
        at = "2026-11-28T12:00:00.000Z"
        note = {"id": new, "body": body, "author": author, "system": False, "created_at": at, "number": number}
        self.notes[new] = note | more
        return new

    def bodies(self, author: dict[str, Any] = ME) -> list[str]:
        return [one["body"] for one in self.notes.values() if one["author"] == author]

    def refused(self, asked: Asked) -> tuple[int, Any] | None:
        self.is_so(asked, "authorization" not in asked.headers, "it has the token in two headers")
        if asked.headers.get("private-token") != TOKEN:
            return 401, {"message": "401 Unauthorized"}
        return None

    def merge(self, asked: Asked, number: str) -> tuple[int, Any]:
        found = self.merges.get(int(number))
        return (200, found) if found else (404, {"message": "404 Not found"})

    def list_merges(self, asked: Asked) -> tuple[int, Any]:
        wanted = (asked.query.get("state"), asked.query.get("target_branch"))
        return 200, [one for one in self.merges.values() if (one["state"], one["target_branch"]) == wanted]

    def merges_of(self, asked: Asked, commit: str) -> tuple[int, Any]:
        shas = ("sha", "merge_commit_sha", "squash_commit_sha")
        return 200, [one for one in self.merges.values() if commit in [one[name] for name in shas]]

    def branch(self, asked: Asked, name: str) -> tuple[int, Any]:
        sha = self.branches.get(unquote(name))
        return (200, {"name": name, "commit": {"id": sha}}) if sha else (404, {"message": "404 Branch Not Found"})

    def list_notes(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.is_so(asked, asked.query.get("sort") == "asc", "the oldest come first only where that is asked for")
        return 200, [one for one in self.notes.values() if one["number"] == int(number)]

    def add_note(self, asked: Asked, number: str) -> tuple[int, Any]:
        if not self.body_has(asked, {"body"}) or len(asked.body["body"]) > 1_000_000:
            return 400, {"message": {"note": ["is too long"]}}
        return 201, {"id": self.say(asked.body["body"], number=int(number))}

    def change_note(self, asked: Asked, number: str, note: str) -> tuple[int, Any]:
        one = self.notes[int(note)]
        if not self.is_so(asked, one["author"] == ME, "it is somebody else's") or not self.body_has(asked, {"body"}):
            return 403, {"message": "403 Forbidden"}
        one["body"] = asked.body["body"]
        return 200, one

    def status(self, asked: Asked, commit: str) -> tuple[int, Any]:
        fine = self.body_has(asked, {"state", "name", "description"}, {"target_url", "pipeline_id"})
        states = ("pending", "running", "success", "failed", "canceled", "skipped")
        fine = fine and self.is_so(asked, asked.body["state"] in states, "state")
        short = len(asked.body["description"]) <= 255 and len(asked.body.get("target_url", "")) <= 255
        if not fine or not self.is_so(asked, short, "too long"):
            return 400, {"message": {"description": ["is too long (maximum is 255 characters)"]}}
        before = next((one for one in reversed(self.statuses) if one["name"] == asked.body["name"]), None)
        if before and before["state"] == asked.body["state"] == "pending":
            words = 'Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")'
            return 400, {"message": words}
        self.statuses.append({"sha": commit, **asked.body})
        return 201, {"id": len(self.statuses), "status": asked.body["state"]}

    def approval_state(self, asked: Asked, number: str) -> tuple[int, Any]:
        return (404, {"error": "404 Not Found"}) if self.rules is None else (200, {"rules": self.rules})

    def member(self, asked: Asked, user: str) -> tuple[int, Any]:
        level = self.members.get(int(user))
        return (
            (200, {"id": int(user), "access_level": level, "state": "active"}) if level else (404, {"message": "404"})
        )

    def list_issues(self, asked: Asked) -> tuple[int, Any]:
        self.is_so(asked, asked.query.get("scope") == "all", "else GitLab lists those that the token's user made")
        return 200, [one for one in self.issues.values() if one["state"] == asked.query.get("state")]

    def add_issue(self, asked: Asked) -> tuple[int, Any]:
        self.body_has(asked, {"title", "description"}, {"labels"})
        number = 100 + len(self.issues)
        self.issues[number] = {"iid": number, "author": ME, "state": "opened", "notes": [], **asked.body}
        return 201, self.issues[number]

    def change_issue(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.body_has(asked, set(), {"description", "state_event", "title"})
        issue = self.issues[int(number)]
        issue |= {key: value for key, value in asked.body.items() if key != "state_event"}
        issue["state"] = {"close": "closed"}.get(asked.body.get("state_event"), issue["state"])
        return 200, issue

    def note_of_issue(self, asked: Asked, number: str) -> tuple[int, Any]:
        self.body_has(asked, {"body"})
        self.issues[int(number)]["notes"].append(asked.body["body"])
        return 201, {"id": 1}


@contextlib.contextmanager
def gitlab_server() -> Iterator[GitLabServer]:
    """GitLab, as it is documented. What it was asked that is not, fails the test."""
    server = GitLabServer()
    with serving(server):
        yield server
    assert server.wrong == []
