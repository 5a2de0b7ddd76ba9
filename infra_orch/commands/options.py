"""What the commands that run a stack are told, settled once from flags, variables and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.commands.affecting import Change
from infra_orch.commands.wanted import Wanted
from infra_orch.gateway.client import KeptGateway
from infra_orch.process import Supervisor
from infra_orch.project import Project


@dataclass(frozen=True)
class RunOptions:
    """See the help text of each flag of the same name. *emulator_url*: an emulator that runs already; *gateway*: a
    gateway that serves other runs, too.

    *deleted* are stacks that are gone and of which something may exist still. *supervisor* is one that others may stop;
    *confirm* is asked before anything is changed, and raises where nothing may be.
    """

    wanted: Wanted = field(default_factory=Wanted)
    json: bool = False
    sandbox: bool = False
    emulator_url: str | None = None
    gateway: KeptGateway | None = None
    auto_approve: bool = False
    allow_unseen: bool = False
    commit: bool = True
    from_rendered: bool = False
    prune: bool = False
    full: bool = False
    detailed_exitcode: bool = False
    destroy: bool = False
    out: Path | None = None
    plan: Path | None = None
    resume: str | None = None
    max_failures: int | None = None
    timings: bool = False
    changed_only: bool = False
    change: Change | None = None
    policies: Path | None = None
    bundle: str | None = None
    group: str = "default"
    deleted: tuple[str, ...] = ()
    supervisor: Supervisor | None = None
    confirm: Callable[[], None] | None = None

    def prunes(self, project: Project) -> bool:
        """Whether units that left the spec are destroyed: as the flag says, or the project's settings."""
        return self.prune or project.settings.prune
