"""What the modules ci_role and object_store do where stacks/delivery does not use them so: by their plans."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stack_code import ROOT

from infra_orch import Provider, Stack
from infra_orch.sandbox import server
from infra_orch.testing import Planned

pytestmark = [pytest.mark.aws, pytest.mark.usefixtures("aws")]

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BOUNDARY = "arn:aws:iam::123456789012:policy/ci-boundary"


@pytest.fixture(scope="module")
def stack() -> Stack:
    """A store with a key of its own, and a role for a GitLab of one's own that reads it."""
    aws = Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1")
    made = Stack("gitlab", providers=[aws])
    store = made.unit("store", module="object_store", inputs={"name": "shop-artifacts", "kms_key_arn": KEY})
    made.unit(
        "deploy",
        module="ci_role",
        inputs={
            "name": "shop-deploy",
            "host": "gitlab",
            "issuer": "https://gitlab.example.com",
            "repository": "acme/web/shop",
            "branches": ["main", "release/2.0"],
            "artifact_bucket_arn": store.outputs.arn,
            "artifact_prefix": "releases/",
            "artifact_kms_key_arn": store.outputs.kms_key_arn,
            "artifact_access": "read",
            "permissions_boundary_arn": BOUNDARY,
            "session_minutes": 120,
        },
    )
    return made


def statements(planned: Planned, address: str, argument: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(planned.resource(address, unit="deploy")[argument])["Statement"]
    return found


def test_objects_are_encrypted_with_the_key_that_is_given(planned: Planned) -> None:
    (rule,) = planned.resource("aws_s3_bucket_server_side_encryption_configuration.this", unit="store")["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert (default["sse_algorithm"], default["kms_master_key_id"], rule["bucket_key_enabled"]) == (
        "aws:kms",
        KEY,
        True,
    )


def test_a_store_with_anything_in_it_is_not_destroyed(planned: Planned) -> None:
    planned.assert_resource("aws_s3_bucket.this", unit="store", force_destroy=False)


def test_jobs_of_gitlab_are_known_by_project_and_branch(planned: Planned) -> None:
    (statement,) = statements(planned, "aws_iam_role.this", "assume_role_policy")
    assert statement["Condition"] == {
        "StringEquals": {
            "gitlab.example.com:aud": "https://gitlab.example.com",
            "gitlab.example.com:sub": [
                "project_path:acme/web/shop:ref_type:branch:ref:main",
                "project_path:acme/web/shop:ref_type:branch:ref:release/2.0",
            ],
        }
    }
    planned.assert_resource(
        "aws_iam_openid_connect_provider.this[0]",
        unit="deploy",
        url="https://gitlab.example.com",
        client_id_list=["https://gitlab.example.com"],
    )


def test_a_role_that_reads_writes_nothing_and_uses_the_key_through_s3_alone(planned: Planned) -> None:
    listing, reading, key = statements(planned, "aws_iam_role_policy.artifacts", "policy")
    assert (listing["Action"], reading["Action"], key["Action"]) == (
        ["s3:ListBucket"],
        ["s3:GetObject"],
        ["kms:Decrypt"],
    )
    assert (key["Resource"], key["Condition"]) == ([KEY], {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}})


def test_a_role_has_its_boundary_and_its_time(planned: Planned) -> None:
    planned.assert_resource(
        "aws_iam_role.this", unit="deploy", permissions_boundary=BOUNDARY, max_session_duration=7200
    )


@pytest.mark.parametrize("output", ["name", "arn", "kms_key_arn"])
def test_what_a_store_is_called_is_known_before_it_is_there(planned: Planned, output: str) -> None:
    assert isinstance(planned.outputs["store"][output], str)


@pytest.fixture
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server.start_for_run(tmp_path_factory.mktemp("emulator")) as running:
        yield running.url


def test_a_role_that_nobody_could_take_is_refused(
    tmp_path: Path, bare_environment: dict[str, str], emulator: str
) -> None:
    artifacts = 'artifact_bucket_arn = "arn:aws:s3:::acme-artifacts"\n  artifact_prefix = "builds/"'
    block = 'module "{0}" {{\n  source = "{1}/modules/ci_role"\n  name = "{0}"\n  {2}\n  {3}\n}}\n'
    shop = 'repository = "acme/shop"\n  '
    wrong = {
        "nobody": shop,
        "environment": f'{shop}host = "gitlab"\n  branches = ["main"]\n  environments = ["production"]',
        "group": 'repository = "acme/web/shop"\n  branches = ["main"]',
    }
    text = "".join(block.format(name, ROOT, artifacts, more) for name, more in wrong.items())
    (tmp_path / "main.tf").write_text(text)
    run = {
        "cwd": tmp_path,
        "env": {**bare_environment, "AWS_ENDPOINT_URL": emulator},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "timeout": 120,
    }
    subprocess.run(["terraform", "init", "-input=false"], **run, check=True)
    done = subprocess.run(["terraform", "plan", "-input=false", "-no-color"], **run, check=False)
    told = re.sub(r"\s*│?\s+", " ", done.stdout)
    assert "The role nobody needs at least one branch, or an environment of GitHub's" in told
    assert "A repository at GitHub is owner/name: nobody could take the role group for acme/web/shop." in told
    assert "GitLab's tokens do not say the environment where IAM looks: give environment branches" in told
