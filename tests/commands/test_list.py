"""`infra-orch list`: what there is, and what of it has changed since its last apply."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Begin, Desk

MODULE = 'variable "x" {}\n\nresource "terraform_data" "it" {\n  input = var.x\n}\n'
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("one", module="m", inputs={"x": "1"}, tags=["base"])
    stack.unit("two", module="m", inputs={"x": "2"}, tags=["front", "slow"])
    stack.unit("three", module="m", inputs={"x": "3"})
"""


def make(desk: Desk) -> None:
    desk.write({"modules/m/main.tf": MODULE, "stacks/team/dev/stack.py": SPEC})
    desk.commit()
    done = desk.run("apply", "team/dev", "--auto-approve", "--unit", "one", "--unit", "two")
    assert done.code == 0, done.err


@pytest.fixture
def applied(begin: Begin) -> Desk:
    """A project of which two units of three are applied."""
    return begin(make)


def spec(desk: Desk) -> Path:
    return desk.root / "stacks/team/dev/stack.py"


def units(desk: Desk, *arguments: str) -> dict[str, Any]:
    """The units of the listing by `stack/unit`."""
    document = json.loads(desk.run("list", "--json", *arguments).out)
    return {f"{stack['stack']}/{unit['unit']}": unit for stack in document["stacks"] for unit in stack["units"]}


def states(desk: Desk, *arguments: str) -> dict[str, str]:
    return {name: unit["state"] for name, unit in units(desk, *arguments).items()}


def test_units_are_as_their_last_apply_left_them_or_were_never_applied(applied: Desk) -> None:
    assert states(applied) == {
        "team/dev/one": "current",
        "team/dev/two": "current",
        "team/dev/three": "unapplied",
    }
    (record,) = (applied.root / "stacks/team/dev/record/runs").iterdir()
    one = units(applied)["team/dev/one"]
    assert (one["last_apply"]["run"], one["last_apply"]["status"]) == (record.stem, "applied")
    assert (one["last_apply"]["by"], one["tags"], one["module"]) == ("Ada <ada@example.com>", ["base"], "modules/m")


def test_people_get_a_line_for_each_unit_and_a_sum(applied: Desk) -> None:
    done = applied.run("list")
    stack, one, three, _ = done.out.splitlines()
    assert stack == "team/dev"
    assert one.split()[:3] == ["one", "current", "applied"]
    assert one.endswith("[base]")
    assert three.split() == ["three", "unapplied"]
    assert (done.err, done.code) == ("1 stack, 3 units: 1 unapplied\n", 0)


def test_an_edit_of_the_spec_makes_the_units_that_it_changes_stale(applied: Desk) -> None:
    spec(applied).write_text(spec(applied).read_text().replace('{"x": "2"}', '{"x": "22"}'))
    found = units(applied)
    assert (found["team/dev/one"]["state"], found["team/dev/two"]["state"]) == ("current", "stale")
    assert found["team/dev/two"]["changed"] == ["rendered main.tf changed"]


def test_an_edit_of_a_module_makes_all_that_is_made_of_it_stale(applied: Desk) -> None:
    applied.write({"modules/m/main.tf": MODULE + "\n# more\n", "modules/m/new.txt": "x"})
    found = units(applied)
    assert found["team/dev/one"]["changed"] == ["file modules/m/main.tf changed", "file modules/m/new.txt new"]
    assert found["team/dev/three"]["state"] == "unapplied"


def test_an_apply_that_finds_nothing_to_change_makes_them_current_again(applied: Desk) -> None:
    applied.write({"modules/m/main.tf": MODULE + "\n# more\n"})
    done = applied.run("apply", "team/dev", "--auto-approve", "--unit", "one")
    assert "recorded in" in done.err + done.out
    found = units(applied)
    assert (found["team/dev/one"]["state"], found["team/dev/two"]["state"]) == ("current", "stale")
    planned = applied.run("plan", "team/dev", "--unit", "one", "--changed-only", "--json")
    assert json.loads(planned.out)["units"]["one"]["status"] == "skipped"
    again = applied.run("apply", "team/dev", "--auto-approve", "--unit", "one")
    assert "recorded in" not in again.err + again.out


def test_of_a_module_that_may_read_anything_nobody_can_tell(applied: Desk) -> None:
    applied.write({"modules/m/read.tf": "locals {\n  there = fileexists(var.x)\n}\n"})
    assert applied.run("apply", "team/dev", "--auto-approve", "--unit", "three").code == 0
    three = units(applied)["team/dev/three"]
    assert (three["state"], three["changed"]) == ("unknown", [])
    assert three["unseen"][0].startswith("modules/m/read.tf:2 ")
    assert "modules/m/read.tf:2 " in applied.run("list").out


def test_a_comment_in_the_spec_makes_nothing_stale(applied: Desk) -> None:
    spec(applied).write_text("# why\n" + spec(applied).read_text())
    assert states(applied)["team/dev/one"] == "current"


def test_a_unit_that_left_the_spec_and_exists_is_left_over_and_a_renamed_one_is_not(applied: Desk) -> None:
    text = spec(applied).read_text().replace('stack.unit("two"', '# stack.unit("two"')
    spec(applied).write_text(text.replace('stack.unit("one", ', 'stack.unit("first", formerly="one", '))
    found = units(applied)
    assert {name: unit["state"] for name, unit in found.items()} == {
        "team/dev/first": "stale",
        "team/dev/three": "unapplied",
        "team/dev/two": "left_over",
    }
    assert found["team/dev/first"]["changed"][0] == "renamed from one"
    line = next(line for line in applied.run("list").out.splitlines() if " first " in line)
    assert "(renamed from one, " in line


def test_a_deleted_stack_is_listed_while_something_of_it_exists(applied: Desk) -> None:
    applied.write({"stacks/other/stack.py": 'from infra_orch import Stack\nstack = Stack("other")\n'})
    spec(applied).unlink()
    left = {"team/dev/one": "left_over", "team/dev/two": "left_over"}
    assert states(applied) == left, "its rendered files are here"
    shutil.rmtree(applied.root / "stacks/team")
    assert states(applied) == left, "git has them"
    applied.commit("away with it")
    assert states(applied) == left
    assert "team/dev  its folder is deleted" in applied.run("list").out
    assert states(applied, "other") == {}


def test_a_wrong_spec_is_said_and_hides_neither_its_records_nor_other_stacks(applied: Desk) -> None:
    applied.write({"stacks/ok/stack.py": 'from infra_orch import Stack\nstack = Stack("ok")\n'})
    spec(applied).write_text(spec(applied).read_text().replace('module="m"', 'module="n"'))
    done = applied.run("list", "--json")
    assert done.code == 65
    ok, broken = json.loads(done.out)["stacks"]
    assert (ok["stack"], ok["problems"]) == ("ok", [])
    assert 'module "n"' in done.err
    assert broken["problems"] == ['unknown module "n" of unit "one"']
    assert [(unit["unit"], unit["state"]) for unit in broken["units"]] == [("one", "unknown"), ("two", "unknown")]


def test_tags_and_names_choose(applied: Desk) -> None:
    applied.write({"stacks/other/stack.py": 'from infra_orch import Stack\nstack = Stack("other")\n'})
    assert list(states(applied, "--tag", "base", "--tag", "slow")) == ["team/dev/one", "team/dev/two"]
    assert applied.run("list", "other").out == "other\n"
    nothing = applied.run("list", "--tag", "nobody")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no unit is tagged nobody\ntags: base, front, slow\n")


def test_the_last_apply_of_a_unit_can_have_failed_or_been_a_destroy(applied: Desk) -> None:
    for name, status in (("one", "failed"), ("two", "destroyed")):
        path = applied.root / f"stacks/team/dev/record/{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status}))
    found = states(applied)
    assert (found["team/dev/one"], found["team/dev/two"]) == ("failed", "destroyed")


def test_the_sandbox_has_records_of_its_own(applied: Desk, emulator: str) -> None:
    assert applied.run("apply", "team/dev", "--sandbox", "--auto-approve", "--unit", "three").code == 0
    found = states(applied, "--sandbox")
    assert found == {"team/dev/one": "unapplied", "team/dev/three": "current", "team/dev/two": "unapplied"}
    assert states(applied)["team/dev/one"] == "current"


def test_where_no_sandbox_is_kept_there_is_nothing_to_list(applied: Desk) -> None:
    done = applied.run("list", "--sandbox")
    assert (done.code, "infra-orch sandbox start" in done.err) == (69, True)


def test_a_project_without_stacks_says_how_to_make_one(desk: Desk) -> None:
    done = desk.run("list")
    assert (done.code, done.out) == (0, "")
    assert "infra-orch new stack NAME" in done.err


def test_what_a_spec_prints_does_not_get_into_the_document(applied: Desk) -> None:
    spec(applied).write_text('print("hello")\n' + spec(applied).read_text())
    done = applied.run("list", "--json")
    assert json.loads(done.out)["stacks"][0]["stack"] == "team/dev"
    assert "hello" in done.err
