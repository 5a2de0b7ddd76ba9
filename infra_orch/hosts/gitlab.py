"""A project at GitLab, gitlab.com or of one's own, by version 4 of its REST API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from infra_orch.hosts.answer import HostError
from infra_orch.hosts.host import Check, Comment, Issue, PullRequest, Reviews, Status
from infra_orch.hosts.http import Http
from infra_orch.shape import Optional

LIMIT = 1_000_000
_DESCRIPTION = 255
_URL = 255
_DEVELOPER = 30
"""The level of access from which on one may push."""
_USER = {"id": int, "username": str}
_NOTE = {"id": int, "body": str, "author": Optional(_USER), "system": bool, "created_at": str}
_MERGE = {
    "iid": int,
    "state": str,
    "author": Optional(_USER),
    "sha": Optional(str),
    "target_branch": str,
    "merge_commit_sha": Optional(str),
    "squash_commit_sha": Optional(str),
}
_STATES = {"pending": "pending", "success": "success", "failure": "failed", "error": "failed"}
_APPROVALS = {"approved_by": [{"user": _USER}]}


@dataclass
class GitLab:
    """See Host. *project* is its number, or its path. *pipeline* is the one that statuses belong to, if it is known:
    without it GitLab makes one of its own for a commit that it has none for.
    """

    http: Http
    project: str
    pipeline: int | None = None
    name: str = "GitLab"
    limit: int = LIMIT
    _me: int | None = field(default=None, init=False)

    @property
    def _at(self) -> str:
        return f"/projects/{quote(self.project, safe='')}"

    def pull_request(self, number: int) -> PullRequest:
        """Return a merge request as it is now."""
        return _pull_request(self.http.get(self._merge(number), _MERGE))

    def pull_requests_into(self, base: str) -> Iterator[PullRequest]:
        """Yield the open merge requests that go to the branch *base*."""
        query = urlencode({"state": "opened", "target_branch": base, "per_page": 100})
        yield from (_pull_request(item) for item in self.http.items(f"{self._at}/merge_requests?{query}", _MERGE))

    def pull_requests_with(self, commit: str) -> list[PullRequest]:
        """Return the merge requests that *commit* is part of, or was made by."""
        path = f"{self._at}/repository/commits/{quote(commit, safe='')}/merge_requests?per_page=100"
        return [_pull_request(item) for item in self.http.items(path, _MERGE)]

    def branch(self, name: str) -> str:
        """Return the commit that a branch is at."""
        path = f"{self._at}/repository/branches/{quote(name, safe='')}"
        return str(self.http.get(path, {"commit": {"id": str}})["commit"]["id"])

    def comments(self, number: int) -> list[Comment]:
        """Return the notes of our own on a merge request, the oldest first."""
        notes = self.http.items(f"{self._merge(number)}/notes?sort=asc&order_by=created_at&per_page=100", _NOTE)
        return [Comment(note["id"], note["body"]) for note in notes if not note["system"] and self._ours(note)]

    def add_comment(self, number: int, body: str) -> None:
        """Comment on a merge request. Raises Ambiguous where nobody knows whether it is there now."""
        self.http.ask("POST", f"{self._merge(number)}/notes", {"body": body}, once=True)

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """Say something else in a note."""
        self.http.ask("PUT", f"{self._merge(number)}/notes/{comment}", {"body": body})

    def remove_comment(self, number: int, comment: int) -> None:
        """Take a note away."""
        self.http.ask("DELETE", f"{self._merge(number)}/notes/{comment}", quiet=(404,))

    def set_status(self, commit: str, status: Status) -> None:
        """Set the status of a commit. That it is so already is an error to GitLab, and none here."""
        body: dict[str, Any] = {
            "state": _STATES[status.state],
            "name": status.context,
            "description": _cut(status.description, _DESCRIPTION),
        }
        if status.url and len(status.url) <= _URL:
            body["target_url"] = status.url
        if self.pipeline is not None:
            body["pipeline_id"] = self.pipeline
        try:
            self.http.ask("POST", f"{self._at}/statuses/{commit}", body)
        except HostError as error:
            if error.status != 400 or "Cannot transition status" not in error.said:
                raise

    def annotate(self, commit: str, check: Check) -> bool:  # noqa: ARG002  a host does
        """Return False: GitLab shows at a line only what a job keeps as a report."""
        return False

    def reviews(self, pull_request: PullRequest, *, of_any_commit: bool = False) -> Reviews:
        """Return who has approved a merge request; *of_any_commit*: also who approved an earlier head of it.

        An approval of GitLab's names no commit, and a project may keep it after a push. So it counts where it was given
        after the latest version of the merge request. When that was is in `approved_at`, and, before GitLab had it, in
        the note that says so. One of which neither tells is none.
        """
        path = self._merge(pull_request.number)
        approved = self.http.get(f"{path}/approvals", _APPROVALS)["approved_by"]
        since = None if of_any_commit or not approved else self._latest_version(path, pull_request.head)
        noted = self._noted(path) if since and any("approved_at" not in one for one in approved) else {}
        approvers = []
        for one in approved:
            user = one["user"]
            at = _time(one.get("approved_at") or noted.get(user["id"]))
            current = of_any_commit or (at is not None and since is not None and at >= since)
            if current and user["username"] != pull_request.author and self._writes(user["id"]):
                approvers.append(user["username"])
        owners = self._code_owners(path)
        return Reviews(pull_request.number, pull_request.author, pull_request.head, tuple(approvers), owners)

    def issues(self) -> Iterator[Issue]:
        """Yield the open issues of our own."""
        query = urlencode({"state": "opened", "author_id": self._myself(), "scope": "all", "per_page": 100})
        shape = {"iid": int, "description": Optional(str), "author": Optional(_USER)}
        for item in self.http.items(f"{self._at}/issues?{query}", shape):
            if self._ours(item):
                yield Issue(item["iid"], item["description"] or "")

    def add_issue(self, title: str, body: str, labels: Iterable[str]) -> None:
        """Open an issue. Raises Ambiguous where nobody knows whether it is there now."""
        told = {"title": title, "description": body, "labels": ",".join(labels)}
        self.http.ask("POST", f"{self._at}/issues", told, once=True)

    def change_issue(self, number: int, body: str) -> None:
        """Say something else in an issue."""
        self.http.ask("PUT", f"{self._at}/issues/{number}", {"description": body})

    def close_issue(self, number: int, comment: str) -> None:
        """Close an issue, with a comment that says why. It is closed first: what is closed is never commented twice."""
        self.http.ask("PUT", f"{self._at}/issues/{number}", {"state_event": "close"})
        self.http.ask("POST", f"{self._at}/issues/{number}/notes", {"body": comment}, once=True)

    def _latest_version(self, path: str, head: str) -> datetime | None:
        """When the merge request came to be what it is now; None where its latest version is of another head."""
        shape = {"head_commit_sha": str, "created_at": str}
        versions = list(self.http.items(f"{path}/versions?per_page=100", shape))
        times = [(at, version["head_commit_sha"]) for version in versions if (at := _time(version["created_at"]))]
        latest = max(times, default=None)
        return latest[0] if latest and latest[1] == head else None

    def _noted(self, path: str) -> dict[int, str]:
        """When each user last approved, by the notes that GitLab itself writes."""
        found: dict[int, str] = {}
        for note in self.http.items(f"{path}/notes?sort=asc&order_by=created_at&per_page=100", _NOTE):
            if note["system"] and note["author"] and note["body"].strip() == "approved this merge request":
                found[note["author"]["id"]] = note["created_at"]
        return found

    def _writes(self, user: int) -> bool:
        answer = self.http.ask("GET", f"{self._at}/members/all/{user}", quiet=(404,))
        shape = {"access_level": int, "state": Optional(str)}
        if answer.status != 200:
            return False
        member = self.http.fitting(answer.body, shape)
        return bool(member["access_level"] >= _DEVELOPER and member.get("state", "active") == "active")

    def _code_owners(self, path: str) -> bool | None:
        """Whether all rules of code owners that ask for somebody are fulfilled; GitLab Free has none."""
        answer = self.http.ask("GET", f"{path}/approval_state", quiet=(403, 404))
        if answer.status != 200:
            return None
        rule = {"rule_type": str, "approvals_required": int, "approved": bool}
        rules = self.http.fitting(answer.body, {"rules": [rule]})["rules"]
        asked = [one["approved"] for one in rules if one["rule_type"] == "code_owner" and one["approvals_required"]]
        return all(asked) if asked else None

    def _ours(self, item: Mapping[str, Any]) -> bool:
        """Whether the token's own user wrote it: `GET /user` answers every token but that of a job. A marker alone is
        no sign: anybody may write it.
        """
        return bool(item["author"]) and item["author"]["id"] == self._myself()

    def _myself(self) -> int:
        if self._me is None:
            self._me = int(self.http.get("/user", _USER)["id"])
        return self._me

    def _merge(self, number: int) -> str:
        return f"{self._at}/merge_requests/{number}"


def _pull_request(item: Mapping[str, Any]) -> PullRequest:
    merged = item["state"] == "merged"
    made = item.get("merge_commit_sha") or item.get("squash_commit_sha") or item.get("sha") or ""
    return PullRequest(
        number=item["iid"],
        author=item["author"]["username"] if item["author"] else "",
        head=item.get("sha") or "",
        base=item["target_branch"],
        is_open=item["state"] == "opened",
        merged_as=made if merged else "",
    )


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
