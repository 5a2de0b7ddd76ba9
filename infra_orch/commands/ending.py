"""How a run ends: its document, its records, its commit, its exit code; and nothing secret left in work folders."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from infra_orch.approval.approval import Yes
from infra_orch.commands.options import RunOptions
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UserError
from infra_orch.files import write_atomically
from infra_orch.fingerprint.fingerprint import ENGINE, SECRETS, Fingerprint, compare
from infra_orch.git.repository import Repository
from infra_orch.module.files import LOCK_FILE
from infra_orch.module.lock_file import provider_versions
from infra_orch.record.record import RunFacts, changed_the_world, run_record, unit_record
from infra_orch.record.store import commit_message, commit_run, exists, records_of, write_records
from infra_orch.render.write import forget_kept
from infra_orch.report.document import document, documents, text
from infra_orch.report.terminal import apply_summary
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Basis, Outcome, Status
from infra_orch.run.plan import Selection, forget
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
    if command in ("plan", "drift"):
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
    if status == "failed" or (status == "deferred" and not run.only_looks):
        return ExitCode.FAILED
    changes = (outcome for outcome in outcomes.values() if not outcome.is_task)
    if detailed and any(outcome.has_changes or outcome.status is Status.DEFERRED for outcome in changes):
        return ExitCode.CHANGES
    return ExitCode.DONE


@dataclass(frozen=True)
class Ended:
    """How a run ended for one stack: *nodes* are what became of its units and tasks, by name.

    *left_over* are units that left the spec and still exist. *bundle* is the id of the bundle that was written of it,
    or that was applied. *approvals* are those that it rested on.
    """

    run: Session
    options: RunOptions
    selection: Selection
    nodes: Mapping[str, Planned]
    left_over: list[str]
    bundle: str | None
    approvals: Sequence[Yes] = ()

    @property
    def stack(self) -> str:
        """The stack, by the name of its folder."""
        return self.run.context.stack.folder.name

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes by name."""
        return {name: node.outcome for name, node in self.nodes.items()}


def outcomes_of(ended: Sequence[Ended], *, several: bool) -> dict[str, Outcome]:
    """Return all outcomes by name; those of several stacks by the stacks' names and theirs."""
    if not several:
        return ended[0].outcomes
    return {
        f"{one.stack}/{name}": replace(outcome, name=f"{one.stack}/{name}")
        for one in ended
        for name, outcome in one.outcomes.items()
    }


def nothing_to_do(command: str, console: Console) -> int:
    """End a run over several stacks in none of which there is anything to work on. Returns the exit code."""
    if console.json:
        console.document(text(documents({}, command, "unchanged", 0.0)))
    return ExitCode.DONE


def finish_plan(ended: Sequence[Ended], console: Console, *, several: bool) -> dict[str, dict[str, Any]]:
    """End a plan: keep its document for `show`, print it where --json asks for it, and forget what is secret.

    Returns the documents by the names of the stacks' folders.
    """
    return _end(ended, console, several=several)


def finish_unchanged(ended: Sequence[Ended], console: Console, *, several: bool) -> dict[str, dict[str, Any]]:
    """End an apply that found nothing to do, as a plan ends; and record what units were found to be as declared, though
    they depend on something else than at their last apply. Returns the documents by the names of the stacks' folders.
    """
    try:
        found = [one for one in ended if _is_new(one)]
        for note in _record(found) if found else []:
            console.note(note)
    except (UserError, OSError) as error:
        console.warn(f"nothing was changed, and that could not be recorded: {error}")
    return _end(ended, console, several=several)


def finish_apply(ended: Sequence[Ended], console: Console, *, several: bool) -> dict[str, dict[str, Any]]:
    """End an apply or destroy: write and commit the records, whatever failed, then say how it went.

    The id of the bundle goes into the run's record, so that it is not applied again. Returns the documents by the names
    of the stacks' folders.
    """
    run = ended[0].run
    notes: list[str] = []
    try:
        done = [one for one in ended if _is_worth_a_record(one)]
        notes = _record(done) if done else ["nothing was done, so there is nothing to record"]
    except OSError as error:
        raise UserError(
            f"the records of run {run.context.run_id} could not be written: {error}",
            hint=f"{run.context.shown(run.context.run_folder)}/run.json has what was done",
        ) from error
    finally:
        outcomes = outcomes_of(ended, several=several)
        console.result(apply_summary(outcomes, console.style, run.command, time.monotonic() - run.began))
        for note in notes:
            console.note(note)
        documents = _end(ended, console, several=several)
    return documents


def _is_worth_a_record(one: Ended) -> bool:
    """Whether something was done, or was tried, or is as declared by other files than those recorded."""
    return any(node.outcome.status in (Status.APPLIED, Status.FAILED) for node in one.nodes.values()) or _is_new(one)


def _is_new(one: Ended) -> bool:
    """Whether units are as declared, though they depend on something else than at their last apply, or had none."""
    known = one.run.records.units()
    return any(_adopted(node, known.get(name)) or _confirmed(node, known.get(name)) for name, node in one.nodes.items())


def _as_declared(node: Planned) -> bool:
    """Whether a unit exists, and there is nothing to change in it."""
    return node.outcome.status is Status.UNCHANGED and not node.outcome.destroys_unit


def _adopted(node: Planned, record: Mapping[str, Any] | None) -> bool:
    """Whether a unit that has no record exists as it is declared: its state was brought here."""
    return _as_declared(node) and bool(node.outcome.addresses) and not exists(record)


def _confirmed(node: Planned, record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The *record* of a unit's last apply with what the unit depends on now, where that is something else, and there is
    nothing to change for it: else the unit would be planned anew, and be listed as stale, for ever. None otherwise.

    Another engine or another machine alone is not worth a commit: of two that take turns, each would make one.
    """
    fingerprint, upstream = node.fingerprint, node.upstream
    if not _as_declared(node) or record is None or record["status"] != "applied":
        return None
    if fingerprint is None or fingerprint.doubts or upstream is None or upstream.basis is not Basis.EXACT:
        return None
    before = Fingerprint.from_json(record.get("fingerprint"))
    changed = {name for name, change in compare(fingerprint, before).items() if change != "same"} if before else {""}
    return {**record, "fingerprint": fingerprint.as_json()} if changed - {ENGINE, SECRETS} else None


def _end(ended: Sequence[Ended], console: Console, *, several: bool) -> dict[str, dict[str, Any]]:
    finished = {one.stack: finished_document(one) for one in ended}
    for one in ended:
        context, told = one.run.context, finished[one.stack]
        forget(one.selection, context)
        try:
            write_atomically(context.run_folder / "run.json", text(told, readable=False) + "\n", mode=0o600)
            context.journal.write("done", durable=True, status=told["status"])
        except OSError as error:
            console.warn(f"infra-orch show will not know of this run: {error}")
    if console.json and several:
        run = ended[0].run
        status = run_status(outcomes_of(ended, several=True), run.command, stopped=run.context.supervisor.stopping)
        console.document(text(documents(finished, run.command, status, time.monotonic() - run.began)))
    elif console.json:
        console.document(text(finished[ended[0].stack]))
    return finished


def finished_document(one: Ended) -> dict[str, Any]:
    """Return the document of a run of one stack, as of now, without secrets."""
    context, outcomes = one.run.context, one.outcomes
    status = run_status(outcomes, one.run.command, stopped=context.supervisor.stopping)
    used = context.gateway.used if context.gateway else None
    facts, graph = one.run.facts(), one.selection.graph
    finished = document(outcomes, facts, graph, status=status, left_over=one.left_over, gateway=used)
    return {**context.redactor.value(finished), "folder": one.stack, **_rests_on(one)}


def _rests_on(one: Ended) -> dict[str, Any]:
    """What a run's document and its record say of a bundle that it is of, and of approvals that it made use of."""
    approvals = [asdict(yes) for yes in one.approvals]
    return {**({"bundle": one.bundle} if one.bundle else {}), **({"approvals": approvals} if approvals else {})}


def _record(ended: Sequence[Ended]) -> list[str]:
    """Write the records of a run and commit them, those of all its stacks in one commit. Returns what the user should
    know of that.

    A commit that fails changes nothing in how the run went: the records are there, and go into the next one's commit.
    Raises OSError where they cannot be written.
    """
    changed = {one.stack: _write_records(one) for one in ended}
    run, options = ended[0].run, ended[0].options
    if not options.commit:
        return []
    if run.repository is None:
        return ["not a git repository: the records are written, and not committed"]
    try:
        paths: dict[Path, bytes | None] = {}
        for one in ended:
            before = one.run.past.rendered if one.run.past else None
            paths |= _rendered(one.run, run.repository) if before is None else before
            paths |= changed[one.stack]
        records = [records_of(one.run.context.stack.folder, sandbox=run.sandbox, committed=True) for one in ended]
        commit = commit_run(run.repository, records, paths, run.context.redactor.text(_message(ended)))
    except UserError as error:
        return [f"not committed, and left for the next run to commit: {error.summary}", *filter(None, [error.hint])]
    recorded = [f"recorded in {commit.sha[:10]} on {commit.branch or 'a detached HEAD'}"] if commit.sha else []
    edited = [one.stack for one in ended if one.run.facts().dirty] if run.command == "apply" else []
    if edited and not run.sandbox:
        recorded.append(
            f"{', '.join(edited)}: made of changes that are not committed, so nobody can go back to this run"
        )
    return [*commit.notes, *recorded]


def _message(ended: Sequence[Ended]) -> str:
    """The message of the commit of a run's records."""
    run, several = ended[0].run, len(ended) > 1
    realm = " in the sandbox" if run.sandbox else ""
    stacks = ended[0].run.context.stack.name if not several else f"{len(ended)} stacks"
    ids = [one.run.context.run_id for one in ended]
    return commit_message(outcomes_of(ended, several=several), f"{run.command} {stacks}{realm}", ids)


def _write_records(one: Ended) -> dict[Path, bytes | None]:
    """Write the records of what a run did in one stack. Returns what has to be committed, by path."""
    run, options, nodes = one.run, one.options, one.nodes
    context, folder = run.context, run.context.stack.folder
    facts = run.facts()
    records = records_of(folder, sandbox=run.sandbox, committed=options.commit)
    units = _unit_records(one.selection, nodes, context, facts, run.records.units())
    # Of a deleted stack, what was not destroyed: without its record nobody would know that it exists.
    units = {name: known for name, known in run.records_before.items() if exists(known)} | units
    status = run_status(one.outcomes, run.command, stopped=context.supervisor.stopping)
    run_document = dict(context.redactor.value(run_record(one.outcomes, facts, status=status))) | _rests_on(one)
    gone = {name for name in one.selection.units if name not in context.stack.units}
    renamed = {unit.formerly for name, unit in context.stack.units.items() if unit.formerly and name in units}
    if run.sandbox:
        # These go with the emulator. What is not committed stays as history alone.
        write_records(run.records, units, run_document, gone, renamed)
        units = units if options.commit else {}
    changed = write_records(records, units, run_document, gone, renamed)
    if not run.sandbox:
        forget_kept(folder, {name for name in gone if units.get(name, {}).get("status") == "destroyed"})
    return changed


def _unit_records(
    selection: Selection,
    nodes: Mapping[str, Planned],
    context: RunContext,
    facts: RunFacts,
    known: Mapping[str, Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """The records of units in which something was done, of those that exist and have none yet, and of those that are as
    declared, though what they depend on is not what their record says.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name, node in nodes.items():
        outcome = node.outcome
        if confirmed := _confirmed(node, known.get(name)):
            found[name] = confirmed
            continue
        if not changed_the_world(outcome) and not _adopted(node, known.get(name)):
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
