"""What a round of a reconciler came to: one line for people, a document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch.errors import ExitCode, UserError
from infra_orch.report.style import safe

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:reconcile:1"
_STATUS = {
    ExitCode.DONE: "reconciled",
    ExitCode.UNAVAILABLE: "unavailable",
    ExitCode.LOCKED: "locked",
    ExitCode.REFUSED: "refused",
    ExitCode.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class Round:
    """What came of a round.

    *commit* is the commit of the branch that was followed, *recorded* where the branch was afterwards; None: it did not
    come so far. *pushed* is whether records were pushed; None: there were none. *over* is what a lease said that a
    predecessor has left behind. *stacks* are the documents of the runs. *code* is the exit code.
    """

    branch: str
    remote: str
    commit: str | None
    recorded: str | None
    pushed: bool | None
    over: str | None
    stacks: Mapping[str, Any]
    code: int
    error: UserError | None

    @property
    def status(self) -> str:
        """The round in one word."""
        return _STATUS.get(ExitCode(self.code), "failed") if self.code in list(ExitCode) else "failed"


def round_document(found: Round, at: str, seconds: float) -> dict[str, Any]:
    """Return a round as a document, schema reconcile-1. *at* is when it began, ISO 8601 in UTC."""
    error = found.error
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "status": found.status,
        "exit_code": int(found.code),
        "at": at,
        "duration_s": round(seconds, 2),
        "remote": found.remote,
        "branch": found.branch,
        "commit": found.commit,
        "recorded": found.recorded,
        "pushed": found.pushed,
        "predecessor": found.over,
        "stacks": dict(found.stacks),
        "error": {"summary": error.summary, "hint": error.hint} if error else None,
    }


def document_text(document: Mapping[str, Any], *, on_a_line: bool) -> str:
    """Return a document as text; *on_a_line*: as one of many."""
    return json.dumps(document, indent=None if on_a_line else 2, ensure_ascii=False, default=str)


def round_line(found: Round) -> str:
    """Return what a round came to, in a line; nothing where an error says it."""
    if found.commit is None:
        return ""
    where = f"{found.remote} {safe(found.branch)} at {found.commit[:10]}"
    if found.code == ExitCode.DONE:
        more = f", recorded in {found.recorded[:10]}" if found.recorded and found.recorded != found.commit else ""
        return f"reconciled: {where}{more}"
    return f"{found.status}: {where}"
