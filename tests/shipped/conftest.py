"""An emulated AWS, and the shipped modules applied to it by plain Terraform, once for all tests of this folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.project import StackFolder, find_project

ROOT = Path(__file__).resolve().parents[2]
AWS = "registry.terraform.io/hashicorp/aws"

# Like stacks/prod, with a page that would break out of any careless quoting, and with what the tests vary.
ROOT_MODULE = r"""
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "eu-west-1"
  default_tags { tags = { cost-center = "1234" } }
}

variable "page" { default = "It's <b>\"quoted\"</b>: $${x} %%{y}\n  - ü: [\\]" }
variable "nat_gateway" { default = false }
variable "zone_count" { default = 2 }

module "network" {
  source      = "MODULES/network"
  name        = "shop"
  cidr_block  = "10.20.0.0/16"
  zone_count  = var.zone_count
  nat_gateway = var.nat_gateway
}

module "web" {
  source              = "MODULES/web_servers"
  name                = "${module.network.name}-web"
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids
  ingress_cidr_blocks = [module.network.cidr_block]
  page                = var.page
}

module "alerts" {
  source          = "MODULES/alerts"
  name            = "${module.network.name}-alerts"
  email_addresses = ["ops@example.com"]
  server_groups   = { web = module.web.group_name }
}

output "network" { value = module.network }
output "web" { value = module.web }
output "alerts" { value = module.alerts }
output "page" { value = var.page }
"""


@dataclass
class World:
    """A folder with a root module, the emulated account that it is applied to, and how to ask either."""

    folder: Path
    environment: Mapping[str, str]
    outputs: dict[str, Any] = field(default_factory=dict)
    empty: dict[str, list[str]] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def terraform(self, *arguments: str, expect: int = 0) -> str:
        """Run Terraform, check its exit code, and return what it printed (errors included)."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout

    def ask(self, service: str) -> Any:
        """A boto3 client of the emulated account."""
        if service not in self.clients:
            environment = self.environment
            self.clients[service] = boto3.session.Session(
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                region_name=environment["AWS_REGION"],
            ).client(service, endpoint_url=environment["AWS_ENDPOINT_URL"], config=Config(proxies={}))
        return self.clients[service]

    def inventory(self) -> dict[str, list[str]]:
        """The identifiers of everything in the account that costs something or lets something through."""
        ec2, alive = self.ask("ec2"), [{"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}]
        servers = ec2.describe_instances(Filters=alive)["Reservations"]
        keys = [self.ask("kms").describe_key(KeyId=one["KeyId"]) for one in self.ask("kms").list_keys()["Keys"]]
        # Made by AWS at the first use of a service, never deleted, free of charge.
        of_aws = [one for one in self.ask("kms").list_aliases()["Aliases"] if one["AliasName"].startswith("alias/aws/")]
        groups = self.ask("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        found = {
            "vpcs": [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]],
            "subnets": [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]],
            "internet gateways": [
                one["InternetGatewayId"] for one in ec2.describe_internet_gateways()["InternetGateways"]
            ],
            "route tables": [one["RouteTableId"] for one in ec2.describe_route_tables()["RouteTables"]],
            "security groups": [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]],
            "servers": [one["InstanceId"] for reservation in servers for one in reservation["Instances"]],
            "volumes": [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]],
            "templates": [one["LaunchTemplateId"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
            "groups": [one["AutoScalingGroupName"] for one in groups],
            "alarms": [one["AlarmName"] for one in self.ask("cloudwatch").describe_alarms()["MetricAlarms"]],
            "topics": [one["TopicArn"] for one in self.ask("sns").list_topics()["Topics"]],
            "subscriptions": [one["SubscriptionArn"] for one in self.ask("sns").list_subscriptions()["Subscriptions"]],
            "keys": [one["KeyMetadata"]["KeyId"] for one in keys if one["KeyMetadata"]["KeyState"] == "Enabled"],
        }
        found["keys"] = list(set(found["keys"]) - {one.get("TargetKeyId") for one in of_aws})
        return {kind: sorted(names) for kind, names in found.items()}


@pytest.fixture
def shipped(tmp_path: Path) -> StackFolder:
    """`stacks/prod` in a copy of the project that may be written to."""
    shutil.copytree(ROOT / "modules", tmp_path / "modules")
    (tmp_path / "stacks" / "prod").mkdir(parents=True)
    shutil.copy(ROOT / "stacks" / "prod" / "stack.py", tmp_path / "stacks" / "prod")
    return find_project(tmp_path).stack("prod")


@pytest.fixture(scope="session")
def bare_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Terraform needs and nothing else, with a provider mirror that holds the AWS provider."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not on PATH")
    mirrors = [mirror for mirror in find_mirrors(os.environ) if AWS in providers_in(mirror)]
    if not mirrors:
        pytest.skip(f"no provider mirror with {AWS} on this machine; INFRA_ORCH_PROVIDER_MIRROR names one")
    home = tmp_path_factory.mktemp("home")
    mirror = f'filesystem_mirror {{\n    path    = "{mirrors[0]}"\n    include = ["{AWS}"]\n  }}'
    (home / "terraform.rc").write_text(f"provider_installation {{\n  {mirror}\n}}\n")
    return {
        "PATH": os.environ["PATH"],
        "GOGC": os.environ["GOGC"],
        "HOME": str(home),
        "TF_CLI_CONFIG_FILE": str(home / "terraform.rc"),
        "CHECKPOINT_DISABLE": "1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "eu-west-1",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulated AWS."""
    log = tmp_path_factory.mktemp("emulator") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", "0"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield _address(log, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def world(bare_environment: dict[str, str], emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The three modules, applied. What they made goes with the emulator."""
    world = World(tmp_path_factory.mktemp("world"), {**bare_environment, "AWS_ENDPOINT_URL": emulator})
    (world.folder / "main.tf").write_text(ROOT_MODULE.replace("MODULES", str(ROOT / "modules")), encoding="utf-8")
    world.empty = world.inventory()
    world.terraform("init", "-input=false")
    world.terraform("apply", "-input=false", "-auto-approve")
    outputs = json.loads(world.terraform("output", "-json"))
    world.outputs = {name: output["value"] for name, output in outputs.items()}
    yield world
    for client in world.clients.values():
        client.close()


@pytest.fixture(scope="session")
def planned(world: World) -> dict[str, dict[str, Any]]:
    """What another page, a zone more and a way out for the private subnets would change: address -> planned change."""
    other = ["-var=page=Another page", "-var=zone_count=3", "-var=nat_gateway=true"]
    world.terraform("plan", "-input=false", "-out=other.tfplan", *other)
    changes = json.loads(world.terraform("show", "-json", "other.tfplan"))["resource_changes"]
    return {one["address"]: one["change"] for one in changes if one["change"]["actions"] not in (["no-op"], ["read"])}
