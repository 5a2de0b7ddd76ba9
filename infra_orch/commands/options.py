"""What the commands that run a stack are told, settled once from flags, variables and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.commands.affecting import Change
from infra_orch.commands.wanted import Wanted
from infra_orch.project import Project


@dataclass(frozen=True)
class RunOptions:
    """See the help text of each flag of the same name. *emulator_url*: an emulator that runs already."""

    wanted: Wanted = field(default_factory=Wanted)
    json: bool = False
    sandbox: bool = False
    emulator_url: str | None = None
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

    def prunes(self, project: Project) -> bool:
        """Whether units that left the spec are destroyed: as the flag says, or the project's settings."""
        return self.prune or project.settings.prune
