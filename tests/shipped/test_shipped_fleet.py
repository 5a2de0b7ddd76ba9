"""What stacks/fleet promises: of the whole of it by what it declares, and of a small one, applied in the sandbox."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Any

import pytest
from stack_code import ROOT, Desk, code

from infra_orch import Stack
from infra_orch.project import find_project
from infra_orch.spec.check import CheckedStack, check_stack
from infra_orch.spec.load import load_stack
from infra_orch.testing import Applied

pytestmark = [pytest.mark.aws, pytest.mark.usefixtures("aws")]

fleet = code("fleet", "stack")
REGIONS = [region.name for region in fleet.REGIONS]


@pytest.fixture(scope="module")
def whole() -> CheckedStack:
    """The fleet as it is shipped."""
    folder = find_project(ROOT).stack("fleet")
    return check_stack(load_stack(folder), folder)


@pytest.fixture(scope="module")
def stack() -> Stack:
    """A fleet as the shipped one, of two applications, one of them in one region alone."""
    applications = [
        fleet.Application("shop", servers=2),
        fleet.Application("reports", servers=1, port=9000, regions=REGIONS[:1]),
    ]
    made: Stack = fleet.fleet("small-fleet", fleet.REGIONS, applications)
    return made


def groups(applied: Applied, region: str) -> dict[str, dict[str, Any]]:
    """The Auto Scaling groups in a region, by the applications that they serve."""
    found = applied.client("autoscaling", region).describe_auto_scaling_groups()["AutoScalingGroups"]
    return {next(tag["Value"] for tag in group["Tags"] if tag["Key"] == "Name"): group for group in found}


def test_the_fleet_has_more_than_thirty_units_in_two_regions(whole: CheckedStack) -> None:
    places = Counter(one.unit.providers["aws"] for one in whole.units.values())
    assert set(places) == {f"aws.{region}" for region in REGIONS}
    assert places.total() > 30


def test_a_unit_can_be_chosen_by_its_region_and_its_application(whole: CheckedStack) -> None:
    for one in whole.units.values():
        region = one.unit.providers["aws"].removeprefix("aws.")
        applications = [tag for tag in one.unit.tags if tag.startswith("app:")]
        assert f"region:{region}" in one.unit.tags
        assert applications == (
            [f"app:{one.unit.name.removesuffix(f'-{region}')}"] if one.unit.module == "web_servers" else []
        )


def test_no_region_waits_for_another(whole: CheckedStack) -> None:
    for region in REGIONS:
        before = whole.graph.closure([f"check-{region}"], down=False)
        assert {name for name in before if not name.endswith(region)} == set()


def test_the_networks_of_regions_share_no_address(whole: CheckedStack) -> None:

    one, other = (ipaddress.ip_network(region.cidr_block) for region in fleet.REGIONS)
    assert not one.overlaps(other)


def test_every_application_has_its_servers_in_its_regions(applied: Applied) -> None:
    wanted = {REGIONS[0]: {"shop": 2, "reports": 1}, REGIONS[1]: {"shop": 2}}
    found = {
        region: {name: len(group["Instances"]) for name, group in groups(applied, region).items()} for region in REGIONS
    }
    assert found == wanted
    assert {region: applied.tasks[f"check-{region}"] for region in REGIONS} == wanted


@pytest.mark.parametrize("region", REGIONS)
def test_servers_are_in_their_regions_network_and_tagged_with_it(applied: Applied, region: str) -> None:
    ec2, network = applied.client("ec2", region), applied.outputs[f"network-{region}"]
    for group in groups(applied, region).values():
        assert set(group["VPCZoneIdentifier"].split(",")) == set(network["subnet_ids"])
        assert {"region": region, "stack": "small-fleet"}.items() <= {
            tag["Key"]: tag["Value"] for tag in group["Tags"]
        }.items()
    (vpc,) = ec2.describe_vpcs(VpcIds=[network["vpc_id"]])["Vpcs"]
    assert {"Key": "region", "Value": region} in vpc["Tags"]


@pytest.mark.parametrize("region", REGIONS)
def test_a_regions_alarms_watch_its_groups_and_tell_its_topic(applied: Applied, region: str) -> None:
    alarms = applied.client("cloudwatch", region).describe_alarms()["MetricAlarms"]
    topic = applied.outputs[f"alerts-{region}"]["topic_arn"]
    watched = {dimension["Value"] for alarm in alarms for dimension in alarm["Dimensions"]}
    assert watched == {group["AutoScalingGroupName"] for group in groups(applied, region).values()}
    assert {action for alarm in alarms for action in alarm["AlarmActions"]} == {topic}
    assert topic.split(":")[3] == region


def test_a_region_without_its_servers_is_found_and_the_other_one_is_well(applied: Applied, stack: Stack) -> None:
    checks = {task.name: task for task in stack.tasks}
    autoscaling, group = applied.client("autoscaling", REGIONS[0]), groups(applied, REGIONS[0])["shop"]
    name = group["AutoScalingGroupName"]
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, MaxSize=0, DesiredCapacity=0)
    try:
        with pytest.raises(AssertionError, match=f"in {REGIONS[0]} servers are missing: shop has 0 of 2"):
            checks[f"check-{REGIONS[0]}"](Desk(applied))
        assert checks[f"check-{REGIONS[1]}"](Desk(applied)) == {"shop": 2}
    finally:
        autoscaling.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=2, MaxSize=2, DesiredCapacity=2)
