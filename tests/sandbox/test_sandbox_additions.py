"""What the emulator has beside what moto has: each as AWS documents it, asked by AWS's own SDK."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from infra_orch.sandbox.redirect import ACCESS_KEY, SECRET_KEY
from infra_orch.sandbox.server import start_for_run

Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="eu-west-1")
    config = Config(proxies={}, retries={"total_max_attempts": 1})
    with start_for_run(tmp_path_factory.mktemp("emulator")) as emulator:
        yield lambda service: session.client(service, endpoint_url=emulator.url, config=config)


def rules(ses: Any) -> list[str]:
    return [rule["Name"] for rule in ses.describe_receipt_rule_set(RuleSetName="set")["Rules"]]


def test_receipt_rules_are_moved_and_deleted(clients: Clients) -> None:
    ses = clients("ses")
    ses.create_receipt_rule_set(RuleSetName="set")
    for name in ("third", "second", "first"):
        ses.create_receipt_rule(RuleSetName="set", Rule={"Name": name})
    ses.set_receipt_rule_position(RuleSetName="set", RuleName="first", After="third")
    assert rules(ses) == ["second", "third", "first"]
    ses.set_receipt_rule_position(RuleSetName="set", RuleName="third")
    assert rules(ses) == ["third", "second", "first"]
    ses.delete_receipt_rule(RuleSetName="set", RuleName="second")
    assert rules(ses) == ["third", "first"]
    with pytest.raises(ClientError, match="Rule does not exist: second"):
        ses.set_receipt_rule_position(RuleSetName="set", RuleName="second")
    with pytest.raises(ClientError, match="Rule set does not exist"):
        ses.delete_receipt_rule(RuleSetName="other", RuleName="second")


def test_a_queue_keeps_whose_dead_letters_it_takes(clients: Clients) -> None:
    sqs = clients("sqs")
    policy = '{"redrivePermission":"denyAll"}'
    dead = sqs.create_queue(QueueName="dead", Attributes={"RedriveAllowPolicy": policy})["QueueUrl"]
    plain = sqs.create_queue(QueueName="plain")["QueueUrl"]
    asked = {"AttributeNames": ["RedriveAllowPolicy"]}
    assert sqs.get_queue_attributes(QueueUrl=dead, **asked)["Attributes"] == {"RedriveAllowPolicy": policy}
    assert not sqs.get_queue_attributes(QueueUrl=plain, **asked).get("Attributes")


def test_a_redrive_policy_is_written_without_spaces(clients: Clients) -> None:
    sqs = clients("sqs")
    dead = sqs.create_queue(QueueName="last-stop")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    given = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3}, separators=(",", ":"))
    queue = sqs.create_queue(QueueName="first-stop", Attributes={"RedrivePolicy": given})["QueueUrl"]
    assert sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]["RedrivePolicy"] == given


def heard(sqs: Any, queue: str) -> list[tuple[str, str, str]]:
    """Alarm, old and new state of every notice in a queue, which is taken out of it."""
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for one in found:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
    told = [json.loads(json.loads(one["Body"])["Message"]) for one in found]
    return [(one["AlarmName"], one["OldStateValue"], one["NewStateValue"]) for one in told]


def ears(clients: Clients) -> tuple[str, str]:
    """A topic, and a queue that subscribes to it."""
    sns, sqs = clients("sns"), clients("sqs")
    queue = sqs.create_queue(QueueName="ears")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, queue


def raise_alarm(cloudwatch: Any, name: str, topic: str, **more: Any) -> None:
    """Make an alarm that tells a topic, and raise it."""
    alarm = {"Namespace": "AWS/SQS", "MetricName": "Age", "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 1}
    threshold = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(AlarmName=name, AlarmActions=[topic], **alarm, **threshold, **more)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


def test_an_alarm_that_changes_its_state_tells_the_topics_of_that_state(clients: Clients) -> None:
    sqs, cloudwatch = clients("sqs"), clients("cloudwatch")
    topic, queue = ears(clients)
    for name, more in {"loud": {}, "silent": {"ActionsEnabled": False}}.items():
        raise_alarm(cloudwatch, name, topic, **more)
    assert heard(sqs, queue) == [("loud", "OK", "ALARM")]
    cloudwatch.set_alarm_state(AlarmName="loud", StateValue="ALARM", StateReason="nothing new")
    cloudwatch.set_alarm_state(AlarmName="loud", StateValue="OK", StateReason="no topic is named for this state")
    assert heard(sqs, queue) == []


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("moto.ses.responses:EmailResponse", "delete_receipt_rule"),
        ("moto.ses.responses:EmailResponse", "set_receipt_rule_position"),
        ("moto.sqs.models:Queue", "redrive_allow_policy"),
    ],
)
def test_moto_itself_still_lacks_it(where: str, name: str) -> None:
    """Where this fails, moto has learnt it: take the addition out."""
    module, _, owner = where.partition(":")
    assert not hasattr(getattr(importlib.import_module(module), owner), name)


@pytest.fixture
def moto_alone() -> Iterator[Clients]:
    """Moto in this process, where nothing is added to it."""
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="eu-west-1")
    with mock_aws():
        yield session.client


def test_moto_itself_still_tells_nobody_of_an_alarm(moto_alone: Clients) -> None:
    topic, queue = ears(moto_alone)
    raise_alarm(moto_alone("cloudwatch"), "loud", topic)
    assert heard(moto_alone("sqs"), queue) == []


def test_moto_itself_still_takes_a_condition_that_it_does_not_know_for_a_refusal(moto_alone: Clients) -> None:
    s3 = moto_alone("s3")
    s3.create_bucket(Bucket="papers", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    refuses = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::papers/*"}
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    policy = {"Version": "2012-10-17", "Statement": [{**refuses, "Condition": condition}]}
    s3.put_bucket_policy(Bucket="papers", Policy=json.dumps(policy))
    with pytest.raises(ClientError, match=r"403|AccessDenied"):
        s3.put_object(Bucket="papers", Key="one", Body=b"1")
