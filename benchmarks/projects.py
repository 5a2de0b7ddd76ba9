"""Projects to measure on: stacks of Terraform's built-in provider, whose work is none, so that ours shows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODULE = """\
variable "name" {
  type = string
}

variable "after" {
  type    = string
  default = ""
}

resource "terraform_data" "thing" {
  input = "${var.name} after ${var.after}"
}

output "name" {
  value = var.name
}

output "id" {
  value = terraform_data.thing.id
}
"""


@dataclass(frozen=True)
class Shape:
    """A stack of *layers* x *width* units; each takes the output *reads* of the one before it in its chain."""

    title: str
    layers: int
    width: int
    reads: str

    @property
    def units(self) -> int:
        """How many units it has."""
        return self.layers * self.width

    def spec(self) -> str:
        """The text of its stack file."""
        return (
            "from infra_orch import Stack\n\n"
            'stack = Stack("bench")\n'
            f"for chain in range({self.width}):\n"
            "    before = None\n"
            f"    for layer in range({self.layers}):\n"
            '        name = f"u{layer:03}-{chain:04}"\n'
            f'        after = {{"after": before.outputs.{self.reads or "id"}}} if before else {{}}\n'
            '        before = stack.unit(name, module="thing", inputs={"name": name, **after})\n'
        )

    def names(self) -> list[list[str]]:
        """The names of its units, layer by layer."""
        return [[f"u{layer:03}-{chain:04}" for chain in range(self.width)] for layer in range(self.layers)]


WIDE = Shape("wide: {units} units that know nothing of each other", 1, 100, "")
MANY = Shape("wide: {units} units that know nothing of each other", 1, 1000, "")
DEEP = Shape("deep: {width} chains of {layers}, of values that are known before", 20, 5, "name")
UNKNOWN = Shape("deep: {width} chains of {layers}, of values that nobody knows before", 20, 5, "id")


def make(folder: Path, shape: Shape) -> Path:
    """Make a committed project with the stack `bench` in *folder*, and return its root."""
    return write(folder, {"modules/thing/main.tf": MODULE, "stacks/bench/stack.py": shape.spec()})


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Make a committed project of *files*, by path, in *folder*, and return its root."""
    for name, text in {"infra-orch.toml": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "bench"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=git_environment())
    return folder


def git_environment() -> Mapping[str, str]:
    """The environment with a user that git accepts."""
    who = {"NAME": "bench", "EMAIL": "bench@example.com"}
    return {**os.environ, **{f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}}
