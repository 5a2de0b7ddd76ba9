"""The Python of the shipped stacks, and their tasks, called by tests as a run would."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from infra_orch.project import find_project
from infra_orch.spec.load import load_stack
from infra_orch.testing import Applied

ROOT = Path(__file__).resolve().parents[2]


def code(stack: str, name: str) -> ModuleType:
    """The module `stacks/<stack>/<name>.py`, under a name that no other stack's has."""
    known = f"shipped_{stack}_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, ROOT / "stacks" / stack / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


@dataclass
class Desk:
    """What a task is given, of a stack that is applied in the sandbox."""

    applied: Applied
    sandbox: bool = True
    stack: str = "shipped"
    run_id: str = "by-hand"
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("shipped"))
    deadline: float | None = None

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        return self.applied.outputs

    def client(self, service: str, *, region: str | None = None) -> Any:
        return self.applied.client(service, region)

    def run(self, *_: Any, **__: Any) -> str:
        raise NotImplementedError

    def notify(self, *_: Any, **__: Any) -> bool:
        raise NotImplementedError


def run_task(stack: str, name: str, context: Desk) -> Any:
    """Run a task of a shipped stack once more."""
    (task,) = [one for one in load_stack(find_project(ROOT).stack(stack)).tasks if one.name == name]
    return task(context)
