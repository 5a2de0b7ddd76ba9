"""One run per stack at a time: a lock that goes with its holder, whatever becomes of it.

The kernel holds the lock for whoever has the file open, so a killed run leaves none behind. Terraform's processes
inherit the open file: where the orchestrator is killed, the stack stays locked until they have ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra_orch.errors import LockedError


@dataclass(frozen=True)
class Holder:
    """Who holds a stack's lock. *since* is ISO 8601, UTC."""

    host: str
    pid: int
    run_id: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"{self.command} {self.run_id} (pid {self.pid} on {self.host}, since {self.since})"


@contextlib.contextmanager
def stack_lock(path: Path, stack: str, run_id: str, command: str) -> Iterator[int]:
    """Hold the lock of *stack* and yield the open file's descriptor, for children to inherit.

    Raises LockedError, naming the holder, where somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _locked(handle, stack) from error
        since = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
        holder = Holder(socket.gethostname(), os.getpid(), run_id, command, since)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)
        yield handle
    finally:
        os.close(handle)


def _locked(handle: int, stack: str) -> LockedError:
    try:
        holder = Holder(**json.loads(os.pread(handle, 4096, 0)))
    except (ValueError, TypeError):
        return LockedError(f'stack "{stack}" is in use by another run', hint="wait until it has ended")
    if _lives(holder.pid):
        return LockedError(f'stack "{stack}" is in use by {holder}', hint="wait until it has ended")
    return LockedError(
        f'stack "{stack}" is still worked on: {holder} is gone, but Terraform that it started has not ended yet',
        hint="wait until it has ended; it finishes what it is doing and then lets the stack go",
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
