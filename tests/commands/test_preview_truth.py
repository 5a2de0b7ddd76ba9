"""Whatever a stack is and however it changes: what is done was shown, and what there is then is what Terraform makes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Desk

MODULES = {
    "plain": """
        variable "text" {
          type = string
        }

        resource "terraform_data" "it" {
          input = var.text
        }

        output "id" {
          value = terraform_data.it.id
        }

        output "text" {
          value = var.text
        }

        output "later" {
          value = terraform_data.it.output
        }

        output "secret" {
          value     = "secret-${var.text}"
          sensitive = true
        }

        output "number" {
          value = length(var.text)
        }

        output "texts" {
          value = [var.text, terraform_data.it.id]
        }
        """,
    "replaced": """
        variable "text" {
          type = string
        }

        resource "terraform_data" "it" {
          input            = "kept"
          triggers_replace = [var.text]
        }

        resource "terraform_data" "on" {
          input = terraform_data.it.id
        }

        output "id" {
          value = terraform_data.on.output
        }

        output "text" {
          value = terraform_data.it.output
        }
        """,
    "vault": """
        variable "text" {
          type      = string
          sensitive = true
        }

        resource "terraform_data" "it" {
          input = var.text
        }

        output "secret" {
          value     = var.text
          sensitive = true
        }

        output "id" {
          value = terraform_data.it.id
        }
        """,
    "each": """
        variable "texts" {
          type = list(string)
        }

        resource "terraform_data" "it" {
          for_each = toset(var.texts)
          input    = each.key
        }

        output "texts" {
          value = [for it in terraform_data.it : it.output]
        }

        output "number" {
          value = length(terraform_data.it)
        }
        """,
    "counted": """
        variable "number" {
          type = number
        }

        resource "terraform_data" "it" {
          count = var.number % 4
          input = count.index
        }

        output "texts" {
          value = terraform_data.it[*].id
        }

        output "number" {
          value = length(terraform_data.it) + 1
        }
        """,
}
INPUTS = {"plain": "text", "replaced": "text", "vault": "text", "each": "texts", "counted": "number"}
GIVES = {
    "text": [("plain", "id"), ("plain", "text"), ("plain", "later"), ("replaced", "id"), ("replaced", "text")],
    "texts": [("plain", "texts"), ("each", "texts"), ("counted", "texts")],
    "number": [("plain", "number"), ("each", "number"), ("counted", "number")],
}
WORDS = st.sampled_from(["a", "bb", "ccc", "${d}", 'e"e', "ff\nf", "", "ü"])
LITERALS = {
    "text": WORDS,
    "texts": st.lists(WORDS, max_size=3, unique=True),
    "number": st.integers(0, 7),
}


@dataclass(frozen=True)
class Node:
    """A unit: its module, and its input as a literal or as (unit, output)."""

    name: str
    module: str
    literal: Any
    reference: tuple[str, str] | None


def spec(name: str, nodes: list[Node]) -> str:
    lines = ["from infra_orch import Stack", "", f'stack = Stack("{name}")']
    for node in nodes:
        value = f"{node.reference[0]}.outputs.{node.reference[1]}" if node.reference else repr(node.literal)
        lines.append(
            f'{node.name} = stack.unit("{node.name}", module="{node.module}", inputs={{"{INPUTS[node.module]}": {value}}})'
        )
    return "\n".join(lines) + "\n"


@st.composite
def an_input(draw: st.DrawFn, module: str, before: list[Node]) -> tuple[Any, tuple[str, str] | None]:
    kind = INPUTS[module]
    gives = GIVES[kind] + ([("plain", "secret"), ("vault", "secret")] if module == "vault" else [])
    references = [(node.name, output) for node in before for giver, output in gives if giver == node.module]
    # A sensitive input can be no literal: it would be committed with the rendered files.
    if references and (module == "vault" or draw(st.integers(0, 3))):
        return None, draw(st.sampled_from(references))
    return draw(LITERALS[kind]), None


@st.composite
def histories(draw: st.DrawFn) -> list[list[Node]]:
    """A stack, and what becomes of it: inputs that change, units that come to it."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(3, 5))):
        module = draw(st.sampled_from(sorted(MODULES))) if number else "plain"
        nodes.append(Node(f"u{number}", module, *draw(an_input(module, nodes))))
    history = [nodes]
    for _ in range(draw(st.integers(1, 2))):
        changed: list[Node] = []
        for node in history[-1]:
            literal, reference = (
                draw(an_input(node.module, changed)) if draw(st.booleans()) else (node.literal, node.reference)
            )
            changed.append(replace(node, literal=literal, reference=reference))
        if draw(st.booleans()):
            module = draw(st.sampled_from(sorted(MODULES)))
            changed.append(Node(f"u{len(changed)}", module, *draw(an_input(module, changed))))
        history.append(changed)
    return history


NUMBERS = itertools.count()
EXAMPLES = int(os.environ.get("PREVIEW_TRUTH_EXAMPLES", "1"))
"""Each takes some seconds; dozens are for whoever changes how plans are made or compared."""
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def modules(lasting_desk: Desk) -> Desk:
    return lasting_desk.write({f"modules/{name}/main.tf": text for name, text in MODULES.items()})


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(history=histories())
def test_what_is_done_was_shown_and_is_what_one_root_module_makes(modules: Desk, history: list[list[Node]]) -> None:
    name = f"s{next(NUMBERS)}"
    for nodes in history:
        modules.write({f"stacks/{name}/stack.py": spec(name, nodes)})
        settle(modules, name, len(nodes))
    assert made_by_us(modules.root / "stacks" / name / "state", history[-1]) == made_by_one_root(
        modules.root, name, history[-1]
    )


def settle(desk: Desk, stack: str, most: int) -> None:
    """Apply until all is done: a unit that cannot be shown waits for the next time, and so do those that it holds up."""
    for _ in range(most + 1):
        planned = desk.run("plan", stack, "--json")
        assert planned.code == 0, planned.err
        shown = json.loads(planned.out)
        applied = desk.run("apply", stack, "--auto-approve", "--json", "--no-commit")
        done = json.loads(applied.out)
        check_done_was_shown(shown, done)
        statuses = {unit["status"] for unit in done["units"].values()}
        assert statuses <= {"applied", "unchanged", "deferred", "blocked"}, (applied.out, applied.err)
        if applied.code == 0:
            break
        assert "deferred" in statuses, applied.out
    again = desk.run("plan", stack, "--json", "--detailed-exitcode")
    assert (again.code, json.loads(again.out)["status"]) == (0, "unchanged"), again.out


def check_done_was_shown(shown: Mapping[str, Any], done: Mapping[str, Any]) -> None:
    for name, unit in done["units"].items():
        before = {change["address"]: change["actions"] for change in shown["units"][name]["resources"]}
        for change in unit["resources"]:
            was = before.get(change["address"])
            milder = change["actions"] == ["update"] and was is not None and set(was) == {"create", "delete"}
            assert change["actions"] == was or milder, (name, change, was)


def made_by_us(states: Path, nodes: list[Node]) -> Any:
    found = []
    for node in nodes:
        state = json.loads((states / f"{node.name}.tfstate").read_text())
        found += [(node.name, resource) for resource in state["resources"]]
    return canonical(found)


def made_by_one_root(root: Path, stack: str, nodes: list[Node]) -> Any:
    """The same modules in one big root module, applied one after the other, since Terraform refuses unknown keys."""
    folder = root / "oracle" / stack
    folder.mkdir(parents=True)
    modules = {
        node.name: {
            "source": f"../../modules/{node.module}",
            INPUTS[node.module]: f"${{module.{node.reference[0]}.{node.reference[1]}}}"
            if node.reference
            else escaped(node.literal),
        }
        for node in nodes
    }
    (folder / "main.tf.json").write_text(json.dumps({"module": modules}))
    terraform(folder, "init")
    targets: list[str] = []
    for node in nodes:
        if node.module in ("each", "counted") and node.reference:
            terraform(folder, "apply", "-auto-approve", *targets or ["-target=module.u0"])
        targets.append(f"-target=module.{node.name}")
    terraform(folder, "apply", "-auto-approve")
    state = json.loads((folder / "terraform.tfstate").read_text())
    return canonical([(resource["module"].partition(".")[2], resource) for resource in state["resources"]])


def terraform(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def escaped(value: Any) -> Any:
    """A literal in JSON syntax, where every string is a template."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    return [escaped(item) for item in value] if isinstance(value, list) else value


def canonical(resources: list[tuple[str, Any]]) -> Any:
    """Resources by module, address and values, with a name in the place of each random id, and lists in one order."""
    instances = [
        (f"{module}.{resource['name']}[{json.dumps(instance.get('index_key'))}]", instance["attributes"])
        for module, resource in resources
        for instance in resource["instances"]
    ]
    text = json.dumps(sorted(instances, key=json.dumps))
    # An id may be the key of another instance, which has a name only when that id has one.
    for _ in instances:
        for name, attributes in json.loads(text):
            if UUID.fullmatch(attributes["id"]) and not UUID.search(name):
                text = text.replace(attributes["id"], f"id of {hashlib.sha256(name.encode()).hexdigest()}")
    assert not UUID.search(text)
    return ordered(json.loads(text))


def ordered(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((ordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return {key: ordered(item) for key, item in value.items()} if isinstance(value, dict) else value
