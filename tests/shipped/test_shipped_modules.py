"""What the READMEs of the shipped modules promise, asked of the emulated AWS that real Terraform applied them to."""

from __future__ import annotations

import base64
import fnmatch
import ipaddress
import json
import logging
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import World

from infra_orch.process import Supervisor
from infra_orch.project import StackFolder
from infra_orch.run.tasks import Context
from infra_orch.spec.load import load_stack

# A distributed run with --dist loadgroup keeps a group on one worker, so that the modules are applied once.
pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("shipped-modules")]


def subnets(world: World, output: str) -> list[dict[str, Any]]:
    """The subnets that an output names, in its order."""
    names = world.outputs["network"][output]
    found = {one["SubnetId"]: one for one in world.ask("ec2").describe_subnets(SubnetIds=names)["Subnets"]}
    return [found[name] for name in names]


def routes(world: World, subnet: str) -> dict[str, str]:
    """Where packets of a subnet go: destination -> gateway."""
    where = [{"Name": "association.subnet-id", "Values": [subnet]}]
    (table,) = world.ask("ec2").describe_route_tables(Filters=where)["RouteTables"]
    return {one["DestinationCidrBlock"]: one.get("GatewayId", one.get("NatGatewayId")) for one in table["Routes"]}


def template(world: World) -> dict[str, Any]:
    """What the servers are made from."""
    name = world.outputs["web"]["launch_template_id"]
    asked = world.ask("ec2").describe_launch_template_versions(LaunchTemplateId=name, Versions=["$Default"])
    data: dict[str, Any] = asked["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def servers(world: World) -> list[dict[str, Any]]:
    """The servers of the group."""
    name = world.outputs["web"]["group_name"]
    asked = world.ask("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    members = [one["InstanceId"] for one in asked["AutoScalingGroups"][0]["Instances"]]
    found = world.ask("ec2").describe_instances(InstanceIds=members)["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


def security_group(world: World) -> dict[str, Any]:
    name = world.outputs["web"]["security_group_id"]
    found: dict[str, Any] = world.ask("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"][0]
    return found


def alarms(world: World) -> list[dict[str, Any]]:
    names = world.outputs["alerts"]["alarm_names"]
    found: list[dict[str, Any]] = world.ask("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return found


def topic(world: World) -> dict[str, str]:
    found: dict[str, str] = world.ask("sns").get_topic_attributes(TopicArn=world.outputs["alerts"]["topic_arn"])[
        "Attributes"
    ]
    return found


def test_a_second_plan_has_nothing_to_do(world: World) -> None:
    world.terraform("plan", "-input=false", "-detailed-exitcode", expect=0)


# network


def test_every_zone_has_a_private_and_a_public_subnet(world: World) -> None:
    zones = world.outputs["network"]["zones"]
    private, public = subnets(world, "subnet_ids"), subnets(world, "public_subnet_ids")
    assert [one["AvailabilityZone"] for one in private] == [one["AvailabilityZone"] for one in public] == zones


def test_subnets_lie_in_the_network_and_do_not_overlap(world: World) -> None:
    whole = ipaddress.ip_network(world.outputs["network"]["cidr_block"])
    found = [*subnets(world, "subnet_ids"), *subnets(world, "public_subnet_ids")]
    blocks = [ipaddress.ip_network(one["CidrBlock"]) for one in found]
    assert all(block.subnet_of(whole) for block in blocks)
    assert not any(one.overlaps(other) for one in blocks for other in blocks if one is not other)


def test_private_subnets_have_no_way_out(world: World) -> None:
    found = [routes(world, one["SubnetId"]) for one in subnets(world, "subnet_ids")]
    assert {destination for table in found for destination in table} == {world.outputs["network"]["cidr_block"]}


def test_public_subnets_have_a_route_to_the_internet(world: World) -> None:
    found = [routes(world, one["SubnetId"]) for one in subnets(world, "public_subnet_ids")]
    (gateway,) = {table["0.0.0.0/0"] for table in found}
    (described,) = world.ask("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    assert [one["VpcId"] for one in described["Attachments"]] == [world.outputs["network"]["vpc_id"]]


def test_no_subnet_gives_public_addresses(world: World) -> None:
    found = [*subnets(world, "subnet_ids"), *subnets(world, "public_subnet_ids")]
    assert [one["SubnetId"] for one in found if one["MapPublicIpOnLaunch"]] == []


def test_the_default_security_group_lets_nothing_through(world: World) -> None:
    where = {"vpc-id": world.outputs["network"]["vpc_id"], "group-name": "default"}
    filters = [{"Name": name, "Values": [value]} for name, value in where.items()]
    (found,) = world.ask("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])


@pytest.mark.parametrize("attribute", ["enableDnsSupport", "enableDnsHostnames"])
def test_names_are_resolved_in_the_network(world: World, attribute: str) -> None:
    network = world.outputs["network"]["vpc_id"]
    found = world.ask("ec2").describe_vpc_attribute(VpcId=network, Attribute=attribute)
    assert found[attribute[0].upper() + attribute[1:]]["Value"]


def test_a_zone_more_leaves_the_other_subnets_alone(planned: dict[str, dict[str, Any]]) -> None:
    touched = {address: one["actions"] for address, one in planned.items() if ".aws_subnet." in address}
    assert set(map(tuple, touched.values())) == {("create",)}
    assert {address.split("[")[0].rsplit(".", 1)[1] for address in touched} == {"private", "public"}


def test_more_zones_than_the_region_has_are_refused_with_their_names(world: World) -> None:
    printed = world.terraform("plan", "-input=false", "-refresh=false", "-no-color", "-var=zone_count=4", expect=1)
    known = [one["ZoneName"] for one in world.ask("ec2").describe_availability_zones()["AvailabilityZones"]]
    assert ", ".join(sorted(known)) in re.sub(r"\s*│?\s+", " ", printed)


def test_the_way_out_of_private_subnets_is_one_nat_gateway_in_the_first_zone(
    world: World, planned: dict[str, dict[str, Any]]
) -> None:
    gateways = [one["after"] for address, one in planned.items() if ".aws_nat_gateway." in address]
    routes_out = [one["after"] for address, one in planned.items() if ".aws_route." in address]
    private = [{"Name": "association.subnet-id", "Values": world.outputs["network"]["subnet_ids"]}]
    (table,) = world.ask("ec2").describe_route_tables(Filters=private)["RouteTables"]
    assert [one["subnet_id"] for one in gateways] == world.outputs["network"]["public_subnet_ids"][:1]
    assert [(one["route_table_id"], one["destination_cidr_block"]) for one in routes_out] == [
        (table["RouteTableId"], "0.0.0.0/0")
    ]


# web_servers


def test_as_many_servers_run_as_asked_for(world: World) -> None:
    assert [one["State"]["Name"] for one in servers(world)] == ["running"] * world.outputs["web"]["server_count"]


def test_servers_are_in_the_private_subnets(world: World) -> None:
    assert {one["SubnetId"] for one in servers(world)} <= set(world.outputs["network"]["subnet_ids"])


def test_no_server_has_a_public_address(world: World) -> None:
    assert [one["PublicIpAddress"] for one in servers(world) if one.get("PublicIpAddress")] == []


def test_servers_ask_for_no_public_address(world: World) -> None:
    assert [one["AssociatePublicIpAddress"] for one in template(world)["NetworkInterfaces"]] == [False]


def test_the_metadata_service_demands_a_token_and_answers_no_container(world: World) -> None:
    options = template(world)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_the_root_volume_is_encrypted_and_goes_with_its_server(world: World) -> None:
    image = world.ask("ec2").describe_images(ImageIds=[world.outputs["web"]["ami_id"]])["Images"][0]
    (disk,) = template(world)["BlockDeviceMappings"]
    assert disk["DeviceName"] == image["RootDeviceName"]
    assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["DeleteOnTermination"]) == (True, True)


def test_servers_have_no_role_and_no_key(world: World) -> None:
    assert {"IamInstanceProfile", "KeyName"} & set(template(world)) == set()


def test_only_the_port_is_open_and_only_to_whom_it_was_asked_for(world: World) -> None:
    (rule,) = security_group(world)["IpPermissions"]
    port = world.outputs["web"]["port"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", port, port)
    assert [one["CidrIp"] for one in rule["IpRanges"]] == [world.outputs["network"]["cidr_block"]]
    assert (rule["Ipv6Ranges"], rule["UserIdGroupPairs"], rule["PrefixListIds"]) == ([], [], [])


def test_servers_reach_nothing_unless_asked_for(world: World) -> None:
    assert security_group(world)["IpPermissionsEgress"] == []


def test_servers_get_their_security_group_and_no_other(world: World) -> None:
    cards = template(world)["NetworkInterfaces"]
    assert [one["Groups"] for one in cards] == [[world.outputs["web"]["security_group_id"]]]


def test_the_image_fits_the_instance_type(world: World) -> None:
    image = world.ask("ec2").describe_images(ImageIds=[world.outputs["web"]["ami_id"]])["Images"][0]
    kind = world.ask("ec2").describe_instance_types(InstanceTypes=[template(world)["InstanceType"]])["InstanceTypes"][0]
    assert image["Architecture"] in kind["ProcessorInfo"]["SupportedArchitectures"]


def test_default_tags_are_on_servers(world: World) -> None:
    network = world.ask("ec2").describe_vpcs(VpcIds=[world.outputs["network"]["vpc_id"]])["Vpcs"][0]
    tags = {(one["Key"], one["Value"]) for one in network["Tags"] if one["Key"] != "Name"}
    assert tags
    assert all(tags <= {(tag["Key"], tag["Value"]) for tag in one["Tags"]} for one in servers(world))


def test_servers_and_volumes_are_tagged_alike(world: World) -> None:
    kinds = {one["ResourceType"]: one["Tags"] for one in template(world)["TagSpecifications"]}
    volume = {(tag["Key"], tag["Value"]) for tag in kinds["volume"]}
    assert all(volume <= {(tag["Key"], tag["Value"]) for tag in one["Tags"]} for one in servers(world))


def test_another_page_makes_a_new_group_before_the_old_one_goes(planned: dict[str, dict[str, Any]]) -> None:
    kinds = ("aws_autoscaling_group", "aws_launch_template")
    replaced = {address: one["actions"] for address, one in planned.items() if address.split(".")[-2] in kinds}
    assert list(replaced.values()) == [["create", "delete"]] * len(kinds)


def test_the_page_server_shows_the_page_and_says_that_it_is_well(world: World, tmp_path: Path) -> None:
    configuration = yaml.safe_load(base64.b64decode(template(world)["UserData"]))
    for file in configuration["write_files"]:
        target = tmp_path / file["path"].removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file["content"], encoding="utf-8")
    unit = next(file["content"] for file in configuration["write_files"] if file["path"].endswith(".service"))
    start = re.search(r"^ExecStart=/usr/bin/python3 (.*)$", unit, re.MULTILINE)
    assert start
    port = str(world.outputs["web"]["port"])
    here = [f"{tmp_path}{word}" if word.startswith("/") else "0" if word == port else word for word in start[1].split()]
    with subprocess.Popen([sys.executable, "-u", *here], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            address = re.search(rb"port (\d+)", server.stdout.readline())
            assert address
            answers = [fetch(f"http://127.0.0.1:{int(address[1])}{path}") for path in ("/", health_path(world))]
        finally:
            server.kill()
    assert answers[0] == (200, world.outputs["page"])
    assert answers[1][0] == 200


def health_path(world: World) -> str:
    path: str = world.outputs["web"]["health_path"]
    return path


def fetch(address: str) -> tuple[int, str]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=10) as answer:
        return answer.status, answer.read().decode()


# alerts


def test_every_alarm_watches_the_group_and_tells_the_topic_of_trouble_and_of_its_end(world: World) -> None:
    arn, group = world.outputs["alerts"]["topic_arn"], world.outputs["web"]["group_name"]
    assert {one["MetricName"] for one in alarms(world)} == {"CPUUtilization", "StatusCheckFailed"}
    for one in alarms(world):
        assert (one["AlarmActions"], one["OKActions"], one["ActionsEnabled"]) == ([arn], [arn], True)
        assert one["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": group}]


def test_alarms_may_publish_to_the_topic(world: World) -> None:
    (allowed,) = [one for one in json.loads(topic(world)["Policy"])["Statement"] if one["Effect"] == "Allow"]
    pattern = allowed["Condition"]["ArnLike"]["aws:SourceArn"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert all(fnmatch.fnmatchcase(one["AlarmArn"], pattern) for one in alarms(world))


def test_an_alarm_of_another_name_may_not_publish(world: World) -> None:
    policy = json.loads(topic(world)["Policy"])["Statement"]
    patterns = [one["Condition"]["ArnLike"]["aws:SourceArn"] for one in policy if one["Effect"] == "Allow"]
    stranger = alarms(world)[0]["AlarmArn"].rsplit(":", 1)[0] + ":stranger"
    assert not any(fnmatch.fnmatchcase(stranger, pattern) for pattern in patterns)


def test_the_topic_is_encrypted_with_a_key_that_rotates_and_that_alarms_may_use(world: World) -> None:
    key, kms = topic(world)["KmsMasterKeyId"], world.ask("kms")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
    (alarms_may,) = [one["Action"] for one in policy if one["Principal"] == {"Service": "cloudwatch.amazonaws.com"}]
    assert sorted(alarms_may) == ["kms:Decrypt", "kms:GenerateDataKey*"]


def test_the_address_is_subscribed(world: World) -> None:
    arn = world.outputs["alerts"]["topic_arn"]
    found = world.ask("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in found] == [("email", "ops@example.com")]


# the smoke test of stacks/prod, on the modules that it is made of


@pytest.fixture
def context(world: World, tmp_path: Path) -> Context:
    """What the smoke test would be given in a run."""
    return Context(
        stack="prod",
        run_id="test",
        outputs=world.outputs,
        log=logging.getLogger("smoke_test"),
        deadline=None,
        environment=world.environment,
        folder=tmp_path,
        log_file=tmp_path / "log",
        supervisor=Supervisor(),
        task="smoke_test",
    )


@pytest.fixture
def opened_port(world: World) -> Iterator[int]:
    """A port that somebody opened to everybody by hand, for as long as the test runs."""
    group = world.outputs["web"]["security_group_id"]
    rule = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    world.ask("ec2").authorize_security_group_ingress(**rule)
    yield rule["FromPort"]
    world.ask("ec2").revoke_security_group_ingress(**rule)


def test_the_smoke_test_finds_what_is_there(world: World, context: Context, shipped: StackFolder) -> None:
    (smoke_test,) = load_stack(shipped).tasks
    assert smoke_test(context) == {
        "servers": sorted(one["InstanceId"] for one in servers(world)),
        "image": world.outputs["web"]["ami_id"],
        "alarms": world.outputs["alerts"]["alarm_names"],
    }


def test_the_smoke_test_fails_where_a_port_was_opened_by_hand(
    context: Context, shipped: StackFolder, opened_port: int
) -> None:
    (smoke_test,) = load_stack(shipped).tasks
    with pytest.raises(AssertionError, match=rf"lets in the ports .*\b{opened_port}\b"):
        smoke_test(context)


def test_the_smoke_test_fails_where_an_alarm_is_switched_off(
    world: World, context: Context, shipped: StackFolder
) -> None:
    (smoke_test,) = load_stack(shipped).tasks
    name = world.outputs["alerts"]["alarm_names"][0]
    world.ask("cloudwatch").disable_alarm_actions(AlarmNames=[name])
    try:
        with pytest.raises(AssertionError, match=f"{name} is switched off"):
            smoke_test(context)
    finally:
        world.ask("cloudwatch").enable_alarm_actions(AlarmNames=[name])


@pytest.mark.usefixtures("opened_port")
def test_a_rule_added_by_hand_is_removed_by_the_next_apply(world: World) -> None:
    printed = world.terraform("plan", "-input=false", "-no-color", "-detailed-exitcode", expect=2)
    assert "module.web.aws_security_group.this will be updated" in printed


# This is the last one: nothing is there any more afterwards.
def test_a_destroy_leaves_nothing(world: World) -> None:
    world.terraform("destroy", "-input=false", "-auto-approve")
    assert world.inventory() == world.empty
