"""Whatever is edited: of a unit that --changed-only skips the real plan is empty.

`make test` draws a few edits; SKIP_TRUTH_EDITS=200 draws as many.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

EDITS = int(os.environ.get("SKIP_TRUTH_EDITS", "4"))
SEED = int(os.environ.get("SKIP_TRUTH_SEED", "1"))
MODULE = """
    variable "text" {
      type    = string
      default = "x"
    }

    module "inner" {
      source = "../inner"
      text   = "${var.text} ${templatefile("${path.module}/page.tftpl", { name = var.text })}"
    }

    output "text" {
      value = module.inner.text
    }

    output "length" {
      value = length(module.inner.text)
    }
    """
INNER = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = "${var.text} ${file("${path.module}/../../shared/team.txt")} ${join(",", fileset(path.module, "*.txt"))}"
    }

    output "text" {
      value = terraform_data.it.output
    }
    """
NAMES = """
    PREFIX = "acme"

    def named(name):
        return f"{PREFIX}-{name}"
    """
SPEC = """
    from infra_orch import Stack, env
    from names import named

    stack = Stack("dev")
    a = stack.unit("a", module="outer", inputs={"text": named("a")})
    b = stack.unit("b", module="outer", inputs={"text": a.outputs.text})
    stack.unit("c", module="outer", inputs={"text": f"{a.outputs.length}"})
    stack.unit("d", module="outer", inputs={"text": env("TOKEN")})
    stack.unit("e", module="other", inputs={"text": "e"}, after=[b])
    """
FILES = {
    "modules/outer/main.tf": MODULE,
    "modules/outer/page.tftpl": "hello ${name}",
    "modules/inner/main.tf": INNER,
    "modules/inner/one.txt": "one",
    "modules/other/main.tf": INNER,
    "modules/other/README.md": "# Other",
    "shared/team.txt": "team",
    "stacks/names.py": NAMES,
    "stacks/dev/stack.py": SPEC,
}
Edit = Callable[[random.Random], dict[str, str]]


def edits(desk: Desk) -> dict[str, Edit]:
    """Kinds of edits; each returns files to write."""

    def now(path: str) -> str:
        return (desk.root / path).read_text()

    def replaced(path: str, old: str, new: str) -> dict[str, str]:
        return {path: now(path).replace(old, new)}

    return {
        "template": lambda draw: {"modules/outer/page.tftpl": f"hello {draw.randrange(4)} ${{name}}"},
        "file that a module reads elsewhere": lambda draw: {"shared/team.txt": f"team {draw.randrange(4)}"},
        "file that fileset finds": lambda draw: {f"modules/inner/{draw.randrange(4)}.txt": "new"},
        "file that nobody reads": lambda draw: {"modules/other/README.md": f"# {draw.random()}"},
        "comment in a module": lambda draw: {"modules/inner/main.tf": now("modules/inner/main.tf") + "# nothing\n"},
        "default of a variable": lambda draw: replaced("modules/outer/main.tf", '"x"', f'"x{draw.randrange(4)}"'),
        "shared function": lambda draw: {"stacks/names.py": NAMES.replace("acme", f"acme{draw.randrange(4)}")},
        "comment in a spec": lambda draw: {"stacks/dev/stack.py": now("stacks/dev/stack.py") + "# nothing\n"},
        "whitespace": lambda draw: {"stacks/dev/stack.py": now("stacks/dev/stack.py") + "\n" * draw.randrange(3)},
        "input": lambda draw: replaced("stacks/dev/stack.py", '"text": "e"', f'"text": "e{draw.randrange(4)}"'),
        "back to the beginning": lambda _draw: FILES,
    }


def statuses(desk: Desk, *words: str) -> dict[str, str]:
    done = desk.run("plan", "dev", "--json", *words)
    assert done.code == 0, done.err
    return {name: unit["status"] for name, unit in json.loads(done.out)["units"].items()}


def test_of_a_unit_that_is_skipped_the_real_plan_is_empty(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(SEED)
    monkeypatch.setenv("TOKEN", "token-0")
    desk.write(FILES)
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    kinds, skipped = edits(desk), 0
    for number in range(EDITS):
        kind = draw.choice([*kinds, "variable"])
        if kind == "variable":
            monkeypatch.setenv("TOKEN", f"token-{draw.randrange(3)}")
        else:
            desk.write(kinds[kind](draw))
        found, real = statuses(desk, "--changed-only"), statuses(desk)
        wrong = [name for name, status in found.items() if status == "skipped" and real[name] != "unchanged"]
        assert wrong == [], f"edit {number} of seed {SEED}: {kind}"
        skipped += list(found.values()).count("skipped")
        if draw.random() < 0.4:
            assert desk.run("apply", "dev", "--auto-approve").code == 0
    assert skipped
