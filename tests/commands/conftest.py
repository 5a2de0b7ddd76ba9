"""A project that lasts for a whole file of tests, where several look at what one run did."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_http import StateServer, serving_states

from infra_orch.cli.app import run as run_cli
from infra_orch.engine.mirror import find_mirrors, providers_in
from infra_orch.sandbox import server

if TYPE_CHECKING:
    from conftest import Desk, Result

AWS = "registry.terraform.io/hashicorp/aws"


@pytest.fixture(scope="module")
def lasting_desk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Desk:
    """An empty project under git that every test of the file sees, with the user of the `home` fixture."""
    shared = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))
    folder = tmp_path_factory.mktemp("lasting")
    root, user = folder / "project", folder / "user"
    (root / "stacks").mkdir(parents=True)
    user.mkdir()
    (user / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    settled = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_", "GIT_", "XDG_"))
    }
    settled |= {"HOME": str(user), "XDG_CACHE_HOME": str(user / ".cache"), "GIT_CONFIG_NOSYSTEM": "1", "NO_COLOR": "1"}
    settled |= {"CHECKPOINT_DISABLE": "1"}

    def run(*arguments: str) -> Result:
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for name in os.environ.keys() - settled.keys():
                patch.delenv(name)
            for name, value in settled.items():
                patch.setenv(name, value)
            patch.chdir(root)
            code = run_cli([*arguments])
        return shared.Result(code, out.getvalue(), err.getvalue())

    for command in (["init", "--quiet"], ["config", "user.name", "Ada"], ["config", "user.email", "ada@example.com"]):
        # In the repository itself: the fixture of a whole file is made before any test has a home of its own.
        subprocess.run(["git", *command], cwd=root, check=True, env=settled)
    return shared.Desk(root, run)


@pytest.fixture(scope="session")
def emulator_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one emulator that is kept for all tests: a start takes seconds."""
    folder = tmp_path_factory.mktemp("emulator")
    server.start(folder)
    yield folder
    server.stop(folder)


@pytest.fixture
def emulator(desk: Desk, emulator_home: Path) -> str:
    """The URL of the emulator that the project of `desk` keeps; what other tests left in it is gone."""
    return lend_emulator(emulator_home, desk)


def lend_emulator(home: Path, desk: Desk) -> str:
    """Let a project keep the emulator in *home*, emptied. Returns its URL."""
    scratch = desk.root / ".infra-orch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    (scratch / "emulator").symlink_to(home)
    server.reset(home)
    running = server.status(home)
    assert running is not None
    return running.url


@pytest.fixture(scope="module")
def lasting_emulator(lasting_desk: Desk, emulator_home: Path) -> str:
    """The URL of the emulator that the project of `lasting_desk` keeps."""
    return lend_emulator(emulator_home, lasting_desk)


@pytest.fixture(scope="session")
def aws_mirror() -> str:
    """A provider mirror with the AWS provider in it."""
    for mirror in find_mirrors(os.environ):
        if AWS in providers_in(mirror):
            return str(mirror)
    pytest.skip(f"no provider mirror with {AWS} on this machine; INFRA_ORCH_PROVIDER_MIRROR names one")


@pytest.fixture
def state_server() -> Iterator[tuple[str, StateServer]]:
    """A server that keeps states: its URL, and what it keeps."""
    with serving_states() as found:
        yield found
