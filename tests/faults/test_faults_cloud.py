"""Killed at random moments, with the real AWS provider and states in S3: all that is in the account is in a state.

FAULTS_CLOUD_ROUNDS says how many rounds of each kind there are (`make test-faults`: 20); none otherwise, since each
takes a minute.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, at_work, until
from cloud_account import BUCKET, STACK, with_bucket

from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.sandbox import server

if TYPE_CHECKING:
    from conftest import Desk

ROUNDS = range(int(os.environ.get("FAULTS_CLOUD_ROUNDS", "0")))
UNITS = 10
MODULE = """
    terraform {
      required_providers {
        aws = {
          source = "hashicorp/aws"
        }
      }
    }

    variable "name" {
      type = string
    }

    variable "up" {
      type    = string
      default = ""
    }

    resource "aws_ssm_parameter" "made" {
      count = 3
      name  = "${var.name}-${count.index}"
      type  = "String"
      value = "it"
      tags  = { Owner = "ada" }
    }

    resource "terraform_data" "pause" {
      depends_on = [aws_ssm_parameter.made]

      provisioner "local-exec" {
        command = "sleep 0.5"
      }
    }

    output "name" {
      value = aws_ssm_parameter.made[0].name
    }
    """
SPEC = f"""{STACK}
stack = Stack("dev", backend=backend, providers=[aws])
units = []
for number in range({UNITS}):
    up = {{}} if number % 3 == 0 else {{"up": units[-1].outputs.name}}
    units.append(stack.unit(f"u{{number}}", module="made", inputs={{"name": f"u{{number}}", **up}}))

@stack.task(after=[units[2]])
def check(context):
    return context.outputs["u2"]["name"]
"""


@pytest.fixture
def account(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An emulated account with a bucket, and what makes clients of it."""
    if not any("registry.terraform.io/hashicorp/aws" in providers_in(mirror) for mirror in find_mirrors(os.environ)):
        pytest.skip("no provider mirror with the AWS provider on this machine")
    emulator = server.start(tmp_path / "emulator")
    desk.write({"modules/made/main.tf": MODULE, "stacks/dev/stack.py": SPEC})
    desk.commit()

    yield with_bucket(emulator.url, monkeypatch)
    server.stop(tmp_path / "emulator")


def killed_in_an_apply(desk: Desk, start: Callable[..., Child], kill: Callable[[Child], None]) -> None:
    """Begin an apply, and kill it at a random moment."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - shown where a round fails
    child = start("apply", "dev", "--auto-approve", "--parallelism", "4")
    until(lambda: list(desk.root.glob(".infra-orch/runs/*/*/apply.log")), "the first change", seconds=300)
    time.sleep(random.Random(seed).uniform(3, 30))
    kill(child)


def parameters(account: Any) -> list[dict[str, Any]]:
    pages = account("ssm").get_paginator("describe_parameters").paginate()
    return [entry for page in pages for entry in page["Parameters"]]


def keys(account: Any) -> list[str]:
    return [entry["Key"] for entry in account("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def in_states(account: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for key in keys(account):
        state = json.loads(account("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
        for resource in state["resources"]:
            if resource["type"] == "aws_ssm_parameter":
                found.update(instance["attributes"]["name"] for instance in resource["instances"])
    return found


@pytest.mark.parametrize("kill", [Child.kill_alone, Child.kill_with_all], ids=["orchestrator", "machine"])
@pytest.mark.parametrize("_round", ROUNDS)
def test_all_that_is_in_the_account_is_in_a_state(
    desk: Desk, account: Any, start: Callable[..., Child], kill: Callable[[Child], None], _round: int
) -> None:
    killed_in_an_apply(desk, start, kill)
    recovered = desk.run("recover", "dev", "--auto-approve")
    assert recovered.code == 0 or "it may exist" in recovered.err, recovered.out + recovered.err
    assert in_states(account) == Counter(entry["Name"] for entry in parameters(account))
    assert not [key for key in keys(account) if key.endswith(".tflock")]
    assert len(desk.git("ls-files", "stacks/dev/record/runs").splitlines()) == 1

    again = desk.run("apply", "dev", "--auto-approve")
    assert again.code == 0, again.out + again.err
    assert {(entry["Name"], entry["Version"]) for entry in parameters(account)} == {
        (f"u{unit}-{number}", 1) for unit in range(UNITS) for number in range(3)
    }
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    assert not at_work(desk.root)
