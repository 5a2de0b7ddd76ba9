"""Whatever could run a program, or reach where nobody allowed it, is found by file and line, in every syntax."""

from __future__ import annotations

import json

import pytest

from infra_orch.guard.findings import Finding, Source, findings
from infra_orch.settings import Allow

NOTHING = Allow(backends=("local",)).settled()
PROVISIONED = {"resource": {"terraform_data": {"a": {"provisioner": {"local-exec": {"command": "x"}}}}}}


def found(text: str, name: str = "main.tf", allow: Allow = NOTHING) -> list[Finding]:
    return list(findings([Source(name, f"m/{name}", text.encode())], allow, lambda source: f"outside/{source}"))


def keys(text: str, name: str = "main.tf", allow: Allow = NOTHING) -> list[tuple[str, str, int]]:
    return [(one.key, one.value, one.where.line) for one in found(text, name, allow)]


ESCAPED = 'provisioner "local-\\u0065xec" {\n    command = "x"\n  }'
LOCAL_EXEC = 'provisioner "local-exec" {\n    command = "x"\n  }'


@pytest.mark.parametrize(
    ("text", "key", "value", "line"),
    [
        (f'resource "terraform_data" "a" {{\n  {LOCAL_EXEC}\n}}\n', "provisioners", "local-exec", 2),
        (f"resource terraform_data a {{\n  {LOCAL_EXEC.replace(chr(34), '', 2)}\n}}\n", "provisioners", "local-exec", 2),
        (f'resource "terraform_data" "a" {{\n  {ESCAPED}\n}}\n', "provisioners", "local-exec", 1),
        (f"resource terraform_data __is_block__ {{\n  {LOCAL_EXEC}\n}}\n", "provisioners", "local-exec", 2),
        (f"removed {{\n  from = terraform_data.a\n  {LOCAL_EXEC}\n}}\n", "provisioners", "local-exec", 3),
        ('resource "helm_release" "a" {\n  postrender {\n    binary_path = "x"\n  }\n}\n', "provisioners", "postrender", 2),
        ('action "local_command" "a" {\n  config {\n    command = "x"\n  }\n}\n', "provisioners", "local_command", 1),
        ('\ndata "external" "a" {\n  program = ["x"]\n}\n', "external_data", "true", 2),
        ('data "http" "a" {\n  url = "x"\n}\n', "external_data", "true", 1),
        ('ephemeral "http" "a" {\n  url = "x"\n}\n', "external_data", "true", 1),
        ('check "c" {\n  data "external" "a" {\n    program = ["x"]\n  }\n}\n', "external_data", "true", 2),
        ('terraform {\n  backend "http" {\n    address = "x"\n  }\n}\n', "backends", "http", 2),
        ("terraform {\n  cloud {\n  }\n}\n", "backends", "cloud", 2),
        ('data "terraform_remote_state" "a" {\n  backend = "pg"\n}\n', "backends", "pg", 2),
        ('data "terraform_remote_state" "a" {\n  backend = var.x\n}\n', "backends", "*", 2),
        ('terraform {\n  required_providers {\n    aws = {\n      source = "evil/aws"\n    }\n  }\n}\n', "providers", "evil/aws", 4),
        ("terraform {\n  required_providers {\n    aws = {\n      source = var.x\n    }\n  }\n}\n", "providers", "*", 3),
        ('module "m" {\n  source = "evil/vpc/aws"\n}\n', "module_sources", "evil/vpc/aws", 2),
        ('module "m" {\n  source = "../x"\n}\n', "module_sources", "outside/../x", 2),
        ("module __is_block__ {\n  source = var.x\n}\n", "module_sources", "*", 2),
        ('module "m" {\n  source = "git::ext::sh -c evil"\n}\n', "module_sources", "git::ext::sh -c evil", 2),
        ('provider "kubernetes" {\n  exec {\n    command = "x"\n  }\n}\n', "credential_commands", "true", 2),
        ('provider "helm" {\n  kubernetes = {\n    exec = {\n      command = "x"\n    }\n  }\n}\n', "credential_commands", "true", 3),
        ('provider "kubernetes" {\n  dynamic "exec" {\n    for_each = [1]\n    content {\n    }\n  }\n}\n', "credential_commands", "true", 2),
        ('provider "aws" {\n  shared_config_files = ["x"]\n}\n', "credential_commands", "true", 2),
        ('terraform {\n  backend "local" {\n    shared_credentials_file = "x"\n  }\n}\n', "credential_commands", "true", 3),
        ('terraform {\n  encryption {\n    key_provider "external" "k" {\n      command = ["x"]\n    }\n  }\n}\n', "credential_commands", "true", 3),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_found_at_its_line(text: str, key: str, value: str, line: int) -> None:
    assert keys(text) == [(key, value, line)]


def test_the_same_is_found_in_json_in_override_files_and_in_those_of_opentofu() -> None:
    for name in ("main.tf.json", "x_override.tf.json", "main.tofu.json"):
        assert [one.key for one in found(json.dumps(PROVISIONED), name)] == ["provisioners"]
    for name in ("override.tf", "x_override.tf", "main.tofu"):
        assert [one.key for one in found('data "external" "a" {\n}\n', name)] == ["external_data"]


@pytest.mark.parametrize(
    "text",
    [
        # Terraform runs the first of these two, which most readers of JSON forget.
        '{"resource": {"terraform_data": {"a": {"provisioner": {"local-exec": {}}, "provisioner": {"file": []}}}}}',
        '{"resource": [{"terraform_data": [{"a": [{"provisioner": [{"local-exec": [{}]}]}]}]}]}',
        '[{"\\u0072esource": {"terraform_data": {"a": {"provisioner": {"local\\u002dexec": {}}}}}}]',
    ],
)
def test_no_way_to_write_json_hides_a_provisioner(text: str) -> None:
    assert ("provisioners", "local-exec") in [(one.key, one.value) for one in found(text, "main.tf.json")]


def test_the_end_of_a_heredoc_within_an_interpolation_hides_nothing() -> None:
    """What Terraform takes for a resource must not be taken for a text, nor the other way round."""
    text = (
        'locals {\n  a = <<E\n${join("", [for E in ["a"] :\nE\n])}\n}\nlocals {\n  b = <<F\nE\n}\n'
        f'resource "terraform_data" "a" {{\n  {LOCAL_EXEC}\n}}\nlocals {{\n  c = <<F\nF\n}}\n'
    )
    assert [one.key for one in found(text)] == ["provisioners"]
    no_break_space = 'locals {\n  a = <<E\n\u00a0E\n}\ndata "external" "a" {\n}\nlocals {\n  b = <<E\nE\n}\n'
    assert [one.key for one in found(no_break_space)] == ["external_data"]


def test_a_provider_that_nobody_declares_is_taken_from_hashicorp_as_terraform_takes_it() -> None:
    text = 'resource "random_id" "a" {\n}\n\nresource "x_y" "a" {\n  provider = time.b\n}\n'
    only_aws = Allow(providers=("hashicorp/aws",)).settled()
    assert keys(text, allow=only_aws) == [("providers", "hashicorp/random", 1), ("providers", "hashicorp/time", 5)]
    assert keys(text) == []
    assert keys('resource "terraform_data" "a" {\n}\n', allow=only_aws) == []


def test_what_cannot_be_read_for_certain_is_a_finding_that_nothing_allows() -> None:
    for text in ("resource {", 'locals {\n  a = "\x0c"\n}\n', "locals {\r}\n", 'x = "\u2028"\n'):
        (one,) = found(text)
        assert (one.key, one.where.file) == ("", "m/main.tf")
        assert "cannot be read" in one.what
    (one,) = found("{", "main.tf.json")
    assert one.key == ""
    binary = Source("main.tf", "m/main.tf", b"locals {\n\xff\n}\n")
    (one,) = findings([binary], NOTHING, str)
    assert (one.where.line, one.key) == (2, "")


def test_what_is_allowed_is_no_finding() -> None:
    text = (
        'terraform {\n  backend "http" {\n  }\n  required_providers {\n    x = {\n      source = "acme/x"\n    }\n  }\n}\n'
        f'resource "terraform_data" "a" {{\n  {LOCAL_EXEC}\n}}\n'
        'data "external" "a" {\n}\nmodule "m" {\n  source = "acme/vpc/aws"\n}\nprovider "x" {\n  exec {\n  }\n}\n'
    )
    everything = Allow(
        ("acme/*", "hashicorp/*"), ("acme/*/*",), ("http",), ("local-exec",), external_data=True, credential_commands=True
    )  # fmt: skip
    assert len(found(text)) == 6
    assert found(text, allow=everything) == []


def test_ordinary_files_hold_nothing_to_be_found() -> None:
    text = """
        # provisioner "local-exec" {}
        locals {
          text = "data \\"external\\" ${upper("x")}"
          long = <<-EOT
            provisioner "local-exec" {
            }
          EOT
        }

        data "aws_region" "here" {
        }

        output "it" {
          value = local.text
        }
    """
    assert found(text) == []
