"""What a step of GitHub Actions leaves for others, in files: the job's summary, and outputs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

SUMMARY_BYTES = 1024 * 1024
"""What the summary of a step may have; of a longer one GitHub shows nothing."""


def add_to_summary(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Add Markdown to the summary of the job. Returns False where there is none, or it has no room left.

    Raises OSError where it cannot be written.
    """
    path = _file(environment, "GITHUB_STEP_SUMMARY")
    data = f"{text.rstrip()}\n\n".encode()
    if path is None or len(data) + (path.stat().st_size if path.exists() else 0) > SUMMARY_BYTES:
        return False
    with path.open("ab") as file:
        file.write(data)
    return True


def set_outputs(values: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> bool:
    """Set outputs of the step. Returns False where this is no step. Raises OSError where they cannot be written."""
    path = _file(environment, "GITHUB_OUTPUT")
    if path is None:
        return False
    with path.open("a", encoding="utf-8") as file:
        for name, value in values.items():
            # A delimiter that no value can know, so that none can set another output.
            end = f"end-{secrets.token_hex(16)}"
            file.write(f"{name}<<{end}\n{value}\n{end}\n")
    return True


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    path = environment.get(name, "") if environment.get("GITHUB_ACTIONS") == "true" else ""
    return Path(path) if path else None
