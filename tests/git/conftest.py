from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from git_records import RECORD, Git, write

from infra_orch.git.repository import Repository


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with a user whom git knows; nothing of the real user's configuration is read."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("GIT_") or name == "EMAIL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
        "[gc]\n\tauto = 0\n"
    )
    return home


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    """A repository without a commit."""
    root = tmp_path / "work"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    return root


@pytest.fixture
def git(root: Path) -> Git:
    """Run git in the repository as the user would, and return what it prints, without the last newline."""

    def run(*arguments: str, cwd: Path = root, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(["git", *arguments], cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.removesuffix("\n")

    return run


@pytest.fixture
def repo(root: Path, git: Git) -> Repository:
    """A repository with a commit that holds an old record of ours and a file of the user's."""
    write(root, {RECORD: b"old\n", "mine.txt": b"mine\n"})
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    return Repository(root)
