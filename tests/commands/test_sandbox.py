"""The sandbox at the command line: an emulator started or kept, states and records apart, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from conftest import Desk

STAND_IN = str(Path(__file__).parents[1] / "stand_in_terraform.py")
PATIENCE_SECONDS = 60.0


def wait_until(fact: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := fact():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about")


@contextlib.contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """infra-orch in a process and a session of its own, as from another terminal; killed at the end if it is there."""
    argv = [sys.executable, "-m", "infra_orch", *arguments]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, **environment}, start_new_session=True)  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def emulators(root: Path) -> list[int]:
    """The processes that serve an emulated AWS for the project at *root*."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            serves = b"infra_orch.sandbox.serve" in (entry / "cmdline").read_bytes()
            if serves and (entry / "cwd").resolve().is_relative_to(root):
                found.append(int(entry.name))
    return found


def ids(desk: Desk, *flags: str) -> str:
    shown = desk.run("output", "dev", "network", "id", *flags)
    assert shown.code == 0, shown.err
    return shown.out.strip()


def test_an_emulator_is_started_told_of_emptied_and_stopped(desk: Desk) -> None:
    assert desk.run("sandbox", "status").code == 1
    first, second = desk.run("sandbox", "start"), desk.run("sandbox", "start")
    try:
        assert first.code == second.code == 0
        assert first.out == second.out
        url = re.search(r"http://\S+", first.out)
        assert url is not None
        topics = boto3.client("sns", endpoint_url=url[0], region_name="eu-west-1", aws_access_key_id="x",
                              aws_secret_access_key="y", config=Config(proxies={}))  # fmt: skip
        topics.create_topic(Name="made-by-hand")
        assert "1 resource exists" in desk.run("sandbox", "status").out
        assert desk.run("sandbox", "reset").code == 0
        assert "nothing exists" in desk.run("sandbox", "status").out
    finally:
        stopped = desk.run("sandbox", "stop")
    assert "is stopped" in stopped.err
    assert "no sandbox was running" in desk.run("sandbox", "stop").err
    assert emulators(desk.root) == []


def test_reset_without_a_kept_emulator_says_how_to_get_one(desk: Desk) -> None:
    refused = desk.run("sandbox", "reset")
    assert refused.code == 69
    assert "infra-orch sandbox start" in refused.err


def test_a_kept_emulator_remembers_what_was_applied(two_units: Desk, emulator: str) -> None:
    desk = two_units
    assert desk.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    again = desk.run("plan", "dev", "--sandbox", "--detailed-exitcode")
    assert again.code == 0, again.out
    assert len(ids(desk, "--sandbox")) == 36
    assert desk.run("destroy", "dev", "--sandbox", "--auto-approve").code == 0
    assert desk.run("plan", "dev", "--sandbox", "--detailed-exitcode").code == 2


def test_what_is_in_the_sandbox_is_never_taken_for_real(two_units: Desk, emulator: str) -> None:
    desk = two_units
    desk.run("render", "dev")
    desk.commit()
    assert desk.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    assert desk.git("status", "--porcelain", "--ignored") == "!! .infra-orch/"
    assert json.loads(desk.run("history", "dev", "--json").out)["runs"] == []
    real = json.loads(desk.run("plan", "dev", "--json").out)
    assert {unit["changes"]["create"] for unit in real["units"].values()} == {3, 2}
    runs = json.loads(desk.run("history", "dev", "--sandbox", "--json").out)["runs"]
    assert [(run["command"], run["status"], run["sandbox"]) for run in runs] == [("apply", "applied", True)]


def test_real_and_sandbox_runs_of_one_stack_stand_side_by_side(two_units: Desk, emulator: str) -> None:
    desk = two_units
    for flags in ((), ("--sandbox",)):
        assert desk.run("apply", "dev", "--auto-approve", *flags).code == 0
    assert ids(desk) != ids(desk, "--sandbox")
    assert desk.run("destroy", "dev", "--auto-approve", "--sandbox").code == 0
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    assert [run["sandbox"] for run in json.loads(desk.run("history", "dev", "--json").out)["runs"]] == [False]


def test_a_run_without_a_kept_emulator_begins_with_an_empty_one(two_units: Desk) -> None:
    desk = two_units
    first = desk.run("apply", "dev", "--sandbox", "--auto-approve", "--json")
    assert first.code == 0, first.err
    assert "for this run alone" in first.err
    assert "infra-orch sandbox start" in first.err
    assert json.loads(first.out)["units"]["network"]["changes"]["create"] == 3
    nothing = desk.run("output", "dev", "--sandbox")
    assert nothing.code == 69
    assert "no sandbox is kept" in nothing.err
    assert list((desk.root / ".infra-orch" / "sandbox-state").iterdir()) == []
    assert emulators(desk.root) == []


def test_commit_records_a_sandbox_run_as_such_and_leaves_the_real_records_alone(two_units: Desk, emulator: str) -> None:
    desk = two_units
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    real = {path: path.read_bytes() for path in (desk.root / "stacks/dev/record").rglob("*.json")}
    done = desk.run("apply", "dev", "--sandbox", "--auto-approve", "--commit")
    assert done.code == 0, done.err
    assert desk.git("status", "--porcelain") == ""
    assert "in the sandbox" in desk.git("log", "-1", "--format=%s")
    assert real == {path: path.read_bytes() for path in real}
    changed = desk.git("diff", "--name-only", "HEAD~1").splitlines()
    assert {Path(path).parent.as_posix() for path in changed} == {
        "stacks/dev/record/sandbox", "stacks/dev/record/sandbox/runs",
    }  # fmt: skip
    assert all(json.loads((desk.root / path).read_text())["sandbox"] for path in changed)
    runs = json.loads(desk.run("history", "dev", "--sandbox", "--json").out)["runs"]
    assert [run["recorded_in"] for run in runs] == [desk.git("rev-parse", "HEAD")]


def test_a_unit_that_left_the_spec_is_left_over_in_the_sandbox_that_it_is_in(two_units: Desk, emulator: str) -> None:
    desk = two_units
    assert desk.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    spec = desk.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().split("web =")[0])
    assert "web left the spec" in desk.run("plan", "dev", "--sandbox").err
    assert "left over" not in desk.run("plan", "dev").err
    desk.run("sandbox", "reset")
    assert "left over" not in desk.run("plan", "dev", "--sandbox").err


def test_what_left_the_spec_is_pruned_from_the_sandbox_though_git_never_had_its_render(
    two_units: Desk, emulator: str
) -> None:
    desk = two_units
    desk.write({".gitignore": "rendered/\n"})
    desk.git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "stacks/dev/rendered")
    assert desk.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    spec = desk.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().split("web =")[0])
    pruned = desk.run("apply", "dev", "--sandbox", "--auto-approve", "--prune", "--json")
    assert pruned.code == 0, pruned.err
    assert json.loads(pruned.out)["units"]["web"]["changes"]["delete"] == 2
    assert desk.run("render", "dev").code == 0
    assert not (desk.root / "stacks/dev/rendered/web").exists()


def test_two_stacks_are_rehearsed_at_once_each_in_an_emulator_of_its_own(two_units: Desk) -> None:
    desk = two_units
    other = (desk.root / "stacks/dev/stack.py").read_text().replace('Stack("dev")', 'Stack("test")')
    desk.write({"stacks/test/stack.py": other})
    with (
        started("apply", "dev", "--sandbox", "--auto-approve", "--json") as one,
        started("apply", "test", "--sandbox", "--auto-approve", "--json") as two,
    ):
        for process in (one, two):
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, err.decode()
            assert json.loads(out)["units"]["web"]["changes"]["create"] == 2
    assert emulators(desk.root) == []


def test_a_second_sandbox_run_of_one_stack_is_locked_out_and_a_real_one_is_not(two_units: Desk, emulator: str) -> None:
    desk = two_units
    hanging = {"INFRA_ORCH_ENGINE": STAND_IN, "STAND_IN_TERRAFORM": "plan=hang"}
    with started("plan", "dev", "--sandbox", **hanging) as first:
        wait_until(lambda: list(desk.root.glob(".infra-orch/runs/*/network/plan.log")), "the first plan")
        second = desk.run("plan", "dev", "--sandbox")
        assert second.code == 75
        assert f"pid {first.pid}" in second.err
        assert desk.run("plan", "dev").code == 0
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=PATIENCE_SECONDS)
        assert first.returncode == 130


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_emulator_ends_with_the_run_that_it_was_started_for(two_units: Desk, how: signal.Signals) -> None:
    desk = two_units
    hanging = {"INFRA_ORCH_ENGINE": STAND_IN, "STAND_IN_TERRAFORM": "apply=hang"}
    with started("apply", "dev", "--sandbox", "--auto-approve", **hanging) as run:
        wait_until(lambda: list(desk.root.glob(".infra-orch/runs/*/network/apply.log")), "the apply")
        assert len(emulators(desk.root)) == 1
        run.send_signal(how)
        run.communicate(timeout=PATIENCE_SECONDS)
        assert run.returncode == (-how if how == signal.SIGKILL else 130)
        wait_until(lambda: not emulators(desk.root), "the emulator's end")
    if how != signal.SIGKILL:
        return
    for line in Path(next(desk.root.glob(".infra-orch/runs/*/journal.jsonl"))).read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "begin":  # Terraform outlives us, on purpose; this one would wait for ever
            end_terraform_in(Path(entry["cwd"]))
    (dead,) = desk.root.glob(".infra-orch/sandbox-state/*")
    assert desk.run("plan", "dev", "--sandbox").code == 0
    assert not dead.exists()


def end_terraform_in(folder: Path) -> None:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").resolve() == folder.resolve():
                os.kill(int(entry.name), signal.SIGKILL)


def test_a_plan_that_was_made_in_the_sandbox_is_applied_there_and_once(
    two_units: Desk, emulator: str, tmp_path: Path
) -> None:
    desk, bundle = two_units, str(tmp_path / "plan")
    assert desk.run("plan", "dev", "--sandbox", "--unit", "network", "--out", bundle).code == 0
    assert desk.run("apply", "dev", "--plan", bundle, "--auto-approve").code == 77
    done = desk.run("apply", "dev", "--plan", bundle, "--sandbox", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert len(ids(desk, "--sandbox")) == 36
    assert desk.run("apply", "dev", "--plan", bundle, "--sandbox", "--auto-approve").code == 77


STRANGERS = {
    "modules/mixed/main.tf": """
        terraform {
          required_providers {
            tiny = { source = "acme/tiny" }
          }
        }

        resource "tiny_thing" "this" {}
    """,
    "modules/inert/main.tf": 'resource "terraform_data" "this" {}\n',
    "stacks/dev/stack.py": """
        from infra_orch import Provider, Stack

        stack = Stack("dev", providers=[Provider("google", source="hashicorp/google", project="acme")])
        stack.unit("cloud", module="inert", providers={"google": "google"})
        stack.unit("mixed", module="mixed")
        stack.unit("inert", module="inert")
    """,
}


def test_providers_that_reach_elsewhere_are_refused_by_name_before_anything_runs(desk: Desk) -> None:
    refused = desk.write(STRANGERS).run("apply", "dev", "--sandbox", "--auto-approve")
    assert refused.code == 77
    assert "cloud (hashicorp/google)" in refused.err
    assert "mixed (acme/tiny)" in refused.err
    assert "--unit inert" in refused.err
    assert not list(desk.root.glob(".infra-orch/emulator/*"))


def test_units_that_the_sandbox_cannot_hold_can_be_left_out(desk: Desk, emulator: str) -> None:
    done = desk.write(STRANGERS).run("apply", "dev", "--sandbox", "--auto-approve", "--unit", "inert")
    assert done.code == 0, done.err


ESCAPING = """
    resource "terraform_data" "this" {
      provisioner "remote-exec" {
        inline = ["true"]

        connection {
          host = "192.0.2.1"
        }
      }
    }
"""


def test_a_provisioner_that_would_connect_to_a_server_is_refused(desk: Desk, emulator: str) -> None:
    desk.write({
        "modules/reaching/main.tf": ESCAPING,
        "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("servers", module="reaching")
        """,
    })  # fmt: skip
    refused = desk.run("apply", "dev", "--sandbox", "--auto-approve")
    assert refused.code == 1
    assert 'provisioner "remote-exec"' in refused.out + refused.err
    assert not list(desk.root.glob(".infra-orch/runs/*/servers/plan.log"))


def test_a_provisioner_that_came_to_a_nested_module_later_is_refused_too(desk: Desk, emulator: str) -> None:
    desk.write({
        "common/main.tf": 'resource "terraform_data" "this" {}\n',
        "modules/outer/main.tf": 'module "common" {\n  source = "../../common"\n}\n',
        "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("servers", module="outer")
        """,
    })  # fmt: skip
    assert desk.run("plan", "dev", "--sandbox").code == 0
    desk.write({"common/main.tf": ESCAPING})
    refused = desk.run("plan", "dev", "--sandbox")
    assert refused.code == 1
    assert 'provisioner "remote-exec"' in refused.out + refused.err


CARELESS = """
    from infra_orch import Stack

    stack = Stack("dev")
    network = stack.unit("network", module="network", inputs={"name": "dev"})


    @stack.task(after=[network])
    def announce(context):
        context.client("sns", region="eu-west-1").create_topic(Name="made-by-a-task")
"""


def test_a_rehearsal_tells_what_a_destroy_would_leave_behind(two_units: Desk) -> None:
    failed = two_units.write({"stacks/dev/stack.py": CARELESS}).run("sandbox", "rehearse", "dev")
    assert failed.code == 1
    assert "1 resource is left after the destroy" in failed.err
    assert "arn:aws:sns:eu-west-1:123456789012:made-by-a-task" in failed.err


def test_a_rehearsal_tells_of_a_stack_that_never_comes_to_rest(two_units: Desk) -> None:
    main = two_units.root / "modules/network/main.tf"
    main.write_text(main.read_text().replace("input = var.name", "input = timestamp()"))
    failed = two_units.run("sandbox", "rehearse", "dev")
    assert failed.code == 1
    assert "the second plan is not empty" in failed.err
    assert "destroyed" in failed.out


def test_a_rehearsal_leaves_alone_what_is_in_the_kept_sandbox(two_units: Desk, emulator: str) -> None:
    desk = two_units
    assert desk.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    before = ids(desk, "--sandbox")
    assert desk.run("sandbox", "rehearse", "dev").code == 0
    assert ids(desk, "--sandbox") == before
    assert desk.run("plan", "dev", "--sandbox", "--detailed-exitcode").code == 0
