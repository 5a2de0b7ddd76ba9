"""Tell whom the settings name how a run goes. Nothing of it can delay a run for long, or fail it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra_orch.console import Console
from infra_orch.errors import ExitCode, SpecError, UsageError, UserError
from infra_orch.notify.rules import Rule, filled
from infra_orch.notify.send import PATIENCE, Kind, Message, Sending, begin
from infra_orch.project import Project
from infra_orch.report.message import Documents, text_of, title_of, values_of

_OF_STATUS = {status: status for status in ("applied", "unchanged", "failed", "refused", "cancelled")} | {
    "deferred": "failed"
}
_KINDS: Mapping[str, Kind] = {
    "applied": "success",
    "failed": "failure",
    "refused": "failure",
    "drift": "warning",
    "waiting": "warning",
    "cancelled": "warning",
}
_REASONS = {
    ExitCode.UNAVAILABLE: "an engine, a provider or a backend is not available",
    ExitCode.LOCKED: "somebody else is at work on it",
    ExitCode.REFUSED: "it was refused",
    ExitCode.INTERRUPTED: "it was interrupted",
}
# Where pipelines say at which address their run is to be seen.
_ADDRESSES = ("CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL")


def notify(
    project: Project, documents: Documents, console: Console, event: str = "", patience: float = PATIENCE
) -> None:
    """Tell of an *event* (one of EVENTS) in the runs of *documents*, and warn of whoever could not be told.

    *documents* are those of runs (schema run-document-1) by the names of their stacks' folders. Without an *event*,
    each run is told of by how it ended. Of runs in the sandbox nobody is told. Takes *patience* seconds at most, and
    never raises.
    """
    tell_complaints(console, announce(project, documents, event), patience=patience)


def told_of(project: Project, *events: str) -> bool:
    """Whether anybody is to be told of one of *events*: where not, documents need not be made for it."""
    return any(event in rule.on for rule in project.settings.notify for event in events)


def announce(project: Project, documents: Documents, event: str = "") -> Sending:
    """Begin to tell, as notify() does, and do not wait. tell_complaints() says later what became of it."""
    rules = project.settings.notify
    return begin(list(_messages(rules, documents, event)) if rules else [], os.environ)


def tell_complaints(console: Console, *sendings: Sending, patience: float = PATIENCE) -> None:
    """Wait for messages that are under way, *patience* seconds at most, and warn of whoever could not be told."""
    until = time.monotonic() + patience
    found = [complaint for each in sendings for complaint in each.complaints(max(0.0, until - time.monotonic()))]
    for complaint in dict.fromkeys(found):
        console.warn(complaint)


@contextlib.contextmanager
def failures_told(
    project: Project, stacks: Iterable[str], command: str, console: Console, *, sandbox: bool
) -> Iterator[None]:
    """Within it, a run of *command* that ends in an error of a user's is told of, too; not what the user who typed the
    command has to mend.
    """
    try:
        yield
    except (UsageError, SpecError):
        raise
    except UserError as error:
        status = {ExitCode.REFUSED: "refused", ExitCode.INTERRUPTED: "cancelled"}.get(error.exit_code, "failed")
        # The error's own words may be those of a provider.
        reason = _REASONS.get(error.exit_code, "it ended with an error")
        known = {"command": command, "status": status, "sandbox": sandbox, "reason": reason}
        notify(project, dict.fromkeys(stacks, known), console)
        raise


def _messages(rules: Iterable[Rule], documents: Documents, event: str) -> Iterator[Message]:
    """A message for each rule and each event that it is about, of all stacks together."""
    by_event: dict[str, dict[str, Mapping[str, Any]]] = {}
    for stack, run in documents.items():
        for happened in () if run.get("sandbox") else [event] if event else _endings(run):
            by_event.setdefault(happened, {})[stack] = run
    for rule in rules:
        for happened, runs in by_event.items():
            of_it = {stack: run for stack, run in runs.items() if rule.fits(stack, happened)}
            if of_it:
                values = values_of(happened, of_it, _address())
                title = filled(rule.title, values) if rule.title else title_of(values)
                text = filled(rule.text, values) if rule.text else text_of(values)
                yield Message(rule.variable, title, text, _KINDS.get(happened, "info"))


def _endings(run: Mapping[str, Any]) -> Iterator[str]:
    """The events as which a run ended."""
    if run.get("command") == "drift" and any(unit["status"] == "planned" for unit in run.get("units", {}).values()):
        yield "drift"
    if ending := _OF_STATUS.get(str(run.get("status"))):
        yield ending


def _address() -> str:
    """Where the run is to be seen, if it is made in a pipeline."""
    server, repository, run = (os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    if server and repository and run:
        return f"{server}/{repository}/actions/runs/{run}"
    return next((os.environ[name] for name in _ADDRESSES if os.environ.get(name)), "")
