"""Secrets are planted wherever one can be, and nothing that is written or printed may hold one, however a run ends."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from child_process import Child, until
from cryptography.fernet import Fernet

if TYPE_CHECKING:
    from conftest import Desk, Result

STAND_IN = Path(__file__).parents[1] / "stand_in_terraform.py"
TOKEN = "tkn<&>" + hashlib.sha256(b"token").hexdigest()[:24]
CLOUD = hashlib.sha256(b"cloud").hexdigest()[:40]


def derived(word: str) -> str:
    """A secret that exists only while Terraform runs."""
    return hashlib.sha256(f"{word}{TOKEN}".encode()).hexdigest()


SECRETS = {
    "the value of env()": TOKEN,
    "a cloud credential": CLOUD,
    "a sensitive output": derived("output"),
    "a part of a sensitive map": derived("nested"),
    "a sensitive value with unknown parts": derived("half"),
}
UP = """
    variable "token" {
      type      = string
      sensitive = true
    }

    resource "terraform_data" "it" {
      input = var.token
    }

    output "secret" {
      value     = sha256("output${var.token}")
      sensitive = true
    }

    output "nested" {
      value     = { list = [{ deep = sha256("nested${var.token}") }] }
      sensitive = true
    }

    output "half" {
      value     = { known = sha256("half${var.token}"), unknown = terraform_data.it.id }
      sensitive = true
    }

    output "url" {
      value = "https://user:${nonsensitive(var.token)}@example.com/"
    }

    output "slipped" {
      value = { note = "it is ${nonsensitive(var.token)}" }
    }
    """
DOWN = """
    variable "values" {
      type = any
    }

    variable "fails" {
      type = bool
    }

    variable "seconds" {
      type = number
    }

    resource "terraform_data" "it" {
      input = var.values
    }

    resource "terraform_data" "says" {
      depends_on = [terraform_data.it]
      input      = var.fails
      provisioner "local-exec" {
        command = "echo $TOKEN $AWS_SECRET_ACCESS_KEY; echo $TOKEN >&2; exec sleep ${var.seconds}"
      }
      provisioner "local-exec" {
        command = var.fails ? "echo no, $TOKEN; exit 1" : "true"
      }
    }
    """


def spec(*, fails: bool = False, task_fails: bool = False, seconds: int = 0) -> str:
    return f"""
        import os
        from infra_orch import Stack, env

        stack = Stack("dev")
        up = stack.unit("up", module="up", inputs={{"token": env("TOKEN")}})
        down = stack.unit("down", module="down", inputs={{
            "values": {{"s": up.outputs.secret, "n": up.outputs.nested, "h": up.outputs.half, "u": up.outputs.url,
                       "t": env("TOKEN"), "i": f"token={{env('TOKEN')}}"}},
            "fails": {fails}, "seconds": {seconds},
        }})

        @stack.task(after=[up])
        def tells(context):
            token = os.environ["TOKEN"]
            print("printed", token)
            context.log.warning("logged %s", token)
            context.run(["echo", token, context.outputs["up"]["secret"]])
            if {task_fails}:
                raise ValueError("raised " + token)
            return {{"token": "short", token: [token], "nested": {{"of": context.outputs["up"]["nested"]}}}}
        """


@pytest.fixture
def planted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A stack with secrets everywhere."""
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CLOUD)
    desk.write({"modules/up/main.tf": UP, "modules/down/main.tf": DOWN, "stacks/dev/stack.py": spec()})
    desk.commit()
    return desk


def leaks(desk: Desk, *printed: str) -> list[str]:
    """Where a secret is, among what was printed, every file of the project but states, and every object of git."""
    places = {f"printed {number}": text.encode() for number, text in enumerate(printed)}
    for path in desk.root.rglob("*"):
        inside = path.relative_to(desk.root)
        if path.is_file() and inside.parts[0] != ".git" and ".tfstate" not in path.name:
            places[str(inside)] = path.read_bytes()
    everything = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=desk.root, capture_output=True, check=True
    )
    places["git"] = everything.stdout
    assert b"terraform_data" in places["git"]
    return [
        f"{what} in {place}"
        for place, text in places.items()
        for what, secret in SECRETS.items()
        if holds(text, secret)
    ]


def holds(text: bytes, secret: str) -> bool:
    """Whether the secret or its better half is there: what is escaped in it is at its beginning."""
    return secret[8:].encode() in text


def said(result: Result) -> tuple[str, str]:
    return result.out, result.err


def test_runs_that_go_well_leak_nothing(planted: Desk) -> None:
    printed: list[str] = []
    for arguments in (
        ("plan", "dev"),
        ("plan", "dev", "--full"),
        ("apply", "dev", "--auto-approve", "--json"),
        ("output", "dev"),
        ("output", "dev", "--json"),
        ("show", "last"),
        ("show", "last", "down"),
        ("show", "last", "tells"),
        ("history", "dev", "--json"),
    ):
        result = planted.run(*arguments)
        assert result.code == 0, result.err
        printed += said(result)
    assert leaks(planted, *printed) == []
    destroyed = planted.run("destroy", "dev", "--auto-approve")
    assert destroyed.code == 0, destroyed.err
    assert leaks(planted, *said(destroyed)) == []


def test_a_preview_its_sealed_plans_and_an_approval_leak_nothing(
    planted: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Fernet.generate_key().decode()
    monkeypatch.setenv("INFRA_ORCH_BUNDLE_KEY", key)
    monkeypatch.setitem(SECRETS, "the key of bundles", key)
    nothing = planted.git("commit-tree", "-m", "nothing", planted.git("hash-object", "-t", "tree", "-w", "/dev/null"))
    assert planted.run("render", "dev").code == 0
    planted.commit()
    printed: list[str] = []
    for arguments in (
        ("preview", "--base", nothing, "--report", "report.html", "--bundle", "kept.bundle"),
        ("preview", "--base", nothing, "--format", "sarif", "--terraform-report", "numbers.json"),
        ("approve", "--bundle", "kept.bundle", "--note", "as we said"),
        ("apply", "--bundle", "kept.bundle", "--auto-approve"),
    ):
        result = planted.run(*arguments)
        assert result.code == 0, result.err
        printed += said(result)
    assert leaks(planted, *printed) == []
    assert not holds((planted.root / "kept.bundle").read_bytes(), key)


def test_runs_that_fail_leak_nothing(planted: Desk) -> None:
    planted.write({"stacks/dev/stack.py": spec(fails=True, task_fails=True)})
    for arguments in (("apply", "dev", "--auto-approve"), ("apply", "dev", "--auto-approve", "--json")):
        result = planted.run(*arguments)
        assert result.code == 1
        assert leaks(planted, *said(result)) == []
    assert "local-exec provisioner error" in result.out


def test_a_plan_that_fails_leaks_nothing(planted: Desk) -> None:
    broken = UP + '\nresource "terraform_data" "no" {\n  input = file("/nowhere/${nonsensitive(var.token)}")\n}\n'
    planted.write({"modules/up/main.tf": broken})
    result = planted.run("plan", "dev")
    assert (result.code, "no file exists" in result.out) == (1, True), result.out
    assert leaks(planted, *said(result)) == []


def test_a_run_that_is_stopped_leaks_nothing(planted: Desk) -> None:
    planted.write({"stacks/dev/stack.py": spec(seconds=30)})
    with (planted.root.parent / "out").open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "infra_orch", "apply", "dev", "--auto-approve"],
            cwd=planted.root,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        at_work = planted.root / ".infra-orch/runs"
        end = time.monotonic() + 60
        while time.monotonic() < end and not any(
            "(local-exec)" in log.read_text() for log in at_work.glob("*/down/apply.log")
        ):
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    assert leaks(planted, (planted.root.parent / "out").read_text()) == []


@pytest.mark.parametrize("kill", [Child.kill_alone, Child.kill_with_all], ids=["orchestrator", "machine"])
def test_a_run_that_was_killed_and_recovered_leaks_nothing(
    planted: Desk, start: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, kill: Callable[[Child], None]
) -> None:
    """Whoever recovers need not have the values that the dead run was given."""
    planted.write({"stacks/dev/stack.py": spec(seconds=3)})
    child = start("apply", "dev", "--auto-approve")
    logs = planted.root / ".infra-orch/runs"
    until(lambda: any("(local-exec)" in log.read_text() for log in logs.glob("*/down/apply.log")), "the leak")
    kill(child)
    monkeypatch.delenv("TOKEN")
    recovered = planted.run("recover", "dev", "--auto-approve")
    assert recovered.code == 0, recovered.err
    shown = planted.run("show", "last", "down")
    assert leaks(planted, child.out.read_text(), child.err.read_text(), *said(recovered), *said(shown)) == []


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_an_engine_that_crashes_leaks_nothing(planted: Desk, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("STAND_IN_TERRAFORM", f"{command}=crash")
    result = planted.run("apply", "dev", "--auto-approve", "--engine", str(STAND_IN))
    assert result.code == 1
    assert leaks(planted, *said(result)) == []


def test_a_secret_in_the_names_of_files_leaks_nothing(planted: Desk) -> None:
    makes = """
        resource "terraform_data" "file" {
          input = "${path.root}/${var.token}"

          provisioner "local-exec" {
            command = "cat '${path.root}/${nonsensitive(var.token)}'"
          }
        }
        """
    planted.write({"modules/up/main.tf": f"{UP}\n{makes}"})
    result = planted.run("apply", "dev", "--auto-approve")
    assert result.code == 1
    assert "No such file or directory" in planted.run("show", "last", "up").out
    assert leaks(planted, *said(result), *said(planted.run("show", "last", "up"))) == []


def test_sensitive_outputs_are_printed_where_that_is_asked_for(planted: Desk) -> None:
    planted.run("apply", "dev", "--auto-approve", "--unit", "up")
    assert planted.run("output", "dev", "up", "secret").code == 64
    assert planted.run("output", "dev", "up", "secret", "--sensitive").out.strip() == SECRETS["a sensitive output"]


def test_what_holds_secrets_is_for_its_owner_alone(planted: Desk) -> None:
    planted.run("apply", "dev", "--auto-approve")
    for folder in (planted.root / ".infra-orch", planted.root / "stacks/dev/state"):
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
        assert planted.git("status", "--porcelain", "--ignored", "--", str(folder)).startswith("!!")
    work = planted.root / ".infra-orch/work/dev"
    readable = [path for path in files(work) if path.stat().st_mode & 0o077 and ".terraform" not in path.parts]
    assert readable == []


def files(folder: Path) -> list[Path]:
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names]
