"""The commands that see to states: where they are to lie, and what a run that died left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here


def bootstrap(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Make nothing; exit with 1 where something is missing.",
            envvar="INFRA_ORCH_CHECK",
        ),
    ] = False,
    auto_approve: o.AutoApprove = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
) -> int:
    """Make the S3 buckets that stacks keep their states in.

    Of those that are there, make what is missing.
    """
    from infra_orch.commands.bootstrap import bootstrap as command
    from infra_orch.commands.stacks import chosen_stacks

    project, console = project_here(), console_here(json=json)
    stacks = chosen_stacks(project, stack or (), console, everything=all)
    words = ["--all"] if all else list(stack or ())
    return command(project, stacks, console, words=words, check=check, auto_approve=auto_approve, sandbox=sandbox)


def recover(
    stack: o.Stack,
    sandbox: o.Sandbox = False,
    auto_approve: o.AutoApprove = False,
    without_adopting: Annotated[
        bool,
        typer.Option(
            "--without-adopting",
            help="Leave what was created and is in no state where it is, and go on.",
            envvar="INFRA_ORCH_WITHOUT_ADOPTING",
        ),
    ] = False,
    engine: o.Engine = None,
) -> int:
    """See to the end of runs that died."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.recover import recover as command

    options = RunOptions(sandbox=sandbox, auto_approve=auto_approve)
    return command(project_here(engine=engine), stack, options, console_here(), without_adopting=without_adopting)


def unlock(
    stack: o.Stack,
    unit: Annotated[
        str | None,
        typer.Argument(metavar="UNIT", help="Only this unit.", autocompletion=completion.units),
    ] = None,
    sandbox: o.Sandbox = False,
    auto_approve: o.AutoApprove = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also locks of which nobody here knows whether their holder lives.",
            envvar="INFRA_ORCH_FORCE",
        ),
    ] = False,
    engine: o.Engine = None,
) -> int:
    """Say whose the state locks are; give dead ones back."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.unlock import unlock as command

    options = RunOptions(sandbox=sandbox, auto_approve=auto_approve)
    return command(project_here(engine=engine), stack, unit, options, console_here(), force=force)
