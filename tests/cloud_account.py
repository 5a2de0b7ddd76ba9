"""An emulated AWS account with a bucket for states, as a user's environment leads to one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore.config import Config

BUCKET = "acme-terraform-state"
STACK = f"""
from infra_orch import Provider, S3Backend, Stack

aws = Provider(
    "aws",
    source="hashicorp/aws",
    version="~> 5.0",
    region="eu-west-1",
    skip_credentials_validation=True,
    skip_requesting_account_id=True,
)
backend = S3Backend(bucket="{BUCKET}", region="eu-west-1", use_path_style=True)
"""
"""The beginning of a stack file whose states are in the bucket."""


def enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials in the environment, as a user has them, and none of the machine's."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example-secret-key")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(Path(botocore.__file__).with_name("cacert.pem")))


def with_bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Enter the account that is emulated at *url*, make the bucket, and return what makes clients of it."""
    enter(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    def client(service: str) -> Any:
        return boto3.client(service, region_name="eu-west-1", config=Config(proxies={}))

    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client
