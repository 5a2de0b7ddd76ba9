from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from infra_orch.errors import SpecError, Where
from infra_orch.module.lock_file import provider_versions

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PROVIDERS = {"hashicorp/tiny": "1.2.3", "example.com/acme/other-one": "0.9.0-beta.1"}


@pytest.fixture
def lock_file(terraform: Any, tmp_path: Path) -> Path:
    """A lock file that Terraform wrote for two providers from a local mirror; init never starts them."""
    machine = f"{sys.platform}_{MACHINES.get(platform.machine(), platform.machine())}"
    for address, version in PROVIDERS.items():
        name = address.rpartition("/")[2]
        full = address if address.count("/") == 2 else f"registry.terraform.io/{address}"
        program = tmp_path / "mirror" / full / version / machine / f"terraform-provider-{name}_v{version}"
        program.parent.mkdir(parents=True)
        program.write_text("")
        program.chmod(0o755)
    (tmp_path / "cli.rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path}/mirror"\n  }}\n}}\n'
    )
    required = "".join(
        f'    p{n} = {{ source = "{address}", version = "{version}" }}\n'
        for n, (address, version) in enumerate(PROVIDERS.items())
    )
    root = tmp_path / "root"
    root.mkdir()
    (root / "main.tf").write_text(f"terraform {{\n  required_providers {{\n{required}  }}\n}}\n")
    done = terraform(root, "init", env={"TF_CLI_CONFIG_FILE": str(tmp_path / "cli.rc")})
    assert done.returncode == 0, done.stdout + done.stderr
    return root / ".terraform.lock.hcl"


def test_versions_are_those_that_terraform_chose(lock_file: Path, terraform: Any) -> None:
    chosen = json.loads(terraform(lock_file.parent, "version", "-json").stdout)["provider_selections"]
    assert provider_versions(lock_file.read_text(), None) == chosen
    assert len(chosen) == len(PROVIDERS)


def test_versions_come_from_the_cache_the_second_time(lock_file: Path, tmp_path: Path) -> None:
    text, cache = lock_file.read_text(), tmp_path / "cache"
    first = provider_versions(text, cache)
    (entry,) = cache.iterdir()
    kept = json.loads(entry.read_text())
    entry.write_text(json.dumps({**kept, "value": {"example.com/a/b": "9.9.9"}}))
    assert provider_versions(text, cache) == {"example.com/a/b": "9.9.9"} != first


@pytest.mark.parametrize("damage", ["", "[]", '{"schema": 1, "value": {"a": 1}}', '{"schema": 1, "value": "x"}'])
def test_a_damaged_entry_is_read_anew(lock_file: Path, tmp_path: Path, damage: str) -> None:
    text, cache = lock_file.read_text(), tmp_path / "cache"
    first = provider_versions(text, cache)
    (entry,) = cache.iterdir()
    entry.write_text(damage)
    assert provider_versions(text, cache) == first


def test_a_broken_lock_file_is_told_with_its_line() -> None:
    with pytest.raises(SpecError) as caught:
        provider_versions('provider "x" {\n}\n<<<<<<< HEAD\n', None, shown_as="rendered/web/.terraform.lock.hcl")
    (problem,) = caught.value.problems
    assert problem.where == Where("rendered/web/.terraform.lock.hcl", 3)


def test_an_empty_lock_file_holds_no_versions() -> None:
    assert provider_versions("# nothing\n", None) == {}
