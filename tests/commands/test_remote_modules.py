"""Modules that are not in the project: from git and a registry, and those that change between runs."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from network_mirror import SecureServer, certificate, package, serve

if TYPE_CHECKING:
    from conftest import Desk

NET = """
    variable "name" {
      type = string
    }

    resource "terraform_data" "net" {
      input = var.name
    }

    output "id" {
      value = terraform_data.net.id
    }

    output "name" {
      value = "VERSION ${var.name}"
    }

    output "password" {
      value     = "correct-horse-battery"
      sensitive = true
    }
"""
READER = """
    variable "value" {
      type = string
    }

    resource "terraform_data" "reader" {
      input = var.value
    }

    output "seen" {
      value     = var.value
      sensitive = true
    }
"""


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, desk: Desk) -> Path:
    """A repository of modules with the tags v1 and v2, in which `net` lies in a folder."""
    folder = tmp_path / "modules.git"
    (folder / "net").mkdir(parents=True)
    git(folder, "init", "--quiet")
    for version in ("v1", "v2"):
        (folder / "net" / "main.tf").write_text(textwrap.dedent(NET).replace("VERSION", version))
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", version)
        git(folder, "tag", version)
    desk.write({"modules/reader/main.tf": READER})
    return folder


def stack_of(module: str, output: str, more: str = "") -> str:
    return f"""
        from infra_orch import Stack

        stack = Stack("dev")
        net = stack.unit("net", module="{module}", inputs={{"name": "dev"}}{more})
        stack.unit("reader", module="reader", inputs={{"value": net.outputs.{output}}})
    """


def seen(desk: Desk) -> str:
    return desk.run("output", "dev", "reader", "seen", "--sensitive").out.strip()


def test_a_folder_of_a_git_repository_at_a_tag_is_a_module(desk: Desk, repository: Path) -> None:
    desk.write({"stacks/dev/stack.py": stack_of(f"git::file://{repository}//net?ref=v1", "name")})
    done = desk.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert seen(desk) == "v1 dev"
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0


def test_another_tag_is_fetched_by_itself(desk: Desk, repository: Path) -> None:
    for version in ("v1", "v2"):
        desk.write({"stacks/dev/stack.py": stack_of(f"git::file://{repository}//net?ref={version}", "name")})
        assert desk.run("apply", "dev", "--auto-approve").code == 0
        assert seen(desk) == f"{version} dev"


def test_a_tag_that_is_not_there_is_named(desk: Desk, repository: Path) -> None:
    desk.write({"stacks/dev/stack.py": stack_of(f"git::file://{repository}//net?ref=v9", "name")})
    failed = desk.run("plan", "dev")
    assert failed.code == 1
    assert "v9" in failed.out
    assert "net could not be downloaded" in failed.out


def test_a_sensitive_output_of_a_remote_module_has_to_be_declared_as_one(desk: Desk, repository: Path) -> None:
    source = f"git::file://{repository}//net?ref=v1"
    desk.write({"stacks/dev/stack.py": stack_of(source, "password")})
    failed = desk.run("plan", "dev")
    assert failed.code == 1
    assert 'sensitive_outputs=["password"]' in failed.out
    desk.write({"stacks/dev/stack.py": stack_of(source, "password", ', sensitive_outputs=["password"]')})
    done = desk.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert "correct-horse-battery" not in done.out + done.err
    assert seen(desk) == "correct-horse-battery"


def test_an_output_that_a_remote_module_does_not_have_is_named_with_the_one_meant(desk: Desk, repository: Path) -> None:
    desk.write({"stacks/dev/stack.py": stack_of(f"git::file://{repository}//net?ref=v1", "nmae")})
    failed = desk.run("plan", "dev")
    assert failed.code == 1
    assert 'the module of net has no output "nmae"' in failed.out
    assert 'did you mean "name"?' in failed.out


@pytest.mark.parametrize("folder", ["stacks/dev/parts/net", "stacks/shared/net", "parts/net"])
def test_a_module_anywhere_in_the_project_is_given_by_a_relative_path(
    desk: Desk, repository: Path, folder: str
) -> None:
    path = Path(os.path.relpath(folder, "stacks/dev")).as_posix()
    path = path if path.startswith("../") else f"./{path}"
    desk.write({f"{folder}/main.tf": NET, "stacks/dev/stack.py": stack_of(path, "name")})
    done = desk.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert seen(desk) == "VERSION dev"


def test_a_sensitive_value_that_a_local_module_lets_out_is_told_with_the_mend(desk: Desk, repository: Path) -> None:
    leaky = NET.replace('"VERSION ${var.name}"', 'sensitive("VERSION ${var.name}")')
    desk.write({"modules/net/main.tf": leaky, "stacks/dev/stack.py": stack_of("net", "name")})
    failed = desk.run("plan", "dev")
    assert failed.code == 1
    assert "an output holds a sensitive value and is not marked as sensitive" in failed.out
    assert "sensitive_outputs" in failed.out


def test_a_module_that_grows_a_nested_module_is_initialised_by_itself(desk: Desk, repository: Path) -> None:
    desk.write({"modules/net/main.tf": NET, "stacks/dev/stack.py": stack_of("net", "name")})
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    desk.write({
        "modules/net/more.tf": 'module "inner" {\n  source = "../inner"\n}\n',
        "modules/inner/main.tf": 'resource "terraform_data" "inner" {}\n',
    })  # fmt: skip
    planned = json.loads(desk.run("plan", "dev", "--json").out)
    assert [r["address"] for r in planned["units"]["net"]["resources"]] == [
        "module.net.module.inner.terraform_data.inner"
    ]
    desk.write(
        {
            "modules/inner/deep.tf": f'module "deep" {{\n  source = "git::file://{repository}//net?ref=v2"\n  name = "x"\n}}\n'
        }
    )
    planned = json.loads(desk.run("plan", "dev", "--json").out)
    assert "module.net.module.inner.module.deep.terraform_data.net" in [
        r["address"] for r in planned["units"]["net"]["resources"]
    ]


@pytest.fixture
def registry(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module registry with acme/net/builtin in versions 1.0.0 and 2.0.0; yields its host.

    It speaks the module registry protocol (developer.hashicorp.com/terraform/internals/module-registry-protocol).
    """
    modules = "/v1/modules/acme/net/builtin"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = {
                "/.well-known/terraform.json": {"modules.v1": "/v1/modules/"},
                f"{modules}/versions": {"modules": [{"versions": [{"version": "1.0.0"}, {"version": "2.0.0"}]}]},
            }
            body = json.dumps(answers.get(self.path, {})).encode()
            download = self.path.removeprefix(f"{modules}/").removesuffix("/download")
            self.send_response(200 if self.path in answers else 204)
            self.send_header("Content-Type", "application/json")
            if self.path in answers:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("X-Terraform-Get", f"git::file://{repository}//net?ref=v{download[0]}")
            self.end_headers()
            if self.path in answers:
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    public, private = certificate(tmp_path)
    server = SecureServer(("127.0.0.1", 0), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.context.load_cert_chain(public, private)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_registry_module_comes_in_the_version_that_its_constraint_allows(desk: Desk, registry: str) -> None:
    source = f"{registry}/acme/net/builtin"
    desk.write({"stacks/dev/stack.py": stack_of(source, "name", ', version="~> 1.0"')})
    done = desk.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.out + done.err
    assert seen(desk) == "v1 dev"
    rendered = (desk.root / "stacks/dev/rendered/net/main.tf").read_text()
    assert f'source  = "{source}"\n  version = "~> 1.0"' in rendered


def test_a_version_that_the_registry_does_not_have_is_named(desk: Desk, registry: str) -> None:
    desk.write({"stacks/dev/stack.py": stack_of(f"{registry}/acme/net/builtin", "name", ', version="~> 7.0"')})
    failed = desk.run("plan", "dev")
    assert failed.code == 1
    assert (
        f"no version of the module {registry}/acme/net/builtin fits the constraint; the newest is 2.0.0" in failed.out
    )


def test_a_provider_of_a_remote_module_is_kept_out_of_the_sandbox(
    desk: Desk, emulator: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = "registry.terraform.io/acme/tiny"
    (repository / "net" / "more.tf").write_text(
        'terraform {\n  required_providers {\n    tiny = { source = "acme/tiny" }\n  }\n}\n'
    )
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "v3")
    desk.write({"stacks/dev/stack.py": stack_of(f"git::file://{repository}//net", "name")})
    with serve(tmp_path, {tiny: {"1.0.0": package("tiny", "1.0.0")}}) as mirror:
        rc = tmp_path / "user.tfrc"
        rc.write_text(f'provider_installation {{\n  network_mirror {{\n    url = "{mirror.url}"\n  }}\n}}\n')
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(rc))
        monkeypatch.setenv("SSL_CERT_FILE", str(mirror.certificate))
        refused = desk.run("plan", "dev", "--sandbox")
    assert refused.code == 1
    assert f"the sandbox cannot keep this from the world: the provider {tiny}" in refused.out
    assert not list(desk.root.glob(".infra-orch/runs/*/net/plan.log"))
