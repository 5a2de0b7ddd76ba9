"""The commands that follow a branch, and go back on it: reconcile and rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here


def reconcile(
    stack: o.Stacks = None,
    branch: Annotated[
        str, typer.Option("--branch", metavar="NAME", help="The branch that is followed.", envvar="INFRA_ORCH_BRANCH")
    ] = "main",
    remote: Annotated[
        str,
        typer.Option("--remote", metavar="NAME", help="The remote that has the branch.", envvar="INFRA_ORCH_REMOTE"),
    ] = "origin",
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            min=0.1,
            help="Look again every so many seconds, until a signal asks to stop.",
            envvar="INFRA_ORCH_WATCH",
            show_default=False,
        ),
    ] = None,
    signed: Annotated[
        bool,
        typer.Option("--signed", help="Only follow commits whose signature git verifies.", envvar="INFRA_ORCH_SIGNED"),
    ] = False,
    lease: Annotated[
        str | None,
        typer.Option(
            "--lease",
            metavar="NAME",
            help="The lease that is held while there is work (default: the branch's).",
            envvar="INFRA_ORCH_LEASE",
            show_default=False,
        ),
    ] = None,
    no_lease: Annotated[
        bool,
        typer.Option("--no-lease", help="Hold none: no other reconciler is there.", envvar="INFRA_ORCH_NO_LEASE"),
    ] = False,
    lease_seconds: Annotated[
        float,
        typer.Option(
            "--lease-seconds",
            metavar="SECONDS",
            help="After how long a lease runs out where its holder is gone.",
            envvar="INFRA_ORCH_LEASE_SECONDS",
        ),
    ] = 180.0,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    allow_unseen: o.AllowUnseen = False,
    from_rendered: o.FromRendered = False,
    prune: o.Prune = False,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
) -> int:
    """Apply what on a branch differs from its records; push these."""
    from functools import partial

    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.reconcile import reconcile as command
    from infra_orch.commands.reconciling import Wish

    options = RunOptions(
        max_failures=max_failures or (1 if fail_fast else None),
        sandbox=sandbox,
        allow_unseen=allow_unseen,
        commit=not sandbox,
        from_rendered=from_rendered,
        prune=prune,
        policies=policies,
    )
    wish = Wish(tuple(stack or ()), branch, remote, signed, None if no_lease else lease or branch, lease_seconds)
    load = partial(project_here, no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    return command(load, wish, options, console_here(json=json), watch=watch)


def rollback(
    stack: o.Stack,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="RUN",
            help="The run: its id from history, or the beginning of it.",
            envvar="INFRA_ORCH_TO",
            autocompletion=completion.applied,
        ),
    ],
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch",
            metavar="NAME",
            help="Commit it on a new branch (default: on top of what is checked out).",
            envvar="INFRA_ORCH_BRANCH",
            show_default=False,
        ),
    ] = None,
    json: o.Json = False,
    full: o.Full = False,
    prune: o.Prune = False,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
    detailed_exitcode: o.DetailedExitcode = False,
) -> int:
    """Commit a stack's files as they were in a run, and plan it."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.rollback import rollback as command

    options = RunOptions(
        json=json,
        full=full,
        prune=prune,
        policies=policies,
        detailed_exitcode=detailed_exitcode,
    )
    project = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    return command(project, stack, to, options, console_here(json=json), branch=branch)
