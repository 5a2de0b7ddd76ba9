"""`make demo`: plan a stack, apply it to an emulated AWS, plan again, destroy; then look at what that left in git.

    python .ci/demo/demo.py [--builtin] [--keep]

It types the commands that a user would, in a temporary copy of this repository's modules and stacks. The emulator is
stopped on every way out, and the copy removed on every one but a failure. Exits with 0, with 1 where a step failed, or
with 130 where it was interrupted.
"""
# ruff: noqa: INP001  this folder is a program, not a package

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from aws_provider import find_aws_provider

from infra_orch.engine.cli_config import VARIABLES
from infra_orch.engine.engine import find_engine
from infra_orch.errors import UserError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GENERATED = shutil.ignore_patterns("rendered", "record", "state", "__pycache__", ".terraform", ".infra-orch")
SETTINGS_KEPT = ("INFRA_ORCH_ENGINE", "INFRA_ORCH_PROVIDER_MIRROR", "INFRA_ORCH_PROVIDER_CACHE")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

NEXT = """\
  . {activate}    puts infra-orch on your PATH; then, in this folder:

  infra-orch sandbox rehearse prod      what you saw, in one command
  $EDITOR stacks/prod/stack.py          change something, then: infra-orch plan prod --sandbox
  infra-orch plan prod                  the same stack against your own AWS account; a plan changes nothing
  infra-orch new project ../my-infra    a project of your own
  infra-orch --help                     everything else"""


class StepFailedError(Exception):
    """A command of the demo failed."""


class StoppedError(Exception):
    """Somebody asked the demo to stop."""


class Desk:
    """Where the commands are typed: a folder and an environment; knows the command that runs, and passes signals on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._environment = _environment()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: what runs ends by it, and nothing new is begun."""
        self._stopped = True
        # A terminal sends Ctrl-C to the command as well, and to a second one it would answer impatiently.
        if self._child and number != signal.SIGINT:
            self._child.send_signal(signal.SIGTERM)

    def type(self, *argv: str, into: str | None = None) -> None:
        """Show a command and run it, its output in the file *into*. Raises StepFailedError and StoppedError."""
        say(typed(f"$ {shlex.join(argv)}{f' > {into}' if into else ''}"))
        self.run(*argv, into=into)

    def run(self, *argv: str, into: str | None = None) -> None:
        """Run a command without showing it. Raises as `type` does."""
        if self._stopped:
            raise StoppedError
        with (self.folder / into).open("wb") if into else contextlib.nullcontext() as output:
            self._child = subprocess.Popen(argv, cwd=self.folder, env=self._environment, stdout=output)
            code = self._child.wait()
            self._child = None
        if self._stopped:
            raise StoppedError
        if code:
            raise StepFailedError(f"{shlex.join(argv)} ended with the exit code {code}")

    def close(self) -> None:
        """Stop the emulator; no signal keeps this from happening."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if (self.folder / ".infra-orch").is_dir():
            argv = ("infra-orch", "sandbox", "stop")
            quiet = subprocess.DEVNULL
            subprocess.run(
                argv, cwd=self.folder, env=self._environment, check=False, start_new_session=True, stderr=quiet
            )


def main() -> int:
    """Run the demo; returns its exit code."""
    parser = argparse.ArgumentParser(description="Rehearse a stack on an emulated AWS.")
    parser.add_argument("--builtin", action="store_true", help="use Terraform's built-in provider, not that of AWS")
    parser.add_argument("--keep", action="store_true", help="keep the folder that it works in")
    options = parser.parse_args()
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="infra-orch-demo-"))
    desk = Desk(scratch / "infra")
    for number in SIGNALS:
        signal.signal(number, desk.stop)
    code = 1
    try:
        source = choose_source(builtin=options.builtin)
        make_project(desk, source)
        rehearse(desk)
        code = 0
    except StoppedError:
        code = 130
        say("\nstopped")
    except (StepFailedError, UserError) as error:
        say(bold(f"\nthe demo failed: {error}"))
    finally:
        desk.close()
        if code == 1 or options.keep:
            say(f"what it made is in {desk.folder}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    if code == 0:
        say(bold(f"\nDone in {time.monotonic() - began:.0f} seconds. What to type next:\n"))
        say(NEXT.format(activate=shlex.quote(_shown(Path(sys.prefix, "bin", "activate")))))
    return code


def choose_source(*, builtin: bool) -> Path:
    """Say what will happen, and return the folder whose modules and stacks are used."""
    engine = find_engine(os.environ.get("INFRA_ORCH_ENGINE"))
    provider = None if builtin else find_aws_provider(engine)
    if provider:
        say(bold("A network, web servers in it and alerts about them, on an emulated AWS. No account is touched."))
        say(f"engine: {engine}; AWS provider: {provider}")
        return ROOT
    if not builtin:
        say("The AWS provider cannot be had: no mirror on this machine holds it, and the registry does not answer.")
        say("INFRA_ORCH_PROVIDER_MIRROR=FOLDER names a mirror. Without one, a stack of the same shape has to do.\n")
    say(bold("A network, web servers in it and alerts about them, made of Terraform's built-in provider."))
    say(f"engine: {engine}")
    return HERE


def make_project(desk: Desk, source: Path) -> None:
    """Copy modules and stacks of *source*, less what is generated, into a git repository with one commit."""
    headline("A project: modules, and a stack file in Python")
    for name in ("modules", "stacks"):
        shutil.copytree(source / name, desk.folder / name, ignore=GENERATED)
    # An identity of its own: whoever runs the demo may have none yet.
    desk.run("git", "-c", "init.defaultBranch=main", "init", "--quiet")
    desk.run("git", "config", "user.name", "infra-orch demo")
    desk.run("git", "config", "user.email", "demo@example.com")
    desk.run("git", "add", "--all")
    desk.run("git", "commit", "--quiet", "--message", "The modules, and the stack prod")
    desk.type("git", "ls-files", "stacks", "modules/*main.tf")
    desk.type("infra-orch", "sandbox", "start")


def rehearse(desk: Desk) -> None:
    """Plan, apply, plan again, destroy; showing at each step what came of it."""
    headline("Plan: what would be made, also where it hangs on what does not exist yet")
    desk.type("infra-orch", "plan", "prod", "--sandbox", "--out", "../prod.plan", into="../plan.txt")
    headline("Apply: exactly that, in the order of the dependencies; then the stack's own smoke test")
    argv = ("infra-orch", "apply", "prod", "--sandbox", "--plan", "../prod.plan", "--auto-approve", "--commit")
    desk.type(*argv, into="../apply.txt")
    headline("Plan again: there must be nothing to change")
    desk.type("infra-orch", "plan", "prod", "--sandbox", "--detailed-exitcode")
    headline("The plan that was applied, less the attributes of its resources")
    desk.type("grep", "-v", "^        ", "../plan.txt")
    headline("What depends on what")
    desk.type("infra-orch", "graph", "prod")
    headline("The outputs, read from the states")
    desk.type("infra-orch", "output", "prod", "--sandbox")
    headline("Destroy: in reverse order")
    desk.type("infra-orch", "destroy", "prod", "--sandbox", "--auto-approve", "--commit", into="../destroy.txt")
    headline("What is left in git: what Terraform was given, and a record of what was done")
    desk.type("git", "--no-pager", "log", "--oneline")
    desk.type("git", "--no-pager", "show", "--stat", "HEAD~1")
    desk.type("infra-orch", "history", "prod", "--sandbox")


def _environment() -> dict[str, str]:
    """The user's environment with this Python's infra-orch first on PATH, less what would make the demo another one."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name in SETTINGS_KEPT or not name.startswith(("INFRA_ORCH_", "GIT_"))
    }
    for name in VARIABLES:
        if env.get(name) and not Path(env[name]).exists():
            say(f'warning: {name} names "{env.pop(name)}", which does not exist; going on without it')
    programs = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    return env | {"PATH": programs, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def _shown(path: Path) -> str:
    """The path as it is typed here: relative where it lies below this folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def headline(text: str) -> None:
    """Say what comes now."""
    say(f"\n{bold(f'── {text}')}")


def say(text: str) -> None:
    """Print a line, at once: the commands print, too. A reader that went away stops nothing."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def bold(text: str) -> str:
    """Write *text* in bold, where that can be seen."""
    return _styled(text, "1")


def typed(text: str) -> str:
    """Write *text* as something that was typed."""
    return _styled(text, "36")


def _styled(text: str, code: str) -> str:
    visible = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\033[{code}m{text}\033[0m" if visible else text


if __name__ == "__main__":
    sys.exit(main())
