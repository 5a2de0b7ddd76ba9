"""A preview as annotations, which a host shows at the rendered files, and as numbers, which its widgets show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from infra_orch.hosts.host import Annotation
from infra_orch.report.comment import nodes_of
from infra_orch.report.sarif import Finding, findings
from infra_orch.report.style import safe
from infra_orch.run.outcome import Counts, Status

_LINE = re.compile(r"\bon main\.tf line ([0-9]{1,6})\b")
_SHOWN = ("failed", "refused", "destroyed", "replaced")
"""What is annotated, the worst first. Warnings and what waits are in the comment."""
_LONGEST = 4000


def annotations_of(stacks: Mapping[str, Mapping[str, Any]], prefix: str) -> list[Annotation]:
    """Return what fails, is refused, destroyed or replaced, at the unit's rendered file, the worst first.

    *stacks* are the documents of runs (schema run-document-1), by the names of the stacks' folders; *prefix* is the
    path of the project in its repository: empty, or with a slash at its end.
    """
    shown = (found for found in findings(stacks, prefix) if found.rule in _SHOWN)
    return [_annotation(found) for found in sorted(shown, key=lambda found: _SHOWN.index(found.rule))]


def _annotation(found: Finding) -> Annotation:
    # A rendered unit has one file of ours that can be wrong; lines of other files are in the detail.
    line = _LINE.search(found.detail)
    text = safe(f"{found.text}\n\n{found.detail}".strip())
    return Annotation(
        path=found.file,
        line=int(line[1]) if line else 1,
        level="failure" if found.level == "error" else "warning",
        title=safe(f"{found.unit} {found.rule}", keep_newlines=False),
        message=text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…",
    )


def terraform_report(stacks: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how many resources a preview creates, updates and deletes, as GitLab's report `terraform` has it: what is
    replaced is both deleted and created.
    """
    planned = (node.counts for node in nodes_of(stacks).values() if node.status is Status.PLANNED)
    sums = sum(planned, Counts())
    return json.dumps(
        {"create": sums.create + sums.replace, "update": sums.update, "delete": sums.delete + sums.replace}
    )
