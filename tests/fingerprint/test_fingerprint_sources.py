"""What a module is made of, and what nobody can see of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from infra_orch.fingerprint.sources import ModuleSources, Sources
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
      each = fileset(path.module, "*.txt")
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
    assert sources(web).loose == ("modules/web/main.tf:4 calls acme/vpc/aws, whose files are not in the repository",)
    assert sources(web).unseen == ()


@pytest.mark.parametrize(
    ("call", "known"),
    [
        ('file("${path.module}/a.txt")', True),
        ('file( "${ path.module }/a.txt" )', True),
        ('fileset(path.module, "*.json")', True),
        ('fileset("${path.module}", "*.json")', True),
        ('file("${path.module}/../shared/a.txt")', True),
        ('file("${path.module}/${var.name}.txt")', False),
        ('file("${path.module}/../${var.name}")', False),
        ('fileset(path.module, "../*.txt")', False),
        ('fileset("${path.module}/a", "${var.x}/../*.txt")', False),
        ("file(var.path)", False),
        ('file ("/etc/hosts")', False),
        ('file("/etc/hosts")', False),
        ('file("~/.ssh/id.pub")', False),
        ('templatefile("${path.root}/a.tftpl", {})', False),
        ("filesha256(each.value)", False),
        ("timestamp()", False),
        ("uuid ()", False),
        ("abspath(path.module)", False),
        ('"${path.cwd}/x"', False),
        ('profile("x")', True),
        ("uuidv5(var.a, var.b)", True),
    ],
)
def test_what_makes_a_plan_depend_on_more_than_named_files_is_told(call: str, known: bool) -> None:
    text = f"locals {{\n  x = {call}\n}}\n"
    assert {line for line, _ in unknown_reads(text)} == (set() if known else {2})


def test_a_template_that_reads_files_is_told(desk: Desk) -> None:
    desk.write({**FILES, "modules/web/page.tftpl": "hello\n${file(dir)}\n"})
    assert sources(desk).unseen == ("modules/web/page.tftpl:2 reads file(dir)",)


def test_a_folder_that_holds_the_whole_project_is_told(desk: Desk) -> None:
    desk.write({**FILES, "modules/other/main.tf": 'locals {\n  x = fileset("${path.module}/../..", "*")\n}\n'})
    (told,) = sources(desk, "modules/other").unseen
    assert told.startswith("modules/other/main.tf reads /")


def test_a_file_whose_name_is_no_text_has_a_name_that_can_be_written(desk: Desk) -> None:
    desk.write(FILES)
    (desk.root / "modules/other" / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert "modules/other/caf\\xe9.txt" in sources(desk, "modules/other").files


def test_a_file_that_changes_is_read_again_unless_nothing_can_change(desk: Desk) -> None:
    desk.write(FILES)
    project = find_project(desk.root)
    looking, fixed = Sources(project), Sources(project, fixed=True)
    before = looking.of_module("modules/other"), fixed.of_module("modules/other")
    desk.write({"modules/other/main.tf": "locals {\n}\n"})
    assert looking.of_module("modules/other") != before[0]
    assert fixed.of_module("modules/other") == before[1]


def test_what_cannot_be_seen_is_named_with_its_place(desk: Desk) -> None:
    desk.write(
        {**FILES, "modules/other/main.tf": 'locals {\n  x = file(var.path)\n}\nmodule "m" {\n  source = "a/b/c"\n}\n'}
    )
    found = sources(desk, "modules/other")
    assert found.unseen == ("modules/other/main.tf:2 reads file(var.path)",)
    assert found.loose == ("modules/other/main.tf:4 calls a/b/c, whose files are not in the repository",)
