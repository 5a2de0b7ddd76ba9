"""Each shipped stack is rehearsed by the command that its README gives: applied, planned again, destroyed, nothing left.

`make test-rehearsals` does so, in several minutes. `make test` leaves it out: there the tests of each stack go through the
same steps, and ask in between.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stack_code import ROOT

STACKS = sorted(spec.parent.name for spec in ROOT.glob("stacks/*/stack.py"))

pytestmark = pytest.mark.aws


@pytest.mark.skipif(os.environ.get("REHEARSALS") != "all", reason="make test-rehearsals does it")
@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_rehearsed(tmp_path: Path, bare_environment: dict[str, str], name: str) -> None:
    for folder in ("modules", "stacks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "infra-orch.toml").touch()
    argv = [sys.executable, "-m", "infra_orch", "sandbox", "rehearse", name]
    environment = bare_environment | {"PYTHONPATH": str(ROOT), "INFRA_ORCH_PARALLELISM": "8"}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No changes.") == 1, done.stdout
