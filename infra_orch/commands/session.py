"""Everything that a run needs around it: lock, journal, engine, environment, sandbox, signals."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from infra_orch._version import __version__
from infra_orch.approval.book import Book
from infra_orch.approval.effects import Plan
from infra_orch.commands.backends import check_backends
from infra_orch.commands.contexts import Request, context_of, others_of, shared_of
from infra_orch.commands.credentials import wallet_for
from infra_orch.commands.gateway import served_by
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part
from infra_orch.commands.sandboxing import emulated, sandbox_of
from infra_orch.commands.waiting import wait_for_survivors
from infra_orch.console import Console
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.errors import UserError
from infra_orch.files import private_folder
from infra_orch.gateway.client import Gateway
from infra_orch.git.repository import Repository, find_repository
from infra_orch.process import Supervisor, allow_open_files
from infra_orch.project import Project, StackFolder
from infra_orch.record.carry import is_ours, is_rendered
from infra_orch.record.record import RunFacts
from infra_orch.record.store import Records, records_of
from infra_orch.redact import Redactor
from infra_orch.report.timings import timing_lines
from infra_orch.run.context import Contexts, RunContext
from infra_orch.run.credentials import Wallet
from infra_orch.run.interrupt import polite_stop
from infra_orch.run.journal import NAME as JOURNAL
from infra_orch.run.journal import Journal
from infra_orch.run.lock import StackLock, stack_lock
from infra_orch.run.outcome import Outcome
from infra_orch.run.progress import Progress, ProgressOf
from infra_orch.run.timings import read_timings

_FILES_OF_A_STACK = 2
"""Its lock and its journal are open all the time."""


@dataclass(frozen=True)
class Past:
    """What was true of a run that died: its facts, and the rendered files, by path, that it ran from; None where these
    are what is rendered still.
    """

    facts: RunFacts
    rendered: Mapping[Path, bytes | None] | None


@dataclass(frozen=True)
class Checkout:
    """Who was at work when a run began, on which commit, and whether the stack's or its modules' files differed from
    it.
    """

    by: str
    commit: str | None
    dirty: bool


@dataclass(frozen=True)
class Session:
    """A run under way on one stack: its context, and what is true of it. *lock* is None for a run that only reads
    states. *others* are the contexts of other stacks, by name, of which it reads units.

    *past* is what was true of a run that died, when this one stands in for it. *records_before* are records that do not
    lie beside the stack file any more.
    """

    context: RunContext
    engine: Engine
    repository: Repository | None
    command: str
    at: str
    began: float
    sandbox: bool
    checkout: Checkout
    lock: StackLock | None = None
    others: Mapping[str, RunContext] = field(default_factory=dict)
    past: Past | None = None
    records_before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def only_looks(self) -> bool:
        """Whether nothing of what it is about is changed by it."""
        return self.command in ("plan", "drift")

    @property
    def contexts(self) -> Contexts:
        """The contexts of a run of this stack alone."""
        return Contexts(self.context, {**self.others, "": self.context})

    @property
    def records(self) -> Records:
        """What is known of the units that exist: their records, in the sandbox those of what is in the emulator."""
        return replace(self.records_in(self.context.stack.folder), before=self.records_before)

    def book(self, console: Console) -> Book | None:
        """The approvals of what the stack's runs do; None where git keeps none."""
        if self.repository is None or self.repository.head() is None:
            return None
        folder = self.context.stack.folder
        signed = folder.project.settings.signed_approvals
        return Book(self.repository, folder, self.records, console.warn, signed)

    def records_in(self, folder: StackFolder) -> Records:
        """What is known of the units of any stack that exist."""
        if self.context.sandbox:
            return Records(sandbox_of(folder, self.context.sandbox.url).state / "record")
        return records_of(folder, sandbox=False, committed=True)

    def facts(self) -> RunFacts:
        """What is true of the run, as of now."""
        if self.past:
            return self.past.facts
        return RunFacts(
            run_id=self.context.run_id,
            stack=self.context.stack.name,
            command=self.command,
            at=self.at,
            duration=time.monotonic() - self.began,
            by=self.checkout.by,
            commit=self.checkout.commit,
            dirty=self.checkout.dirty,
            engine=self.engine.name,
            engine_version=str(self.engine.version),
            sandbox=self.sandbox,
            version=__version__,
        )


@contextlib.contextmanager
def session(
    project: Project,
    opened: Opened,
    command: str,
    console: Console,
    progress: Progress,
    options: RunOptions,
    *,
    locked: bool = True,
) -> Iterator[Session]:
    """Open a run of *command* on one stack, as sessions() does. *locked* is False for what only reads states."""
    with sessions(project, [Part(opened, options)], command, console, progress, locked=locked) as runs:
        yield runs[0]


@contextlib.contextmanager
def sessions(
    project: Project,
    parts: Sequence[Part],
    command: str,
    console: Console,
    progress: Progress,
    *,
    locked: bool = True,
    several: bool = False,
) -> Iterator[list[Session]]:
    """Open a run of *command* on stacks: hold their locks, start what they need once for all, and end it on every way
    out. Each stack has its own run, with an id, a journal and records. *several*: nodes are told of by their stacks'
    names and theirs.

    Raises LockedError where another run holds one of the stacks, UnavailableError where there is no engine, no
    emulator, or no access to the states, RefusedError where the sandbox cannot hold one of the units.
    """
    now, began = datetime.now(UTC), time.monotonic()
    # With milliseconds, so that the ids of one machine sort as its runs began.
    stem = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z"
    many = [Request(project, part, command, console, f"{stem}-{secrets.token_hex(3)}", not locked) for part in parts]
    supervisor = parts[0].options.supervisor or Supervisor(project.settings.patience)
    allow_open_files(_FILES_OF_A_STACK * len(parts))
    with contextlib.ExitStack() as stack:
        stack.enter_context(polite_stop(supervisor, console.note))
        held: dict[str, StackLock] = {}
        if locked:
            # In the same order by everybody, so that no two wait for each other.
            for request in sorted(many, key=lambda request: request.part.name):
                held[request.part.name] = stack.enter_context(_lock(request, supervisor))
        engine = find_engine(project.settings.engine)
        redactor = Redactor(project.settings.redact)
        for rule in project.settings.notify:
            redactor.add(os.environ.get(rule.variable))
        wallets = [
            wallet_for(request.part.opened, request.run_id, request.options, redactor, supervisor) for request in many
        ]
        url = stack.enter_context(_states(many, engine, wallets, several=several))
        repository = find_repository(project.root)
        shared = shared_of(many[0], engine, supervisor, redactor, repository, url)
        runs = []
        for request, wallet, checkout in zip(many, wallets, _checkouts(many, repository), strict=True):
            lock = held.get(request.part.name)
            journal = stack.enter_context(_journal(request, lock))
            context = context_of(request, shared, journal, wallet, (lock.handle,) if lock else ())
            at = now.isoformat(timespec="seconds")
            others = others_of(request, context, supervisor, stack)
            one = Session(context, engine, repository, command, at, began, request.options.sandbox, checkout)
            one = replace(one, lock=lock, others=others, records_before=request.part.opened.records)
            overridden = partial(_overridden, one, console)
            runs.append(replace(one, context=replace(context, overridden=overridden)))
        kept = parts[0].options.gateway
        gateway = stack.enter_context(served_by(project, [run.context for run in runs], console, kept))
        told = [ProgressOf(part.name, progress) if several else progress for part in parts]
        yield [_served(run, gateway, of) for run, of in zip(runs, told, strict=True)]
        for run, part in zip(runs, parts, strict=True):
            if part.options.timings:
                _tell_timings(run.context.journal.path, console, part.name if several else "")


def _overridden(run: Session, console: Console, unit: str, outcome: Outcome) -> str:
    """Who approved what a unit is to do though policies deny it; nobody where not as many did as have to."""
    book = run.book(console)
    said = book.said(unit, Plan(outcome, run.at), denied=True) if book else None
    required = run.context.stack.folder.project.settings.require_approvals
    counting = said.counting(required) if said else {}
    return ", ".join(counting) if len(counting) >= max(1, required) else ""


def _served(run: Session, gateway: Gateway | None, progress: Progress) -> Session:
    context = replace(run.context, progress=progress, gateway=gateway)
    others = {name: replace(other, progress=progress, gateway=gateway) for name, other in run.others.items()}
    return replace(run, context=context, others=others)


def _tell_timings(journal: Path, console: Console, stack: str) -> None:
    """Say where the time of *stack* went; "": it is the only one. Where that cannot be told, the run went as it did."""
    try:
        lines = timing_lines(read_timings(journal), console.err_style)
        console.note("\n".join([*([f"{stack}:"] if stack else []), *lines]))
    except (UserError, OSError) as error:
        console.warn(f"where the time went is not known: {error}")


def _lock(request: Request, supervisor: Supervisor) -> contextlib.AbstractContextManager[StackLock]:
    path = request.project.scratch / "locks" / f"{request.realm}-{request.folder.name.replace('/', '~')}.lock"
    wait = wait_for_survivors(request.project, supervisor, request.console)
    return stack_lock(path, request.part.opened.rendered.name, request.run_id, request.command, wait)


def _checkouts(many: Sequence[Request], repository: Repository | None) -> list[Checkout]:
    """Who is at work on which commit, asked as the run begins: what is checked out may be another one when it ends."""
    if repository is None:
        return [Checkout(os.environ.get("USER", "unknown"), None, dirty=False) for _ in many]
    modules = repository.relative(many[0].project.root / "modules")
    own = [[repository.relative(request.folder.spec), repository.relative(request.folder.rendered)] for request in many]
    changed = repository.dirty([modules, *(path for paths in own for path in paths)])
    if changed and not many[0].part.options.from_rendered and _only_rendered(changed, many[0].project, repository):
        changed = ()
    dirty = {str(place) for path in map(PurePosixPath, changed) for place in (path, *path.parents)}
    user, commit = repository.user(), repository.head()
    return [Checkout(user, commit, dirty=not dirty.isdisjoint((modules, *paths))) for paths in own]


def _only_rendered(changed: Sequence[str], project: Project, repository: Repository) -> bool:
    """Whether all that differs from the commit is what came of it: files that are rendered of committed specs.

    Also shared Python anywhere in the project goes into them, so nothing in it may differ but what runs write.
    """
    prefix = repository.prefix(project.root)
    if not all(is_rendered(path, prefix) for path in changed):
        return False
    return all(is_ours(path, prefix) for path in repository.dirty([repository.relative(project.root)]))


@contextlib.contextmanager
def _states(
    many: Sequence[Request], engine: Engine, wallets: Sequence[Wallet], *, several: bool
) -> Iterator[str | None]:
    """See to it that the states can be reached: those of the sandbox whose URL is yielded, or the real ones (None)."""
    first = many[0]
    if first.options.sandbox:
        units = {
            request.part.node(name, several=several): unit
            for request in many
            for name, unit in request.part.chosen.items()
        }
        given, reads_only = first.options.emulator_url, first.reads_only
        with emulated(units, first.folder, given, first.console, reads_only=reads_only) as url:
            yield url
        return
    for request, wallet in zip(many, wallets, strict=True):
        opened = request.part.opened
        check_backends(opened, engine, wallet, request.part.chosen)
        if not request.reads_only and any(unit.backend == "local" for unit in opened.rendered.units.values()):
            private_folder(opened.folder.state, ignored_by_git=True)
    yield None


@contextlib.contextmanager
def _journal(request: Request, lock: StackLock | None) -> Iterator[Journal]:
    """The run's journal; where it says in the end that a record is owed, the stack's lock keeps that in mind."""
    with contextlib.closing(Journal(request.run_folder / JOURNAL)) as journal:
        stack, sandbox = request.folder.name, request.options.sandbox
        facts = {"stack": stack, "command": request.command, "pid": os.getpid(), "sandbox": sandbox}
        journal.write("run", durable=True, run=request.run_id, **facts)
        try:
            yield journal
        finally:
            if lock:
                lock.release(owes=journal.owes)
