"""Whatever is edited: exactly what really differs is selected. `AFFECTED_EDITS=300` tries more, AFFECTED_SEED others."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_affected import FAR, FILES

if TYPE_CHECKING:
    from conftest import Desk

EDITS = int(os.environ.get("AFFECTED_EDITS", "6"))
SEED = int(os.environ.get("AFFECTED_SEED", "1"))
PINNED = """
    terraform {
      required_providers {
        random = {
          source  = "hashicorp/random"
          version = "~> 3.0"
        }
      }
    }

    variable "text" {
      type = string
    }

    output "text" {
      value = var.text
    }
    """
PINS = """
    from infra_orch import Provider, Stack

    stack = Stack("pins", providers=[Provider("random", source="hashicorp/random", version="~> 3.0")])
    stack.unit("p", module="pinned", inputs={"text": "p"}, tags=["t"])
    stack.unit("q", module="plain", inputs={"text": "q"}, protect=True)
    """
MORE = {
    "stacks/far/stack.py": FAR,
    "stacks/pins/stack.py": PINS,
    "modules/pinned/main.tf": PINNED,
    "modules/pinned/versions.txt": "3",
}
NESTED = {"outer": ("inner",)}
READS = {"inner": ("shared/team.txt",)}
"""What modules read outside of their folders."""


@pytest.fixture
def committed(desk: Desk) -> Desk:
    desk.write({**FILES, **MORE})
    assert desk.run("render", "--all").code == 0
    desk.commit()
    return desk


@dataclass
class Truth:
    """What is really there: by unit a digest of its bytes and its modules', what it comes after, its former name."""

    digests: dict[str, str]
    before: dict[str, set[str]]
    former: set[str]

    def differing(self, then: Truth) -> set[str]:
        return {unit for unit, digest in self.digests.items() if then.digests.get(unit) != digest}

    def deleted(self, then: Truth) -> set[str]:
        return then.digests.keys() - self.digests.keys() - self.former

    def below(self, units: set[str], then: Truth) -> set[str]:
        """*units* and what comes after them, or came after what is deleted; looked for again and again."""
        found = (
            units | {unit for unit, first in then.before.items() if first & self.deleted(then)} & self.digests.keys()
        )
        while more := {unit for unit, first in self.before.items() if first & found} - found:
            found |= more
        return found


def truth(desk: Desk) -> Truth:
    """Render all, and look at every byte."""
    done = desk.run("render", "--all")
    assert done.code == 0, done.err
    found = Truth({}, {}, set())
    for spec in sorted(desk.root.glob("stacks/**/stack.py")):
        stack = spec.parent.relative_to(desk.root / "stacks").as_posix()
        index = json.loads((spec.parent / "rendered/stack.json").read_text())
        for unit, about in index["units"].items():
            name = f"{stack}/{unit}"
            found.digests[name] = digest(desk, spec.parent / "rendered" / unit, Path(about["module"]).name)
            found.before[name] = {f"{stack}/{first}" for first, then in index["edges"] if then == unit}
            found.before[name] |= {*index.get("across", {}).get(unit, ())}
            found.former |= {f"{stack}/{about['formerly']}"} if about["formerly"] else set()
    return found


def digest(desk: Desk, rendered: Path, module: str) -> str:
    modules = (module, *NESTED.get(module, ()))
    paths = [*rendered.iterdir(), *(desk.root / path for name in modules for path in READS.get(name, ()))]
    paths += [path for name in modules for path in (desk.root / "modules" / name).rglob("*") if path.is_file()]
    made = hashlib.sha256()
    for path in sorted(paths):
        made.update(f"{path.relative_to(desk.root)}\0".encode() + path.read_bytes() + b"\0")
    return made.hexdigest()


def edit(desk: Desk, draw: random.Random) -> str:
    """Change something, anything. Returns what."""
    paths = [*FILES, *MORE, "modules/inner/new.txt", "modules/plain/deep/new.tf", "shared/other.txt"]
    paths = [path for path in paths if (desk.root / path).parent.exists() or "new" in path or "other" in path]
    path = desk.root / draw.choice(paths)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(errors="replace") if path.exists() else ""
    kinds: dict[str, Callable[[], object]] = {
        "comment": lambda: path.write_text(text + ("<!-- x -->" if path.suffix == ".md" else "\n# x\n")),
        "whitespace": lambda: path.write_text(text + "\n"),
        "the same": lambda: path.write_text(text),
    }
    if path.suffix == ".txt":
        kinds["binary"] = lambda: path.write_bytes(bytes(range(256)))
    if values := re.findall(r'"text": "(\w)"|"(~> 3.0)"|= "(acme)"|default = "(x)"', text):
        value = draw.choice([found for each in values for found in each if found])
        other = "~> 3.1" if value.startswith("~") else f"{value}{draw.randint(0, 9)}"
        kinds[f"another value than {value}"] = lambda: path.write_text(
            text.replace(f'"{value}"}}', f'"{other}"}}').replace(f'= "{value}"', f'= "{other}"')
        )
    if path.name == "stack.py" and text:
        kinds |= spec_kinds(path, text, draw)
    kind = draw.choice([*kinds])
    kinds[kind]()
    return f"{kind} in {path.relative_to(desk.root)}"


def spec_kinds(path: Path, text: str, draw: random.Random) -> dict[str, Callable[[], object]]:
    """Edits of stack files."""
    kinds: dict[str, Callable[[], object]] = {
        "a new unit": lambda: path.write_text(
            f'{text}\nstack.unit("n{draw.randint(0, 99)}", module="inner", inputs={{"text": "n"}})\n'
        ),
        "another backend": lambda: path.write_text(
            text.replace('Stack("', 'Stack(backend=__import__("infra_orch").LocalBackend(), name="')
        ),
        "another module": lambda: path.write_text(text.replace('module="plain"', 'module="inner"', 1)),
        "another order": lambda: path.write_text(text.replace("after=[b]", "after=[c]").replace("after=[f], ", "")),
        "an upper limit": lambda: path.write_text(
            text.replace("stack = Stack(", 'stack = Stack(tags=["t"], concurrency={"t": 3}, name=', 1)
        ),
    }
    lone = [unit for unit in "degpq" if f'unit("{unit}"' in text]
    if lone:
        unit = draw.choice(lone)
        line = next(line for line in text.splitlines() if f'unit("{unit}"' in line)
        renamed = line.replace(f'unit("{unit}"', f'unit("{unit}{unit}", formerly="{unit}"')
        kinds["a unit renamed"] = lambda: path.write_text(text.replace(line, renamed))
        kinds["a unit renamed without its state"] = lambda: path.write_text(
            text.replace(line, line.replace(f'unit("{unit}"', f'unit("{unit}{unit}"'))
        )
        kinds["a unit deleted"] = lambda: path.write_text(text.replace(line, ""))
    if path.parent.name != "prod":
        kinds["the stack deleted"] = lambda: shutil.rmtree(path.parent)
        kinds["the stack moved"] = lambda: shutil.move(path.parent, path.parent.with_name("moved"))
    return kinds


def selected(desk: Desk, *words: str, base: str = "HEAD") -> tuple[set[str], set[str]]:
    """The units that are selected, and those that are named as deleted."""
    done = desk.run("graph", "--affected", "--base", base, "--format", "json", *words)
    assert done.code == 0, done.err
    document = json.loads(done.out)
    gone = {f"{unit['stack']}/{unit['unit']}" for unit in document["deleted"]}
    return {node["id"] for node in document["nodes"]}, gone


def test_of_random_edits_none_is_missed_and_none_is_a_false_alarm(committed: Desk) -> None:
    draw = random.Random(SEED)
    before = truth(committed)
    number = 0
    while number < EDITS:
        done = [edit(committed, draw) for _ in range(draw.randint(1, 3))]
        what = f"edit {number} of seed {SEED}: {done}"
        if committed.run("validate", "--all").code == 0:
            number += 1
            itself, gone = selected(committed, "--no-downstream")
            below, _ = selected(committed)
            after = truth(committed)
            assert itself == after.differing(before), what
            assert gone == after.deleted(before), what
            assert below == after.below(itself, before), what
            committed.commit()
            rendered = selected(committed, "--from-rendered", base="HEAD~1")
            assert rendered == (below, gone), what
            committed.git("reset", "--quiet", "--hard", "HEAD~1")
        committed.git("checkout", "--quiet", ".")
        committed.git("clean", "--quiet", "--force", "-d", "-x", "stacks", "modules", "shared")
