"""The real AWS provider, of protocol 5, does through the gateway what it does without, each in an account of its own.

The accounts are emulated. DIFFERENTIAL=whole does more, with every engine that there is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from two_ways import WHOLE, Did, Way, both, differences

from infra_orch.engine.engine import Engine
from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.gateway.client import Gateway
from infra_orch.sandbox import server
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment

AWS = "registry.terraform.io/hashicorp/aws"
HEAD = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}
provider "aws" {
  alias                       = "usa"
  region                      = "us-west-2"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
}
"""
REGIONS = (
    HEAD
    + """
resource "aws_sns_topic" "here" {
  name = "alerts"
  tags = { where = "here" }
}
resource "aws_sns_topic" "there" {
  provider = aws.usa
  name     = "alerts"
  tags     = { where = "there" }
}
data "aws_region" "there" {
  provider = aws.usa
}
output "regions" {
  value = [data.aws_region.there.name, provider::aws::arn_parse(aws_sns_topic.here.arn).region]
}
"""
)
SECRETS = """
resource "aws_ssm_parameter" "secret" {
  name             = "/secret"
  type             = "SecureString"
  value_wo         = "correct-horse"
  value_wo_version = 1
}
ephemeral "aws_ssm_parameter" "secret" {
  arn = aws_ssm_parameter.secret.arn
}
resource "aws_ssm_parameter" "copy" {
  provider         = aws.usa
  name             = "/copy"
  type             = "SecureString"
  value_wo         = "copy of ${ephemeral.aws_ssm_parameter.secret.value}"
  value_wo_version = 1
}
"""

pytestmark = pytest.mark.aws


@dataclass(frozen=True)
class Account:
    """An emulated account, empty at first, and the way in which it is worked on."""

    way: Way
    url: str

    def client(self, service: str, region: str) -> Any:
        """A client of the account."""
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, region, endpoint_url=self.url, config=Config(proxies={}), **keys)

    def topics(self) -> dict[str, dict[str, str]]:
        """The tags of the topics that there are, by ARN, in both regions."""
        found = {}
        for region in ("eu-west-1", "us-west-2"):
            client = self.client("sns", region)
            for topic in client.list_topics()["Topics"]:
                tags = client.list_tags_for_resource(ResourceArn=topic["TopicArn"])["Tags"]
                found[topic["TopicArn"]] = {tag["Key"]: tag["Value"] for tag in tags}
        return found

    def secrets(self) -> dict[str, str]:
        """What the parameters of the two regions are."""
        found = {}
        for region in ("eu-west-1", "us-west-2"):
            listed = self.client("ssm", region).get_parameters_by_path(Path="/", WithDecryption=True)["Parameters"]
            found |= {parameter["Name"]: parameter["Value"] for parameter in listed}
        return found


@pytest.fixture(scope="session")
def aws_configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLI configuration that has the AWS provider from this machine."""
    for mirror in find_mirrors(os.environ):
        if AWS in providers_in(mirror):
            path = tmp_path_factory.mktemp("aws") / "cli.tfrc"
            path.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
            return path
    pytest.skip(f"no provider mirror with {AWS} on this machine; INFRA_ORCH_PROVIDER_MIRROR names one")


@dataclass(frozen=True)
class Lived:
    """What was done, and the topics and secrets that there were at its height."""

    did: list[Did]
    topics: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, str]


@contextlib.contextmanager
def opened(configuration: Path, engine: Engine, gateway: Gateway, folder: Path) -> Iterator[tuple[Account, Account]]:
    """Two accounts: one for bare Terraform, one for what goes through the gateway."""
    with contextlib.ExitStack() as stack:
        found = []
        for name, through in (("bare", None), ("through", gateway)):
            url = stack.enter_context(server.start_for_run(folder / f"{name}-emulator")).url
            own = {
                "PATH": os.environ["PATH"],
                "GOGC": os.environ["GOGC"],
                "HOME": str(folder),
                "CHECKPOINT_DISABLE": "1",
            }
            environment = apply_redirect(own, sandbox_environment(url)) | {"TF_CLI_CONFIG_FILE": str(configuration)}
            found.append(Account(Way(engine, environment, folder / name, through), url))
        bare, through = found
        yield bare, through


def live(account: Account, begun: str, then: str) -> list[Did]:
    """Apply what is there at first, then what is there then; plan again, destroy."""
    folder = account.way.folder("unit")
    did = []
    for configuration in (begun, then) if begun else (then,):
        did.append(folder.write(configuration).plan())
        if did[-1].code == 2:
            did.append(folder.apply())
    return [*did, folder.plan(), *folder.destroy()]


@pytest.fixture(scope="module")
def lived(
    aws_configuration: Path, engines: Mapping[str, Engine], gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lived, Lived]]:
    """Topics and secrets in two regions, planned, applied, planned again and destroyed: bare, and through the gateway."""

    def act(account: Account) -> Lived:
        folder = account.way.folder("unit").write(REGIONS + SECRETS)
        did = [folder.plan(), folder.apply()]
        topics, secrets = account.topics(), account.secrets()
        return Lived([*did, folder.plan(), *folder.destroy()], topics, secrets)

    engine = next(iter(engines.values()))
    with opened(aws_configuration, engine, gateway, tmp_path_factory.mktemp("aws")) as (bare, through):
        done, other = both(lambda: act(bare), lambda: act(through))
        yield done, other


def test_what_is_done_through_the_gateway_is_what_is_done_without(lived: tuple[Lived, Lived]) -> None:
    bare, through = lived
    found = differences(bare.did, through.did)
    assert not found, found
    assert [did.code for did in through.did] == [2, 0, 0, 2, 0]


def test_topics_of_equal_names_are_each_in_the_region_of_its_provider(lived: tuple[Lived, Lived]) -> None:
    _, through = lived
    where = {arn.split(":")[3]: tags["where"] for arn, tags in through.topics.items()}
    assert where == {"eu-west-1": "here", "us-west-2": "there"}


def test_what_is_in_no_plan_and_no_state_arrives(lived: tuple[Lived, Lived]) -> None:
    _, through = lived
    assert through.secrets == {"/secret": "correct-horse", "/copy": "copy of correct-horse"}


CASES = {
    "moved": (
        REGIONS,
        REGIONS.replace('"aws_sns_topic" "here"', '"aws_sns_topic" "renamed"').replace("topic.here", "topic.renamed")
        + "moved {\n  from = aws_sns_topic.here\n  to   = aws_sns_topic.renamed\n}\n",
    ),
    "removed": (
        REGIONS,
        HEAD + "removed {\n  from = aws_sns_topic.here\n  lifecycle {\n    destroy = false\n  }\n}\n",
    ),
    "imported": (
        "",
        HEAD
        + """
        import {
          to = aws_cloudwatch_log_group.this
          id = "/there/already"
        }
        resource "aws_cloudwatch_log_group" "this" {
          name              = "/there/already"
          retention_in_days = 7
        }
        """,
    ),
    "changed": (
        REGIONS,
        REGIONS.replace('name = "alerts"\n  tags = { where = "here" }', 'name = "alarms"\n  tags = { where = "now" }'),
    ),
    "many": (
        "",
        HEAD
        + """
        resource "aws_s3_bucket" "this" {
          for_each = toset(["one", "two", "three"])
          bucket   = "acme-${each.key}"
        }
        resource "aws_vpc" "there" {
          provider   = aws.usa
          cidr_block = "10.0.0.0/16"
        }
        """,
    ),
    "refused by the schema": ("", HEAD + 'resource "aws_sns_topic" "this" {\n  title = "x"\n}\n'),
    "refused by the provider": ("", HEAD + 'resource "aws_vpc" "this" {\n  cidr_block = "10.0.0.0/99"\n}\n'),
    "time-out": (
        "",
        HEAD
        + """
        resource "aws_dynamodb_table" "this" {
          name         = "table"
          billing_mode = "PAY_PER_REQUEST"
          hash_key     = "id"
          attribute {
            name = "id"
            type = "S"
          }
          timeouts {
            create = "1ns"
          }
        }
        """,
    ),
    "no such type": ("", HEAD + 'ephemeral "aws_ssm_paramter" "this" {}\n'),
    "no such function": ("", HEAD + 'output "this" {\n  value = provider::aws::arn_prase("x")\n}\n'),
    "no such region": ("", HEAD.replace("us-west-2", "us-wets-2") + REGIONS.removeprefix(HEAD)),
    "refused by the account": (
        "",
        HEAD
        + """
        resource "aws_s3_bucket" "this" {
          bucket = "acme-this"
        }
        resource "aws_subnet" "this" {
          vpc_id     = aws_s3_bucket.this.id
          cidr_block = "10.0.0.0/24"
        }
        """,
    ),
}


@pytest.mark.skipif(not WHOLE, reason="DIFFERENTIAL=whole does it")
@pytest.mark.parametrize("engine", ["terraform", "embedded"])
@pytest.mark.parametrize("name", CASES)
def test_whatever_is_done_is_what_is_done_without(
    name: str,
    engine: str,
    aws_configuration: Path,
    engines: Mapping[str, Engine],
    gateway: Gateway,
    tmp_path: Path,
) -> None:
    if engine not in engines:
        pytest.skip(f"there is no {engine} engine here")
    with opened(aws_configuration, engines[engine], gateway, tmp_path) as accounts:
        for account in accounts:
            account.client("logs", "eu-west-1").create_log_group(logGroupName="/there/already")
        done, other = both(*(lambda account=account: live(account, *CASES[name]) for account in accounts))
        found = differences(done, other)
    assert not found, found


@pytest.mark.skipif(not WHOLE, reason="DIFFERENTIAL=whole does it")
def test_an_apply_that_is_interrupted_ends_as_it_does_without(
    aws_configuration: Path, engines: Mapping[str, Engine], gateway: Gateway, tmp_path: Path
) -> None:
    # The provider waits until a queue's attributes have arrived everywhere.
    queue = 'resource "aws_sqs_queue" "this" {\n  name = "queue"\n}\n'

    def act(account: Account) -> list[Did]:
        folder = account.way.folder("unit").write(HEAD + queue)
        planned = folder.plan()
        # The provider forgets a stop that comes before the call which is to stop.
        interrupted = folder.apply(interrupted_at="aws_sqs_queue.this: Still creating...")
        return [planned, interrupted, *folder.destroy()]

    with opened(aws_configuration, next(iter(engines.values())), gateway, tmp_path) as accounts:
        done, other = both(*(lambda account=account: act(account) for account in accounts))
    found = differences(done, other)
    assert not found, found
    assert [did.code for did in other] == [2, 1, 2, 0]
