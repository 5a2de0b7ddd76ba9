"""A repository with records in it, and what tests ask of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from infra_orch.git.commit import Commit, commit_paths
from infra_orch.git.repository import Repository

Git = Callable[..., str]
Contents = Mapping[str, bytes | None]

MESSAGE = "apply prod: 1 unit\n\nnetwork: created 3\n\nInfra-Orch-Run: run-1\n"
RECORD = "stacks/prod/record/network.json"
RENDERED = "stacks/prod/rendered/network/main.tf"

IMPORTS = """
from pathlib import Path
from infra_orch.git.commit import commit_paths
from infra_orch.git.index import mend_index
from infra_orch.git.repository import Repository
"""


def write(root: Path, contents: Contents) -> None:
    for path, content in contents.items():
        if content is None:
            (root / path).unlink(missing_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def record(repo: Repository, contents: Contents, message: str = MESSAGE) -> Commit:
    """What the tool does: write the files, then commit them."""
    write(repo.root, contents)
    return commit_paths(repo, contents, message)


def changed(git: Git, commit: str = "HEAD") -> list[str]:
    return git("show", "--format=", "--name-status", "--no-renames", commit).split("\n")


def status(git: Git) -> list[str]:
    return [line for line in git("status", "--porcelain", "--untracked-files=all").split("\n") if line]


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program called git before the real one: *script* in sh, `"$GIT" "$@"` is the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "git"
    program.write_text(f'#!/bin/sh\nGIT={shutil.which("git")}\n{textwrap.dedent(script)}\nexec "$GIT" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def left_in_git_folder(repo: Repository) -> list[str]:
    return sorted(
        str(path.relative_to(repo.root))
        for path in (repo.root / ".git").rglob("*")
        if "infra-orch" in path.name or path.name.endswith(".lock")
    )


# What is committed


def run_python(repo: Repository, contents: Contents, message: str = MESSAGE) -> subprocess.Popen[bytes]:
    call = f"commit_paths(Repository(Path({str(repo.root)!r})), {dict(contents)!r}, {message!r})"
    return subprocess.Popen([sys.executable, "-c", f"{IMPORTS}\n{call}"])
