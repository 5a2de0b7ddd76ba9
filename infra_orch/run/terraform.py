"""Run one Terraform command for a unit: journalled, its output in a log file, its failure a value with a reason."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from infra_orch.errors import InterruptedRun
from infra_orch.files import write_atomically
from infra_orch.process import Program, birth
from infra_orch.run.context import RunContext
from infra_orch.run.diagnosis import DISK_FULL, Messages, explain, is_full, read_messages
from infra_orch.run.outcome import Failure
from infra_orch.run.serving import Served, served, wants_more

_BLOCK = 4 << 20
"""So many characters of a log are redacted at one go: memory stays flat however much a child says."""


class StepError(Exception):
    """A step of a unit failed; it becomes the unit's outcome, and nothing else stops for it."""

    def __init__(self, summary: str, *, detail: str = "", hint: str = "", log: str = "", kind: str = "failed") -> None:
        super().__init__(summary)
        self.failure = Failure(summary, detail, hint, log, kind)

    @classmethod
    def of(cls, failure: Failure) -> StepError:
        """The error of a failure that was found."""
        return cls(failure.summary, detail=failure.detail, hint=failure.hint, log=failure.log, kind=failure.kind)


@dataclass(frozen=True)
class UnitCommand:
    """A Terraform command for a unit or a task, *node*, to be run in *cwd*; *step* names its log and its journal lines.

    *environment* is completed by the unit's credentials, those that apply where it *changes_world*. *variables* are
    input variables. *stdout* is where its output goes instead of the log. *facts* are what the journal says besides of
    the beginning of one that changes the world.
    """

    node: str
    step: str
    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdout: Path | None = None
    changes_world: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def settled(self, context: RunContext) -> dict[str, str]:
        """Its whole environment. Raises CredentialsError where there are none to be had."""
        own = context.wallet.for_unit(self.node, self.environment, changes=self.changes_world)
        return {**own, **{f"TF_VAR_{name}": value for name, value in self.variables.items()}}


@dataclass(frozen=True)
class Invocation:
    """A command that was run: where, its exit code, what it said (not redacted), where its output is (redacted)."""

    context: RunContext
    node: str
    step: str
    cwd: Path
    returncode: int
    log: Path
    messages: Messages

    def text(self) -> str:
        """What the command said went wrong, redacted, as text; files are named as the user knows them."""
        up = os.path.relpath(self.context.stack.folder.project.root, self.cwd)
        return self.context.redactor.text(self.messages.error_text.replace(f"{up}/", ""))

    def failure(self) -> Failure:
        """Why it failed."""
        text = self.text()
        context = self.context
        subject = f"{context.stack.folder.name} {self.node}"
        failure = explain(text, step=self.step, subject=subject, log=context.shown(self.log), exit_code=self.returncode)
        if is_full(self.cwd):
            return replace(DISK_FULL, detail=text, log=failure.log)
        if context.sandbox and (limit := context.sandbox.reason(text)):
            return Failure(limit, text, "", failure.log, "emulator")
        return failure

    def check(self, good: Sequence[int] = (0,)) -> Invocation:
        """Return itself where the exit code is good. Raises StepError where it is not."""
        if self.returncode not in good:
            raise StepError.of(self.failure())
        return self


def invoke(context: RunContext, command: UnitCommand) -> Invocation:
    """Run a command and wait for it. Its output goes to the log of its node and step.

    One that changes the world is journalled, on disk before it begins and after it ends. One that lacked something of
    its providers runs again.
    Raises CredentialsError where there are none to be had; InterruptedRun where the run is stopping before it begins,
    and where it was stopped by that and changes nothing; OSError where its beginning cannot be journalled. Once it has
    run, nothing that fails here hides it.
    """
    node, step = command.node, command.step
    log = context.log(node, step)
    begin = _size(log)
    environment = command.settled(context)
    argv, cwd = command.argv, command.cwd
    began = time.time()
    with served(context, node, step, argv, cwd, environment, changes_world=command.changes_world) as providers:
        ready = time.time()
        returncode = _run(context, command, {**environment, **providers.environment}, providers)
    context.journal.note("step", node=node, step=step, began=began, providers=ready - began)
    if command.changes_world:
        # A step without this line counts as one that nobody knows the end of, which is the safe side.
        with contextlib.suppress(OSError):
            context.journal.write("end", durable=True, node=node, step=step, returncode=returncode)
    elif returncode not in (0, 2) and context.supervisor.stopping:
        redact_log(context, log)
        raise InterruptedRun(f"{step} was interrupted")
    # Read before it is redacted: outputs are in it, and what is handed on to other units must be what it is.
    messages = read_messages(log, begin)
    redact_log(context, log)
    if returncode and wants_more(context, argv, cwd, providers, messages.error_text):
        context.journal.write("again", node=node, step=step, why="the schema lacked what the command asked for")
        if command.stdout:
            command.stdout.unlink(missing_ok=True)
        return invoke(context, command)
    return Invocation(context, node, step, cwd, returncode, log, messages)


def _run(context: RunContext, command: UnitCommand, environment: Mapping[str, str], providers: Served) -> int:
    log = context.log(command.node, command.step)

    def started(pid: int) -> None:
        _note_start(context, command.node, command.step, pid)
        providers.started(pid)

    if command.changes_world:
        where = {"node": command.node, "step": command.step, "cwd": str(command.cwd), "log": str(log)}
        context.journal.write("begin", durable=True, **where, **command.facts)
    return context.supervisor.run(
        Program(
            command.argv,
            label=f"{command.node}: {command.step}",
            cwd=command.cwd,
            env=environment,
            stdout=command.stdout or log,
            stderr=log if command.stdout else None,
            inherit=context.inherit,
            started=started,
        )
    )


def _note_start(context: RunContext, node: str, step: str, pid: int) -> None:
    """Whoever finds this run dead wants to know what of it still runs."""
    context.journal.note("start", node=node, step=step, pid=pid, born=birth(pid))


def printed(context: RunContext, node: str, step: str, argv: Sequence[str], cwd: Path) -> bytes:
    """Run a command that only reads and return what it prints, which may hold secrets: no file of it stays.

    Raises StepError where it fails, and what invoke() raises.
    """
    path = cwd / f"{step}.printed"
    path.unlink(missing_ok=True)
    try:
        invoke(context, UnitCommand(node, step, argv, cwd, context.environment, stdout=path)).check()
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def redact_log(context: RunContext, log: Path) -> None:
    """Take secrets out of a log once its writer has ended: before that, its writer has it open.

    Where that cannot be done, as on a full disk, a log that holds secrets is emptied.
    """
    try:
        if _size(log) <= _BLOCK:
            _redact_small(context, log)
        else:
            _redact_large(context, log)
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(log, 0)


def _redact_small(context: RunContext, log: Path) -> None:
    if not _size(log):
        return
    text = log.read_text(encoding="utf-8", errors="replace")
    clean = context.redactor.text(text)
    if clean != text:
        write_atomically(log, clean, mode=0o600)


def _redact_large(context: RunContext, log: Path) -> None:
    partial = log.with_name(f".{log.name}.partial")
    try:
        with (
            log.open(encoding="utf-8", errors="replace") as source,
            os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as target,
        ):
            target.writelines(context.redactor.text(block) for block in _blocks(source))
        partial.replace(log)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _blocks(source: TextIO) -> Iterator[str]:
    """Whole lines, some megabytes of them; a key that begins in a block ends in it."""
    block = ""
    while more := source.read(_BLOCK):
        block += more + source.readline()
        if block.rfind("-----BEGIN ") <= block.rfind("-----END ") or len(block) > 2 * _BLOCK:
            yield block
            block = ""
    if block:
        yield block


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
