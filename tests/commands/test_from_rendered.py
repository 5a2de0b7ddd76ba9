"""`--from-rendered`: what is committed is run, byte for byte, and no Python of the spec's."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

RENDERED = "stacks/dev/rendered"


@pytest.fixture
def committed(two_units: Desk) -> Desk:
    """`two_units`, with a task, rendered and committed; a spec that is evaluated from now on leaves a mark."""
    desk = two_units
    spec = desk.root / "stacks/dev/stack.py"
    mark = desk.root / "evaluated"
    spec.write_text(
        f"from pathlib import Path\n\nPath({str(mark)!r}).touch()\n{spec.read_text()}\n\n"
        "@stack.task(after=[web])\ndef smoke_test(context):\n    return 1\n"
    )
    assert desk.run("render", "dev").code == 0
    assert mark.exists()
    mark.unlink()
    desk.commit()
    return desk


def test_a_stack_is_applied_and_destroyed_without_its_spec(committed: Desk) -> None:
    desk = committed
    applied = desk.run("apply", "dev", "--from-rendered", "--auto-approve", "--json")
    assert applied.code == 0, applied.err
    document = json.loads(applied.out)
    assert document["units"]["web"]["changes"]["create"] == 2
    assert document["tasks"]["smoke_test"]["status"] == "skipped"
    assert "evaluates no Python" in document["tasks"]["smoke_test"]["error"]["summary"]
    assert desk.run("plan", "dev", "--from-rendered", "--detailed-exitcode").code == 0
    assert desk.run("output", "dev", "network", "name", "--from-rendered").out == "dev\n"
    assert desk.run("destroy", "dev", "--from-rendered", "--auto-approve").code == 0
    assert not (desk.root / "evaluated").exists()


def test_a_spec_that_is_broken_is_in_nobodys_way(committed: Desk) -> None:
    (committed.root / "stacks/dev/stack.py").write_text("this is no Python\n")
    assert committed.run("plan", "dev", "--from-rendered").code == 0


def test_a_sandbox_run_from_rendered_files_evaluates_no_python_either(committed: Desk, emulator: str) -> None:
    assert committed.run("apply", "dev", "--from-rendered", "--sandbox", "--auto-approve").code == 0
    assert not (committed.root / "evaluated").exists()
    assert committed.git("status", "--porcelain") == ""


def changed(desk: Desk) -> str:
    path = desk.root / RENDERED / "web/main.tf"
    path.write_text(path.read_text() + "\n")
    return f"{RENDERED}/web/main.tf is not what is committed"


def staged(desk: Desk) -> str:
    told = changed(desk)
    desk.git("add", "--all")
    return told


def assumed_unchanged(desk: Desk) -> str:
    desk.git("update-index", "--assume-unchanged", f"{RENDERED}/web/main.tf")
    return changed(desk)


def filtered(desk: Desk) -> str:
    desk.git("config", "filter.hide.clean", "sed /hidden/d")
    (desk.root / ".git/info/attributes").write_text("*.tf filter=hide\n")
    path = desk.root / RENDERED / "web/main.tf"
    path.write_text(path.read_text() + "# hidden\n")
    assert desk.git("diff", "HEAD") == ""
    return f"{RENDERED}/web/main.tf is not what is committed"


def missing(desk: Desk) -> str:
    (desk.root / RENDERED / "web/outputs.tf").unlink()
    return f"{RENDERED}/web/outputs.tf is missing"


def additional(desk: Desk) -> str:
    (desk.root / RENDERED / "web/more.tf").write_text('output "x" {\n  value = 1\n}\n')
    return f"{RENDERED}/web/more.tf is not committed"


def ignored(desk: Desk) -> str:
    (desk.root / ".git/info/exclude").write_text("*.lock.hcl\n")
    (desk.root / RENDERED / "web/.terraform.lock.hcl").write_text("# whatever\n")
    return f"{RENDERED}/web/.terraform.lock.hcl is not committed"


def index_changed(desk: Desk) -> str:
    path = desk.root / RENDERED / "stack.json"
    path.write_text(path.read_text().replace('"protect": false', '"protect": true'))
    return f"{RENDERED}/stack.json is not what is committed"


def linked(desk: Desk) -> str:
    path = desk.root / RENDERED / "web/main.tf"
    (desk.root / "stacks/elsewhere.tf").write_text(path.read_text())
    desk.commit()
    path.unlink()
    path.symlink_to("../../../elsewhere.tf")
    return f"{RENDERED}/web/main.tf is a link that is not committed"


def module_changed(desk: Desk) -> str:
    path = desk.root / "modules/network/main.tf"
    path.write_text(path.read_text() + 'output "more" {\n  value = 1\n}\n')
    return "modules/network/main.tf is not what is committed"


def module_file_added(desk: Desk) -> str:
    (desk.root / ".git/info/exclude").write_text("*_override.tf\n")
    (desk.root / "modules/network/some_override.tf").write_text('output "name" {\n  value = "other"\n}\n')
    return "modules/network/some_override.tf is not committed"


def module_replaced_by_a_link(desk: Desk) -> str:
    (desk.root / "modules/network").rename(desk.root / "network")
    (desk.root / "modules/network").symlink_to("../network")
    return "network/main.tf is not committed"


@pytest.mark.parametrize(
    "change",
    [changed, staged, assumed_unchanged, filtered, missing, additional, ignored, index_changed, linked,
     module_changed, module_file_added, module_replaced_by_a_link],
)  # fmt: skip
def test_what_is_not_what_is_committed_is_refused_by_name(committed: Desk, change: Callable[[Desk], str]) -> None:
    told = change(committed)
    refused = committed.run("apply", "dev", "--from-rendered", "--auto-approve")
    assert refused.code == 77
    assert told in refused.err
    assert not list(committed.root.glob(".infra-orch/runs/*"))


def test_a_nested_module_outside_the_modules_folder_has_to_be_committed_too(committed: Desk) -> None:
    desk = committed.write({
        "common/main.tf": 'resource "terraform_data" "common" {}\n',
        "modules/network/nested.tf": 'module "common" {\n  source = "../../common"\n}\n',
    })  # fmt: skip
    desk.commit()
    assert desk.run("plan", "dev", "--from-rendered").code == 0
    desk.write({"common/main.tf": 'resource "terraform_data" "other" {}\n'})
    refused = desk.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert "common/main.tf is not what is committed" in refused.err


def test_what_a_module_reads_outside_its_folder_has_to_be_committed_too(committed: Desk) -> None:
    desk = committed.write({"modules/network/reads.tf": 'locals {\n  users = file("${path.module}/../users.txt")\n}\n'})
    desk.write({"modules/users.txt": "ada\n"})
    desk.commit()
    assert desk.run("plan", "dev", "--from-rendered").code == 0
    desk.write({"modules/users.txt": "mallory\n"})
    refused = desk.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert "modules/users.txt is not what is committed" in refused.err


def test_work_in_progress_elsewhere_is_in_nobodys_way(committed: Desk) -> None:
    committed.write({"README.md": "new\n", "modules/unused/main.tf": "# new\n", "stacks/other/stack.py": "# new\n"})
    (committed.root / "modules/network/.terraform").mkdir()
    (committed.root / "modules/network/.terraform/modules.json").write_text("{}")
    assert committed.run("plan", "dev", "--from-rendered").code == 0


def test_a_committed_link_to_a_committed_file_is_good_until_either_changes(committed: Desk) -> None:
    desk = committed
    main = desk.root / "modules/network/main.tf"
    main.rename(desk.root / "shared.tf")
    main.symlink_to("../../shared.tf")
    desk.commit()
    assert desk.run("plan", "dev", "--from-rendered").code == 0
    with (desk.root / "shared.tf").open("a") as file:
        file.write("# changed\n")
    refused = desk.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert "shared.tf is not what is committed" in refused.err


def test_a_pipe_in_a_modules_folder_is_refused_and_not_waited_for(committed: Desk) -> None:
    os.mkfifo(committed.root / "modules/network/data", stat.S_IRUSR | stat.S_IWUSR)
    refused = committed.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert "modules/network/data is no regular file" in refused.err


def test_a_render_that_the_index_does_not_name_so_is_refused_though_committed(committed: Desk) -> None:
    changed(committed)
    committed.commit()
    refused = committed.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert f"{RENDERED}/web/main.tf is not the file that stack.json names" in refused.err
    assert "infra-orch render dev" in refused.err


def test_a_project_in_a_folder_of_the_repository_works_too(committed: Desk, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=outer, check=True)
    committed.git("clone", "--quiet", ".", str(outer / "inner"))
    subprocess.run(["rm", "-rf", "inner/.git"], cwd=outer, check=True)
    subprocess.run(["git", "add", "--all"], cwd=outer, check=True)
    subprocess.run(["git", "commit", "--quiet", "--message", "all"], cwd=outer, check=True)
    assert committed.run("-C", str(outer / "inner"), "plan", "dev", "--from-rendered").code == 0
    (outer / "inner/modules/network/more.tf").write_text("# more\n")
    refused = committed.run("-C", str(outer / "inner"), "plan", "dev", "--from-rendered")
    assert "inner/modules/network/more.tf is not committed" in refused.err


def test_without_a_repository_or_a_commit_it_is_said(two_units: Desk) -> None:
    two_units.run("render", "dev")
    subprocess.run(["rm", "-rf", ".git"], cwd=two_units.root, check=True)
    refused = two_units.run("plan", "dev", "--from-rendered")
    assert refused.code == 77
    assert "needs a git repository" in refused.err
    subprocess.run(["git", "init", "--quiet"], cwd=two_units.root, check=True)
    assert "needs a commit" in two_units.run("plan", "dev", "--from-rendered").err


def test_a_stack_that_was_never_rendered_says_what_to_do(two_units: Desk) -> None:
    failed = two_units.run("plan", "dev", "--from-rendered")
    assert failed.code != 0
    assert "infra-orch render dev" in failed.err
