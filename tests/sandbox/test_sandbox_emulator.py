"""What the emulator answers: limits in the service's own protocol, and what is left in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from infra_orch.sandbox.leftovers import baseline, leftovers
from infra_orch.sandbox.limits import FAILURE_CODE, LIMIT_CODE
from infra_orch.sandbox.redirect import ACCESS_KEY, SECRET_KEY
from infra_orch.sandbox.server import Emulator, start_for_run

Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="module")
def emulator(folder) -> Iterator[Emulator]:
    with start_for_run(folder) as running:
        yield running


@pytest.fixture(scope="module")
def clients(emulator) -> Iterator[Clients]:
    """Clients of AWS's own SDK, by service, that the user's settings do not reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_CA_BUNDLE", raising=False)
        patch.delenv("AWS_PROFILE", raising=False)
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="eu-west-1")
        config = Config(proxies={}, retries={"total_max_attempts": 3, "mode": "standard"})
        yield lambda service: session.client(service, endpoint_url=emulator.url, config=config)


@pytest.mark.parametrize(
    ("service", "call", "arguments", "named"),
    [
        ("ec2", "describe_ipams", {}, "ec2 DescribeIpams"),
        ("sns", "get_sms_sandbox_account_status", {}, "sns GetSmsSandboxAccountStatus"),
        ("kms", "describe_custom_key_stores", {}, "kms DescribeCustomKeyStores"),
        ("lambda", "list_code_signing_configs", {}, "lambda GET /2020-04-22/code-signing-configs"),
        ("route53", "get_geo_location", {"CountryCode": "DE"}, "route53 GET /2013-04-01/geolocation"),
        ("lightsail", "get_instances", {}, "the service lightsail"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_call_that_is_not_emulated_is_refused_in_words_and_not_tried_again(clients, service, call, arguments, named):
    with pytest.raises(ClientError) as caught:
        getattr(clients(service), call)(**arguments)
    answer = caught.value.response
    assert answer["Error"]["Code"] == LIMIT_CODE
    assert answer["Error"]["Message"] == f"{named} is not emulated"
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0


def test_a_defect_of_the_emulator_is_an_answer_too(clients):
    ec2 = clients("ec2")
    volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    with pytest.raises(ClientError) as caught:
        ec2.detach_volume(VolumeId=volume)  # moto looks for an instance without a name
    ec2.delete_volume(VolumeId=volume)
    assert caught.value.response["Error"]["Code"] == FAILURE_CODE


def test_an_error_that_aws_would_give_stays_as_it_is(clients):
    with pytest.raises(ClientError) as caught:
        clients("s3").list_objects_v2(Bucket="no-such-bucket")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"


@pytest.fixture
def bucket(clients) -> Iterator[str]:
    s3 = clients("s3")
    s3.create_bucket(Bucket="store", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield "store"
    s3.delete_bucket_policy(Bucket="store")
    s3.delete_object(Bucket="store", Key="key")
    s3.delete_bucket(Bucket="store")


def refusal(**more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::store/*", **more}


def test_a_bucket_that_refuses_what_comes_in_the_clear_can_be_used(clients, bucket):
    s3 = clients("s3")
    policy = json.dumps({"Statement": [refusal(Condition={"Bool": {"aws:SecureTransport": "false"}})]})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    s3.put_object(Bucket=bucket, Key="key", Body=b"kept")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"kept"
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy


def test_a_bucket_that_refuses_everything_refuses_it(clients, bucket):
    s3 = clients("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": refusal()}))
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="key", Body=b"lost")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def network(clients: Clients) -> Iterator[set[str]]:
    """A VPC with what hangs on it, among it things that moto keeps when they are gone."""
    ec2 = clients("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet)["Instances"][0]["InstanceId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
    yield {vpc, subnet, instance, address, gateway}
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    ec2.release_address(AllocationId=address)
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def rule_of_the_default_bus(clients: Clients) -> Iterator[set[str]]:
    events = clients("events")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    yield {"rule/nightly"}
    events.delete_rule(Name="nightly")


def key_whose_deletion_takes_days(clients: Clients) -> Iterator[set[str]]:
    kms = clients("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    yield {key}
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


def role_and_bucket(clients: Clients) -> Iterator[set[str]]:
    iam, s3 = clients("iam"), clients("s3")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    s3.create_bucket(Bucket="infra-orch-logs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield {"role/reader", "infra-orch-logs"}
    s3.delete_bucket(Bucket="infra-orch-logs")
    iam.detach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.delete_role(RoleName="reader")


@pytest.mark.parametrize("make", [network, rule_of_the_default_bus, key_whose_deletion_takes_days, role_and_bucket])
def test_what_was_made_is_left_until_it_is_deleted(emulator, clients, make):
    world = make(clients)
    made = next(world)
    left = leftovers(emulator.url)
    unseen = {name for name in made if not any(name in line for line in left)}
    next(world, None)
    assert unseen == set()
    assert leftovers(emulator.url) == []


def test_what_an_account_has_from_the_start_is_not_left_over(emulator, clients):
    assert clients("ec2").describe_vpcs()["Vpcs"]
    assert leftovers(emulator.url) == []


def test_what_was_there_before_is_left_out_of_account(emulator, clients):
    sqs = clients("sqs")
    old = sqs.create_queue(QueueName="old")["QueueUrl"]
    before = baseline(emulator.url)
    new = sqs.create_queue(QueueName="new")["QueueUrl"]
    left = leftovers(emulator.url, before)
    for queue in (old, new):
        sqs.delete_queue(QueueUrl=queue)
    assert left == ["sqs eu-west-1 Queue new"]


def test_its_log_does_not_grow_with_every_call(clients, folder):
    sqs = clients("sqs")
    sqs.list_queues()
    (log,) = folder.iterdir()
    size = log.stat().st_size
    for _ in range(20):
        sqs.list_queues()
    assert log.stat().st_size == size


def test_what_aws_itself_puts_into_an_account_is_not_left_over(emulator, clients):
    clients("ssm").get_parameters_by_path(Path="/aws/service/ami-amazon-linux-latest")
    ec2 = clients("ec2")
    volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1, Encrypted=True)
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    assert leftovers(emulator.url) == []
