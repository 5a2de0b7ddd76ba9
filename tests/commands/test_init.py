"""`infra-orch init`: a repository that is there becomes a project, keeps all that it holds, and its states."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

NET = """
    terraform {
      backend "local" {
        path = "net.tfstate"
      }
    }

    variable "name" {
      type = string
    }

    resource "terraform_data" "a" {
      count = 2
      input = var.name
    }

    resource "terraform_data" "b" {
      input = terraform_data.a[0].id
    }

    module "sub" {
      source = "./sub"
    }
"""
SUB = 'resource "terraform_data" "s" {}\n'


@pytest.fixture
def plain(desk: Desk) -> Desk:
    """A repository of plain Terraform, which is no project yet."""
    shutil.rmtree(desk.root / "stacks")
    return desk.write({"live/net/main.tf": NET, "live/net/sub/main.tf": SUB, "modules/queue/main.tf": SUB})


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_a_repository_becomes_a_project_and_keeps_what_it_holds(plain: Desk) -> None:
    plain.write({".gitignore": "mine\n*.tfstate"})
    before = files_of(plain.root)
    done = plain.run("init")
    assert done.code == 0, done.err
    after = files_of(plain.root)
    assert set(after) - set(before) == {"infra-orch.toml", ".gitattributes"}
    assert {name for name in before if after[name] != before[name]} == {".gitignore"}
    ignored = after[".gitignore"].decode().splitlines()
    assert ignored[:2] == ["mine", "*.tfstate"]
    assert ignored.count("*.tfstate") == 1
    assert "*.plan" in ignored
    assert (plain.root / "stacks").is_dir()
    assert "root modules with states of their own: live/net" in done.err
    assert "which a unit calls by name: queue" in done.err
    assert "infra-orch init --from live/net" in done.err


def test_a_second_time_changes_nothing(plain: Desk) -> None:
    plain.run("init")
    before = files_of(plain.root)
    again = plain.run("init")
    assert (again.code, again.out, files_of(plain.root)) == (0, "", before)
    assert "is a project already: nothing was changed" in again.err


def test_a_root_module_is_taken_over_with_its_state_by_the_commands_that_are_printed(plain: Desk) -> None:
    """Those very commands are run in a shell, and the plan of it has nothing to do."""
    live = plain.root / "live/net"
    (live / "terraform.tfvars").write_text('name = "x"\n')
    for words in (["init"], ["apply", "-auto-approve"]):
        subprocess.run(["terraform", *words], cwd=live, check=True, capture_output=True)
    done = plain.run("init", "--from", "live/net")
    assert done.code == 0, done.err
    assert "stacks/net/stack.py" in done.out
    wrong = plain.run("validate", "net")
    assert wrong.code == 65
    assert 'input name of "net": a value is still to be written in place of ...' in wrong.err
    assert re.search(r"stacks/net/stack\.py:\d+", wrong.err)
    assert "live/net/main.tf:7 declares it as string" in wrong.err
    spec = plain.root / "stacks/net/stack.py"
    assert "or that makes everything a second time" in spec.read_text()
    spec.write_text(spec.read_text().replace('"name": ...', '"name": "x"'))
    assert plain.run("validate", "net").code == 0
    steps = re.search(r"^  2\. .*(?=^  5\. )", done.err, re.MULTILINE | re.DOTALL)
    assert steps
    script = re.sub(r"^  \d\. ", "", steps[0], flags=re.MULTILINE)
    ours = f'infra-orch() {{ "{sys.executable}" -m infra_orch "$@"; }}'
    argv = ["bash", "-euo", "pipefail", "-c", f"{ours}\n{script}"]
    moved = subprocess.run(argv, cwd=plain.root, check=False, capture_output=True, text=True)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    plan = plain.run("plan", "net", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    # It exists, and nothing was ever done here: so that the lists and drift know of it, an apply records it.
    assert "recorded in" in plain.run("apply", "net", "--auto-approve").err
    (stack,) = json.loads(plain.run("list", "--json").out)["stacks"]
    assert [unit["state"] for unit in stack["units"]] == ["current"]
    assert "never applied" not in plain.run("drift", "net").err
    assert "recorded in" not in plain.run("apply", "net", "--auto-approve").err


def test_a_bucket_of_states_stays_the_same_one(plain: Desk) -> None:
    backend = 'terraform {\n  backend "s3" {\n    bucket = "acme"\n    region = "eu-west-1"\n    key = "x"\n  }\n}\n'
    plain.write({"live/web/main.tf": backend, "live/gcp/main.tf": 'terraform {\n  backend "gcs" {}\n}\n'})
    assert plain.run("init", "--from", "live/web", "--from", "live/gcp").code == 0
    assert 'backend=S3Backend(bucket="acme", region="eu-west-1")' in (plain.root / "stacks/web/stack.py").read_text()
    assert 'in a backend "gcs"' in (plain.root / "stacks/gcp/stack.py").read_text()
    for name in ("web", "gcp"):
        assert plain.run("validate", name).code == 0


@pytest.mark.parametrize("name", ['a"""; import os', 'quoted"', "back\\slash", "größe"])
def test_a_folder_may_be_called_anything_that_can_be_seen_and_stays_a_name(plain: Desk, name: str) -> None:
    plain.write({f"live/{name}/main.tf": SUB})
    done = plain.run("init", "--from", f"live/{name}")
    assert done.code == 0, done.err
    (spec,) = plain.root.glob("stacks/*/stack.py")
    tree = ast.parse(spec.read_text())
    assert [type(part).__name__ for part in tree.body] == ["Expr", "ImportFrom", "Assign", "Expr"]
    assert f"../../live/{name}" in [part.value for part in ast.walk(tree) if isinstance(part, ast.Constant)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere is no folder"),
        (("--from", "live"), "holds no Terraform files"),
        (("--from", "live/nte"), '--from "live/nte" is no folder'),
        (("--from", "live/a\nb"), "characters that nobody can see"),
        (("--from", "live/bell\a"), "characters that nobody can see"),
        (("--from", "live/a\udcff"), "characters that nobody can see"),
        (("--from", ".."), "outside of the project"),
        (("--from", "live/net", "--from", "live/net/../net"), "stacks/net exists already"),
        (("--form", "live/net"), "No such option: --form"),
    ],
)
def test_what_cannot_be_makes_nothing(plain: Desk, words: tuple[str, ...], said: str) -> None:
    before = files_of(plain.root)
    done = plain.run("init", *words)
    assert (done.code, files_of(plain.root)) == (64, before)
    assert said in done.err


def test_outside_of_git_and_within_a_project_it_is_refused(plain: Desk, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    loose = plain.run("init", str(tmp_path / "loose"))
    assert (loose.code, "lies in no git repository" in loose.err) == (64, True)
    plain.run("init")
    inner = plain.run("init", "live")
    assert (inner.code, "lies in the project" in inner.err) == (64, True)


def test_the_name_of_a_folder_cannot_run_anything_in_the_stack_file(plain: Desk) -> None:
    name = 'live/x"""; import os; os.mkdir("ran")  # \\N'
    plain.write({f"{name}/main.tf": 'terraform {\n  backend "gcs\\nimport os; os.mkdir(1)" {}\n}\n'})
    done = plain.run("init", "--from", name)
    assert done.code == 0, done.err
    (spec,) = (plain.root / "stacks").glob("*/stack.py")
    assert plain.run("validate", spec.parent.name).code == 0
    assert not (plain.root / "ran").exists()


def test_root_modules_whose_folders_are_called_alike_get_a_stack_each(plain: Desk) -> None:
    plain.write({"live/dev/net/main.tf": SUB, "live/state/main.tf": SUB, "templates/main.tf": SUB})
    assert plain.run("init", "--from", "live/net", "--from", "live/dev/net").code == 0
    assert plain.run("init", "--from", "live/state", "--from", "templates").code == 0
    found = sorted(path.parent.name for path in (plain.root / "stacks").glob("*/stack.py"))
    assert found == ["dev-net", "live-state", "net", "s-templates"]
    again = plain.run("init", "--from", "live/dev/net")
    assert (again.code, "stacks/dev-net exists already" in again.err) == (64, True)


def test_an_input_that_nobody_filled_in_is_said_to_be_one(plain: Desk) -> None:
    plain.run("init", "--from", "live/net")
    done = plain.run("validate", "net")
    assert (done.code, "input name" in done.err, "a value is still to be written" in done.err) == (65, True, True)


def test_a_file_where_a_folder_of_the_project_is_wanted_is_refused(plain: Desk) -> None:
    plain.write({"stacks": "mine"})
    before = files_of(plain.root)
    done = plain.run("init")
    assert (done.code, files_of(plain.root)) == (64, before)
    assert f"{plain.root}/stacks is in the way" in done.err
