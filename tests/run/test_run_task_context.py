"""The AWS clients of tasks: they go where the run goes, whatever the user's own environment says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra_orch.run.task_context import client_of
from infra_orch.sandbox.redirect import ACCESS_KEY, apply_redirect, sandbox_environment

URL = "http://127.0.0.1:9"
CONFIG = """
[profile team]
region = eu-central-1
s3 =
    addressing_style = virtual
use_fips_endpoint = true
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file of profiles, one of which they have chosen."""
    file = tmp_path / "config"
    file.write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.delenv("AWS_REGION", raising=False)
    return file


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("profile", ["team", "of another machine"])
def test_in_the_sandbox_the_users_profile_does_not_count(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", profile)
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    client = client_of(apply_redirect(os.environ, sandbox_environment(URL, "eu-west-1")), "s3", None)
    assert (client.meta.endpoint_url, client.meta.region_name) == (URL, "eu-west-1")
    assert not client.meta.config.use_fips_endpoint
    signed = client.generate_presigned_url("get_object", {"Bucket": "papers", "Key": "one"})
    assert signed.startswith(f"{URL}/papers/one?")  # by path: there is no papers.127.0.0.1
    assert ACCESS_KEY in signed


def test_beside_the_credentials_of_a_role_the_users_profile_does_not_count(config: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAROLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    client = client_of({"AWS_CONFIG_FILE": str(config), **keys}, "sqs", None)
    assert client.meta.endpoint_url == "https://sqs.eu-west-1.amazonaws.com"


@pytest.mark.usefixtures("config")
def test_without_either_it_does() -> None:
    client = client_of(os.environ, "sqs", None)
    assert (client.meta.region_name, client.meta.config.use_fips_endpoint) == ("eu-central-1", True)
