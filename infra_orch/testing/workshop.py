"""What the tests of one run of pytest share: copies of projects, the emulated AWS, and the provider gateway."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from infra_orch.commands.gateway import kept_gateway
from infra_orch.commands.sandboxing import emulator_folder
from infra_orch.errors import UsageError
from infra_orch.files import private_folder
from infra_orch.gateway.client import KeptGateway
from infra_orch.project import Project
from infra_orch.sandbox import server
from infra_orch.settings import load_settings
from infra_orch.spec.stack import Stack
from infra_orch.testing.copying import copy_project
from infra_orch.testing.declared import declared_in_project, declared_in_test, project_root
from infra_orch.testing.trial import Trial


class Workshop:
    """Copies of projects, by their roots, an emulator and a gateway; each is there once somebody needs it.

    *leave_out*: patterns of what is not copied.
    """

    def __init__(self, leave_out: Sequence[str] = ()) -> None:
        self._leave_out = tuple(leave_out)
        self._stack = contextlib.ExitStack()
        self._projects: dict[Path, Project] = {}
        self._emulator: str | None = None
        self._gateways: dict[Path, KeptGateway] = {}

    def close(self) -> None:
        """End the emulator and the gateway, and remove the copies."""
        self._stack.close()

    def trial(self, test: Path, stack: str | Stack | None, *, destroys: bool = True) -> Trial:
        """A stack for the tests in the file *test*: one that is declared there, one of the project by its name, or the
        only one that there is. *destroys*: it goes after them.

        Raises SpecError with all that is wrong with it, UsageError where there is none.
        """
        root = project_root(test.parent)
        project = self._project(root)
        if isinstance(stack, Stack):
            declared = declared_in_test(project, stack, test.resolve().relative_to(root))
        else:
            declared = declared_in_project(project, stack)
        return Trial(self, declared, destroys=destroys)

    def emulator(self, project: Project) -> str:
        """The URL of the emulator."""
        if self._emulator is None:
            self._emulator = self._stack.enter_context(server.start_for_run(emulator_folder(project))).url
        return self._emulator

    def gateway(self, project: Project) -> KeptGateway:
        """The gateway of all runs on a project. Providers in it serve all of its stacks."""
        if project.root not in self._gateways:
            common = private_folder(project.scratch / "sandbox")
            self._gateways[project.root] = self._stack.enter_context(kept_gateway(project, common))
        return self._gateways[project.root]

    def told(self, text: str) -> str:
        """*text* with paths as the user knows them."""
        for root, project in self._projects.items():
            text = text.replace(f"{project.root}/", "").replace(f"{root}/", "")
        return text

    @cached_property
    def _place(self) -> Path:
        folder = tempfile.TemporaryDirectory(prefix="infra-orch-test-", ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(folder)).resolve()

    def _project(self, root: Path) -> Project:
        if root not in self._projects:
            copy = self._place / f"{len(self._projects)}" / (root.name or "project")
            copy_project(root, copy, self._leave_out)
            if (root / "stacks").exists() and not (root / "stacks").is_dir():
                raise UsageError("stacks is no folder", hint="move it away: a stack is stacks/NAME/stack.py")
            (copy / "stacks").mkdir(exist_ok=True)
            self._projects[root] = Project(copy, replace(load_settings(copy), commit=False, notify=()))
        return self._projects[root]
