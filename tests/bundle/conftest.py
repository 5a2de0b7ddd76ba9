"""A project whose stack has one unit, a clone of it at another place, and a file for a bundle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

NOTE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "note" {
      input = var.text
    }

    output "text" {
      value = var.text
    }
"""
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    note = stack.unit("note", module="note", inputs={"text": "first"})
"""


@pytest.fixture
def one_unit(desk: Any) -> Any:
    """A committed project whose stack `dev` has one unit."""
    desk.write({"modules/note/main.tf": NOTE, "stacks/dev/stack.py": SPEC})
    desk.commit()
    return desk


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Where a bundle is written to, outside the project."""
    return str(tmp_path / "dev.plan")


@pytest.fixture
def clone(desk: Any, tmp_path: Path) -> Callable[[str], Any]:
    """Clones the project, as it is committed, to another place; its commands run there."""

    def clone(name: str) -> Any:
        root = tmp_path / "somewhere else" / name
        subprocess.run(["git", "clone", "--quiet", str(desk.root), str(root)], check=True)
        return replace(desk, root=root, run=lambda *arguments: desk.run("-C", str(root), *arguments))

    return clone


@pytest.fixture
def states() -> Callable[[Any], dict[str, bytes]]:
    """Reads the states of the stack `dev` that hold anything, by file name."""

    def states(desk: Any) -> dict[str, bytes]:
        found = {path.name: path.read_bytes() for path in (desk.root / "stacks/dev/state").glob("*.tfstate")}
        return {name: content for name, content in found.items() if json.loads(content)["resources"]}

    return states
