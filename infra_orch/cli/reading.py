"""The commands that look at a stack or a run, and `tf`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.cli.here import console_here, project_here


def list_(
    stack: o.Stacks = None,
    tag: o.Tag = None,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
) -> int:
    """Show the stacks and units, and what of each has changed.

    Changed since its last apply: that is told from specs and records, and no Terraform is started.
    """
    from infra_orch.commands.list import list_stacks

    console = console_here(json=json)
    return list_stacks(project_here(), stack or (), console, tags=tag or (), sandbox=sandbox)


def validate(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    affected: o.Affected = False,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
) -> int:
    """Find all that is wrong with stacks; run nothing."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.stacks import chosen_stacks
    from infra_orch.commands.validate import validate as command

    project, console = project_here(), console_here()
    change = change_asked_for(base, wanted=affected, downstream=not no_downstream, why=why)
    return command(project, chosen_stacks(project, stack or (), console, everything=all, change=change), console)


def render(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit with 1 and a diff where the files are stale.",
            envvar="INFRA_ORCH_CHECK",
        ),
    ] = False,
    affected: o.Affected = False,
    base: o.Base = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
) -> int:
    """Write the Terraform root modules of stacks."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.render import render as command
    from infra_orch.commands.stacks import chosen_stacks

    project, console = project_here(), console_here()
    change = change_asked_for(base, wanted=affected, downstream=not no_downstream, why=why)
    stacks = chosen_stacks(project, stack or (), console, everything=all, change=change)
    return command(project, stacks, console, check=check)


def graph(
    stack: o.Stacks = None,
    all: o.All = False,  # noqa: A002  the option's name
    format: Annotated[  # noqa: A002  the option's name
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="tree, mermaid, dot or json.",
            envvar="INFRA_ORCH_FORMAT",
            autocompletion=completion.one_of("tree", "mermaid", "dot", "json"),
        ),
    ] = "tree",
    affected: o.Affected = False,
    base: o.Base = None,
    head: o.Head = None,
    no_downstream: o.NoDownstream = False,
    why: o.Why = False,
    from_rendered: o.FromRendered = False,
) -> int:
    """Show what depends on what."""
    from infra_orch.commands.affecting import change_asked_for
    from infra_orch.commands.graph import graph as command
    from infra_orch.commands.stacks import chosen_stacks

    project, console = project_here(), console_here()
    change = change_asked_for(
        base, head, wanted=affected, downstream=not no_downstream, why=why, from_rendered=from_rendered
    )
    every = not stack and (all or change is not None)
    stacks: list[str] = []
    if not (every and change):
        stacks = chosen_stacks(project, stack or (), console, everything=all, from_rendered=from_rendered)
    return command(project, stacks, console, form=format, change=change, from_rendered=from_rendered)


def explain(
    stack: o.Stack,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The unit.", autocompletion=completion.units)],
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    engine: o.Engine = None,
) -> int:
    """Show what a unit's plan depends on, and what of it changed.

    Changed since its last apply.
    """
    from infra_orch.commands.explain import explain as command
    from infra_orch.commands.options import RunOptions

    options = RunOptions(json=json, sandbox=sandbox, from_rendered=from_rendered)
    return command(project_here(engine=engine), stack, unit, options, console_here(json=json))


def output(
    stack: o.Stack,
    unit: Annotated[
        str | None,
        typer.Argument(metavar="UNIT", help="Only this unit.", autocompletion=completion.units),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One output, raw, for scripts.", autocompletion=completion.outputs),
    ] = None,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Also print sensitive values.", envvar="INFRA_ORCH_SENSITIVE")
    ] = False,
    engine: o.Engine = None,
) -> int:
    """Print the values of outputs, read from the states."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.output import output as command

    options = RunOptions(json=json, sandbox=sandbox, from_rendered=from_rendered)
    return command(
        project_here(engine=engine), stack, unit, name, options, console_here(json=json), sensitive=sensitive
    )


def history(
    stack: o.Stack,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="At most so many.", envvar="INFRA_ORCH_LIMIT")
    ] = 20,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
) -> int:
    """Show who did what to a stack, and when."""
    from infra_orch.commands.history import history as command

    return command(project_here(), stack, console_here(json=json), limit=limit, sandbox=sandbox)


def show(
    run: o.Run,
    unit: Annotated[
        str | None,
        typer.Argument(metavar="UNIT", help="The full output of this unit.", autocompletion=completion.logged),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write the run as one page that every browser opens.",
            envvar="INFRA_ORCH_HTML",
            show_default=False,
        ),
    ] = None,
    json: o.Json = False,
) -> int:
    """Show one run in full, or the output of a unit in it."""
    from infra_orch.commands.show import show as command

    return command(project_here(), run, unit, console_here(json=json), html=html)


def timings(
    run: o.Run,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="Write a trace that ui.perfetto.dev opens.",
            envvar="INFRA_ORCH_TRACE",
            show_default=False,
        ),
    ] = None,
    json: o.Json = False,
) -> int:
    """Show where the time of a run went."""
    from infra_orch.commands.timings import timings as command

    return command(project_here(), run, console_here(json=json), trace=trace)


def tf(
    stack: o.Stack,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The unit.", autocompletion=completion.units)],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="-- ARGS", help="Terraform's own.")] = None,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    engine: o.Engine = None,
) -> int:
    """Run any Terraform command for a unit."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.tf import tf as command

    options = RunOptions(sandbox=sandbox, from_rendered=from_rendered)
    return command(project_here(engine=engine), stack, unit, tuple(arguments or ()), options, console_here())


def doctor(
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Also ask the backends; without it no network is used.", envvar="INFRA_ORCH_ONLINE"
        ),
    ] = False,
    json: o.Json = False,
    engine: o.Engine = None,
) -> int:
    """Say what would keep a run from going well, and what mends it."""
    from infra_orch.commands.doctor import doctor as command

    return command(console_here(json=json), engine=engine, online=online)


def completion_(
    shell: Annotated[
        str | None,
        typer.Argument(
            metavar="SHELL",
            help="bash, zsh or fish (default: the one in SHELL).",
            autocompletion=completion.one_of("bash", "zsh", "fish"),
        ),
    ] = None,
) -> int:
    """Print the script by which a shell completes command lines."""
    from infra_orch.commands.completion import completion as command

    return command(shell, console_here())
