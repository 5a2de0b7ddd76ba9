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


def test_an_alarm_that_changes_its_state_tells_the_topics_of_that_state(clients: Clients) -> None:
    sns, sqs, cloudwatch = clients("sns"), clients("sqs"), clients("cloudwatch")
    queue = sqs.create_queue(QueueName="ears")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    alarm = {"Namespace": "AWS/SQS", "MetricName": "Age", "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 1}
    threshold = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    for name, more in {"loud": {}, "silent": {"ActionsEnabled": False}}.items():
        cloudwatch.put_metric_alarm(AlarmName=name, AlarmActions=[topic], **alarm, **threshold, **more)
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
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
