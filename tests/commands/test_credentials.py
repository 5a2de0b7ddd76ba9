"""Units that run under credentials of their own: who gets what, and that nothing of it is left anywhere."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from conftest import Desk

THING = """
    variable "name" {
      type = string
    }

    resource "terraform_data" "thing" {
      input = var.name

      provisioner "local-exec" {
        command = "echo my key is $AWS_ACCESS_KEY_ID, my secret $AWS_SECRET_ACCESS_KEY"
      }
    }

    output "name" {
      value = var.name
    }
"""
VAULT = """#!/bin/sh
echo "$1" >> "$WITNESS/calls"
test "$1" != broken || { echo "vault is sealed" >&2; exit 3; }
printf '{"Version": 1, "AccessKeyId": "key-of-%s", "SecretAccessKey": "secret-of-%s"}' "$1" "$1"
"""
# Stands before the real Terraform and notes what each command is, in which unit, and whose key it has.
ENGINE = """#!/bin/sh
echo "$(basename "$PWD") $1 $2 ${AWS_ACCESS_KEY_ID:-none} ${AWS_PROFILE:-none}" >> "$WITNESS/commands"
printf '%s\\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN" >> "$WITNESS/secrets"
exec "$REAL_TERRAFORM" "$@"
"""
BOTH = 'Credentials(plan=Credentials.command(["./vault", "reader"]), apply=Credentials.command(["./vault", "writer"]))'


@dataclass(frozen=True)
class Witness:
    """What was asked of the vault, and what each command of Terraform's had in its hands."""

    desk: Desk
    folder: Path

    def spec(self, stack: str, units: str) -> None:
        """Write the stack `dev` with *stack* as its credentials, and commit it."""
        text = f'from infra_orch import Credentials, S3Backend, Stack\n\nstack = Stack("dev", {stack})\n{units}\n'
        self.desk.write({"stacks/dev/stack.py": text, "modules/thing/main.tf": THING, ".gitignore": ".infra-orch/\n"})
        vault = self.desk.root / "stacks/dev/vault"
        vault.write_text(VAULT)
        vault.chmod(0o755)
        self.desk.commit()

    def calls(self) -> list[str]:
        """Whose credentials were asked for, in order of their names."""
        path = self.folder / "calls"
        return sorted(path.read_text().split()) if path.exists() else []

    def commands(self) -> dict[tuple[str, str], set[str]]:
        """Whose keys the commands had, by unit and command."""
        found: dict[tuple[str, str], set[str]] = {}
        for line in (self.folder / "commands").read_text().splitlines():
            words = line.split(" ")
            if words[1] not in ("version", "-version"):
                found.setdefault((words[0], words[1]), set()).add(words[-2])
        return found


@pytest.fixture
def witness(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """A project whose Terraform is watched, and a user who has a profile that nobody must get."""
    folder = tmp_path / "witness"
    folder.mkdir()
    engine = folder / "terraform"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    monkeypatch.setenv("WITNESS", str(folder))
    monkeypatch.setenv("REAL_TERRAFORM", str(shutil.which("terraform")))
    monkeypatch.setenv("INFRA_ORCH_ENGINE", str(engine))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Witness(desk, folder)


def units_of(result: Any) -> dict[str, Any]:
    assert result.out, result.err
    return json.loads(result.out)["units"]


def leaks(witness: Witness, *more: str) -> list[str]:
    """The files below the project, and commits, that hold what a command had for credentials, or one of *more*."""
    secrets = {*filter(None, (witness.folder / "secrets").read_text().splitlines()), *more}
    assert len(secrets) > len(more)
    files = [path for path in witness.desk.root.rglob("*") if path.is_file()]
    found = [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]
    log = witness.desk.git("log", "--patch", "--all")
    return found + [secret for secret in secrets if secret in log]


def test_one_plans_another_applies_and_each_is_asked_for_once_and_left_nowhere(witness: Witness) -> None:
    desk = witness.desk
    units = [f'stack.unit("u{n}", module="thing", inputs={{"name": "u{n}"}})' for n in range(6)]
    witness.spec(f"credentials={BOTH}", "\n".join(units))
    done = desk.run("apply", "dev", "--auto-approve", "--parallelism", "6", "--json")
    assert {unit["status"] for unit in units_of(done).values()} == {"applied"}, done.out
    assert witness.calls() == ["reader", "writer"]
    for (_, command), keys in witness.commands().items():
        assert keys == {"key-of-writer" if command == "apply" else "key-of-reader"}, command
    shown = desk.run("show", "last", "u0").out
    assert "my key is (sensitive), my secret (sensitive)" in shown
    assert not leaks(witness, "secret-of-writer")
    assert desk.run("destroy", "dev", "--auto-approve").code == 0
    assert witness.calls() == ["reader", "reader", "writer", "writer"]


def test_a_unit_has_its_own_and_another_the_environments(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-ada")
    witness.spec(
        'credentials=Credentials.command(["./vault", "default"])',
        """
first = stack.unit("first", module="thing", inputs={"name": "a"})
own = stack.unit("own", module="thing", inputs={"name": first.outputs.name},
                 credentials=Credentials.command(["./vault", "own"]))
stack.unit("none", module="thing", inputs={"name": own.outputs.name}, credentials=Credentials.environment())
""",
    )
    desk = witness.desk
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    # A unit whose outputs are read, and that is not in the run itself, is read as itself.
    assert desk.run("plan", "dev", "--unit", "none", "--detailed-exitcode").code == 0
    whose = {"first": "key-of-default", "own": "key-of-own", "none": "key-of-ada"}
    for (folder, command), keys in witness.commands().items():
        assert keys == {whose[folder.partition(".")[0]]}, (folder, command)


def test_a_unit_whose_credentials_cannot_be_had_fails_and_the_others_go_on(witness: Witness) -> None:
    witness.spec(
        'credentials=Credentials.command(["./vault", "good"])',
        """
stack.unit("good", module="thing", inputs={"name": "a"})
stack.unit("sealed", module="thing", inputs={"name": "a"}, credentials=Credentials.command(["./vault", "broken"]))
stack.unit("also", module="thing", inputs={"name": "a"}, credentials=Credentials.command(["./vault", "broken"]))
stack.unit("nobody", module="thing", inputs={"name": "a"}, credentials=Credentials.profile("nobody"))
stack.unit("late", module="thing", inputs={"name": "a"}, credentials=Credentials(
    plan=Credentials.command(["./vault", "good"]), apply=Credentials.command(["no-such-vault"])))
""",
    )
    done = witness.desk.run("apply", "dev", "--auto-approve", "--json")
    units = units_of(done)
    assert done.code == 1
    assert units["good"]["status"] == "applied"
    told = {name: unit["error"]["summary"] for name, unit in units.items() if unit["status"] == "failed"}
    sealed = 'the command "./vault" of credentials ended with code 3: vault is sealed'
    assert told == {
        "sealed": sealed,
        "also": sealed,
        "nobody": 'there is no profile "nobody" in ~/.aws/config',
        "late": 'the command "no-such-vault" of credentials: cannot start "no-such-vault": No such file or directory',
    }
    assert units["nobody"]["error"]["hint"] == "profiles there: none"
    assert units["late"]["resources"] == []
    assert witness.calls() == ["broken", "good"]
    assert "Traceback" not in done.err


def test_in_the_sandbox_nobody_is_asked_for_credentials(
    witness: Witness, emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness.spec(
        'credentials=Credentials.command(["./vault", "real"])',
        """
stack.unit("web", module="thing", inputs={"name": "a"})
stack.unit("nobody", module="thing", inputs={"name": "a"}, credentials=Credentials.profile("nobody"))

@stack.task
def look(context):
    context.run(["sh", "-c", "echo key: $AWS_ACCESS_KEY_ID"])
""",
    )
    desk = witness.desk
    done = desk.run("apply", "dev", "--sandbox", "--auto-approve")
    assert done.code == 0, done.out + done.err
    desk.commit()
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVISIONERS", "local-exec")
    rendered = desk.run("plan", "dev", "--sandbox", "--from-rendered")
    assert rendered.code == 0, rendered.err
    assert witness.calls() == []
    assert set().union(*witness.commands().values()) == {"infra-orch-sandbox-key"}


def test_a_program_that_only_a_commit_names_is_refused_unless_it_is_allowed(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = witness.desk
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVISIONERS", "local-exec")
    monkeypatch.setenv("INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS", "1")
    witness.spec(f"credentials={BOTH}", 'stack.unit("web", module="thing", inputs={"name": "a"})')
    assert desk.run("render", "dev").code == 0
    desk.commit()
    monkeypatch.delenv("INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS")
    for command in ("plan", "apply"):
        refused = desk.run(command, "dev", "--from-rendered", *(["--auto-approve"] if command == "apply" else []))
        assert refused.code == 77
        assert 'stacks/dev/stack.py:4: the credentials of "web" come from a program' in refused.err
        assert "./vault reader" in refused.err
        assert "INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS=1" in refused.err
    assert witness.calls() == []
    monkeypatch.setenv("INFRA_ORCH_ALLOW_CREDENTIAL_COMMANDS", "1")
    allowed = desk.run("apply", "dev", "--from-rendered", "--auto-approve")
    assert allowed.code == 0, allowed.err
    assert witness.calls() == ["reader", "writer"]


def test_terraform_by_hand_reads_with_one_and_changes_with_the_other(witness: Witness) -> None:
    desk = witness.desk
    witness.spec(f"credentials={BOTH}", 'stack.unit("web", module="thing", inputs={"name": "a"})')
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    (witness.folder / "commands").unlink()
    assert desk.run("tf", "dev", "web", "--", "state", "list").code == 0
    assert desk.run("tf", "dev", "web", "--", "untaint", "module.web.terraform_data.thing").code == 1
    assert desk.run("tf", "dev", "web", "--", "state", "rm", "module.web.terraform_data.thing").code == 0
    by_hand = {line.split()[1:4][0] + " " + line.split()[2]: line.split()[-2]
               for line in (witness.folder / "commands").read_text().splitlines() if line.startswith("web ")}  # fmt: skip
    assert by_hand["state list"] == "key-of-reader"
    assert by_hand["untaint module.web.terraform_data.thing"] == "key-of-writer"
    assert by_hand["state rm"] == "key-of-writer"


def test_a_unit_that_left_the_spec_is_destroyed_with_the_credentials_that_it_had(witness: Witness) -> None:
    desk = witness.desk
    old = 'stack.unit("old", module="thing", inputs={"name": "a"}, credentials=Credentials.command(["./vault", "old"]))'
    witness.spec('credentials=Credentials.command(["./vault", "default"])', old)
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    witness.spec(
        'credentials=Credentials.command(["./vault", "default"])',
        'stack.unit("new", module="thing", inputs={"name": "a"})',
    )
    (witness.folder / "commands").unlink()
    assert desk.run("apply", "dev", "--auto-approve", "--prune").code == 0
    whose = {"old": {"key-of-old"}, "new": {"key-of-default"}}
    for (folder, command), keys in witness.commands().items():
        assert keys == whose[folder.partition(".")[0]], command


# What follows is asked of an emulated AWS, which knows the roles.

PLANNER, DEPLOYER = (f"arn:aws:iam::123456789012:role/{name}" for name in ("planner", "deployer"))


@pytest.fixture
def aws(witness: Witness, emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An account with two roles and a bucket, and a user with credentials to assume them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example-secret-key")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(Path(botocore.__file__).with_name("cacert.pem")))
    client = boto3.client("s3", region_name="eu-west-1", config=Config(proxies={}))
    client.create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


ASK_WHO = """
@stack.task
def who(context):
    return context.client("sts", region="eu-west-1").get_caller_identity()["Arn"]
"""


def test_roles_are_assumed_and_keep_the_states_in_s3_and_tasks_are_who_applies(
    witness: Witness, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = witness.desk
    roles = (
        f'Credentials(plan=Credentials.role("{PLANNER}"), '
        f'apply=Credentials.role("{DEPLOYER}", session_name="ci-7", duration=900))'
    )
    witness.spec(
        f'credentials={roles}, backend=S3Backend(bucket="states", region="eu-west-1", use_path_style=True)',
        f'stack.unit("web", module="thing", inputs={{"name": "a"}})\n{ASK_WHO}',
    )
    done = desk.run("apply", "dev", "--auto-approve", "--json")
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["tasks"]["who"]["result"] == "arn:aws:sts::123456789012:assumed-role/deployer/ci-7"
    assert [entry["Key"] for entry in aws.list_objects_v2(Bucket="states")["Contents"]] == ["dev/web.tfstate"]
    keys = witness.commands()
    assert not {"none", "AKIAIOSFODNN7EXAMPLE"} & set().union(*keys.values())
    assert keys["web", "plan"].isdisjoint(keys["web", "apply"])
    assert all(re.fullmatch(r"ASIA\w{16}", key) for found in keys.values() for key in found)
    assert not leaks(witness)
    # Rendered, it is enough: no Python is evaluated.
    monkeypatch.setenv("INFRA_ORCH_ALLOW_PROVISIONERS", "local-exec")
    assert desk.run("plan", "dev", "--from-rendered", "--detailed-exitcode").code == 0


def test_a_role_is_assumed_with_a_token_and_another_on_top_of_it(
    witness: Witness, aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjaSJ9.c2lnbmF0dXJl")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    below = f'Credentials.web_identity("{PLANNER}")'
    witness.spec(
        f'credentials=Credentials.role("{DEPLOYER}", session_name="ci-8", source={below})',
        f'stack.unit("web", module="thing", inputs={{"name": "a"}})\n{ASK_WHO}',
    )
    done = witness.desk.run("apply", "dev", "--auto-approve", "--json")
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["tasks"]["who"]["result"].endswith(":assumed-role/deployer/ci-8")
    assert not leaks(witness, "eyJhbGciOiJSUzI1NiJ9")


def test_a_bucket_is_asked_as_the_unit_would_ask_it(
    witness: Witness, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has no credentials at all: what checks the bucket beforehand has to be the unit's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    backend = 'backend=S3Backend(bucket="gone", region="eu-west-1", use_path_style=True)'
    witness.spec(
        f'credentials=Credentials.command(["./vault", "good"]), {backend}',
        'stack.unit("web", module="thing", inputs={"name": "a"})',
    )
    refused = witness.desk.run("plan", "dev")
    assert refused.code == 69
    assert 'the bucket "gone" of the S3 backend does not exist' in refused.err
