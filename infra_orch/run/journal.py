"""The journal of a run: one line of JSON before and after every step that changes the world.

A step that has no *after* line may or may not have happened: it is never blindly repeated. The last line of a journal
may be cut short by a crash; that is a fact about the crash, and readers skip it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

SCHEMA = 1


class Journal:
    """Appends to `journal.jsonl` of a run, from any thread. What must not be lost is on disk when write() returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()

    def write(self, event: str, *, durable: bool = False, **facts: Any) -> None:
        """Append one line. *durable* waits until it is on disk, as a step that changes the world needs it.

        Raises OSError where it cannot be written: the step must then not be begun.
        """
        line = json.dumps({"schema": SCHEMA, "event": event, "at": time.time(), **facts}, ensure_ascii=False) + "\n"
        with self._lock:
            os.write(self._handle, line.encode())
            if durable:
                os.fsync(self._handle)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._handle)
