"""Where the time of a run went, read from its journal: what each node waited for, and how long its steps took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from infra_orch.errors import UserError
from infra_orch.run.journal import read_journal

_AT_ONCE = 0.02
"""Seconds: who begins so soon after something ended had waited for that."""
_TOGETHER = 0.005
"""Seconds that a line in the journal may be late."""


@dataclass(frozen=True)
class Step:
    """A command of a node. Times are seconds since the epoch; *providers* of them were spent waiting for providers."""

    node: str
    name: str
    began: float
    ended: float
    providers: float

    @property
    def own(self) -> float:
        """How long the command itself took."""
        return max(self.ended - self.began - self.providers, 0.0)


@dataclass(frozen=True)
class Node:
    """The work on a unit or a task in one phase. It could have begun when it was *ready*.

    *critical*: with less time for it the phase would have been over sooner.
    """

    name: str
    ready: float
    began: float
    ended: float
    steps: tuple[Step, ...]
    critical: bool

    @property
    def queue(self) -> float:
        """How long it waited for a worker, or for others that have the same limit."""
        return max(self.began - self.ready, 0.0)

    @property
    def seconds(self) -> float:
        """How long it was worked on."""
        return self.ended - self.began


@dataclass(frozen=True)
class Phase:
    """A walk over the graph (`plan`, `apply`, `destroy`, `read`), its nodes in the order in which they began."""

    name: str
    began: float
    ended: float
    workers: int
    nodes: tuple[Node, ...]

    @property
    def critical(self) -> tuple[Node, ...]:
        """The nodes, one after the other, that the phase as a whole waited for."""
        return tuple(node for node in self.nodes if node.critical)


@dataclass(frozen=True)
class Timings:
    """Where the time of a run went. *others* are steps outside of all phases."""

    run: str
    stack: str
    command: str
    began: float
    ended: float
    phases: tuple[Phase, ...]
    others: tuple[Step, ...]


def read_timings(path: Path) -> Timings:
    """Return the timings that the journal at *path* holds.

    Raises UserError where it holds none, or cannot be read.
    """
    entries = read_journal(path)
    try:
        return _read(entries)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UserError(
            f"{path} does not say how long anything took", hint="it is damaged, or an older infra-orch wrote it"
        ) from error


def _read(entries: Sequence[Mapping[str, Any]]) -> Timings:
    # What comes after it is the work of who found the run dead.
    entries = list(takewhile(lambda entry: entry["event"] != "recovery", entries))
    run = next(entry for entry in entries if entry["event"] == "run")
    steps = [_step(entry) for entry in entries if entry["event"] == "step"]
    begins = [entry for entry in entries if entry["event"] == "phase"]
    if not begins:
        raise ValueError("no phase")
    ends = [*(float(entry["at"]) for entry in begins[1:]), float("inf")]
    phases = [_phase(begin, end, entries, steps) for begin, end in zip(begins, ends, strict=False)]
    within = {step for phase in phases for node in phase.nodes for step in node.steps}
    return Timings(
        run=str(run["run"]),
        stack=str(run["stack"]),
        command=str(run["command"]),
        began=float(run["at"]),
        ended=max(float(entry["at"]) for entry in entries),
        phases=tuple(phase for phase in phases if phase.nodes),
        others=tuple(step for step in steps if step not in within),
    )


def _step(entry: Mapping[str, Any]) -> Step:
    times = (float(entry[key]) for key in ("began", "at", "providers"))
    return Step(str(entry["node"]), str(entry["step"]), *times)


def _phase(begin: Mapping[str, Any], end: float, entries: Iterable[Mapping[str, Any]], steps: Sequence[Step]) -> Phase:
    began = float(begin["at"])
    found = [entry for entry in entries if entry["event"] == "node" and began <= entry["at"] < end]
    ended = {str(entry["node"]): float(entry["at"]) for entry in found}
    ready = {
        str(entry["node"]): max((ended[first] for first in entry["after"] if first in ended), default=began)
        for entry in found
    }
    own: dict[str, list[Step]] = {}
    for step in steps:
        if began <= step.began < end:
            own.setdefault(step.node, []).append(step)
    spans = {str(entry["node"]): (float(entry["began"]), float(entry["at"])) for entry in found}
    critical = _critical(spans, {str(entry["node"]): entry["after"] for entry in found})
    nodes = [
        Node(name, ready[name], first, last, tuple(own.get(name, ())), name in critical)
        for name, (first, last) in sorted(spans.items(), key=lambda item: item[1])
    ]
    last = max(ended.values(), default=began)
    return Phase(str(begin["phase"]), began, last, int(begin["workers"]), tuple(nodes))


def _critical(spans: Mapping[str, tuple[float, float]], after: Mapping[str, Sequence[str]]) -> set[str]:
    """What was waited for, from the end backwards: before each node that whose end let it begin, be it because the node
    needs it, or because it had the worker.
    """
    by_end = sorted(spans, key=lambda name: spans[name][1])
    found: set[str] = set()
    node = by_end[-1] if by_end else None
    while node is not None:
        found.add(node)
        began = spans[node][0]
        while by_end and (by_end[-1] in found or spans[by_end[-1]][1] > began + _TOGETHER):
            by_end.pop()
        needed = sorted((first for first in after[node] if first in spans), key=lambda name: -spans[name][1])
        just = (
            name
            for name in (*needed[:1], *by_end[-1:])
            if name not in found and spans[name][0] < began and spans[name][1] >= began - _AT_ONCE
        )
        node = next(just, None)
    return found
