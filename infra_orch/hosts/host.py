"""What a host of git repositories can be asked and told, whichever it is; and the values that go there and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

State: TypeAlias = Literal["pending", "success", "failure", "error"]
"""What a commit status says: `error` is where nobody could tell."""
Level: TypeAlias = Literal["notice", "warning", "failure"]


@dataclass(frozen=True)
class PullRequest:
    """A pull request, or merge request: its *number*, its *author*'s login, the commit at its *head*, the name of the
    branch that it goes to. *merged_as* is the commit that its merge made, where it is merged.
    """

    number: int
    author: str
    head: str
    base: str
    is_open: bool = True
    merged_as: str = ""


@dataclass(frozen=True)
class Comment:
    """A comment of the token's own user."""

    id: int
    body: str


@dataclass(frozen=True)
class Status:
    """What a commit is said to be: *context* tells apart who says it, *url* leads to more."""

    context: str
    state: State
    description: str
    url: str = ""


@dataclass(frozen=True)
class Annotation:
    """What is said of a line of a file, whose *path* is relative to the repository's root."""

    path: str
    line: int
    level: Level
    title: str
    message: str


@dataclass(frozen=True)
class Check:
    """Annotations under one *name*, and what they come to."""

    name: str
    failed: bool
    title: str
    annotations: Sequence[Annotation]
    url: str = ""


@dataclass(frozen=True)
class Issue:
    """An open issue of the token's own user."""

    number: int
    body: str


@dataclass(frozen=True)
class Reviews:
    """Who has approved a pull request.

    *approvers* are logins: those whose last word is an approval of *head*, who may write to the repository, and are
    not the *author*. *code_owners* is whether all code owners that the branch asks for have approved; None where the
    branch asks for none, or the host does not tell.
    """

    pull_request: int
    author: str
    head: str
    approvers: tuple[str, ...]
    code_owners: bool | None


class Host(Protocol):
    """A repository at a host. Every method raises UnavailableError where the host does not do what it is asked."""

    name: str
    limit: int
    """Characters that a comment may have."""

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""

    def pull_requests_into(self, base: str) -> Iterator[PullRequest]:
        """Yield the open pull requests that go to the branch *base*."""

    def pull_requests_with(self, commit: str) -> list[PullRequest]:
        """Return the pull requests that *commit* is part of, or was made by."""

    def branch(self, name: str) -> str:
        """Return the commit that a branch is at."""

    def comments(self, number: int) -> list[Comment]:
        """Return the comments of our own on a pull request, the oldest first."""

    def add_comment(self, number: int, body: str) -> None:
        """Comment on a pull request. Raises Ambiguous where nobody knows whether it is there now."""

    def change_comment(self, number: int, comment: int, body: str) -> None:
        """Say something else in a comment."""

    def remove_comment(self, number: int, comment: int) -> None:
        """Take a comment away."""

    def set_status(self, commit: str, status: Status) -> None:
        """Set the status of a commit."""

    def annotate(self, commit: str, check: Check) -> bool:
        """Show annotations at a commit. Returns False where this host, or this token, has no such thing."""

    def reviews(self, pull_request: PullRequest, *, of_any_commit: bool = False) -> Reviews:
        """Return who has approved a pull request; *of_any_commit*: also who approved an earlier head of it."""

    def issues(self) -> Iterator[Issue]:
        """Yield the open issues of our own."""

    def add_issue(self, title: str, body: str, labels: Iterable[str]) -> None:
        """Open an issue. Raises Ambiguous where nobody knows whether it is there now."""

    def change_issue(self, number: int, body: str) -> None:
        """Say something else in an issue."""

    def close_issue(self, number: int, comment: str) -> None:
        """Close an issue, with a comment that says why."""
