"""What a plan does its work with, which its changes do not say."""

from __future__ import annotations

from typing import Any

from infra_orch.run.changes import PlanDocument


def means(region: str = "eu-west-1", version: str = "~> 5.0", *provisioners: dict[str, Any]) -> str:
    aws = {"name": "aws", "version_constraint": version, "expressions": {"region": {"constant_value": region}}}
    resource = {"address": "aws_instance.it", "provisioners": list(provisioners)}
    inner = {"module": {"resources": [resource] if provisioners else []}}
    root = {"module_calls": {"web": {"module": {"module_calls": {"inner": inner}}}}}
    return PlanDocument({"configuration": {"provider_config": {"aws": aws}, "root_module": root}}).means()


RUNS = {"type": "local-exec", "expressions": {"command": {"constant_value": "true"}}}
OTHER = {"type": "local-exec", "expressions": {"command": {"constant_value": "false"}}}


def test_another_region_is_another_means_and_another_constraint_of_versions_is_not():
    assert means("us-east-1") != means()
    assert means(version="~> 5.1") == means()


def test_a_provisioner_is_seen_in_modules_of_modules():
    assert len({means(), means("eu-west-1", "~> 5.0", RUNS), means("eu-west-1", "~> 5.0", OTHER)}) == 3


def test_a_plan_without_a_configuration_has_none():
    assert PlanDocument({}).means() == PlanDocument({"configuration": {}}).means()
