"""`destroy` and `--prune`: in reverse order, nothing that is protected, nothing from under what still stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

LAYER = """
    variable "below" {
      type    = string
      default = ""
    }

    variable "journal" {
      type = string
    }

    resource "terraform_data" "it" {
      input = { below = var.below, journal = var.journal }

      provisioner "local-exec" {
        when    = destroy
        command = "echo gone >> ${self.input.journal}"
      }
    }

    output "id" {
      value = terraform_data.it.id
    }
    """


def layers(desk: Desk, *names: str, protected: str = "", extra: str = "") -> Desk:
    """A stack in which each unit stands on the one before; the destroys of each are noted in a file of its name."""
    lines = ["from infra_orch import Stack", "", 'stack = Stack("dev")']
    for number, name in enumerate(names):
        below = f', "below": {names[number - 1]}.outputs.id' if number else ""
        protect = ", protect=True" if name == protected else ""
        lines.append(
            f'{name} = stack.unit("{name}", module="layer", inputs={{"journal": "{desk.root}/{name}.gone"{below}}}{protect})'
        )
    desk.write({"modules/layer/main.tf": LAYER, ".gitignore": "*.gone\n"})
    (desk.root / "stacks/dev").mkdir(exist_ok=True)
    (desk.root / "stacks/dev/stack.py").write_text("\n".join(lines) + f"\n{extra}")
    desk.commit()
    return desk


@pytest.fixture
def standing(desk: Desk) -> Desk:
    """Three units on top of each other, applied."""
    layers(desk, "ground", "house", "roof")
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    return desk


def gone(desk: Desk) -> list[str]:
    """The units whose resources were destroyed, in the order in which that was done."""
    return [path.stem for path in sorted(desk.root.glob("*.gone"), key=lambda path: path.stat().st_mtime_ns)]


def document(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def statuses(text: str) -> dict[str, str]:
    return {name: unit["status"] for name, unit in document(text)["units"].items()}


def test_a_stack_goes_from_the_top_down(standing: Desk) -> None:
    result = standing.run("destroy", "dev", "--auto-approve")
    assert result.code == 0, result.err
    assert gone(standing) == ["roof", "house", "ground"]
    assert "3 destroyed" in result.out
    shown = [line.partition(" (destroy): ")[0] for line in result.out.splitlines() if " (destroy): " in line]
    assert shown == ["roof", "house", "ground"]
    record = json.loads(standing.git("show", "HEAD:stacks/dev/record/house.json"))
    assert (record["status"], record["addresses"], record["outputs"]) == ("destroyed", [], {})


def test_what_is_destroyed_is_shown_before_and_can_be_planned(standing: Desk) -> None:
    result = standing.run("plan", "dev", "--destroy", "--json")
    assert {name: unit["changes"]["delete"] for name, unit in document(result.out)["units"].items()} == {
        "ground": 1,
        "house": 1,
        "roof": 1,
    }
    assert gone(standing) == []


def test_destroying_twice_has_nothing_to_do(standing: Desk) -> None:
    standing.run("destroy", "dev", "--auto-approve")
    head = standing.git("rev-parse", "HEAD")
    again = standing.run("destroy", "dev", "--auto-approve")
    assert (again.code, "Nothing to destroy" in again.out) == (0, True)
    assert standing.git("rev-parse", "HEAD") == head


def test_without_anybody_to_ask_nothing_goes(standing: Desk) -> None:
    assert (standing.run("destroy", "dev").code, gone(standing)) == (77, [])


def test_nothing_is_taken_from_under_what_stands(standing: Desk) -> None:
    result = standing.run("destroy", "dev", "--auto-approve", "--unit", "house")
    assert (result.code, gone(standing)) == (77, [])
    assert "roof still exists and depends on" in result.err
    assert "--with-downstream" in result.err


def test_what_stands_on_it_may_go_along(standing: Desk) -> None:
    result = standing.run("destroy", "dev", "--auto-approve", "--unit", "house", "--with-downstream")
    assert (result.code, gone(standing)) == (0, ["roof", "house"]), result.err
    # What is gone holds nothing up any more.
    assert standing.run("destroy", "dev", "--auto-approve", "--unit", "ground").code == 0


def test_what_is_protected_refuses_the_whole_run_before_anything_goes(desk: Desk) -> None:
    layers(desk, "ground", "house", "roof", protected="ground")
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    result = desk.run("destroy", "dev", "--auto-approve", "--json")
    assert (result.code, gone(desk)) == (77, [])
    assert document(result.out)["status"] == "refused"
    assert "ground is protected" in document(result.out)["units"]["ground"]["error"]["summary"]


def test_what_is_protected_is_not_replaced_by_an_apply_either(desk: Desk) -> None:
    layers(desk, "ground", "house", protected="house")
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    text = LAYER.replace("input = {", "triggers_replace = 1\n      input = {")
    desk.write({"modules/layer/main.tf": text})
    result = desk.run("apply", "dev", "--auto-approve", "--json")
    assert (result.code, gone(desk)) == (77, [])
    assert statuses(result.out)["ground"] == "planned"
    assert (
        "module.house.terraform_data.it would be destroyed"
        in document(result.out)["units"]["house"]["error"]["summary"]
    )


def test_what_is_protected_and_left_the_spec_says_how_to_let_it_go(desk: Desk) -> None:
    layers(desk, "ground", "house", protected="house")
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    layers(desk, "ground")
    result = desk.run("apply", "dev", "--auto-approve", "--prune", "--json")
    assert (result.code, gone(desk)) == (77, [])
    hint = document(result.out)["units"]["house"]["error"]["hint"]
    assert (
        hint == "if that is meant, put house back into the spec without protect=True, apply that, and take it out again"
    )


def test_a_destroy_that_fails_leaves_what_it_stands_on(standing: Desk) -> None:
    # The note cannot be written where a folder is: the destroy of the house fails.
    (standing.root / "house.gone").mkdir()
    result = standing.run("destroy", "dev", "--auto-approve", "--json")
    assert statuses(result.out) == {"roof": "applied", "house": "failed", "ground": "blocked"}
    assert result.code == 1
    assert json.loads(standing.git("show", "HEAD:stacks/dev/record/roof.json"))["status"] == "destroyed"


def test_units_that_left_the_spec_are_said_to_be_left_over(standing: Desk) -> None:
    layers(standing, "ground")
    result = standing.run("plan", "dev", "--json")
    assert (document(result.out)["left_over"], result.code) == (["house", "roof"], 0)
    assert "still exist; --prune destroys them\n" in standing.run("apply", "dev", "--auto-approve").err
    assert gone(standing) == []


def test_what_left_the_spec_is_not_pruned_by_a_run_of_some_units_which_says_so(standing: Desk) -> None:
    layers(standing, "ground", "house")
    result = standing.run("apply", "dev", "--auto-approve", "--prune", "--unit", "ground")
    assert "roof left the spec and still exists; --prune destroys it in a run of the whole stack" in result.err
    assert (result.code, gone(standing)) == (0, [])


def test_units_that_left_the_spec_are_pruned_in_reverse_order_and_forgotten(standing: Desk) -> None:
    layers(standing, "ground")
    result = standing.run("apply", "dev", "--auto-approve", "--prune")
    assert result.code == 0, result.err
    assert gone(standing) == ["roof", "house"]
    assert standing.git("ls-files", "stacks/dev/record").splitlines()[0] == "stacks/dev/record/ground.json"
    assert "house.json" not in standing.git("ls-files")
    after = standing.run("plan", "dev", "--json", "--detailed-exitcode")
    assert (after.code, document(after.out)["left_over"]) == (0, [])


def test_a_unit_between_others_that_left_the_spec_goes_after_they_let_go_of_it(standing: Desk) -> None:
    spec = (standing.root / "stacks/dev/stack.py").read_text().splitlines()
    kept = [line.replace(', "below": house.outputs.id', "") for line in spec if not line.startswith("house")]
    (standing.root / "stacks/dev/stack.py").write_text("\n".join(kept) + "\n")
    result = standing.run("apply", "dev", "--auto-approve", "--prune", "--json")
    assert result.code == 0, result.err
    assert statuses(result.out) == {"ground": "unchanged", "roof": "applied", "house": "applied"}
    (runs,) = sorted((standing.root / ".infra-orch/runs").glob("*"))[-1:]
    begun = [json.loads(line) for line in (runs / "journal.jsonl").read_text().splitlines()]
    assert [entry["node"] for entry in begun if entry["event"] == "begin"] == ["roof", "house"]


def test_a_whole_destroy_takes_what_left_the_spec_along(standing: Desk) -> None:
    layers(standing, "ground")
    result = standing.run("destroy", "dev", "--auto-approve")
    assert (result.code, gone(standing)) == (0, ["roof", "house", "ground"]), result.err


def test_a_task_between_the_destroys_of_two_units_runs_between_them(standing: Desk) -> None:
    between = """
@stack.task(after=["roof"], before=["house"], on="destroy")
def between(context):
    from pathlib import Path

    (Path(__file__).parents[2] / "between.gone").write_text(context.outputs["house"]["id"])
"""
    layers(standing, "ground", "house", "roof", extra=between)
    assert standing.run("apply", "dev", "--auto-approve", "--json").code == 0
    result = standing.run("destroy", "dev", "--auto-approve")
    assert (result.code, gone(standing)) == (0, ["roof", "between", "house", "ground"]), result.err


def test_a_task_of_a_destroy_orders_nothing_in_an_apply(standing: Desk) -> None:
    both = """
left = stack.unit("left", module="breaks")
right = stack.unit("right", module="layer", inputs={"journal": "x.gone"})
@stack.task(after=[left], before=[right], on="destroy")
def between(context): ...
"""
    layers(standing, extra=both)
    standing.write(
        {
            "modules/breaks/main.tf": 'resource "terraform_data" "x" {\n  provisioner "local-exec" {\n    command = "false"\n  }\n}\n'
        }
    )
    result = standing.run("apply", "dev", "--auto-approve", "--json")
    assert statuses(result.out) == {"left": "failed", "right": "applied"}


def test_tasks_that_cannot_be_put_into_an_order_are_refused_before_anything_goes(standing: Desk) -> None:
    layers(
        standing,
        "ground",
        "house",
        "roof",
        extra='@stack.task(after=["ground"], before=["house"], on="destroy")\ndef between(context): ...\n',
    )
    result = standing.run("destroy", "dev", "--auto-approve")
    assert (result.code, gone(standing)) == (65, [])
    assert "between has after=ground, of a destroy" in result.err


def test_a_unit_is_not_destroyed_under_one_that_left_the_spec(standing: Desk) -> None:
    layers(standing, "ground")
    refused = standing.run("destroy", "dev", "--auto-approve", "--unit", "ground")
    assert (refused.code, gone(standing)) == (77, [])
    assert "house left the spec, still exists, and depends on what would be destroyed" in refused.err
    assert "infra-orch apply dev --prune destroys it" in refused.err


@pytest.mark.parametrize("command", [("apply", "--prune"), ("destroy",)])
def test_units_that_know_one_by_its_former_name_go_in_their_turn(standing: Desk, command: tuple[str, ...]) -> None:
    layers(standing, "base")
    spec = standing.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('module="layer"', 'module="layer", formerly="ground"'))
    result = standing.run(command[0], "dev", "--auto-approve", *command[1:])
    assert result.code == 0, result.err
    order = ["roof", "house", "ground"]  # what is left of the one that was renamed is noted in its first file
    assert gone(standing) == (order[:2] if command[0] == "apply" else order), result.err


KEYED = """
    variable "keys" {
      type = set(string)
    }

    resource "terraform_data" "it" {
      for_each = var.keys
    }
    """


@pytest.mark.parametrize("module", ["layer", "keyed"])
def test_a_unit_goes_though_what_it_reads_is_gone_already(desk: Desk, module: str) -> None:
    inputs = (
        '"keys": [ground.outputs.id]' if module == "keyed" else '"journal": "/dev/null", "below": ground.outputs.id'
    )
    layers(desk, "ground", extra=f'stack.unit("above", module="{module}", inputs={{{inputs}}})\n')
    desk.write({"modules/keyed/main.tf": KEYED})
    assert desk.run("apply", "dev", "--auto-approve", "--allow-unseen").code == 0
    (desk.root / "stacks/dev/state/ground.tfstate").unlink()
    result = desk.run("destroy", "dev", "--auto-approve", "--json", "--unit", "above")
    assert (result.code, statuses(result.out)) == (0, {"above": "applied"}), result.err
    assert json.loads((desk.root / "stacks/dev/state/above.tfstate").read_text())["resources"] == []
