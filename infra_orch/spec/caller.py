"""The place in the user's own files from which a declaration was made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra_orch.errors import Where

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


def is_own(file: str) -> bool:
    """Whether the code in *file* is this package's, or generated, as the `__init__` of a dataclass is."""
    return file.startswith((_PACKAGE, "<"))


def is_users(file: str, root: Path) -> bool:
    """Whether the code in *file* is of the user whose project lies at *root*, and not of a package installed in it."""
    path = Path(file)
    return not is_own(file) and path.is_relative_to(root) and "site-packages" not in path.parts


def where_called() -> Where:
    """Return file (absolute) and line of the innermost frame outside this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.currentframe() is the same with another name
    while frame.f_back and is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return Where(frame.f_code.co_filename, frame.f_lineno)
