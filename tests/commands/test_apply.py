"""`apply`: exactly what was shown is done, and what could not be shown is not."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

KEYED = """
    variable "keys" {
      type = list(string)
    }

    resource "terraform_data" "it" {
      for_each = toset(var.keys)
    }
    """
WITH_KEYED = """
    stack.unit("keyed", module="keyed", inputs={"keys": web.outputs.servers})
    """
WRITER = """
    variable "file" {
      type = string
    }

    resource "terraform_data" "it" {
      provisioner "local-exec" {
        command = "printf south > ${var.file}"
      }
    }

    output "id" {
      value = terraform_data.it.id
    }
    """
SIGN = """
    variable "id" {
      type = string
    }

    variable "file" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.id
    }

    output "sign" {
      value = file(var.file)
    }
    """
READER = """
    variable "sign" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.sign
    }
    """
MEASURE = READER.replace("input = var.sign", "input = length(var.sign)")


def document(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def statuses(doc: dict[str, Any]) -> dict[str, str]:
    return {name: unit["status"] for name, unit in doc["units"].items()}


def done(doc: dict[str, Any], unit: str) -> list[tuple[str, list[str]]]:
    return [(change["address"], change["actions"]) for change in doc["units"][unit]["resources"]]


def states(desk: Desk) -> list[str]:
    return sorted(path.name for path in (desk.root / "stacks/dev/state").glob("*.tfstate"))


def addresses(desk: Desk, unit: str) -> list[str]:
    """What Terraform itself says there is."""
    path = desk.root / f"stacks/dev/state/{unit}.tfstate"
    listed = subprocess.run(
        ["terraform", "state", "list", f"-state={path}"], capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


def test_what_was_shown_is_what_is_done(two_units: Desk) -> None:
    planned = document(two_units.run("plan", "dev", "--json").out)
    applied = two_units.run("apply", "dev", "--auto-approve", "--json")
    assert applied.code == 0, applied.err
    doc = document(applied.out)
    assert statuses(doc) == {"network": "applied", "web": "applied"}
    for unit in ("network", "web"):
        assert done(doc, unit) == done(planned, unit)
        assert [address for address, _ in done(doc, unit)] == sorted(addresses(two_units, unit))
    again = two_units.run("plan", "dev", "--json", "--detailed-exitcode")
    assert (again.code, document(again.out)["status"]) == (0, "unchanged")


def test_a_second_apply_has_nothing_to_do_and_makes_no_noise(two_units: Desk) -> None:
    two_units.run("apply", "dev", "--auto-approve")
    before = two_units.git("rev-parse", "HEAD")
    again = two_units.run("apply", "dev", "--auto-approve")
    assert again.code == 0
    assert "No changes" in again.out
    assert two_units.git("rev-parse", "HEAD") == before
    assert two_units.git("status", "--porcelain") == ""


def test_a_plan_of_promised_values_is_applied_as_it_was_saved(desk: Desk, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    engine = tmp_path / "terraform"
    engine.write_text(f'#!/bin/sh\necho "$(basename $PWD) $1" >> {calls}\nexec terraform "$@"\n')
    engine.chmod(0o755)
    desk.write(
        {
            "modules/named/main.tf": 'output "sign" {\n  value = "north"\n}\n',
            "modules/reader/main.tf": READER,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            named = stack.unit("named", module="named")
            stack.unit("reader", module="reader", inputs={"sign": named.outputs.sign})
            """,
        }
    )
    result = desk.run("apply", "dev", "--auto-approve", "--engine", str(engine))
    assert result.code == 0, result.err
    assert calls.read_text().splitlines().count("reader plan") == 1
    assert addresses(desk, "reader") == ["module.reader.terraform_data.it"]


def signs(desk: Desk, reader: str) -> None:
    """A unit whose output turns out otherwise than its preview says, and one that reads it.

    Terraform keeps what a plan says of an output: only where `sign` is planned again can it be another one.
    """
    file = desk.root / "sign.txt"
    file.write_text("north")
    desk.write(
        {
            "modules/writer/main.tf": WRITER,
            "modules/sign/main.tf": SIGN,
            "modules/reader/main.tf": reader,
            "stacks/dev/stack.py": f"""
            from infra_orch import Stack

            stack = Stack("dev")
            writer = stack.unit("writer", module="writer", inputs={{"file": "{file}"}})
            sign = stack.unit("sign", module="sign", inputs={{"id": writer.outputs.id, "file": "{file}"}})
            reader = stack.unit("reader", module="reader", inputs={{"sign": sign.outputs.sign}})
            stack.unit("after", module="reader", after=[reader], inputs={{"sign": "fixed"}})
            stack.unit("aside", module="reader", inputs={{"sign": "fixed"}})
            """,
        }
    )
    desk.commit()


def test_a_broken_promise_stops_the_unit_and_nothing_is_done_to_it(desk: Desk) -> None:
    signs(desk, READER)
    result = desk.run("apply", "dev", "--auto-approve", "--json")
    doc = document(result.out)
    assert statuses(doc) == {
        "writer": "applied",
        "sign": "applied",
        "aside": "applied",
        "reader": "refused",
        "after": "blocked",
    }
    assert (
        "module.reader.terraform_data.it: input would get another value" in doc["units"]["reader"]["error"]["summary"]
    )
    assert doc["units"]["after"]["error"]["summary"] == "reader was refused"
    assert result.code == 1
    assert states(desk) == ["aside.tfstate", "sign.tfstate", "writer.tfstate"]


def test_another_value_with_the_same_effect_goes_on(desk: Desk) -> None:
    signs(desk, MEASURE)
    result = desk.run("apply", "dev", "--auto-approve", "--json")
    assert statuses(document(result.out))["reader"] == "applied", result.out
    assert result.code == 0


def test_what_is_beyond_the_preview_may_be_allowed_beforehand(desk: Desk) -> None:
    signs(desk, READER)
    result = desk.run("apply", "dev", "--auto-approve", "--allow-unseen")
    assert result.code == 0, result.err
    assert addresses(desk, "reader") == ["module.reader.terraform_data.it"]


@pytest.fixture
def deferring(two_units: Desk) -> Desk:
    """A third unit, whose plan is possible only once the second one is applied."""
    spec = two_units.root / "stacks/dev/stack.py"
    two_units.write({"modules/keyed/main.tf": KEYED})
    spec.write_text(spec.read_text() + WITH_KEYED.replace("    ", ""))
    two_units.commit()
    return two_units


def test_a_unit_that_could_not_be_shown_is_left_alone_until_it_was(deferring: Desk) -> None:
    first = deferring.run("apply", "dev", "--auto-approve", "--json")
    doc = document(first.out)
    assert (first.code, statuses(doc)) == (1, {"network": "applied", "web": "applied", "keyed": "deferred"})
    assert doc["units"]["keyed"]["error"]["hint"].startswith("run the same command again")
    assert "keyed.tfstate" not in states(deferring)
    second = deferring.run("apply", "dev", "--auto-approve")
    assert second.code == 0
    assert len(addresses(deferring, "keyed")) == 2


def test_a_unit_that_could_not_be_shown_may_be_allowed_beforehand(deferring: Desk) -> None:
    result = deferring.run("apply", "dev", "--auto-approve", "--allow-unseen", "--json")
    assert (result.code, statuses(document(result.out))["keyed"]) == (0, "applied"), result.err


def test_what_turns_out_to_destroy_what_is_protected_is_refused_in_the_middle_of_an_apply(deferring: Desk) -> None:
    spec = deferring.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('module="keyed",', 'module="keyed", protect=True,'))
    assert deferring.run("apply", "dev", "--auto-approve", "--allow-unseen").code == 0
    before = addresses(deferring, "keyed")
    spec.write_text(spec.read_text().replace('{"name": "dev"}', '{"name": "new"}'))
    result = deferring.run("apply", "dev", "--auto-approve", "--allow-unseen", "--json")
    keyed = document(result.out)["units"]["keyed"]
    assert (result.code, keyed["status"], keyed["resources"]) == (1, "refused", [])
    assert keyed["error"]["summary"].startswith("keyed is protected, and module.keyed.terraform_data.")
    assert "take protect=True from it at stacks/dev/stack.py:" in keyed["error"]["hint"]
    assert addresses(deferring, "keyed") == before


@pytest.mark.parametrize("json_wanted", [False, True])
def test_without_anybody_to_ask_nothing_is_done(two_units: Desk, json_wanted: bool) -> None:
    before = two_units.git("rev-parse", "HEAD")
    result = two_units.run("apply", "dev", *(["--json"] if json_wanted else []))
    assert (result.code, result.out) == (77, "")
    assert "--auto-approve, if that is meant" in result.err
    assert two_units.git("status", "--porcelain") == ""
    assert (two_units.git("rev-parse", "HEAD"), states(two_units)) == (before, [])


def at_a_terminal(folder: Path, *arguments: str, answers: tuple[str, ...]) -> tuple[int, str]:
    """Run the command line in a terminal, give an answer to each question, and return its exit code and what was seen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_orch", *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen, waiting, deadline = "", list(answers), time.monotonic() + 90
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                seen += os.read(ours, 65536).decode(errors="replace")
            except OSError:
                break
        if waiting and seen.count("Only 'yes' will be accepted:") > len(answers) - len(waiting):
            os.write(ours, f"{waiting.pop(0)}\n".encode())
    os.close(ours)
    return process.wait(30), seen.replace("\r\n", "\n")


@pytest.mark.parametrize("answer", ["no", "y"])
def test_only_yes_is_a_yes(two_units: Desk, answer: str) -> None:
    code, seen = at_a_terminal(two_units.root, "apply", "dev", answers=(answer,))
    assert code == 77, seen
    assert "nothing was changed" in seen
    assert states(two_units) == []


def test_after_a_yes_what_was_shown_is_done_and_what_was_not_is_asked_for(deferring: Desk) -> None:
    code, seen = at_a_terminal(deferring.root, "apply", "dev", answers=("yes", "yes"))
    assert code == 0, seen
    assert "Apply this to keyed, too?" in seen
    assert len(addresses(deferring, "keyed")) == 2


FAILING = """
    resource "terraform_data" "first" {
      input = "made"
    }

    resource "terraform_data" "half" {
      depends_on = [terraform_data.first]
      provisioner "local-exec" {
        command = "exit 3"
      }
    }

    resource "terraform_data" "never" {
      depends_on = [terraform_data.half]
    }

    output "id" {
      value = terraform_data.never.id
    }
    """


@pytest.fixture
def failing(desk: Desk) -> Desk:
    """A unit that fails half-way, what depends on it, and what does not."""
    desk.write(
        {
            "modules/failing/main.tf": FAILING,
            "modules/reader/main.tf": READER,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            failing = stack.unit("failing", module="failing")
            below = stack.unit("below", module="reader", inputs={"sign": failing.outputs.id})
            stack.unit("deeper", module="reader", after=[below], inputs={"sign": "x"})
            stack.unit("aside", module="reader", inputs={"sign": "x"})
            """,
        }
    )
    desk.commit()
    return desk


def test_a_failure_blocks_what_depends_on_it_and_nothing_else(failing: Desk) -> None:
    result = failing.run("apply", "dev", "--auto-approve", "--json")
    doc = document(result.out)
    assert result.code == 1
    assert statuses(doc) == {"failing": "failed", "below": "blocked", "deeper": "blocked", "aside": "applied"}
    assert doc["units"]["deeper"]["error"]["summary"] == "failing failed"
    assert states(failing) == ["aside.tfstate", "failing.tfstate"]


def test_after_a_failure_nothing_more_is_begun_where_that_is_wanted(failing: Desk) -> None:
    spec = (failing.root / "stacks/dev/stack.py").read_text()
    failing.write({"stacks/dev/stack.py": spec + 'stack.unit("later", module="reader", inputs={"sign": "x"})\n'})
    words = ("apply", "dev", "--auto-approve", "--json", "--parallelism", "1", "--fail-fast")
    result = failing.run(*words)
    doc = document(result.out)
    assert result.code == 1
    assert {name: statuses(doc)[name] for name in ("failing", "later")} == {"failing": "failed", "later": "blocked"}
    assert doc["units"]["later"]["error"]["summary"] == "not begun: failing failed"
    assert "later.tfstate" not in states(failing)


def test_nothing_is_applied_of_a_plan_in_which_as_many_have_failed_as_may(failing: Desk) -> None:
    failing.write({"modules/failing/main.tf": 'output "id" {\n  value = file("nowhere")\n}\n'})
    result = failing.run("apply", "dev", "--auto-approve", "--json", "--fail-fast")
    doc = document(result.out)
    assert (result.code, doc["command"]) == (1, "apply")
    assert "applied" not in statuses(doc).values()
    assert states(failing) == []


def test_what_a_failed_apply_made_is_recorded(failing: Desk) -> None:
    failing.run("apply", "dev", "--auto-approve")
    record = json.loads(failing.git("show", "HEAD:stacks/dev/record/failing.json"))
    assert record["status"] == "failed"
    assert record["changes"]["create"] == 1
    assert record["unfinished"] == ["module.failing.terraform_data.half"]
    assert record["addresses"] == addresses(failing, "failing")
    assert "local-exec" in record["error"]


def test_a_failed_apply_is_gone_on_with_by_the_next(failing: Desk) -> None:
    failing.run("apply", "dev", "--auto-approve")
    failing.write({"modules/failing/main.tf": FAILING.replace("exit 3", "true")})
    result = failing.run("apply", "dev", "--auto-approve", "--json")
    doc = document(result.out)
    assert (result.code, set(statuses(doc).values())) == (0, {"applied", "unchanged"}), result.out
    assert done(doc, "failing") == [
        ("module.failing.terraform_data.half", ["delete", "create"]),
        ("module.failing.terraform_data.never", ["create"]),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("extra.tf", 'resource "terraform_data" "extra" {}'),
        ("extra_override.tf.json", '{"module": {"network": {"zones": ["z"]}}}'),
        ("terraform.tfvars", 'env_NETWORK = "strayed"'),
        ("x.auto.tfvars.json", '{"env_NETWORK": "strayed"}'),
    ],
)
def test_what_lies_in_a_work_folder_by_accident_changes_no_plan(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv("NETWORK", "meant")
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(
        spec.read_text()
        .replace('"dev"})', 'env("NETWORK")}, sensitive_outputs=["name"])')
        .replace("import Stack", "import Stack, env")
    )
    assert two_units.run("apply", "dev", "--auto-approve", "--unit", "network").code == 0
    (two_units.root / ".infra-orch/work/dev/network" / name).write_text(f"{text}\n")
    result = two_units.run("plan", "dev", "--unit", "network", "--detailed-exitcode")
    assert result.code == 0, result.out


def test_in_a_fresh_clone_nothing_is_made_a_second_time_for_want_of_a_state(
    two_units: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States beside the stack are not in git."""
    assert two_units.run("apply", "dev", "--auto-approve").code == 0
    clone = two_units.root.parent / "clone"
    two_units.git("clone", "--quiet", str(two_units.root), str(clone))
    monkeypatch.chdir(clone)
    refused = two_units.run("apply", "dev", "--auto-approve")
    assert (refused.code, "network, web exist, says the record in git" in refused.err) == (77, True)
    planned = two_units.run("plan", "dev")
    assert (planned.code, "no state is in stacks/dev/state/" in planned.err) == (0, True)
    assert two_units.run("destroy", "dev", "--auto-approve").code == 77


@pytest.mark.parametrize(
    "words",
    [
        ["destroy", "dev", "--unit", "web"],
        ["apply", "dev", "--sandbox", "--prune"],
        ["apply", "--all", "--unit", "dev/w*", "--engine", "terraform"],
    ],
)
def test_where_nobody_can_be_asked_the_command_that_needs_no_question_does_no_more(
    two_units: Desk, words: list[str]
) -> None:
    """Without what narrows it down it would be another one: of the whole stack, or of what is real."""
    refused = two_units.run(*words)
    assert refused.code == 77
    assert f"→ {shlex.join(['infra-orch', *words, '--auto-approve'])}, if that is meant" in refused.err
