"""What `doctor` finds, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from infra_orch.report.style import Style, safe

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:doctor:1"
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Finding:
    """What a check came to: *mend* is the command or edit that mends what is amiss."""

    check: str
    status: Literal["ok", "warning", "error"]
    what: str
    mend: str = ""


def ok(check: str, what: str) -> Finding:
    """A check that found nothing amiss."""
    return Finding(check, "ok", what)


def warning(check: str, what: str, mend: str) -> Finding:
    """A check that found what somebody may want to mend."""
    return Finding(check, "warning", what, mend)


def error(check: str, what: str, mend: str) -> Finding:
    """A check that found what a run would fail at."""
    return Finding(check, "error", what, mend)


def doctor_document(findings: Sequence[Finding], *, online: bool) -> dict[str, Any]:
    """Return the findings as `--json` has them."""
    listed = [asdict(finding) for finding in findings]
    return {"$schema": SCHEMA_ID, "schema": SCHEMA, "online": online, "findings": listed}


def doctor_lines(findings: Sequence[Finding], style: Style) -> Iterator[str]:
    """Yield a line for each finding, and below it what mends it."""
    width = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        word = style(f"{finding.status:<7}", _COLOURS[finding.status])
        yield f"{word}  {finding.check:<{width}}  {safe(finding.what, keep_newlines=False)}"
        if finding.mend:
            yield f"{'':<{width + 11}}{style('→', 'cyan')} {safe(finding.mend, keep_newlines=False)}"


def doctor_summary(findings: Sequence[Finding]) -> str:
    """Return how much is amiss."""
    statuses = [finding.status for finding in findings]
    counts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for word in ("error", "warning")
        if (number := statuses.count(word))
    ]
    return ", ".join(counts) or "nothing is amiss"
