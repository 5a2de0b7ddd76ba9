"""`infra-orch tf STACK UNIT -- ARGS`: any Terraform command, in the unit's folder and with its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.selecting import Wanted, select
from infra_orch.commands.session import session
from infra_orch.console import Console
from infra_orch.engine import command
from infra_orch.errors import RefusedError, UsageError, UserError, nearest
from infra_orch.process import attach
from infra_orch.project import Project
from infra_orch.run.outcome import Failure
from infra_orch.run.plan import OutsideOutputs
from infra_orch.run.prepare import prepare
from infra_orch.run.progress import Progress
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import forget_plans
from infra_orch.run.values import Output, upstream_values

_READING = frozenset(
    {
        "console",
        "fmt",
        "get",
        "graph",
        "init",
        "metadata",
        "modules",
        "output",
        "plan",
        "providers",
        "show",
        "state",
        "validate",
        "version",
        "force-unlock",
        "login",
        "logout",
        "workspace",
    }
)


def tf(project: Project, stack: str, unit: str, arguments: Sequence[str], options: RunOptions, console: Console) -> int:
    """Run Terraform with *arguments* for a unit, on the user's terminal, and return Terraform's exit code.

    Its upstream values are read from the states. Raises RefusedError for a command that would change something while
    one of them is not known: what stands for it in the configuration must never be applied.
    """
    if not arguments:
        raise UsageError("which Terraform command?", hint=f"infra-orch tf {stack} {unit} -- state list")
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    if unit not in opened.rendered.units:
        units = opened.rendered.units
        raise UsageError(
            f'no unit of {opened.rendered.name} is called "{unit}"',
            hint=nearest(unit, units) or f"units: {', '.join(units) or 'none'}",
        )
    wanted = Wanted(units=(unit,))
    with session(project, opened, "tf", console, Progress(), replace(options, wanted=wanted)) as run:
        selection = select(opened, wanted, "tf", workers=1)
        work = selection.units[unit]
        outside = OutsideOutputs(selection, run.context)
        known: dict[str, Mapping[str, Output]] = {}
        for upstream in work.unit.needs:
            outputs = outside.outputs(upstream)
            if isinstance(outputs, Failure):
                raise UserError(outputs.summary, hint=outputs.hint or outputs.log)
            known[upstream] = outputs
        upstream_of = upstream_values(work.unit.needs, known)
        if upstream_of.holds_unknown and arguments[0] not in _READING:
            raise RefusedError(
                f"{unit} waits for {', '.join(upstream_of.unknown)}, so terraform {arguments[0]} is refused",
                hint=f"infra-orch apply {stack} --unit {unit} --with-upstream",
            )
        try:
            ready = prepare(work, run.context, upstream_of)
            variables = {f"TF_VAR_{name}": value for name, value in ready.variables.items()}
            return attach(
                command.raw(run.engine, arguments), cwd=ready.folder, env={**run.context.environment, **variables}
            )
        except StepError as error:
            raise UserError(error.failure.summary, hint=error.failure.hint or error.failure.log) from error
        finally:
            forget_plans(run.context, unit)
