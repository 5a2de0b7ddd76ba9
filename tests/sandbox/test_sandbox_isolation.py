"""The proof that nothing leaves: a unit and a desk full of real ways out, run in the sandbox by the real AWS provider."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.process import capture
from infra_orch.sandbox.escapes import provider_uses
from infra_orch.sandbox.leftovers import leftovers
from infra_orch.sandbox.redirect import (
    ACCESS_KEY,
    OVERRIDE_NAME,
    ProviderUse,
    apply_redirect,
    override_file,
    sandbox_environment,
)
from infra_orch.sandbox.server import start_for_run

pytestmark = pytest.mark.aws

REAL_KEY = "AKIAREALREALREALREAL"
UNIT = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
  backend "s3" {
    bucket = "real-state"
    key    = "unit"
    region = "eu-west-1"
  }
}

provider "aws" {
  region                        = "eu-west-1"
  profile                       = "prod"
  access_key                    = "AKIAREALREALREALREAL"
  secret_key                    = "real-secret"
  token                         = "real-token"
  shared_config_files           = ["FOLDER/config"]
  shared_credentials_files      = ["FOLDER/credentials"]
  http_proxy                    = "RECORDER"
  https_proxy                   = "RECORDER"
  no_proxy                      = "example.com"
  ec2_metadata_service_endpoint = "RECORDER"
  use_dualstack_endpoint        = true
  allowed_account_ids           = ["999999999999"]
  max_retries                   = 1
  CA_BUNDLE

  assume_role {
    role_arn = "arn:aws:iam::999999999999:role/deploy"
  }

  endpoints {
    s3  = "RECORDER"
    sns = "RECORDER"
    sts = "RECORDER"
  }
}

data "aws_caller_identity" "here" {}

resource "aws_s3_bucket" "logs" {
  bucket = "infra-orch-logs"
}

resource "aws_sns_topic" "alerts" {
  name = "alerts"
}

output "account" {
  value = data.aws_caller_identity.here.account_id
}
"""
WEB_IDENTITY = """
provider "aws" {
  alias  = "web"
  region = "eu-west-1"

  assume_role_with_web_identity {
    role_arn                = "arn:aws:iam::999999999999:role/deploy"
    web_identity_token_file = "FOLDER/no-such-token"
  }
}

data "aws_caller_identity" "web" {
  provider = aws.web
}
"""


@dataclass
class Recorder:
    """Takes every connection, notes what it begins with, and hangs up."""

    url: str
    seen: list[bytes] = field(default_factory=list)


@contextmanager
def recorder() -> Iterator[Recorder]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        record = Recorder(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def take() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    try:
                        record.seen.append(connection.recv(200))
                    except OSError as error:
                        record.seen.append(repr(error).encode())

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield record
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@dataclass
class Front:
    """Stands before the emulator: which key signed each call, and which keys the emulator gave out."""

    url: str
    keys: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)


@contextmanager
def front(target: str) -> Iterator[Front]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            notes.keys += re.findall(r"Credential=([^/]+)/", self.headers.get("Authorization", "Credential=(none)/"))
            request = urllib.request.Request(target + self.path, body or None, dict(self.headers), method=self.command)
            try:
                answer = opener.open(request)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                content = answer.read()
                notes.given.update(re.findall(r"<AccessKeyId>(.+?)</AccessKeyId>", content.decode(errors="replace")))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in {"connection", "content-length", "date", "server"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward  # noqa: N815 the names are http.server's

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        notes = Front(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield notes
        server.shutdown()
    thread.join(5)


@pytest.fixture
def cli_config(tmp_path) -> Path:
    """A Terraform CLI configuration with a mirror of the AWS provider on this machine."""
    for mirror in find_mirrors(os.environ):
        if "registry.terraform.io/hashicorp/aws" in providers_in(mirror):
            path = tmp_path / "terraform.rc"
            path.write_text(
                f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(str(mirror))}\n  }}\n}}\n"
            )
            return path
    pytest.skip("there is no mirror of hashicorp/aws on this machine")


def desk(folder: Path, cli_config: Path, way_out: str) -> dict[str, str]:
    """The environment of somebody who works on the real account, with every way out ending at *way_out*."""
    (folder / "config").write_text(
        f"[profile prod]\nregion = eu-west-1\nendpoint_url = {way_out}\nrole_arn = arn:aws:iam::999999999999:role/deploy\n"
        f"source_profile = base\n[profile base]\nendpoint_url = {way_out}\n[default]\nendpoint_url = {way_out}\n"
    )
    keys = f"aws_access_key_id = {REAL_KEY}\naws_secret_access_key = real-secret\n"
    (folder / "credentials").write_text("".join(f"[{name}]\n{keys}" for name in ("default", "base")))
    return {
        "PATH": os.environ["PATH"],
        "GOGC": os.environ["GOGC"],
        "HOME": str(folder),
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(cli_config),
        "AWS_ACCESS_KEY_ID": REAL_KEY,
        "AWS_SECRET_ACCESS_KEY": "real-secret",
        "AWS_SESSION_TOKEN": "real-token",
        "AWS_PROFILE": "prod",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_ENDPOINT_URL": way_out,
        "AWS_ENDPOINT_URL_S3": way_out,
        "AWS_ENDPOINT_URL_SNS": way_out,
        "AWS_ENDPOINT_URL_STS": way_out,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{way_out}/credentials",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": way_out,
        "HTTP_PROXY": way_out,
        "HTTPS_PROXY": way_out,
        "https_proxy": way_out,
        "ALL_PROXY": way_out,
    }


def unit(folder: Path, text: str, way_out: str) -> Path:
    folder.mkdir()
    (folder / "main.tf").write_text(text.replace("RECORDER", way_out).replace("FOLDER", str(folder.parent)))
    return folder


def terraform(folder: Path, env: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    code, out, err = capture(["terraform", *arguments, "-no-color"], cwd=folder, env=env, timeout=90)
    return code, (out + err).decode()


def test_nothing_leaves_the_sandbox_and_no_real_key_is_shown_even_to_it(tmp_path, cli_config):
    with recorder() as out, start_for_run(tmp_path / "work") as emulator, front(emulator.url) as seen:
        bundle = 'custom_ca_bundle = "FOLDER/no-such-bundle.pem"'
        folder = unit(tmp_path / "unit", UNIT.replace("CA_BUNDLE", bundle), out.url)
        (folder / OVERRIDE_NAME).write_text(override_file(provider_uses(folder), "unit.tfstate"))
        env = apply_redirect(desk(tmp_path, cli_config, out.url), sandbox_environment(seen.url))
        for step in (["init"], ["apply", "-auto-approve"]):
            code, text = terraform(folder, env, *step)
            assert code == 0, text
        account = json.loads((folder / "unit.tfstate").read_text())["outputs"]["account"]["value"]
        made = leftovers(emulator.url)
    assert out.seen == []
    assert set(seen.keys) - seen.given == {ACCESS_KEY}
    assert account == "999999999999"  # the role of the block was assumed, in the emulator
    assert [line.split()[2] for line in made] == ["Bucket", "Topic"]


def test_the_same_unit_outside_the_sandbox_does_try_to_leave(tmp_path, cli_config):
    """Without this the test above would pass as well with a recorder that sees nothing."""
    with recorder() as out:
        folder = unit(tmp_path / "unit", UNIT.replace("CA_BUNDLE", ""), out.url)
        (folder / "z_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        env = desk(tmp_path, cli_config, out.url)
        code, text = terraform(folder, env, "init")
        assert code == 0, text
        argv = ["terraform", "plan", "-no-color"]
        with subprocess.Popen(argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as planning:
            deadline = time.monotonic() + 60
            while not out.seen and planning.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(planning.pid, signal.SIGKILL)
    assert out.seen != []


def test_a_role_that_needs_a_token_file_is_left_out_and_every_argument_can_be_taken_back(tmp_path, cli_config):
    """What is nulled without knowing the block must exist in the provider: Terraform refuses unknown arguments."""
    with start_for_run(tmp_path / "work") as emulator:
        folder = unit(tmp_path / "unit", WEB_IDENTITY, emulator.url)
        (folder / OVERRIDE_NAME).write_text(override_file([ProviderUse("aws", "web")], "unit.tfstate"))
        env = apply_redirect(desk(tmp_path, cli_config, "http://127.0.0.1:1"), sandbox_environment(emulator.url))
        for step in (["init"], ["plan"]):
            code, text = terraform(folder, env, *step)
            assert code == 0, text
