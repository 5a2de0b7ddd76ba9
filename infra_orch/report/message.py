"""What a notification says, made from redacted documents of runs: names, words and numbers, and no text of Terraform's.

A chat shows what it gets to many people, so what a provider said of an error stays in the records and logs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from infra_orch.record.read import read_outcomes
from infra_orch.record.store import counted
from infra_orch.report.style import safe
from infra_orch.run.outcome import Counts, Outcome, Status

Documents: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Documents of runs (schema run-document-1), or what is known of runs without one, by the names of stacks' folders."""

_WORDS = {"start": "started", "waiting": "waits for an approval", "drift": "has drifted"}
_AHEAD = ("start", "waiting")
_AMISS = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.DEFERRED, Status.CANCELLED)
_QUIET = (Status.UNCHANGED, Status.SKIPPED)
_MOST_UNITS = 20
_MOST_STACKS = 5
_LONGEST_VALUE = 200
# What mentions everybody, begins a link or ends a code span in one chat or another.
_CALLS = str.maketrans({"<": "(", ">": ")", "@": " at ", "`": "'"})


def values_of(event: str, documents: Documents, url: str) -> dict[str, str]:
    """Return what the templates of notifications may name, of an *event* in the runs of *documents*."""
    first: Mapping[str, Any] = next(iter(documents.values()), {})
    nodes = _nodes(documents)
    return {
        "stack": _harmless(_listed(documents, _MOST_STACKS)),
        "status": _WORDS.get(event, event),
        "run": _harmless(first.get("run_id")),
        "command": _harmless(first.get("command")),
        "by": _harmless(str(first.get("by") or "").partition(" <")[0]),
        "commit": _harmless(first.get("commit"))[:12],
        "summary": _summary(event, nodes, documents),
        "units": "\n".join(_unit_lines(event, nodes)),
        "url": safe(url, keep_newlines=False),
    }


def title_of(values: Mapping[str, str]) -> str:
    """Return the title where no template says another."""
    return f"{values['command']} {values['stack']}: {values['status']}"


def text_of(values: Mapping[str, str]) -> str:
    """Return the text where no template says another."""
    said = [f"{name} {values[name]}" for name in ("run", "commit", "by") if values[name]]
    return "\n".join(filter(None, [values["summary"], values["units"], " · ".join(said), values["url"]]))


def _nodes(documents: Documents) -> dict[str, Outcome]:
    several = len(documents) > 1
    return {
        f"{stack}/{name}" if several else name: node
        for stack, run in documents.items()
        if "units" in run
        for name, node in read_outcomes(run).items()
    }


def _summary(event: str, nodes: Mapping[str, Outcome], documents: Documents) -> str:
    """What is to happen, has happened, or has drifted, in numbers."""
    reasons = dict.fromkeys(_harmless(run["reason"]) for run in documents.values() if "reason" in run)
    if reasons:
        return "; ".join(reasons)
    if event == "drift":
        drifted = [node for node in nodes.values() if node.status is Status.PLANNED]
        missed = sum(node.status in _AMISS for node in nodes.values())
        rest = f", {missed} could not be looked at" if missed else ""
        resources = sum(len(node.resources) for node in drifted)
        return f"{_number(resources, 'resource')} drifted in {_number(len(drifted), 'unit')}{rest}"
    statuses = Counter(node.status for node in nodes.values())
    words = [f"{statuses[status]} {status}" for status in (Status.APPLIED, *_AMISS) if statuses[status]]
    done = event not in _AHEAD
    of = (Status.APPLIED, Status.FAILED) if done else (Status.PLANNED,)
    counts = sum((node.counts for node in nodes.values() if node.status in of), Counts())
    numbers = ", ".join(counted(counts, done=done).values())
    said = " · ".join(filter(None, [", ".join(words), numbers]))
    return said or ("nothing changed" if done else "no resource changes")


def _unit_lines(event: str, nodes: Mapping[str, Outcome]) -> Iterable[str]:
    """A line for each unit that is worth one, what went wrong first."""
    worth = [node for node in nodes.items() if node[1].status not in _QUIET]
    worth.sort(key=lambda node: node[1].status not in _AMISS)
    for name, node in worth[:_MOST_UNITS]:
        done = node.status in (Status.APPLIED, Status.FAILED)
        said = "drifted" if event == "drift" and node.status is Status.PLANNED else str(node.status)
        numbers = ", ".join(counted(node.counts, done=done).values()) if event != "drift" else ""
        yield f"{_harmless(name)}: {said}{f' ({numbers})' if numbers else ''}"
    if len(worth) > _MOST_UNITS:
        yield f"… and {len(worth) - _MOST_UNITS} more"


def _listed(names: Collection[str], most: int) -> str:
    shown: Sequence[str] = sorted(names)[:most]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more


def _number(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _harmless(text: object) -> str:
    """Text of others on one line, not endless, and calling nobody."""
    said = safe(str(text or ""), keep_newlines=False).translate(_CALLS)
    return said if len(said) <= _LONGEST_VALUE else f"{said[: _LONGEST_VALUE - 1]}…"
