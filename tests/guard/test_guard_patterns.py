"""A pattern of the setting `allow` fits what it says, and nothing that merely looks like it."""

from __future__ import annotations

import pytest

from infra_orch.guard.patterns import is_address, provider_fits, source_fits


@pytest.mark.parametrize(
    ("address", "pattern"),
    [
        ("hashicorp/aws", "hashicorp/aws"),
        ("hashicorp/aws", "hashicorp/*"),
        ("HashiCorp/AWS", "hashicorp/aws"),
        ("aws", "hashicorp/aws"),
        ("registry.terraform.io/hashicorp/aws", "hashicorp/*"),
        ("registry.opentofu.org/hashicorp/aws", "hashicorp/*"),
        ("hashicorp/aws", "registry.terraform.io/hashicorp/aws"),
        ("providers.example.com/acme/cloud", "providers.example.com/acme/*"),
        ("providers.example.com/acme/cloud", "*"),
        ("terraform.io/builtin/terraform", "hashicorp/aws"),
    ],
)
def test_a_provider_that_was_meant_is_allowed(address: str, pattern: str) -> None:
    assert provider_fits(address, [pattern])


@pytest.mark.parametrize(
    ("address", "pattern"),
    [
        ("evil.example.com/hashicorp/aws", "hashicorp/*"),
        ("hashicorp/evil/aws", "hashicorp/*"),
        ("hashicorp/aws/x", "hashicorp/*"),
        ("evil/aws", "hashicorp/*"),
        ("hashicorp.evil/aws", "hashicorp/*"),
        ("hashicorp/awscc", "hashicorp/aws"),
        ("terraform.io/builtin/other", "hashicorp/*"),
        ("evil.example.com/acme/cloud", "*.acme/cloud"),
        ("-/aws", "hashicorp/*"),
    ],
)
def test_a_provider_that_only_looks_like_it_is_not(address: str, pattern: str) -> None:
    assert not provider_fits(address, [pattern])
    assert not provider_fits(address, [])


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        ("terraform-aws-modules/vpc/aws", "terraform-aws-modules/*/aws"),
        ("git::https://example.com/acme/net.git?ref=v1", "git::https://example.com/acme/*"),
        ("git::https://example.com/acme/net.git//sub/folder?ref=v1", "git::https://example.com/acme/*"),
        ("git::https://example.com/acme/team/net.git", "git::https://example.com/acme/**"),
        ("git::https://example.com/acme/net.git?ref=v1", "git::https://example.com/acme/net.git?ref=v1"),
        ("git@example.com:acme/net.git", "*"),
        ("../shared/net", "../shared/net"),
    ],
)
def test_a_source_that_was_meant_is_allowed(source: str, pattern: str) -> None:
    assert source_fits(source, [pattern])


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        ("evil/vpc/aws", "terraform-aws-modules/*/aws"),
        ("evil.example.com/terraform-aws-modules/vpc/aws", "terraform-aws-modules/*/aws"),
        ("git::https://example.com@evil.test/acme/net.git", "git::https://example.com/acme/*"),
        ("git::https://example.com.evil.test/acme/net.git", "git::https://example.com/acme/*"),
        ("git::https://evil.test/?.example.com/acme/net.git", "git::https://*.example.com/acme/*"),
        ("git::https://evil.test#.example.com/acme/net.git", "git::https://*.example.com/acme/*"),
        ("git::https://example.com/acme/../evil/net.git", "git::https://example.com/acme/**"),
        ("git::https://example.com/acme/%2E%2e/evil/net.git", "git::https://example.com/acme/**"),
        ("git::https://example.com/acme/team/net.git", "git::https://example.com/acme/*"),
        ("git::ext::sh -c evil", "git::https://*"),
        ("https://example.com/acme/net.zip", "git::https://example.com/acme/*"),
    ],
)
def test_a_source_that_only_looks_like_it_is_not(source: str, pattern: str) -> None:
    assert not source_fits(source, [pattern])
    assert not source_fits(source, [])


@pytest.mark.parametrize("text", ['a"]\n}', "a b/c", "", "a/b/c/d", "../x", "host.test:80000/x/../y", "https://a/b/c"])
def test_what_is_no_address_of_a_provider_is_told_from_one(text: str) -> None:
    assert not is_address(text)
    assert is_address("example.com:8080/acme/cloud")
    assert is_address("aws")
