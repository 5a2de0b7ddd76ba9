"""What all tests share: no way to the real home folder or a real account, and a project to work on as a user would."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from child_process import Child, at_work
from hypothesis import settings

from infra_orch.cli.app import run as run_cli

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background with SIGINT ignored, and so would every child of the tests be.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Nothing is to be left beside the sources. Yet each of the hundreds of programs that the tests start would compile
    # all of them anew, which takes longer than what most of them do: they keep that in a folder that goes in the end.
    compiled = tempfile.TemporaryDirectory(prefix="infra-orch-compiled-", ignore_cleanup_errors=True)
    os.environ["PYTHONPYCACHEPREFIX"] = compiled.name
    atexit.register(compiled.cleanup)

if not any(one.value == "infra_orch.testing.plugin" for one in entry_points(group="pytest11")):
    # On the path and not installed, or not since the plugin is there: nobody else tells pytest of it.
    pytest_plugins = ["infra_orch.testing.plugin"]

# The suite draws the same examples each time, so that a change is not refused for what it did not do; new ones are drawn
# with --hypothesis-profile=default, as `make test-faults` does.
settings.register_profile("repeatable", derandomize=True, database=None)
settings.load_profile("repeatable")

# Terraform and the AWS provider, whose schema is large, use a quarter less of the CPU where they tidy up less often.
os.environ.setdefault("GOGC", "400")

# Begun one after the other as they are, a file that takes a minute may be the last, and one core does nothing meanwhile.
LONGEST = (
    "shipped/test_shipped_batch.py",
    "commands/test_review_story.py",
    "gateway/test_differential.py",
    "shipped/test_shipped_analytics.py",
    "shipped/test_shipped_delivery.py",
    "commands/test_aws.py",
    "gateway/test_differential_aws.py",
    "shipped/test_shipped_modules.py",
    "shipped/test_shipped_fleet.py",
    "docs/test_readme.py",
    "docs/test_tutorial.py",
    "commands/test_bootstrap.py",
    "testing/test_testing_fixtures.py",
    "commands/test_kept_stacks.py",
    "commands/test_across_stacks.py",
    "faults/test_faults_machine.py",
    "sandbox/test_sandbox_isolation.py",
    "commands/test_affected.py",
    "commands/test_affected_rendered.py",
    "commands/test_recover.py",
    "gateway/test_instances.py",
    "commands/test_recover_cloud.py",
    "commands/test_engines.py",
    "commands/test_no_python.py",
    "commands/test_apply_bundle.py",
    "faults/test_faults.py",
    "faults/test_faults_two_at_once.py",
    "test_demo.py",
    "commands/test_skip_truth.py",
)
"""The files that take longest, the longest first: `make test` begins with them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-pages",
        action="store_true",
        help="write what commands print into the pages that show it (tests/docs/test_tutorial.py)",
    )


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: providers wait long for what they made, and leave a core idle meanwhile."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


_KEPT = ("AWS_DEFAULT_REGION",)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, a user whom git knows, and none of the machine's credentials or settings."""
    home = tmp_path / "user"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("AWS_", "TF_", "INFRA_ORCH_", "GIT_", "XDG_")) and name not in _KEPT:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("CHECKPOINT_DISABLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n"
    )
    return home


ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def stranger_venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it. What it depends on is that of the one that runs the tests."""
    venv = tmp_path_factory.mktemp("stranger") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    # Of a folder that is named so, the .pth files are not read: the checkout, installed as editable there, is not found.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    options = ("--no-deps", "--no-index", "--ignore-installed", "--disable-pip-version-check", "--quiet")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    argv = [str(venv / "bin" / "python"), "-P", "-m", "pip", "install", *options, str(wheel)]
    done = subprocess.run(argv, env=environment, cwd=venv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return venv


@dataclass(frozen=True)
class Result:
    """What a command line came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A project in a git repository, and the command line to work on it."""

    root: Path
    run: Callable[..., Result]

    def write(self, files: dict[str, str]) -> Desk:
        """Write files, given by their paths; their text may be indented."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return self

    def git(self, *arguments: str) -> str:
        """Run git in the project and return what it printed."""
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def commit(self, message: str = "work") -> str:
        """Commit everything and return the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """An empty project under git, where the user stands."""
    root = tmp_path / "project"
    (root / "stacks").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    monkeypatch.chdir(root)

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = run_cli([*arguments])
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return Desk(root, run)


Begin = Callable[[Callable[[Desk], object]], Desk]


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test of a file that begins with a project leaves a copy of it."""
    return tmp_path_factory.mktemp("beginnings")


@pytest.fixture
def begin(desk: Desk, beginnings: Path) -> Begin:
    """Let the project be what a function makes of it; where a test of the same file began so, it is a copy of that."""

    def begun(make: Callable[[Desk], object]) -> Desk:
        kept = beginnings / make.__name__
        if kept.exists():
            shutil.copytree(kept, desk.root, dirs_exist_ok=True, symlinks=True)
        else:
            make(desk)
            shutil.copytree(desk.root, kept, symlinks=True)
        return desk

    return begun


NETWORK = """
    variable "name" {
      type = string
    }

    variable "zones" {
      type    = list(string)
      default = ["a", "b"]
    }

    resource "terraform_data" "network" {
      input = var.name
    }

    resource "terraform_data" "subnet" {
      for_each = toset(var.zones)
      input    = each.key
    }

    output "name" {
      value = var.name
    }

    output "id" {
      value = terraform_data.network.id
    }

    output "subnet_ids" {
      value = [for subnet in terraform_data.subnet : subnet.id]
    }

    output "password" {
      value     = "correct-horse-${var.name}"
      sensitive = true
    }
"""
SERVERS = """
    variable "network_id" {
      type = string
    }

    variable "subnets" {
      type = list(string)
    }

    variable "name" {
      type = string
    }

    resource "terraform_data" "server" {
      count = length(var.subnets)
      input = "${var.name} ${var.subnets[count.index]} ${var.network_id}"
    }

    output "servers" {
      value = terraform_data.server[*].output
    }
"""
STACK = """
    from infra_orch import Stack

    stack = Stack("dev")
    network = stack.unit("network", module="network", inputs={"name": "dev"})
    web = stack.unit("web", module="servers", inputs={
        "network_id": network.outputs.id,
        "subnets": network.outputs.subnet_ids,
        "name": f"{network.outputs.name}-web",
    })
"""


@pytest.fixture
def two_units(desk: Desk) -> Desk:
    """A committed project whose stack `dev` has a network and servers in it."""
    desk.write(
        {
            "modules/network/main.tf": NETWORK,
            "modules/servers/main.tf": SERVERS,
            "stacks/dev/stack.py": STACK,
        }
    )
    desk.commit()
    return desk


@pytest.fixture
def start(desk: Desk) -> Iterator[Callable[..., Child]]:
    """Start the command line in the project; whatever is left of it in the end is killed."""
    children: list[Child] = []

    def begin(*arguments: str, **more: str) -> Child:
        children.append(Child(desk, *arguments, **more))
        return children[-1]

    yield begin
    for child in children:
        child.process.kill()
        child.process.wait()
    for pid in at_work(desk.root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
