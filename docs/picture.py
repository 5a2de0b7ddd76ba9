"""Record docs/at-work.svg, the picture in the README, from a real run: python docs/picture.py

It types the commands below on a terminal of its own, in a temporary project made of this repository's modules, against
the emulated AWS, and records what is seen, as `infra-orch --record` does. It takes minutes, and the AWS provider.
"""
# ruff: noqa: INP001  a program, not a package

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from infra_orch.report.film import picture
from infra_orch.report.tape import Tape

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "at-work.svg"
TITLE = "A terminal: infra-orch applies a stack of six units over two regions, side by side, and records it in git"
COMMANDS = (
    "infra-orch graph prod",
    "infra-orch apply prod --sandbox --commit",
    "git log --oneline",
)
WIDTH, HEIGHT = 90, 26
QUESTION = b"Only 'yes' will be accepted: "
STACK = '''\
"""A network, web servers in it and alerts about them, in each of two regions."""

from infra_orch import Provider, Stack

REGIONS = {"eu": "eu-west-1", "us": "us-east-1"}
AWS = {
    name: Provider("aws", source="hashicorp/aws", version="~> 5.0", alias=name, region=region)
    for name, region in REGIONS.items()
}

stack = Stack("prod", providers=list(AWS.values()))

for name, provider in AWS.items():
    here = {"aws": provider}
    network = stack.unit(
        f"network-{name}",
        module="network",
        inputs={"name": name, "cidr_block": "10.20.0.0/16", "zone_count": 2},
        providers=here,
    )
    web = stack.unit(
        f"web-{name}",
        module="web_servers",
        inputs={
            "name": f"{network.outputs.name}-web",
            "vpc_id": network.outputs.vpc_id,
            "subnet_ids": network.outputs.subnet_ids,
        },
        providers=here,
    )
    stack.unit(
        f"alerts-{name}",
        module="alerts",
        inputs={"name": name, "server_groups": {"web": web.outputs.group_name}, "email_addresses": ["ops@example.com"]},
        providers=here,
    )
'''


def main() -> int:
    """Type the commands and write the picture. Raises CalledProcessError where one fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "infra"
        shutil.copytree(ROOT / "modules", folder / "modules")
        (folder / "stacks" / "prod").mkdir(parents=True)
        (folder / "stacks" / "prod" / "stack.py").write_text(STACK, encoding="utf-8")
        environment = _environment(Path(name))

        def quietly(line: str) -> None:
            subprocess.run(shlex.split(line), cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)

        for line in ("git init --quiet", "git add --all", "git commit --quiet --message 'The stack prod'"):
            quietly(line)
        quietly("infra-orch sandbox start")
        tape = Tape(WIDTH, HEIGHT)
        try:
            for command in COMMANDS:
                _type(command, folder, environment, tape)
        finally:
            quietly("infra-orch sandbox stop")
        if name in "".join(text for _, text in tape.pieces):
            raise SystemExit("the picture would show a path of this machine")
    PICTURE.write_text(picture(tape, TITLE), encoding="utf-8")
    return 0


def _type(command: str, folder: Path, environment: dict[str, str], tape: Tape) -> None:
    """Run a command on a terminal, and say yes to what it asks; all that is seen goes onto *tape*."""
    tape.add("\033[32m$\033[0m ")
    _press(command, tape)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    argv = shlex.split(command)
    with subprocess.Popen(argv, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            _watch(ours, tape)
        finally:
            os.close(ours)  # a command that is still there is hung up on
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    time.sleep(0.8)
    tape.add("\n")


def _watch(ours: int, tape: Tape) -> None:
    """Put what comes onto *tape*, and say yes to the question, until nobody is at the other side any more."""
    characters = codecs.getincrementaldecoder("utf-8")()  # a read may end within one
    while select.select([ours], [], [])[0]:
        try:
            data = os.read(ours, 65536)
        except OSError:  # what Linux says where all of the other side is closed
            break
        if not data:
            break
        tape.add(characters.decode(data))
        if data.endswith(QUESTION):
            time.sleep(1.5)
            os.write(ours, b"yes\n")


def _press(text: str, tape: Tape) -> None:
    for char in text:
        tape.add(f"\033[1m{char}\033[0m")
        time.sleep(0.04)
    tape.add("\n")


def _environment(home: Path) -> dict[str, str]:
    settings = ("INFRA_ORCH_", "TF_", "GIT_", "AWS_")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(settings) or name in _PROVIDER_SETTINGS
    }
    programs = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.com\n[init]\n\tdefaultBranch = main\n[core]\n\tpager = cat\n",
        encoding="utf-8",
    )
    return kept | {"HOME": str(home), "PATH": programs, "GIT_CONFIG_NOSYSTEM": "1", "TERM": "xterm-256color"}


_PROVIDER_SETTINGS = ("INFRA_ORCH_PROVIDER_MIRROR", "INFRA_ORCH_PROVIDER_CACHE", "TF_CLI_CONFIG_FILE")


if __name__ == "__main__":
    sys.exit(main())
