"""Reading and completing dependency lock files, as the real Terraform writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from network_mirror import NetworkMirror

from infra_orch.engine.engine import Engine
from infra_orch.engine.lock_file import NAME, Locked, locked_providers, with_hashes

TINY = "registry.terraform.io/acme/tiny"
SMALL = "registry.terraform.io/acme/small"


@pytest.fixture
def lock(terraform: Engine, network: NetworkMirror, tmp_path: Path, base_env: dict[str, str]) -> Path:
    """A lock file with two providers, one of them with a constraint."""
    folder = tmp_path / "unit"
    folder.mkdir()
    (folder / "main.tf").write_text(
        'terraform {\n  required_providers {\n    tiny  = { source = "acme/tiny", version = "~> 1.0" }\n'
        '    small = { source = "acme/small" }\n  }\n}\n'
    )
    (folder / "cli.tfrc").write_text(f'provider_installation {{\n  network_mirror {{ url = "{network.url}" }}\n}}\n')
    env = {**base_env, "SSL_CERT_FILE": str(network.certificate), "TF_CLI_CONFIG_FILE": str(folder / "cli.tfrc")}
    subprocess.run([*terraform.program, "init", "-no-color"], cwd=folder, env=env, check=True, capture_output=True)
    return folder / NAME


def test_versions_and_hashes_are_read(lock: Path) -> None:
    locked = locked_providers(lock.read_text())
    assert {address: provider.version for address, provider in locked.items()} == {TINY: "1.1.0", SMALL: "3.0.0"}
    assert all(entry.startswith("h1:") for provider in locked.values() for entry in provider.hashes)
    assert all(provider.hashes for provider in locked.values())


def test_a_completed_file_is_one_that_terraform_leaves_alone(
    lock: Path, terraform: Engine, network: NetworkMirror, base_env: dict[str, str]
) -> None:
    extra = {"zh:" + "0" * 64, "h1:" + "A" * 43 + "=", "zh:" + "f" * 64}
    whole = with_hashes(lock.read_text(), {TINY: extra})
    before = locked_providers(lock.read_text())
    assert locked_providers(whole) == {SMALL: before[SMALL], TINY: Locked("1.1.0", before[TINY].hashes | extra)}
    lock.write_text(whole)
    env = {
        **base_env,
        "SSL_CERT_FILE": str(network.certificate),
        "TF_CLI_CONFIG_FILE": str(lock.with_name("cli.tfrc")),
    }
    done = subprocess.run(
        [*terraform.program, "init", "-no-color", "-lockfile=readonly"],
        cwd=lock.parent,
        env=env,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, lock.read_text()) == (0, whole)


def test_nothing_more_leaves_the_text_as_it_is(lock: Path) -> None:
    text = lock.read_text()
    assert with_hashes(text, {TINY: set(), "example.com/no/such": {"h1:x"}}) == text
    assert with_hashes(text, {TINY: locked_providers(text)[TINY].hashes}) == text


@pytest.mark.parametrize("text", ["", "garbage {", 'provider "a/b/c" {\n  hashes = [\n', 'provider "a/b/c" {\n}\n'])
def test_what_is_not_understood_locks_nothing(text: str) -> None:
    assert (locked_providers(text), with_hashes(text, {"a/b/c": {"h1:x"}})) == ({}, text)
