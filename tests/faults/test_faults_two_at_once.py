"""Two runs at once, on one stack and on two: neither gets into the other's way, and git has the work of both.

FAULTS_TWO_ROUNDS says how many rounds of each kind there are (`make test-faults`: 50).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from child_process import Child, at_work

if TYPE_CHECKING:
    from conftest import Desk

ROUNDS = range(int(os.environ.get("FAULTS_TWO_ROUNDS", "1")))
MODULE = """
    variable "up" {
      type    = string
      default = ""
    }

    resource "terraform_data" "it" {
      count = 2
      input = var.up
    }

    output "id" {
      value = terraform_data.it[0].id
    }
    """


def stacks(desk: Desk, *names: str) -> Desk:
    files = {
        f"stacks/{name}/stack.py": f"""
        from infra_orch import Stack

        stack = Stack("{name}")
        one = stack.unit("one", module="it")
        stack.unit("two", module="it", inputs={{"up": one.outputs.id}})
        stack.unit("three", module="it")
        """
        for name in names
    }
    desk.write({"modules/it/main.tf": MODULE, **files})
    desk.commit()
    return desk


def check_git(desk: Desk) -> None:
    assert desk.git("status", "--porcelain") == ""
    desk.git("fsck", "--strict")
    assert not at_work(desk.root)


@pytest.mark.parametrize("_round", ROUNDS)
def test_on_one_stack_the_second_waits_its_turn_or_is_told_to(
    desk: Desk, start: Callable[..., Child], _round: int
) -> None:
    stacks(desk, "dev")
    both = [start("apply", "dev", "--auto-approve", "--json") for _ in range(2)]
    codes = sorted(child.wait() for child in both)
    assert codes in ([0, 75], [0, 0]), [child.err.read_text() for child in both]
    refused = [child.err.read_text() for child in both if child.process.returncode]
    assert all('stack "dev" is in use by apply ' in text for text in refused)
    assert len(desk.git("ls-files", "stacks/dev/record/runs").splitlines()) == 1, "what changed nothing has no record"
    states = [json.loads(path.read_text()) for path in (desk.root / "stacks/dev/state").glob("*.tfstate")]
    assert sorted(len(state["resources"][0]["instances"]) for state in states) == [2, 2, 2]
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    check_git(desk)


@pytest.mark.parametrize("_round", ROUNDS)
def test_on_two_stacks_each_goes_its_way(desk: Desk, start: Callable[..., Child], _round: int) -> None:
    stacks(desk, "dev", "prod")
    both = [start("apply", name, "--auto-approve") for name in ("dev", "prod")]
    assert [child.wait() for child in both] == [0, 0], [child.err.read_text() for child in both]
    subjects = desk.git("log", "--format=%s").splitlines()
    assert sorted(subjects) == ["apply dev: 6 created", "apply prod: 6 created", "work"]
    check_git(desk)
