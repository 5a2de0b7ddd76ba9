"""The environment and the override file that point a run at the emulator."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest

from infra_orch.process import capture
from infra_orch.sandbox.redirect import (
    OVERRIDE_NAME,
    ProviderUse,
    apply_redirect,
    override_file,
    sandbox_environment,
    unsupported,
)

URL = "http://127.0.0.1:4566"


def terraform(folder: Path, *arguments: str) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    code, out, err = capture(["terraform", *arguments], cwd=folder, env=env)
    return code, (out + err).decode()


def test_no_aws_variable_of_the_user_is_left_but_the_region():
    user = {
        "PATH": "/usr/bin",
        "AWS_PROFILE": "prod",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ROLE_ARN": "arn:aws:iam::999999999999:role/x",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2/",
        "AWS_CA_BUNDLE": "/ca.pem",
        "AWS_USE_FIPS_ENDPOINT": "yes",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "yes",
        "AWS_REGION": "eu-west-1",
        "TF_REATTACH_PROVIDERS": "{}",
    }
    before = dict(user)
    env = apply_redirect(user, sandbox_environment(URL))
    real = set(user.values()) - {"/usr/bin", "eu-west-1"}
    assert not real & set(env.values())
    assert not {"AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TF_REATTACH_PROVIDERS"} & set(
        env
    )
    assert env["AWS_REGION"] == "eu-west-1"
    assert user == before


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_default_region_does_not_overrule_the_users(name):
    env = apply_redirect({name: "eu-west-1"}, sandbox_environment(URL, "ap-south-1"))
    assert {value for key, value in env.items() if key.endswith("REGION")} == {"eu-west-1"}


def test_the_default_region_stands_in_where_the_user_names_none():
    assert apply_redirect({}, sandbox_environment(URL, "ap-south-1"))["AWS_REGION"] == "ap-south-1"


def test_with_closed_proxies_loopback_is_reachable_and_the_world_is_not(monkeypatch):
    env = apply_redirect({"https_proxy": "http://proxy.example.com:3128"}, sandbox_environment(URL))
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert urllib.request.proxy_bypass("127.0.0.1")
    assert not urllib.request.proxy_bypass("sts.amazonaws.com")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("https://sts.amazonaws.com", timeout=5)


def test_init_keeps_the_users_proxies_and_still_no_credentials():
    user = {"HTTPS_PROXY": "http://proxy.example.com:3128", "AWS_ACCESS_KEY_ID": "AKIAREAL"}
    env = apply_redirect(user, sandbox_environment(URL, registry=True))
    assert env["HTTPS_PROXY"] == user["HTTPS_PROXY"]
    assert "NO_PROXY" not in env
    assert env["AWS_ACCESS_KEY_ID"] != "AKIAREAL"


@pytest.mark.parametrize(
    "uses",
    [
        [],
        [ProviderUse("aws")],
        [ProviderUse("aws"), ProviderUse("aws", "replica"), ProviderUse("random")],
        [ProviderUse("aws", "few", frozenset({"profile", "region", "endpoints", "assume_role_with_web_identity"}))],
    ],
)
def test_terraform_fmt_leaves_the_override_file_alone(tmp_path, uses):
    (tmp_path / OVERRIDE_NAME).write_text(override_file(uses, "states/unit.tfstate"))
    assert terraform(tmp_path, "fmt", "-check", "-diff") == (0, "")


def test_only_arguments_that_the_block_sets_are_taken_back_where_they_are_known():
    text = override_file([ProviderUse("aws", None, frozenset({"profile", "region"}))], "x.tfstate")
    assert [line.split()[0] for line in text.splitlines() if line.endswith("= null")] == ["profile"]


@pytest.mark.parametrize(
    "backend", ['backend "s3" {\n    bucket = "b"\n    key    = "k"\n    region = "eu-west-1"\n  }', ""]
)
def test_state_goes_to_the_named_file_whatever_the_backend(tmp_path, backend):
    state = tmp_path / 'sta"te ${x} ü' / "unit.tfstate"
    (tmp_path / "main.tf").write_text(f'terraform {{\n  {backend}\n}}\nresource "terraform_data" "a" {{}}\n')
    (tmp_path / OVERRIDE_NAME).write_text(override_file([], str(state)))
    code, output = terraform(tmp_path, "init", "-no-color")
    assert code == 0, output
    code, output = terraform(tmp_path, "apply", "-auto-approve", "-no-color")
    assert code == 0, output
    assert [entry["type"] for entry in json.loads(state.read_text())["resources"]] == ["terraform_data"]


def test_only_aws_and_providers_that_reach_nothing_may_run():
    inside = [
        "hashicorp/aws",
        "registry.terraform.io/hashicorp/aws",
        "registry.opentofu.org/hashicorp/random",
        "terraform.io/builtin/terraform",
        "hashicorp/null",
        "aws",
    ]
    outside = [
        "example.com/hashicorp/aws",
        "hashicorp/external",
        "hashicorp/google",
        "hashicorp/http",
        "registry.terraform.io/acme/aws",
    ]
    assert unsupported([*outside, *inside, *outside]) == outside
