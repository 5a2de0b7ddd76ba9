"""What is said of an S3 backend's bucket before anything is planned, and what is read from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra_orch.engine.aws_credentials import Keys
from infra_orch.engine.s3_backend import arguments_by, check_bucket, read_object
from infra_orch.errors import UnavailableError


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated account, in this process, with a bucket in eu-west-1."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(Bucket="acme-state", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def test_a_bucket_that_is_there_is_nothing_to_talk_about(account: Any) -> None:
    check_bucket({"bucket": "acme-state", "key": "a", "region": "eu-west-1"})


def test_a_bucket_that_is_missing_comes_with_what_makes_it(account: Any) -> None:
    with pytest.raises(UnavailableError) as caught:
        check_bucket({"bucket": "nowhere", "key": "a", "region": "us-east-1"}, "team/prod")
    assert caught.value.hint.startswith("infra-orch bootstrap team/prod makes it")


@pytest.mark.parametrize(
    "more", [{"assume_role": {"role_arn": "arn:aws:iam::1:role/a"}}, {"profile": "not-there"}, {"no_such": 1}]
)
def test_where_the_question_cannot_be_put_as_terraform_would_there_is_no_answer(
    account: Any, more: dict[str, Any]
) -> None:
    check_bucket({"bucket": "nowhere", "key": "a", "region": "eu-west-1", **more})


def test_the_state_in_a_bucket_is_read_and_one_that_is_not_there_is_empty(account: Any) -> None:
    account.put_object(Bucket="acme-state", Key="web", Body=b"{}")
    place = {"bucket": "acme-state", "region": "eu-west-1", "use_lockfile": True}
    assert read_object({**place, "key": "web"}) == b"{}"
    assert read_object({**place, "key": "db"}) == b""


def test_credentials_in_the_arguments_go_before_those_that_terraform_is_given() -> None:
    keys = Keys("AKIA", "secret", None, None)
    assert arguments_by(keys, {"bucket": "b"}) == {"bucket": "b", "access_key": "AKIA", "secret_key": "secret"}
    for own in ({"bucket": "b", "profile": "p"}, {"bucket": "b", "access_key": "A", "secret_key": "s"}):
        assert arguments_by(keys, own) == own


@pytest.mark.parametrize(
    "more",
    [
        {"bucket": "nowhere"},
        {"assume_role": {"role_arn": "arn:aws:iam::1:role/a"}},
        {"dynamodb_table": "locks"},
        {"sse_customer_key": "a2V5"},
        {"profile": "not-there"},
        {"endpoints": {"s3": "http://127.0.0.1:1"}},
    ],
)
def test_a_state_that_terraform_might_read_otherwise_is_left_to_it(account: Any, more: dict[str, Any]) -> None:
    account.put_object(Bucket="acme-state", Key="web", Body=b"{}")
    assert read_object({"bucket": "acme-state", "key": "web", "region": "eu-west-1", **more}) is None
