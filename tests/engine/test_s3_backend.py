"""The arguments of an S3 backend, and what is said of its bucket before anything is planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra_orch.engine.s3_backend import check_bucket, s3_arguments
from infra_orch.errors import UnavailableError

BACKEND = """
terraform {
  backend "s3" {
    bucket       = "acme-state"
    key          = "prod/web.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
    endpoints    = { s3 = "http://127.0.0.1:1" }
  }
}
"""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An emulated account, in this process, with a bucket in eu-west-1."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(Bucket="acme-state", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


def test_the_arguments_are_read_nested_ones_too_and_kept(tmp_path: Path) -> None:
    first = s3_arguments(BACKEND, tmp_path)
    assert first == {
        "bucket": "acme-state",
        "key": "prod/web.tfstate",
        "region": "eu-west-1",
        "use_lockfile": True,
        "endpoints": {"s3": "http://127.0.0.1:1"},
    }
    assert s3_arguments(BACKEND, tmp_path) == first


@pytest.mark.parametrize("text", ["", 'terraform {\n  backend "local" {}\n}\n', "terraform {", "resource {}"])
def test_a_file_without_such_a_backend_has_no_arguments(text: str) -> None:
    assert s3_arguments(text, None) == {}


def test_a_bucket_that_is_there_is_nothing_to_talk_about(account: Any) -> None:
    check_bucket({"bucket": "acme-state", "key": "a", "region": "eu-west-1"})


def test_a_bucket_in_the_first_region_is_made_without_naming_its_place(account: Any) -> None:
    with pytest.raises(UnavailableError) as caught:
        check_bucket({"bucket": "nowhere", "key": "a", "region": "us-east-1"})
    assert caught.value.hint == "aws s3api create-bucket --bucket nowhere --region us-east-1"


@pytest.mark.parametrize(
    "more", [{"assume_role": {"role_arn": "arn:aws:iam::1:role/a"}}, {"profile": "not-there"}, {"no_such": 1}]
)
def test_where_the_question_cannot_be_put_as_terraform_would_there_is_no_answer(
    account: Any, more: dict[str, Any]
) -> None:
    check_bucket({"bucket": "nowhere", "key": "a", "region": "eu-west-1", **more})
