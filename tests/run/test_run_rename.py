"""A unit that is called otherwise keeps what it has: its state comes along, and a crash on the way costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra_orch.run import rename, unit
from infra_orch.run.terraform import StepError

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "text" {
      type    = string
      default = ""
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "id" {
      value = terraform_data.it.id
    }
    """
BEFORE = """
    from infra_orch import Stack

    stack = Stack("dev")
    net = stack.unit("net", module="one")
    web = stack.unit("web", module="one", inputs={"text": net.outputs.id})
    """
AFTER = BEFORE.replace('stack.unit("net"', 'stack.unit("network", formerly="net"')


@pytest.fixture
def renamed(desk: Desk) -> Desk:
    """A stack that was applied, and a spec that calls one of its units otherwise now."""
    desk.write({"modules/one/main.tf": MODULE, "stacks/dev/stack.py": BEFORE})
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    desk.write({"stacks/dev/stack.py": AFTER})
    return desk


def state(desk: Desk, name: str) -> dict[str, Any]:
    path: Path = desk.root / f"stacks/dev/state/{name}.tfstate"
    return dict(json.loads(path.read_text())) if path.exists() else {"resources": []}


def modules(desk: Desk, name: str) -> list[str]:
    return [resource["module"] for resource in state(desk, name)["resources"]]


def identity(desk: Desk, name: str) -> str:
    return str(state(desk, name)["resources"][0]["instances"][0]["attributes"]["id"])


def settled(desk: Desk, before: str) -> None:
    """It is where it belongs, what it was, and nowhere else; and there is nothing more to do."""
    assert (modules(desk, "network"), modules(desk, "net")) == (["module.network"], [])
    assert identity(desk, "network") == before
    again = desk.run("plan", "dev", "--json", "--detailed-exitcode")
    document = json.loads(again.out)
    assert (again.code, document["status"], document["left_over"]) == (0, "unchanged", [])


def test_a_plan_shows_the_move_and_moves_nothing(renamed: Desk) -> None:
    result = renamed.run("plan", "dev", "--json")
    network = json.loads(result.out)["units"]["network"]
    assert network["resources"] == [
        {
            "address": "module.network.terraform_data.it",
            "type": "terraform_data",
            "actions": ["no-op"],
            "moved_from": "module.net.terraform_data.it",
            "attributes": [],
        }
    ]
    assert network["changes"]["move"] == 1
    assert (modules(renamed, "net"), modules(renamed, "network")) == (["module.net"], [])


def test_an_apply_brings_the_state_and_the_record(renamed: Desk) -> None:
    before = identity(renamed, "net")
    result = renamed.run("apply", "dev", "--auto-approve")
    assert result.code == 0, result.err
    settled(renamed, before)
    records = renamed.git("ls-tree", "--name-only", "HEAD", "stacks/dev/record/").splitlines()
    assert records == [f"stacks/dev/record/{name}" for name in ("network.json", "runs", "web.json")]


def test_what_depends_on_it_may_be_worked_on_alone_before_it_moved(renamed: Desk) -> None:
    result = renamed.run("plan", "dev", "--unit", "web", "--json")
    web = json.loads(result.out)["units"]["web"]
    assert (web["status"], web["basis"]) == ("unchanged", "exact"), result.err


def test_a_crash_before_the_state_is_copied_is_made_up_for(renamed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(renamed, "net")

    def crash(*_: object) -> None:
        raise StepError("crashed")

    with monkeypatch.context() as patch:
        patch.setattr(unit, "bring_state", crash)
        assert renamed.run("apply", "dev", "--auto-approve").code == 1
    assert (modules(renamed, "net"), modules(renamed, "network")) == (["module.network"], [])
    assert renamed.run("apply", "dev", "--auto-approve").code == 0
    settled(renamed, before)


def test_a_crash_before_the_former_state_is_emptied_is_made_up_for(
    renamed: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(renamed, "net")

    def crash(*_: object, **__: object) -> list[str]:
        return ["false"]

    with monkeypatch.context() as patch:
        patch.setattr(rename.command, "state_push", crash)
        assert renamed.run("apply", "dev", "--auto-approve").code == 1
    assert (modules(renamed, "net"), modules(renamed, "network")) == (["module.network"], ["module.network"])
    assert renamed.run("apply", "dev", "--auto-approve").code == 0
    settled(renamed, before)


def test_two_units_that_both_exist_are_not_taken_for_one(renamed: Desk) -> None:
    own = BEFORE.replace('stack.unit("net"', 'stack.unit("network"')
    renamed.write({"stacks/dev/stack.py": own})
    assert renamed.run("apply", "dev", "--auto-approve").code == 0
    renamed.write({"stacks/dev/stack.py": AFTER})
    result = renamed.run("plan", "dev", "--json")
    summary = json.loads(result.out)["units"]["network"]["error"]["summary"]
    assert (result.code, summary) == (1, '"network" exists, and so does "net", which it is said to have been')


def test_a_renamed_unit_may_be_destroyed_at_once(renamed: Desk) -> None:
    result = renamed.run("destroy", "dev", "--auto-approve")
    assert result.code == 0, result.err
    assert (modules(renamed, "net"), modules(renamed, "network"), modules(renamed, "web")) == ([], [], [])
