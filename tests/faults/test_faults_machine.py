"""A machine that fails: a disk that fills up, a git that hangs or fails, logs that are gone, a clock that jumps back.

Whatever happened, once the machine is well again `recover` and one more apply leave nothing undone and nothing unsaid.
Where FAULTS_ROUNDS is set (`make test-faults`) this is so in every case; else in some of each kind.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from child_process import Child, at_work, until

from infra_orch.git import repository

if TYPE_CHECKING:
    from conftest import Desk

MODULE = """
    variable "up" {
      type    = string
      default = ""
    }

    resource "terraform_data" "it" {
      count = 5
      input = "${var.up} ${format("%0500d", count.index)}"
    }

    output "id" {
      value = terraform_data.it[0].id
    }
    """
SPEC = """
    from infra_orch import Stack

    stack = Stack("dev")
    units = [stack.unit("u0", module="it")]
    for number in range(1, 4):
        units.append(stack.unit(f"u{number}", module="it", inputs={"up": units[-1].outputs.id}))

    @stack.task(after=[units[0]])
    def check(context):
        return context.outputs["u0"]["id"]
    """


WHOLE = "FAULTS_ROUNDS" in os.environ


@pytest.fixture
def chain(desk: Desk) -> Desk:
    """Four units, each of which reads the one before, and a task."""
    desk.write({"modules/it/main.tf": MODULE, "stacks/dev/stack.py": SPEC})
    desk.commit()
    return desk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make a disk of so many KiB."""
    made: list[Path] = []

    def disk(size: int) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a file system")
        made.append(folder)
        return folder

    yield disk
    for folder in made:  # lazily: a test may stand in it
        subprocess.run(["umount", "--lazy", folder], check=True)


def check_well(desk: Desk) -> None:
    """What holds once the machine is well again."""
    assert not at_work(desk.root)
    recovered = desk.run("recover", "dev", "--auto-approve")
    assert recovered.code == 0, recovered.out + recovered.err
    again = desk.run("apply", "dev", "--auto-approve")
    assert again.code == 0, again.out + again.err
    assert desk.run("plan", "dev", "--detailed-exitcode").code == 0
    assert desk.git("status", "--porcelain") == ""
    for path in (desk.root / "stacks/dev/state").glob("*.tfstate"):
        record = json.loads(desk.git("show", f"HEAD:stacks/dev/record/{path.stem}.json"))
        assert (record["status"], len(record["addresses"])) == ("applied", 5), path.stem


@pytest.mark.parametrize(
    "room", [0, 30, 60, 90, 120, 150, 180, 210, 240, 280, 320] if WHOLE else [0, 60, 120, 210, 320]
)
def test_a_disk_that_fills_up(
    chain: Desk, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """*room* is how many KiB there are when the apply begins: too little for anything, up to enough for nearly all."""
    disk = small_disk(4096)
    root = disk / "project"
    shutil.copytree(chain.root, root)
    monkeypatch.chdir(root)
    desk = type(chain)(root, chain.run)
    free = shutil.disk_usage(disk).free
    with (disk / "filler").open("wb") as filler:
        filler.write(b"x" * max(0, free - room * 1024))
    failed = desk.run("apply", "dev", "--auto-approve")
    assert "Traceback" not in failed.out + failed.err
    assert "defect" not in failed.out + failed.err
    assert failed.code in (0, 1)
    (disk / "filler").unlink()
    check_well(desk)


FAULTY_GIT = """#!/bin/sh
case " $* " in *" {command} "*) {does} ;; esac
exec {git} "$@"
"""


COMMANDS = ("write-tree", "commit-tree", "update-ref")
ENDS = {"fails": "exit 128", "hangs": "exec sleep 60", "dies": "kill -9 $$"}


@pytest.mark.parametrize(
    ("command", "end"), list(itertools.product(COMMANDS, ENDS)) if WHOLE else list(zip(COMMANDS, ENDS, strict=True))
)
def test_a_git_that_does_not_do_its_work(
    chain: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, end: str
) -> None:
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text(FAULTY_GIT.format(command=command, does=ENDS[end], git=shutil.which("git")))
    git.chmod(0o755)
    monkeypatch.setattr(repository, "TIMEOUT_SECONDS", 2.0)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{git.parent}:/usr/local/bin:/usr/bin:/bin:{shutil.which('terraform')}")
        done = chain.run("apply", "dev", "--auto-approve")
    assert done.code == 0, done.err
    assert "not committed, and left for the next run to commit" in done.err
    assert chain.git("log", "--format=%s") == "work"
    chain.write({"modules/it/main.tf": MODULE.replace("%0500d", "%0501d")})
    chain.commit("a change")
    check_well(chain)
    assert len(chain.git("ls-files", "stacks/dev/record/runs").splitlines()) == 2


def test_logs_that_somebody_deletes_in_the_middle(chain: Desk, start: Callable[..., Child]) -> None:
    spec = chain.root / "stacks/dev/stack.py"
    wipe = (
        '    import pathlib, shutil\n    shutil.rmtree(pathlib.Path(__file__).parents[2] / ".infra-orch/runs", True)\n'
    )
    spec.write_text(spec.read_text().replace("def check(context):\n", f"def check(context):\n{wipe}"))
    chain.commit()
    done = start("apply", "dev", "--auto-approve")
    assert done.wait() == 0, done.err.read_text()
    assert chain.git("log", "-1", "--format=%s") == "apply dev: 20 created"


def test_a_place_for_logs_that_cannot_be_written_any_more(chain: Desk, start: Callable[..., Child]) -> None:
    """Root may write anywhere, so what stands in the way is a file where a folder is to be."""
    spec = chain.root / "stacks/dev/stack.py"
    block = """    import pathlib, shutil
    logs = pathlib.Path(__file__).parents[2] / ".infra-orch/runs" / context.run_id / "u3"
    shutil.rmtree(logs)
    logs.write_text("")
"""
    spec.write_text(spec.read_text().replace("def check(context):\n", f"def check(context):\n{block}"))
    spec.write_text(spec.read_text().replace("inputs={", "after=['check'], inputs={"))
    chain.commit()
    done = start("apply", "dev", "--auto-approve", "--json")
    assert done.wait() == 1, done.err.read_text()
    assert done.statuses() == {"u0": "applied", "u1": "applied", "u2": "applied", "u3": "failed"}
    error = done.document()["units"]["u3"]["error"]["summary"]
    assert "/u3" in error
    assert ("Traceback" in done.err.read_text(), "defect" in error) == (False, False)
    assert chain.git("log", "-1", "--format=%s") == "apply dev: 15 created (1 failed)"


def test_a_clock_that_jumps_back(chain: Desk, start: Callable[..., Child]) -> None:
    child = start("apply", "dev", "--auto-approve")
    until(lambda: list(chain.root.glob(".infra-orch/runs/*/u1/apply.log")), "the second unit")
    child.kill_alone()
    until(lambda: not at_work(chain.root), "the end of Terraform")
    (journal,) = chain.root.glob(".infra-orch/runs/*/journal.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for number, entry in enumerate(entries):
        entry["at"] -= number * 3600
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert chain.run("recover", "dev").code == 0
    (run,) = (chain.root / "stacks/dev/record/runs").glob("*.json")
    record = json.loads(run.read_text())
    assert record["duration_s"] == 0
    assert all(unit["duration_s"] >= 0 for unit in record["units"].values())
    check_well(chain)
