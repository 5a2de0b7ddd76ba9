"""Everything that a run needs around it: lock, journal, engine, environment, sandbox, signals."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.commands.backends import check_backends
from infra_orch.commands.credentials import wallet_for
from infra_orch.commands.gateway import served_by
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.sandboxing import emulated
from infra_orch.commands.selecting import chosen_names
from infra_orch.commands.waiting import wait_for_survivors
from infra_orch.console import Console
from infra_orch.engine.cli_config import CliConfig, cli_config
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.engine.environment import Environment, terraform_environment
from infra_orch.engine.mirror import find_mirrors
from infra_orch.engine.providers import ProviderCache, provider_cache_folder
from infra_orch.errors import UserError
from infra_orch.files import private_folder
from infra_orch.fingerprint.sources import Sources
from infra_orch.git.repository import Repository, find_repository
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.record.record import RunFacts
from infra_orch.record.store import Records, records_of
from infra_orch.redact import Redactor
from infra_orch.report.timings import timing_lines
from infra_orch.run.context import RunContext, Sandbox
from infra_orch.run.credentials import Wallet
from infra_orch.run.interrupt import polite_stop
from infra_orch.run.journal import NAME as JOURNAL
from infra_orch.run.journal import Journal
from infra_orch.run.lock import StackLock, stack_lock
from infra_orch.run.progress import Progress
from infra_orch.run.timings import read_timings
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment


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
    """A run under way: its context, and what is true of it. *lock* is None for a run that only reads states.

    *past* is what was true of a run that died, when this one stands in for it.
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
    past: Past | None = None

    @property
    def records(self) -> Records:
        """What is known of the units that exist: their records, in the sandbox those of what is in the emulator."""
        if self.context.sandbox:
            return Records(self.context.sandbox.state / "record")
        return records_of(self.context.stack.folder, sandbox=False, committed=True)

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
    """Open a run of *command* on a stack: hold its lock, start what it needs, and end it all on every way out.

    *locked* is False for what only reads states.

    Raises LockedError where another run holds the stack, UnavailableError where there is no engine, no emulator, or no
    access to the states, RefusedError where the sandbox cannot hold one of the units.
    """
    now = datetime.now(UTC)
    # With milliseconds, so that the ids of one machine sort as its runs began.
    run_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"
    asked = _Asked(project, opened, command, console, options, run_id, reads_only=not locked)
    supervisor = Supervisor(project.settings.patience)
    with contextlib.ExitStack() as stack:
        stack.enter_context(polite_stop(supervisor, console.note))
        held = stack.enter_context(_lock(asked, supervisor)) if locked else None
        engine = find_engine(project.settings.engine)
        redactor = Redactor(project.settings.redact)
        wallet = wallet_for(opened, run_id, options, redactor, supervisor)
        emulator = stack.enter_context(_states(asked, engine, wallet))
        run_folder = private_folder(project.scratch / "runs" / run_id)
        journal = stack.enter_context(_journal(run_folder, asked, held))
        repository = find_repository(project.root)
        context = _context(asked, engine, supervisor, emulator, journal, redactor, wallet, repository)
        gateway = stack.enter_context(served_by(project, context, console))
        context = replace(context, progress=progress, inherit=(held.handle,) if held else (), gateway=gateway)
        began = now.isoformat(timespec="seconds"), time.monotonic()
        checkout = _checkout(asked, repository)
        yield Session(context, engine, repository, command, *began, options.sandbox, checkout, held)
        if options.timings:
            _tell_timings(journal.path, console)


def _tell_timings(journal: Path, console: Console) -> None:
    """Say where the time went. Where that cannot be told, the run went as it did."""
    try:
        console.note("\n".join(timing_lines(read_timings(journal), console.err_style)))
    except (UserError, OSError) as error:
        console.warn(f"where the time went is not known: {error}")


@dataclass(frozen=True)
class _Asked:
    """What a session was asked for."""

    project: Project
    opened: Opened
    command: str
    console: Console
    options: RunOptions
    run_id: str
    reads_only: bool

    @property
    def realm(self) -> str:
        """Where work folders and locks are kept apart: those of the sandbox from the real ones."""
        return "sandbox" if self.options.sandbox else "work"


def _lock(asked: _Asked, supervisor: Supervisor) -> contextlib.AbstractContextManager[StackLock]:
    folder = asked.opened.folder
    path = asked.project.scratch / "locks" / f"{asked.realm}-{folder.name.replace('/', '~')}.lock"
    wait = wait_for_survivors(asked.project, supervisor, asked.console)
    return stack_lock(path, asked.opened.rendered.name, asked.run_id, asked.command, wait)


def _context(
    asked: _Asked,
    engine: Engine,
    supervisor: Supervisor,
    emulator: Sandbox | None,
    journal: Journal,
    redactor: Redactor,
    wallet: Wallet,
    repository: Repository | None,
) -> RunContext:
    project, opened, settings = asked.project, asked.opened, asked.project.settings
    run_folder = journal.path.parent
    environment = terraform_environment(os.environ)
    config = _cli_config(project, engine, run_folder)
    for warning in (*environment.warnings, *config.warnings):
        asked.console.warn(warning)
    if emulator is None:
        redactor.add_environment(environment.values)
    return RunContext(
        run_id=asked.run_id,
        stack=opened.rendered,
        engine=engine,
        environment={**_environment(environment, opened, emulator), **config.env},
        init_environment={**_environment(environment, opened, emulator, registry=True), **config.env},
        providers=ProviderCache(engine, config, supervisor),
        supervisor=supervisor,
        journal=journal,
        redactor=redactor,
        wallet=wallet,
        sources=Sources(project, repository.root if repository else None),
        work=private_folder(opened.folder.work(asked.realm)),
        run_folder=run_folder,
        sandbox=emulator,
        lock_timeout=settings.lock_timeout,
        lock_platforms=settings.lock_platforms,
        keep_lock_files=_keeps_lock_files(asked.command, asked.options),
    )


def _checkout(asked: _Asked, repository: Repository | None) -> Checkout:
    """Who is at work on which commit, asked as the run begins: what is checked out may be another one when it ends."""
    if repository is None:
        return Checkout(os.environ.get("USER", "unknown"), None, dirty=False)
    folder = asked.opened.folder
    paths = [asked.project.root / "modules", folder.spec, folder.rendered]
    dirty = bool(repository.dirty(repository.relative(path) for path in paths))
    return Checkout(repository.user(), repository.head(), dirty)


@contextlib.contextmanager
def _states(asked: _Asked, engine: Engine, wallet: Wallet) -> Iterator[Sandbox | None]:
    """See to it that the states can be reached: those of the sandbox that is yielded, or the real ones (None)."""
    opened, options, console = asked.opened, asked.options, asked.console
    names = chosen_names(opened, options.wanted)
    if options.sandbox:
        with emulated(opened, names, options.emulator_url, console, reads_only=asked.reads_only) as sandbox:
            yield sandbox
        return
    check_backends(opened, engine, wallet, names)
    if not asked.reads_only and any(unit.backend == "local" for unit in opened.rendered.units.values()):
        private_folder(opened.folder.state, ignored_by_git=True)
    yield None


@contextlib.contextmanager
def _journal(run_folder: Path, asked: _Asked, lock: StackLock | None) -> Iterator[Journal]:
    """The run's journal; where it says in the end that a record is owed, the stack's lock keeps that in mind."""
    with contextlib.closing(Journal(run_folder / JOURNAL)) as journal:
        stack, sandbox = asked.opened.folder.name, asked.options.sandbox
        facts = {"stack": stack, "command": asked.command, "pid": os.getpid(), "sandbox": sandbox}
        journal.write("run", durable=True, run=run_folder.name, **facts)
        try:
            yield journal
        finally:
            if lock:
                lock.release(owes=journal.owes)


def _environment(
    environment: Environment, opened: Opened, emulator: Sandbox | None, *, registry: bool = False
) -> Mapping[str, str]:
    """The variables of Terraform's processes; those that may download (*registry*) keep the user's proxies."""
    if emulator is None:
        return environment.values
    region = opened.regions.get("AWS_REGION", "us-east-1")
    return apply_redirect(environment.values, sandbox_environment(emulator.url, region, registry=registry))


def _cli_config(project: Project, engine: Engine, run_folder: Path) -> CliConfig:
    settings = project.settings
    mirrors = find_mirrors(os.environ, settings.provider_mirror)
    cache = provider_cache_folder(os.environ, settings.provider_cache, project.scratch / "providers")
    return cli_config(os.environ, mirrors, cache, run_folder / "cli", engine=engine.name)


def _keeps_lock_files(command: str, options: RunOptions) -> bool:
    """Whether what init locks goes beside the rendered files.

    Not where these have to stay as they are committed and nothing is to be committed, nor for an emulator's sake.
    """
    commits = command in ("apply", "destroy") and options.commit
    return commits or not (options.sandbox or options.from_rendered)
