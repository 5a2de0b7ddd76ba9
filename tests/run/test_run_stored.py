"""The states of units that are not part of a run are read where they lie, without Terraform, wherever that is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

FILES = {
    "modules/one/main.tf": """
    variable "text" {
      type    = any
      default = 0.1
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "text" {
      value = terraform_data.it.output
    }
    """,
    "stacks/dev/stack.py": """
    from infra_orch import Stack

    stack = Stack("dev")
    net = stack.unit("net", module="one", inputs={"text": 12345678901234567890.5})
    web = stack.unit("web", module="one", inputs={"text": net.outputs.text})
    """,
}
OF_TERRAFORM_0_11 = {
    "version": 3,
    "terraform_version": "0.11.14",
    "serial": 1,
    "lineage": "4d6c9b0e-0000-0000-0000-000000000000",
    "modules": [
        {
            "path": ["root"],
            "outputs": {"text": {"sensitive": False, "type": "string", "value": "of old"}},
            "resources": {},
            "depends_on": [],
        }
    ],
}


@pytest.fixture
def applied(desk: Desk) -> Desk:
    desk.write(FILES)
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    return desk


def planned(desk: Desk) -> tuple[dict[str, Any], set[str]]:
    """What a plan of web alone says of it, and the Terraform commands that read the state of net for it."""
    done = desk.run("plan", "dev", "--unit", "web", "--json")
    assert done.code in (0, 2), done.err
    (journal,) = sorted((desk.root / ".infra-orch/runs").glob("*/journal.jsonl"))[-1:]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    return json.loads(done.out)["units"]["web"], {e["step"] for e in events if e.get("node") == "net"}


def state(desk: Desk) -> Path:
    return desk.root / "stacks/dev/state/net.tfstate"


def test_a_state_in_a_file_is_read_to_the_last_digit_without_terraform(applied: Desk) -> None:
    web, commands = planned(applied)
    assert web["status"] == "unchanged"
    assert commands == set()


def test_a_state_of_an_older_format_is_read_by_terraform(applied: Desk) -> None:
    state(applied).write_text(json.dumps(OF_TERRAFORM_0_11))
    web, commands = planned(applied)
    assert web["status"] == "planned"
    assert "output" in commands


def test_of_a_broken_state_terraform_says_what_is_wrong(applied: Desk) -> None:
    state(applied).write_text(state(applied).read_text()[:-100])
    done = applied.run("plan", "dev", "--unit", "web")
    assert done.code == 1
    assert "net" in done.err + done.out
    assert "state" in done.err + done.out
