"""The example in the help of every command works: each is run, as it stands there, in a small project."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import commands, parses

if TYPE_CHECKING:
    from conftest import Desk

NETWORK = """
    resource "terraform_data" "it" {
      input = "vpc-1"
    }

    output "vpc_id" {
      value = terraform_data.it.output
    }
"""
WEB = """
    variable "vpc_id" {
      type = string
    }

    resource "terraform_data" "it" {
      input = var.vpc_id
    }
"""
PROD = """
    from infra_orch import Stack

    stack = Stack("prod")
    network = stack.unit("network", module="network")
    stack.unit("web", module="web", inputs={"vpc_id": network.outputs.vpc_id})
"""
BASE = """
    from infra_orch import Stack

    stack = Stack("team-base")
    stack.unit("network", module="network", tags=["base"])
"""
FILES = {
    "modules/network/main.tf": NETWORK,
    "modules/web/main.tf": WEB,
    "live/network/main.tf": NETWORK,
    "stacks/prod/stack.py": PROD,
    "stacks/team/base/stack.py": BASE,
    ".gitignore": "comment.md\ntrace.json\n",
}
IN_ORDER = (
    *("validate", "plan", "preview", "approve", "apply", "render", "list", "graph", "explain", "output", "history"),
    *(
        "show",
        "timings",
        "drift",
        "tf",
        "unlock",
        "recover",
        "rollback",
        "destroy",
        "bootstrap",
        "doctor",
        "completion",
    ),
    *("sandbox start", "sandbox status", "sandbox reset", "sandbox stop", "sandbox rehearse"),
    *("gateway start", "gateway status", "gateway stop", "new stack", "new module", "init"),
    "new project",  # which is made beside
)
"""Each finds what the ones before it left."""
PARSED_ALONE = {
    "outdated": "a host is told: tests/commands/test_preview_post.py",
    "reconcile": "it goes on until it is stopped: tests/commands/test_reconcile.py",
}
A_RUN = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{6}")


def examples() -> dict[str, list[str]]:
    """The words of the example of each command, less the program's name."""
    found = {}
    for path, command in commands():
        program, *words = shlex.split((command.epilog or "").removeprefix("Example: "))
        assert program == "infra-orch", path
        assert tuple(words[: len(path)]) == path
        found[" ".join(path)] = words
    return found


@pytest.fixture
def project(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A project with a remote, in which what is asked is answered with yes."""
    desk.write(FILES)
    assert desk.run("render", "--all").code == 0
    desk.commit()
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
    desk.git("remote", "add", "origin", str(tmp_path / "origin"))
    desk.git("push", "--quiet", "origin", "HEAD:main")
    desk.git("fetch", "--quiet")
    monkeypatch.setenv("INFRA_ORCH_AUTO_APPROVE", "1")
    return desk


def test_the_example_of_every_command_works(project: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = examples()
    assert shown.keys() == {*IN_ORDER, *PARSED_ALONE}
    run_id, failed = "", {}
    with contextlib.ExitStack() as ends:
        for command in ("sandbox stop", "gateway stop"):
            ends.callback(project.run, *shown[command])
        for name in IN_ORDER:
            if name == "new project":
                (tmp_path / "beside").mkdir()
                monkeypatch.chdir(tmp_path / "beside")
            if name == "drift":
                project.commit()
            words = [A_RUN.sub(run_id, word) for word in shown[name]]
            done = project.run(*words)
            if done.code:
                failed[name] = f"{done.code}: {done.out}{done.err}"
            if name == "apply":
                run_id = next(project.root.glob("stacks/prod/record/runs/*.json")).stem
    assert failed == {}


@pytest.mark.parametrize("name", PARSED_ALONE)
def test_the_examples_that_are_not_run_can_be_parsed(name: str) -> None:
    parses(examples()[name])


def test_every_option_is_a_variable_and_has_a_word_of_help() -> None:
    missing = [
        f"{' '.join(path)} {option.opts[0]}"
        for path, command in commands()
        for option in command.params
        if option.opts[0].startswith("-") and option.name != "help"
        if not option.help
        or option.envvar != f"INFRA_ORCH_{option.opts[0].removeprefix('--').upper().replace('-', '_')}"
    ]
    assert missing == []
    assert "INFRA_ORCH_AUTO_APPROVE" not in os.environ
