"""The shell completes the names of stacks and units, fast, and without evaluating anything."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk


@pytest.fixture
def rendered(two_units: Desk) -> Desk:
    """`two_units`, rendered, with a second stack; evaluating either spec from now on fails."""
    spec = two_units.root / "stacks/dev/stack.py"
    spec.write_text(spec.read_text().replace('name": "dev"}', 'name": "dev"}, tags=["base", "edge"]'))
    two_units.run("render", "dev")
    for name in ("dev", "team/prod"):
        two_units.write({f"stacks/{name}/stack.py": "raise SystemExit(3)\n"})
    return two_units


def completed(*words: str, cwd: Path | None = None) -> list[str]:
    """What bash is offered for the last of *words*, asked as its script does."""
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
        (("bootstrap", "t"), ["team/prod"]),
        (("plan", "--tag", ""), ["base", "edge"]),
        (("plan", "dev", "--tag", "e"), ["edge"]),
        (("graph", "--format", "m"), ["mermaid"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("output", "dev", "network", ""), ["id", "name", "password", "subnet_ids"]),
        (("output", "dev", "web", "s"), ["servers"]),
        (("output", "nope", ""), []),
        (("output", "dev", "nope", ""), []),
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


def test_runs_are_offered_by_their_ids_and_what_they_have_logs_of(rendered: Desk) -> None:
    for run, units in (("20261124T2256-aa", {"web": {}}), ("20261125T0101-bb", {"network": {}})):
        document = {"units": units, "tasks": {"smoke": {}}}
        rendered.write({f".infra-orch/runs/{run}/run.json": json.dumps(document)})
    rendered.write({"stacks/dev/record/runs/20261101T0000-cc.json": "{}"})
    ids = ["20261125T0101-bb", "20261124T2256-aa", "20261101T0000-cc"]
    assert completed("infra-orch", "show", "") == ["last", *ids]
    assert completed("infra-orch", "timings", "l") == ["last"]
    assert completed("infra-orch", "show", "last", "") == ["network", "smoke"]
    assert completed("infra-orch", "show", ids[1], "w") == ["web"]


@pytest.mark.parametrize(
    "name",
    ["$(touch run)", r"\$(touch run)", "`touch run`", "a'b", 'a"b', "a;b", "a b", "a\nb", "--auto-approve", "=ls"],
)
def test_what_a_shell_would_not_take_as_a_name_is_not_offered(rendered: Desk, name: str) -> None:
    """The index, records and folders of a repository are whatever somebody wrote into them."""
    index = rendered.root / "stacks/dev/rendered/stack.json"
    document = json.loads(index.read_text())
    document["units"] |= {name: {"tags": [name]}}
    index.write_text(json.dumps(document))
    rendered.write({f"stacks/dev/record/runs/{name}.json": "{}", f"templates/module-{name}/main.tf": ""})
    assert completed("infra-orch", "output", "dev", "") == ["network", "web"]
    assert completed("infra-orch", "plan", "dev", "--tag", "") == ["base", "edge"]
    assert completed("infra-orch", "show", "") == ["last"]
    assert completed("infra-orch", "new", "module", "x", "--template", "") == []


@pytest.mark.parametrize("text", ["", "[]", '{"units": [1]}', '{"units": {"a": {"tags": 1}}}', '{"units": 1}'])
def test_a_file_that_holds_something_else_offers_nothing_and_fails_nothing(rendered: Desk, text: str) -> None:
    run = ".infra-orch/runs/20261124T2256-aa/run.json"
    rendered.write({"stacks/dev/rendered/stack.json": text, run: text})
    assert completed("infra-orch", "plan", "dev", "--tag", "") == []
    assert completed("infra-orch", "show", "last", "x") == []


def test_a_rollback_is_offered_what_it_takes(rendered: Desk) -> None:
    rendered.write({".infra-orch/runs/20261126T0000-aa/run.json": "{}"})  # a plan
    for run, command, commit in (
        ("20261121T0000-aa", "apply", "abc"),
        ("20261122T0000-bb", "destroy", "abc"),
        ("20261123T0000-cc", "apply", None),
        ("20261124T0000-dd", "apply", "abc"),
    ):
        record = json.dumps({"command": command, "commit": commit})
        rendered.write({f"stacks/dev/record/runs/{run}.json": record})
    rendered.write({"stacks/team/prod/record/runs/20261125T0000-ee.json": record})
    rendered.write({"stacks/dev/record/runs/20261127T0000-ff.json": "not JSON"})
    assert completed("infra-orch", "rollback", "dev", "--to", "") == ["20261124T0000-dd", "20261121T0000-aa"]
    assert completed("infra-orch", "rollback", "dev", "--to", "20261121") == ["20261121T0000-aa"]


def test_nothing_that_a_command_needs_is_loaded_for_it(rendered: Desk) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "infra_orch"]
    line = {"COMP_WORDS": "infra-orch\nplan\n", "COMP_CWORD": "2", "_INFRA_ORCH_COMPLETE": "complete_bash"}
    # The program's name is taken from how it is started, and so is that of the variable.
    code = "import sys; from infra_orch.__main__ import main; sys.argv[0] = 'infra-orch'; main()"
    done = subprocess.run([*argv[:3], "-c", code], env={**os.environ, **line}, cwd=rendered.root, capture_output=True, text=True, check=True)  # fmt: skip
    imported = {entry.rpartition("|")[2].strip() for entry in done.stderr.splitlines()}
    assert done.stdout.split() == ["dev", "team/prod"]
    assert imported.isdisjoint({"boto3", "rich", "hcl2", "jinja2", "infra_orch.spec.load", "infra_orch.commands.specs"})


@pytest.fixture
def on_path(tmp_path: Path) -> str:
    """A PATH on which `infra-orch` is."""
    program = tmp_path / "bin" / "infra-orch"
    program.parent.mkdir()
    code = "import sys; from infra_orch.__main__ import main; sys.argv[0] = 'infra-orch'; main()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def in_bash(desk: Desk, path: str, typed: str) -> str:
    """What stands on the line of a real bash once *typed* was typed, with tabs, and the script was loaded."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PATH": path, "PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"}
    argv = ["bash", "--norc", "--noprofile", "-i"]
    process = subprocess.Popen(argv, cwd=desk.root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)  # fmt: skip
    os.close(theirs)

    def read_until(mark: str) -> str:
        seen, deadline = "", time.monotonic() + 60
        while mark not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 65536).decode(errors="replace")
        return seen

    os.write(ours, b"bind 'set enable-bracketed-paste off'; eval \"$(infra-orch completion bash)\"; echo rea''dy\n")
    read_until("ready\r\n")
    # Ctrl-A and echo: the line that the tabs have made is printed, and not run.
    os.write(ours, f"{typed}\x01echo '<\x05>'\n".encode())
    seen = read_until(">\r\n")
    process.kill()
    process.wait()
    os.close(ours)
    return re.findall(r"\n<(.*)>\r\n", seen)[-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("infra-orch boo\t", "infra-orch bootstrap "),
        ("infra-orch plan te\t", "infra-orch plan team/prod "),
        ("infra-orch plan dev --unit=w\t", "infra-orch plan dev --unit=web "),
        ("infra-orch plan dev --with-u\t", "infra-orch plan dev --with-upstream "),
        ("infra-orch plan dev --out stacks/dev/st\t", "infra-orch plan dev --out stacks/dev/stack.py "),
    ],
)
def test_a_tab_in_a_real_bash_completes_the_line(rendered: Desk, on_path: str, typed: str, line: str) -> None:
    assert in_bash(rendered, on_path, typed) == line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_says_how_it_is_installed_and_is_taken_by_it(desk: Desk, shell: str) -> None:
    script = desk.run("completion", shell)
    assert (script.code, script.err) == (0, "")
    assert f"infra-orch completion {shell}" in script.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.out, text=True, check=True)


def test_a_completion_is_installed_in_one_way_only(desk: Desk) -> None:
    assert "-completion" not in desk.run("--help").out
    assert desk.run("--install-completion").code == 64
    assert completed("infra-orch", "--sh") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_answered_too(rendered: Desk, shell: str) -> None:
    line = {"_TYPER_COMPLETE_ARGS": "infra-orch plan te", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    code = "import sys; from infra_orch.__main__ import main; sys.argv[0] = 'infra-orch'; main()"
    environment = {**os.environ, **line, "_INFRA_ORCH_COMPLETE": f"complete_{shell}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=rendered.root, capture_output=True, text=True, check=True)  # fmt: skip
    assert "team/prod" in done.stdout


def test_the_shell_is_that_of_the_user_where_none_is_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert desk.run("completion").out.startswith("#compdef infra-orch")
    monkeypatch.setenv("SHELL", "/bin/ksh")
    unknown = desk.run("completion")
    assert (unknown.code, "bash, zsh, fish" in unknown.err) == (64, True)
    misspelt = desk.run("completion", "bsh")
    assert (misspelt.code, 'did you mean "bash"?' in misspelt.err) == (64, True)
