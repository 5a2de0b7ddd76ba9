#!/usr/bin/env python3
"""A Terraform that misbehaves on request, and is the real one otherwise.

    STAND_IN_TERRAFORM="apply=hang, show=exit:3" stand_in_terraform.py apply …

Each entry is COMMAND=BEHAVIOUR; a behaviour alone is for every command but `version`. Commands that are not named are
run by the `terraform` on PATH, in this process's place. Behaviours:

    hang            print a line, wait for SIGINT, then end with 1 as Terraform does
    ignore-sigint   print a line, and never end by SIGINT
    crash           Terraform's own crash: its banner, exit code 11
    killed          as if killed from outside (SIGKILL), after a line
    garbage         output that is neither JSON nor text, exit code 0
    exit:N          an error message, and the exit code N
    chatter[:N]     N bytes (10 000 000) to each of stdout and stderr, exit code 0
    slow:SECONDS    the real Terraform, later
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

FOR_EVER = 600.0


def behaviour(arguments: list[str]) -> str:
    """What is asked for this command; empty: the real thing."""
    words = " ".join(argument for argument in arguments if not argument.startswith("-"))
    for entry in os.environ.get("STAND_IN_TERRAFORM", "").split(","):
        name, _, wanted = entry.strip().rpartition("=")
        if wanted and (f"{words} ".startswith(f"{name} ") if name else not words.startswith("version")):
            return wanted
    return ""


def real(arguments: list[str]) -> None:
    program = shutil.which("terraform")
    if program is None or Path(program).samefile(__file__):
        sys.exit("stand-in: there is no real terraform on PATH")
    os.execv(program, [program, *arguments])


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def hang(_: str) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    say("stand-in: waiting")
    try:
        time.sleep(FOR_EVER)
    except KeyboardInterrupt:
        say(
            "Interrupt received.\nPlease wait for Terraform to exit or data loss may occur.\nGracefully shutting down..."
        )
    return 1


def ignore_sigint(_: str) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say("stand-in: not listening")
    time.sleep(FOR_EVER)
    return 0


def crash(_: str) -> int:
    sys.stderr.write("!!!!!!! TERRAFORM CRASH !!!!!!!!\npanic: runtime error: invalid memory address\n")
    return 11


def killed(_: str) -> int:
    say("stand-in: about to be killed")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def garbage(_: str) -> int:
    sys.stdout.buffer.write(b'{"@level":"info"\n\xff\xfe\x00{{{ not json\n[1, 2')
    return 0


def leave(code: str) -> int:
    sys.stderr.write("Error: stand-in: told to fail\n")
    return int(code)


def chatter(size: str) -> int:
    left = int(size or 10_000_000)
    while left > 0:
        for descriptor in (1, 2):
            os.write(descriptor, b"x" * (min(left, 65536) - 1) + b"\n")
        left -= 65536
    return 0


BEHAVIOURS = {
    "hang": hang,
    "ignore-sigint": ignore_sigint,
    "crash": crash,
    "killed": killed,
    "garbage": garbage,
    "exit": leave,
    "chatter": chatter,
}


def main(arguments: list[str]) -> int:
    name, _, argument = behaviour(arguments).partition(":")
    if name == "slow":
        time.sleep(float(argument))
    if name in BEHAVIOURS:
        return BEHAVIOURS[name](argument)
    if name not in ("", "slow"):
        sys.exit(f"stand-in: no behaviour {name!r}")
    real(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
