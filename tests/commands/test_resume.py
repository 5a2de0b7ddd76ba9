"""`apply --resume RUN`: go on with what a run had shown and not done, without being asked again where it is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, until

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "seconds" {
      type    = number
      default = 0
    }

    variable "mark" {
      type = string
    }

    variable "below" {
      type    = string
      default = ""
    }

    resource "terraform_data" "it" {
      input = var.below

      provisioner "local-exec" {
        command = "touch ${var.mark}; exec sleep ${var.seconds}"
      }
    }

    output "id" {
      value = terraform_data.it.id
    }
    """
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    mark = "{mark}"
    slow = stack.unit("slow", module="it", inputs={{"seconds": 1, "mark": mark}})
    plain = stack.unit("plain", module="it", inputs={{"mark": f"{{mark}}-plain"}}, after=[slow])
    reads = stack.unit("reads", module="it", inputs={{"mark": f"{{mark}}-reads", "below": slow.outputs.id}})

    @stack.task(after=[plain])
    def check(context):
        return "checked"
    """


@pytest.fixture
def killed(desk: Desk, start: Callable[..., Child]) -> Desk:
    """A stack whose apply was killed while its first unit was applied."""
    mark = desk.root.parent / "begun"
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC.format(mark=mark)})
    desk.commit()
    child = start("apply", "dev", "--auto-approve")
    until(mark.exists, "the first unit")
    child.kill_alone()
    return desk


def run_id(desk: Desk) -> str:
    return min(path.name for path in (desk.root / ".infra-orch/runs").iterdir())


def document(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def test_what_was_shown_and_not_done_is_done(killed: Desk) -> None:
    asked = killed.run("apply", "dev", "--resume", run_id(killed))
    assert asked.code == 77, "a plan that waited for another unit's values was not shown whole"
    resumed = killed.run("apply", "dev", "--resume", run_id(killed), "--auto-approve", "--json")
    assert resumed.code == 0, resumed.err
    found = document(resumed.out)
    assert {name: unit["status"] for name, unit in found["units"].items()} == {"plain": "applied", "reads": "applied"}
    assert found["tasks"]["check"]["status"] == "applied"
    assert killed.run("plan", "dev", "--detailed-exitcode").code == 0


def test_plans_that_are_what_was_shown_are_not_asked_for_again(desk: Desk, start: Callable[..., Child]) -> None:
    mark = desk.root.parent / "begun"
    spec = SPEC.format(mark=mark).replace(', "below": slow.outputs.id', "")
    lasting = MODULE.replace("default = 0", "default = 1")  # or the third has begun before the kill
    desk.write({"modules/it/main.tf": lasting, "stacks/dev/stack.py": spec})
    desk.commit()
    child = start("apply", "dev", "--auto-approve", "--parallelism", "1")
    until(lambda: len(list(desk.root.parent.glob("begun*"))) == 2, "the second unit")
    child.kill_alone()
    resumed = desk.run("apply", "dev", "--resume", "last")
    assert resumed.code == 0, resumed.err
    assert "so it is not asked again" in resumed.err
    assert "1 added" in resumed.out
    assert "No changes" in desk.run("apply", "dev", "--resume", run_id(desk)).out


def test_plans_that_are_something_else_by_now_are_asked_for(desk: Desk, start: Callable[..., Child]) -> None:
    mark = desk.root.parent / "begun"
    spec = SPEC.format(mark=mark).replace(', "below": slow.outputs.id', "")
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": spec})
    desk.commit()
    child = start("apply", "dev", "--auto-approve")
    until(mark.exists, "the first unit")
    child.kill_alone()
    desk.write({"stacks/dev/stack.py": spec.replace('f"{mark}-plain"}', 'f"{mark}-plain", "below": "new"}')})
    resumed = desk.run("apply", "dev", "--resume", run_id(desk))
    assert (resumed.code, "nobody is there to be asked" in resumed.err) == (77, True)
    assert not (desk.root / "stacks/dev/state/plain.tfstate").exists()


@pytest.mark.parametrize("name", ["2030", "../x", ""])
def test_a_run_that_is_none_is_refused(two_units: Desk, name: str) -> None:
    refused = two_units.run("apply", "dev", "--resume", name or "none")
    assert (refused.code, "no apply of dev" in refused.err) == (64, True)
