"""`approve RUN` and `require_approvals`: nothing is applied that too few said yes to, and a yes is for what was shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

REFUSED = 77
MODULE = """
    variable "text" {
      type = string
    }

    resource "terraform_data" "it" {
      input = { text = var.text, planned = plantimestamp() }
    }
    """
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("web", module="it", inputs={"text": "first"})
    """
SETTINGS = "require_approvals = 1\n"


def as_user(desk: Desk, name: str) -> None:
    desk.git("config", "user.name", name)
    desk.git("config", "user.email", f"{name.lower()}@example.com")


@pytest.fixture
def guarded(desk: Desk) -> Desk:
    """A stack that Ada wrote, whose applies somebody else has to approve."""
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC, "infra-orch.toml": SETTINGS})
    assert desk.run("render", "dev").code == 0
    desk.commit()
    return desk


def applied(desk: Desk):
    return desk.run("apply", "dev", "--auto-approve", "--json")


def run_of(refusal: str) -> str:
    found = re.search(r"infra-orch approve (\S+) says yes", refusal)
    assert found, refusal
    return found[1]


def test_somebody_else_says_yes_and_the_record_says_who(guarded: Desk):
    refused = applied(guarded)
    assert refused.code == REFUSED
    assert "web: nobody has approved it" in refused.err
    own = guarded.run("approve", run_of(refused.err))
    assert own.code == 0, own.err
    assert "Ada <ada@example.com> approved it, and changed it: somebody else has to" in applied(guarded).err
    as_user(guarded, "Grace")
    assert guarded.run("approve", "last", "--note", "as we\n\nInfra-Orch-Run: said\x1b[31m").code == 0
    message = guarded.git("log", "-1", "--format=%an: %B")
    assert message.startswith("Grace: approve dev\n\nas we Infra-Orch-Run: said?[31m\n\nInfra-Orch-Approves: ")
    as_user(guarded, "Ada")
    done = applied(guarded)
    assert done.code == 0, done.err
    (record,) = (guarded.root / "stacks/dev/record/runs").glob("*.json")
    assert [one["by"] for one in json.loads(record.read_text())["approvals"]] == ["Grace <grace@example.com>"]


def test_who_says_yes_a_second_time_is_told_so_and_makes_no_second_commit(guarded: Desk):
    run = run_of(applied(guarded).err)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run, "--note", "the subnet").code == 0
    commit = guarded.git("rev-parse", "HEAD")
    again = guarded.run("approve", run)
    assert (again.code, f"you approved what run {run} was to do already" in again.err) == (0, True)
    assert (guarded.git("rev-parse", "HEAD"), guarded.git("status", "--porcelain")) == (commit, "")
    # Another reason is something new, and so is the yes of somebody else.
    assert guarded.run("approve", run, "--note", "the other subnet").code == 0
    as_user(guarded, "Joan")
    assert guarded.run("approve", run).code == 0
    assert guarded.git("rev-list", "--count", f"{commit}..HEAD") == "2"
    # What somebody else has written over counts no more, until it is said again.
    (file,) = (path for path in (guarded.root / "stacks/dev/record/approvals").iterdir() if "Joan" in path.read_text())
    as_user(guarded, "Ada")
    file.write_text(file.read_text().replace('"note": ""', '"note": "sure"'))
    guarded.commit()
    as_user(guarded, "Joan")
    assert "committed as" in guarded.run("approve", run).err


def test_a_yes_is_for_what_was_shown_and_once(guarded: Desk):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    as_user(guarded, "Ada")
    guarded.write({"stacks/dev/stack.py": SPEC.replace("first", "second")})
    assert guarded.run("render", "dev").code == 0
    guarded.commit()
    more = applied(guarded)
    assert more.code == REFUSED
    assert 'terraform_data.it: input.text becomes "second", where "first" was approved' in more.err
    guarded.git("revert", "--no-edit", "HEAD")
    assert applied(guarded).code == 0
    # What is there by then was destroyed by hand: to make it anew needs a new yes.
    (guarded.root / "stacks/dev/state/web.tfstate").unlink()
    (guarded.root / "stacks/dev/record/web.json").unlink()
    guarded.commit()
    assert applied(guarded).code == REFUSED
    # Nor is it new where what says that it was used is deleted.
    for record in (guarded.root / "stacks/dev/record/runs").iterdir():
        record.unlink()
    guarded.commit()
    assert applied(guarded).code == REFUSED


def test_an_approval_that_was_edited_or_is_in_the_name_of_another_does_not_count(guarded: Desk):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    (file,) = (guarded.root / "stacks/dev/record/approvals").iterdir()
    as_user(guarded, "Ada")
    file.write_text(file.read_text().replace("first", "other"))
    guarded.commit()
    edited = applied(guarded)
    assert edited.code == REFUSED
    assert "is not what its digest is of" in edited.err
    file.write_text(file.read_text().replace("other", "first") + "\n")
    guarded.commit()
    forged = applied(guarded)
    assert forged.code == REFUSED
    assert "it says that it is from Grace <grace@example.com>, and Ada <ada@example.com> committed it" in forged.err


def test_a_provisioner_that_came_after_the_approval_is_not_approved(guarded: Desk):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    as_user(guarded, "Ada")
    runs = MODULE.replace(
        "input = {", 'provisioner "local-exec" {\n        command = "touch ran"\n      }\n      input = {'
    )
    guarded.write({"modules/it/main.tf": runs})
    guarded.commit()
    more = applied(guarded)
    assert more.code == REFUSED
    assert (
        "web: provisioners, or arguments of providers such as the region or the role, are not those that were"
        in more.err
    )


def test_what_only_lies_there_uncommitted_does_not_count(guarded: Desk):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    guarded.git("reset", "--soft", "HEAD~1")
    as_user(guarded, "Ada")
    assert applied(guarded).code == REFUSED


def test_a_co_author_of_the_change_is_no_somebody_else(guarded: Desk):
    guarded.write({"stacks/dev/stack.py": SPEC.replace("first", "second")})
    assert guarded.run("render", "dev").code == 0
    guarded.commit("second\n\nCo-authored-by: Grace <grace@example.com>")
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    again = applied(guarded)
    assert again.code == REFUSED
    assert "Grace <grace@example.com> approved it, and changed it" in again.err


def test_what_failed_may_be_done_again_by_the_same_approval(guarded: Desk):
    flaky = MODULE.replace(
        "input = { text",
        """provisioner "local-exec" {
        command = "test -e ${path.root}/../../../../ready"
      }
      input = { text""",
    )
    guarded.write({"modules/it/main.tf": flaky})
    guarded.commit()
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    as_user(guarded, "Ada")
    assert applied(guarded).code == 1
    # It is tainted now: to replace it is more than was approved, and is said to be.
    assert "where create was approved" in applied(guarded).err


def test_only_signed_approvals_count_where_settings_say_so(guarded: Desk, monkeypatch: pytest.MonkeyPatch):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    as_user(guarded, "Ada")
    monkeypatch.setenv("INFRA_ORCH_SIGNED_APPROVALS", "true")
    unsigned = applied(guarded)
    assert unsigned.code == REFUSED
    assert "git does not verify the signature" in unsigned.err


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen to sign")
def test_a_signature_counts_in_the_name_of_who_signed(guarded: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"eve@example.com {key.with_suffix('.pub').read_text()}")
    for name, value in [
        ("commit.gpgSign", "true"),
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(signers)),
    ]:
        guarded.git("config", name, value)
    monkeypatch.setenv("INFRA_ORCH_SIGNED_APPROVALS", "true")
    refused = applied(guarded)
    as_user(guarded, "Grace")  # Eve says so, with a key of hers that is known
    assert guarded.run("approve", run_of(refused.err)).code == 0
    forged = applied(guarded)
    assert forged.code == REFUSED
    assert "says that it is from Grace <grace@example.com>, and eve@example.com signed it" in forged.err
    signers.write_text(signers.read_text().replace("eve@", "grace@"))
    done = applied(guarded)
    assert done.code == 0, done.err


def test_one_person_with_two_names_is_one(guarded: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INFRA_ORCH_REQUIRE_APPROVALS", "2")
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    guarded.git("config", "user.name", "Grace H.")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    still = applied(guarded)
    assert still.code == REFUSED
    assert "approved it, and 2 people have to" in still.err


def test_who_wrote_a_module_that_the_units_module_calls_changed_it(guarded: Desk, monkeypatch: pytest.MonkeyPatch):
    calls = 'variable "text" {}\nmodule "inner" {\n  source = "../inner"\n  text = var.text\n}\n'
    guarded.write({"modules/inner/main.tf": MODULE, "modules/it/main.tf": calls})
    guarded.commit()
    monkeypatch.setenv("INFRA_ORCH_REQUIRE_APPROVALS", "0")
    assert applied(guarded).code == 0
    monkeypatch.setenv("INFRA_ORCH_REQUIRE_APPROVALS", "1")
    as_user(guarded, "Eve")
    guarded.write({"modules/inner/main.tf": MODULE.replace("text = var.text", 'text = "hers"')})
    guarded.commit()
    refused = applied(guarded)
    assert guarded.run("approve", run_of(refused.err)).code == 0
    own = applied(guarded)
    assert own.code == REFUSED
    assert "Eve <eve@example.com> approved it, and changed it: somebody else has to" in own.err


def test_where_rendered_files_are_not_committed_who_wrote_the_spec_changed_it(desk: Desk):
    desk.write(
        {
            "modules/it/main.tf": MODULE,
            "stacks/dev/stack.py": SPEC,
            "infra-orch.toml": SETTINGS,
            ".gitignore": "rendered/\n",
        }
    )
    desk.commit()
    refused = applied(desk)
    assert desk.run("approve", run_of(refused.err)).code == 0
    own = applied(desk)
    assert own.code == REFUSED
    assert "Ada <ada@example.com> approved it, and changed it: somebody else has to" in own.err


def test_in_a_shallow_clone_nobody_knows_who_approved(guarded: Desk):
    refused = applied(guarded)
    as_user(guarded, "Grace")
    assert guarded.run("approve", run_of(refused.err)).code == 0
    (guarded.root / ".git/shallow").write_text(guarded.git("rev-parse", "HEAD") + "\n")
    shallow = applied(guarded)
    assert shallow.code == REFUSED
    assert "git fetch --unshallow" in shallow.err


def test_a_denial_is_overridden_by_a_recorded_approval_of_that_denial(desk: Desk):
    policy = """
        from infra_orch import Plan, policy


        @policy("deny")
        def no_first(plan: Plan):
            return [change for change in plan.changes if "first" in str(change.after)]
        """
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC, "policies/house.py": policy})
    assert desk.run("render", "dev").code == 0
    desk.commit()
    refused = applied(desk)
    assert refused.code == REFUSED
    run = json.loads(refused.out)["run_id"]
    without = desk.run("approve", run)
    assert without.code == REFUSED
    assert f"infra-orch approve {run} --despite-policies" in without.err
    assert desk.run("approve", run, "--despite-policies").code == 0
    done = applied(desk)
    assert done.code == 0, done.err
    (warning,) = json.loads(done.out)["units"]["web"]["warnings"]
    assert "passed, since Ada <ada@example.com> approved it all the same" in warning
    desk.write({"policies/house.py": policy.replace("no_first", "no_first_again")})
    desk.write({"stacks/dev/stack.py": SPEC.replace("first", "first, second")})
    assert desk.run("render", "dev").code == 0
    desk.commit()
    assert applied(desk).code == REFUSED


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "which run?"),
        (["nothing"], '"nothing" is not the id of a run'),
        (["20990101"], 'there is no run "20990101" here'),
    ],
)
def test_what_cannot_be_meant_is_said(guarded: Desk, arguments: list[str], says: str):
    refused = guarded.run("approve", *arguments)
    assert refused.code == 64
    assert says in refused.err


def test_a_plan_of_what_nobody_else_can_see_is_not_approved(guarded: Desk):
    guarded.write({"stacks/dev/stack.py": SPEC.replace("first", "second")})
    assert guarded.run("plan", "dev").code == 0
    refused = guarded.run("approve", "last")
    assert refused.code == 64
    assert "changes that are not committed" in refused.err


def test_a_run_in_the_sandbox_is_not_approved(guarded: Desk):
    assert guarded.run("plan", "dev").code == 0
    (run,) = (guarded.root / ".infra-orch/runs").glob("*/run.json")
    run.write_text(run.read_text().replace('"sandbox": false', '"sandbox": true'))
    refused = guarded.run("approve", "last")
    assert refused.code == 64
    assert "was in the sandbox" in refused.err


def test_terraform_by_hand_does_not_go_round_approvals(guarded: Desk):
    refused = guarded.run("tf", "dev", "web", "--", "apply", "-auto-approve")
    assert refused.code == REFUSED
    assert "what is applied has to be approved" in refused.err
    assert not (guarded.root / "stacks/dev/state/web.tfstate").exists()
