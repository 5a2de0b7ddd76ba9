"""A preview as SARIF, which code hosts show beside the rendered files: what failed, and what is destroyed.

Source of the format: Static Analysis Results Interchange Format (SARIF) Version 2.1.0, OASIS Standard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch._version import __version__
from infra_orch.record.read import read_outcomes
from infra_orch.report.style import safe
from infra_orch.run.outcome import Outcome, Status

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = ("error", "warning", "note")
_MOST = 5000
"""GitHub shows no more results of a run than that; the most severe come first."""
_RULES = {
    "failed": ("error", "A unit could not be planned."),
    "refused": ("error", "A unit may not be changed in this way."),
    "destroyed": ("warning", "A resource would be destroyed."),
    "replaced": ("warning", "A resource would be destroyed and created anew."),
    "warned": ("warning", "Terraform warned of something."),
    "deferred": ("note", "A unit waits for values that nobody knows yet."),
}


def sarif(stacks: Mapping[str, Mapping[str, Any]], prefix: str) -> str:
    """Return the documents of runs (schema run-document-1), by the names of the stacks' folders, as SARIF 2.1.0.

    *prefix* is the path of the project in its repository: empty, or with a slash at its end.
    """
    rules = [
        {"id": rule, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}
        for rule, (level, text) in _RULES.items()
    ]
    results = [_result(found) for found in findings(stacks, prefix)]
    results = sorted(results, key=lambda result: _LEVELS.index(result["level"]))[:_MOST]
    driver = {"name": "infra-orch", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Finding:
    """Something to say of a unit at its rendered *file*. *address* is that of the resource that it is about, if it is
    about one. *detail* is what Terraform said.
    """

    rule: str
    text: str
    file: str
    unit: str
    address: str = ""
    detail: str = ""

    @property
    def level(self) -> str:
        """How bad it is: `error`, `warning` or `note`."""
        return _RULES[self.rule][0]


def findings(stacks: Mapping[str, Mapping[str, Any]], prefix: str) -> Iterator[Finding]:
    """Yield what there is to say of units, given the documents of runs as sarif() is."""
    for stack, run in stacks.items():
        for name, node in read_outcomes(run).items():
            if not node.is_task:
                yield from _found(node, f"{prefix}stacks/{stack}/rendered/{name}/main.tf", f"{stack}/{name}")


def _found(node: Outcome, file: str, unit: str) -> Iterator[Finding]:
    if node.status in (Status.FAILED, Status.REFUSED, Status.DEFERRED):
        failure = node.failure
        text, detail = (failure.summary, failure.detail) if failure else (str(node.status), "")
        yield Finding(node.status, text, file, unit, detail=detail)
    for change in node.resources:
        if change.destroys:
            rule = "replaced" if change.replaces else "destroyed"
            yield Finding(rule, f"{change.address} is {rule}", file, unit, change.address)
    for warning in node.warnings:
        yield Finding("warned", warning, file, unit)


def _result(found: Finding) -> dict[str, Any]:
    name = safe(f"{found.unit}: {found.address}" if found.address else found.unit, keep_newlines=False)
    return {
        "ruleId": found.rule,
        "level": found.level,
        "message": {"text": safe(f"{found.unit}: {found.text}")},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": found.file}, "region": {"startLine": 1}},
                "logicalLocations": [{"fullyQualifiedName": name}],
            }
        ],
        # The same thing in another run is the same alert.
        "partialFingerprints": {"infraOrch/v1": f"{found.rule} {name}"},
    }
