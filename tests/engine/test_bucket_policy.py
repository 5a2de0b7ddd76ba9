"""What the policy of a bucket for states says: whether it asks for TLS, and whom it lets in."""

from __future__ import annotations

from typing import Any

import pytest

from infra_orch.engine.bucket_policy import lets_anybody_in, refuses_plain, tls_only

ARN = "arn:aws:s3:::acme-state"
WHOLE = tls_only(ARN, "TlsOnly")


@pytest.mark.parametrize(
    "statement",
    [
        WHOLE,
        {**WHOLE, "Principal": {"AWS": ["*"]}, "Action": ["s3:*", "s3:GetObject"], "Sid": "other"},
        {**WHOLE, "Resource": "*", "Action": "*"},
        {**WHOLE, "Condition": {"Bool": {"AWS:SecureTransport": [False]}}},
        {**WHOLE, "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}}},
    ],
)
def test_a_statement_that_refuses_all_that_is_plain_is_one_however_it_is_written(statement: dict[str, Any]) -> None:
    assert refuses_plain(statement, ARN)


@pytest.mark.parametrize(
    "statement",
    [
        {**WHOLE, "Action": "s3:PutObject"},
        {**WHOLE, "Resource": f"{ARN}/*"},
        {**WHOLE, "Resource": "arn:aws:s3:::another/*"},
        {**WHOLE, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {**WHOLE, "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}},
        {**WHOLE, "Condition": {**WHOLE["Condition"], "StringEquals": {"aws:PrincipalAccount": "1"}}},
        {**WHOLE, "Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
        {**WHOLE, "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {**WHOLE, "Condition": "what"},
        {**WHOLE, "Effect": "Allow"},
        {"Effect": "Deny"},
    ],
)
def test_a_statement_that_refuses_only_some_of_it_does_not_count(statement: dict[str, Any]) -> None:
    assert not refuses_plain(statement, ARN)


def test_a_statement_lets_anybody_in_where_nothing_but_its_effect_says_whom() -> None:
    opened = {**WHOLE, "Effect": "Allow"}
    del opened["Condition"]
    assert lets_anybody_in(opened)
    some = {**opened, "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}}
    del some["Principal"]
    assert lets_anybody_in(some)
    assert not lets_anybody_in(WHOLE)
    assert not lets_anybody_in({**opened, "Principal": {"AWS": "arn:aws:iam::123456789012:root"}})
    assert not lets_anybody_in({**opened, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
