"""Stops, kills and second runs: nothing is left half-way unseen, nothing runs on, nothing stays locked."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

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


class Child:
    """The command line as a process of its own, its output in files."""

    def __init__(self, desk: Desk, *arguments: str, **more: str) -> None:
        self.root = desk.root
        self.out = desk.root.parent / f"out-{time.monotonic_ns()}"
        self.err = self.out.with_suffix(".err")
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra_orch", *arguments],
                cwd=desk.root,
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait(self) -> int:
        return self.process.wait(60)

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out.read_text()))

    def statuses(self) -> dict[str, str]:
        return {name: unit["status"] for name, unit in self.document()["units"].items()}


@pytest.fixture
def start(desk: Desk) -> Iterator[Callable[..., Child]]:
    """Start the command line in the project; whatever is left of it in the end is killed."""
    children: list[Child] = []

    def begin(*arguments: str, **more: str) -> Child:
        children.append(Child(desk, *arguments, **more))
        return children[-1]

    yield begin
    for child in children:
        child.process.kill()
        child.process.wait()
    for pid in at_work(desk.root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def at_work(root: Path) -> list[int]:
    """Processes whose working folder lies in the project, less this one."""
    others = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and int(entry.name) != os.getpid())
    return [int(entry.name) for entry in others if is_at_work(entry, root)]


def is_at_work(entry: Path, root: Path) -> bool:
    with contextlib.suppress(OSError):
        return (entry / "cwd").resolve().is_relative_to(root) and bool((entry / "cmdline").read_bytes())
    return False


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


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


def test_terraform_outlives_a_killed_run_and_the_stack_stays_locked_until_it_ends(
    desk: Desk, start: Callable[..., Child]
) -> None:
    stack(desk, "dev", seconds=4)
    child = start("apply", "dev", "--auto-approve")
    until((desk.root.parent / "dev.begun").exists, "the apply")
    child.process.kill()
    child.process.wait()
    (run,) = (path.name for path in (desk.root / ".infra-orch/runs").iterdir())
    refused = desk.run("plan", "dev")
    assert refused.code == 75
    assert f"apply {run}" in refused.err
    assert "is gone, but Terraform that it started has not ended yet" in refused.err
    until(lambda: not at_work(desk.root), "Terraform's end")
    plan = json.loads(desk.run("plan", "dev", "--json").out)
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
