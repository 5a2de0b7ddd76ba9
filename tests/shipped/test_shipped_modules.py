"""What the READMEs of the shipped modules promise, asked of the emulated AWS that a stack of them is applied to."""

from __future__ import annotations

import base64
import fnmatch
import ipaddress
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra_orch import Provider, Stack
from infra_orch.project import find_project
from infra_orch.spec.load import load_stack
from infra_orch.testing import Applied, Planned, RunFailedError

# A distributed run with --dist loadgroup keeps a group on one worker, so that the modules are applied once.
pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("shipped-modules")]

ROOT = Path(__file__).resolve().parents[2]
PAGE = 'It\'s <b>"quoted"</b>: ${x} %{y}\n  - ü: [\\]'
"""A page that would break out of any careless quoting."""


ALARM = {"AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "MetricName", "Namespace"}
ALARM |= {"Statistic", "Dimensions", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator"}
ALARM |= {"TreatMissingData"}
"""What an alarm is made of."""


@pytest.fixture(scope="module")
def stack(bare_environment: dict[str, str]) -> Iterator[Stack]:
    """Like stacks/prod, with its smoke test, and with what the tests vary."""
    tags = {"tags": {"cost-center": "1234"}}
    stack = Stack("shop", providers=[Provider("aws", source="hashicorp/aws", region="eu-west-1", default_tags=tags)])
    network = stack.unit("network", module="network", inputs={"name": "shop", "cidr_block": "10.20.0.0/16"})
    web = stack.unit(
        "web",
        module="web_servers",
        inputs={
            "name": f"{network.outputs.name}-web",
            "vpc_id": network.outputs.vpc_id,
            "subnet_ids": network.outputs.subnet_ids,
            "ingress_cidr_blocks": [network.outputs.cidr_block],
            "page": PAGE,
        },
    )
    alerts = stack.unit(
        "alerts",
        module="alerts",
        inputs={
            "name": f"{network.outputs.name}-alerts",
            "email_addresses": ["ops@example.com"],
            "server_groups": {"web": web.outputs.group_name},
        },
    )
    (smoke_test,) = load_stack(find_project(ROOT).stack("prod")).tasks
    stack.task(name="smoke_test", after=[network, web, alerts])(smoke_test.function)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_CACHE_HOME", raising=False)
        for name in ("HOME", "TF_CLI_CONFIG_FILE"):
            patch.setenv(name, bare_environment[name])
        yield stack


@pytest.fixture(scope="module")
def changed(applied: Applied) -> Planned:
    """What another page, a zone more and a way out for the private subnets would change."""
    network = {"zone_count": 3, "nat_gateway": True}
    return applied.plan_again({"web": {"page": "Another page"}, "network": network})


def subnets(applied: Applied, output: str) -> list[dict[str, Any]]:
    """The subnets that an output names, in its order."""
    names = applied.outputs["network"][output]
    found = {one["SubnetId"]: one for one in applied.client("ec2").describe_subnets(SubnetIds=names)["Subnets"]}
    return [found[name] for name in names]


def routes(applied: Applied, subnet: str) -> dict[str, str]:
    """Where packets of a subnet go: destination -> gateway."""
    where = [{"Name": "association.subnet-id", "Values": [subnet]}]
    (table,) = applied.client("ec2").describe_route_tables(Filters=where)["RouteTables"]
    return {one["DestinationCidrBlock"]: one.get("GatewayId", one.get("NatGatewayId")) for one in table["Routes"]}


def template(applied: Applied) -> dict[str, Any]:
    """What the servers are made from."""
    name = applied.outputs["web"]["launch_template_id"]
    asked = applied.client("ec2").describe_launch_template_versions(LaunchTemplateId=name, Versions=["$Default"])
    data: dict[str, Any] = asked["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def servers(applied: Applied) -> list[dict[str, Any]]:
    """The servers of the group."""
    name = applied.outputs["web"]["group_name"]
    asked = applied.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    members = [one["InstanceId"] for one in asked["AutoScalingGroups"][0]["Instances"]]
    found = applied.client("ec2").describe_instances(InstanceIds=members)["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


def security_group(applied: Applied) -> dict[str, Any]:
    name = applied.outputs["web"]["security_group_id"]
    found: dict[str, Any] = applied.client("ec2").describe_security_groups(GroupIds=[name])["SecurityGroups"][0]
    return found


def alarms(applied: Applied) -> list[dict[str, Any]]:
    names = applied.outputs["alerts"]["alarm_names"]
    found: list[dict[str, Any]] = applied.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return found


def topic(applied: Applied) -> dict[str, str]:
    found: dict[str, str] = applied.client("sns").get_topic_attributes(TopicArn=applied.outputs["alerts"]["topic_arn"])[
        "Attributes"
    ]
    return found


def test_a_second_plan_has_nothing_to_do(applied: Applied) -> None:
    applied.assert_no_changes()


# network


def test_every_zone_has_a_private_and_a_public_subnet(applied: Applied) -> None:
    zones = applied.outputs["network"]["zones"]
    private, public = subnets(applied, "subnet_ids"), subnets(applied, "public_subnet_ids")
    assert [one["AvailabilityZone"] for one in private] == [one["AvailabilityZone"] for one in public] == zones


def test_subnets_lie_in_the_network_and_do_not_overlap(applied: Applied) -> None:
    whole = ipaddress.ip_network(applied.outputs["network"]["cidr_block"])
    found = [*subnets(applied, "subnet_ids"), *subnets(applied, "public_subnet_ids")]
    blocks = [ipaddress.ip_network(one["CidrBlock"]) for one in found]
    assert all(block.subnet_of(whole) for block in blocks)
    assert not any(one.overlaps(other) for one in blocks for other in blocks if one is not other)


def test_private_subnets_have_no_way_out(applied: Applied) -> None:
    found = [routes(applied, one["SubnetId"]) for one in subnets(applied, "subnet_ids")]
    assert {destination for table in found for destination in table} == {applied.outputs["network"]["cidr_block"]}


def test_public_subnets_have_a_route_to_the_internet(applied: Applied) -> None:
    found = [routes(applied, one["SubnetId"]) for one in subnets(applied, "public_subnet_ids")]
    (gateway,) = {table["0.0.0.0/0"] for table in found}
    (described,) = applied.client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    assert [one["VpcId"] for one in described["Attachments"]] == [applied.outputs["network"]["vpc_id"]]


def test_no_subnet_gives_public_addresses(applied: Applied) -> None:
    found = [*subnets(applied, "subnet_ids"), *subnets(applied, "public_subnet_ids")]
    assert [one["SubnetId"] for one in found if one["MapPublicIpOnLaunch"]] == []


def test_the_default_security_group_lets_nothing_through(applied: Applied) -> None:
    where = {"vpc-id": applied.outputs["network"]["vpc_id"], "group-name": "default"}
    filters = [{"Name": name, "Values": [value]} for name, value in where.items()]
    (found,) = applied.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])


@pytest.mark.parametrize("attribute", ["enableDnsSupport", "enableDnsHostnames"])
def test_names_are_resolved_in_the_network(applied: Applied, attribute: str) -> None:
    network = applied.outputs["network"]["vpc_id"]
    found = applied.client("ec2").describe_vpc_attribute(VpcId=network, Attribute=attribute)
    assert found[attribute[0].upper() + attribute[1:]]["Value"]


def test_a_zone_more_leaves_the_other_subnets_alone(changed: Planned) -> None:
    touched = [one for one in changed.resources(type="aws_subnet") if one.action != "no-op"]
    assert {one.actions for one in touched} == {("create",)}
    assert {one.name for one in touched} == {"private", "public"}


def test_more_zones_than_the_region_has_are_refused_with_their_names(applied: Applied) -> None:
    known = [one["ZoneName"] for one in applied.client("ec2").describe_availability_zones()["AvailabilityZones"]]
    with pytest.raises(RunFailedError) as caught:
        applied.plan_again({"network": {"zone_count": 4}})
    assert ", ".join(sorted(known)) in re.sub(r"\s*│?\s+", " ", str(caught.value))


def test_the_way_out_of_private_subnets_is_one_nat_gateway_in_the_first_zone(
    applied: Applied, changed: Planned
) -> None:
    gateways = changed.resources(type="aws_nat_gateway", action="create")
    routes_out = changed.resources(type="aws_route", action="create")
    private = [{"Name": "association.subnet-id", "Values": applied.outputs["network"]["subnet_ids"]}]
    (table,) = applied.client("ec2").describe_route_tables(Filters=private)["RouteTables"]
    assert [one["subnet_id"] for one in gateways] == applied.outputs["network"]["public_subnet_ids"][:1]
    assert [(one["route_table_id"], one["destination_cidr_block"]) for one in routes_out] == [
        (table["RouteTableId"], "0.0.0.0/0")
    ]


# web_servers


def test_as_many_servers_run_as_asked_for(applied: Applied) -> None:
    assert [one["State"]["Name"] for one in servers(applied)] == ["running"] * applied.outputs["web"]["server_count"]


def test_servers_are_in_the_private_subnets(applied: Applied) -> None:
    assert {one["SubnetId"] for one in servers(applied)} <= set(applied.outputs["network"]["subnet_ids"])


def test_no_server_has_a_public_address(applied: Applied) -> None:
    assert [one["PublicIpAddress"] for one in servers(applied) if one.get("PublicIpAddress")] == []


def test_servers_ask_for_no_public_address(applied: Applied) -> None:
    assert [one["AssociatePublicIpAddress"] for one in template(applied)["NetworkInterfaces"]] == [False]


def test_the_metadata_service_demands_a_token_and_answers_no_container(applied: Applied) -> None:
    options = template(applied)["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_the_root_volume_is_encrypted_and_goes_with_its_server(applied: Applied) -> None:
    image = applied.client("ec2").describe_images(ImageIds=[applied.outputs["web"]["ami_id"]])["Images"][0]
    (disk,) = template(applied)["BlockDeviceMappings"]
    assert disk["DeviceName"] == image["RootDeviceName"]
    assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["DeleteOnTermination"]) == (True, True)


def test_servers_have_no_role_and_no_key(applied: Applied) -> None:
    assert {"IamInstanceProfile", "KeyName"} & set(template(applied)) == set()


def test_only_the_port_is_open_and_only_to_whom_it_was_asked_for(applied: Applied) -> None:
    (rule,) = security_group(applied)["IpPermissions"]
    port = applied.outputs["web"]["port"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", port, port)
    assert [one["CidrIp"] for one in rule["IpRanges"]] == [applied.outputs["network"]["cidr_block"]]
    assert (rule["Ipv6Ranges"], rule["UserIdGroupPairs"], rule["PrefixListIds"]) == ([], [], [])


def test_servers_reach_nothing_unless_asked_for(applied: Applied) -> None:
    assert security_group(applied)["IpPermissionsEgress"] == []


def test_servers_get_their_security_group_and_no_other(applied: Applied) -> None:
    cards = template(applied)["NetworkInterfaces"]
    assert [one["Groups"] for one in cards] == [[applied.outputs["web"]["security_group_id"]]]


def test_the_image_fits_the_instance_type(applied: Applied) -> None:
    image = applied.client("ec2").describe_images(ImageIds=[applied.outputs["web"]["ami_id"]])["Images"][0]
    kind = applied.client("ec2").describe_instance_types(InstanceTypes=[template(applied)["InstanceType"]])[
        "InstanceTypes"
    ][0]
    assert image["Architecture"] in kind["ProcessorInfo"]["SupportedArchitectures"]


def test_default_tags_are_on_servers(applied: Applied) -> None:
    network = applied.client("ec2").describe_vpcs(VpcIds=[applied.outputs["network"]["vpc_id"]])["Vpcs"][0]
    tags = {(one["Key"], one["Value"]) for one in network["Tags"] if one["Key"] != "Name"}
    assert tags
    assert all(tags <= {(tag["Key"], tag["Value"]) for tag in one["Tags"]} for one in servers(applied))


def test_servers_and_volumes_are_tagged_alike(applied: Applied) -> None:
    kinds = {one["ResourceType"]: one["Tags"] for one in template(applied)["TagSpecifications"]}
    volume = {(tag["Key"], tag["Value"]) for tag in kinds["volume"]}
    assert all(volume <= {(tag["Key"], tag["Value"]) for tag in one["Tags"]} for one in servers(applied))


def test_another_page_makes_a_new_group_before_the_old_one_goes(changed: Planned) -> None:
    kinds = ("aws_autoscaling_group", "aws_launch_template")
    replaced = [one.actions for kind in kinds for one in changed.resources(type=kind)]
    assert replaced == [("create", "delete")] * len(kinds)


def test_the_page_server_shows_the_page_and_says_that_it_is_well(applied: Applied, tmp_path: Path) -> None:
    configuration = yaml.safe_load(base64.b64decode(template(applied)["UserData"]))
    for file in configuration["write_files"]:
        target = tmp_path / file["path"].removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file["content"], encoding="utf-8")
    unit = next(file["content"] for file in configuration["write_files"] if file["path"].endswith(".service"))
    start = re.search(r"^ExecStart=/usr/bin/python3 (.*)$", unit, re.MULTILINE)
    assert start
    port = str(applied.outputs["web"]["port"])
    here = [f"{tmp_path}{word}" if word.startswith("/") else "0" if word == port else word for word in start[1].split()]
    with subprocess.Popen([sys.executable, "-u", *here], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            address = re.search(rb"port (\d+)", server.stdout.readline())
            assert address
            answers = [fetch(f"http://127.0.0.1:{int(address[1])}{path}") for path in ("/", health_path(applied))]
        finally:
            server.kill()
    assert answers[0] == (200, PAGE)
    assert answers[1][0] == 200


def health_path(applied: Applied) -> str:
    path: str = applied.outputs["web"]["health_path"]
    return path


def fetch(address: str) -> tuple[int, str]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=10) as answer:
        return answer.status, answer.read().decode()


# alerts


def test_every_alarm_watches_the_group_and_tells_the_topic_of_trouble_and_of_its_end(applied: Applied) -> None:
    arn, group = applied.outputs["alerts"]["topic_arn"], applied.outputs["web"]["group_name"]
    assert {one["MetricName"] for one in alarms(applied)} == {"CPUUtilization", "StatusCheckFailed"}
    for one in alarms(applied):
        assert (one["AlarmActions"], one["OKActions"], one["ActionsEnabled"]) == ([arn], [arn], True)
        assert one["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": group}]


def test_alarms_may_publish_to_the_topic(applied: Applied) -> None:
    (allowed,) = [one for one in json.loads(topic(applied)["Policy"])["Statement"] if one["Effect"] == "Allow"]
    (pattern,) = allowed["Condition"]["ArnLike"]["aws:SourceArn"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert all(fnmatch.fnmatchcase(one["AlarmArn"], pattern) for one in alarms(applied))


def test_an_alarm_of_another_name_may_not_publish(applied: Applied) -> None:
    policy = json.loads(topic(applied)["Policy"])["Statement"]
    (patterns,) = [one["Condition"]["ArnLike"]["aws:SourceArn"] for one in policy if one["Effect"] == "Allow"]
    stranger = alarms(applied)[0]["AlarmArn"].rsplit(":", 1)[0] + ":stranger"
    assert not any(fnmatch.fnmatchcase(stranger, pattern) for pattern in patterns)


def test_the_topic_is_encrypted_with_a_key_that_rotates_and_that_alarms_may_use(applied: Applied) -> None:
    key, kms = topic(applied)["KmsMasterKeyId"], applied.client("kms")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])["Statement"]
    (alarms_may,) = [one["Action"] for one in policy if one["Principal"] == {"Service": "cloudwatch.amazonaws.com"}]
    assert sorted(alarms_may) == ["kms:Decrypt", "kms:GenerateDataKey*"]


def test_the_address_is_subscribed(applied: Applied) -> None:
    arn = applied.outputs["alerts"]["topic_arn"]
    found = applied.client("sns").list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert [(one["Protocol"], one["Endpoint"]) for one in found] == [("email", "ops@example.com")]


# the smoke test of stacks/prod, on the modules that it is made of


@pytest.fixture
def opened_port(applied: Applied) -> Iterator[int]:
    """A port that somebody opened to everybody by hand, for as long as the test runs."""
    group = applied.outputs["web"]["security_group_id"]
    rule = {"GroupId": group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    applied.client("ec2").authorize_security_group_ingress(**rule)
    yield rule["FromPort"]
    applied.client("ec2").revoke_security_group_ingress(**rule)


def test_the_smoke_test_finds_what_is_there(applied: Applied) -> None:
    assert applied.tasks["smoke_test"] == {
        "servers": sorted(one["InstanceId"] for one in servers(applied)),
        "image": applied.outputs["web"]["ami_id"],
        "alarms": applied.outputs["alerts"]["alarm_names"],
        "heard": applied.outputs["alerts"]["alarm_names"][0],
    }


def test_the_smoke_test_fails_where_an_alarm_is_not_heard(applied: Applied) -> None:
    """As where the topic was made anew by hand, or somebody took the alarm off it: here nobody is told of its end."""
    cloudwatch, name = applied.client("cloudwatch"), applied.outputs["alerts"]["alarm_names"][0]
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    kept = {key: value for key, value in alarm.items() if key in ALARM}
    cloudwatch.put_metric_alarm(**{**kept, "OKActions": []})
    try:
        with pytest.raises(RunFailedError, match=f"{name} was raised and taken back, and the topic told of"):
            applied.run_task("smoke_test")
    finally:
        cloudwatch.put_metric_alarm(**kept)


def test_the_smoke_test_fails_where_a_port_was_opened_by_hand(applied: Applied, opened_port: int) -> None:
    with pytest.raises(RunFailedError, match=rf"lets in the ports .*\b{opened_port}\b"):
        applied.run_task("smoke_test")


def test_the_smoke_test_fails_where_an_alarm_is_switched_off(applied: Applied) -> None:
    name = applied.outputs["alerts"]["alarm_names"][0]
    applied.client("cloudwatch").disable_alarm_actions(AlarmNames=[name])
    try:
        with pytest.raises(RunFailedError, match=f"{name} is switched off"):
            applied.run_task("smoke_test")
    finally:
        applied.client("cloudwatch").enable_alarm_actions(AlarmNames=[name])


@pytest.mark.usefixtures("opened_port")
def test_a_rule_added_by_hand_is_removed_by_the_next_apply(applied: Applied) -> None:
    applied.plan_again().assert_resource("aws_security_group.this", unit="web", action="update")


# That a destroy leaves nothing, the fixture `applied` sees to when the last test is over.
