"""Limits of the emulator are told apart from mistakes in the stack."""

from __future__ import annotations

import pytest

from infra_orch.sandbox.limits import emulator_limit


def test_the_call_is_named_as_the_sdk_names_it_even_where_the_text_is_wrapped():
    text = (
        "creating Lambda Code Signing Config: operation error Lambda: CreateCodeSigningConfig, https response\nerror "
        "StatusCode: 501, RequestID: , api error EmulatorLimit: lambda POST\n/2020-04-22/code-signing-configs is not emulated"
    )
    sentence = emulator_limit(text)
    assert sentence is not None
    assert sentence.startswith("Lambda CreateCodeSigningConfig is not emulated")


def test_a_defect_of_the_emulator_is_not_blamed_on_the_stack():
    sentence = emulator_limit(
        "operation error EC2: DetachVolume, exceeded maximum number of attempts, 3, https response error StatusCode: 500, "
        "api error EmulatorFailure: ec2 POST / failed in the emulator (TypeError: object has no len())"
    )
    assert sentence is not None
    assert sentence.startswith("EC2 DetachVolume made the emulator fail (TypeError: object has no len())")


@pytest.mark.parametrize(
    "text",
    [
        "operation error EC2: CreateIpam, https response error StatusCode: 400, api error InvalidAction: no such action",
        "operation error EC2: CreateIpam, api error NotYetImplemented: later",
        "operation error EC2: DescribeX, api error FilterNotImplementedError: The filter 'a' has not been implemented in Moto",
    ],
)
def test_what_moto_itself_says_of_its_limits_is_understood(text):
    assert "is not emulated" in (emulator_limit(text) or "")


@pytest.mark.parametrize(
    "text",
    [
        "operation error S3: CreateBucket, https response error StatusCode: 409, api error BucketAlreadyExists: taken",
        'Unsupported argument: An argument named "colour" is not expected here.',
        "",
    ],
)
def test_a_mistake_in_the_stack_is_no_limit(text):
    assert emulator_limit(text) is None
