"""Stops, kills and second runs: nothing is left half-way unseen, nothing runs on, nothing stays locked."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from child_process import Child, at_work, until

if TYPE_CHECKING:
    from conftest import Desk

STAND_IN = Path(__file__).parents[1] / "stand_in_terraform.py"
SLEEPER = """
    variable "seconds" {
      type = number
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
    """
PLAIN = 'resource "terraform_data" "it" {}\n'


@pytest.fixture
def sleepy(desk: Desk) -> Desk:
    """A stack whose first unit takes its time to be applied, and says when it is at it."""
    return stack(desk, "dev", seconds=20)


def stack(desk: Desk, name: str, *, seconds: float) -> Desk:
    desk.write(
        {
            "modules/sleeper/main.tf": SLEEPER,
            "modules/plain/main.tf": PLAIN,
            f"stacks/{name}/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("{name}")
            inputs = {{"seconds": {seconds}, "mark": "{desk.root.parent}/{name}.begun"}}
            slow = stack.unit("slow", module="sleeper", inputs=inputs)
            stack.unit("after", module="plain", after=[slow])
            """,
        }
    )
    desk.commit()
    return desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stop_in_an_apply_ends_what_runs_and_begins_nothing(
    sleepy: Desk, start: Callable[..., Child], number: signal.Signals
) -> None:
    child = start("apply", "dev", "--auto-approve", "--json")
    until((sleepy.root.parent / "dev.begun").exists, "the apply")
    child.process.send_signal(number)
    assert child.wait() == 130
    assert child.statuses() == {"slow": "failed", "after": "cancelled"}
    assert f"{number.name}: stopping" in child.err.read_text()
    assert at_work(sleepy.root) == []
    record = json.loads(sleepy.git("show", "HEAD:stacks/dev/record/slow.json"))
    assert record["error"] == "stopped with 1 of 3 changes made"
    assert [change["address"] for change in record["resources"]] == ["module.slow.terraform_data.first"]
    assert record["unfinished"] == ["module.slow.terraform_data.slow"]
    assert json.loads(sleepy.run("plan", "dev", "--json").out)["units"]["slow"]["status"] == "planned"


def test_a_stop_in_a_plan_cancels_all_of_it(two_units: Desk, start: Callable[..., Child]) -> None:
    child = start("plan", "dev", "--json", "--engine", str(STAND_IN), STAND_IN_TERRAFORM="plan=hang")
    log = two_units.root / ".infra-orch/runs"
    until(lambda: any("waiting" in path.read_text() for path in log.glob("*/network/plan.log")), "the plan")
    child.process.send_signal(signal.SIGINT)
    assert child.wait() == 130
    assert child.statuses() == {"network": "cancelled", "web": "cancelled"}
    assert child.document()["status"] == "cancelled"
    assert at_work(two_units.root) == []


def test_a_second_stop_says_what_is_waited_for(two_units: Desk, start: Callable[..., Child]) -> None:
    two_units.write({"infra-orch.toml": "patience = 3\n"})
    child = start("plan", "dev", "--engine", str(STAND_IN), STAND_IN_TERRAFORM="plan=ignore-sigint")
    log = two_units.root / ".infra-orch/runs"
    until(lambda: any("not listening" in path.read_text() for path in log.glob("*/network/plan.log")), "the plan")
    child.process.send_signal(signal.SIGINT)
    until(lambda: "SIGINT: stopping" in child.err.read_text(), "the first answer")
    child.process.send_signal(signal.SIGINT)
    until(lambda: "still waiting for: network: plan (killed after 3 s)" in child.err.read_text(), "the second answer")
    assert child.wait() == 130
    assert at_work(two_units.root) == []


def test_a_stop_at_the_question_is_no_answer(two_units: Desk) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_orch", "apply", "dev"],
        cwd=two_units.root,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = ""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while "will be accepted" not in seen:
            seen += read(terminal)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):
            while more := read(terminal):
                seen += more
    assert process.wait(30) == 130, seen
    assert not list((two_units.root / "stacks/dev/state").glob("*.tfstate"))


def read(terminal: IO[bytes]) -> str:
    return (terminal.read(4096) or b"").decode(errors="replace")


def test_a_task_is_stopped_with_the_program_that_it_runs(desk: Desk, start: Callable[..., Child]) -> None:
    desk.write(
        {
            "stacks/dev/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("dev")

            @stack.task(retries=5)
            def slow(context):
                context.run(["sh", "-c", "touch {desk.root}/begun; exec sleep 30"])

            @stack.task(after=[slow])
            def after(context): ...
            """
        }
    )
    child = start("apply", "dev", "--auto-approve", "--json")
    until((desk.root / "begun").exists, "the task")
    child.process.send_signal(signal.SIGTERM)
    assert child.wait() == 130
    assert {name: task["status"] for name, task in child.document()["tasks"].items()} == {
        "slow": "cancelled",
        "after": "cancelled",
    }
    assert at_work(desk.root) == []


def test_a_task_that_does_not_listen_is_left_behind_in_the_end(desk: Desk, start: Callable[..., Child]) -> None:
    desk.write(
        {
            "infra-orch.toml": "patience = 0.5\n",
            "stacks/dev/stack.py": f"""
            import pathlib, time
            from infra_orch import Stack

            stack = Stack("dev")

            @stack.task
            def slow(context):
                pathlib.Path("{desk.root}/begun").touch()
                while True:
                    time.sleep(0.1)
            """,
        }
    )
    child = start("apply", "dev", "--auto-approve", "--json")
    until((desk.root / "begun").exists, "the task")
    child.process.send_signal(signal.SIGINT)
    assert child.wait() == 130
    assert "slow: waiting for the task to end" in child.err.read_text()


def test_what_a_killed_run_has_started_is_waited_for_and_shown(desk: Desk, start: Callable[..., Child]) -> None:
    stack(desk, "dev", seconds=4)
    child = start("apply", "dev", "--auto-approve")
    until((desk.root.parent / "dev.begun").exists, "the apply")
    child.process.kill()
    child.process.wait()
    (run,) = (path.name for path in (desk.root / ".infra-orch/runs").iterdir())
    following = desk.run("plan", "dev", "--json")
    assert f"apply {run} (pid {child.process.pid} on " in following.err
    assert "is gone; waiting for what it started: slow: apply (pid " in following.err
    plan = json.loads(following.out)
    assert {name: unit["status"] for name, unit in plan["units"].items()} == {"slow": "unchanged", "after": "planned"}


def test_a_second_run_on_a_stack_is_refused_and_names_the_first(sleepy: Desk, start: Callable[..., Child]) -> None:
    child = start("apply", "dev", "--auto-approve")
    until((sleepy.root.parent / "dev.begun").exists, "the apply")
    second = sleepy.run("apply", "dev", "--auto-approve")
    assert second.code == 75
    (run,) = (path.name for path in (sleepy.root / ".infra-orch/runs").iterdir())
    assert f'stack "dev" is in use by apply {run} (pid {child.process.pid} on ' in second.err
    # What only reads is let through.
    assert sleepy.run("output", "dev").code == 0


def test_runs_on_two_stacks_do_not_know_of_each_other(desk: Desk, start: Callable[..., Child]) -> None:
    for name in ("one", "two"):
        stack(desk, name, seconds=1)
    children = [start("apply", name, "--auto-approve", "--json") for name in ("one", "two")]
    assert [child.wait() for child in children] == [0, 0], [child.err.read_text() for child in children]
    subjects = desk.git("log", "--format=%s").splitlines()
    assert {"apply one: 4 created", "apply two: 4 created"} <= set(subjects)
    assert desk.git("status", "--porcelain") == ""


SLOW_GIT = """#!/bin/sh
case " $* " in *" update-ref "*) touch "{mark}"; sleep 1 ;; esac
exec {git} "$@"
"""


def test_ctrl_c_while_it_commits_loses_neither_the_record_nor_the_commit(two_units: Desk, tmp_path: Path) -> None:
    mark, git = tmp_path / "committing", tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text(SLOW_GIT.format(mark=mark, git=shutil.which("git")))
    git.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_orch", "apply", "dev", "--auto-approve", "--json"],
        cwd=two_units.root,
        env={**os.environ, "PATH": f"{git.parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(mark.exists, "the commit")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that is in the foreground
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "applied"
    assert two_units.git("log", "-1", "--format=%s").startswith("apply dev: ")
    assert two_units.git("status", "--porcelain") == ""


def test_a_stop_in_recover_leaves_what_is_owed(desk: Desk, start: Callable[..., Child]) -> None:
    stack(desk, "dev", seconds=20)
    child = start("apply", "dev", "--auto-approve")
    until((desk.root.parent / "dev.begun").exists, "the apply")
    child.kill_alone()
    recovering = start("recover", "dev")
    until(lambda: "waiting for what it started" in recovering.err.read_text(), "recover")
    recovering.process.send_signal(signal.SIGTERM)
    assert recovering.wait() == 130
    for pid in at_work(desk.root):
        os.kill(pid, signal.SIGKILL)
    assert desk.run("recover", "dev").code == 0
    assert "killed with 1 of 3 changes made" in desk.git("show", "HEAD:stacks/dev/record/slow.json")


def test_a_recover_that_is_killed_itself_is_done_again(two_units: Desk, start: Callable[..., Child]) -> None:
    git = two_units.root.parent / "bin/git"
    git.parent.mkdir()
    mark = two_units.root.parent / "committing"
    git.write_text(SLOW_GIT.format(mark=mark, git=shutil.which("git")))
    git.chmod(0o755)
    slow = {"PATH": f"{git.parent}:{os.environ['PATH']}"}
    child = start("apply", "dev", "--auto-approve", **slow)
    until(mark.exists, "the commit")
    child.kill_with_all()  # the commit, too, so that recover has one to make
    mark.unlink()
    child = start("recover", "dev", **slow)
    until(mark.exists, "the commit of recover")
    child.kill_alone()
    until(lambda: not at_work(two_units.root), "the end of git")
    assert two_units.run("recover", "dev").code == 0
    assert two_units.git("status", "--porcelain") == ""
    assert len(two_units.git("ls-files", "stacks/dev/record/runs").splitlines()) == 1
    assert two_units.run("plan", "dev", "--detailed-exitcode").code == 0


LATE_GIT = """#!/bin/sh
case " $* " in *" update-ref "*)
    while read -r line; do
        [ "$line" != commit ] || {{ touch "{mark}"; sleep 1; }}
        echo "$line"
    done | {git} "$@"; exit ;;
esac
exec {git} "$@"
"""


def test_the_commit_of_a_killed_run_that_comes_late_is_its_record(two_units: Desk, start: Callable[..., Child]) -> None:
    """Whatever a recover that was killed meanwhile has written over it."""
    git = two_units.root.parent / "bin/git"
    git.parent.mkdir()
    mark = two_units.root.parent / "committing"
    git.write_text(LATE_GIT.format(mark=mark, git=shutil.which("git")))
    git.chmod(0o755)
    child = start("apply", "dev", "--auto-approve", PATH=f"{git.parent}:{os.environ['PATH']}")
    until(mark.exists, "the commit")
    child.kill_alone()
    until(lambda: not at_work(two_units.root), "the end of git")
    record = two_units.root / "stacks/dev/record/web.json"
    committed = record.read_text()
    record.write_text(committed.replace('"applied"', '"failed"'))
    assert two_units.run("recover", "dev").code == 0
    assert (record.read_text(), two_units.git("status", "--porcelain")) == (committed, "")
