"""The commands for a pull request: preview and outdated."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here
from infra_orch.cli.running import run_options
from infra_orch.console import Console

if TYPE_CHECKING:
    from infra_orch.commands.posting import Poster
    from infra_orch.commands.preview import Wish
    from infra_orch.project import Project


def preview(
    stack: o.Stacks = None,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="markdown, json, html, junit or sarif.",
            envvar="INFRA_ORCH_FORMAT",
            autocompletion=completion.one_of("markdown", "json", "html", "junit", "sarif"),
        ),
    ] = "markdown",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write it there.", envvar="INFRA_ORCH_OUT", show_default=False),
    ] = None,
    group: o.Group = "default",
    post: Annotated[
        bool,
        typer.Option(
            "--post", help="Post it to GitHub or GitLab: a comment, a commit status.", envvar="INFRA_ORCH_POST"
        ),
    ] = False,
    pull_request: o.PullRequest = None,
    host: o.Host = "",
    terraform_report: Annotated[
        Path | None,
        typer.Option(
            "--terraform-report",
            metavar="FILE",
            help="Write the numbers that GitLab's merge requests show.",
            envvar="INFRA_ORCH_TERRAFORM_REPORT",
            show_default=False,
        ),
    ] = None,
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
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="Characters that it may have (default: what the host takes, or 65536).",
            envvar="INFRA_ORCH_LIMIT",
            show_default=False,
        ),
    ] = None,
    report: o.Report = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            metavar="PLACE",
            help="Keep the plans for apply --bundle: a file, a folder/, or s3://bucket/prefix.",
            envvar="INFRA_ORCH_BUNDLE",
            show_default=False,
        ),
    ] = None,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    prune: o.Prune = False,
    policies: o.Policies = None,
    parallelism: o.Parallelism = None,
    fail_fast: o.FailFast = False,
    max_failures: o.MaxFailures = None,
    engine: o.Engine = None,
    no_gateway: o.NoGateway = False,
    detailed_exitcode: o.DetailedExitcode = False,
) -> int:
    """Plan what a change affects, as a comment for its pull request."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.preview import preview as command
    from infra_orch.commands.preview import wish
    from infra_orch.commands.stacks import asked_for

    told = wish(
        format,
        base=base,
        out=out,
        group=group,
        report_url=report_url,
        limit=limit,
        report=report,
        bundle=bundle,
        terraform_report=terraform_report,
    )
    options = run_options(
        None,
        None,
        fail_fast=fail_fast,
        max_failures=max_failures,
        change=change_asked_for(base, wanted=True, downstream=not no_downstream, why=why, from_rendered=from_rendered),
        with_upstream=False,
        with_downstream=False,
        sandbox=sandbox,
        from_rendered=from_rendered,
        prune=prune,
        detailed_exitcode=detailed_exitcode,
        policies=policies,
    )
    project, console = project_here(no_gateway=no_gateway, parallelism=parallelism, engine=engine), console_here()
    with _poster(project, console, told, host, pull_request) if post else nullcontext() as poster:
        stacks = asked_for(project, stack or (), console, everything=False, affected=True, from_rendered=from_rendered)
        return command(project, stacks, options, told, console, poster)


def _poster(project: Project, console: Console, told: Wish, host: str, number: int | None) -> Poster:
    from infra_orch.commands.posting import poster_for

    return poster_for(project, console, told.group, host, number, told.report_url)


def outdated(
    base: Annotated[
        str,
        typer.Option("--base", metavar="BRANCH", help="The branch that has moved.", envvar="INFRA_ORCH_BASE"),
    ],
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Only the previews of this group of stacks.",
            envvar="INFRA_ORCH_GROUP",
            show_default=False,
        ),
    ] = "",
    host: o.Host = "",
) -> int:
    """Mark the previews of pull requests whose base has moved."""
    from infra_orch.commands.outdated import outdated as command

    return command(project_here(), base, host, group, console_here())
