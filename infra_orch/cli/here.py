"""The project that the command line works in, with the flags that were given over its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra_orch.project import Project


def project_here(*, no_gateway: bool = False, **flags: Any) -> Project:
    """Find the project of the current folder; *flags* that are not None win over its settings.

    Raises UsageError where there is none.
    """
    from infra_orch.project import find_project

    project = find_project(Path.cwd())
    given = {name: value for name, value in flags.items() if value is not None}
    given |= {"gateway": "off"} if no_gateway else {}
    return replace(project, settings=replace(project.settings, **given)) if given else project
