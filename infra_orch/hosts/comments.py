"""One comment, found by its mark and its author, and changed in place; one issue, in the same way.

Whoever may comment could write the mark, and whoever runs the same job could write at the same time. So only what our
own user wrote counts, only where the mark is its last line, and where two are there, the oldest is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from infra_orch.hosts.answer import Ambiguous
from infra_orch.hosts.host import Comment, Host, Issue

_TRIES = 3


def marked(text: str, mark: str) -> bool:
    """Whether *mark* is the last line of *text*."""
    return text.rstrip().rpartition("\n")[2] == mark


def find_comment(host: Host, number: int, mark: str) -> Comment | None:
    """Return the comment of ours with that mark, and take away any more of them. Raises UnavailableError."""
    found = [one for one in host.comments(number) if marked(one.body, mark)]
    for one in found[1:]:
        host.remove_comment(number, one.id)
    return found[0] if found else None


def put_comment(host: Host, number: int, mark: str, body: str) -> None:
    """Say *body*, which ends with *mark*, in the comment with that mark, or in a new one. Raises UnavailableError."""

    def again() -> bool:
        found = find_comment(host, number, mark)
        if found and found.body != body:
            host.change_comment(number, found.id, body)
        return found is not None

    _once(again, lambda: host.add_comment(number, body))


def find_issue(host: Host, mark: str) -> Issue | None:
    """Return the open issue of ours with that mark, the oldest. Raises UnavailableError."""
    found = [one for one in host.issues() if marked(one.body, mark)]
    return min(found, key=lambda one: one.number, default=None)


def put_issue(host: Host, mark: str, title: str, body: str, labels: Iterable[str]) -> None:
    """Say *body*, which ends with *mark*, in the open issue with that mark, or in a new one.

    Raises UnavailableError.
    """

    def again() -> bool:
        found = find_issue(host, mark)
        if found and found.body != body:
            host.change_issue(found.number, body)
        return found is not None

    _once(again, lambda: host.add_issue(title, body, labels))


def _once(again: Callable[[], bool], add: Callable[[], None]) -> None:
    """Have one thing there: looked for by *again*, which changes what it finds, and added where there is none.

    Where nobody knows whether it was added, it is looked for before it is added again.
    """
    for number in range(_TRIES):
        if again():
            return
        try:
            add()
        except Ambiguous:
            if number == _TRIES - 1:
                raise
        else:
            return
