"""One run per stack at a time: a lock that goes with its holder, whatever becomes of it.

The kernel holds the lock for whoever has the file open, so a killed run leaves none behind. Terraform's processes
inherit the open file: where the orchestrator is killed, the stack stays locked until they have ended. The file says
who holds it, and, once nobody does, which runs died and owe a record.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra_orch.errors import LockedError, UserError
from infra_orch.process import birth, lives

SCHEMA = 1
_MOST_BYTES = 1 << 16
_SECONDS_TO_SIGN = 1.0


@dataclass(frozen=True)
class Holder:
    """Who holds a stack's lock, or held it last. *since* is ISO 8601, UTC; *born* tells its process from a later one
    of the same number.
    """

    host: str
    pid: int
    run_id: str
    command: str
    since: str
    born: str | None = None

    def __str__(self) -> str:
        return f"{self.command} {self.run_id} (pid {self.pid} on {self.host}, since {self.since})"

    @property
    def is_gone(self) -> bool:
        """Whether its process has certainly ended: of another machine's nobody here knows."""
        return self.host == socket.gethostname() and not lives(self.pid, self.born)


class StackLock:
    """A lock that is held. *owed* are the ids of runs that died and whose end nobody has seen to, oldest first."""

    def __init__(self, handle: int, holder: Holder, owed: tuple[str, ...]) -> None:
        self.handle = handle
        self.owed = owed
        self._holder = holder
        self._released = False
        self._write(asdict(holder))

    def settled(self, run_id: str) -> None:
        """Note that nothing is owed for *run_id* any more."""
        self.owed = tuple(owed for owed in self.owed if owed != run_id)
        self._write(asdict(self._holder))

    def release(self, *, owes: bool) -> None:
        """Leave no holder in the file; *owes*: this run's end is still to be seen to. What comes first counts."""
        if self._released:
            return
        self._released = True
        if owes:
            self.owed = (*self.owed, self._holder.run_id)
        self._write({})

    def _write(self, holder: dict[str, Any]) -> None:
        data = json.dumps({"schema": SCHEMA, **holder, "owed": list(self.owed)}).encode()
        # In this order there is a whole document at the beginning of the file at every moment.
        os.pwrite(self.handle, data, 0)
        os.ftruncate(self.handle, len(data))
        os.fsync(self.handle)


@contextlib.contextmanager
def stack_lock(
    path: Path, stack: str, run_id: str, command: str, wait: Callable[[Holder], bool] = lambda _: False
) -> Iterator[StackLock]:
    """Hold the lock of *stack*; children inherit its handle.

    Where its holder is gone and what it started still runs, *wait* is called again and again with it, and says
    whether to go on waiting. Raises LockedError, naming the holder, where somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = _acquire(handle, stack, wait)
        since = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
        holder = Holder(socket.gethostname(), os.getpid(), run_id, command, since, birth(os.getpid()))
        owed = tuple(str(owed) for owed in before.get("owed") or ())
        died = before.get("run_id")
        lock = StackLock(handle, holder, (*owed, died) if isinstance(died, str) and died not in owed else owed)
        try:
            yield lock
        finally:
            lock.release(owes=False)
    finally:
        os.close(handle)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock at *path*, or held it when it died; None where nobody does."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _holder(_read(handle))
        finally:
            os.close(handle)
    return None


def owing(path: Path) -> bool:
    """Whether the file of a lock names runs that died, or may have: one that holds it still is among them."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _read(handle)
        finally:
            os.close(handle)
        return bool(found.get("run_id") or found.get("owed"))
    return False


def _acquire(handle: int, stack: str, wait: Callable[[Holder], bool]) -> dict[str, Any]:
    """Take the lock, and return what the file said before."""
    patience = time.monotonic() + _SECONDS_TO_SIGN
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(_read(handle))
            if holder is None and time.monotonic() < patience:
                time.sleep(0.02)  # whoever has taken it has not signed yet
                continue
            if holder is None or not holder.is_gone or not wait(holder):
                raise _locked(holder, stack) from error
        else:
            return _read(handle)


def _locked(holder: Holder | None, stack: str) -> LockedError:
    if holder is None:
        return LockedError(f'stack "{stack}" is in use by another run', hint="wait until it has ended")
    if not holder.is_gone:
        return LockedError(f'stack "{stack}" is in use by {holder}', hint="wait until it has ended")
    return LockedError(
        f'stack "{stack}" is still worked on: {holder} is gone, but Terraform that it started has not ended yet',
        hint="wait until it has ended; it finishes what it is doing and then lets the stack go",
    )


def _holder(document: dict[str, Any]) -> Holder | None:
    try:
        return Holder(
            str(document["host"]),
            int(document["pid"]),
            str(document["run_id"]),
            str(document["command"]),
            str(document["since"]),
            document.get("born"),
        )
    except (KeyError, ValueError, TypeError):
        return None


def _read(handle: int) -> dict[str, Any]:
    """What the file says; nothing where that is no document, as in one that was cut off."""
    try:
        found, _ = json.JSONDecoder().raw_decode(os.pread(handle, _MOST_BYTES, 0).decode())
    except (ValueError, OSError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    if isinstance(found.get("schema"), int) and found["schema"] > SCHEMA:
        raise UserError(
            f"a newer infra-orch has worked on this stack (schema {found['schema']} of its lock)",
            hint="upgrade infra-orch",
        )
    return found
