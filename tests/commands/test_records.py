"""What a run leaves in git: its records, in a commit that holds nothing else, whatever else is going on."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

ONE = """
    variable "text" {
      type    = string
      default = "a"
    }

    resource "terraform_data" "it" {
      input = var.text
    }

    output "text" {
      value = var.text
    }

    output "password" {
      value     = "correct-horse-battery"
      sensitive = true
    }

    output "api_token" {
      value = "battery-staple-42"
    }
    """


@pytest.fixture
def one(desk: Desk) -> Desk:
    """A committed project with a stack of one unit."""
    desk.write(
        {
            "modules/one/main.tf": ONE,
            "stacks/dev/stack.py": """
            from infra_orch import Stack

            stack = Stack("dev")
            stack.unit("web", module="one")
            """,
        }
    )
    desk.commit("work")
    return desk


def apply(desk: Desk, *more: str) -> Any:
    return desk.run("apply", "dev", "--auto-approve", *more)


def committed(desk: Desk, ref: str = "HEAD") -> list[str]:
    return desk.git("show", "--name-only", "--format=", ref).splitlines()


def test_the_commit_holds_what_was_rendered_and_recorded_and_nothing_else(one: Desk) -> None:
    (one.root / "notes.txt").write_text("mine, staged")
    (one.root / "other.txt").write_text("mine, not staged")
    one.git("add", "notes.txt")
    one.write({"modules/one/main.tf": ONE.replace('"a"', '"another"')})
    assert apply(one).code == 0
    paths = committed(one)
    assert all(path.startswith(("stacks/dev/rendered/", "stacks/dev/record/")) for path in paths)
    assert {"stacks/dev/rendered/web/main.tf", "stacks/dev/rendered/stack.json", "stacks/dev/record/web.json"} <= {
        *paths
    }
    assert one.git("status", "--porcelain").splitlines() == [" M modules/one/main.tf", "A  notes.txt", "?? other.txt"]


def test_the_message_says_what_changed_and_which_run_it_was(one: Desk) -> None:
    document = json.loads(apply(one, "--json").out)
    lines = one.git("show", "--no-patch", "--format=%B").rstrip().splitlines()
    assert lines == ["apply dev: 1 created", "", "web: 1 created", "", f"Infra-Orch-Run: {document['run_id']}"]


def test_the_record_of_a_unit_says_what_is_there_and_no_secret(one: Desk) -> None:
    head = one.git("rev-parse", "HEAD")
    document = json.loads(apply(one, "--json").out)
    record = json.loads(one.git("show", "HEAD:stacks/dev/record/web.json"))
    assert record["addresses"] == ["module.web.terraform_data.it"]
    assert record["outputs"] == {"api_token": "(sensitive)", "text": "a"}
    assert (record["run"], record["commit"], record["by"]) == (document["run_id"], head, "Ada <ada@example.com>")
    shown = document["units"]["web"]["resources"]
    kept = [{key: value for key, value in change.items() if key != "attributes"} for change in shown]
    assert record["resources"] == kept, "what its attributes were is shown, and not committed"


def test_without_commit_the_records_are_files_and_the_next_commit_takes_them_along(one: Desk) -> None:
    head = one.git("rev-parse", "HEAD")
    first = json.loads(apply(one, "--no-commit", "--json").out)["run_id"]
    assert one.git("rev-parse", "HEAD") == head
    assert (one.root / f"stacks/dev/record/runs/{first}.json").is_file()
    one.write({"modules/one/main.tf": ONE.replace('"a"', '"another"')})
    apply(one)
    assert f"stacks/dev/record/runs/{first}.json" in committed(one)


def test_records_that_a_run_without_commit_took_away_go_with_the_next_commit(one: Desk) -> None:
    spec = one.root / "stacks/dev/stack.py"
    before = spec.read_text()
    spec.write_text(f'{before}stack.unit("gone", module="one")\n')
    assert apply(one).code == 0
    spec.write_text(before)
    assert apply(one, "--prune", "--no-commit").code == 0
    assert "stacks/dev/record/gone.json" in one.git("ls-files")
    one.write({"modules/one/main.tf": ONE.replace('"a"', '"another"')})
    assert apply(one).code == 0
    assert "stacks/dev/record/gone.json" not in one.git("ls-files")


def test_a_record_that_somebody_took_away_is_not_missing_in_a_commit_of_ours(one: Desk) -> None:
    spec = one.root / "stacks/dev/stack.py"
    spec.write_text(f'{spec.read_text()}stack.unit("other", module="one")\n')
    assert apply(one).code == 0
    (one.root / "stacks/dev/record/other.json").unlink()
    spec.write_text(spec.read_text().replace('"web", module="one"', '"web", module="one", inputs={"text": "b"}'))
    assert apply(one, "--unit", "web").code == 0
    assert "stacks/dev/record/other.json" in one.git("ls-files")


def test_on_a_detached_head_it_says_how_to_keep_the_commit(one: Desk) -> None:
    one.git("checkout", "--quiet", "--detach")
    before = one.git("rev-parse", "HEAD")
    result = apply(one)
    assert result.code == 0
    assert one.git("rev-parse", "HEAD~1") == before
    assert "git branch NAME" in result.err


def test_a_user_whom_git_does_not_know_is_told_so(one: Desk, home: Any) -> None:
    (home / ".gitconfig").unlink()
    result = apply(one)
    assert result.code == 0
    assert "git config --global user.name" in result.err
    assert committed(one)


def test_a_commit_that_cannot_be_made_is_said_and_made_up_for_by_the_next(one: Desk) -> None:
    head = one.git("rev-parse", "HEAD")
    one.git("config", "commit.gpgsign", "true")
    one.git("config", "gpg.program", "false")
    result = apply(one, "--json")
    run = json.loads(result.out)["run_id"]
    assert result.code == 0
    assert "left for the next run to commit" in result.err
    assert f"git -C {one.root} add" in result.err
    assert one.git("rev-parse", "HEAD") == head
    one.git("config", "commit.gpgsign", "false")
    one.write({"modules/one/main.tf": ONE.replace('"a"', '"another"')})
    assert apply(one).code == 0
    assert f"stacks/dev/record/runs/{run}.json" in committed(one)


def test_a_project_that_is_in_no_repository_works_and_says_so(one: Desk) -> None:
    (one.root / ".git").rename(one.root / "git-away")
    result = apply(one)
    assert result.code == 0
    assert "not a git repository" in result.err
    assert (one.root / "stacks/dev/record/web.json").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_records_that_cannot_be_written_are_said_and_fail_the_run(one: Desk) -> None:
    record = one.root / "stacks/dev/record"
    record.mkdir()
    record.chmod(stat.S_IRUSR | stat.S_IXUSR)
    result = apply(one)
    record.chmod(0o755)
    assert result.code == 1
    assert "could not be written" in result.err


def test_a_full_disk_at_the_end_loses_no_word_of_what_was_done(one: Desk) -> None:
    # A file where the folder of records would be is as good as a disk that takes no more.
    (one.root / "stacks/dev/record").write_text("in the way")
    result = apply(one, "--json")
    document = json.loads(result.out)
    assert (result.code, document["units"]["web"]["status"]) == (1, "applied")
    assert "the records of run" in result.err
    assert "Traceback" not in result.err
    assert not list((one.root / ".infra-orch").rglob("tfplan*"))


def test_files_that_were_only_rendered_are_no_changes_that_were_not_committed(one: Desk) -> None:
    """The commit holds all that they were made of; a module that was edited is what nobody finds there."""
    planned = json.loads(one.run("plan", "dev", "--json").out)
    assert "stacks/dev/rendered/web/main.tf" in one.git("status", "--porcelain", "--untracked-files=all")
    module = one.root / "modules/one/main.tf"
    module.write_text(module.read_text() + "# more\n")
    edited = json.loads(one.run("plan", "dev", "--json").out)
    assert (planned["dirty"], edited["dirty"]) == (False, True)
