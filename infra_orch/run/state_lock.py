"""The lock of a unit's state: whose it is, and how it is given back when its holder is gone.

Terraform's own lock is all there is: it is asked for by a command that changes nothing, and its holder is in the
error's text. The information that a lock holds is described at
developer.hashicorp.com/terraform/language/state/locking.
"""

from __future__ import annotations

import getpass
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from infra_orch.engine import command
from infra_orch.run.context import RunContext
from infra_orch.run.prepare import UnitWork, prepare_backend
from infra_orch.run.terraform import UnitCommand, invoke

_FIELD = re.compile(r"^[\s│]*(ID|Path|Operation|Who|Version|Created|Info):[ \t]*(.*?)\s*$", re.MULTILINE)
_HTTP = re.compile(r"already\s+locked:[\s│]*ID=(\S+)")
_LOCKED = re.compile(r"Error acquiring the state lock|state already locked|Error locking state", re.IGNORECASE)


@dataclass(frozen=True)
class StateLock:
    """A lock that somebody holds on a unit's state. *who* is `user@host`; *created* is None where it is not told."""

    unit: str
    id: str
    who: str
    operation: str
    created: datetime | None

    def __str__(self) -> str:
        since = f", since {self.created.isoformat(timespec='seconds')}" if self.created else ""
        return f"{self.who or 'somebody'}{since} (lock {self.id or 'of an id that is not told'})"


def is_ours(lock: StateLock) -> bool:
    """Whether a lock was taken by this user on this machine, as Terraform says who it was (`user@host`)."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id that has no name
        return False
    return lock.who == f"{user}@{socket.gethostname()}"


def lock_of(work: UnitWork, context: RunContext) -> StateLock | None:
    """Return who holds the lock of a unit's state; None where nobody does.

    Raises StepError where the backend cannot be asked.
    """
    folder = prepare_backend(work, context)
    name = work.unit.name
    argv = command.take_lock(context.engine, lock_timeout="0s")
    done = invoke(context, UnitCommand(name, "lock", argv, folder, context.environment))
    if done.returncode == 0:
        return None
    text = done.text()
    if not _LOCKED.search(text):
        done.check()
    fields = {field: value for field, value in _FIELD.findall(text) if value}
    if fields.get("Operation") == "untaint":
        # Some backends know nothing of the lock in the way: what Terraform says is of the one that it wanted itself.
        told = _HTTP.search(text)
        return StateLock(name, told[1] if told else "", "", "", None)
    return StateLock(
        unit=name,
        id=fields.get("ID", ""),
        who=fields.get("Who", ""),
        operation=fields.get("Operation", ""),
        created=_time(fields.get("Created", "")),
    )


def release(lock: StateLock, work: UnitWork, context: RunContext) -> None:
    """Give back a lock whose holder is gone. Raises StepError where the backend refuses."""
    folder = prepare_backend(work, context)
    argv = command.force_unlock(context.engine, lock.id)
    invoke(context, UnitCommand(lock.unit, "unlock", argv, folder, context.environment, changes_world=True)).check()


def _time(text: str) -> datetime | None:
    """Read `2026-11-25 01:30:25.076731687 +0000 UTC`, which is how Go writes a time, to the second."""
    match = re.match(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", text)
    return datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=UTC) if match else None
