"""The marks by which a comment of ours is found again, what commit it is of, and how it is said to be out of date.

A mark is the last line of a comment, and a comment of HTML, so nobody sees it. What others wrote stands in fences, and
can never be that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from infra_orch.report.markdown import at_most, code, fence, length, one_line

ROOM = 1000
"""Characters that a comment is to leave free, for the line that says that it is out of date."""
_PREVIEW = re.compile(r"<!-- infra-orch preview: [A-Za-z0-9_.-]{1,64} -->")
_HEAD = re.compile(r"<!-- infra-orch commit: ([0-9a-f]{40,64}) -->")
_MOST_LINES = 50
_OUTDATED = "**Out of date**: "


def mark_of(kind: str, group: str) -> str:
    """Return the mark of what is said of a group of stacks: `<!-- infra-orch preview: default -->`."""
    return f"<!-- infra-orch {kind}: {group} -->"


def preview_mark(body: str) -> str:
    """Return the mark that a comment ends with, whichever group of stacks it is of; empty where it is no preview."""
    last = body.rstrip().rpartition("\n")[2].strip()
    return last if _PREVIEW.fullmatch(last) else ""


def of_commit(body: str, commit: str) -> str:
    """Return a comment that says, to programs, which commit it is of, if that is known. *body* ends with its mark."""
    if not commit:
        return body.rstrip()
    text, _, mark = body.rstrip().rpartition("\n")
    return f"{text}\n<!-- infra-orch commit: {commit} -->\n{mark}"


def commit_of(body: str) -> str:
    """Return the commit that a comment is of, where it is up to date; else nothing."""
    lines = body.rstrip().splitlines()
    found = _HEAD.fullmatch(lines[-2].strip()) if len(lines) > 1 else None
    return found[1] if found and not body.startswith(_OUTDATED) else ""


def outdated(body: str, why: str, limit: int) -> str:
    """Return a comment that says first that it is out of date, and *why*, with its verdict struck.

    One that says so already says the new reason instead. *why* is Markdown of one line. Of what is longer than *limit*
    characters then, the verdict is left.
    """
    rest = body
    if body.startswith(_OUTDATED):
        rest = body.partition("\n")[2].lstrip("\n")
    first, end, more = rest.partition("\n")
    if first.startswith("### ") and "~~" not in first:
        first = f"### ~~{first.removeprefix('### ')}~~"
    whole = f"{_OUTDATED}{why}\n\n{first}{end}{more}"
    if length(whole) <= limit:
        return whole
    lines = rest.rstrip().splitlines()
    return f"{_OUTDATED}{why}\n\n{first}\n\n" + "\n".join(lines[-2:])


def moved(what: str, commit: str) -> str:
    """Return why something is out of date: a branch, or whatever, has moved to another commit."""
    return f"{what} has moved to {code(commit[:12])}."


def broken(lines: Iterable[str], commit: str, mark: str) -> str:
    """Return the comment of a preview that could not be made, which says why in *lines*."""
    said = fence(at_most([*map(one_line, lines)], _MOST_LINES))
    return f"### infra-orch: the preview could not be made\n\n{said}\n\ncommit {code(commit[:12])}\n\n{mark}"
