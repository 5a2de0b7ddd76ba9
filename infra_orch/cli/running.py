"""The commands that run a stack: plan, apply and destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here
from infra_orch.console import Console

if TYPE_CHECKING:
    from infra_orch.commands.applied import AppliedPost
    from infra_orch.commands.drift_issue import DriftIssue
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

    options = run_options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        timings=timings,
        changed_only=changed_only,
        change=change_asked_for(
            base, wanted=affected, downstream=not no_downstream, why=why, from_rendered=from_rendered
        ),
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
    project, console = (
        project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine),
        console_here(json=json),
    )
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
    report: o.Report = None,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
    post: Annotated[
        bool,
        typer.Option("--post", help="Keep an issue of it at GitHub or GitLab.", envvar="INFRA_ORCH_POST"),
    ] = False,
    group: o.Group = "default",
    host: o.Host = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="LABEL",
            help="A label of a new issue (repeatable).",
            envvar="INFRA_ORCH_LABEL",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Say what is not as the last apply left it."""
    from infra_orch.commands.drift import drift as command
    from infra_orch.commands.stacks import asked_for

    project, console = (
        project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine),
        console_here(json=json),
    )
    options = run_options(
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
    issue = _issue(project, console, group, host, label) if post else None
    return command(project, stacks, options, console, issue, fix=fix, report=report)


def _issue(project: Project, console: Console, group: str, host: str, labels: list[str] | None) -> DriftIssue:
    from infra_orch.commands.drift_issue import drift_issue
    from infra_orch.commands.preview import check_group

    check_group(group)
    return drift_issue(project, console, group, host, labels or [])


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
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            metavar="PLACE",
            help="Apply what a preview kept there: a file, a folder/, or s3://bucket/prefix.",
            envvar="INFRA_ORCH_BUNDLE",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with what a run (its id, or last) had shown and not done.",
            envvar="INFRA_ORCH_RESUME",
            autocompletion=completion.runs,
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
    post: Annotated[
        bool,
        typer.Option("--post", help="Post what was applied to the commit's pull request.", envvar="INFRA_ORCH_POST"),
    ] = False,
    group: o.Group = "default",
    pull_request: o.PullRequest = None,
    host: o.Host = "",
) -> int:
    """Plan, show, ask, apply exactly that, record it in git."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.apply import apply as command
    from infra_orch.commands.stacks import asked_for, asked_for_by_bundle

    project = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine)
    options = run_options(
        unit,
        tag,
        fail_fast=fail_fast,
        max_failures=max_failures,
        timings=timings,
        changed_only=changed_only,
        change=change_asked_for(
            base, wanted=affected, downstream=not no_downstream, why=why, from_rendered=from_rendered
        ),
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
        bundle=bundle,
        group=group,
        resume=resume,
        policies=policies,
    )
    console = console_here(json=json)
    posted = _applied(project, console, group, host, pull_request) if post else None
    stacks = (
        asked_for_by_bundle(stack or (), options, everything=all)
        if bundle
        else asked_for(project, stack or (), console, everything=all, affected=affected, from_rendered=from_rendered)
    )
    return command(project, stacks, options, console, posted)


def _applied(project: Project, console: Console, group: str, host: str, number: int | None) -> AppliedPost:
    from infra_orch.commands.applied import applied_post
    from infra_orch.commands.preview import check_group

    check_group(group)
    return applied_post(project, console, group, host, number)


def approve(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="A run's id, the beginning of it, or `last`.", autocompletion=completion.runs
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            metavar="PLACE",
            help="Approve what a preview kept there: a file, a folder/, or s3://bucket/prefix.",
            envvar="INFRA_ORCH_BUNDLE",
            show_default=False,
        ),
    ] = None,
    group: o.Group = "default",
    note: Annotated[
        str,
        typer.Option("--note", metavar="TEXT", help="Why; it is kept.", envvar="INFRA_ORCH_NOTE", show_default=False),
    ] = "",
    despite_policies: Annotated[
        bool,
        typer.Option("--despite-policies", help="Also what policies deny.", envvar="INFRA_ORCH_DESPITE_POLICIES"),
    ] = False,
) -> int:
    """Say yes, in git, to what runs were to do."""
    from infra_orch.commands.approve import approve as command

    return command(
        project_here(),
        run or (),
        console_here(),
        despite_policies=despite_policies,
        note=note,
        bundle=bundle,
        group=group,
    )


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
    options = run_options(
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
    console = console_here(json=json)
    stacks = asked_for(project, stack or (), console, everything=all, from_rendered=from_rendered)
    return command(project, stacks, options, console)


def run_options(
    unit: list[str] | None,
    tag: list[str] | None,
    *,
    with_upstream: bool,
    with_downstream: bool,
    fail_fast: bool,
    max_failures: int | None,
    **rest: Any,
) -> RunOptions:
    """Return what the flags of a run say."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.wanted import Wanted

    wanted = Wanted(tuple(unit or ()), tuple(tag or ()), with_upstream, with_downstream)
    return RunOptions(wanted=wanted, max_failures=max_failures or (1 if fail_fast else None), **rest)


def _commits(project: Project, flag: bool | None, *, sandbox: bool) -> bool:
    """Whether records are committed: as the flag says, else as the settings do, and from the sandbox never unasked."""
    return flag if flag is not None else project.settings.commit and not sandbox
