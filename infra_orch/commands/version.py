"""`infra-orch --version`: the versions of infra-orch, Python and the engine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.console import Console
from infra_orch.engine.engine import find_engine
from infra_orch.errors import UserError
from infra_orch.project import find_project


def version(console: Console) -> int:
    """Print the versions. An engine that is missing is said, and is no failure."""
    console.result(f"infra-orch {__version__} (Python {platform.python_version()})")
    try:
        wanted = os.environ.get("INFRA_ORCH_ENGINE") or _setting()
        console.result(f"engine: {find_engine(wanted)}")
    except UserError as error:
        console.result(f"engine: none ({error.summary})")
    return 0


def _setting() -> str | None:
    try:
        return find_project(Path.cwd()).settings.engine
    except UserError:
        return None
