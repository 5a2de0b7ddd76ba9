"""The journal of a run: one line of JSON before and after every step that changes the world.

A step that has no *after* line may or may not have happened: it is never blindly repeated. A line may be cut short by
a crash or a full disk; that is a fact about the crash, and readers skip it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_orch.errors import UserError

NAME = "journal.jsonl"
SCHEMA = 1


class Journal:
    """Appends to the journal of a run, from any thread. What must not be lost is on disk when write() returns.

    *owes*: the run has begun to change the world, and has not said that it is done with recording that.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.owes = False
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()
        size = os.fstat(self._handle).st_size
        self._cut_short = bool(size) and os.pread(self._handle, 1, size - 1) != b"\n"

    def write(self, event: str, *, durable: bool = False, **facts: Any) -> None:
        """Append one line. *durable* waits until it is on disk, as a step that changes the world needs it.

        Raises OSError where it cannot be written: the step must then not be begun.
        """
        line = json.dumps({"schema": SCHEMA, "event": event, "at": time.time(), **facts}, ensure_ascii=False) + "\n"
        with self._lock:
            data = memoryview((b"\n" if self._cut_short else b"") + line.encode(errors="surrogateescape"))
            self._cut_short = True
            while data:
                data = data[os.write(self._handle, data) :]
            self._cut_short = False
            if durable:
                os.fsync(self._handle)
            self.owes = event != "done" and (self.owes or event == "apply")

    def note(self, event: str, **facts: Any) -> None:
        """Append one line that nothing depends on; where it cannot be written, it is missing."""
        with contextlib.suppress(OSError):
            self.write(event, **facts)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._handle)


def read_journal(path: Path) -> list[Mapping[str, Any]]:
    """Return the lines of a journal, oldest first; none where there is no such file. What is no whole line is skipped.

    Raises UserError for one that a newer infra-orch wrote, OSError where it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found: list[Mapping[str, Any]] = []
    for line in data.splitlines():
        try:
            entry = json.loads(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
            continue
        schema = entry.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            raise UserError(f"{path} was written by a newer infra-orch (schema {schema!r})", hint="upgrade infra-orch")
        found.append(entry)
    return found
