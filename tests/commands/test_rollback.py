"""`rollback`: the files of a run come back by a commit, and its plan is shown; nothing else is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "value" {
      type = string
    }

    resource "terraform_data" "it" {
      input = "${var.value} VERSION"
    }

    module "deep" {
      source = "../deep"
    }
"""
DEEP = """
    locals {
      text = file("${path.module}/../shared.txt")
    }
"""
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    stack.unit("web", module="it", inputs={"value": "VALUE"})
"""


def files(version: str) -> dict[str, str]:
    return {
        "modules/it/main.tf": MODULE.replace("VERSION", version),
        "modules/deep/main.tf": DEEP,
        "modules/shared.txt": f"{version}\n",
        "modules/other/main.tf": f"# {version}\n",
        "stacks/dev/stack.py": SPEC.replace("VALUE", version),
        "stacks/dev/notes.md": f"{version}\n",
    }


def runs(desk: Desk) -> list[str]:
    """The runs of the stack, oldest first."""
    return [run["run"] for run in reversed(json.loads(desk.run("history", "dev", "--json").out)["runs"])]


@pytest.fixture
def twice(desk: Desk) -> Desk:
    """A stack that was applied as it was first, and as it is."""
    for version in ("one", "two"):
        desk.write(files(version))
        desk.write({f"stacks/dev/{version}.py": "x = 1\n"})
        desk.commit(version)
        done = desk.run("apply", "dev", "--auto-approve")
        assert done.code == 0, done.err
    (desk.root / "stacks/dev/one.py").unlink()
    desk.commit("three")
    return desk


def test_the_files_of_a_run_come_back_and_its_plan_is_the_way_back(twice: Desk) -> None:
    before = twice.git("rev-parse", "HEAD")
    twice.write({"mine.txt": "mine\n", "modules/other/main.tf": "# mine\n"})
    twice.git("add", "mine.txt")
    run = runs(twice)[0]
    done = twice.run("rollback", "dev", "--to", run[:22])
    assert done.code == 0, done.err
    assert "~ module.web.terraform_data.it" in done.out
    assert '"two two" → "one one"' in done.out
    assert "infra-orch apply dev applies it; git revert" in done.err
    assert "does not come to" not in done.err
    assert twice.git("show", "--format=%s", "--name-status", "--no-renames", "HEAD").splitlines() == [
        f"roll back dev to run {run}",
        "",
        "M\tmodules/it/main.tf",
        "M\tmodules/shared.txt",
        "M\tstacks/dev/notes.md",
        "A\tstacks/dev/one.py",
        "M\tstacks/dev/rendered/stack.json",
        "M\tstacks/dev/rendered/web/main.tf",
        "M\tstacks/dev/stack.py",
        "D\tstacks/dev/two.py",
    ]
    assert twice.git("rev-parse", "HEAD~1") == before
    # What is somebody's, staged or not, stays as it is.
    assert twice.git("status", "--porcelain").splitlines() == ["A  mine.txt", " M modules/other/main.tf"]
    applied = twice.run("apply", "dev", "--auto-approve")
    assert applied.code == 0, applied.err
    assert twice.run("plan", "dev", "--detailed-exitcode").code == 0
    again = twice.run("rollback", "dev", "--to", run)
    assert (again.code, "there is nothing to roll back" in again.err) == (0, True)


def test_it_goes_on_a_branch_where_that_is_asked_for(twice: Desk) -> None:
    before, run = twice.git("rev-parse", "main"), runs(twice)[0]
    done = twice.run("rollback", "dev", "--to", run, "--branch", "back", "--detailed-exitcode", "--json")
    assert done.code == 2, done.err
    assert json.loads(done.out)["units"]["web"]["changes"]["update"] == 1
    assert (twice.git("rev-parse", "main"), twice.git("branch", "--show-current")) == (before, "back")
    twice.git("switch", "--quiet", "main")
    taken = twice.run("rollback", "dev", "--to", run, "--branch", "back")
    assert (taken.code, 'there is a branch "back" already' in taken.err) == (64, True)
    assert twice.git("status", "--porcelain") == "", "nothing was written"


def test_what_would_be_overwritten_is_refused(twice: Desk) -> None:
    twice.write({"modules/shared.txt": "mine\n"})
    done = twice.run("rollback", "dev", "--to", runs(twice)[0])
    assert done.code == 77
    assert "these would be overwritten, and differ from what is committed: modules/shared.txt" in done.err
    assert twice.git("log", "-1", "--format=%s") == "three"


def test_other_stacks_that_call_the_modules_are_named(twice: Desk) -> None:
    twice.write({"stacks/app/stack.py": SPEC.replace('"dev"', '"app"').replace("VALUE", "x")})
    assert twice.run("render", "app").code == 0
    done = twice.run("rollback", "dev", "--to", runs(twice)[0])
    assert "modules/it is restored, and also called by app/web" in done.err


def test_a_run_whose_files_were_never_committed_is_refused_and_says_which(desk: Desk) -> None:
    desk.write(files("one"))
    desk.commit()
    desk.write({"modules/shared.txt": "never committed\n"})
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    desk.write(files("two"))
    desk.commit()
    done = desk.run("rollback", "dev", "--to", runs(desk)[0])
    assert done.code == 77
    assert "was made with changes that were never committed; what git has differs in: modules/shared.txt" in done.err
    assert (desk.root / "modules/shared.txt").read_text() == "two\n"


def test_a_task_that_was_never_committed_is_not_lost_in_silence(twice: Desk) -> None:
    spec = twice.root / "stacks/dev/stack.py"
    committed = spec.read_text()
    task = "\n\n@stack.task(after=[])\ndef check(context):\n    pass\n"
    spec.write_text(committed + task + 'stack.unit("more", module="it", inputs={"value": "more"})\n')
    applied = twice.run("apply", "dev", "--auto-approve")
    assert "dev: made of changes that are not committed, so nobody can go back to this run" in applied.err
    spec.write_text(committed + 'stack.unit("more", module="it", inputs={"value": "more"})\n')
    twice.commit("without the task")
    refused = twice.run("rollback", "dev", "--to", runs(twice)[-1])
    assert (refused.code, "task check" in refused.err) == (77, True)


def test_what_stacks_share_is_not_restored_and_that_is_said(desk: Desk) -> None:
    spec = SPEC.replace("import Stack", "import Stack\n    import names").replace('"VALUE"', "names.value")
    desk.write({**files("one"), "stacks/dev/stack.py": spec, "stacks/names.py": 'value = "a"\n'})
    desk.commit()
    assert desk.run("apply", "dev", "--auto-approve").code == 0
    desk.write({"stacks/names.py": 'value = "b"\n', "modules/shared.txt": "two\n"})
    desk.commit()
    desk.write({"stacks/names.py": 'value = "b"\n'})
    done = desk.run("rollback", "dev", "--to", runs(desk)[0])
    assert done.code == 0, done.err
    assert "what is restored does not come to what run" in done.err
    assert "rendered web/main.tf" in done.err.replace("rendered/", "rendered ")


@pytest.mark.parametrize(
    ("to", "code", "words"),
    [("2", 64, '"2" could be '), ("2999", 64, 'dev has no recorded run "2999"'), ("--x", 64, "no recorded run")],
)
def test_runs_that_are_not_there_are_said_to_be_so(twice: Desk, to: str, code: int, words: str) -> None:
    done = twice.run("rollback", "dev", f"--to={to}")
    assert (done.code, words in done.err) == (code, True), done.err
