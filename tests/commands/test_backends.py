"""States away from this machine: in S3 (an emulated one), behind HTTP, and what is said where they cannot be had."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cloud_account import BUCKET, enter, with_bucket
from local_http import Quiet, StateServer, over_http, served

from infra_orch.engine import s3_backend

if TYPE_CHECKING:
    from conftest import Desk

S3 = f'S3Backend(bucket="{BUCKET}", region="eu-west-1", use_path_style=True)'


def keep_states_in(desk: Desk, backend: str) -> None:
    """Change the stack `dev` of `two_units` to another backend."""
    spec = desk.root / "stacks/dev/stack.py"
    text = spec.read_text().replace("import Stack", "import Backend, S3Backend, Stack")
    spec.write_text(text.replace('Stack("dev")', f'Stack("dev", backend={backend})'))
    desk.commit()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the environment, as a user has them."""
    enter(monkeypatch)


@pytest.fixture
def s3(two_units: Desk, emulator: str, account: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an S3 with a bucket, which the stack `dev` keeps its states in."""
    keep_states_in(two_units, S3)
    return with_bucket(emulator, monkeypatch)("s3")


def keys(s3: Any) -> list[str]:
    return sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []))


def test_states_lie_in_s3_under_their_keys_and_are_read_across_units(two_units: Desk, s3: Any) -> None:
    desk = two_units
    done = desk.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert keys(s3) == ["dev/network.tfstate", "dev/web.tfstate"]
    assert not (desk.root / "stacks/dev/state").exists()
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    assert desk.run("plan", "dev", "--unit", "web", "--detailed-exitcode").code == 0
    state = json.loads(s3.get_object(Bucket=BUCKET, Key="dev/network.tfstate")["Body"].read())
    assert desk.run("output", "dev", "network", "id").out.strip() == state["outputs"]["id"]["value"]


def test_a_state_that_somebody_locked_fails_its_unit_and_says_whose_lock_it_is(two_units: Desk, s3: Any) -> None:
    desk = two_units
    lock = {"ID": "6f5c1a52-5a5e-4d3e-9d4e-0d1f3c2b1a09", "Operation": "OperationTypeApply", "Who": "grace@ci-runner-7",
            "Version": "1.11.4", "Created": "2026-01-02T03:04:05.678Z", "Path": f"{BUCKET}/dev/web.tfstate"}  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key="dev/web.tfstate.tflock", Body=json.dumps(lock).encode())
    done = desk.run("apply", "dev", "--auto-approve", "--json")
    assert done.code == 1
    units = json.loads(done.out)["units"]
    assert units["network"]["status"] != "failed"
    error = units["web"]["error"]
    assert error["kind"] == "locked"
    assert all(text in error["summary"] for text in ("grace@ci-runner-7", "2026-01-02 03:04:05", lock["ID"]))
    assert "infra-orch unlock dev web" in error["hint"]


def test_a_lock_that_was_left_behind_can_be_released(two_units: Desk, s3: Any) -> None:
    desk = two_units
    lock = {"ID": "6f5c1a52-5a5e-4d3e-9d4e-0d1f3c2b1a09", "Operation": "OperationTypeApply", "Who": "grace@ci-runner-7",
            "Version": "1.11.4", "Created": "2026-01-02T03:04:05.678Z", "Path": f"{BUCKET}/dev/network.tfstate"}  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key="dev/network.tfstate.tflock", Body=json.dumps(lock).encode())
    assert desk.run("tf", "dev", "network", "--", "force-unlock", "-force", lock["ID"]).code == 0
    assert keys(s3) == []
    assert desk.run("plan", "dev").code == 0


def test_a_bucket_that_is_missing_is_said_before_anything_is_planned(two_units: Desk, s3: Any) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    refused = two_units.run("apply", "dev", "--auto-approve")
    assert refused.code == 69
    assert f'the bucket "{BUCKET}" of the S3 backend does not exist' in refused.err
    assert "infra-orch bootstrap dev makes it" in refused.err
    assert not list(two_units.root.glob(".infra-orch/runs/*/*/*.log"))


def test_a_missing_bucket_behind_a_role_that_is_assumed_is_left_to_terraform(two_units: Desk, s3: Any) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    role = 'assume_role={"role_arn": "arn:aws:iam::123456789012:role/state"}'
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace("use_path_style=True", f"use_path_style=True, {role}"))
    refused = two_units.run("plan", "dev")
    assert refused.code == 1
    assert BUCKET in refused.out


def test_a_sandbox_run_leaves_the_states_in_s3_alone(two_units: Desk, s3: Any) -> None:
    assert two_units.run("apply", "dev", "--sandbox", "--auto-approve").code == 0
    assert keys(s3) == []


@dataclass
class Answers:
    """An S3 that answers everything with one status and one error code; `asked` are the requests."""

    status: int
    code: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def refusing(status: int, code: str) -> Iterator[tuple[str, Answers]]:
    answers = Answers(status, code)

    class Handler(Quiet):
        def do_GET(self) -> None:
            answers.asked.append(self.path)
            self.answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:  # STS, which has a protocol of its own
            self.answer(status, f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>".encode())

    with served(Handler) as url:
        yield url, answers


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "ExpiredToken", "the cloud credentials have expired"),
        (403, "InvalidAccessKeyId", "the cloud credentials are not valid"),
        (403, "AccessDenied", "may not be read with these credentials"),
    ],
)
def test_credentials_that_are_not_good_for_the_bucket_are_said_at_once(
    two_units: Desk, account: None, monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str
) -> None:
    keep_states_in(two_units, S3)
    with refusing(status, code) as (url, answers):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        refused = two_units.run("plan", "dev")
    assert refused.code == 69
    assert said in refused.err
    assert len(answers.asked) <= 2


def test_what_the_check_does_not_understand_is_left_to_terraform(
    two_units: Desk, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_states_in(two_units, S3)
    with refusing(418, "IAmATeapot") as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        failed = two_units.run("plan", "dev")
    assert failed.code == 1
    assert "network: failed" in failed.out


def test_terraform_itself_that_meets_expired_credentials_says_what_to_do(
    two_units: Desk, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = 'assume_role={"role_arn": "arn:aws:iam::123456789012:role/state"}'
    keep_states_in(two_units, S3.replace("use_path_style=True", f"use_path_style=True, {role}"))
    with refusing(400, "ExpiredToken") as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        failed = two_units.run("plan", "dev")
    assert failed.code == 1
    assert "the cloud credentials have expired" in failed.out
    assert "aws sso login" in failed.out


def test_a_backend_that_nobody_serves_is_said_at_once(
    two_units: Desk, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_states_in(two_units, S3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    refused = two_units.run("plan", "dev")
    assert refused.code == 69
    assert "http://127.0.0.1:1" in refused.err
    assert "does not answer" in refused.err


def test_a_backend_that_never_answers_does_not_hold_the_run_up(
    two_units: Desk, account: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_states_in(two_units, S3)
    monkeypatch.setattr(s3_backend, "READ_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        refused = two_units.run("plan", "dev")
    assert refused.code == 69
    assert "does not answer" in refused.err


def test_an_engine_that_cannot_lock_in_s3_is_refused(two_units: Desk, account: None, tmp_path: Path) -> None:
    keep_states_in(two_units, S3)
    old = tmp_path / "terraform"
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.9.8", "platform": "linux_amd64"}\'\n')
    old.chmod(0o755)
    refused = two_units.run("plan", "dev", "--engine", str(old))
    assert refused.code == 69
    assert "terraform 1.9.8" in refused.err
    assert "1.10" in refused.err
    assert "dynamodb_table" in refused.err


def test_states_are_kept_behind_http_under_its_lock(two_units: Desk, state_server: tuple[str, StateServer]) -> None:
    url, kept = state_server
    keep_states_in(two_units, over_http(url))
    done = two_units.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert sorted(kept.states) == ["/dev/network", "/dev/web"]
    assert set(kept.locked) == {"/dev/network", "/dev/web"}
    assert kept.locks == {}
    assert two_units.run("plan", "dev", "--detailed-exitcode").code == 0
    assert two_units.run("destroy", "dev", "--auto-approve").code == 0
    assert [json.loads(state)["resources"] for state in kept.states.values()] == [[], []]


def test_a_lock_behind_http_is_not_told_as_our_own(two_units: Desk, state_server: tuple[str, StateServer]) -> None:
    url, kept = state_server
    keep_states_in(two_units, over_http(url))
    kept.locks["/dev/network"] = json.dumps({"ID": "abc-123", "Who": "grace@ci-runner-7"}).encode()
    failed = two_units.run("apply", "dev", "--auto-approve")
    assert failed.code == 1
    assert "locked by somebody else (lock abc-123)" in failed.out
    assert "infra-orch unlock dev network" in failed.out


def test_any_other_backend_is_rendered_as_it_was_given(two_units: Desk) -> None:
    keep_states_in(two_units, 'Backend("gcs", bucket="acme-state", prefix="{stack}/{unit}")')
    assert two_units.run("render", "dev").code == 0
    rendered = (two_units.root / "stacks/dev/rendered/web/backend.tf").read_text()
    assert 'backend "gcs" {' in rendered
    assert 'prefix = "dev/web"' in rendered
