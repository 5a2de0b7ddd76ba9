"""A machine that goes down in the middle of an apply, with its states in S3: what was created there is found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, until
from cloud_account import BUCKET, STACK, with_bucket

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    terraform {
      required_providers {
        aws = {
          source = "hashicorp/aws"
        }
      }
    }

    resource "aws_ssm_parameter" "made" {
      for_each = toset(["one", "two"])
      name     = "made-${each.key}"
      type     = "String"
      value    = each.key
      tags     = { Owner = "ada" }
    }

    resource "terraform_data" "slow" {
      depends_on = [aws_ssm_parameter.made]

      provisioner "local-exec" {
        command = "test -e ${path.root}/quick || exec sleep 60"
      }
    }

    resource "aws_ssm_parameter" "last" {
      depends_on = [terraform_data.slow]
      name       = "last"
      type       = "String"
      value      = "last"
    }
    """
SPEC = f"""{STACK}
stack = Stack("cloud", backend=backend, providers=[aws])
stack.unit("parameters", module="parameters")
"""


@pytest.fixture
def cloud(desk: Desk, emulator: str, aws_mirror: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """An emulated account with a bucket, the stack `cloud` for it, and clients of it."""
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", aws_mirror)
    desk.write({"modules/parameters/main.tf": MODULE, "stacks/cloud/stack.py": SPEC})
    desk.commit()

    return with_bucket(emulator, monkeypatch)


def keys(cloud: Callable[[str], Any]) -> list[str]:
    return sorted(entry["Key"] for entry in cloud("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []))


def parameters(cloud: Callable[[str], Any]) -> list[str]:
    return sorted(entry["Name"] for entry in cloud("ssm").describe_parameters()["Parameters"])


def test_what_was_created_and_is_in_no_state_is_brought_into_it(
    desk: Desk, cloud: Callable[[str], Any], start: Callable[..., Child]
) -> None:
    child = start("apply", "cloud", "--auto-approve")
    until(lambda: said(desk, "Provisioning with"), "the parameters", seconds=120)
    child.kill_with_all()
    assert parameters(cloud) == ["made-one", "made-two"]
    assert keys(cloud) == ["cloud/parameters.tfstate.tflock"], "nothing is in the state, and its lock is held"

    refused = desk.run("apply", "cloud", "--auto-approve")
    assert refused.code == 77
    assert "2 resources created and in no state, 1 state lock held" in refused.err
    unasked = desk.run("recover", "cloud")
    assert unasked.code == 77
    assert 'module.parameters.aws_ssm_parameter.made["one"] (id made-one)' in unasked.out
    assert keys(cloud) == ["cloud/parameters.tfstate.tflock"], "nobody said yes"
    locked = desk.run("unlock", "cloud")
    assert (locked.code, "whose process is gone" in locked.out) == (77, True)

    recovered = desk.run("recover", "cloud", "--auto-approve")
    assert recovered.code == 0, recovered.err
    assert keys(cloud) == ["cloud/parameters.tfstate"]
    record = json.loads(desk.git("show", "HEAD:stacks/cloud/record/parameters.json"))
    made = [f'module.parameters.aws_ssm_parameter.made["{key}"]' for key in ("one", "two")]
    assert record["addresses"] == made

    (desk.root / ".infra-orch/work/cloud/parameters/quick").touch()
    following = desk.run("apply", "cloud", "--auto-approve", "--json")
    changes = json.loads(following.out)["units"]["parameters"]["changes"]
    assert (following.code, changes["create"], changes["update"]) == (0, 2, 0)
    assert parameters(cloud) == ["last", "made-one", "made-two"]


def said(desk: Desk, words: str) -> bool:
    return any(words in path.read_text() for path in desk.root.glob(".infra-orch/runs/*/parameters/apply.log"))
