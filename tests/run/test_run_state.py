"""A state, as Terraform keeps it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra_orch.run.state import instances, read_state


def test_addresses_of_a_state_are_those_that_terraform_lists(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/main.tf").write_text('resource "terraform_data" "it" {\n  count = 2\n}\n')
    (tmp_path / "main.tf").write_text(
        """
        resource "terraform_data" "one" {}
        resource "terraform_data" "each" {
          for_each = toset(["a", "with \\"quotes\\"", "ü"])
        }
        module "in" {
          source   = "./inner"
          for_each = toset(["x"])
        }
        """
    )
    for command in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *command], cwd=tmp_path, check=True, capture_output=True)
    listed = subprocess.run(["terraform", "state", "list"], cwd=tmp_path, check=True, capture_output=True, text=True)
    found = [address for address, _ in instances(read_state((tmp_path / "terraform.tfstate").read_bytes()))]
    assert sorted(found) == sorted(listed.stdout.split("\n")[:-1])


def test_where_there_is_no_state_there_is_nothing() -> None:
    assert read_state(b"\n") == {}


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"serial": 1, "lineage": "x", "resources": [{}]}', b"{" * 100_000])
def test_what_is_no_state_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a state|Expecting"):
        read_state(text)
