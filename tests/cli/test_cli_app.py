"""The command line's boundary: what goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra_orch.cli.sections import SECTIONS

if TYPE_CHECKING:
    from conftest import Desk

ONE = 'from infra_orch import Stack\n\nstack = Stack("dev")\nstack.unit("one", module="one")\n'


def test_a_file_that_does_not_fit_is_named_and_is_no_defect_of_ours(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": ONE, "modules/one/main.tf": 'resource "terraform_data" "it" {}\n'})
    done = subprocess.run(
        [sys.executable, "-m", "infra_orch", "plan", "dev"],
        cwd=desk.root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # what Python keeps of its own does not fit either
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        f"error: {desk.root}/.infra-orch/.gitignore: File too large",
    )


def test_a_closed_standard_output_is_no_defect(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": ONE, "modules/one/main.tf": 'resource "terraform_data" "it" {}\n'})
    command = ["sh", "-c", f"{sys.executable} -m infra_orch graph dev >&-"]
    done = subprocess.run(command, cwd=desk.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_number_of_units_at_once_means_one_for_each_core(desk: Desk) -> None:
    desk.write({"stacks/dev/stack.py": ONE, "modules/one/main.tf": 'resource "terraform_data" "it" {}\n'})
    assert desk.run("plan", "dev", "--parallelism", "0").code == 0


@pytest.mark.parametrize(
    ("words", "nearest"),
    [(("aply", "dev"), "apply"), (("lst",), "list"), (("docter",), "doctor"), (("sandbox", "stat"), "start")],
)
def test_a_command_that_is_none_gets_the_nearest(desk: Desk, words: tuple[str, ...], nearest: str) -> None:
    result = desk.run(*words)
    assert (result.code, result.out) == (64, "")
    assert "did you mean" in result.err.lower()
    assert f"'{nearest}'" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plan", "dvv"), 'did you mean "dev"?'),
        (("plan", "dev", "--unit", "netwrk"), 'did you mean "network"?'),
        (("plan", "dev", "--tag", "bsae"), 'did you mean "base"?'),
        (("list", "--tag", "bsae"), 'did you mean "base"?'),
        (("explain", "dev", "wbe"), 'did you mean "web"?'),
        (("show", "lst"), 'did you mean "last"?'),
        (("show", "last"), "there is no run here yet"),
        (("graph", "dev", "--format", "mermad"), 'did you mean "mermaid"?'),
        (("preview", "--base", "HEAD", "--format", "jsn"), 'did you mean "json"?'),
        (("preview", "--base", "mian"), 'did you mean "main"?'),
        (("plan", "dev", "--engine", "terafrom"), 'did you mean "terraform"?'),
        (("plan", "dev", "--unti", "web"), "infra-orch plan --help lists its options"),
        (("sandbox", "start", "--x"), "infra-orch sandbox start --help lists its options"),
    ],
)
def test_whatever_is_misspelt_gets_what_is_nearest(two_units: Desk, words: tuple[str, ...], said: str) -> None:
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('name": "dev"}', 'name": "dev"}, tags=["base"]'))
    result = two_units.run(*words)
    assert said in result.err, result.err


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_a_name_that_nothing_has_is_told_also_where_nobody_is_there_to_say_yes(two_units: Desk, command: str) -> None:
    for words, said in (
        (("dvv",), 'did you mean "dev"?'),
        (("dev", "--unit", "nope"), 'no unit of dev is called "nope"'),
        (("dev", "--unit", "nope", "--with-downstream"), 'no unit of dev is called "nope"'),
        (("dev", "--tag", "nope"), 'no unit of dev has the tag "nope"'),
        (("--all", "--unit", "nope"), 'no unit of dev is called "nope"'),
    ):
        result = two_units.run(command, *words)
        assert (result.code, said in result.err) == (64, True), result.err
    assert two_units.run(command, "dev", "--unit", "web").code == 77


@pytest.mark.parametrize("words", [(), ("-C", ".")])
def test_outside_of_a_project_the_help_is_shown_and_no_error(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = desk.run(*words)
    assert (result.code, result.out) == (64, "")
    assert result.err.startswith("Usage: infra-orch")
    assert "error" not in result.err
    begin = "→ infra-orch new project NAME makes one, infra-orch init one of a git repository"
    assert result.err.splitlines()[-1] == begin


@pytest.mark.parametrize("words", [(), ("new",), ("sandbox",), ("gateway",)])
def test_each_line_of_the_list_of_commands_is_whole(desk: Desk, words: tuple[str, ...]) -> None:
    shown = desk.run(*words, "--help").out
    assert [line for line in shown.splitlines()[1:] if line.endswith("...")] == []
    assert max(map(len, shown.splitlines())) <= 80


def test_the_help_lists_the_commands_by_what_they_are_for(desk: Desk) -> None:
    lines = desk.run("--help").out.splitlines()
    assert [line.rstrip(":") for line in lines if re.fullmatch(r"\w+:", line)] == ["Options", *SECTIONS]
    listed = [line.split()[0] for line in lines[lines.index("Write:") :] if line.startswith("  ")]
    assert listed == [name for names in SECTIONS.values() for name in names]


def test_the_help_imports_nothing_that_a_command_needs(desk: Desk) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "infra_orch", "--help"]
    done = subprocess.run(argv, cwd=desk.root, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "infra_orch.cli.reading" in imported
    assert [name for name in imported if name.startswith("infra_orch.commands.")] == []
    assert imported.isdisjoint({"boto3", "rich", "hcl2", "jinja2"})


def test_a_command_that_is_refused_as_it_begins_leaves_nothing_to_recover(two_units: Desk) -> None:
    assert two_units.run("plan", "dev", "--unit", "nothing").code == 64
    assert "nothing to recover" in two_units.run("recover", "dev").err


def test_ctrl_c_while_the_program_begins_ends_it_without_a_traceback(tmp_path: Path) -> None:
    # A module that is imported early stands in for a moment that is hard to hit.
    (tmp_path / "dataclasses.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = f"import sys; sys.argv[0] = 'infra-orch'; sys.path.insert(0, {str(tmp_path)!r}); import infra_orch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    other = subprocess.run(
        [sys.executable, "-c", code.replace("'infra-orch'", "'other'")], capture_output=True, text=True, check=False
    )
    assert "KeyboardInterrupt" in other.stderr  # it is not ours to decide for other programs
