"""A bundle is refused, and nothing is changed, where anything that it rests on has moved on."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

REFUSED = 77


def apply(desk, file, *options):
    return desk.run("apply", "dev", "--plan", file, "--auto-approve", *options)


def test_what_was_applied_is_not_applied_again(one_unit, file, states):
    one_unit.run("plan", "dev", "--out", file)
    first = json.loads(apply(one_unit, file, "--json").out)
    before = states(one_unit)
    again = apply(one_unit, file)
    assert again.code == REFUSED
    assert first["run_id"] in again.err
    assert states(one_unit) == before


def test_what_a_colleague_applied_is_not_applied_again_on_an_empty_state(one_unit, clone, file, states):
    """Terraform itself would: the state here is as empty as the one that the plan was made on."""
    one_unit.run("render", "dev")
    one_unit.commit()
    one_unit.run("plan", "dev", "--out", file)
    colleague = clone("colleague")
    applied = json.loads(apply(colleague, file, "--json").out)
    one_unit.git("pull", "--quiet", str(colleague.root), "main")
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert applied["run_id"] in refused.err
    assert not states(one_unit)


def test_a_plan_made_on_an_empty_state_is_refused_once_there_is_one(one_unit, file, states):
    """Terraform itself lets it through, and everything would be there twice."""
    one_unit.run("plan", "dev", "--out", file)
    one_unit.run("apply", "dev", "--auto-approve")
    before = states(one_unit)
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "the state of note has moved on" in refused.err
    assert states(one_unit) == before


def test_a_unit_whose_state_moved_on_keeps_all_the_others_from_being_touched(two_units, file, states):
    two_units.run("apply", "dev", "--auto-approve")
    before = states(two_units)
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('"name": "dev"', '"name": "new"'))
    two_units.run("plan", "dev", "--out", file)
    state = two_units.root / "stacks/dev/state/web.tfstate"
    moved = json.loads(state.read_text())
    state.write_text(json.dumps({**moved, "serial": moved["serial"] + 1}))
    refused = apply(two_units, file)
    assert refused.code == REFUSED
    assert "the state of web has moved on" in refused.err
    assert states(two_units)["network.tfstate"] == before["network.tfstate"]


def test_an_edited_module_refuses_it_and_the_command_that_plans_anew_makes_one_that_applies(one_unit, file, states):
    one_unit.run("plan", "dev", "--out", file)
    module = one_unit.root / "modules/note/main.tf"
    module.write_text(module.read_text().replace("input = var.text", "input = upper(var.text)"))
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "modules/note/main.tf has changed" in refused.err
    assert not states(one_unit)
    anew = re.search(r"infra-orch (plan .*)", refused.err)
    assert one_unit.run(*anew[1].split()).code == 0
    assert apply(one_unit, file).code == 0


def test_a_file_that_came_to_a_module_refuses_it(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    one_unit.write({"modules/note/more.tf": 'resource "terraform_data" "more" {}\n'})
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "modules/note/more.tf is new" in refused.err


def test_an_edited_module_that_the_module_calls_refuses_it(one_unit, file):
    module = one_unit.root / "modules/note/main.tf"
    module.write_text(module.read_text() + '\nmodule "shared" {\n  source = "../shared"\n}\n')
    one_unit.write({"modules/shared/main.tf": 'resource "terraform_data" "shared" {}\n'})
    one_unit.run("plan", "dev", "--out", file)
    one_unit.write({"modules/shared/main.tf": 'resource "terraform_data" "other" {}\n'})
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "modules/shared/main.tf has changed" in refused.err


def test_an_edited_file_that_a_module_reads_from_elsewhere_refuses_it(one_unit, file, states):
    module = one_unit.root / "modules/note/main.tf"
    module.write_text(module.read_text().replace("input = var.text", 'input = file("${path.module}/../note.txt")'))
    one_unit.write({"modules/note.txt": "one"})
    assert one_unit.run("plan", "dev", "--out", file).code == 0
    one_unit.write({"modules/note.txt": "two"})
    refused = one_unit.run("apply", "dev", "--plan", file, "--auto-approve")
    assert (refused.code, states(one_unit)) == (77, {})
    assert "modules/note.txt has changed" in refused.err


def test_an_edited_spec_refuses_it_before_its_python_is_run(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    one_unit.write({"stacks/dev/stack.py": "raise RuntimeError('evaluated')\n"})
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "stacks/dev/stack.py has changed" in refused.err


def test_a_value_that_came_from_elsewhere_into_the_spec_refuses_it(one_unit, file):
    one_unit.write({"names.py": 'TEXT = "first"\n'})
    spec = one_unit.root / "stacks/dev/stack.py"
    spec.write_text("from names import TEXT\n" + spec.read_text().replace('"first"', "TEXT"))
    one_unit.run("plan", "dev", "--out", file)
    one_unit.write({"names.py": 'TEXT = "second"\n'})
    sys.modules.pop("names")  # as a process of its own would begin
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "stacks/dev/rendered/note/main.tf has changed" in refused.err


def test_a_plan_of_uncommitted_work_is_refused_where_that_work_is_not(one_unit, clone, file):
    module = one_unit.root / "modules/note/main.tf"
    module.write_text(module.read_text().replace("input = var.text", "input = upper(var.text)"))
    one_unit.run("plan", "dev", "--out", file)
    refused = apply(clone("there"), file)
    assert refused.code == REFUSED
    assert "modules/note/main.tf has changed" in refused.err


def test_other_outputs_of_a_unit_outside_the_run_refuse_it(two_units, file, states):
    two_units.run("apply", "dev", "--unit", "network", "--auto-approve")
    two_units.run("plan", "dev", "--unit", "web", "--out", file)
    two_units.run("destroy", "dev", "--unit", "network", "--auto-approve")
    two_units.run("apply", "dev", "--unit", "network", "--auto-approve")
    refused = apply(two_units, file)
    assert refused.code == REFUSED
    assert "the outputs of network" in refused.err
    assert set(states(two_units)) == {"network.tfstate"}


def test_another_value_of_an_environment_variable_refuses_it_without_saying_the_value(one_unit, file, monkeypatch):
    spec = one_unit.root / "stacks/dev/stack.py"
    spec.write_text("from infra_orch import env\n" + spec.read_text().replace('"first"', 'env("NOTE_TEXT")'))
    module = one_unit.root / "modules/note/main.tf"
    module.write_text(module.read_text().partition("output")[0])
    monkeypatch.setenv("NOTE_TEXT", "as-it-was-planned")
    one_unit.run("plan", "dev", "--out", file)
    monkeypatch.setenv("NOTE_TEXT", "something-else")
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "NOTE_TEXT has another value" in refused.err
    assert "something-else" not in refused.err
    monkeypatch.delenv("NOTE_TEXT")
    assert "NOTE_TEXT is not set" in apply(one_unit, file).err
    monkeypatch.setenv("NOTE_TEXT", "as-it-was-planned")
    assert apply(one_unit, file).code == 0


def test_a_plan_for_real_is_refused_in_the_sandbox(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    refused = apply(one_unit, file, "--sandbox")
    assert refused.code == REFUSED
    assert "not for the sandbox" in refused.err


def test_a_plan_of_the_sandbox_is_refused_for_real_and_applies_there(one_unit, file, states):
    planned = one_unit.run("plan", "dev", "--sandbox", "--out", file)
    assert planned.code == 0, planned.err
    refused = apply(one_unit, file)
    assert refused.code == REFUSED
    assert "in the sandbox" in refused.err
    applied = apply(one_unit, file, "--sandbox")
    assert applied.code == 0, applied.err
    assert not states(one_unit)


def test_nobody_to_ask_refuses_it_and_it_can_still_be_applied_later(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    refused = one_unit.run("apply", "dev", "--plan", file)
    assert refused.code == REFUSED
    assert f"infra-orch apply dev --plan {file} --auto-approve" in refused.err
    assert apply(one_unit, file).code == 0


@pytest.mark.parametrize("selector", [("--unit", "note"), ("--tag", "x"), ("--prune",)])
def test_what_is_applied_is_not_selected_again(one_unit, file, selector):
    one_unit.run("plan", "dev", "--out", file)
    assert apply(one_unit, file, *selector).code == 64


def test_a_plan_of_another_stack_is_wrong_usage(one_unit, file):
    one_unit.write({"stacks/other/stack.py": (one_unit.root / "stacks/dev/stack.py").read_text()})
    one_unit.run("plan", "other", "--out", file)
    wrong = apply(one_unit, file)
    assert wrong.code == 64
    assert f"infra-orch apply other --plan {file}" in wrong.err


def test_a_plan_in_which_a_unit_failed_is_no_bundle(two_units, file):
    module = two_units.root / "modules/servers/main.tf"
    module.write_text(module.read_text() + '\noutput "broken" {\n  value = one([1, 2])\n}\n')
    planned = two_units.run("plan", "dev", "--out", file)
    assert planned.code == 1
    assert "web" in planned.err
    assert not Path(file).exists()


def test_the_file_is_checked_before_anything_is_planned(one_unit, tmp_path):
    for place in (tmp_path, tmp_path / "no-such-folder" / "dev.plan", Path("/dev/null")):
        wrong = one_unit.run("plan", "dev", "--out", str(place))
        assert wrong.code == 64
        assert str(place) in wrong.err
    assert not (one_unit.root / ".infra-orch/runs").exists()


def test_a_bundle_that_git_would_take_is_warned_of(one_unit):
    assert "keep it out of commits" in one_unit.run("plan", "dev", "--out", "dev.plan").err
    one_unit.write({".gitignore": "*.plan\n"})
    assert "keep it out of commits" not in one_unit.run("plan", "dev", "--out", "dev.plan").err
