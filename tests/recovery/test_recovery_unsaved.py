"""States that did not get to where they belong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from child_process import Child, until

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "seconds" {
      type = number
    }

    resource "terraform_data" "old" {}

    resource "terraform_data" "slow" {
      input      = var.seconds
      depends_on = [terraform_data.old]

      lifecycle {
        replace_triggered_by = [terraform_data.seconds]
      }

      provisioner "local-exec" {
        command = "touch ${path.root}/begun; exec sleep ${var.seconds}"
      }
    }

    resource "terraform_data" "seconds" {
      input = var.seconds
    }
    """


@pytest.fixture
def killed(desk: Desk, start: Callable[..., Child]) -> Path:
    """A unit that exists, and whose second apply was killed with its Terraform; returns the file of its state."""
    spec = (
        'from infra_orch import Stack\n\nstack = Stack("dev")\nstack.unit("it", module="it", inputs={"seconds": 0})\n'
    )
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": spec})
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    begun = desk.root / ".infra-orch/work/dev/it/begun"
    begun.unlink()
    (desk.root / "stacks/dev/stack.py").write_text(spec.replace('"seconds": 0', '"seconds": 60'))
    child = start("apply", "dev", "--auto-approve")
    until(begun.exists, "the second apply")
    child.kill_with_all()
    return desk.root / "stacks/dev/state/it.tfstate"


def addresses(state: Path) -> list[str]:
    return [f"{resource['type']}.{resource['name']}" for resource in json.loads(state.read_text())["resources"]]


def test_a_state_that_was_cut_off_is_brought_back_from_its_backup(desk: Desk, killed: Path) -> None:
    killed.write_text("")
    refused = desk.run("apply", "dev", "--auto-approve")
    assert (refused.code, "1 state that could not be saved" in refused.err) == (77, True)
    unasked = desk.run("recover", "dev")
    assert (unasked.code, "was cut off as it was written" in unasked.err) == (77, True)
    recovered = desk.run("recover", "dev", "--auto-approve")
    assert recovered.code == 0, recovered.err
    assert "terraform_data.old" in addresses(killed)


def test_a_state_that_terraform_could_not_save_is_written_where_it_belongs(desk: Desk, killed: Path) -> None:
    errored = desk.root / ".infra-orch/work/dev/it/errored.tfstate"
    shutil.copy(killed, errored)
    state = json.loads(errored.read_text())
    errored.write_text(json.dumps({**state, "serial": state["serial"] + 1}))
    unasked = desk.run("recover", "dev")
    assert (unasked.code, "which could not be saved?" in unasked.err) == (77, True)
    assert desk.run("recover", "dev", "--auto-approve").code == 0
    assert not errored.exists()
    assert json.loads(killed.read_text())["serial"] == state["serial"] + 1
