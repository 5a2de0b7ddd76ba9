"""What can go wrong for a user, and the exit code that each kind of trouble ends in.

    UserError                  1    something failed that is not our defect
    ├── UsageError            64    wrong command line, setting or project layout
    ├── SpecError             65    the stack spec is wrong; holds every problem that was found
    ├── UnavailableError      69    engine, provider, registry or backend not available
    ├── LockedError           75    somebody else holds the stack or the state
    ├── RefusedError          77    refused by policy, protection or approval
    └── InterruptedRun       130    Ctrl-C, SIGTERM or a hang-up

Every error says what is wrong, where, and how to mend it. Only the CLI's boundary turns one into an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes of `infra-orch`; the numbers from 64 on follow BSD's sysexits.h."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    USAGE = 64
    SPEC = 65
    UNAVAILABLE = 69
    LOCKED = 75
    REFUSED = 77
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it tells whoever reads it."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done, nothing failed",
    ExitCode.FAILED: "something failed",
    ExitCode.CHANGES: "with `--detailed-exitcode`: there are changes; of `drift`: something has drifted, and was not "
    "put back",
    ExitCode.USAGE: "wrong usage: the command line, a setting, the project's layout",
    ExitCode.SPEC: "the spec is wrong",
    ExitCode.UNAVAILABLE: "an engine, a provider, a registry or a backend is not available; `doctor` found an error",
    ExitCode.LOCKED: "somebody else is at work on the stack",
    ExitCode.REFUSED: "refused: by protection, by a policy, by a plan that no longer holds, or because nobody said yes",
    ExitCode.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, order=True)
class Where:
    """A place in a file that the user wrote: `file` relative to the project, `line` counted from 1 (0: whole file)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec: `message` quotes the value, `hint` is the edit that mends it."""

    message: str
    where: Where | None = None
    hint: str = ""


class UserError(Exception):
    """Something that the user can mend. `hint` is the command or edit that mends it."""

    exit_code = ExitCode.FAILED

    def __init__(self, summary: str, *, hint: str = "", where: Where | None = None) -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint
        self.where = where

    @property
    def problems(self) -> Sequence[Problem]:
        """The error as a list of problems, so that one and many are shown alike."""
        return (Problem(self.summary, self.where, self.hint),)


class UsageError(UserError):
    """The command line, a setting or the project's layout is wrong."""

    exit_code = ExitCode.USAGE


class SpecError(UserError):
    """A stack spec is wrong. Holds every problem that was found, in the order of the file."""

    exit_code = ExitCode.SPEC

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = tuple(problems)
        super().__init__("\n".join(problem.message for problem in self._problems))

    @property
    def problems(self) -> Sequence[Problem]:
        """Every problem, in the order of the file."""
        return self._problems


class UnavailableError(UserError):
    """An engine, a provider, a registry or a backend is not available."""

    exit_code = ExitCode.UNAVAILABLE


class LockedError(UserError):
    """Another run holds the stack, or somebody holds the state's lock."""

    exit_code = ExitCode.LOCKED


class RefusedError(UserError):
    """Refused by protection, policy, approval or a missing consent. Nothing was changed."""

    exit_code = ExitCode.REFUSED


class InterruptedRun(UserError):  # noqa: N818  a run that was stopped has no error in it
    """The user or the system asked to stop, and nothing is left running."""

    exit_code = ExitCode.INTERRUPTED


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return `did you mean "x"?` for the candidate most like *name*, or an empty string where none is alike."""
    matches = difflib.get_close_matches(name, sorted(candidates), n=1, cutoff=0.6)
    return f'did you mean "{matches[0]}"?' if matches else ""
