"""Run one task: a Python function of the spec, with a context, a time-out and retries; its failure is an outcome."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import logging
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tenacity

from infra_orch.errors import InterruptedRun, UserError
from infra_orch.process import Running, Supervisor
from infra_orch.redact import Redactor
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.prints import prints_to, routed
from infra_orch.run.task_context import Context, TaskTimeoutError, task_outputs
from infra_orch.run.terraform import redact_log
from infra_orch.run.values import Output
from infra_orch.spec.stack import Task

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0
"""How long a task whose time is up, and whose program was interrupted, may take to notice before that is killed."""

_OURS = (str(Path(__file__).resolve().parents[1]), str(Path(tenacity.__file__).resolve().parent))
_CARRIERS = (*_OURS, str(Path(concurrent.futures.__file__).parent), str(Path(json.__file__).parent))
"""What an exception passes on its way here, besides the user's code."""


def run_task(
    task: Task, context: RunContext, outputs: Mapping[str, Mapping[str, Output]], regions: Mapping[str, str]
) -> Outcome:
    """Run *task* with the *outputs* of the units upstream of it. Never raises for the task's own failure.

    *regions* are variables that say in which region the stack's provider works, where the environment does not.
    """
    began = time.monotonic()
    log_file = context.log(task.name, "task")
    context.progress.started(task.name, "task", log_file)
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.touch(mode=0o600)
        context.journal.write("begin", durable=True, node=task.name, step="task")
    except OSError as error:
        return Outcome(task.name, Status.FAILED, failure=Failure(f"not begun: {error}"), is_task=True)
    with routed(), _logger(context.redactor, task.name, log_file) as log:
        settled = Context(
            stack=context.stack.name,
            run_id=context.run_id,
            outputs=task_outputs(outputs),
            log=log,
            deadline=None,
            environment={**regions, **context.environment},
            folder=context.stack.folder.path,
            log_file=log_file,
            supervisor=context.supervisor,
            task=task.name,
            redactor=context.redactor,
            sandbox=context.sandbox is not None,
        )
        outcome = _attempts(task, settled, context)
    with contextlib.suppress(OSError):
        facts = {"status": str(outcome.status), "result": outcome.result}
        failed = outcome.failure.summary if outcome.failure else None
        context.journal.write("end", durable=True, node=task.name, step="task", error=failed, **facts)
    redact_log(context, log_file)
    return replace(outcome, duration=time.monotonic() - began)


def _attempts(task: Task, settled: Context, context: RunContext) -> Outcome:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(task.retries + 1),
        wait=tenacity.wait_exponential(multiplier=task.retry_delay, max=max(60.0, task.retry_delay)),
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, Exception) and not context.supervisor.stopping
        ),
        sleep=lambda seconds: _sleep(context.supervisor, seconds),
        before_sleep=lambda state: settled.log.warning("attempt %d failed: %r", state.attempt_number, _error(state)),
        reraise=True,
    )
    try:
        result = retrying(lambda: _attempt(task, settled, context))
        return Outcome(task.name, Status.APPLIED, result=context.redactor.value(_plain(result)), is_task=True)
    except BaseException as error:
        # Whatever a task raises is its own failure, sys.exit() too.
        settled.log.exception("the task failed")
        if context.supervisor.stopping:
            failure = Failure("stopped before it was done", context.redactor.text(_whole(str(error))), kind="cancelled")
            return Outcome(task.name, Status.CANCELLED, failure=failure, is_task=True)
        summary = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".rstrip(": ")
        text = context.redactor.text
        failure = Failure(
            text(_whole(summary)), text(_whole(_where_raised(error))), log=context.shown(settled.log_file), kind="task"
        )
        return Outcome(task.name, Status.FAILED, failure=failure, is_task=True)


def _attempt(task: Task, settled: Context, context: RunContext) -> object:
    """Call the function in a thread, which is left behind where it does not end in time."""
    environment = context.wallet.for_tasks(settled.environment)
    deadline = time.monotonic() + task.timeout if task.timeout is not None else None
    mine = replace(settled, environment=environment, deadline=deadline)
    results: list[object] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            with prints_to(mine.log.info):
                results.append(task.function(mine))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            errors.append(error)

    # A daemon: one that never ends must not keep the process from ending.
    thread = threading.Thread(target=call, name=f"task {task.name}", daemon=True)
    thread.start()
    _wait(thread, mine, context)
    if thread.is_alive():
        mine.over = True
        raise TaskTimeoutError(
            "did not end when the run was stopped"
            if context.supervisor.stopping
            else f"took longer than {task.timeout:g} s"
        )
    if errors:
        raise errors[0]
    return results[0]


def _wait(thread: threading.Thread, mine: Context, context: RunContext) -> None:
    """Wait for a task's thread; when its time is up, or the run's, no longer than programs of its may take to end."""
    supervisor = context.supervisor
    stopped: float | None = None
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        now = time.monotonic()
        if mine.deadline is not None and now >= mine.deadline:
            thread.join(0 if not _programs(mine) else min(_GRACE_SECONDS, supervisor.patience))
            for program in _programs(mine):
                program.signal(signal.SIGKILL, whole_session=True)
                thread.join(1.0)
            return
        if stopped is None and supervisor.stopping:
            stopped = now
            context.progress.note(f"{mine.task}: waiting for the task to end, {supervisor.patience:g} s at most")
        if stopped is not None and now >= stopped + supervisor.patience:
            return


def _programs(mine: Context) -> list[Running]:
    return [running for running in mine.supervisor.running() if running.label.startswith(f"{mine.task}: ")]


def _where_raised(error: BaseException) -> str:
    """The traceback from the user's own line on, less the frames that are ours."""
    stack = traceback.extract_tb(error.__traceback__)
    theirs = itertools.dropwhile(lambda frame: frame.filename.startswith(_CARRIERS), stack)
    frames = [frame for frame in theirs if not frame.filename.startswith(_OURS)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)]).rstrip()


def _whole(text: str) -> str:
    """*text* with what is no character, such as half of a file name that is not UTF-8, written out: it is recorded."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _sleep(supervisor: Supervisor, seconds: float) -> None:
    if supervisor.wait_for_stop(seconds):
        raise InterruptedRun("stopped before it was tried again")


def _error(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _plain(result: object) -> Any:
    """What a task returned, as JSON has it. Raises UserError where it has no such thing."""
    try:
        text = json.dumps(result, default=str, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"what it returned cannot be recorded as JSON: {error}") from error
    return json.loads(text)


class _Redacting(logging.Formatter):
    """Formats a record, its traceback too, without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


class _LogFile(logging.FileHandler):
    """A log whose file may have gone, or whose disk may be full: a task does not fail for that."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: what logging would print is a traceback, into the user's terminal."""


@contextlib.contextmanager
def _logger(redactor: Redactor, name: str, path: Path) -> Iterator[logging.Logger]:
    logger = logging.Logger(f"infra_orch.task.{name}")  # noqa: LOG001 - of this run alone: no other handler gets it
    handler = _LogFile(path, encoding="utf-8", errors="replace", delay=True)
    handler.setFormatter(_Redacting(redactor))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()
