"""What moto leaves out and stacks need all the same, put into it from outside: each as AWS documents it.

- SES: receipt rules are deleted and moved; without that, a rule that was made in the sandbox cannot be destroyed.
- SQS: the policy that says whose dead letters a queue takes is kept, which the AWS provider waits for; the one that
  says where they go is written as AWS writes it, which the provider compares.
- CloudWatch: an alarm whose state is set, and changes, tells the topics that it names for that state.
- S3: a statement of a bucket's policy that has a condition is left out where a call is judged. moto, which knows
  nothing of a call that a condition could ask for, takes it for not met, and that for a refusal: a bucket that
  refuses what comes in the clear (`aws:SecureTransport`), as most do, would refuse everything.

Where moto learns one of these, it is taken out here: `test_sandbox_additions.py` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_ACTIONS = {"ALARM": "alarm_actions", "OK": "ok_actions", "INSUFFICIENT_DATA": "insufficient_data_actions"}


def add_to(service: str) -> None:
    """Put what a service lacks into moto's classes, before its first request. Twice does no harm."""
    if service in _ADDITIONS:
        _ADDITIONS[service]()


def _receipt_rules() -> None:
    from moto.core.responses import EmptyResult  # noqa: PLC0415 each service is imported when it is used
    from moto.ses.exceptions import RuleDoesNotExist  # noqa: PLC0415
    from moto.ses.responses import EmailResponse  # noqa: PLC0415

    def named(rules: list[dict[str, Any]], name: str) -> dict[str, Any]:
        for rule in rules:
            if rule["Name"] == name:
                return rule
        raise RuleDoesNotExist(f"Rule does not exist: {name}")

    def delete_receipt_rule(self: Any) -> Any:
        """https://docs.aws.amazon.com/ses/latest/APIReference/API_DeleteReceiptRule.html"""
        rules = self.backend.describe_receipt_rule_set(self._get_param("RuleSetName")).rules
        name = self._get_param("RuleName")
        rules[:] = [rule for rule in rules if rule["Name"] != name]  # one that is not there is no error
        return EmptyResult()

    def set_receipt_rule_position(self: Any) -> Any:
        """https://docs.aws.amazon.com/ses/latest/APIReference/API_SetReceiptRulePosition.html"""
        rules = self.backend.describe_receipt_rule_set(self._get_param("RuleSetName")).rules
        rule, after = named(rules, self._get_param("RuleName")), self._get_param("After")
        before = named(rules, after) if after else None
        rules.remove(rule)
        rules.insert(rules.index(before) + 1 if before else 0, rule)
        return EmptyResult()

    responses: Any = EmailResponse
    responses.delete_receipt_rule = delete_receipt_rule
    responses.set_receipt_rule_position = set_receipt_rule_position


def _redrive_policies() -> None:
    from moto.sqs.models import Queue  # noqa: PLC0415

    queue: Any = Queue
    if "RedriveAllowPolicy" in queue.BASE_ATTRIBUTES:
        return
    queue.redrive_allow_policy = None
    queue.BASE_ATTRIBUTES = [*queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    original = queue.attributes.fget

    def attributes(self: Any) -> Any:
        """As moto has them, with the redrive policy written as AWS writes it, without spaces."""
        found = original(self)
        if policy := found.get("RedrivePolicy"):
            found["RedrivePolicy"] = json.dumps(json.loads(policy), separators=(",", ":"))
        return found

    queue.attributes = property(attributes)


def _alarm_actions() -> None:
    from moto.cloudwatch.models import CloudWatchBackend  # noqa: PLC0415

    backend: Any = CloudWatchBackend
    original = backend.set_alarm_state
    if getattr(original, "tells", False):
        return

    def set_alarm_state(self: Any, alarm_name: str, reason: str, reason_data: str, state_value: str) -> None:
        """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html"""
        before = getattr(self.alarms.get(alarm_name), "state_value", None)
        original(self, alarm_name, reason, reason_data, state_value)
        alarm = self.alarms[alarm_name]
        if alarm.actions_enabled and alarm.state_value != before:
            _tell(self.account_id, alarm, before)

    set_alarm_state.tells = True  # type: ignore[attr-defined]
    backend.set_alarm_state = set_alarm_state


def _tell(account: str, alarm: Any, before: str | None) -> None:
    """Publish what an alarm came to, to the topics of its new state, as CloudWatch writes it."""
    from moto.sns.models import sns_backends  # noqa: PLC0415

    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": alarm.state_updated_timestamp.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000",
        "Region": alarm.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before,
        "Trigger": {
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric_name,
            "Dimensions": [{"name": one.name, "value": one.value} for one in alarm.dimensions or ()],
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
        },
    }
    for arn in getattr(alarm, _ACTIONS[alarm.state_value]) or ():
        region = arn.split(":")[3]
        topic = sns_backends[account][region].topics.get(arn) if ":sns:" in arn else None
        if topic is not None:
            subject = f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}'
            topic.publish(json.dumps(message, default=str), subject=subject[:100])


def _bucket_policies() -> None:
    from moto.s3.models import FakeBucket  # noqa: PLC0415

    def get_permission(self: Any, action: str, resource: str) -> Any:
        # Imported here, as moto does, because it takes a tenth of a second, and most buckets have no policy.
        from moto.iam.access_control import IAMPolicy, PermissionResult  # noqa: PLC0415

        if self.policy is None:
            return PermissionResult.NEUTRAL
        return IAMPolicy(_without_conditions(self.policy)).is_action_permitted(action, resource)

    bucket: Any = FakeBucket
    bucket.get_permission = get_permission


def _without_conditions(policy: bytes) -> str:
    document = json.loads(policy)
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return json.dumps({**document, "Statement": [one for one in listed if not one.get("Condition")]})


_ADDITIONS: Mapping[str, Callable[[], None]] = {
    "cloudwatch": _alarm_actions,
    "s3": _bucket_policies,
    "ses": _receipt_rules,
    "sqs": _redrive_policies,
}
