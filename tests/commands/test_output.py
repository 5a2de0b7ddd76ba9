"""`output`: what a stack gives to others, for people and for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    output "text" {
      value = "it's \\"quoted\\"\\nand on two lines \\u001b[31m"
    }

    output "number" {
      value = 12345678901234567890.5
    }

    output "map" {
      value = { a = [1, true, null] }
    }

    output "password" {
      value     = "correct-horse"
      sensitive = true
    }

    output "login" {
      value = "postgres://app:correct-horse@db/orders"
    }
    """


@pytest.fixture(scope="module")
def applied(lasting_desk: Desk) -> Desk:
    lasting_desk.write(
        {
            "modules/one/main.tf": MODULE,
            "modules/none/main.tf": 'resource "terraform_data" "it" {\n}\n',
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("web", module="one")
            stack.unit("later", module="one")
            stack.unit("silent", module="none")
            """,
        }
    )
    lasting_desk.commit()
    assert lasting_desk.run("apply", "dev", "--auto-approve", "--unit", "web", "--unit", "silent").code == 0
    return lasting_desk


def test_a_person_sees_every_output_of_every_unit(applied: Desk) -> None:
    lines = applied.run("output", "dev").out.splitlines()
    assert lines[:2] == ["later  not applied (infra-orch apply dev)", "silent  (no outputs)"]
    assert '  map      = {"a": [1, true, null]}' in lines
    assert "  number   = 12345678901234567890.5" in lines


def test_nothing_in_a_value_reaches_the_terminal_as_a_command(applied: Desk) -> None:
    assert "\x1b" not in applied.run("output", "dev").out


def test_a_program_gets_values_by_unit_and_name(applied: Desk) -> None:
    units = json.loads(applied.run("output", "dev", "--json").out)["units"]
    assert units["web"]["map"] == {"value": {"a": [1, True, None]}, "sensitive": False}
    assert units["later"] == {}


def test_a_script_gets_one_value_as_it_is(applied: Desk) -> None:
    assert applied.run("output", "dev", "web", "text").out == 'it\'s "quoted"\nand on two lines \x1b[31m\n'
    assert json.loads(applied.run("output", "dev", "web", "map").out) == {"a": [1, True, None]}


def test_a_program_gets_one_value_as_json(applied: Desk) -> None:
    assert json.loads(applied.run("output", "dev", "web", "text", "--json").out).startswith("it's ")
    assert json.loads(applied.run("output", "dev", "web", "map", "--json").out) == {"a": [1, True, None]}


def test_what_is_sensitive_is_masked_unless_that_is_wanted(applied: Desk) -> None:
    assert "password = (sensitive)" in applied.run("output", "dev").out
    assert json.loads(applied.run("output", "dev", "--json").out)["units"]["web"]["password"]["value"] is None
    wanted = applied.run("output", "dev", "--json", "--sensitive")
    assert json.loads(wanted.out)["units"]["web"]["password"]["value"] == "correct-horse"


def test_what_holds_a_secret_is_masked_whatever_the_module_says(applied: Desk) -> None:
    assert "login    = (sensitive)" in applied.run("output", "dev").out
    refused = applied.run("output", "dev", "web", "login")
    assert (refused.code, refused.out, "--sensitive" in refused.err) == (64, "", True)
    assert applied.run("output", "dev", "web", "login", "--sensitive").out == "postgres://app:correct-horse@db/orders\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("wev",), 'did you mean "web"?'),
        (("web", "tekst"), 'did you mean "text"?'),
        (("later", "text"), "it is not applied (infra-orch apply dev)"),
        (("silent", "text"), "its outputs: none"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(applied: Desk, arguments: tuple[str, ...], hint: str) -> None:
    result = applied.run("output", "dev", *arguments)
    assert (result.code, result.out, hint in result.err) == (64, "", True), result.err


def test_a_state_that_cannot_be_read_is_said_with_its_unit(applied: Desk) -> None:
    state = applied.root / "stacks/dev/state/web.tfstate"
    text = state.read_text()
    state.write_text("{ not a state")
    result = applied.run("output", "dev")
    state.write_text(text)
    assert (result.code, result.out) == (1, "")
    assert "the outputs of web cannot be read" in result.err


def test_why_a_unit_has_none_is_told(two_units: Desk, emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert emulator
    assert two_units.run("apply", "dev", "--auto-approve", "--sandbox", "--unit", "network").code == 0
    never = ["network  not applied; the sandbox has it: --sandbox", "web  not applied (infra-orch apply dev)"]
    assert two_units.run("output", "dev").out.splitlines() == never
    rehearsed = two_units.run("output", "dev", "--sandbox").out.splitlines()
    assert (rehearsed[0], rehearsed[-1]) == ("network", "web  not applied (infra-orch apply dev --sandbox)")
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    assert two_units.run("destroy", "dev", "--auto-approve", "--unit", "web").code == 0
    assert two_units.run("output", "dev").out.splitlines()[-1] == "web  destroyed"
    clone = two_units.root.parent / "clone"
    two_units.git("clone", "--quiet", str(two_units.root), str(clone))
    monkeypatch.chdir(clone)
    elsewhere = two_units.run("output", "dev")
    assert (elsewhere.code, elsewhere.out.splitlines()) == (1, ["network  its state is not here", "web  destroyed"])
    assert (
        "network exists, says the record in git, and no state is in stacks/dev/state/; states beside" in elsewhere.err
    )
    told = two_units.run("output", "dev", "--json")
    assert (told.code, json.loads(told.out)["units"]) == (1, {"network": {}, "web": {}})
    value = two_units.run("output", "dev", "network", "name")
    assert (value.code, value.out, "no state is in stacks/dev/state/" in value.err) == (1, "", True)
