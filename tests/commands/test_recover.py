"""What a killed run did is found out, recorded and committed, by the next command or by `recover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import Child, at_work, until

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

    resource "terraform_data" "first" {
      input = "made"
    }

    resource "terraform_data" "slow" {
      depends_on = [terraform_data.first]

      provisioner "local-exec" {
        command = "touch ${var.mark}; exec sleep ${var.seconds}"
      }
    }

    resource "terraform_data" "last" {
      depends_on = [terraform_data.slow]
    }

    output "id" {
      value = terraform_data.first.id
    }
    """


def chain(desk: Desk, *, seconds: float, extra: str = "") -> Desk:
    """A stack `dev`: `quick`, then `slow`, which takes its time, then `after`; and *extra* Python text."""
    mark = desk.root.parent / "begun"
    desk.write(
        {
            "modules/it/main.tf": MODULE,
            "stacks/dev/stack.py": f"""
from infra_orch import Stack

stack = Stack("dev")
quick = stack.unit("quick", module="it", inputs={{"mark": "{mark}-quick"}})
slow = stack.unit("slow", module="it", inputs={{"seconds": {seconds}, "mark": "{mark}"}}, after=[quick])
after = stack.unit("after", module="it", inputs={{"mark": "{mark}-after"}}, after=[slow])
{extra}
""",
        }
    )
    desk.commit()
    return desk


def begun(desk: Desk, start: Callable[..., Child], *more: str) -> Child:
    """An apply that has come to the middle of the unit `slow`."""
    child = start("apply", "dev", "--auto-approve", *more)
    until((desk.root.parent / "begun").exists, "the apply of slow")
    return child


def record_of(desk: Desk, name: str) -> dict[str, Any]:
    return dict(json.loads(desk.git("show", f"HEAD:stacks/dev/record/{name}.json")))


def statuses(text: str) -> dict[str, str]:
    document = json.loads(text)
    return {name: node["status"] for name, node in {**document["units"], **document["tasks"]}.items()}


def last_run(desk: Desk) -> dict[str, Any]:
    (path,) = desk.git("ls-files", "stacks/dev/record/runs").splitlines()[-1:]
    return dict(json.loads((desk.root / path).read_text()))


def test_terraform_that_outlived_its_run_is_recorded_as_what_it_did(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=2), start)
    child.kill_alone()
    recovered = desk.run("recover", "dev")
    assert recovered.code == 0, recovered.err
    assert "waiting for what it started: slow: apply (pid " in recovered.err
    run = last_run(desk)
    assert statuses(json.dumps(run)) == {"quick": "applied", "slow": "applied", "after": "cancelled"}
    assert {name: record_of(desk, name)["status"] for name in ("quick", "slow")} == {
        "quick": "applied",
        "slow": "applied",
    }
    assert f"Infra-Orch-Run: {run['run']}" in desk.git("log", "-1", "--format=%B")
    assert desk.git("status", "--porcelain") == ""
    assert "nothing to recover" in desk.run("recover", "dev").err


def test_the_next_command_does_what_recover_would_and_goes_on(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=1), start)
    child.kill_alone()
    following = desk.run("apply", "dev", "--auto-approve", "--json")
    assert following.code == 0, following.err
    assert statuses(following.out) == {"quick": "unchanged", "slow": "unchanged", "after": "applied"}
    subjects = desk.git("log", "--format=%s").splitlines()
    assert subjects[:2] == ["apply dev: 3 created", "apply dev: 6 created (1 cancelled)"]
    assert len(desk.run("history", "dev").out.splitlines()) == 2


def test_a_machine_that_went_down_leaves_what_its_state_says(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=60), start)
    child.kill_with_all()
    until(lambda: not at_work(desk.root), "the end of all of it")
    assert desk.run("recover", "dev").code == 0
    record = record_of(desk, "slow")
    assert (record["status"], record["error"]) == ("failed", "killed with 1 of 3 changes made")
    assert record["addresses"] == ["module.slow.terraform_data.first"]
    assert record["unfinished"] == ["module.slow.terraform_data.slow"]
    plan = desk.run("plan", "dev", "--json")
    assert statuses(plan.out) == {"quick": "unchanged", "slow": "planned", "after": "planned"}


def test_a_run_that_had_changed_nothing_owes_nothing(desk: Desk, start: Callable[..., Child]) -> None:
    task = f"""
@stack.task(on="plan")
def wait(context):
    import pathlib, time
    pathlib.Path("{desk.root.parent}/begun").touch()
    time.sleep(60)
"""
    chain(desk, seconds=0, extra=task)
    child = start("plan", "dev")
    until((desk.root.parent / "begun").exists, "the task")
    child.kill_alone()
    recovered = desk.run("recover", "dev")
    assert (recovered.code, "died before it changed anything" in recovered.err) == (0, True)
    assert "record" not in desk.git("ls-files", "stacks/dev")


TASKS = """
import pathlib

def note(word):
    with (pathlib.Path(__file__).parents[2] / ".tasks").open("a") as file:
        file.write(word + "\\n")

@stack.task(after=[quick])
def early(context):
    note("early")
    return "early result"

@stack.task(after=[slow])
def due(context):
    note("due " + context.outputs["slow"]["id"])

@stack.task(after=[due])
def due_then(context):
    note("due then")

@stack.task(after=[after])
def late(context):
    note("late")
"""


def test_tasks_that_were_due_run_and_those_that_ran_do_not_run_again(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=1, extra=TASKS), start, "--parallelism", "4")
    until((desk.root / ".tasks").exists, "the first task")
    child.kill_alone()
    assert desk.run("recover", "dev").code == 0
    slow = json.loads((desk.root / "stacks/dev/state/slow.tfstate").read_text())["outputs"]["id"]["value"]
    assert (desk.root / ".tasks").read_text().splitlines() == ["early", f"due {slow}", "due then"]
    run = last_run(desk)
    assert {name: task["status"] for name, task in run["tasks"].items()} == {
        "early": "applied",
        "due": "applied",
        "due_then": "applied",
        "late": "cancelled",
    }
    assert run["tasks"]["early"]["result"] == "early result"


def test_a_task_that_had_begun_is_not_run_again_and_that_is_said(desk: Desk, start: Callable[..., Child]) -> None:
    task = f"""
@stack.task(after=[quick])
def migrate(context):
    import pathlib, time
    with pathlib.Path("{desk.root.parent}/migrated").open("a") as file:
        file.write("once")
    time.sleep(60)
"""
    migrated = desk.root.parent / "migrated"
    chain(desk, seconds=0, extra=task)
    child = start("apply", "dev", "--auto-approve")
    until(lambda: migrated.exists() and migrated.read_text(), "the task")
    child.kill_alone()
    recovered = desk.run("recover", "dev")
    assert "migrate: cancelled: it had begun when the run was killed" in recovered.out
    assert migrated.read_text() == "once"


def test_a_destroy_that_was_killed_is_recorded_too(desk: Desk, start: Callable[..., Child]) -> None:
    chain(desk, seconds=0)
    module = (desk.root / "modules/it/main.tf").read_text()
    slow = (
        'provisioner "local-exec" {\n    when = destroy\n    command = "touch ../../../../../gone; exec sleep 1"\n  }'
    )
    (desk.root / "modules/it/main.tf").write_text(
        module.replace("depends_on = [terraform_data.first]\n", f"depends_on = [terraform_data.first]\n  {slow}\n")
    )
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    child = start("destroy", "dev", "--auto-approve")
    logs = ".infra-orch/runs/*/after/destroy.log"
    until(lambda: any("Destroying" in log.read_text() for log in desk.root.glob(logs)), "Terraform's destroy")
    child.kill_alone()
    assert desk.run("recover", "dev").code == 0
    assert statuses(json.dumps(last_run(desk))) == {"quick": "cancelled", "slow": "cancelled", "after": "applied"}
    assert record_of(desk, "after")["status"] == "destroyed"
    assert desk.run("destroy", "dev", "--auto-approve").code == 0


def test_what_was_rendered_since_is_not_taken_for_what_the_dead_run_ran(
    desk: Desk, start: Callable[..., Child]
) -> None:
    child = begun(chain(desk, seconds=1), start)
    child.kill_alone()
    spec = desk.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace("begun-quick", "begun-changed"))
    assert desk.run("render", "dev").code == 0
    assert desk.run("recover", "dev").code == 0
    assert "begun-quick" in desk.git("show", "HEAD:stacks/dev/rendered/quick/main.tf")
    assert "begun-changed" in (desk.root / "stacks/dev/rendered/quick/main.tf").read_text()


def test_a_state_that_cannot_be_read_stops_it(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=60), start)
    child.kill_with_all()
    state = desk.root / "stacks/dev/state/slow.tfstate"
    whole = state.read_text()
    state.write_text(whole[: len(whole) // 2])
    refused = desk.run("recover", "dev")
    assert (refused.code, "nobody can tell what run" in refused.err) == (1, True)
    assert "the state of slow" in refused.err
    state.write_text(whole)
    assert desk.run("recover", "dev").code == 0


def test_an_apply_without_commit_is_recorded_and_not_committed(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=1), start, "--no-commit")
    child.kill_alone()
    before = desk.git("rev-parse", "HEAD")
    assert desk.run("recover", "dev").code == 0
    assert desk.git("rev-parse", "HEAD") == before
    assert (desk.root / "stacks/dev/record/slow.json").is_file()


def test_what_a_killed_run_left_on_the_disk_holds_no_secret_afterwards(
    desk: Desk, start: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "planted-secret-value")
    extra = f"""
from infra_orch import env
stack.unit("leaky", module="leaky", inputs={{"secret": env("PLANTED"), "mark": "{desk.root.parent}/leaked"}})
"""
    leaky = """
        variable "secret" {
          type      = string
          sensitive = true
        }

        variable "mark" {
          type = string
        }

        resource "terraform_data" "it" {
          input = var.secret

          provisioner "local-exec" {
            command = "echo it is $THE_SECRET; touch ${var.mark}; exec sleep 60"
          }
        }
        """
    desk.write({"modules/leaky/main.tf": leaky})
    monkeypatch.setenv("THE_SECRET", "planted-secret-value")
    chain(desk, seconds=60, extra=extra)
    child = start("apply", "dev", "--auto-approve")
    until((desk.root.parent / "leaked").exists, "the leak")
    child.kill_with_all()
    monkeypatch.delenv("PLANTED")
    monkeypatch.delenv("THE_SECRET")
    assert desk.run("recover", "dev").code == 0
    assert [path for path in files_below(desk.root) if b"planted-secret-value" in path.read_bytes()] == []


def files_below(root: Path) -> list[Path]:
    """All files of a project but states."""
    return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith("leaky.tfstate")]


def test_a_line_that_was_cut_off_costs_nothing_but_itself(desk: Desk, start: Callable[..., Child]) -> None:
    child = begun(chain(desk, seconds=1), start)
    child.kill_alone()
    until(lambda: not at_work(desk.root), "the end of Terraform")
    (journal,) = desk.root.glob(".infra-orch/runs/*/journal.jsonl")
    with journal.open("a") as file:
        file.write('{"schema": 1, "event": "beg')
    assert desk.run("recover", "dev").code == 0
    assert statuses(json.dumps(last_run(desk)))["slow"] == "applied"
    assert json.loads(journal.read_text().splitlines()[-1])["event"] == "done"


def test_a_run_that_died_when_its_record_was_committed_is_not_recorded_again(two_units: Desk) -> None:
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    head, run_id = two_units.git("rev-parse", "HEAD"), record_of(two_units, "web")["run"]
    # As it is where it was killed before its last word: the commit is made, and the journal does not say so.
    journal = two_units.root / f".infra-orch/runs/{run_id}/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert '"done"' in lines[-1]
    journal.write_text("".join(lines[:-1]))
    (lock,) = (two_units.root / ".infra-orch/locks").glob("work-dev.lock")
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "owed": [run_id]}))
    done = two_units.run("recover", "dev")
    assert done.code == 0, done.err
    assert "or when all that it did was recorded" in done.err
    assert two_units.git("rev-parse", "HEAD") == head
    assert two_units.git("status", "--porcelain") == ""
    assert record_of(two_units, "web")["fingerprint"], "what is known of the unit is known still"
    assert "nothing to recover" in two_units.run("recover", "dev").err
