"""Stacks are found by name or path, wherever the user stands; no name leads out of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra_orch.errors import UsageError
from infra_orch.project import find_project

SPEC = {f"stacks/{name}/stack.py": "" for name in ("dev", "team/prod", "team/state")}


@pytest.fixture
def project(desk):
    desk.write({**SPEC, "stacks/team/prod/rendered/web/stack.py": "", "stacks/gone/rendered/stack.json": "{}"})
    (desk.root / "stacks/Größe").mkdir()
    return find_project(desk.root / "stacks/team/prod")


def test_every_stack_is_listed_those_that_are_only_rendered_too(project) -> None:
    assert [folder.name for folder in project.stack_folders()] == ["dev", "gone", "team/prod", "team/state"]


@pytest.mark.parametrize(
    "name", ["team/prod", "team/prod/", "stacks/team/prod", "./stacks/team/prod", "stacks/team/prod/stack.py"]
)
def test_a_stack_is_found_by_its_name_and_by_its_path(project, name: str) -> None:
    assert project.stack(name).path == project.root / "stacks/team/prod"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../stacks/dev",
        "dev/../dev",
        "/dev",
        "dev dev",
        "dev\n",
        "dev\0",
        "größe",
        "-dev",
        "--help",
        "a" * 300,
        "dev//..",
        "~",
        "$(id)",
    ],
)
def test_what_cannot_be_the_name_of_a_stack_is_refused(project, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a stack"):
        project.stack(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dvev", 'did you mean "dev"?'),
        ("stacks/team/prd", 'did you mean "team/prod"?'),
        ("zzz", "stacks here: dev, gone, team/prod, team/state"),
    ],
)
def test_a_stack_that_is_missing_is_said_with_the_nearest(project, name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        project.stack(name)
    assert caught.value.summary.startswith(f'there is no stack "{name}": stacks/')
    assert caught.value.hint == hint


def test_a_folder_of_stacks_is_no_stack(project) -> None:
    for name in ("team", "stacks"):
        with pytest.raises(UsageError):
            project.stack(name)


def test_a_stack_that_a_link_leads_out_to_is_refused(project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/stack.py").write_text("")
    (project.stacks / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="stacks/linked is a link that leads out of the project"):
        project.stack("linked")


def test_without_a_project_the_way_to_one_is_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_project(tmp_path)
    assert caught.value.hint == "infra-orch new project NAME makes one, infra-orch init one of a git repository"


def test_a_project_without_stacks_says_how_to_make_one(desk) -> None:
    with pytest.raises(UsageError) as caught:
        find_project(desk.root).stack("dev")
    assert caught.value.hint == "infra-orch new stack NAME makes one"


def test_work_folders_lie_as_deep_as_the_rendered_ones(project) -> None:
    """So that a relative path in a rendered file means the same file from both."""
    folder = project.stack("team/prod")
    work, rendered = folder.work("work") / "web", folder.rendered / "web"
    up = os.path.relpath(project.root, rendered)
    assert Path(os.path.normpath(work / up)) == project.root


def test_the_scratch_folder_is_private_and_ignores_itself(desk) -> None:
    scratch = find_project(desk.root).scratch
    (scratch / "secret").write_text("x")
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert desk.git("status", "--porcelain", "--untracked-files=all") == ""
