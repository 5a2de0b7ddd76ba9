"""How a run ends: its document, its records, its commit, its exit code; and nothing secret left in work folders."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_orch.commands.options import RunOptions
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UserError
from infra_orch.files import write_atomically
from infra_orch.git.repository import Repository
from infra_orch.module.files import LOCK_FILE
from infra_orch.module.lock_file import provider_versions
from infra_orch.record.record import RunFacts, changed_the_world, run_record, unit_record
from infra_orch.record.store import commit_message, commit_run, records_of, write_records
from infra_orch.render.write import forget_kept
from infra_orch.report.document import document, text
from infra_orch.report.terminal import apply_summary
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.plan import Preview, Selection, forget
from infra_orch.run.unit import Planned


def run_status(outcomes: Mapping[str, Outcome], command: str, *, stopped: bool) -> str:
    """One word for a whole run."""
    statuses = {outcome.status for outcome in outcomes.values()}
    applied = any(outcome.status is Status.APPLIED and not outcome.is_task for outcome in outcomes.values())
    if Status.CANCELLED in statuses or (stopped and statuses & {Status.FAILED, Status.BLOCKED}):
        return "cancelled"
    if Status.REFUSED in statuses and Status.FAILED not in statuses and not applied:
        return "refused"
    if statuses & {Status.FAILED, Status.BLOCKED, Status.REFUSED}:
        return "failed"
    if Status.DEFERRED in statuses:
        return "deferred"
    if command == "plan":
        return "planned" if any(o.has_changes and not o.is_task for o in outcomes.values()) else "unchanged"
    return "applied" if applied else "unchanged"


def exit_code(outcomes: Mapping[str, Outcome], run: Session, *, detailed: bool = False) -> int:
    """Return the exit code of a run: a failure wins over everything but an interrupt.

    What was refused is 77 where nothing was done, and 1 in a run that did something else: it is not complete.
    """
    stopping = run.context.supervisor.stopping
    status = run_status(outcomes, run.command, stopped=stopping)
    if stopping or status == "cancelled":
        return ExitCode.INTERRUPTED
    if status == "refused":
        return ExitCode.REFUSED
    if status == "failed" or (status == "deferred" and run.command != "plan"):
        return ExitCode.FAILED
    changes = (outcome for outcome in outcomes.values() if not outcome.is_task)
    if detailed and any(outcome.has_changes or outcome.status is Status.DEFERRED for outcome in changes):
        return ExitCode.CHANGES
    return ExitCode.DONE


def finish_plan(
    selection: Selection,
    shown: Preview,
    run: Session,
    console: Console,
    left_over: list[str],
    bundle: str | None = None,
) -> None:
    """End a plan: keep its document for `show`, print it where --json asks for it, and forget what is secret.

    *bundle* is the id of the bundle that was written of it.
    """
    _end(selection, shown.outcomes, run, console, left_over, bundle)


def finish_apply(
    selection: Selection,
    nodes: Mapping[str, Planned],
    run: Session,
    options: RunOptions,
    console: Console,
    left_over: list[str],
    bundle: str | None = None,
) -> None:
    """End an apply or destroy: write and commit the records, whatever failed, then say how it went.

    *bundle* is the id of the bundle that was applied; it goes into the run's record, so that it is not applied again.
    """
    outcomes = {name: node.outcome for name, node in nodes.items()}
    notes: list[str] = []
    try:
        if any(_did_something(node.outcome) for node in nodes.values()):
            notes = _record(selection, nodes, run, options, bundle)
        else:
            notes = ["nothing was done, so there is nothing to record"]
    except OSError as error:
        raise UserError(
            f"the records of run {run.context.run_id} could not be written: {error}",
            hint=f"{run.context.shown(run.context.run_folder)}/run.json has what was done",
        ) from error
    finally:
        console.result(apply_summary(outcomes, console.style, run.command, time.monotonic() - run.began))
        for note in notes:
            console.note(note)
        _end(selection, outcomes, run, console, left_over, bundle)


def _did_something(outcome: Outcome) -> bool:
    """Whether it is worth a record: something was done, or was tried."""
    return outcome.status in (Status.APPLIED, Status.FAILED)


def _end(
    selection: Selection,
    outcomes: Mapping[str, Outcome],
    run: Session,
    console: Console,
    left_over: list[str],
    bundle: str | None,
) -> None:
    context = run.context
    status = run_status(outcomes, run.command, stopped=context.supervisor.stopping)
    used = context.gateway.used if context.gateway else None
    finished = document(outcomes, run.facts(), status=status, left_over=left_over, gateway=used)
    finished = context.redactor.value(finished) | ({"bundle": bundle} if bundle else {})
    forget(selection, context)
    try:
        write_atomically(context.run_folder / "run.json", text(finished) + "\n", mode=0o600)
        context.journal.write("done", durable=True, status=status)
    except OSError as error:
        console.warn(f"infra-orch show will not know of this run: {error}")
    if console.json:
        console.document(text(finished))


def _record(
    selection: Selection, nodes: Mapping[str, Planned], run: Session, options: RunOptions, bundle: str | None
) -> list[str]:
    """Write the records of a run and commit them. Returns what the user should know of that.

    A commit that fails changes nothing in how the run went: the records are there, and go into the next one's commit.
    Raises OSError where they cannot be written.
    """
    context, folder = run.context, run.context.stack.folder
    facts = run.facts()
    records = records_of(folder, sandbox=run.sandbox, committed=options.commit)
    outcomes = {name: node.outcome for name, node in nodes.items()}
    units = _unit_records(selection, nodes, context, facts, run.records.units())
    status = run_status(outcomes, run.command, stopped=context.supervisor.stopping)
    run_document = context.redactor.value(run_record(outcomes, facts, status=status))
    if bundle:
        run_document["bundle"] = bundle
    gone = {name for name in selection.units if name not in context.stack.units}
    renamed = {unit.formerly for name, unit in context.stack.units.items() if unit.formerly and name in units}
    if run.sandbox:
        # These go with the emulator. What is not committed stays as history alone.
        write_records(run.records, units, run_document, gone, renamed)
        units = units if options.commit else {}
    changed = write_records(records, units, run_document, gone, renamed)
    if not run.sandbox:
        forget_kept(folder, {name for name in gone if units.get(name, {}).get("status") == "destroyed"})
    if not options.commit:
        return []
    if run.repository is None:
        return ["not a git repository: the records are written, and not committed"]
    realm = " in the sandbox" if run.sandbox else ""
    message = commit_message(outcomes, f"{run.command} {context.stack.name}{realm}", context.run_id)
    try:
        before = run.past.rendered if run.past else None
        paths = {**(_rendered(run, run.repository) if before is None else before), **changed}
        commit = commit_run(run.repository, records, paths, context.redactor.text(message))
    except UserError as error:
        return [f"not committed, and left for the next run to commit: {error.summary}", *filter(None, [error.hint])]
    recorded = [f"recorded in {commit.sha[:10]} on {commit.branch or 'a detached HEAD'}"] if commit.sha else []
    return [*commit.notes, *recorded]


def _unit_records(
    selection: Selection,
    nodes: Mapping[str, Planned],
    context: RunContext,
    facts: RunFacts,
    known: Mapping[str, Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """The records of units in which something was done, and of those that exist and have none yet."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, node in nodes.items():
        outcome = node.outcome
        adopted = outcome.status is Status.UNCHANGED and name not in known and not outcome.destroys_unit
        if not changed_the_world(outcome) and not (adopted and outcome.addresses):
            continue
        path = context.work / name / LOCK_FILE
        lock = path.read_text(encoding="utf-8") if path.is_file() else ""
        found[name] = unit_record(
            node,
            facts,
            module=selection.units[name].unit.module,
            providers=provider_versions(lock, context.stack.folder.project.cache / "modules"),
            redactor=context.redactor,
        )
    return found


def _rendered(run: Session, repository: Repository) -> dict[Path, bytes | None]:
    """The rendered files as they are, those that are gone as None; what is not ours is left to its owner."""
    stack = run.context.stack
    folder = stack.folder.rendered
    units = (*stack.units.values(), *(kept.unit for kept in stack.left_over.values()))
    ours = [stack.folder.index]
    ours += [folder / unit.name / file for unit in units for file in (*unit.files, LOCK_FILE)]
    found: dict[Path, bytes | None] = {path: path.read_bytes() for path in ours if path.is_file()}
    for committed, _ in repository.list_tree("HEAD", repository.relative(folder)):
        path = repository.root / committed
        if not path.exists():
            found[path] = None
    return found
