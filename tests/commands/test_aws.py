"""Stacks of the real AWS provider in the sandbox: what a spec says of providers is what happens in the account."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from conftest import Desk, Result

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("aws")]

CLOUD = {
    "modules/places/main.tf": """
        output "region" {
          value = "eu-west-1"
        }
    """,
    "modules/topics/main.tf": """
        terraform {
          required_providers {
            aws = {
              source                = "hashicorp/aws"
              configuration_aliases = [aws.replica, aws.audit]
            }
          }
        }

        variable "name" {
          type = string
        }

        resource "aws_sns_topic" "main" {
          name = var.name
        }

        resource "aws_sns_topic" "replica" {
          provider = aws.replica
          name     = var.name
        }

        resource "aws_sns_topic" "audit" {
          provider = aws.audit
          name     = var.name
        }

        output "arns" {
          value = {
            main    = aws_sns_topic.main.arn
            replica = aws_sns_topic.replica.arn
            audit   = aws_sns_topic.audit.arn
          }
        }
    """,
    "modules/beyond/main.tf": """
        data "aws_vpc_ipam" "this" {
          id = "ipam-0123456789abcdef0"
        }
    """,
    "stacks/cloud/stack.py": """
        from infra_orch import Provider, Stack, env

        stack = Stack("cloud")
        places = stack.unit("places", module="places")
        tags = {"tags": {"stack": "cloud", "owner": env("OWNER")}}
        aws = {"source": "hashicorp/aws", "version": "~> 5.0"}
        deploy, audit, chained = (
            {"role_arn": f"arn:aws:iam::{account}:role/{name}", "session_name": "infra-orch"}
            for account, name in (("111111111111", "deploy"), ("333333333333", "audit"), ("222222222222", "chained"))
        )
        stack.providers = [
            Provider("aws", **aws, region=places.outputs.region, default_tags=tags),
            Provider("aws", **aws, alias="usa", region="us-west-2", assume_role=[deploy, chained]),
            Provider("aws", **aws, alias="audit", region="eu-central-1", assume_role=audit),
        ]
        stack.unit("topics", module="topics", inputs={"name": "alerts"},
                   providers={"aws.replica": "aws.usa", "aws.audit": "aws.audit"})
        stack.unit("beyond", module="beyond")
    """,
}


@dataclass(frozen=True)
class Applied:
    """The stack `cloud`, applied once: what was said, and the emulated account that it is in."""

    desk: Desk
    said: Result
    url: str

    def client(self, service: str, region: str, **credentials: str) -> Any:
        """A client of the account, or of the one that *credentials* are of."""
        known = credentials or {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=Config(proxies={}), **known)

    def topics(self, region: str, *, account: str | None = None) -> list[str]:
        """The topics of a region, in our account or another one."""
        credentials: Mapping[str, str] = {}
        if account:
            sts = self.client("sts", region)
            role = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/look", RoleSessionName="look")["Credentials"]
            credentials = {
                "aws_access_key_id": role["AccessKeyId"],
                "aws_secret_access_key": role["SecretAccessKey"],
                "aws_session_token": role["SessionToken"],
            }
        found = self.client("sns", region, **credentials).list_topics()["Topics"]
        return [topic["TopicArn"] for topic in found]


@pytest.fixture(scope="module")
def owner() -> Iterator[str]:
    """What env("OWNER") reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWNER", "platform-team-7c1d")
        yield "platform-team-7c1d"


@pytest.fixture(scope="module")
def cloud(owner: str, lasting_desk: Desk, lasting_emulator: str, aws_mirror: str) -> Applied:
    """`cloud`, applied and committed in a kept sandbox."""
    desk = lasting_desk.write(CLOUD)
    desk.write({"infra-orch.toml": f'provider_mirror = "{aws_mirror}"\n', ".gitignore": "infra-orch.toml\n"})
    desk.commit()
    said = desk.run("apply", "cloud", "--sandbox", "--auto-approve", "--commit", "--json")
    return Applied(desk, said, lasting_emulator)


def test_each_configuration_that_a_module_asks_for_acts_in_its_own_region_and_account(cloud: Applied) -> None:
    assert cloud.topics("eu-west-1") == ["arn:aws:sns:eu-west-1:123456789012:alerts"]
    assert cloud.topics("us-west-2", account="222222222222") == ["arn:aws:sns:us-west-2:222222222222:alerts"]
    assert cloud.topics("eu-central-1", account="333333333333") == ["arn:aws:sns:eu-central-1:333333333333:alerts"]
    assert cloud.topics("us-west-2") == cloud.topics("eu-central-1") == []


def test_default_tags_are_on_the_resource_with_values_of_the_environment(cloud: Applied, owner: str) -> None:
    (topic,) = cloud.topics("eu-west-1")
    tags = cloud.client("sns", "eu-west-1").list_tags_for_resource(ResourceArn=topic)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"stack": "cloud", "owner": owner}


def test_values_of_the_environment_stay_out_of_git_and_of_what_is_said(cloud: Applied, owner: str) -> None:
    desk = cloud.desk
    assert owner not in cloud.said.out + cloud.said.err
    assert desk.git("log", "--all", "-p", "-S", owner) == ""


def test_what_the_emulator_cannot_do_is_told_in_a_sentence_and_stops_nothing_else(cloud: Applied) -> None:
    units = json.loads(cloud.said.out)["units"]
    assert cloud.said.code == 1
    assert [units[name]["status"] for name in ("places", "topics", "beyond")] == ["applied", "applied", "failed"]
    error = units["beyond"]["error"]
    assert error["kind"] == "emulator"
    assert error["summary"].startswith("EC2 DescribeIpams is not emulated")


def test_the_lock_file_is_committed_beside_the_render(cloud: Applied) -> None:
    files = cloud.desk.git("ls-tree", "-r", "--name-only", "HEAD", "stacks/cloud/rendered/topics").splitlines()
    assert "stacks/cloud/rendered/topics/.terraform.lock.hcl" in files
    assert cloud.desk.git("status", "--porcelain") == ""


SMALL = {
    "modules/topic/main.tf": """
        variable "name" {
          type = string
        }

        resource "aws_sns_topic" "this" {
          name = var.name
        }
    """,
    "stacks/small/stack.py": """
        from infra_orch import Provider, S3Backend, Stack

        stack = Stack(
            "small",
            backend=S3Backend(bucket="of-the-real-account", region="eu-west-1"),
            providers=[Provider("aws", source="hashicorp/aws", region="eu-west-1", profile="production")],
        )
        stack.unit("topic", module="topic", inputs={"name": "alerts"})
    """,
}


def test_a_stack_is_rehearsed_whole_without_a_word_about_its_account(
    desk: Desk, aws_mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFRA_ORCH_PROVIDER_MIRROR", aws_mirror)
    desk.write(SMALL).commit()
    done = desk.run("sandbox", "rehearse", "small")
    assert done.code == 0, done.out + done.err
    assert "applied, planned again with no changes, destroyed, nothing is left" in done.err
    runs = [json.loads(path.read_text()) for path in sorted(desk.root.glob(".infra-orch/runs/*/run.json"))]
    started = {run["command"]: run["gateway"]["providers_started"] for run in runs}
    assert started["destroy"] < started["apply"]  # it works with those that the plan before it had
    left = desk.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert {line.split("/rendered/")[0] for line in left} == {"?? stacks/small"}
    assert not [line for line in left if line.endswith(".terraform.lock.hcl")]
    assert list((desk.root / ".infra-orch" / "sandbox-state").iterdir()) == []
