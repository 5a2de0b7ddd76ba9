"""A plan is made at one place and applied at another."""

from __future__ import annotations

import json
import stat
from pathlib import Path


def test_a_plan_made_here_is_applied_whole_in_a_clone_at_another_place(two_units, clone, file, states):
    assert two_units.run("plan", "dev", "--out", file).code == 0
    there = clone("there")
    applied = there.run("apply", "dev", "--plan", file, "--auto-approve")
    assert applied.code == 0, applied.err
    assert set(states(there)) == {"network.tfstate", "web.tfstate"}
    assert not states(two_units)
    assert "No changes" in there.run("plan", "dev").out


def test_what_is_applied_is_shown_again_as_it_was_planned(two_units, clone, file):
    planned = two_units.run("plan", "dev", "--out", file)
    applied = clone("there").run("apply", "dev", "--plan", file, "--auto-approve")
    assert planned.out in applied.out


def test_a_bundle_can_be_read_by_its_owner_only(one_unit, file):
    one_unit.run("plan", "dev", "--out", file)
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600


def test_it_is_applied_at_another_commit_where_all_that_it_rests_on_is_the_same(one_unit, clone, file, states):
    one_unit.write({"README.md": "before\n"})
    planned_at = one_unit.commit()
    one_unit.run("plan", "dev", "--out", file)
    one_unit.write({"README.md": "after\n"})
    applied_at = one_unit.commit()
    there = clone("there")
    applied = there.run("apply", "dev", "--plan", file, "--auto-approve")
    assert applied.code == 0, applied.err
    assert states(there)
    assert planned_at[:10] in applied.err
    assert applied_at[:10] in applied.err


def test_it_is_applied_without_evaluating_python(one_unit, clone, file, states):
    one_unit.run("render", "dev")
    one_unit.commit()
    one_unit.run("plan", "dev", "--out", file)
    there = clone("there")
    there.write({"stacks/dev/stack.py": "raise RuntimeError('evaluated')\n"})
    applied = there.run("apply", "dev", "--from-rendered", "--plan", file, "--auto-approve")
    assert applied.code == 0, applied.err
    assert states(there)


def test_the_record_of_the_run_names_the_bundle_that_the_plan_named(one_unit, clone, file):
    planned = json.loads(one_unit.run("plan", "dev", "--json", "--out", file).out)
    there = clone("there")
    applied = json.loads(there.run("apply", "dev", "--json", "--plan", file, "--auto-approve").out)
    record = json.loads(there.git("show", f"HEAD:stacks/dev/record/runs/{applied['run_id']}.json"))
    assert planned["bundle"] == applied["bundle"] == record["bundle"]


def test_without_a_commit_the_records_are_written_only(one_unit, file):
    before = one_unit.git("rev-parse", "HEAD")
    one_unit.run("plan", "dev", "--out", file)
    assert one_unit.run("apply", "dev", "--plan", file, "--auto-approve", "--no-commit").code == 0
    assert one_unit.git("rev-parse", "HEAD") == before
    assert (one_unit.root / "stacks/dev/record/note.json").is_file()


def test_tasks_of_an_apply_run_when_the_bundle_is_applied(one_unit, clone, file):
    spec = one_unit.root / "stacks/dev/stack.py"
    task = "\n\n@stack.task(after=[note])\ndef look(context):\n    return context.outputs['note']['text']\n"
    spec.write_text(spec.read_text() + task)
    one_unit.commit()
    planned = json.loads(one_unit.run("plan", "dev", "--json", "--out", file).out)
    applied = json.loads(clone("there").run("apply", "dev", "--json", "--plan", file, "--auto-approve").out)
    assert planned["tasks"]["look"]["status"] == "planned"
    assert applied["tasks"]["look"]["result"] == "first"


def test_a_bundle_that_changes_nothing_can_be_applied_as_often_as_one_likes(one_unit, file):
    one_unit.run("apply", "dev", "--auto-approve")
    one_unit.run("plan", "dev", "--out", file)
    for _ in range(2):
        applied = one_unit.run("apply", "dev", "--plan", file, "--auto-approve")
        assert applied.code == 0, applied.err


def test_a_plan_of_some_units_is_applied_to_them_alone(two_units, file, states):
    two_units.run("plan", "dev", "--unit", "network", "--out", file)
    assert two_units.run("apply", "dev", "--plan", file, "--auto-approve").code == 0
    assert set(states(two_units)) == {"network.tfstate"}


def test_a_bundle_destroys_in_reverse_order(two_units, file, states):
    two_units.run("apply", "dev", "--auto-approve")
    planned = two_units.run("plan", "dev", "--destroy", "--out", file)
    assert planned.code == 0, planned.err
    assert states(two_units)
    done = json.loads(two_units.run("apply", "dev", "--json", "--plan", file, "--auto-approve").out)
    assert done["command"] == "destroy"
    assert not states(two_units)
    journal = (two_units.root / f".infra-orch/runs/{done['run_id']}/journal.jsonl").read_text().splitlines()
    ended = [entry["node"] for entry in map(json.loads, journal) if entry["event"] == "end"]
    assert ended == ["web", "network"]


def test_a_unit_that_left_the_spec_is_destroyed_by_a_bundle(two_units, file, states):
    two_units.run("apply", "dev", "--auto-approve")
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().partition("web = ")[0])
    two_units.commit()
    assert two_units.run("plan", "dev", "--prune", "--out", file).code == 0
    applied = two_units.run("apply", "dev", "--plan", file, "--auto-approve")
    assert applied.code == 0, applied.err
    assert set(states(two_units)) == {"network.tfstate"}


def test_a_renamed_unit_takes_its_state_along(one_unit, file, states):
    one_unit.run("apply", "dev", "--auto-approve")
    spec = one_unit.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('"note", module', '"memo", formerly="note", module'))
    one_unit.commit()
    assert one_unit.run("plan", "dev", "--out", file).code == 0
    applied = one_unit.run("apply", "dev", "--plan", file, "--auto-approve")
    assert applied.code == 0, applied.err
    assert set(states(one_unit)) == {"memo.tfstate"}
