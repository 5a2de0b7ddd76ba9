"""A user who types what a page says: at a terminal, with the built wheel, an empty folder and an empty home."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pages import Command
from pseudo_terminal import Terminal

WIDTH, HEIGHT = 200, 40
QUESTION = "Only 'yes' will be accepted:"
PROGRAMS = ("git", "terraform", "tofu")
SECONDS = 180.0


@dataclass(frozen=True)
class Typed:
    """What a command left on the terminal, and how it ended."""

    code: int
    lines: list[str]


@dataclass
class User:
    """Somebody at a terminal. *folder* is where they stand; it moves with `cd`. *programs* are in PATH, before the system's."""

    folder: Path
    home: Path
    programs: Path

    def type(self, command: Command, answers: list[str]) -> Typed:
        """Type a command, and an answer to each question that it asks. What is left on the terminal is what is seen."""
        where = self.home / ".where"
        script = f'{command.line}\ncode=$?\npwd -P >"{where}"\nexit $code'
        terminal = Terminal(WIDTH, HEIGHT)
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", script],
                cwd=self.folder,
                env=self._environment(),
                stdin=terminal.theirs,
                stdout=terminal.theirs,
                stderr=terminal.theirs,
                start_new_session=True,
            )
            try:
                self._answer(process, terminal, list(answers), command)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        finally:
            terminal.close()
        self.folder = Path(where.read_text(encoding="utf-8").strip())
        return Typed(process.returncode, terminal.lines)

    def _answer(
        self, process: subprocess.Popen[bytes], terminal: Terminal, answers: list[str], command: Command
    ) -> None:
        until = time.monotonic() + SECONDS
        while process.poll() is None:
            if terminal.lines[-1:] == [f"  {QUESTION}"]:
                assert answers, f"{command.line}: nobody said what to answer"
                terminal.type(f"{answers.pop(0)}\n")
                terminal.wait_for(lambda lines: lines[-1:] != [f"  {QUESTION}"])
            if time.monotonic() > until:
                raise AssertionError("\n".join([f"{command.line}: still at work", *terminal.lines]))
            time.sleep(0.01)

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PAGER": "cat",
            "CHECKPOINT_DISABLE": "1",
            "GOGC": "400",  # see tests/conftest.py
        }


def programs_of(installed: Path, folder: Path) -> Path:
    """A folder of programs: `infra-orch` as it was installed, and of the machine's what a user has to have."""
    folder.mkdir(parents=True)
    for name in PROGRAMS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    (folder / "infra-orch").symlink_to(installed / "bin" / "infra-orch")
    return folder


DIFFERS = (
    (r"\b20\d{6}T\d{6}(?:\d{3}Z-[0-9a-f]{6})?", "20261129T120000000Z-0a1b2c"),
    (r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d", "2026-11-29T12:00:00+00:00"),
    (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "00000000-0000-0000-0000-000000000000"),
    (r"\b(?=\d*[a-f]|\d{7})[0-9a-f]{7,40}\b", "0a1b2c3"),
    (r"\b\d+(?:\.\d)? s\b", "1 s"),
    (r"\b(infra-orch|Python) \d+\.\d+\.\d+[\w.+]*", r"\1 1.0.0"),
    (r"^engine: .*", "engine: terraform 1.11.4"),
    (r"\bmaster\b", "main"),
)
"""What is different each time: run ids, times, other ids, commits, durations, versions and which engine there is, and what git
calls the first branch. Both sides are written with these, and then compared exactly."""

_ENDED = re.compile(r"[\w/-]+: (?:\d+ \w+|done)(?:, \d+ \w+)*  1 s")
"""What is said of a unit that was at work beside others: which of them is the first to end differs, too."""


def plain(lines: list[str]) -> list[str]:
    """Lines without what is different each time."""
    found: list[str] = []
    together: list[str] = []
    for original in lines:
        line = original
        for pattern, instead in DIFFERS:
            line = re.sub(pattern, instead, line)
        if _ENDED.fullmatch(line):
            together.append(line)
            continue
        found += [*sorted(together), line.rstrip()]
        together = []
    return found + sorted(together)


def agree(shown: list[str], came: list[str]) -> bool:
    """Whether what a page shows is what came; `…` alone stands for any number of lines."""
    return _agree(plain(shown), plain(came))


def _agree(shown: list[str], came: list[str]) -> bool:
    if not shown:
        return not came
    if shown[0] == "…":
        return any(_agree(shown[1:], came[start:]) for start in range(len(came) + 1))
    return came[:1] == shown[:1] and _agree(shown[1:], came[1:])
