"""Everything that a run needs around it: lock, journal, engine, environment, sandbox, signals."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.commands.backends import check_backends
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.sandboxing import emulated
from infra_orch.commands.selecting import chosen_names
from infra_orch.console import Console
from infra_orch.engine.cli_config import CliConfig, cli_config
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.engine.environment import Environment, terraform_environment
from infra_orch.engine.mirror import find_mirrors
from infra_orch.engine.providers import ProviderCache, provider_cache_folder
from infra_orch.files import private_folder
from infra_orch.git.repository import Repository, find_repository
from infra_orch.process import Supervisor
from infra_orch.project import Project
from infra_orch.record.record import RunFacts
from infra_orch.record.store import Records, records_of
from infra_orch.redact import Redactor
from infra_orch.run.context import RunContext, Sandbox
from infra_orch.run.interrupt import polite_stop
from infra_orch.run.journal import Journal
from infra_orch.run.lock import stack_lock
from infra_orch.run.progress import Progress
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment


@dataclass(frozen=True)
class Session:
    """A run under way: its context, and what is true of it."""

    context: RunContext
    engine: Engine
    repository: Repository | None
    command: str
    at: str
    began: float
    sandbox: bool

    @property
    def records(self) -> Records:
        """What is known of the units that exist: their records, in the sandbox those of what is in the emulator."""
        if self.context.sandbox:
            return Records(self.context.sandbox.state / "record")
        return records_of(self.context.stack.folder, sandbox=False, committed=True)

    def facts(self) -> RunFacts:
        """What is true of the run, as of now."""
        folder = self.context.stack.folder
        root = folder.project.root
        paths = [root / "modules", folder.spec, folder.rendered]
        dirty = bool(self.repository and self.repository.dirty(self.repository.relative(path) for path in paths))
        return RunFacts(
            run_id=self.context.run_id,
            stack=self.context.stack.name,
            command=self.command,
            at=self.at,
            duration=time.monotonic() - self.began,
            by=self.repository.user() if self.repository else os.environ.get("USER", "unknown"),
            commit=self.repository.head() if self.repository else None,
            dirty=dirty,
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
    folder, settings, now = opened.folder, project.settings, datetime.now(UTC)
    # With milliseconds, so that the ids of one machine sort as its runs began.
    run_id = f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"
    realm = "sandbox" if options.sandbox else "work"
    environment = terraform_environment(os.environ)
    redactor = Redactor(settings.redact)
    supervisor = Supervisor(settings.patience)
    with contextlib.ExitStack() as stack:
        lock = project.scratch / "locks" / f"{realm}-{folder.name.replace('/', '~')}.lock"
        held = (stack.enter_context(stack_lock(lock, opened.rendered.name, run_id, command)),) if locked else ()
        stack.enter_context(polite_stop(supervisor, console.note))
        engine = find_engine(settings.engine)
        emulator = stack.enter_context(_states(opened, engine, command, options, console))
        run_folder = private_folder(project.scratch / "runs" / run_id)
        journal = stack.enter_context(_journal(run_folder, opened, command, sandbox=options.sandbox))
        config = _cli_config(project, engine, run_folder)
        for warning in (*environment.warnings, *config.warnings):
            console.warn(warning)
        if emulator is None:
            redactor.add_environment(environment.values)
        context = RunContext(
            run_id=run_id,
            stack=opened.rendered,
            engine=engine,
            environment={**_environment(environment, opened, emulator), **config.env},
            init_environment={**_environment(environment, opened, emulator, registry=True), **config.env},
            providers=ProviderCache(engine, config, supervisor),
            supervisor=supervisor,
            journal=journal,
            redactor=redactor,
            work=private_folder(folder.work(realm)),
            run_folder=run_folder,
            progress=progress,
            sandbox=emulator,
            lock_timeout=settings.lock_timeout,
            lock_platforms=settings.lock_platforms,
            keep_lock_files=_keeps_lock_files(command, options),
            inherit=held,
        )
        at, repository = now.isoformat(timespec="seconds"), find_repository(project.root)
        yield Session(context, engine, repository, command, at, time.monotonic(), options.sandbox)


@contextlib.contextmanager
def _states(
    opened: Opened, engine: Engine, command: str, options: RunOptions, console: Console
) -> Iterator[Sandbox | None]:
    """See to it that the states can be reached: those of the sandbox that is yielded, or the real ones (None)."""
    names = chosen_names(opened, options.wanted)
    if options.sandbox:
        with emulated(opened, names, options.emulator_url, console, reads_only=command == "output") as sandbox:
            yield sandbox
        return
    check_backends(opened, engine)
    if command != "output" and any(unit.backend == "local" for unit in opened.rendered.units.values()):
        private_folder(opened.folder.state, ignored_by_git=True)
    yield None


@contextlib.contextmanager
def _journal(run_folder: Path, opened: Opened, command: str, *, sandbox: bool) -> Iterator[Journal]:
    with contextlib.closing(Journal(run_folder / "journal.jsonl")) as journal:
        facts = {"stack": opened.folder.name, "command": command, "pid": os.getpid(), "sandbox": sandbox}
        journal.write("run", durable=True, run=run_folder.name, **facts)
        yield journal


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
