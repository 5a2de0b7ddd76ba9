"""A preview as SARIF, which code hosts show beside the rendered files: what failed, and what is destroyed.

Source of the format: Static Analysis Results Interchange Format (SARIF) Version 2.1.0, OASIS Standard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    results = [
        _result(rule, text, f"{prefix}stacks/{stack}/rendered/{name}/main.tf", f"{stack}/{name}", address)
        for stack, run in stacks.items()
        for name, node in read_outcomes(run).items()
        if not node.is_task
        for rule, text, address in _found(node)
    ]
    results = sorted(results, key=lambda result: _LEVELS.index(result["level"]))[:_MOST]
    driver = {"name": "infra-orch", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _found(node: Outcome) -> Iterator[tuple[str, str, str]]:
    """What there is to say of a unit: the rule, a text, and the address of a resource."""
    if node.status in (Status.FAILED, Status.REFUSED, Status.DEFERRED):
        yield node.status, node.failure.summary if node.failure else node.status, ""
    for change in node.resources:
        if change.destroys:
            rule = "replaced" if change.replaces else "destroyed"
            yield rule, f"{change.address} is {rule}", change.address
    for warning in node.warnings:
        yield "warned", warning, ""


def _result(rule: str, text: str, file: str, unit: str, address: str) -> dict[str, Any]:
    name = safe(f"{unit}: {address}" if address else unit, keep_newlines=False)
    return {
        "ruleId": rule,
        "level": _RULES[rule][0],
        "message": {"text": safe(f"{unit}: {text}")},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
                "logicalLocations": [{"fullyQualifiedName": name}],
            }
        ],
        # The same thing in another run is the same alert.
        "partialFingerprints": {"infraOrch/v1": f"{rule} {name}"},
    }
