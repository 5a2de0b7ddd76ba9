"""What a task of a spec is given: values of the units before it, a log, a way to run programs and to call AWS."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.engine.emulated import ACCESS_KEY, emulated_session
from infra_orch.errors import UnavailableError, UserError
from infra_orch.notify.rules import variable_of
from infra_orch.notify.send import PATIENCE, Message, begin
from infra_orch.process import Program, Supervisor
from infra_orch.redact import Redactor
from infra_orch.run.values import Output, contains_unknown, plain


class TaskProgramError(UserError):
    """A program that a task ran failed; the message holds the end of what it printed."""


class TaskTimeoutError(UserError, TimeoutError):
    """A task, or a program that it ran, took longer than its time-out."""


class _Known(dict[str, Any]):
    """A dict that says what a missing key means."""

    def __init__(self, values: Mapping[str, Any], missing: str) -> None:
        super().__init__(values)
        self._missing = missing

    def __missing__(self, key: str) -> Any:
        raise KeyError(self._missing.format(key))


@dataclass
class Context:
    """What a task is given; see `infra_orch.TaskContext`. Each attempt has one of its own."""

    stack: str
    run_id: str
    outputs: Mapping[str, Mapping[str, Any]]
    log: logging.Logger
    deadline: float | None
    environment: Mapping[str, str]
    folder: Path
    log_file: Path
    supervisor: Supervisor
    task: str
    redactor: Redactor = field(default_factory=Redactor)
    sandbox: bool = False
    over: bool = False

    def run(self, argv: Sequence[str], *, cwd: str | Path | None = None, timeout: float | None = None) -> str:
        """Run a program, without a shell, and return what it printed, on stderr too.

        Raises TaskProgramError where it fails or is not there, TaskTimeoutError where it takes longer than *timeout*
        seconds or than the task may.
        """
        if isinstance(argv, str):
            raise TypeError(f"context.run takes a list of arguments, not the string {argv!r}")
        if self.over:
            raise TaskTimeoutError("the task's time is up")
        limits = [limit for limit in (timeout, self.deadline and self.deadline - time.monotonic()) if limit is not None]
        limit = max(min(limits), 0.01) if limits else None
        output = self.log_file.with_name(f"program-{threading.get_ident()}-{time.monotonic_ns()}.log")
        began = time.monotonic()
        try:
            program = Program(
                [str(part) for part in argv],
                label=f"{self.task}: {argv[0]}",
                cwd=Path(cwd or self.folder),
                env=self.environment,
                stdout=output,
                shares_interrupt=True,
            )
            code = self.supervisor.run(program, timeout=limit)
            text = output.read_text(encoding="utf-8", errors="replace")
        except UnavailableError as error:
            raise TaskProgramError(str(error)) from error
        finally:
            output.unlink(missing_ok=True)
        self.log.info("%s ended with code %d\n%s", argv[0], code, text)
        if code and limit is not None and time.monotonic() - began >= limit:
            raise TaskTimeoutError(f"{argv[0]} took longer than {limit:.3g} s")
        if code:
            raise TaskProgramError(f"{argv[0]} ended with code {code}: {text.strip()[-500:]}".rstrip(": "))
        return text

    def notify(self, title: str, text: str = "", *, to: str) -> bool:
        """Send a message to the address that the variable *to* has. Returns whether it was sent; its log says why not.

        Secrets are masked in it. In the sandbox it is written into the log instead. Raises ValueError where *to* is no
        variable's name.
        """
        message = Message(variable_of(to), self.redactor.text(str(title)), self.redactor.text(str(text)))
        if self.sandbox:
            self.log.info("in the sandbox nobody is told: %s\n%s", message.title, message.text)
            return False
        self.redactor.add(self.environment.get(message.variable))
        left = self.deadline - time.monotonic() if self.deadline is not None else PATIENCE
        complaints = begin([message], self.environment).complaints(max(0.0, min(PATIENCE, left)))
        for complaint in complaints:
            self.log.warning("%s", complaint)
        return not complaints

    def client(self, service: str, *, region: str | None = None) -> Any:
        """Return a boto3 client that talks to the account, or the sandbox, that this run talks to."""
        return client_of(self.environment, service, region)


def client_of(environment: Mapping[str, str], service: str, region: str | None) -> Any:
    """Return a boto3 client that talks to the account, or the sandbox, that *environment* leads to."""
    import boto3  # noqa: PLC0415 - takes longer to import than all of the rest
    import botocore.session  # noqa: PLC0415 - as above
    from botocore.config import Config  # noqa: PLC0415 - as above

    region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if environment.get("AWS_ACCESS_KEY_ID") == ACCESS_KEY:
        session = emulated_session(region)
    else:
        variables = _variables_of(environment, botocore.session.Session.SESSION_VARIABLES)
        session = boto3.session.Session(
            botocore_session=botocore.session.Session(variables),
            aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=environment.get("AWS_SESSION_TOKEN"),
            region_name=region,
        )
    return session.client(
        service,
        endpoint_url=environment.get("AWS_ENDPOINT_URL"),
        # In the sandbox nothing may leave by a proxy; outside it the process's own environment decides.
        config=Config(proxies={}) if "AWS_ENDPOINT_URL" in environment else None,
    )


def _variables_of(environment: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Of the variables that botocore would take from this process, those that are others in *environment*, as they are
    there: without that the user's profile would count beside the credentials of a role.
    """
    found = {}
    for setting, (in_file, variables, default, conversion) in known.items():
        names = [variables] if isinstance(variables, str) else variables or ()
        here, there = (next(filter(None, map(place.get, names)), None) for place in (os.environ, environment))
        if here != there:
            found[setting] = (in_file, None, there or default, conversion)
    return found


def task_outputs(outputs: Mapping[str, Mapping[str, Output]]) -> Mapping[str, Mapping[str, Any]]:
    """Return *outputs* as a task sees them: by unit and name, numbers as Python has them, without what is unknown."""
    return _Known(
        {
            unit: _Known(
                {name: plain(output.value) for name, output in known.items() if not contains_unknown(output.value)},
                f"{unit} has no output {{}}, or none yet",
            )
            for unit, known in outputs.items()
        },
        "the task comes after no unit {} in this run",
    )
