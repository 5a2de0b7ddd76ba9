"""What stacks/batch and its modules promise, asked of the emulated AWS that it is applied to, with more units beside it."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from promises import lifecycle
from stack_code import ROOT, Desk, run_task

from infra_orch import Stack
from infra_orch.project import find_project
from infra_orch.spec.load import load_stack
from infra_orch.testing import Applied, Planned, RunFailedError

pytestmark = [pytest.mark.aws, pytest.mark.usefixtures("aws")]

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:pager"
LOG = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:pager-log"
"""Written out, so that the units that take a minute each need not wait for one another."""


@pytest.fixture(scope="module")
def stack(aws: None) -> Iterator[Stack]:
    """stacks/batch, and what its modules can do besides: one apply, because the provider waits long for each queue."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFRA_ORCH_PARALLELISM", "8")
        yield batch_and_more()


def batch_and_more() -> Stack:
    stack = load_stack(find_project(ROOT).stack("batch"))
    log = stack.unit("log", module="queue", inputs={"name": "pager-log", "senders": {"sns.amazonaws.com": [TOPIC]}})
    stack.unit(
        "pager",
        module="alerts",
        inputs={"name": "pager", "queue_arns": {"log": LOG}, "alarm_prefixes": ["ledger-", "orders-"]},
    )
    ledger = stack.unit(
        "ledger",
        module="queue",
        inputs={
            "name": "ledger",
            "fifo": True,
            "content_based_deduplication": True,
            "alarm_topic_arns": [TOPIC],
            "alarm_age_seconds": None,
        },
    )
    stack.unit(
        "orders",
        module="table",
        inputs={
            "name": "orders",
            "hash_key": {"name": "customer"},
            "range_key": {"name": "placed", "type": "N"},
            "indexes": {
                "by-state": {
                    "hash_key": {"name": "state"},
                    "range_key": {"name": "placed", "type": "N"},
                    "projection": "INCLUDE",
                    "non_key_attributes": ["total"],
                }
            },
            "ttl_attribute": "expires",
            "deletion_protection": False,
        },
    )
    job = {"schedule_expression": "rate(7 days)", "dead_letter_arn": log.outputs.arn}
    stack.unit(
        "weekly",
        module="scheduled_job",
        inputs={"name": "orders-weekly", "target_arn": ledger.outputs.arn, "message_group_id": "weekly", **job},
    )
    report = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:report"
    stack.unit(
        "report",
        module="scheduled_job",
        inputs={"name": "report", "target_arn": report, "enabled": False, "flexible_minutes": 15, **job},
    )
    stack.unit(
        "mail",
        module="email_routing",
        inputs={
            "name": "orders-mail",
            "domain": "in.example.com",
            "recipients": ["orders@in.example.com", ".in.example.com"],
            "activate": True,
        },
    )
    return stack


def attributes(applied: Applied, url: str) -> dict[str, str]:
    """What a queue is like."""
    found: dict[str, str] = applied.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
        "Attributes"
    ]
    return found


def allowed(policy: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Allow"]


def refuses_what_is_in_the_clear(policy: str, *resources: str) -> bool:
    """Whether a policy denies everything that comes without TLS, to all, for all of these resources."""
    denied = [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Deny"]
    (one,) = denied
    covered = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
    return (one["Principal"], one["Condition"]) == (
        "*",
        {"Bool": {"aws:SecureTransport": "false"}},
    ) and covered == list(resources)


def may_publish(applied: Applied, unit: str, alarm: str) -> bool:
    """Whether a topic lets the alarm of this name publish."""
    topic = applied.outputs[unit]["topic_arn"]
    policy = applied.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    arn = f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:{alarm}"
    patterns = [pattern for one in allowed(policy) for pattern in one["Condition"]["ArnLike"]["aws:SourceArn"]]
    return any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns)


def test_a_second_plan_has_nothing_to_do(applied: Applied) -> None:
    applied.assert_no_changes()


WRONG = {
    "queue": {"message_retention_seconds": 600, "dead_letter_retention_seconds": 600},
    "orders": {
        "hash_key": {"name": "placed", "type": "N"},
        "indexes": {"by-time": {"hash_key": {"name": "placed", "type": "S"}}},
    },
    "report": {"message_group_id": "daily"},
    "weekly": {"message_group_id": None},
    "mail": {"recipients": ["orders@notin.example.com", "example.com", "a@in.example.com"]},
}
"""What each value alone may be, and what it is no good together with the others."""


@pytest.fixture(scope="module")
def refusal(applied: Applied) -> str:
    """What a plan of WRONG says: one plan, since each takes long."""
    with pytest.raises(RunFailedError) as caught:
        applied.plan_again(WRONG)
    return str(caught.value)


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        ("queue", "a message that was moved keeps its age"),
        ("orders", "placed cannot be both keys of the table orders"),
        ("orders", "placed is N and S"),
        ("report", "A FIFO queue as a target needs a message_group_id"),
        ("weekly", "A FIFO queue as a target needs a message_group_id"),
        ("mail", "these are not: orders@notin.example.com, example.com"),
    ],
)
def test_what_does_not_go_together_is_refused(refusal: str, unit: str, why: str) -> None:
    said = re.split(r"^(\w+): ", refusal, flags=re.MULTILINE)
    assert why in " ".join(dict(zip(said[1::2], said[2::2], strict=True))[unit].split()), refusal


# queue


@pytest.mark.parametrize("unit", ["queue", "ledger", "log"])
def test_both_queues_are_encrypted_and_refuse_what_is_in_the_clear(applied: Applied, unit: str) -> None:
    outputs = applied.outputs[unit]
    for arn, url in (("arn", "url"), ("dead_letter_arn", "dead_letter_url")):
        found = attributes(applied, outputs[url])
        assert found["SqsManagedSseEnabled"] == "true"
        assert refuses_what_is_in_the_clear(found["Policy"], outputs[arn])


@pytest.mark.parametrize("unit", ["queue", "ledger"])
def test_what_was_tried_too_often_goes_to_dead_letters_that_are_this_queues_alone(applied: Applied, unit: str) -> None:
    outputs = applied.outputs[unit]
    queue, dead = attributes(applied, outputs["url"]), attributes(applied, outputs["dead_letter_url"])
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": outputs["dead_letter_arn"],
        "maxReceiveCount": outputs["max_receive_count"],
    }
    assert json.loads(dead["RedriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [outputs["arn"]],
    }
    assert int(dead["MessageRetentionPeriod"]) > int(queue["MessageRetentionPeriod"])


def test_a_fifo_queue_has_fifo_dead_letters(applied: Applied) -> None:
    outputs = applied.outputs["ledger"]
    assert outputs["name"] == "ledger.fifo"
    assert outputs["dead_letter_arn"].endswith(":ledger-dead.fifo")
    found = attributes(applied, outputs["url"])
    assert (found["FifoQueue"], found["ContentBasedDeduplication"]) == ("true", "true")


def test_nobody_may_send_by_the_queues_policy_but_who_was_named(applied: Applied) -> None:
    assert allowed(attributes(applied, applied.outputs["queue"]["url"])["Policy"]) == []
    (one,) = allowed(attributes(applied, applied.outputs["log"]["url"])["Policy"])
    assert (one["Principal"], one["Action"]) == ({"Service": "sns.amazonaws.com"}, "sqs:SendMessage")
    assert one["Condition"] == {
        "ArnLike": {"aws:SourceArn": [TOPIC]},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


def test_the_alarms_watch_the_queues_and_may_tell_the_topic(applied: Applied) -> None:
    outputs, topic = applied.outputs["queue"], applied.outputs["alerts"]["topic_arn"]
    assert outputs["alarm_names"] == ["batch-transactions-age", "batch-transactions-dead-letters"]
    found = applied.client("cloudwatch").describe_alarms(AlarmNames=outputs["alarm_names"])["MetricAlarms"]
    assert {(one["MetricName"], one["Dimensions"][0]["Value"], one["Threshold"]) for one in found} == {
        ("ApproximateAgeOfOldestMessage", "batch-transactions", 93600.0),
        ("ApproximateNumberOfMessagesVisible", "batch-transactions-dead", 1.0),
    }
    for one in found:
        assert one["AlarmActions"] == one["OKActions"] == [topic]
        assert may_publish(applied, "alerts", one["AlarmName"])
    assert not may_publish(applied, "alerts", "ledger-dead-letters")


def test_an_alarm_can_be_left_out(applied: Applied) -> None:
    assert applied.outputs["ledger"]["alarm_names"] == ["ledger-dead-letters"]
    assert applied.outputs["log"]["alarm_names"] == []


def test_an_alarm_is_heard_at_a_queue_that_the_alerts_name(applied: Applied) -> None:
    (alarm,) = applied.outputs["ledger"]["alarm_names"]
    assert may_publish(applied, "pager", alarm)
    sqs, log = applied.client("sqs"), applied.outputs["log"]["url"]
    applied.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    (message,) = sqs.receive_message(QueueUrl=log, WaitTimeSeconds=0)["Messages"]
    sqs.delete_message(QueueUrl=log, ReceiptHandle=message["ReceiptHandle"])
    told = json.loads(json.loads(message["Body"])["Message"])
    assert (told["AlarmName"], told["NewStateValue"]) == (alarm, "ALARM")


# table


def test_a_table_is_paid_by_use_encrypted_and_can_be_restored(applied: Applied) -> None:
    dynamodb = applied.client("dynamodb")
    table = dynamodb.describe_table(TableName="orders")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert (table["SSEDescription"]["Status"], table["SSEDescription"]["SSEType"]) == ("ENABLED", "KMS")
    backups = dynamodb.describe_continuous_backups(TableName="orders")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_table_has_its_keys_its_index_and_its_time_to_live(applied: Applied) -> None:
    dynamodb = applied.client("dynamodb")
    table = dynamodb.describe_table(TableName="orders")["Table"]
    assert {(one["AttributeName"], one["AttributeType"]) for one in table["AttributeDefinitions"]} == {
        ("customer", "S"),
        ("placed", "N"),
        ("state", "S"),
    }
    assert keys(table) == [("customer", "HASH"), ("placed", "RANGE")]
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], keys(index)) == ("by-state", [("state", "HASH"), ("placed", "RANGE")])
    assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]}
    assert applied.outputs["orders"]["index_arns"] == {"by-state": f"{table['TableArn']}/index/by-state"}
    found = dynamodb.describe_time_to_live(TableName="orders")["TimeToLiveDescription"]
    assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def keys(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["AttributeName"], one["KeyType"]) for one in found["KeySchema"]]


# scheduled_job


def schedule(applied: Applied, unit: str) -> dict[str, Any]:
    name = applied.outputs[unit]["name"]
    found: dict[str, Any] = applied.client("scheduler").get_schedule(Name=name, GroupName=name)
    return found


def test_a_schedule_starts_its_target_by_the_clock_of_the_time_zone_and_tries_again(applied: Applied) -> None:
    found, queue = schedule(applied, "schedule"), applied.outputs["queue"]
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"]) == ("cron(30 0 * * ? *)", "Europe/Dublin")
    assert (found["State"], found["FlexibleTimeWindow"]) == ("ENABLED", {"Mode": "OFF"})
    target = found["Target"]
    assert (target["Arn"], target["DeadLetterConfig"]) == (queue["arn"], {"Arn": queue["dead_letter_arn"]})
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}


def test_a_schedule_can_rest_and_have_a_window_and_a_message_group(applied: Applied) -> None:
    report = schedule(applied, "report")
    assert (report["State"], report["FlexibleTimeWindow"]["MaximumWindowInMinutes"]) == ("DISABLED", 15)
    assert schedule(applied, "weekly")["Target"]["SqsParameters"] == {"MessageGroupId": "weekly"}


@pytest.mark.parametrize(
    ("unit", "action"),
    [("schedule", "sqs:SendMessage"), ("weekly", "sqs:SendMessage"), ("report", "lambda:InvokeFunction")],
)
def test_its_role_may_start_the_target_and_is_for_its_group_alone(applied: Applied, unit: str, action: str) -> None:
    iam, target = applied.client("iam"), schedule(applied, unit)["Target"]
    role = iam.get_role(RoleName=target["RoleArn"].rpartition("/")[2])["Role"]
    assert iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"] == []
    (policy,) = iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    statements = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)["PolicyDocument"]["Statement"]
    assert [(one["Effect"], one["Action"], one["Resource"]) for one in statements] == [
        ("Allow", action, target["Arn"]),
        ("Allow", "sqs:SendMessage", target["DeadLetterConfig"]["Arn"]),
    ]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    group = f"arn:aws:scheduler:eu-west-1:{ACCOUNT}:schedule-group/{applied.outputs[unit]['name']}"
    assert trust["Condition"] == {
        "ArnEquals": {"aws:SourceArn": group},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


def test_the_schedules_alarm_watches_its_group(applied: Applied) -> None:
    (name,) = applied.outputs["schedule"]["alarm_names"]
    (alarm,) = applied.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert (alarm["MetricName"], alarm["Dimensions"][0]["Value"]) == ("InvocationDroppedCount", "batch-close-of-day")
    assert alarm["AlarmActions"] == [applied.outputs["alerts"]["topic_arn"]]
    assert may_publish(applied, "alerts", name)


# email_routing


def test_mails_to_the_recipients_are_stored_and_told_of(applied: Applied) -> None:
    mail = applied.outputs["mail"]
    active = applied.client("ses").describe_active_receipt_rule_set()
    assert active["Metadata"]["Name"] == mail["rule_set_name"]
    (rule,) = active["Rules"]
    assert (rule["Enabled"], rule["ScanEnabled"], rule["TlsPolicy"]) == (True, True, "Require")
    assert set(rule["Recipients"]) == {"orders@in.example.com", ".in.example.com"}
    (action,) = rule["Actions"]
    assert action == {
        "S3Action": {
            "BucketName": mail["bucket"],
            "ObjectKeyPrefix": "mail/",
            "TopicArn": mail["topic_arn"],
        }
    }


def test_the_bucket_is_private_encrypted_and_forgets(applied: Applied) -> None:
    s3, mail = applied.client("s3"), applied.outputs["mail"]
    bucket = mail["bucket"]
    blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert (len(blocks), set(blocks.values())) == (4, {True})
    (owner,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": mail["kms_key_arn"],
    }
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    kept = lifecycle(s3, bucket)["mails-go"]
    assert (kept["Expiration"]["Days"], kept["NoncurrentVersionExpiration"]["NoncurrentDays"]) == (90, 7)


def test_ses_may_write_and_tell_for_this_rule_alone(applied: Applied) -> None:
    mail, kms = applied.outputs["mail"], applied.client("kms")
    store = applied.client("s3").get_bucket_policy(Bucket=mail["bucket"])["Policy"]
    topic = applied.client("sns").get_topic_attributes(TopicArn=mail["topic_arn"])["Attributes"]
    rule = f"arn:aws:ses:eu-west-1:{ACCOUNT}:receipt-rule-set/orders-mail:receipt-rule/orders-mail"
    for policy, action in ((store, "s3:PutObject"), (topic["Policy"], "sns:Publish")):
        (one,) = allowed(policy)
        assert (one["Principal"], one["Action"]) == ({"Service": "ses.amazonaws.com"}, action)
        assert one["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": rule}}
    assert refuses_what_is_in_the_clear(store, mail["bucket_arn"], f"{mail['bucket_arn']}/*")
    assert refuses_what_is_in_the_clear(topic["Policy"], mail["topic_arn"])
    assert topic["KmsMasterKeyId"] == mail["kms_key_arn"]
    assert kms.get_key_rotation_status(KeyId=mail["kms_key_arn"])["KeyRotationEnabled"]


def test_it_says_what_belongs_into_dns(applied: Applied) -> None:
    records = [(one["type"], one["name"], one["value"]) for one in applied.outputs["mail"]["dns_records"]]
    ses, domain = applied.client("ses"), "in.example.com"
    proof = ses.get_identity_verification_attributes(Identities=[domain])["VerificationAttributes"][domain]
    tokens = ses.get_identity_dkim_attributes(Identities=[domain])["DkimAttributes"][domain]["DkimTokens"]
    assert records == [
        ("MX", domain, "10 inbound-smtp.eu-west-1.amazonaws.com"),
        ("TXT", f"_amazonses.{domain}", proof["VerificationToken"]),
        *(("CNAME", f"{token}._domainkey.{domain}", f"{token}.dkim.amazonses.com") for token in tokens),
    ]


def test_a_second_route_goes_into_the_rule_set_of_the_first(applied: Applied) -> None:
    second = {"rule_set_name": "theirs", "verify_domain": False, "activate": False}
    planned: Planned = applied.plan_again({"mail": second})
    assert planned.resource("aws_ses_receipt_rule.this", unit="mail")["rule_set_name"] == "theirs"
    gone = {one.type for one in planned.resources(unit="mail", action="delete")}
    assert gone >= {"aws_ses_receipt_rule_set", "aws_ses_domain_identity", "aws_ses_active_receipt_rule_set"}


# the tasks of stacks/batch


def send(applied: Applied, *messages: dict[str, Any]) -> None:
    for message in messages:
        applied.client("sqs").send_message(QueueUrl=applied.outputs["queue"]["url"], MessageBody=json.dumps(message))


def sale(day: str, number: int, currency: str, amount: str) -> dict[str, str]:
    return {"kind": "transaction", "day": day, "id": f"shop-{number}", "currency": currency, "amount": amount}


def totals(day: str, **currencies: tuple[int, str]) -> dict[str, Any]:
    told = {currency: {"count": count, "amount": amount} for currency, (count, amount) in currencies.items()}
    return {"kind": "totals", "day": day, "totals": told}


def close(next_day: str) -> dict[str, str]:
    return {"kind": "close", "at": f"{next_day}T00:30:00Z", "time_zone": "Europe/Dublin"}


@pytest.fixture
def no_dead_letters(applied: Applied) -> None:
    """What lies in the dead letters is taken out before the test."""
    applied.client("sqs").purge_queue(QueueUrl=applied.outputs["queue"]["dead_letter_url"])


def dead(applied: Applied) -> list[str]:
    """The texts of the dead letters."""
    url = applied.outputs["queue"]["dead_letter_url"]
    found = applied.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
    )
    return sorted(one["Body"] for one in found.get("Messages", []))


def test_the_day_that_the_sandbox_makes_up_is_moved_once_and_agrees(applied: Applied) -> None:
    assert applied.tasks["make_example"] == {"sent": 11}
    moved = applied.tasks["move"]
    assert (moved["taken"], moved["duplicate"], moved["rejected"]) == (8, 1, 2)
    assert moved["why"] == ["a message is JSON", 'an amount is text like "12.34"']
    (day,) = applied.tasks["reconcile"]
    assert applied.tasks["reconcile"][day] == {
        "EUR": {"count": 4, "amount": "0.30"},
        "JPY": {"count": 1, "amount": "1200"},
        "USD": {"count": 1, "amount": "1999.99"},
    }
    assert any("9.99" in one for one in dead(applied))
    assert "hello?" in dead(applied)


def test_a_run_more_takes_nothing_twice(applied: Applied) -> None:
    applied.run_task("make_example")
    moved = applied.run_task("move")
    assert (moved.get("taken"), moved["duplicate"], moved["ended"]) == (None, 9, "the queue is empty")
    assert applied.run_task("reconcile") == {}


def test_in_a_real_account_nothing_is_made_up(applied: Applied) -> None:
    before = attributes(applied, applied.outputs["queue"]["url"])["ApproximateNumberOfMessages"]
    assert run_task("batch", "make_example", Desk(applied, sandbox=False)) == "nothing: this is a real account"
    assert attributes(applied, applied.outputs["queue"]["url"])["ApproximateNumberOfMessages"] == before


def test_a_day_that_does_not_agree_fails_until_what_is_missing_has_come(applied: Applied) -> None:
    day = "2026-03-02"
    send(applied, sale(day, 1, "EUR", "10.50"), sale(day, 2, "GBP", "1"))
    send(applied, totals(day, EUR=(1, "10.50"), USD=(1, "20")), close("2026-03-03"))
    applied.run_task("move")
    with pytest.raises(RunFailedError) as caught:
        applied.run_task("reconcile")
    assert f"{day}: GBP: none were sent, 1 of 1 in all are there" in str(caught.value)
    assert f"{day}: USD: 1 of 20 in all were sent, none are there" in str(caught.value)
    # Of two that are wrong, one is mended: it is still the same day that does not agree.
    send(applied, sale(day, 3, "USD", "20.00"))
    applied.run_task("move")
    with pytest.raises(RunFailedError, match="GBP") as caught:
        applied.run_task("reconcile")
    assert "USD" not in str(caught.value)
    applied.client("dynamodb").delete_item(
        TableName=applied.outputs["table"]["name"], Key={"day": {"S": day}, "id": {"S": "shop-2"}}
    )
    assert applied.run_task("reconcile") == {
        day: {"EUR": {"count": 1, "amount": "10.50"}, "USD": {"count": 1, "amount": "20.00"}}
    }


@pytest.mark.usefixtures("no_dead_letters")
def test_what_comes_late_or_says_something_else_is_a_dead_letter(applied: Applied) -> None:
    day = "2026-03-03"
    first = sale(day, 1, "EUR", "5")
    send(applied, first, totals(day, EUR=(1, "5.00")), close("2026-03-04"))
    applied.run_task("move")
    assert list(applied.run_task("reconcile")) == [day]
    other, late = {**first, "amount": "6"}, sale(day, 2, "EUR", "7")
    send(applied, first, other, late, totals(day, EUR=(2, "12")), close("2026-03-04"))
    moved = applied.run_task("move")
    assert (moved["duplicate"], moved["rejected"]) == (2, 3)
    assert moved["why"] == [
        f"the totals of {day} is there already, and says something else",
        f"transaction shop-1 of {day} is there already, and says something else",
        f"transaction shop-2 of {day} came after that day was reconciled",
    ]
    assert dead(applied) == sorted(json.dumps(one) for one in (other, late, totals(day, EUR=(2, "12"))))
    assert applied.run_task("reconcile") == {}


def test_a_day_that_nobody_told_of_does_not_agree(applied: Applied) -> None:
    send(applied, close("2026-03-05"))
    applied.run_task("move")
    with pytest.raises(RunFailedError, match="2026-03-04: the senders have not said how much they sent"):
        applied.run_task("reconcile")
    send(applied, totals("2026-03-04"))
    applied.run_task("move")
    assert applied.run_task("reconcile") == {"2026-03-04": {}}


# That a destroy leaves nothing, the fixture `applied` sees to when the last test is over.
