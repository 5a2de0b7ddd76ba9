"""The container's file: nobody runs as root in it, and it takes nothing but what this repository names."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / ".ci" / "container" / "Containerfile"
LINES = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8").replace("\\\n", " "), flags=re.MULTILINE).splitlines()
INSTRUCTIONS = [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in LINES if line.strip()]


def told(name: str) -> list[str]:
    """What every instruction of a kind says."""
    return [words for instruction, words in INSTRUCTIONS if instruction == name]


def test_the_image_runs_as_a_user_that_is_not_root_by_number() -> None:
    last = [words for name, words in INSTRUCTIONS[len(INSTRUCTIONS) - INSTRUCTIONS[::-1].index(("FROM", "${BASE}")) :]]
    assert told("USER") == ["10001:10001"], "by number: Kubernetes cannot tell of a name that it is not root"
    assert "useradd --uid 10001" in "".join(last)
    after = [name for name, _ in INSTRUCTIONS[INSTRUCTIONS.index(("USER", "10001:10001")) :]]
    assert "RUN" not in after
    assert json.loads(told("ENTRYPOINT")[0]) == ["infra-orch"]


def test_every_package_comes_with_a_hash_and_every_file_is_there() -> None:
    installs = [part for run in told("RUN") for part in run.split("&&") if " install " in f"{part} " and "pip" in part]
    assert len(installs) == 4
    assert [one for one in installs if "--require-hashes" not in one and "--no-deps" not in one] == []
    copied = [shlex.split(words)[:-1] for words in told("COPY") if "--from=" not in words]
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    named = [word for one in installs for word in shlex.split(one) if word.endswith(".txt")]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_base_has_a_version() -> None:
    (base,) = (words for words in told("ARG") if words.startswith("BASE="))
    assert re.fullmatch(r"BASE=python:3\.\d+-[\w-]+", base)
    assert {words.split(" ")[0] for words in told("FROM")} == {"${BASE}"}


@pytest.mark.parametrize("run", told("RUN"))
def test_its_scripts_can_be_read_by_a_shell(run: str) -> None:
    done = subprocess.run(["sh", "-n", "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_installed_is_what_infra_orch_asks_for() -> None:
    """run.txt is made from pyproject.toml by `make lock`, which somebody may have forgotten."""
    pinned = (ROOT / ".ci" / "requirements" / "run.txt").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("dependencies = [")[2].partition("]\n")[0]
    wanted = re.findall(r'^    "([\w-]+)', project, re.MULTILINE)
    assert len(wanted) > 5
    assert [name for name in wanted if not re.search(rf"^{name}==", pinned, re.MULTILINE)] == []
