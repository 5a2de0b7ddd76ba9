"""Whether a call may be about a file that is found from the unit's own folder alone.

Providers read relative paths from the folder that they were started in: Terraform's own, where `path.module` is `.`
for the unit and `.terraform/modules/…` for a module that was downloaded. A process that several units share runs in an
empty folder beside theirs, from which all that lies above is found the same way; what lies in the unit's folder is not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_HERE = b"\xa1."
"""The string `.` as msgpack has it."""
_BEGINS_HERE = re.compile(rb"(?<!\.)\./")


class Surroundings:
    """A unit's folder, as calls may mention it."""

    def __init__(self, cwd: Path) -> None:
        self._cwd = cwd
        self._modified = -1
        self._names: list[bytes] = []

    def mentioned(self, request: bytes) -> bool:
        """Whether anything in the folder is named in a request, the folder itself included; rather too often.

        Raises OSError where the folder cannot be read.
        """
        modified = self._cwd.stat().st_mtime_ns
        if modified != self._modified:
            own = b"../" + os.fsencode(self._cwd.name)
            self._names = [_HERE, own, *map(os.fsencode, os.listdir(self._cwd))]  # noqa: PTH208 - names alone
            self._modified = modified
        # Many short searches for bytes are faster than one for a pattern with as many branches.
        return any(name in request for name in self._names) or (
            b"./" in request and _BEGINS_HERE.search(request) is not None
        )
