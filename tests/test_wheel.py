"""The wheel: what is in it is the package, whole, and it works far from this repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra_orch._version import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "infra_orch"

MODULE = """
variable "greeting" {
  type = string
}

resource "terraform_data" "this" {
  input = var.greeting
}

output "said" {
  value = terraform_data.this.output
}
"""
STACK = """
from infra_orch import Stack

stack = Stack("tiny")
stack.unit("hello", module="hello", inputs={"greeting": "hello"})
"""


def run(*argv: str, folder: Path, **variables: str) -> str:
    """Run a program in *folder*, check that it succeeds, and return what it printed."""
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip installed the wheel into, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "--target", str(folder))
    run(sys.executable, "-m", "pip", "install", "--quiet", *options, str(wheel), folder=folder)
    return folder


def infra_orch(installed: Path, folder: Path, *arguments: str) -> str:
    """Run the installed package's command line in *folder*."""
    # -P: nothing in the working folder takes the package's place; PYTHONPATH goes before an editable install.
    return run(sys.executable, "-P", "-m", "infra_orch", *arguments, folder=folder, PYTHONPATH=str(installed))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project of one unit, in no repository."""
    for name, text in {"modules/hello/main.tf": MODULE, "stacks/tiny/stack.py": STACK}.items():
        path = tmp_path / "tiny" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "tiny"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    tracked = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tracked - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_the_wheel_tells_type_checkers_that_the_package_is_typed(wheel: Path) -> None:
    assert "infra_orch/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert folders == {"infra_orch", f"infra_orch-{__version__}.dist-info"}


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    script = "import infra_orch; print(infra_orch.__file__)"
    file = run(sys.executable, "-P", "-c", script, folder=tmp_path, PYTHONPATH=str(installed)).strip()
    assert Path(file).is_relative_to(installed)


def test_the_installed_wheel_tells_its_version_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert __version__ in infra_orch(installed, empty, "--version")


def test_the_installed_wheel_renders_and_checks_a_project_elsewhere(installed: Path, tiny: Path) -> None:
    infra_orch(installed, tiny, "validate", "tiny")
    infra_orch(installed, tiny, "render", "tiny")
    infra_orch(installed, tiny, "render", "tiny", "--check")
    assert (tiny / "stacks/tiny/rendered/hello/main.tf").is_file()
