"""Production: a network, web servers in it, and alerts about them."""

from __future__ import annotations

import json
from typing import Any

from infra_orch import Provider, Stack, TaskContext

# The state is kept in files beside this one, so that a first apply needs no bucket. A team keeps it in S3:
#
#     from infra_orch import S3Backend
#
#     stack = Stack("prod", backend=S3Backend(bucket="acme-terraform-state", region="eu-west-1"), providers=[...])
stack = Stack(
    "prod",
    providers=[
        Provider(
            "aws",
            source="hashicorp/aws",
            version="~> 5.0",
            region="eu-west-1",
            default_tags={"tags": {"stack": "prod", "managed-by": "infra-orch"}},
        ),
    ],
)

network = stack.unit(
    "network",
    module="network",
    inputs={"name": "prod", "cidr_block": "10.20.0.0/16", "zone_count": 2},
)

web = stack.unit(
    "web",
    module="web_servers",
    inputs={
        "name": f"{network.outputs.name}-web",
        "vpc_id": network.outputs.vpc_id,
        "subnet_ids": network.outputs.subnet_ids,
        "ingress_cidr_blocks": [network.outputs.cidr_block],
        "server_count": 2,
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


@stack.task(after=[network, web, alerts], retries=2, retry_delay=5.0, timeout=120.0)
def smoke_test(context: TaskContext) -> dict[str, Any]:
    """Ask AWS whether what the units promise is so, and return what was found; SmokeTestError where it is not."""
    servers = _check_servers(context)
    template = _check_template(context)
    alarms = _check_alarms(context)
    # In a real account this would wake people.
    heard = _hear(context, alarms[0]) if context.sandbox else None
    context.log.info("%d servers are in service, %d alarms watch them", len(servers), len(alarms))
    return {"servers": servers, "image": template["ImageId"], "alarms": alarms, "heard": heard}


class SmokeTestError(AssertionError):
    """Something is not as the stack promises."""


def _check(fact: bool, otherwise: str) -> None:  # noqa: FBT001  the fact is what the function is about
    if not fact:
        raise SmokeTestError(otherwise)


def _check_servers(context: TaskContext) -> list[str]:
    """As many as asked for are in service, in the network's private subnets, without a public address."""
    network, web = context.outputs["network"], context.outputs["web"]
    groups = context.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[web["group_name"]])
    _check(bool(groups["AutoScalingGroups"]), f"there is no Auto Scaling group {web['group_name']}")
    members = groups["AutoScalingGroups"][0]["Instances"]
    healthy = sorted(
        member["InstanceId"]
        for member in members
        if member["LifecycleState"] == "InService" and member["HealthStatus"] == "Healthy"
    )
    wanted = web["server_count"]
    _check(len(healthy) == wanted, f"{len(healthy)} of {wanted} servers are in service: {', '.join(healthy) or 'none'}")
    if not healthy:
        return []
    pages = context.client("ec2").get_paginator("describe_instances").paginate(InstanceIds=healthy)
    for server in [server for page in pages for found in page["Reservations"] for server in found["Instances"]]:
        name, subnet, address = server["InstanceId"], server["SubnetId"], server.get("PublicIpAddress")
        _check(subnet in network["subnet_ids"], f"{name} is in {subnet}, which is not a private subnet of the network")
        _check(not address, f"{name} has the public address {address}")
    return healthy


def _check_template(context: TaskContext) -> dict[str, Any]:
    """What every server of the group is made from demands IMDSv2, encrypts the disk and has only the group's ports."""
    web, ec2 = context.outputs["web"], context.client("ec2")
    name = web["launch_template_id"]
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=name, Versions=["$Latest"])
    template: dict[str, Any] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    tokens = template.get("MetadataOptions", {}).get("HttpTokens")
    _check(tokens == "required", f'{name} has HttpTokens "{tokens}": the servers would answer IMDSv1')
    disks = template.get("BlockDeviceMappings", [])
    _check(bool(disks) and all(disk["Ebs"]["Encrypted"] for disk in disks), f"{name} has a disk that is not encrypted")
    groups = [group for card in template.get("NetworkInterfaces", []) for group in card.get("Groups", [])]
    _check(groups == [web["security_group_id"]], f"{name} uses the security groups {groups}")
    rules = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"][0]["IpPermissions"]
    open_ports = sorted((rule.get("FromPort"), rule.get("ToPort")) for rule in rules)
    _check(open_ports == [(web["port"], web["port"])], f"{groups[0]} lets in the ports {open_ports}")
    return template


def _check_alarms(context: TaskContext) -> list[str]:
    """Every alarm is switched on, watches the servers' group, and tells the topic."""
    web, alerts = context.outputs["web"], context.outputs["alerts"]
    names = alerts["alarm_names"]
    found = context.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    missing = sorted(set(names) - {alarm["AlarmName"] for alarm in found})
    _check(bool(found) and not missing, f"alarms are missing: {', '.join(missing) or 'all'}")
    for alarm in found:
        name = alarm["AlarmName"]
        watched = [dimension["Value"] for dimension in alarm["Dimensions"]]
        _check(alarm["ActionsEnabled"], f"{name} is switched off")
        _check(watched == [web["group_name"]], f"{name} watches {watched}, not {web['group_name']}")
        _check(alarm["AlarmActions"] == [alerts["topic_arn"]], f"{name} tells {alarm['AlarmActions']}")
    topic = context.client("sns").get_topic_attributes(TopicArn=alerts["topic_arn"])["Attributes"]
    _check(bool(topic.get("KmsMasterKeyId")), f"{alerts['topic_arn']} is not encrypted")
    return sorted(names)


def _hear(context: TaskContext, alarm: str) -> str:
    """Raise an alarm, and receive what it says from a queue that subscribes to the topic meanwhile."""
    sqs, sns, cloudwatch = (context.client(service) for service in ("sqs", "sns", "cloudwatch"))
    queue = sqs.create_queue(QueueName=f"smoke-test-{context.run_id}")["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topic = context.outputs["alerts"]["topic_arn"]
        subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
        try:
            for state in ("OK", "ALARM", "OK"):
                cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=state, StateReason="a smoke test")
            messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        finally:
            sns.unsubscribe(SubscriptionArn=subscription)
    finally:
        sqs.delete_queue(QueueUrl=queue)
    told = [json.loads(json.loads(message["Body"])["Message"]) for message in messages]
    states = [one["NewStateValue"] for one in told if one["AlarmName"] == alarm]
    _check({"ALARM", "OK"} <= set(states), f"{alarm} was raised and taken back, and the topic told of {states}")
    return alarm
