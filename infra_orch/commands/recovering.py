"""See to the end of runs that died, before a stack is worked on again: their records, their commits, due tasks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.commands.ending import Ended, finish_apply
from infra_orch.commands.opening import Opened, opened_as_rendered
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part
from infra_orch.commands.session import Past, Session, sessions
from infra_orch.commands.specs import specs_of
from infra_orch.commands.waiting import wait_for_providers
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UserError
from infra_orch.files import write_atomically
from infra_orch.git.index import mend_index
from infra_orch.guard.check import guarded
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import records_of
from infra_orch.recovery.case import Case, examine
from infra_orch.recovery.clean import forget_leftovers, learn_secrets, redact_logs
from infra_orch.recovery.death import DeadRun, read_death
from infra_orch.recovery.intent import Intent, read_intent, runs_of
from infra_orch.recovery.settle import in_order
from infra_orch.render.index import read_index
from infra_orch.run.context import RunContext
from infra_orch.run.journal import NAME as JOURNAL
from infra_orch.run.journal import Journal
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.outputs import read_outputs
from infra_orch.run.progress import Progress
from infra_orch.run.tasks import run_task
from infra_orch.run.terraform import StepError
from infra_orch.run.values import Output
from infra_orch.spec.stack import Task


@contextlib.contextmanager
def sessions_after_the_dead(
    project: Project, parts: Sequence[Part], command: str, console: Console, progress: Progress, *, several: bool
) -> Iterator[list[Session]]:
    """Open sessions, as sessions() does, in which nothing is owed for runs that died.

    Raises RefusedError where something has to be decided first, and the run is to change things.
    """
    with sessions(project, parts, command, console, progress, several=several) as runs:
        for part, run in zip(parts, runs, strict=True):
            for run_id in owed(run):
                see_to(run_id, run, part.opened, console)
        yield runs


def owed(run: Session) -> tuple[str, ...]:
    """The ids of the stack's runs that died and whose end nobody has seen to, oldest first."""
    return run.lock.owed if run.lock else ()


def see_to(
    run_id: str,
    run: Session,
    opened: Opened,
    console: Console,
    tasks: Callable[[Case], Mapping[str, Task]] | None = None,
) -> None:
    """See to the end of one run that died, as far as that asks for no decision. *tasks* says which functions the
    stack's tasks have, where *opened* does not.

    Raises RefusedError where it does, and the run at hand is to change things.
    """
    with standing_in(run_id, run, console) as stand_in:
        if stand_in is None:
            return
        case = stand_in.case
        command = f"infra-orch recover {opened.folder.name}{' --sandbox' if run.sandbox else ''}"
        if case.needs_eyes:
            what = f"run {run_id} died in the middle of its work: {troubles(case)}"
            if not run.only_looks:
                raise RefusedError(what, hint=f"{command} shows it, and mends it on your word")
            console.warn(f"{what}; {command} shows it")
            return
        if case.due and run.only_looks:
            console.warn(f"run {run_id} died before it ran {', '.join(case.due)}; {command} does")
            return
        console.note(f"run {run_id} died; what it did is recorded now")
        conclude(stand_in, run, console, tasks(case) if tasks else opened.tasks, opened.regions)


@dataclass(frozen=True)
class StandIn:
    """A session that stands in for a run that died, and what is known of that."""

    case: Case
    session: Session


@contextlib.contextmanager
def standing_in(run_id: str, run: Session, console: Console) -> Iterator[StandIn | None]:
    """Yield a session in the place of the dead run *run_id*; None where it had not begun to change anything, or is
    recorded already, which needs no more than that what it left behind is cleaned up.

    Raises UserError where it cannot be found out what it did.
    """
    context = run.context
    wait_for_providers(context.stack.folder.project.scratch / "runs" / run_id, context.supervisor, console)
    dead = read_death(run_id, context.stack.folder)
    intent = read_intent(dead.folder, context.stack.folder)
    gone = intent is not None and context.sandbox is not None and intent.emulator != context.sandbox.url
    with contextlib.closing(Journal(dead.folder / JOURNAL)) as journal:
        journal.note("recovery", by=context.run_id)
        theirs = replace(context, run_id=run_id, run_folder=dead.folder, journal=journal)
        if intent is None or dead.done or gone or _is_recorded(run_id, intent, run):
            if gone:
                console.note(f"run {run_id} died, and its emulator with it: nothing is left of what it did")
            _clean(dead, run, replace(theirs, stack=intent.stack) if intent else theirs)
            journal.write("done", durable=True, status="killed")
            yield None
            return
        theirs = replace(theirs, stack=intent.stack)
        case = examine(dead, intent, theirs)
        facts = replace(intent.facts, duration=max(0.0, dead.last_sign - dead.began))
        past = Past(facts, _rendered(case, intent))
        yield StandIn(case, replace(run, context=theirs, command=facts.command, past=past))


def _is_recorded(run_id: str, intent: Intent, run: Session) -> bool:
    """Whether the record of a dead run is in the last commit: it had come to its end, and died before it noted that.

    What lies there is that record then: somebody may have begun to write another, from what the journal has.
    """
    if run.repository is None or not intent.consent.commit:
        return False
    records = records_of(intent.stack.folder, sandbox=run.sandbox, committed=True)
    if run.repository.show("HEAD", run.repository.relative(records.run(run_id))) is None:
        return False
    for path in run.repository.dirty([run.repository.relative(records.folder)]):
        committed = run.repository.show("HEAD", path)
        if committed is not None and _run_of(committed) == run_id:
            write_atomically(run.repository.root / path, committed)
    mend_index(run.repository)  # it may have died before git's index knew of that commit
    return True


def _run_of(record: bytes) -> object:
    """The run that a record, of a unit or of a run, is of."""
    try:
        return json.loads(record)["run"]
    except (ValueError, KeyError, TypeError):
        return None


def conclude(
    stand_in: StandIn, run: Session, console: Console, tasks: Mapping[str, Task], regions: Mapping[str, str]
) -> None:
    """Write and commit the records that a dead run owed, run the tasks that were due, and clean up behind it."""
    case, session = stand_in.case, stand_in.session
    consent = case.intent.consent
    nodes = dict(case.nodes)
    if case.due and not consent.from_rendered:
        in_order(case.intent, list(case.due), lambda name: _task(name, case, session, tasks, regions), nodes)
    options = RunOptions(commit=consent.commit, sandbox=session.sandbox)
    quiet = replace(console, json=False, out=console.err) if console.json else console
    finish_apply([Ended(session, options, case.selection, nodes, [], consent.bundle)], quiet, several=False)
    _clean(case.dead, run, session.context)


def spec_tasks(project: Project, case: Case, console: Console) -> Mapping[str, Task]:
    """The functions of the stack's tasks, for which its spec is evaluated; none where no task is due."""
    if not case.due or case.intent.consent.from_rendered:
        return {}
    try:
        with specs_of(project, [case.intent.stack.folder.name]) as specs:
            _, stack = specs.declared(case.intent.stack.folder.name)
    except UserError as error:
        console.warn(f"the spec cannot be evaluated, so no task of it is run: {error.summary}")
        return {}
    return {task.name: task for task in stack.tasks} if stack else {}


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Within it, a command of Terraform's that fails is told to the user as what it is."""
    try:
        yield
    except StepError as error:
        failure = error.failure
        log = f"; what it said is in {failure.log}" if failure.log else ""
        raise UserError(f"{failure.summary}{log}", hint=failure.hint) from error


def as_it_was_run(folder: StackFolder, *, sandbox: bool) -> tuple[Opened, bool]:
    """Open a stack as it is rendered, without evaluating Python, and tell whether its newest run was from rendered
    files: what that was not allowed, whoever sees to its end is not allowed either.

    Raises UserError as read_index() does.
    """
    rendered = read_index(folder)
    for run_id in runs_of(rendered.name, folder, sandbox=sandbox):
        intent = read_intent(folder.project.scratch / "runs" / run_id, folder)
        if intent is not None and intent.consent.from_rendered:
            rendered = read_index(guarded(folder.project).stack(folder.name))
            return opened_as_rendered(rendered, read_index), True
        break
    return opened_as_rendered(rendered, read_index), False


def troubles(case: Case) -> str:
    """What has to be decided, in a few words."""
    found = (
        (case.lost, "resource", "created and in no state"),
        (case.flying, "creation", "begun and not seen to end"),
        (case.unsaved, "state", "that could not be saved"),
        (case.locks, "state lock", "held"),
    )
    return ", ".join(f"{len(many)} {one}{'s' * (len(many) > 1)} {what}" for many, one, what in found if many)


def _task(name: str, case: Case, session: Session, tasks: Mapping[str, Task], regions: Mapping[str, str]) -> Outcome:
    task = tasks.get(name)
    if task is None:
        failure = Failure("it was due when the run died, and is not in the spec any more", kind="killed")
        return replace(case.nodes[name].outcome, status=Status.CANCELLED, failure=failure)
    known: dict[str, Mapping[str, Output]] = {}
    for unit in sorted(case.intent.graph.closure([name], down=False) & case.selection.units.keys()):
        try:
            known[unit] = case.nodes[unit].outputs or read_outputs(case.selection.units[unit], session.context)
        except (StepError, ValueError) as error:
            return Outcome(name, Status.FAILED, failure=Failure(f"{unit}: {error}", kind="task"), is_task=True)
    return run_task(task, session.context, known, regions)


def _clean(dead: DeadRun, run: Session, context: RunContext) -> None:
    """Leave no secret of the dead run on the disk, and note that nothing is owed for it any more."""
    units = {path.name for path in dead.folder.iterdir() if path.is_dir()}
    learn_secrets(units, context)
    redact_logs(dead, context)
    forget_leftovers(units, context)
    if run.lock:
        run.lock.settled(dead.run_id)


def _rendered(case: Case, intent: Intent) -> dict[Path, bytes | None] | None:
    """The files that the dead run ran from, where what is rendered now is something else; None where it is that."""
    folder = intent.stack.folder
    with contextlib.suppress(UserError):
        if read_index(folder).units == intent.stack.units:
            return None
    return {
        folder.rendered / name / file: text.encode()
        for name, work in case.selection.units.items()
        if name in intent.stack.units
        for file, text in work.files.items()
    }
