"""Real Terraform for the tests of modules."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

RunTerraform = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def terraform() -> RunTerraform:
    """Run Terraform in a folder, without the machine's own settings, and return what came out."""

    def run(
        folder: Path, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TF_CLI_CONFIG_FILE": os.devnull,
                "CHECKPOINT_DISABLE": "1",
                **(env or {}),
            },
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
