"""`infra-orch tf STACK UNIT -- ARGS`: any Terraform command, in the unit's folder and with its environment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.selecting import refuse_unknown, select
from infra_orch.commands.session import session
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.engine import command
from infra_orch.errors import RefusedError, UsageError, UserError
from infra_orch.process import attach
from infra_orch.project import Project
from infra_orch.run.pace import Pace
from infra_orch.run.plan import known_upstream
from infra_orch.run.prepare import forget_init, prepare
from infra_orch.run.progress import Progress
from infra_orch.run.rename import state_is_elsewhere
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import forget_plans

# fmt: off
_READING = frozenset({
    "console", "fmt", "force-unlock", "get", "graph", "init", "login", "logout", "metadata", "modules", "output",
    "plan", "providers", "show", "state", "validate", "version",
})
# fmt: on
"""Commands that do nothing by the configuration, so that values in it may be unknown."""

_READING_STATE = frozenset({"list", "pull", "show"})

_SIGNALLED = 128
_DESTROY = re.compile(r"--?destroy(=.*)?")


def tf(project: Project, stack: str, unit: str, arguments: Sequence[str], options: RunOptions, console: Console) -> int:
    """Run Terraform with *arguments* for a unit, on the user's terminal, and return Terraform's exit code.

    Its upstream values are read from the states. Raises RefusedError for a command that would change something while
    one of them is not known: what stands for it in the configuration must never be applied; and for one that applies
    what nobody could approve, where somebody has to.
    """
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    _refuse_what_lasts(name, arguments, f"infra-orch tf {stack} {unit}")
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    refuse_unknown(opened, unit)
    wanted = Wanted(units=(unit,))
    with session(project, opened, "tf", console, Progress(), replace(options, wanted=wanted)) as run:
        selection = select(opened, wanted, "tf", Pace(workers=1))
        work = selection.units[unit]
        upstream = known_upstream(selection, work, run.contexts)
        if upstream.holds_unknown and name not in _READING:
            raise RefusedError(
                f"{unit} waits for {', '.join(upstream.unknown)}, so terraform {name} is refused",
                hint=f"infra-orch apply {stack} --unit {unit} --with-upstream",
            )
        if work.unit.protect and (name in ("apply", "destroy") or any(map(_DESTROY.fullmatch, arguments))):
            # Nobody has looked at what this apply would replace.
            hint = f"infra-orch apply {stack} --unit {unit} looks; or take protect=True from it at {work.unit.where}"
            raise RefusedError(f"{unit} is protected, so terraform {name} is refused", hint=hint)
        if project.settings.require_approvals and not run.sandbox and name in ("apply", "destroy"):
            raise RefusedError(
                f"what is applied has to be approved, so terraform {name} is refused",
                hint=f"infra-orch apply {stack} --unit {unit}",
            )
        try:
            former = state_is_elsewhere(work, run.context)
            ready = prepare(work, run.context, upstream, former=former)
            variables = {f"TF_VAR_{name}": value for name, value in ready.variables.items()}
            own = run.context.wallet.for_unit(unit, run.context.environment, changes=_changes(name, arguments))
            environment = {**own, **variables}
            code = attach(command.raw(run.engine, arguments), cwd=ready.folder, env=environment)
            return code if code >= 0 else _SIGNALLED - code
        except StepError as error:
            raise UserError(error.failure.summary, hint=error.failure.hint or error.failure.log) from error
        finally:
            forget_plans(run.context, unit)
            if name == "init":
                forget_init(run.context, unit)


def _changes(name: str, arguments: Sequence[str]) -> bool:
    """Whether a command needs the credentials that apply."""
    if name == "state":
        return _READING_STATE.isdisjoint(arguments)
    return name == "force-unlock" or name not in _READING


def _refuse_what_lasts(name: str, arguments: Sequence[str], command_line: str) -> None:
    """Refuse what would turn the unit's folder to another state, for later runs too."""
    if not name:
        raise UsageError("which Terraform command?", hint=f"{command_line} -- state list")
    if name == "workspace":
        raise UsageError(
            "terraform workspace is refused: a unit has one state, and another workspace is another state",
            hint="a stack per environment is what keeps them apart",
        )
    if any(argument.startswith(("-chdir", "--chdir")) for argument in arguments):
        raise UsageError(
            "-chdir is refused: Terraform is started in the unit's folder", hint=f"{command_line} -- {name}"
        )
