"""A repository at GitHub, or GitHub Enterprise Server, by its REST API of 2022-11-28 and a little of GraphQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from infra_orch.hosts.answer import HostError
from infra_orch.hosts.host import Annotation, Check, Comment, Issue, PullRequest, Reviews, Status
from infra_orch.hosts.http import Http
from infra_orch.shape import Optional

LIMIT = 65_536
_DESCRIPTION = 140
_AT_ONCE = 50
"""So many annotations GitHub takes in one request."""
_MOST_ANNOTATIONS = 500
_SUMMARY = 60_000
_MESSAGE = 16_000
_TITLE = 255
_ACTIONS_BOT = "github-actions[bot]"
_USER = {"id": int, "login": str}
_COMMENT = {"id": int, "body": Optional(str), "user": Optional(_USER)}
_PULL = {
    "number": int,
    "state": str,
    "user": Optional(_USER),
    "head": {"sha": str},
    "base": {"ref": str},
    "merge_commit_sha": Optional(str),
    "merged_at": Optional(str),
}
_REVIEW = {"user": Optional(_USER), "state": str, "commit_id": Optional(str)}
_WRITES = ("admin", "write")
_MAY_NOT = (403, 404)
_VIEWER = "query { viewer { databaseId } }"
_DECISION = """\
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewDecision
      baseRef { refUpdateRule { requiresCodeOwnerReviews } }
    }
  }
}"""


@dataclass
class GitHub:
    """See Host. *repository* is `owner/name`. *graphql* is the address of the GraphQL API. *in_actions*: the token is
    that of a job of GitHub Actions, if it is nobody else's.
    """

    http: Http
    repository: str
    graphql: str
    in_actions: bool = False
    name: str = "GitHub"
    limit: int = LIMIT
    _me: int | None = field(default=None, init=False)

    @property
    def _at(self) -> str:
        return f"/repos/{quote(self.repository)}"

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""
        return _pull_request(self.http.get(f"{self._at}/pulls/{number}", _PULL))

    def pull_requests_into(self, base: str) -> Iterator[PullRequest]:
        """Yield the open pull requests that go to the branch *base*."""
        query = urlencode({"state": "open", "base": base, "per_page": 100})
        yield from (_pull_request(item) for item in self.http.items(f"{self._at}/pulls?{query}", _PULL))

    def pull_requests_with(self, commit: str) -> list[PullRequest]:
        """Return the pull requests that *commit* is part of, or was made by."""
        path = f"{self._at}/commits/{quote(commit, safe='')}/pulls?per_page=100"
        return [_pull_request(item) for item in self.http.items(path, _PULL)]

    def branch(self, name: str) -> str:
        """Return the commit that a branch is at."""
        found = self.http.get(f"{self._at}/branches/{quote(name, safe='')}", {"commit": {"sha": str}})
        return str(found["commit"]["sha"])

    def comments(self, number: int) -> list[Comment]:
        """Return the comments of our own on a pull request, the oldest first."""
        found = self.http.items(f"{self._at}/issues/{number}/comments?per_page=100", _COMMENT)
        return [Comment(item["id"], _text(item)) for item in found if self._ours(item)]

    def add_comment(self, number: int, body: str) -> None:
        """Comment on a pull request. Raises Ambiguous where nobody knows whether it is there now."""
        self.http.ask("POST", f"{self._at}/issues/{number}/comments", {"body": body}, once=True)

    def change_comment(self, number: int, comment: int, body: str) -> None:  # noqa: ARG002  GitLab needs it
        """Say something else in a comment."""
        self.http.ask("PATCH", f"{self._at}/issues/comments/{comment}", {"body": body})

    def remove_comment(self, number: int, comment: int) -> None:  # noqa: ARG002  GitLab needs it
        """Take a comment away."""
        self.http.ask("DELETE", f"{self._at}/issues/comments/{comment}", quiet=(404,))

    def set_status(self, commit: str, status: Status) -> None:
        """Set the status of a commit."""
        url = {"target_url": status.url} if status.url else {}
        description = _cut(status.description, _DESCRIPTION)
        body = {"state": status.state, "context": status.context, "description": description, **url}
        self.http.ask("POST", f"{self._at}/statuses/{commit}", body)

    def annotate(self, commit: str, check: Check) -> bool:
        """Show annotations at a commit, as a check run. Returns False where the token may not: only an app's may."""
        notes = [_annotation(note) for note in check.annotations[:_MOST_ANNOTATIONS]]
        more = len(check.annotations) - len(notes)
        summary = f"{check.title}{f' · {more} more are not shown here' if more else ''}"
        output = {"title": _cut(check.title, _TITLE), "summary": _cut(summary, _SUMMARY)}
        body = {
            "name": check.name,
            "head_sha": commit,
            "status": "completed",
            "conclusion": "failure" if check.failed else "neutral",
            "output": {**output, "annotations": notes[:_AT_ONCE]},
            **({"details_url": check.url} if check.url else {}),
        }
        answer = self.http.ask("POST", f"{self._at}/check-runs", body, quiet=(403, 404))
        if answer.status >= 300:
            return False
        for start in range(_AT_ONCE, len(notes), _AT_ONCE):
            more_of = {"output": {**output, "annotations": notes[start : start + _AT_ONCE]}}
            self.http.ask(
                "PATCH", f"{self._at}/check-runs/{self.http.fitting(answer.body, {'id': int})['id']}", more_of
            )
        return True

    def reviews(self, pull_request: PullRequest, *, of_any_commit: bool = False) -> Reviews:
        """Return who has approved a pull request; *of_any_commit*: also who approved an earlier head of it.

        GitHub lets triagers and readers review, too, so each is asked for what he may do. A comment takes no approval
        back, a dismissal or a request for changes does.
        """
        path = f"{self._at}/pulls/{pull_request.number}/reviews?per_page=100"
        last: dict[str, Mapping[str, Any]] = {}
        for review in self.http.items(path, _REVIEW):
            if review["user"] and review["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
                last[review["user"]["login"]] = review
        approvers = tuple(
            login
            for login, review in last.items()
            if review["state"] == "APPROVED"
            and (of_any_commit or review["commit_id"] == pull_request.head)
            and login != pull_request.author
            and self._writes(login)
        )
        owners = self._code_owners(pull_request)
        return Reviews(pull_request.number, pull_request.author, pull_request.head, approvers, owners)

    def issues(self) -> Iterator[Issue]:
        """Yield the open issues of our own. Pull requests are issues to GitHub, and are left out."""
        shape = {**_COMMENT, "number": int}
        for item in self.http.items(f"{self._at}/issues?state=open&per_page=100", shape):
            if "pull_request" not in item and self._ours(item):
                yield Issue(item["number"], _text(item))

    def add_issue(self, title: str, body: str, labels: Iterable[str]) -> None:
        """Open an issue. Raises Ambiguous where nobody knows whether it is there now."""
        self.http.ask("POST", f"{self._at}/issues", {"title": title, "body": body, "labels": [*labels]}, once=True)

    def change_issue(self, number: int, body: str) -> None:
        """Say something else in an issue."""
        self.http.ask("PATCH", f"{self._at}/issues/{number}", {"body": body})

    def close_issue(self, number: int, comment: str) -> None:
        """Close an issue, with a comment that says why. It is closed first: what is closed is never commented twice."""
        self.http.ask("PATCH", f"{self._at}/issues/{number}", {"state": "closed", "state_reason": "completed"})
        self.http.ask("POST", f"{self._at}/issues/{number}/comments", {"body": comment}, once=True)

    def _writes(self, login: str) -> bool:
        path = f"{self._at}/collaborators/{quote(login, safe='')}/permission"
        answer = self.http.ask("GET", path, quiet=(404,))
        return answer.status == 200 and self.http.fitting(answer.body, {"permission": str})["permission"] in _WRITES

    def _code_owners(self, pull_request: PullRequest) -> bool | None:
        """Whether the code owners have approved, where the branch asks for that.

        GitHub tells no owner's review apart. But where a branch asks for them, its decision is only APPROVED with them.
        Classic branch protection shows in GraphQL, rulesets show in REST, and both to anybody who may read.
        """
        owner, _, name = self.repository.partition("/")
        variables = {"owner": owner, "name": name, "number": pull_request.number}
        found = self._graphql(_DECISION, variables)
        pull = (found.get("repository") or {}).get("pullRequest") or {}
        rule = (pull.get("baseRef") or {}).get("refUpdateRule") or {}
        if not rule.get("requiresCodeOwnerReviews") and not self._ruleset_asks(pull_request.base):
            return None
        return pull.get("reviewDecision") == "APPROVED"

    def _ruleset_asks(self, branch: str) -> bool:
        rules = self.http.items(f"{self._at}/rules/branches/{quote(branch, safe='')}?per_page=100", {"type": str})
        return any((rule.get("parameters") or {}).get("require_code_owner_review") for rule in rules)

    def _ours(self, item: Mapping[str, Any]) -> bool:
        """Whether the token's own user wrote it. A marker alone is no sign: anybody may write it."""
        return bool(item["user"]) and item["user"].get("id") == self._myself()

    def _myself(self) -> int:
        """Who the token is: asked of GraphQL's `viewer`, which answers tokens of apps, too, such as those of Actions;
        `GET /user`, which GraphQL may be switched off for, answers those of people. Users are compared by their number,
        since GraphQL writes the name of an app without the `[bot]` that REST has.

        Where neither tells and the job is one of Actions, it is the user that every job's token is. Raises HostError
        where nobody knows: then nothing is changed that others may have written.
        """
        if self._me is None:
            bot = [f"/users/{quote(_ACTIONS_BOT)}"] if self.in_actions else []
            self._me = self._first_of(_VIEWER, "/user", *bot)
        return self._me

    def _first_of(self, way: str, *others: str) -> int:
        try:
            if way == _VIEWER:
                return int(
                    self.http.fitting(self._graphql(way, {}), {"viewer": {"databaseId": int}})["viewer"]["databaseId"]
                )
            return int(self.http.get(way, _USER)["id"])
        except HostError as error:
            # A host that is ill tells nothing of who the token is.
            if error.status not in _MAY_NOT or not others:
                raise
        return self._first_of(*others)

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        body = self.http.ask("POST", self.graphql, {"query": query, "variables": variables}).body
        found = self.http.fitting(body, {"data": Optional({}), "errors": Optional([object])})
        if found.get("errors") or found.get("data") is None:
            hint = "see what the token may read"
            raise HostError("GitHub's GraphQL API did not answer the question", hint=hint, status=403)
        return dict(found["data"])


def _pull_request(item: Mapping[str, Any]) -> PullRequest:
    return PullRequest(
        number=item["number"],
        author=item["user"]["login"] if item["user"] else "",
        head=item["head"]["sha"],
        base=item["base"]["ref"],
        is_open=item["state"] == "open",
        merged_as=(item.get("merge_commit_sha") or "") if item.get("merged_at") else "",
    )


def _annotation(note: Annotation) -> dict[str, Any]:
    return {
        "path": note.path,
        "start_line": note.line,
        "end_line": note.line,
        "annotation_level": note.level,
        "title": _cut(note.title, _TITLE),
        "message": _cut(note.message, _MESSAGE),
    }


def _text(item: Mapping[str, Any]) -> str:
    return item["body"] or ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
