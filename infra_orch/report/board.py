"""What a run is doing at the moment: which nodes are at work, in which step, and how far their logs say they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.report.style import Style, safe
from infra_orch.report.terminal import failure_lines, is_skipped_unit, outcome_line
from infra_orch.run.outcome import Outcome, Status

_MOST_BYTES = 1 << 18
"""So much of a log is read at one go, and so long may a line be to be understood."""

_MOST_OPEN = 256
_MOST_NAMES = 10
_SIGNS = {"create": "+ ", "update": "~ ", "delete": "- ", "read": "<= "}
_INSTALLING = re.compile(rb"- Installing ([^\s]+ v[^\s]+?)\.\.\.")
_NOT_DONE = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.DEFERRED, Status.CANCELLED)


@dataclass
class LogFollower:
    """Reads what a child adds to its log, and only that.

    A log that is replaced or cut is read anew. What is no message of Terraform's machine-readable UI
    (https://developer.hashicorp.com/terraform/internals/machine-readable-ui) is passed over. Never raises for a log
    that is not there or cannot be read.

    done: operations that are complete. under_way: signs by address, in the order of their start. installing: the
    provider that init said last it installs.
    """

    path: Path
    done: int = 0
    under_way: dict[str, str] = field(default_factory=dict)
    installing: str = ""
    _file: int = 0
    _offset: int = 0
    _rest: bytes = b""

    def follow(self) -> None:
        """Read what is new, at most 256 KiB of it."""
        try:
            found = self.path.stat()
            if found.st_ino != self._file or found.st_size < self._offset:
                self._begin_anew(found.st_ino)
            if found.st_size == self._offset:
                return
            with self.path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read(_MOST_BYTES)
        except OSError:
            return
        self._offset += len(chunk)
        *lines, rest = (self._rest + chunk).split(b"\n")
        # Of a line longer than that, such as an output that holds a file, the beginning is forgotten: it is no message
        # that is waited for here, and what is left of it is no JSON.
        self._rest = rest[-_MOST_BYTES:]
        for line in lines:
            self._read(line)

    def _begin_anew(self, file: int) -> None:
        self._file, self._offset, self._rest = file, 0, b""
        self.done, self.installing = 0, ""
        self.under_way.clear()

    def _read(self, line: bytes) -> None:
        if b'"hook":' in line:
            self._hook(_entry(line))
        elif match := _INSTALLING.match(line):
            self.installing = match[1].decode(errors="replace")

    def _hook(self, entry: dict[str, Any]) -> None:
        hook = entry.get("hook")
        resource = hook.get("resource") if isinstance(hook, dict) else None
        address = resource.get("addr") if isinstance(resource, dict) else None
        if not isinstance(hook, dict) or not isinstance(address, str):
            return
        kind = entry.get("type")
        if kind in ("apply_start", "refresh_start") and len(self.under_way) < _MOST_OPEN:
            self.under_way[address] = _SIGNS.get(str(hook.get("action")), "")
        elif kind in ("apply_complete", "apply_errored", "refresh_complete"):
            self.under_way.pop(address, None)
            self.done += kind == "apply_complete"


@dataclass
class Working:
    """A node that is at work since *since* (seconds, monotonic clock), now in *step*.

    *total*: how many operations the step consists of, where that is known.
    """

    node: str
    since: float
    step: str
    log: LogFollower | None = None
    total: int | None = None

    @property
    def share(self) -> str:
        """How far it is, `3/5`; empty where that is not known."""
        if not self.total:
            return ""
        done = self.log.done if self.log else 0
        # A deferred unit may turn out to do more than its preview could count.
        return f"{done}/{max(done, self.total)}"

    @property
    def detail(self) -> str:
        """What it is at: the operation that is under way for longest, or the provider that is being installed."""
        if self.log is None:
            return ""
        if self.step == "init":
            return f"installing {self.log.installing}" if self.log.installing else ""
        for address, sign in self.log.under_way.items():
            more = len(self.log.under_way) - 1
            return f"{sign}{_short(address, self.node)}" + (f" (+{more})" if more else "")
        return ""


@dataclass
class Board:
    """A phase of a run: *name* (`plan`, `apply`, `destroy`, `read`), *total* nodes, begun at *since*.

    Not safe to use from several threads at once.
    """

    name: str
    total: int
    since: float
    ended: Counter[Status] = field(default_factory=Counter)
    _working: dict[str, Working] = field(default_factory=dict)

    @property
    def working(self) -> list[Working]:
        """The nodes at work, longest first."""
        return list(self._working.values())

    @property
    def done(self) -> int:
        """How many nodes have come to an outcome."""
        return self.ended.total()

    def troubles(self) -> Iterator[str]:
        """Yield what went wrong so far, `1 failed`."""
        return (f"{self.ended[status]} {status}" for status in _NOT_DONE if self.ended[status])

    def started(self, node: str, step: str, log: Path | None, total: int | None, now: float) -> None:
        """A node began a step."""
        since = self._working[node].since if node in self._working else now
        self._working[node] = Working(node, since, step, LogFollower(log) if log else None, total)

    def finished(self, outcome: Outcome) -> None:
        """A node has come to its outcome."""
        self._working.pop(outcome.name, None)
        self.ended[outcome.status] += 1

    def follow(self) -> None:
        """Read what is new in the logs of the nodes at work."""
        for working in self._working.values():
            if working.log:
                working.log.follow()


def ending(outcome: Outcome, phase: str, style: Style, *, shown: bool) -> str:
    """What is said of a node once it has come to *outcome*, in whole lines; empty where nothing is.

    Of a plan only trouble, and where it is *shown* to a person when it is complete, not why; of an apply, also what was
    done.
    """
    quiet = (Status.UNCHANGED,) if phase in ("apply", "destroy") else (Status.UNCHANGED, Status.PLANNED, Status.APPLIED)
    if outcome.status in quiet or is_skipped_unit(outcome):
        return ""
    lines = [outcome_line(outcome, style, reason=phase != "plan" or not shown)]
    if phase in ("apply", "destroy"):
        lines += failure_lines(outcome, style)
    return "\n".join(lines)


def still_working(board: Board, now: float) -> str:
    """One line that says what is at work, for how long, and how far it is; empty where nothing is."""
    parts = []
    for working in board.working[:_MOST_NAMES]:
        what = " ".join(filter(None, (working.step, working.share, clock(now - working.since))))
        parts.append(f"{safe(working.node, keep_newlines=False)} ({what})")
    if not parts:
        return ""
    more = len(board.working) - len(parts)
    names = ", ".join(parts) + (f", and {more} more" if more else "")
    counts = ", ".join((f"{board.done} of {board.total} done", *board.troubles(), clock(now - board.since)))
    return f"{board.name}: at work: {names}; {counts}"


def clock(seconds: float) -> str:
    """Return a duration as it is shown while it grows: `4 s`, `1 m 02 s`, `1 h 03 m`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} m"


def _short(address: str, node: str) -> str:
    """An address without the module call that every resource of a unit is in."""
    return address.removeprefix(f"module.{node}.")


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
