"""The command line: parse, call one command, turn an error into an exit code. Heavy imports wait until needed."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from infra_orch.cli import following, gateway, mending, new, reading, reviewing, running, sandbox
from infra_orch.cli.here import typed
from infra_orch.cli.sections import BySection
from infra_orch.cli.variables import unread
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, UserError

app = typer.Typer(
    name="infra-orch",
    cls=BySection,
    help="Orchestrates Terraform: stack specs in Python, truthful previews across units, results in git.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


_COMPLETING = "_INFRA_ORCH_COMPLETE"
"""Set by a shell that asks for completions, and shows everything else amid what is typed."""


@functools.cache
def program() -> Any:
    """Return the commands as they parse; made once, because all their signatures are looked at for it.

    The two options of the library's own that install a completion are taken out: `completion` is what there is. An app
    that is made without them would not answer the scripts of that, either.
    """
    command = typer.main.get_command(app)
    command.params = [one for one in command.params if one.name not in ("install_completion", "show_completion")]
    return command


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. The one place where an error becomes an exit code."""
    # What a recording lasts for: also the error that a command ends with is in it.
    with contextlib.ExitStack() as until_the_end:
        try:
            words = _without_record(arguments)
            until_the_end.enter_context(typed(words))
            command, options = program(), {"prog_name": "infra-orch", "standalone_mode": False}
            if not os.environ.get(_COMPLETING):
                for sentence in unread(os.environ, command):
                    Console().warn(sentence)
            return int(command(args=list(arguments), obj=Beyond(until_the_end, words), **options) or 0)
        except Exception as error:  # noqa: BLE001  the boundary
            return _told(error, Console())
        except KeyboardInterrupt:
            Console().note("interrupted")
            return ExitCode.INTERRUPTED


@dataclass(frozen=True)
class Beyond:
    """What a command line knows besides its options: what lasts until its end, and its words."""

    until_the_end: contextlib.ExitStack
    words: Sequence[str]


def _without_record(arguments: Sequence[str]) -> list[str]:
    """The words of a command line but `--record FILE`: what the recording is of, and what can be typed again."""
    kept = list(arguments)
    if "--record" in kept:
        at = kept.index("--record")
        del kept[at : at + 2]
    return [word for word in kept if not word.startswith("--record=")]


def _told(error: Exception, console: Console) -> int:
    """Say what went wrong, and return its exit code."""
    if isinstance(error, UserError):
        console.error(error)
        return error.exit_code
    if isinstance(error, typer.Abort):
        console.note("interrupted")
        return ExitCode.INTERRUPTED
    if isinstance(error, OSError):
        return _machine(error, console)
    if type(error).__name__ == "NoArgsIsHelpError":
        console.note(str(error))
        return ExitCode.USAGE
    usage = _usage_error(error)
    if usage:
        console.error(UsageError(usage, hint=_help_of(error)))
        return ExitCode.USAGE
    return _defect(error, console)


def _usage_error(error: Exception) -> str:
    """What the command line library found wrong, told by its own classes without importing its insides."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"UsageError", "ClickException"}:
        formatted = getattr(error, "format_message", None)
        return formatted() if formatted else str(error)
    return ""


def _help_of(error: Exception) -> str:
    """What says more of a command line that is wrong: the help of the command that it is of."""
    command = str(getattr(getattr(error, "ctx", None), "command_path", ""))
    if " " in command:
        return f"{command} --help lists its options"
    return "infra-orch --help lists the commands; each has a --help"


def _machine(error: OSError, console: Console) -> int:
    """The machine did not give what was asked of it: a full disk, a folder that cannot be written."""
    place = f"{error.filename}: " if error.filename is not None else ""
    hints = {
        errno.ENOSPC: "make room on that disk, and run the same command again",
        errno.EDQUOT: "make room in your quota, and run the same command again",
        errno.EROFS: "that file system cannot be written",
        errno.EACCES: "see who may read and write there: ls -ld",
        errno.EPERM: "see who may read and write there: ls -ld",
        errno.EMFILE: "allow more open files: ulimit -n 4096",
    }
    console.error(UserError(f"{place}{error.strerror or error}", hint=hints.get(error.errno or 0, "")))
    if os.environ.get("INFRA_ORCH_TRACEBACK"):
        console.note("".join(traceback.format_exception(error)))
    return ExitCode.FAILED


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


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from infra_orch.commands.version import version

    raise typer.Exit(version(Console()))


@app.callback()
def root(
    ctx: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", "-C", metavar="DIR", help="Run as if started there.", envvar="INFRA_ORCH_DIRECTORY"
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Record what is shown, as an SVG picture that moves.",
            envvar="INFRA_ORCH_RECORD",
            show_default=False,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  its callback does it
        bool,
        typer.Option(
            "--version", help="Show the versions of infra-orch and of the engine.", callback=_version, is_eager=True
        ),
    ] = False,
) -> int:
    """Orchestrates Terraform: stack specs in Python, truthful previews across units, results in git."""
    if record is not None:
        from infra_orch.commands.recording import recording

        beyond: Beyond = ctx.obj
        beyond.until_the_end.enter_context(recording(record, beyond.words))
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise UsageError(f'--directory "{directory}": {error.strerror}') from error
    return ExitCode.DONE if ctx.invoked_subcommand else _without_command(ctx)


def _without_command(ctx: typer.Context) -> int:
    """Where one stands in the project; outside of any the help, as after a mistake."""
    from infra_orch.commands.overview import overview
    from infra_orch.project import NoProjectError, find_project

    try:
        project = find_project(Path.cwd())
    except NoProjectError as none:
        Console().note(f"{ctx.get_help()}\n\n{none.summary}\n→ {none.hint}")
        return ExitCode.USAGE
    return overview(project, Console())


for command, example in (
    (running.plan, "infra-orch plan prod --unit 'web*' --with-upstream"),
    (reviewing.preview, "infra-orch preview --base origin/main --out comment.md"),
    (reviewing.outdated, "infra-orch outdated --base main"),
    (running.drift, "infra-orch drift prod --json"),
    (running.apply, "infra-orch apply prod"),
    (running.approve, "infra-orch approve last --note 'the new subnet'"),
    (following.reconcile, "infra-orch reconcile --branch main --watch 60"),
    (following.rollback, "infra-orch rollback prod --to 20261124T225621418Z-9a8fce"),
    (running.destroy, "infra-orch destroy prod --unit web --with-downstream"),
    (new.init, "infra-orch init --from live/network"),
    (mending.bootstrap, "infra-orch bootstrap prod"),
    (mending.recover, "infra-orch recover prod"),
    (mending.unlock, "infra-orch unlock prod network"),
    (reading.list_, "infra-orch list 'team/*' --tag base"),
    (reading.validate, "infra-orch validate prod"),
    (reading.render, "infra-orch render prod --check"),
    (reading.graph, "infra-orch graph prod --format mermaid"),
    (reading.explain, "infra-orch explain prod web"),
    (reading.output, "infra-orch output prod network vpc_id"),
    (reading.history, "infra-orch history prod"),
    (reading.show, "infra-orch show last network"),
    (reading.timings, "infra-orch timings last --trace trace.json"),
    (reading.doctor, "infra-orch doctor --online"),
    (reading.completion_, "infra-orch completion bash"),
    (reading.tf, "infra-orch tf prod network -- state list"),
):
    app.command(command.__name__.rstrip("_"), epilog=f"Example: {example}")(command)
app.add_typer(sandbox.sandbox_app, name="sandbox")
app.add_typer(gateway.gateway_app, name="gateway")
app.add_typer(new.new_app, name="new")
