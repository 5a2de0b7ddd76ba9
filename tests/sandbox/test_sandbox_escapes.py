"""What could reach past the emulator is found before anything runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra_orch.errors import Where
from infra_orch.module.masking import BadSyntaxError
from infra_orch.process import capture
from infra_orch.sandbox.escapes import escapes, provider_uses
from infra_orch.sandbox.redirect import OVERRIDE_NAME, ProviderUse, override_file


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def get_modules(folder: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    code, out, err = capture(["terraform", "get", "-no-color"], cwd=folder, env=env)
    assert code == 0, (out + err).decode()


def test_a_provider_block_within_a_module_is_found_by_file_and_line(tmp_path):
    unit, module = tmp_path / "unit", tmp_path / "module"
    write(unit, {"main.tf": 'module "m" {\n  source = "../module"\n}\n'})
    write(module, {"main.tf": 'locals {}\n\nprovider "aws" {\n  region  = "eu-west-1"\n  profile = "prod"\n}\n'})
    get_modules(unit)
    (found,) = escapes(unit)
    assert found.where == Where("../module/main.tf", 3)
    assert "`profile`" in found.what


def test_a_provider_block_within_a_module_that_chooses_a_region_only_is_harmless(tmp_path):
    unit, module = tmp_path / "unit", tmp_path / "module"
    write(unit, {"main.tf": 'module "m" {\n  source = "../module"\n}\n'})
    write(module, {"main.tf": 'provider "aws" {\n  region = "eu-west-1"\n}\n'})
    get_modules(unit)
    assert escapes(unit) == []


def test_provisioners_are_found_in_both_syntaxes_and_in_modules(tmp_path):
    unit, module = tmp_path / "unit", tmp_path / "module"
    native = 'resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "true"\n  }\n}\n'
    body = {"resource": {"terraform_data": {"b": {"provisioner": {"remote-exec": {"inline": ["true"]}}}}}}
    write(unit, {"main.tf": f'module "m" {{\n  source = "../module"\n}}\n{native}'})
    write(module, {"main.tf.json": json.dumps(body)})
    get_modules(unit)
    assert sorted(found.what for found in escapes(unit)) == ['provisioner "local-exec"', 'provisioner "remote-exec"']


def test_the_root_modules_own_blocks_are_no_escape_and_are_listed_for_the_override_file(tmp_path):
    write(
        tmp_path,
        {
            "providers.tf": 'provider "aws" {\n  profile = "prod"\n  endpoints {\n    s3 = "https://x"\n  }\n}\n'
            'provider "aws" {\n  alias = "eu"\n}\nprovider "random" {}\n',
            "z_override.tf": 'provider "aws" {\n  insecure = true\n}\n',
        },
    )
    uses = provider_uses(tmp_path)
    write(tmp_path, {OVERRIDE_NAME: override_file(uses, "x.tfstate")})
    assert escapes(tmp_path) == []
    assert provider_uses(tmp_path) == uses
    known = {(use.name, use.alias): use.arguments for use in uses}
    assert known == {
        ("aws", None): {"profile", "endpoints", "insecure"},
        ("aws", "eu"): {"alias"},
        ("random", None): frozenset(),
    }
    assert all(isinstance(use, ProviderUse) for use in uses)


def test_a_file_that_cannot_be_read_as_hcl_is_not_passed_over(tmp_path):
    write(tmp_path, {"main.tf": 'provider "aws" {\n  profile = \n'})
    with pytest.raises(BadSyntaxError, match=r"main\.tf"):
        escapes(tmp_path)
