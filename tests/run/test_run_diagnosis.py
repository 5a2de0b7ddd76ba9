"""Whatever goes wrong in Terraform: one clear sentence, what to do, the unit, and where the log is."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra_orch.run.diagnosis import explain, read_messages

if TYPE_CHECKING:
    from conftest import Desk

STAND_IN = Path(__file__).parents[1] / "stand_in_terraform.py"


@pytest.fixture
def one(desk: Desk) -> Desk:
    """A stack of one unit."""
    return desk.write(
        {
            "modules/one/main.tf": 'resource "terraform_data" "it" {\n  input = 1\n}\noutput "id" {\n  value = 1\n}\n',
            "stacks/dev/stack.py": 'from infra_orch import Stack\nstack = Stack("dev")\nstack.unit("web", module="one")\n',
        }
    )


def failure(desk: Desk, *arguments: str) -> dict[str, Any]:
    """Why the unit failed, after the checks that hold for every failure."""
    result = desk.run(*arguments, "--json")
    assert result.code == 1, result.err
    assert "Traceback" not in result.err
    error = json.loads(result.out)["units"]["web"]["error"]
    assert "\n" not in error["summary"]
    assert (desk.root / error["log"]).is_file()
    assert f"web: failed: {error['summary']}" in result.err
    return dict(error)


def misbehaving(desk: Desk, monkeypatch: pytest.MonkeyPatch, behaviour: str, command: str = "plan") -> dict[str, Any]:
    monkeypatch.setenv("STAND_IN_TERRAFORM", behaviour)
    approval = [] if command == "plan" else ["--auto-approve"]
    return failure(desk, command, "dev", "--engine", str(STAND_IN), *approval)


def test_a_state_that_somebody_holds_is_said_with_who_and_how_to_let_it_go(one: Desk, tmp_path: Path) -> None:
    assert one.run("apply", "dev", "--auto-approve").code == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "main.tf").write_text(
        f'terraform {{\n  backend "local" {{\n    path = "{one.root}/stacks/dev/state/web.tfstate"\n  }}\n}}\n'
        'resource "terraform_data" "it" {\n  provisioner "local-exec" {\n    command = "touch begun; exec sleep 60"\n  }\n}\n'
    )
    subprocess.run(["terraform", "init"], cwd=other, check=True, capture_output=True)
    holder = subprocess.Popen(["terraform", "apply", "-auto-approve"], cwd=other, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (other / "begun").exists() and time.monotonic() < end:
            time.sleep(0.05)
        error = failure(one, "plan", "dev")
    finally:
        holder.send_signal(signal.SIGINT)
        holder.wait(60)
    assert error["kind"] == "locked"
    assert error["summary"].startswith("the state is locked by ")
    assert "since 20" in error["summary"]
    assert "infra-orch unlock dev web" in error["hint"]


def test_a_crash_of_terraform_is_one(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    error = misbehaving(one, monkeypatch, "plan=crash")
    assert (error["kind"], error["summary"]) == ("crash", "terraform itself crashed during plan")


def test_a_kill_from_outside_is_one(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    error = misbehaving(one, monkeypatch, "plan=killed")
    assert (error["kind"], error["summary"]) == ("signal", "terraform plan was ended by signal 9")
    assert "memory" in error["hint"]


@pytest.mark.parametrize("command", ["init", "plan", "show"])
def test_an_odd_exit_code_is_a_failure_with_what_was_said(
    one: Desk, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert misbehaving(one, monkeypatch, f"{command}=exit:7")["summary"] == "stand-in: told to fail"


def test_a_plan_that_is_garbage_is_no_plan(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "printed no whole plan" in misbehaving(one, monkeypatch, "show=garbage")["summary"]


def test_an_apply_that_does_not_say_what_it_did_has_failed_and_may_have_done_anything(
    one: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = misbehaving(one, monkeypatch, "apply=garbage", "apply")
    assert error["summary"] == "terraform apply ended with code 0 and did not say what it did"
    record = json.loads((one.root / "stacks/dev/record/web.json").read_text())
    assert record["unfinished"] == ["module.web.terraform_data.it"]


def test_an_apply_that_is_killed_is_recorded_with_what_it_was_at(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    one.write(
        {
            "modules/one/main.tf": """
            resource "terraform_data" "it" {
              provisioner "local-exec" {
                command = "kill -9 $PPID; sleep 5"
              }
            }
            """
        }
    )
    error = failure(one, "apply", "dev", "--auto-approve")
    assert error["kind"] == "signal"
    record = json.loads((one.root / "stacks/dev/record/web.json").read_text())
    assert record["unfinished"] == ["module.web.terraform_data.it"]


def test_ten_megabytes_of_chatter_cost_no_memory(one: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    misbehaving(one, monkeypatch, "plan=exit:1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    misbehaving(one, monkeypatch, "plan=chatter:10000000")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_module_that_cannot_be_had_is_named(desk: Desk) -> None:
    desk.write(
        {
            "stacks/dev/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("web", module="git::file://{desk.root}/nowhere?ref=v1", outputs=["id"])
            """
        }
    )
    error = failure(desk, "plan", "dev")
    assert (error["kind"], error["summary"]) == ("module", "the module called web could not be downloaded")


@pytest.fixture
def small_disk(desk: Desk) -> Iterator[Path]:
    """A disk of one megabyte where the project's work is done."""
    folder = desk.root / ".infra-orch"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_though_terraform_takes_it_for_well(one: Desk, small_disk: Path) -> None:
    one.write(
        {
            "modules/one/main.tf": """
            resource "terraform_data" "it" {
              count = 300
              input = join("", [for n in range(100) : format("%0100d", n)])
            }
            """
        }
    )
    result = one.run("plan", "dev", "--json")
    error = json.loads(result.out)["units"]["web"]["error"]
    assert (result.code, error["kind"], error["summary"]) == (1, "disk", "the disk is full"), result.err
    assert "free some space" in error["hint"]


def test_a_plan_file_that_could_not_be_written_whole_is_no_plan(one: Desk) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))"
    run = "sys.exit(run(['plan', 'dev']))"
    script = f"import resource, sys; from infra_orch.cli.app import run; {limit}; {run}"
    done = subprocess.run([sys.executable, "-c", script], cwd=one.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Failed to read the given file as a state or plan file" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


CRASHED = """Error: Plugin did not respond

The plugin encountered an error, and failed to respond to the plugin.(*GRPCProvider).ApplyResourceChange call.

Stack trace from the terraform-provider-aws_v5.100.0_x5 plugin:

panic: runtime error: index out of range

goroutine 1 [running]:
"""
SAID = {
    "credentials expired": (
        "Error: creating EC2 VPC: operation error EC2: CreateVpc, api error ExpiredToken: The security token is expired",
        "credentials",
        "the cloud credentials have expired",
    ),
    "no credentials": (
        'Error: No valid credential sources found\n\n  with provider["registry.terraform.io/hashicorp/aws"],',
        "credentials",
        "there are no valid cloud credentials",
    ),
    "sso": (
        "Error: failed to refresh cached credentials, refresh cached SSO token failed, unable to refresh SSO token",
        "credentials",
        "there are no valid cloud credentials",
    ),
    "a provider that crashes": (
        CRASHED,
        "provider",
        "a provider crashed during apply: terraform-provider-aws_v5.100.0_x5",
    ),
    "a version": (
        "Error: Unsupported Terraform Core version\n\n  on main.tf line 2, in terraform:\n",
        "version",
        "the engine's version is not one that the module accepts",
    ),
    "a state that moved on": (
        "Error: Saved plan is stale\n\nThe given plan file can no longer be applied because the state was changed",
        "stale",
        "somebody else changed the state after this was planned, so the plan was not applied",
    ),
    "something else": ("Error: Invalid index\n\n  on main.tf line 3\n\nThe given key.", "failed", "Invalid index"),
    "several": ("Error: First\n\nof all\n\nError: Second\n\nof all", "failed", "First (and 1 more)"),
    "a broken line": ("Error: A sentence that\nis broken\n\nWhy.", "failed", "A sentence that is broken"),
    "nothing": ("", "failed", "terraform apply ended with code 1"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_terraform_says_is_understood(name: str) -> None:
    text, kind, summary = SAID[name]
    found = explain(text, step="apply", subject="dev web", log="x.log", exit_code=1)
    assert (found.kind, found.summary, found.log) == (kind, summary, "x.log")


def test_whoever_has_no_account_is_told_of_the_sandbox() -> None:
    found = explain(SAID["no credentials"][0], step="plan", subject="dev web", log="x.log", exit_code=1)
    assert "aws sso login" in found.hint
    assert "--sandbox" in found.hint


def test_what_terraform_says_of_locks_does_not_invite_to_do_without() -> None:
    text = (
        "Error: Error acquiring the state lock\n\nLock Info:\n  ID:        5-6\n  Who:       ada@desk\n\n\n"
        "Terraform acquires a state lock to protect the state from being written\nby multiple users at the same time. "
        'For most commands, you can disable locking with the "-lock=false"\nflag, but this is not recommended.'
    )
    found = explain(text, step="plan", subject="dev web", log="x.log", exit_code=1)
    assert found.detail.endswith("Who:       ada@desk")
    assert "-lock=false" not in found.detail


def test_sensitive_values_that_an_output_tells_are_mended_by_a_line_that_is_given(one: Desk) -> None:
    secret = 'variable "s" {\n  default   = "x"\n  sensitive = true\n}\noutput "%s" {\n  value = var.s\n}\n'
    one.write({"modules/one/main.tf": secret % "url" + 'output "port" {\n  value = "${var.s}1"\n}\n'})
    error = failure(one, "plan", "dev")
    assert error["summary"] == "an output holds a sensitive value and is not marked as sensitive"
    assert error["hint"].endswith('stack.unit("web", …, sensitive_outputs=["port", "url"])')
    spec = one.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('module="one"', 'module="one", sensitive_outputs=["port", "url"]'))
    assert one.run("plan", "dev").code == 0


def test_text_in_boxes_is_read_without_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Initializing…\n╷\n│ Error: It is\n│ broken\n│ \n│   on main.tf line 1\n╵\n")
    assert read_messages(log).error_text == "Error: It is\nbroken\n\n  on main.tf line 1"


def test_only_what_a_command_said_itself_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Error: of the one before\n")
    begin = log.stat().st_size
    with log.open("a") as file:
        file.write("Error: of this one\n")
    assert read_messages(log, begin).error_text == "Error: of this one"


def test_a_log_that_is_no_text_is_survived(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(
        b'{"type":"diagnostic","diagnostic":7}\n{"type":"apply_start","hook":[]}\n[1]\n\xff\xfe\x00\n{{{\n"x"\n'
    )
    assert "{{{" in read_messages(log).error_text or read_messages(log).errors
