"""What stacks/delivery and its modules promise, asked of the emulated AWS that it was applied to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from promises import assert_private, lifecycle, versions
from stack_code import Desk, run_task

from infra_orch.testing import Applied, StackUnderTest

pytestmark = [pytest.mark.aws, pytest.mark.stack("delivery"), pytest.mark.usefixtures("aws")]

ISSUER = "token.actions.githubusercontent.com"
BRANCHES = {
    "main": "main",
    "feature-checkout": "feature/checkout",
    "fix-jira-421-cart-total": "fix/JIRA-421_cart-total",
}


def role(applied: Applied, unit: str) -> dict[str, Any]:
    found: dict[str, Any] = applied.client("iam").get_role(RoleName=applied.outputs[unit]["name"])["Role"]
    return found


def permissions(applied: Applied, unit: str) -> list[dict[str, Any]]:
    """What a role may do: the statements of all of its policies."""
    iam, name = applied.client("iam"), applied.outputs[unit]["name"]
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    documents = [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    return [statement for document in documents for statement in document["Statement"]]


def test_every_branch_has_an_environment_and_a_role_that_come_after_the_store(stack: StackUnderTest) -> None:
    for name in BRANCHES:
        assert stack.comes_after(f"env-{name}") >= {"artifacts", f"ci-{name}"}
        assert stack.units[f"env-{name}"].tags == stack.units[f"ci-{name}"].tags == (f"branch:{name}",)


def test_the_store_is_private(applied: Applied) -> None:
    assert_private(applied.client("s3"), applied.outputs["artifacts"]["name"])


def test_what_branches_build_expires_and_releases_do_not(applied: Applied) -> None:
    rules = lifecycle(applied.client("s3"), applied.outputs["artifacts"]["name"])
    expiring = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in rules.values()
        if "Prefix" in rule["Filter"] and "Days" in rule.get("Expiration", {})
    }
    assert expiring == {"branches/": 30}
    assert rules["noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert rules["incomplete-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_the_store_was_tried_and_nothing_of_that_is_left(applied: Applied) -> None:
    bucket = applied.outputs["artifacts"]["name"]
    assert applied.tasks["store_keeps_artifacts"] == {"bucket": bucket, "encryption": "AES256"}
    assert versions(applied.client("s3"), bucket) == []


@pytest.mark.parametrize(
    ("unit", "subject"),
    [
        ("release", "repo:acme/shop:environment:production"),
        *((f"ci-{name}", f"repo:acme/shop:ref:refs/heads/{branch}") for name, branch in BRANCHES.items()),
    ],
)
def test_a_role_is_taken_by_jobs_of_the_one_branch_or_environment(applied: Applied, unit: str, subject: str) -> None:
    (statement,) = role(applied, unit)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": [subject]}
    }


def test_roles_trust_the_one_provider_of_the_account(applied: Applied) -> None:
    iam = applied.client("iam")
    (provider,) = [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert (found["Url"], found["ClientIDList"]) == (ISSUER, ["sts.amazonaws.com"])
    for unit in ("release", *(f"ci-{name}" for name in BRANCHES)):
        (statement,) = role(applied, unit)["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Federated": provider}


@pytest.mark.parametrize(
    ("unit", "prefix"),
    [("release", "releases/"), *((f"ci-{name}", f"branches/{name}/") for name in BRANCHES)],
)
def test_a_role_writes_below_its_prefix_and_nowhere_else(applied: Applied, unit: str, prefix: str) -> None:
    bucket = f"arn:aws:s3:::{applied.outputs['artifacts']['name']}"
    listing, writing = permissions(applied, unit)
    assert (listing["Action"], listing["Resource"]) == (["s3:ListBucket"], [bucket])
    assert listing["Condition"] == {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
    assert writing["Resource"] == [f"{bucket}/{prefix}*"]
    assert set(writing["Action"]) == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    }


@pytest.mark.parametrize("name", BRANCHES)
def test_an_application_is_told_what_its_branch_has(applied: Applied, name: str) -> None:
    path = f"/shop/branches/{name}"
    asked = applied.client("ssm").get_parameters_by_path(Path=path)["Parameters"]
    told = {one["Name"].removeprefix(f"{path}/"): one["Value"] for one in asked}
    (group,) = applied.client("logs").describe_log_groups(logGroupNamePrefix=told["log_group"])["logGroups"]
    bus = applied.client("events").describe_event_bus(Name=told["event_bus"])
    assert told["branch"] == BRANCHES[name]
    assert told["artifacts"] == f"s3://{applied.outputs['artifacts']['name']}/branches/{name}/"
    assert told["log_level"] == ("info" if name == "main" else "debug")
    assert (group["logGroupName"], group["retentionInDays"]) == (path, 14)
    assert bus["Name"] == f"shop-{name}"


def test_every_environment_was_asked_what_it_is(applied: Applied) -> None:
    assert applied.tasks["environments_know_themselves"] == sorted(BRANCHES)


def test_a_right_given_by_hand_is_found(applied: Applied) -> None:
    iam, name = applied.client("iam"), applied.outputs["ci-main"]["name"]
    everything = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["*"]}
    document = {"Version": "2012-10-17", "Statement": [everything]}
    iam.put_role_policy(RoleName=name, PolicyName="quick-fix", PolicyDocument=json.dumps(document))
    try:
        with pytest.raises(AssertionError, match=rf"{name} has the policies .*quick-fix"):
            run_task("delivery", "roles_are_narrow", Desk(applied))
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="quick-fix")


def test_another_bucket_with_the_same_prefix_is_found(applied: Applied) -> None:
    iam, name = applied.client("iam"), applied.outputs["ci-main"]["name"]
    before = json.dumps(iam.get_role_policy(RoleName=name, PolicyName="artifacts")["PolicyDocument"])
    everywhere = before.replace(f"{applied.outputs['artifacts']['arn']}/", "arn:aws:s3:::*/")
    iam.put_role_policy(RoleName=name, PolicyName="artifacts", PolicyDocument=everywhere)
    try:
        with pytest.raises(AssertionError, match=rf"{name} reaches .*arn:aws:s3:::\*/branches/main/\*"):
            run_task("delivery", "roles_are_narrow", Desk(applied))
    finally:
        iam.put_role_policy(RoleName=name, PolicyName="artifacts", PolicyDocument=before)


def test_a_branch_let_in_by_hand_is_found(applied: Applied) -> None:
    iam, name = applied.client("iam"), applied.outputs["release"]["name"]
    before = role(applied, "release")["AssumeRolePolicyDocument"]
    wider = json.loads(json.dumps(before).replace('"repo:acme/shop:environment:production"', '"repo:acme/shop:*"'))
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(wider))
    try:
        with pytest.raises(AssertionError, match=rf"{name} can be taken by \['repo:acme/shop:\*'\]"):
            run_task("delivery", "roles_are_narrow", Desk(applied))
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(before))


def test_a_second_plan_has_nothing_to_do(applied: Applied) -> None:
    applied.assert_no_changes()
