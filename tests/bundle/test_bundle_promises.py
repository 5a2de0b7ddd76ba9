"""What a bundle could not know when it was made is looked at when it is applied, and does no more than it showed."""

from __future__ import annotations

import json

import pytest

# Its output is known when it is planned, and is not what the resource waits for: so `note` is planned with it. It comes
# from a path that no digest looks at, and is read again when `message` is planned again.
MESSAGE = """
    variable "id" {
      type = string
    }

    resource "terraform_data" "message" {
      input = var.id
    }

    output "text" {
      value = file("${path.root}/../../../../message.txt")
    }
"""
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    network = stack.unit("network", module="network", inputs={"name": "dev"})
    message = stack.unit("message", module="message", inputs={"id": network.outputs.id})
    note = stack.unit("note", module="note", inputs={"text": message.outputs.text})
"""
NOTE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "note" {
      input = var.text
    }
"""
KEYED = """
    variable "keys" {
      type = list(string)
    }

    resource "terraform_data" "keyed" {
      for_each = toset(var.keys)
    }
"""


@pytest.fixture
def promising(two_units):
    """A project in which `note` is planned with what the plan of `message` promises."""
    files = {"modules/note/main.tf": NOTE, "modules/message/main.tf": MESSAGE, "stacks/dev/stack.py": SPEC}
    two_units.write({**files, "message.txt": "promised"})
    two_units.commit()
    return two_units


@pytest.fixture
def deferring(two_units):
    """A project whose unit `keyed` cannot be planned before `network` exists."""
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(
        spec.read_text() + 'stack.unit("keyed", module="keyed", inputs={"keys": network.outputs.subnet_ids})\n'
    )
    two_units.write({"modules/keyed/main.tf": KEYED})
    two_units.commit()
    return two_units


def apply(desk, file, *options):
    return desk.run("apply", "dev", "--plan", file, "--auto-approve", *options)


def input_of_the_note(desk):
    state = json.loads((desk.root / "stacks/dev/state/note.tfstate").read_text())
    return state["resources"][0]["instances"][0]["attributes"]["input"]["value"]


def test_a_promise_that_is_kept_is_applied_as_it_was_planned(promising, clone, file):
    planned = json.loads(promising.run("plan", "dev", "--json", "--out", file).out)
    assert planned["units"]["note"]["basis"] == "planned"
    there = clone("there")
    applied = json.loads(apply(there, file, "--json").out)
    assert applied["units"]["note"]["status"] == "applied"
    run = there.root / f".infra-orch/runs/{applied['run_id']}/note"
    assert not (run / "plan.log").exists()
    assert input_of_the_note(there) == "promised"


def test_a_promise_that_is_broken_stops_the_unit(promising, clone, file, states):
    promising.run("plan", "dev", "--out", file)
    there = clone("there")
    there.write({"message.txt": "something else"})
    applied = apply(there, file)
    assert applied.code == 1
    assert "another value than the preview showed" in applied.err
    assert set(states(there)) == {"network.tfstate", "message.tfstate"}


def test_a_promise_that_is_broken_can_be_let_pass(promising, clone, file):
    promising.run("plan", "dev", "--out", file)
    there = clone("there")
    there.write({"message.txt": "something else"})
    assert apply(there, file, "--allow-unseen").code == 0
    assert input_of_the_note(there) == "something else"


def test_a_deferred_unit_is_planned_at_last_and_not_applied_unseen(deferring, clone, file, states):
    planned = json.loads(deferring.run("plan", "dev", "--json", "--out", file).out)
    assert planned["units"]["keyed"]["status"] == "deferred"
    there = clone("there")
    applied = json.loads(apply(there, file, "--json").out)
    assert {name: unit["status"] for name, unit in applied["units"].items()} == {
        "network": "applied",
        "web": "applied",
        "keyed": "deferred",
    }
    assert set(states(there)) == {"network.tfstate", "web.tfstate"}
    # The same command again would be refused: that bundle was applied.
    hint = applied["units"]["keyed"]["error"]["hint"]
    assert f"infra-orch plan dev --out {file}" in hint
    assert "run the same command again" not in hint


def test_a_deferred_unit_is_applied_where_that_was_allowed(deferring, clone, file, states):
    deferring.run("plan", "dev", "--out", file)
    there = clone("there")
    assert apply(there, file, "--allow-unseen").code == 0
    assert "keyed.tfstate" in states(there)


def test_the_state_of_a_deferred_unit_may_not_move_on_either(deferring, file, states):
    deferring.run("plan", "dev", "--out", file)
    state = deferring.root / "stacks/dev/state/keyed.tfstate"
    state.write_text(
        json.dumps({"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "a", "resources": []})
    )
    refused = apply(deferring, file)
    assert refused.code == 77
    assert "the state of keyed has moved on" in refused.err
    assert not states(deferring)
