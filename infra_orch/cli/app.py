"""The command line: parse, call one command, turn an error into an exit code. Heavy imports wait until they are needed."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra_orch.cli import completion
from infra_orch.cli import options as o
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, UserError

if TYPE_CHECKING:
    from infra_orch.project import Project

app = typer.Typer(
    name="infra-orch",
    help="Orchestrates Terraform: stack specs in Python, truthful previews across units, results in git.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. The one place where an error becomes an exit code."""
    console = Console()
    try:
        return int(app(args=list(arguments), prog_name="infra-orch", standalone_mode=False) or 0)
    except UserError as error:
        console.error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        console.note("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        usage = _usage_error(error)
        if usage:
            console.error(UsageError(usage, hint="infra-orch --help lists the commands; each has a --help"))
            return ExitCode.USAGE
        return _defect(error, console)


def _usage_error(error: Exception) -> str:
    """What the command line library found wrong, told by its own classes without importing its insides."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"UsageError", "ClickException"}:
        formatted = getattr(error, "format_message", None)
        return formatted() if formatted else str(error)
    return ""


def _defect(error: Exception, console: Console) -> int:
    """An exception that is our defect: a short message, and the traceback in a file."""
    text = "".join(traceback.format_exception(error))
    console.error(
        UserError(
            f"this is a defect of infra-orch: {type(error).__name__}: {error}",
            hint="INFRA_ORCH_TRACEBACK=1 shows where; please report it",
        )
    )
    if os.environ.get("INFRA_ORCH_TRACEBACK"):
        console.note(text)
    return ExitCode.FAILED


def _project(**flags: Any) -> Project:
    from infra_orch.project import find_project

    project = find_project(Path.cwd())
    given = {name: value for name, value in flags.items() if value is not None}
    return replace(project, settings=replace(project.settings, **given)) if given else project


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from infra_orch.commands.version import version

    raise typer.Exit(version(Console()))


@app.callback()
def root(
    directory: Annotated[
        Path | None, typer.Option("--directory", "-C", metavar="DIR", help="Run as if started there.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the versions of infra-orch and of the engine.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Orchestrates Terraform: stack specs in Python, truthful previews across units, results in git."""
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise UsageError(f'--directory "{directory}": {error.strerror}') from error


@app.command(epilog="Example: infra-orch plan prod --unit 'web*' --with-upstream")
def plan(
    stack: o.Stack,
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
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", help="Exit with 2 where there are changes.", envvar="INFRA_ORCH_DETAILED_EXITCODE"
        ),
    ] = False,
) -> int:
    """Show what an apply would do, unit by unit, with truthful values across units."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.plan import plan as command
    from infra_orch.commands.selecting import Wanted

    options = RunOptions(
        wanted=Wanted(tuple(unit or ()), tuple(tag or ()), with_upstream, with_downstream),
        json=json,
        sandbox=sandbox,
        from_rendered=from_rendered,
        prune=prune,
        full=full,
        destroy=destroy,
        out=out,
        detailed_exitcode=detailed_exitcode,
    )
    return command(_project(parallelism=parallelism, engine=engine), stack, options, Console(json=json))


@app.command(epilog="Example: infra-orch apply prod")
def apply(
    stack: o.Stack,
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
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
) -> int:
    """Plan a stack, show it, ask, apply exactly that, and record it in git."""
    from infra_orch.commands.apply import apply as command

    project = _project(parallelism=parallelism, engine=engine)
    options = _run_options(
        project, unit, tag, with_upstream, with_downstream, json, sandbox, auto_approve, commit, from_rendered, full
    )
    options = replace(options, allow_unseen=allow_unseen, prune=prune, plan=plan)
    return command(project, stack, options, Console(json=json))


@app.command(epilog="Example: infra-orch destroy prod --unit web --with-downstream")
def destroy(
    stack: o.Stack,
    unit: o.Unit = None,
    tag: o.Tag = None,
    with_downstream: o.WithDownstream = False,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
    auto_approve: o.AutoApprove = False,
    commit: o.Commit = None,
    from_rendered: o.FromRendered = False,
    full: o.Full = False,
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
) -> int:
    """Plan the destruction of a stack, show it, ask, and do it in reverse order."""
    from infra_orch.commands.apply import destroy as command

    project = _project(parallelism=parallelism, engine=engine)
    options = _run_options(
        project,
        unit,
        tag,
        False,
        with_downstream,
        json,
        sandbox,
        auto_approve,
        commit,
        from_rendered,
        full,
    )
    return command(project, stack, options, Console(json=json))


def _run_options(
    project: Project,
    unit: list[str] | None,
    tag: list[str] | None,
    with_upstream: bool,
    with_downstream: bool,
    json: bool,
    sandbox: bool,
    auto_approve: bool,
    commit: bool | None,
    from_rendered: bool,
    full: bool,
) -> Any:
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.selecting import Wanted

    settled = commit if commit is not None else (project.settings.commit and not sandbox)
    return RunOptions(
        wanted=Wanted(tuple(unit or ()), tuple(tag or ()), with_upstream, with_downstream),
        json=json,
        sandbox=sandbox,
        auto_approve=auto_approve,
        commit=settled,
        from_rendered=from_rendered,
        full=full,
    )


@app.command(epilog="Example: infra-orch validate prod")
def validate(stack: o.Stack) -> int:
    """Find everything that is wrong with a stack, without running anything."""
    from infra_orch.commands.validate import validate as command

    return command(_project(), stack, Console())


@app.command(epilog="Example: infra-orch render prod --check")
def render(
    stack: o.Stack,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit with 1 and a diff where the files are stale.",
            envvar="INFRA_ORCH_CHECK",
        ),
    ] = False,
) -> int:
    """Write the Terraform root modules of a stack."""
    from infra_orch.commands.render import render as command

    return command(_project(), stack, Console(), check=check)


@app.command(epilog="Example: infra-orch graph prod --format mermaid")
def graph(
    stack: o.Stack,
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="tree, mermaid, dot or json.", envvar="INFRA_ORCH_FORMAT")
    ] = "tree",
) -> int:
    """Show what depends on what."""
    from infra_orch.commands.graph import graph as command

    return command(_project(), stack, Console(), form=format)


@app.command(epilog="Example: infra-orch output prod network vpc_id")
def output(
    stack: o.Stack,
    unit: Annotated[
        str | None,
        typer.Argument(metavar="[UNIT]", help="Only this unit.", autocompletion=completion.units),
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One output, raw, for scripts.")] = None,
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
    return command(_project(engine=engine), stack, unit, name, options, Console(json=json), sensitive=sensitive)


@app.command(epilog="Example: infra-orch history prod")
def history(
    stack: o.Stack,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="At most so many.", envvar="INFRA_ORCH_LIMIT")
    ] = 20,
    json: o.Json = False,
    sandbox: o.Sandbox = False,
) -> int:
    """Show who did what to a stack, when, and in which commit."""
    from infra_orch.commands.history import history as command

    return command(_project(), stack, Console(json=json), limit=limit, sandbox=sandbox)


@app.command(epilog="Example: infra-orch show last network")
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, the beginning of it, or `last`.")],
    unit: Annotated[str | None, typer.Argument(metavar="[UNIT]", help="The full output of this unit.")] = None,
    json: o.Json = False,
) -> int:
    """Show one run in full, or what one unit's commands said in it."""
    from infra_orch.commands.show import show as command

    return command(_project(), run, unit, Console(json=json))


new_app = typer.Typer(
    help="Files to begin with: a project, a stack, a module.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(new_app, name="new")
_NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name, which is that of its folder.")]


@new_app.command("project", epilog="Example: infra-orch new project infrastructure")
def new_project(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The folder to make, or an empty one (`.` is this one).")],
) -> int:
    """Make a project, with an example that can be planned at once."""
    from infra_orch.commands import new

    return new.project(name, Console())


@new_app.command("stack", epilog="Example: infra-orch new stack prod")
def new_stack(name: _NewName) -> int:
    """Make a stack in this project: stacks/NAME/stack.py."""
    from infra_orch.commands import new

    return new.stack(_project(), name, Console())


@new_app.command("module", epilog="Example: infra-orch new module network")
def new_module(name: _NewName) -> int:
    """Make a Terraform module in this project: modules/NAME/."""
    from infra_orch.commands import new

    return new.module(_project(), name, Console())


sandbox_app = typer.Typer(
    help="An emulated AWS that any stack can be rehearsed against.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(sandbox_app, name="sandbox")


@sandbox_app.command("start", epilog="Example: infra-orch sandbox start")
def sandbox_start() -> int:
    """Start an emulator that is kept until it is stopped."""
    from infra_orch.commands import sandbox

    return sandbox.start(_project(), Console())


@sandbox_app.command("stop", epilog="Example: infra-orch sandbox stop")
def sandbox_stop() -> int:
    """End the kept emulator, and all that is in it."""
    from infra_orch.commands import sandbox

    return sandbox.stop(_project(), Console())


@sandbox_app.command("status", epilog="Example: infra-orch sandbox status")
def sandbox_status() -> int:
    """Say whether an emulator is kept, and what is in it."""
    from infra_orch.commands import sandbox

    return sandbox.status(_project(), Console())


@sandbox_app.command("reset", epilog="Example: infra-orch sandbox reset")
def sandbox_reset() -> int:
    """Empty the kept emulator."""
    from infra_orch.commands import sandbox

    return sandbox.reset(_project(), Console())


@sandbox_app.command("rehearse", epilog="Example: infra-orch sandbox rehearse prod")
def sandbox_rehearse(
    stack: o.Stack,
    parallelism: o.Parallelism = None,
    engine: o.Engine = None,
) -> int:
    """Apply a stack in the sandbox, plan it again, destroy it, and check that nothing is left."""
    from infra_orch.commands import sandbox
    from infra_orch.commands.options import RunOptions

    return sandbox.rehearse(_project(parallelism=parallelism, engine=engine), stack, RunOptions(), Console())


@app.command(epilog="Example: infra-orch tf prod network -- state list")
def tf(
    stack: o.Stack,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The unit.", autocompletion=completion.units)],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="-- ARGS", help="Terraform's own.")] = None,
    sandbox: o.Sandbox = False,
    from_rendered: o.FromRendered = False,
    engine: o.Engine = None,
) -> int:
    """Run any Terraform command in a unit's folder and with its environment."""
    from infra_orch.commands.options import RunOptions
    from infra_orch.commands.tf import tf as command

    options = RunOptions(sandbox=sandbox, from_rendered=from_rendered)
    return command(_project(engine=engine), stack, unit, tuple(arguments or ()), options, Console())
