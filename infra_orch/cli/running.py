"""The commands that run a stack: plan, apply and destroy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra_orch.cli import options as o
from infra_orch.cli.here import project_here
from infra_orch.console import Console

if TYPE_CHECKING:
    from infra_orch.commands.options import RunOptions
    from infra_orch.project import Project


def plan(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    unit: o.Unit = None,
    tag: o.Tag = None,
    with_upstream: o.WithUpstream = False,
    with_downstream: o.WithDownstream = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    prune: o.Prune = False,
    full: o.Full = False,
    destroy: o.Destroy = False,
    out: o.Out = None,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    timings: o.Timings = False,
    changed_only: o.ChangedOnly = False,
    affected: o.Affected = False,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
    detailed_exitcode: o.DetailedExitcode = False,
) -> int:
    """Show what an apply would do, with truthful values."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.plan import plan as command
    from infra_orch.commands.stacks import asked_for

    options = _options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        timings=timings,
        changed_only=changed_only,
        change=change_asked_for(base, wanted=affected, downstream=not no_downstream, why=why),
        with_upstream=with_upstream,
        with_downstream=with_downstream,
        json=json,
        sandbox=sandbox,
        from_rendered=from_rendered,
        prune=prune,
        full=full,
        destroy=destroy,
        out=out,
        detailed_exitcode=detailed_exitcode,
        policies=policies,
    )
    project, console = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine), Console(json=json)
    stacks = asked_for(project, stack or (), console, everything=all, affected=affected, from_rendered=from_rendered)
    return command(project, stacks, options, console)


def drift(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    unit: o.Unit = None,
    tag: o.Tag = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Plan the way back, and apply it after a yes.", envvar="INFRA_ORCH_FIX")
    ] = False,
    auto_approve: o.AutoApprove = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
) -> int:
    """Say what is not as the last apply left it."""
    from infra_orch.commands.drift import drift as command
    from infra_orch.commands.stacks import asked_for

    project, console = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine), Console(json=json)
    options = _options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        with_upstream=False,
        with_downstream=False,
        json=json,
        sandbox=sandbox,
        from_rendered=from_rendered,
        auto_approve=auto_approve,
        commit=_commits(project, None, sandbox=sandbox),
    )
    stacks = asked_for(project, stack or (), console, everything=all, from_rendered=from_rendered)
    return command(project, stacks, options, console, fix=fix)


def preview(
    stack: o.Stacks = None,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="markdown, json, html, junit or sarif.", envvar="INFRA_ORCH_FORMAT"
        ),
    ] = "markdown",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it there.", envvar="INFRA_ORCH_OUT", show_default=False),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            "--group", metavar="NAME", help="Tells the comments of one change apart.", envvar="INFRA_ORCH_GROUP"
        ),
    ] = "default",
    report_url: Annotated[
        str,
        typer.Option(
            "--report-url",
            metavar="URL",
            help="Where the full report is.",
            envvar="INFRA_ORCH_REPORT_URL",
            show_default=False,
        ),
    ] = "",
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Characters that it may have.", envvar="INFRA_ORCH_LIMIT")
    ] = 65536,
    sandbox: o.Sandbox = False,
    prune: o.Prune = False,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
    detailed_exitcode: o.DetailedExitcode = False,
) -> int:
    """Plan what a change affects, and make a comment of it for its pull request."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.preview import preview as command
    from infra_orch.commands.preview import wish
    from infra_orch.commands.stacks import asked_for

    told = wish(format, out, group, report_url, limit, base=base)
    options = _options(
        None,
        None,
        fail_fast=fail_fast,
        max_failures=max_failures,
        change=change_asked_for(base, wanted=True, downstream=not no_downstream, why=why),
        with_upstream=False,
        with_downstream=False,
        sandbox=sandbox,
        prune=prune,
        detailed_exitcode=detailed_exitcode,
        policies=policies,
    )
    project, console = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine), Console()
    stacks = asked_for(project, stack or (), console, everything=False, affected=True)
    return command(project, stacks, options, told, console)


def apply(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    unit: o.Unit = None,
    tag: o.Tag = None,
    with_upstream: o.WithUpstream = False,
    with_downstream: o.WithDownstream = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    auto_approve: o.AutoApprove = False,
    allow_unseen: o.AllowUnseen = False,
    commit: o.Commit = None,
    from_rendered: o.FromRendered = False,
    prune: o.Prune = False,
    full: o.Full = False,
    plan: o.Plan = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with what a run (its id, or last) had shown and not done.",
            envvar="INFRA_ORCH_RESUME",
        ),
    ] = None,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    timings: o.Timings = False,
    changed_only: o.ChangedOnly = False,
    affected: o.Affected = False,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
) -> int:
    """Plan, show, ask, apply exactly that, record it in git."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.apply import apply as command
    from infra_orch.commands.stacks import asked_for

    project = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    options = _options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        timings=timings,
        changed_only=changed_only,
        change=change_asked_for(base, wanted=affected, downstream=not no_downstream, why=why),
        with_upstream=with_upstream,
        with_downstream=with_downstream,
        json=json,
        sandbox=sandbox,
        auto_approve=auto_approve,
        allow_unseen=allow_unseen,
        commit=_commits(project, commit, sandbox=sandbox),
        from_rendered=from_rendered,
        prune=prune,
        full=full,
        plan=plan,
        resume=resume,
        policies=policies,
    )
    console = Console(json=json)
    stacks = asked_for(project, stack or (), console, everything=all, affected=affected, from_rendered=from_rendered)
    return command(project, stacks, options, console)


def destroy(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    unit: o.Unit = None,
    tag: o.Tag = None,
    with_downstream: o.WithDownstream = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    auto_approve: o.AutoApprove = False,
    commit: o.Commit = None,
    from_rendered: o.FromRendered = False,
    full: o.Full = False,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    timings: o.Timings = False,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
) -> int:
    """Plan a destruction, show, ask, do it in reverse order."""
    from infra_orch.commands.apply import destroy as command
    from infra_orch.commands.stacks import asked_for

    project = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    options = _options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        timings=timings,
        with_upstream=False,
        with_downstream=with_downstream,
        json=json,
        sandbox=sandbox,
        auto_approve=auto_approve,
        commit=_commits(project, commit, sandbox=sandbox),
        from_rendered=from_rendered,
        full=full,
        policies=policies,
    )
    console = Console(json=json)
    stacks = asked_for(project, stack or (), console, everything=all, from_rendered=from_rendered)
    return command(project, stacks, options, console)


def _options(
    unit: list[str] | None,
    tag: list[str] | None,
    *,
    with_upstream: bool,
    with_downstream: bool,
    fail_fast: bool,
    max_failures: int | None,
    **rest: Any,
) -> RunOptions:
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.wanted import Wanted

    wanted = Wanted(tuple(unit or ()), tuple(tag or ()), with_upstream, with_downstream)
    return RunOptions(wanted=wanted, max_failures=max_failures or (1 if fail_fast else None), **rest)


def _commits(project: Project, flag: bool | None, *, sandbox: bool) -> bool:
    """Whether records are committed: as the flag says, else as the settings do, and from the sandbox never unasked."""
    return flag if flag is not None else project.settings.commit and not sandbox
