"""The context in which each stack of a run is worked on: what all share, and what is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from infra_orch.commands.credentials import wallet_for
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import Part
from infra_orch.commands.policies import load_policies
from infra_orch.commands.sandboxing import sandbox_of
from infra_orch.console import Console
from infra_orch.engine.cli_config import CliConfig, cli_config
from infra_orch.engine.engine import Engine
from infra_orch.engine.environment import Environment, terraform_environment
from infra_orch.engine.mirror import find_mirrors
from infra_orch.engine.providers import ProviderCache, provider_cache_folder
from infra_orch.files import private_folder
from infra_orch.fingerprint.sources import Sources
from infra_orch.git.repository import Repository
from infra_orch.policies.judge import Policies
from infra_orch.process import Supervisor
from infra_orch.project import Project, StackFolder
from infra_orch.redact import Redactor
from infra_orch.run.context import RunContext
from infra_orch.run.credentials import Wallet
from infra_orch.run.journal import Journal
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment


@dataclass(frozen=True)
class Request:
    """What a session was asked for, of one stack. *reads_only*: nothing is to be changed, states neither."""

    project: Project
    part: Part
    command: str
    console: Console
    run_id: str
    reads_only: bool

    @property
    def options(self) -> RunOptions:
        """What the run was told."""
        return self.part.options

    @property
    def folder(self) -> StackFolder:
        """The stack's folder."""
        return self.part.opened.folder

    @property
    def run_folder(self) -> Path:
        """The folder of the stack's run."""
        return private_folder(self.project.scratch / "runs" / self.run_id)

    @property
    def realm(self) -> str:
        """Where work folders and locks are kept apart: those of the sandbox from the real ones."""
        return "sandbox" if self.options.sandbox else "work"


@dataclass(frozen=True)
class Shared:
    """What all stacks of a run share. *emulator* is the URL of the sandbox's."""

    engine: Engine
    environment: Environment
    config: CliConfig
    providers: ProviderCache
    supervisor: Supervisor
    redactor: Redactor
    sources: Sources
    policies: Policies
    emulator: str | None


def shared_of(
    request: Request,
    engine: Engine,
    supervisor: Supervisor,
    redactor: Redactor,
    repository: Repository | None,
    emulator: str | None,
) -> Shared:
    """Return what all stacks of a run share, and warn of what in the environment is not as it should be."""
    project = request.project
    environment = terraform_environment(os.environ)
    config = _cli_config(project, engine, request.run_folder)
    for warning in (*environment.warnings, *config.warnings):
        request.console.warn(warning)
    if emulator is None:
        redactor.add_environment(environment.values)
    sources = Sources(project, repository.root if repository else None)
    providers = ProviderCache(engine, config, supervisor)
    policies = _policies(request)
    return Shared(engine, environment, config, providers, supervisor, redactor, sources, policies, emulator)


def _policies(request: Request) -> Policies:
    """The policies that are asked about what is planned; none where nothing is."""
    if request.command not in ("plan", "apply", "destroy"):
        return Policies()
    options, project = request.options, request.project
    return load_policies(project, options.policies, from_rendered=options.from_rendered)


def context_of(
    request: Request, shared: Shared, journal: Journal, wallet: Wallet, inherit: tuple[int, ...]
) -> RunContext:
    """Return the context of a stack that is worked on. *inherit*: descriptors that Terraform keeps open."""
    opened, settings = request.part.opened, request.project.settings
    variables = partial(_environment, shared.environment, opened, shared.emulator)
    return RunContext(
        run_id=request.run_id,
        stack=opened.rendered,
        engine=shared.engine,
        environment={**variables(), **shared.config.env},
        init_environment={**variables(registry=True), **shared.config.env},
        providers=shared.providers,
        supervisor=shared.supervisor,
        journal=journal,
        redactor=shared.redactor,
        wallet=wallet,
        sources=shared.sources,
        work=private_folder(request.folder.work(request.realm)),
        run_folder=request.run_folder,
        sandbox=sandbox_of(request.folder, shared.emulator) if shared.emulator else None,
        lock_timeout=settings.lock_timeout,
        lock_platforms=settings.lock_platforms,
        keep_lock_files=_keeps_lock_files(request.command, request.options),
        inherit=inherit,
        policies=shared.policies,
    )


def others_of(
    request: Request, context: RunContext, supervisor: Supervisor, stack: contextlib.ExitStack
) -> dict[str, RunContext]:
    """Return the contexts of the other stacks, by name, of which a stack reads units: beside any run on those.

    What they leave behind goes with *stack*.
    """
    found = {}
    # As deep as a work folder, so that relative paths hold; of this run alone, since others may read there, too.
    realm = f"read-{request.run_id}"
    stack.callback(shutil.rmtree, request.project.scratch / realm, ignore_errors=True)
    for name, rendered in request.part.opened.others.items():
        folder = rendered.folder
        found[name] = replace(
            context,
            stack=rendered,
            wallet=wallet_for(Opened(rendered, {}, {}), request.run_id, request.options, context.redactor, supervisor),
            work=private_folder(folder.work(realm)),
            run_folder=private_folder(request.run_folder / "elsewhere" / name.replace("/", "~")),
            sandbox=sandbox_of(folder, context.sandbox.url) if context.sandbox else None,
            keep_lock_files=False,
        )
    return found


def _environment(
    environment: Environment, opened: Opened, emulator: str | None, *, registry: bool = False
) -> Mapping[str, str]:
    """The variables of Terraform's processes; those that may download (*registry*) keep the user's proxies."""
    if emulator is None:
        return environment.values
    redirect = sandbox_environment(emulator, opened.emulated_region, registry=registry)
    return apply_redirect(environment.values, redirect)


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
