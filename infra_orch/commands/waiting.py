"""Wait for what a run that died has left running: Terraform ends its work, writes its state, gives its locks back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from infra_orch.console import Console
from infra_orch.errors import InterruptedRun
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.recovery.death import ORPHAN_SECONDS, end_orphans, survivors
from infra_orch.run.lock import Holder

_POLL_SECONDS = 0.2


def wait_for_survivors(project: Project, supervisor: Supervisor, console: Console) -> Callable[[Holder], bool]:
    """Return what waits a moment for the processes of a lock's dead holder, and tells once what is waited for.

    It raises InterruptedRun when asked to stop.
    """
    told: set[str] = set()
    quiet_since: list[float] = []

    def wait(holder: Holder) -> bool:
        folder = project.scratch / "runs" / holder.run_id
        alive = survivors(folder)
        what = ", ".join(map(str, alive))
        if what not in told and (alive or not told):
            told.add(what)
            console.note(f"{holder} is gone; waiting for what it started{f': {what}' if what else ''}")
        if alive:
            quiet_since.clear()
        elif not quiet_since:
            quiet_since.append(time.monotonic())
        elif time.monotonic() - quiet_since[0] > ORPHAN_SECONDS and (ended := end_orphans(folder)):
            # Their Terraform is gone: nobody is left whom they could tell what they did.
            console.note(f"ended what its Terraform left behind: pid {', '.join(map(str, ended))}")
        if supervisor.wait_for_stop(_POLL_SECONDS):
            raise InterruptedRun("stopped while waiting for what a dead run has started")
        return True

    return wait


def wait_for_providers(run_folder: Path, supervisor: Supervisor, console: Console) -> None:
    """Wait until nothing goes on any more that a dead run had asked of a provider: it may create something still.

    Raises InterruptedRun when asked to stop.
    """
    told = ""
    while alive := survivors(run_folder):
        what = ", ".join(map(str, alive))
        if what != told:
            told = what
            console.note(f"waiting for what run {run_folder.name} has begun: {what}")
        if supervisor.wait_for_stop(_POLL_SECONDS):
            raise InterruptedRun("stopped while waiting for what a dead run has begun")
