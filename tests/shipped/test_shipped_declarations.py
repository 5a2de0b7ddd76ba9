"""What the shipped modules declare, and whether the shipped stack fits them: nothing is planned here."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra_orch.module.declaration import Module
from infra_orch.module.read import read_module
from infra_orch.project import StackFolder
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack

MODULES = Path(__file__).resolve().parents[2] / "modules"
NAMES = sorted(folder.name for folder in MODULES.iterdir() if folder.is_dir())

# module -> (what it needs, what it refuses: input -> values), as HCL
WRONG: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {
    "network": (
        {"cidr_block": '"10.20.0.0/16"'},
        {
            "cidr_block": ['"10.0.0.1/16"', '"10.0.0.0/8"', '"10.0.0.0/25"', '"fd00::/16"', '"10.0.0.300/16"', '"all"'],
            "zone_count": ["0", "5", "1.5"],
            "name": ['"two words"', '""'],
        },
    ),
    "web_servers": (
        {"name": '"web"', "vpc_id": '"vpc-1"', "subnet_ids": '["subnet-1"]'},
        {
            "name": ['"-web"'],
            "subnet_ids": ["[]"],
            "server_count": ["-1", "1.5", "51"],
            "instance_type": ['"big"'],
            "ami_id": ['"latest"'],
            "port": ["0", "65536"],
            "ingress_cidr_blocks": ['["everyone"]'],
            "egress_cidr_blocks": ['["::/0"]'],
            "root_volume_gib": ["0"],
        },
    ),
    "alerts": (
        {},
        {
            "name": ['"a.b"'],
            "email_addresses": ['["nobody"]'],
            "cpu_percent": ["0", "101"],
            "server_groups": ['{ "two words" = "group" }'],
        },
    ),
}


@functools.cache
def module(name: str) -> Module:
    """What a shipped module declares; parsing it takes a second."""
    return read_module(MODULES / name, shown_as=name, cache=None)


def section(name: str, title: str) -> str:
    """The text under a heading of a module's README."""
    readme = (MODULES / name / "README.md").read_text(encoding="utf-8")
    return readme.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_every_input_with_its_type(name: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", section(name, "Inputs"), re.MULTILINE)
    assert {(input_, kind, default == "required") for input_, kind, default in listed} == {
        (variable.name, variable.constraint, variable.required) for variable in module(name).variables.values()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_lists_every_output(name: str) -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section(name, "Outputs"), re.MULTILINE)) == set(module(name).outputs)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_and_output_says_what_it_is(name: str) -> None:
    declared = [*module(name).variables.values(), *module(name).outputs.values()]
    assert [one.name for one in declared if not one.description] == []


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on PATH")
def test_the_modules_are_as_terraform_formats_them(tmp_path: Path) -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(MODULES)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_shipped_stack_fits_its_modules(shipped: StackFolder) -> None:
    assert check_stack(load_stack(shipped), shipped).stack.name == shipped.name


@pytest.mark.aws
def test_every_wrong_input_is_refused_at_its_own_line(tmp_path: Path, bare_environment: dict[str, str]) -> None:
    lines: list[str] = []
    wrong = []
    for folder, (right, values) in WRONG.items():
        for name, value in ((name, value) for name, several in values.items() for value in several):
            lines += [f'module "m{len(lines)}" {{', f'  source = "{MODULES}/{folder}"']
            lines += [f"  {key} = {given}" for key, given in right.items() if key != name]
            lines += [f"  {name} = {value}", "}"]
            wrong.append(len(lines) - 1)
    (tmp_path / "main.tf").write_text("\n".join(lines))
    run = {"cwd": tmp_path, "env": bare_environment, "capture_output": True, "text": True, "timeout": 120}
    subprocess.run(["terraform", "init", "-input=false"], **run, check=True)
    done = subprocess.run(["terraform", "validate", "-json"], **run, check=False)
    assert sorted(one["range"]["start"]["line"] for one in json.loads(done.stdout)["diagnostics"]) == wrong
