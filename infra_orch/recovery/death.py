"""A run that died: what its journal tells, and what of it still runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.gateway.line import GatewayError, ask
from infra_orch.process import lives, session_of
from infra_orch.project import StackFolder
from infra_orch.run import journal
from infra_orch.run.serving import JOURNAL as GATEWAY_JOURNAL

LOCK_SECONDS = 120.0
"""How long after it began a command may take a state's lock: it comes to that at once, or waits for another."""
ORPHAN_SECONDS = 5.0
"""How long what a dead Terraform started may live on: nobody is there any more whom a provider could tell anything."""


_GATEWAY_SECONDS = 5.0


@dataclass(frozen=True)
class Step:
    """A step that changes the world: what the journal said before it, and after it where it says anything."""

    begun: Mapping[str, Any]
    ended: Mapping[str, Any] | None

    @property
    def log(self) -> Path:
        """Where its output went."""
        return Path(str(self.begun.get("log", os.devnull)))

    @property
    def seconds(self) -> float:
        """How long it took, as far as the journal tells."""
        return max(0.0, float(self.ended["at"]) - float(self.begun["at"])) if self.ended else 0.0


@dataclass(frozen=True)
class DeadRun:
    """A run that was killed, or that ended without seeing to its end. *steps* are by node and step; times are in
    seconds since 1970. *stack* is the name of the stack's folder. *created* is what the provider gateway saw created.
    """

    run_id: str
    stack: str
    folder: Path
    steps: Mapping[tuple[str, str], Step]
    began: float
    last_sign: float
    done: bool
    created: Sequence[Mapping[str, Any]]
    commands: tuple[tuple[str, float], ...]

    def took(self, unit: str, at: float) -> bool:
        """Whether it is this run that took the lock of a unit's state at the time *at*: a command of its began then."""
        return any(name == unit and -1 <= at - begun <= LOCK_SECONDS for name, begun in self.commands)

    def step(self, node: str) -> Step | None:
        """The step of a node that changed the world, or was about to; None where the journal proves there was none."""
        return next((step for (name, _), step in self.steps.items() if name == node), None)


def read_death(run_id: str, folder: StackFolder) -> DeadRun:
    """Read what the journal tells of a run in the project of *folder*.

    Raises UserError where it cannot be understood, as one that a newer infra-orch wrote.
    """
    run_folder = folder.project.scratch / "runs" / run_id
    entries = journal.read_journal(run_folder / journal.NAME)
    begun: dict[tuple[str, str], Mapping[str, Any]] = {}
    ended: dict[tuple[str, str], Mapping[str, Any]] = {}
    for entry in entries:
        key = (str(entry.get("node")), str(entry.get("step")))
        if entry["event"] == "begin":
            begun[key] = entry
            ended.pop(key, None)
        elif entry["event"] == "end":
            ended[key] = entry
    times = [float(entry["at"]) for entry in entries if isinstance(entry.get("at"), (int, float))] or [time.time()]
    return DeadRun(
        run_id=run_id,
        stack=next((str(entry.get("stack")) for entry in entries if entry["event"] == "run"), ""),
        folder=run_folder,
        steps={key: Step(entry, ended.get(key)) for key, entry in begun.items()},
        began=times[0],
        last_sign=times[-1],
        done=any(entry["event"] == "done" for entry in entries),
        created=[e for e in journal.read_journal(run_folder / GATEWAY_JOURNAL) if e["event"] == "created"],
        commands=tuple((str(e.get("node")), float(e["at"])) for e in entries if e["event"] in ("begin", "start")),
    )


@dataclass(frozen=True)
class Survivor:
    """A process of a dead run that lives: what it is, as `web: apply`, and its process id."""

    label: str
    pid: int

    def __str__(self) -> str:
        return f"{self.label} (pid {self.pid})"


def survivors(run_folder: Path) -> list[Survivor]:
    """The commands of a run that still run, and what providers still do for commands that do not."""
    entries = journal.read_journal(run_folder / journal.NAME)
    started = [entry for entry in entries if entry["event"] == "start"]
    alive = [
        Survivor(f"{entry.get('node')}: {entry.get('step')}", entry["pid"])
        for entry in started
        if isinstance(entry.get("pid"), int) and lives(entry["pid"], entry.get("born"))
    ]
    gateways = [str(entry.get("address")) for entry in entries if entry["event"] == "gateway"]
    return alive or [survivor for address in gateways for survivor in _served(address, run_folder)]


def _served(address: str, run_folder: Path) -> list[Survivor]:
    """What a gateway still does for a run."""
    try:
        about = ask(address, {"do": "status"}, seconds=_GATEWAY_SECONDS)
    except GatewayError:
        return []  # it has ended, and so has all that it did
    journal_here = str(run_folder / GATEWAY_JOURNAL)
    ours = [command for command in about["serves"] if command["journal"] == journal_here]
    return [Survivor(f"{command['node']}: {command['step']}, in its provider", about["pid"]) for command in ours]


def orphans(run_folder: Path) -> list[int]:
    """Processes that commands of a run started, and that live on though those have ended."""
    started = [entry for entry in journal.read_journal(run_folder / journal.NAME) if entry["event"] == "start"]
    return [pid for entry in started if isinstance(entry.get("pid"), int) for pid in session_of(entry["pid"])]


def end_orphans(run_folder: Path) -> list[int]:
    """Kill the orphans of a run, and return their process ids."""
    found = orphans(run_folder)
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return found
