"""Killed at random moments: after `recover` nothing is lost, nothing is there twice, nothing stays locked.

FAULTS_ROUNDS says how many rounds of each kind there are (`make test-faults`: 20); FAULTS_SEED repeats the moment of one that
failed, which is printed with it.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, at_work, until

if TYPE_CHECKING:
    from conftest import Desk

ROUNDS = range(int(os.environ.get("FAULTS_ROUNDS", "1")))
UNITS = 10

MODULE = """
    variable "up" {
      type    = string
      default = ""
    }

    variable "world" {
      type = string
    }

    resource "terraform_data" "made" {
      count = 3
      input = "${var.up}-${count.index}"

      provisioner "local-exec" {
        command = "sleep 0.05; echo ${self.id} >> ${var.world}-${count.index}"
      }
    }

    output "id" {
      value = terraform_data.made[0].id
    }
    """


def estate(desk: Desk) -> Desk:
    """Ten units, every third of which stands on nothing, and four tasks; all of them leave traces in `world`."""
    lines = ["from pathlib import Path", "from infra_orch import Stack", 'stack = Stack("dev")', "units = []"]
    world = desk.root.parent / "world"
    world.mkdir()
    lines += [
        f"for number in range({UNITS}):",
        '    up = {} if number % 3 == 0 else {"up": units[-1].outputs.id}',
        f'    inputs = {{"world": f"{world}/u{{number}}", **up}}',
        '    units.append(stack.unit(f"u{number}", module="made", inputs=inputs))',
        "def trace(number):",
        "    def run(context):",
        f'        with Path(f"{world}/task-{{number}}").open("a") as file:',
        '            file.write("ran\\n")',
        "    return run",
        "for number in (2, 5, 8, 9):",
        '    stack.task(after=[units[number]], name=f"t{number}")(trace(number))',
    ]
    desk.write({"modules/made/main.tf": MODULE})
    (desk.root / "stacks/dev").mkdir()
    (desk.root / "stacks/dev/stack.py").write_text("\n".join(lines) + "\n")
    desk.commit()
    return desk


def killed_in_an_apply(desk: Desk, start: Callable[..., Child], kill: Callable[[Child], None]) -> None:
    """Begin an apply, and kill it at a random moment."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - shown where a round fails
    chance = random.Random(seed)
    child = start("apply", "dev", "--auto-approve", "--parallelism", "4")
    until(lambda: journalled(desk, "apply"), "the apply")
    time.sleep(chance.uniform(0, 1.2))
    kill(child)


def journalled(desk: Desk, event: str) -> bool:
    journals = desk.root.glob(".infra-orch/runs/*/journal.jsonl")
    return any(f'"event": "{event}"' in journal.read_text() for journal in journals)


def states(desk: Desk) -> dict[str, dict[str, Any]]:
    found = {}
    for path in (desk.root / "stacks/dev/state").glob("*.tfstate"):
        # Terraform opens the file when it begins, and writes it when the first resource is there.
        if (text := path.read_text()) and json.loads(text)["resources"]:
            found[path.stem] = json.loads(text)
    return found


def check_recovered(desk: Desk) -> None:
    """What holds after `recover`, whatever happened."""
    exists = states(desk)
    recorded = {name for name in exists if record(desk, name)}
    assert recorded == exists.keys(), "a unit that exists has no record in git"
    runs = desk.git("ls-files", "stacks/dev/record/runs").splitlines()
    # What was killed before it began to change anything owes none.
    assert len(runs) == journalled(desk, "begin"), "the apply has no record in git, or two"
    assert desk.git("status", "--porcelain") == ""
    assert "no state of dev is locked" in desk.run("unlock", "dev").err
    assert "nothing to recover" in desk.run("recover", "dev").err


def record(desk: Desk, unit: str) -> str:
    return desk.git("ls-tree", "--name-only", "HEAD", f"stacks/dev/record/{unit}.json")


def check_finished(desk: Desk) -> None:
    """What holds once the apply was made again."""
    again = desk.run("apply", "dev", "--auto-approve")
    assert again.code == 0, again.out + again.err
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    assert len(states(desk)) == UNITS
    assert not at_work(desk.root)


@pytest.mark.parametrize("_round", ROUNDS)
def test_a_killed_orchestrator_costs_nothing(desk: Desk, start: Callable[..., Child], _round: int) -> None:
    killed_in_an_apply(estate(desk), start, Child.kill_alone)
    recovered = desk.run("recover", "dev")
    assert recovered.code == 0, recovered.out + recovered.err
    check_recovered(desk)
    world = desk.root.parent / "world"
    ran = {path.name: path.read_text().count("ran") for path in world.glob("task-*")}
    assert set(ran.values()) <= {1}, "a task ran twice"
    check_finished(desk)
    made = Counter(line for path in world.glob("u*") for line in path.read_text().splitlines())
    ids = [
        instance["attributes"]["id"]
        for state in states(desk).values()
        for resource in state["resources"]
        for instance in resource["instances"]
    ]
    assert made == Counter(ids), "something was made and is in no state, or was made twice"


@pytest.mark.parametrize("_round", ROUNDS)
def test_a_machine_that_goes_down_costs_nothing(desk: Desk, start: Callable[..., Child], _round: int) -> None:
    killed_in_an_apply(estate(desk), start, Child.kill_with_all)
    recovered = desk.run("recover", "dev", "--auto-approve")
    assert recovered.code == 0, recovered.out + recovered.err
    check_recovered(desk)
    check_finished(desk)
