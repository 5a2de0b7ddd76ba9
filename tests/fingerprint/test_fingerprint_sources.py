"""What a module is made of, and what nobody can see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra_orch.fingerprint.sources import ModuleSources, Sources, is_exact
from infra_orch.module.reads import unknown_reads
from infra_orch.project import find_project

if TYPE_CHECKING:
    from conftest import Desk

FILES = {
    "modules/web/main.tf": """
    module "inner" {
      source = "../inner"
    }
    module "vpc" {
      source  = "acme/vpc/aws"
      version = "5.1.0"
    }
    locals {
      page = templatefile("${path.module}/page.tftpl", {})
      team = file("${path.module}/../../shared/team.json")
      each = [for name in fileset(path.module, "*.txt") : file("${path.module}/${name}")]
    }
    """,
    "modules/web/page.tftpl": "hello",
    "modules/inner/main.tf": 'module "deep" {\n  source = "./deep"\n}\n',
    "modules/inner/deep/main.tf": 'output "x" {\n  value = filebase64("${path.module}/logo.png")\n}\n',
    "modules/inner/deep/logo.png": "not really",
    "modules/other/main.tf": "",
    "shared/team.json": "{}",
    "stacks/dev/stack.py": "",
}


def sources(desk: Desk, module: str = "modules/web") -> ModuleSources:
    return Sources(find_project(desk.root)).of_module(module)


@pytest.fixture
def web(desk: Desk) -> Desk:
    return desk.write(FILES)


def test_all_that_lies_in_a_module_and_the_local_ones_below_it_counts_and_what_they_read_elsewhere(web: Desk) -> None:
    assert set(sources(web).files) == {
        "modules/web/main.tf",
        "modules/web/page.tftpl",
        "modules/inner/main.tf",
        "modules/inner/deep/main.tf",
        "modules/inner/deep/logo.png",
        "shared/team.json",
    }


@pytest.mark.parametrize("path", ["modules/web/page.tftpl", "modules/inner/deep/logo.png", "shared/team.json"])
def test_a_file_that_changes_changes_its_digest_alone(web: Desk, path: str) -> None:
    before = sources(web).files
    (web.root / path).write_text("other")
    after = sources(web).files
    assert {name for name in before if before[name] != after[name]} == {path}


def test_the_same_files_elsewhere_are_the_same(web: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = sources(web)
    moved = tmp_path_factory.mktemp("elsewhere") / "clone"
    web.root.rename(moved)
    assert Sources(find_project(moved)).of_module("modules/web") == before


def test_remote_modules_count_by_the_version_that_they_are_called_with(web: Desk) -> None:
    assert sources(web).remote == {"acme/vpc/aws": "5.1.0"}
    assert sources(web).unseen == sources(web).loose == ()


@pytest.mark.parametrize(
    ("source", "version", "exact"),
    [
        ("acme/vpc/aws", "5.1.0", True),
        ("acme/vpc/aws", "= 5.1.0", True),
        ("acme/vpc/aws", "~> 5.1", False),
        ("acme/vpc/aws", ">= 5.1.0", False),
        ("acme/vpc/aws", "", False),
        ("git::https://example.com/vpc.git?ref=v1.2.0", "", True),
        ("git::https://example.com/vpc.git?ref=0123456789abcdef0123456789abcdef01234567", "", True),
        ("git::https://example.com/vpc.git?ref=main", "", False),
        ("git::https://example.com/vpc.git", "", False),
        ("https://example.com/vpc.zip", "", False),
    ],
)
def test_a_version_or_a_ref_is_exact_where_it_always_means_the_same_files(
    source: str, version: str, exact: bool
) -> None:
    assert is_exact(source, version) is exact


@pytest.mark.parametrize(
    ("call", "known"),
    [
        ('file("${path.module}/a.txt")', True),
        ('file( "${ path.module }/a.txt" )', True),
        ('fileset(path.module, "*.json")', True),
        ('fileset("${path.module}", "*.json")', True),
        ("file(var.path)", False),
        ('file("/etc/hosts")', False),
        ('file(pathexpand("~/.ssh/id.pub"))', False),
        ('templatefile("${path.root}/a.tftpl", {})', False),
        ("filesha256(each.value)", False),
        ('profile("x")', True),
    ],
)
def test_a_call_that_reads_elsewhere_than_beside_its_module_is_told(call: str, known: bool) -> None:
    text = f"locals {{\n  x = {call}\n}}\n"
    assert [line for line, _ in unknown_reads(text)] == ([] if known else [2])


def test_what_cannot_be_seen_is_named_with_its_place(desk: Desk) -> None:
    desk.write(
        {**FILES, "modules/other/main.tf": 'locals {\n  x = file(var.path)\n}\nmodule "m" {\n  source = "a/b/c"\n}\n'}
    )
    found = sources(desk, "modules/other")
    assert found.unseen == ("modules/other/main.tf:2 reads file(var.path)",)
    assert found.loose == ("modules/other/main.tf:4 calls a/b/c, of no exact version",)
