"""The one document that `--json` prints, for plan, apply and destroy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from infra_orch.gateway.client import Used
from infra_orch.graph.graph import Graph
from infra_orch.record.record import RunFacts, node_json, resource_json, task_json
from infra_orch.run.outcome import Outcome

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:run-document:1"
SEVERAL_SCHEMA_ID = "urn:infra-orch:schema:runs-document:1"


def document(
    outcomes: Mapping[str, Outcome],
    facts: RunFacts,
    graph: Graph,
    *,
    status: str,
    left_over: list[str],
    gateway: Used | None,
) -> dict[str, Any]:
    """Return the document of a run, whose nodes come in the order of *graph*. *left_over* are units that left the spec
    and still exist.

    *gateway* is what the provider gateway did; None where it was switched off.
    """
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "run_id": facts.run_id,
        "stack": facts.stack,
        "command": facts.command,
        "status": status,
        "at": facts.at,
        "by": facts.by,
        "duration_s": round(facts.duration, 2),
        "sandbox": facts.sandbox,
        "commit": facts.commit,
        "dirty": facts.dirty,
        "engine": {"name": facts.engine, "version": facts.engine_version},
        "units": {name: unit_json(outcome) for name, outcome in outcomes.items() if not outcome.is_task},
        "tasks": {name: task_json(outcome) for name, outcome in outcomes.items() if outcome.is_task},
        "edges": [list(edge) for edge in graph.edges],
        "left_over": left_over,
        "gateway": _gateway(gateway),
    }


def unit_json(outcome: Outcome) -> dict[str, Any]:
    """Return a unit's outcome with what a record leaves out: each attribute, and what Terraform said of a failure."""
    found = node_json(outcome)
    found["resources"] = [resource_json(change) for change in outcome.resources]
    if outcome.failure:
        found["error"]["detail"] = outcome.failure.detail
    return found


def documents(stacks: Mapping[str, Any], command: str, status: str, duration: float) -> dict[str, Any]:
    """Return the document of a run over several stacks, given document() of each by the name of its folder."""
    return {
        "$schema": SEVERAL_SCHEMA_ID,
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "duration_s": round(duration, 2),
        "stacks": dict(stacks),
    }


def as_one(
    stacks: Mapping[str, Mapping[str, Any]],
    command: str,
    status: str,
    duration: float,
    across: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return the documents of several stacks, by the names of their folders, as one document of a run, in which nodes
    go by their stack's name and their own. What is true of the runs is that of the first. *across* are edges that lead
    from one stack to another.
    """
    first: Mapping[str, Any] = next(iter(stacks.values()), {})
    facts = {key: first.get(key) for key in ("run_id", "at", "by", "sandbox", "commit", "engine")}
    nodes = {
        kind: {f"{stack}/{name}": node for stack, run in stacks.items() for name, node in run[kind].items()}
        for kind in ("units", "tasks")
    }
    return {
        **facts,
        "command": command,
        "stack": ", ".join(stacks) or "no stack",
        "status": status,
        "duration_s": round(duration, 2),
        "dirty": any(run["dirty"] for run in stacks.values()),
        **nodes,
        "edges": [
            *([f"{stack}/{end}" for end in edge] for stack, run in stacks.items() for edge in run["edges"]),
            *map(list, across),
        ],
        "left_over": [f"{stack}/{unit}" for stack, run in stacks.items() for unit in run["left_over"]],
    }


def _gateway(used: Used | None) -> dict[str, Any] | None:
    if used is None:
        return None
    fallbacks = [{"provider": name, "reason": why} for name, why in sorted(used.fallbacks.items())]
    return {"providers_started": used.started, "shared": used.shared, "fallbacks": fallbacks}


def text(document: Mapping[str, Any], *, readable: bool = True) -> str:
    """Return a document as text, *readable* or all in one line, which takes a tenth of the time."""
    return json.dumps(document, indent=2 if readable else None, ensure_ascii=False, default=str)
