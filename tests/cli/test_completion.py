"""The shell completes the names of stacks and units, fast, and without evaluating anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture
def rendered(two_units: Desk) -> Desk:
    """`two_units`, rendered, with a second stack; evaluating either spec from now on fails."""
    two_units.run("render", "dev")
    for name in ("dev", "team/prod"):
        two_units.write({f"stacks/{name}/stack.py": "raise SystemExit(3)\n"})
    return two_units


def completed(*words: str, cwd: Path | None = None) -> list[str]:
    """What bash is offered for the last of *words*, asked as the script does that --show-completion prints."""
    line = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    environment = {**os.environ, **line, "_INFRA_ORCH_COMPLETE": "complete_bash"}
    argv = [
        sys.executable,
        "-c",
        "import sys; from infra_orch.__main__ import main; sys.argv[0] = 'infra-orch'; main()",
    ]
    done = subprocess.run(argv, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("apply", ""), ["dev", "team/prod"]),
        (("plan", "te"), ["team/prod"]),
        (("output", "dev", ""), ["network", "web"]),
        (("tf", "dev", "n"), ["network"]),
        (("destroy", "dev", "--unit", "w"), ["web"]),
        (("plan", "dev", "--unit", "web", "--unit", ""), ["network", "web"]),
        (("sandbox", "rehearse", "d"), ["dev"]),
        (("output", "nope", ""), []),
        (("output", "team/prod", ""), []),
    ],
)
def test_names_are_offered(rendered: Desk, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed("infra-orch", *words) == offered


def test_names_are_those_of_the_project_that_the_command_would_work_on(rendered: Desk, tmp_path: Path) -> None:
    assert completed("infra-orch", "-C", str(rendered.root), "plan", "", cwd=tmp_path) == ["dev", "team/prod"]
    assert completed("infra-orch", "plan", "", cwd=tmp_path) == []


def test_settings_that_are_wrong_do_not_get_into_the_command_line(rendered: Desk) -> None:
    rendered.write({"infra-orch.toml": "no such = thing\n"})
    assert completed("infra-orch", "plan", "") == []
