"""`infra-orch output STACK [UNIT [NAME]]`: the values of outputs, read from the states."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.sandboxing import records_in_sandbox
from infra_orch.commands.selecting import select, state_is_missing, states_elsewhere
from infra_orch.commands.session import Session, session
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import ExitCode, InterruptedRun, UsageError, UserError, nearest
from infra_orch.graph.graph import Graph
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import exists
from infra_orch.redact import MASK, Redactor
from infra_orch.report.style import safe
from infra_orch.run.context import Contexts
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.outputs import read_outputs
from infra_orch.run.pace import Pace
from infra_orch.run.plan import Selection, run_graph
from infra_orch.run.progress import Progress
from infra_orch.run.terraform import StepError
from infra_orch.run.values import Output, json_text, plain

SCHEMA = 1


def output(
    project: Project,
    stack: str,
    unit: str | None,
    name: str | None,
    options: RunOptions,
    console: Console,
    *,
    sensitive: bool,
) -> int:
    """Print the outputs of a stack, of a unit, or one raw value. Sensitive ones are masked unless *sensitive*, and so
    are those that hold a secret which Terraform does not know to be one.

    Returns the exit code: not 0 where a state is on another machine. Raises UsageError for a unit or output that is not
    there, or for secrets that would be recorded, UserError where a state cannot be read.
    """
    if sensitive and console.recorded:
        raise UsageError("--sensitive shows secrets, and --record would keep them", hint="leave out one of the two")
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    wanted = Wanted(units=(unit,)) if unit else Wanted()
    with session(project, opened, "output", console, Progress(), replace(options, wanted=wanted), locked=False) as run:
        selection = select(opened, wanted, "output", Pace(project.settings.workers))
        values = _read(selection, run.contexts)
        missing = [] if run.sandbox else states_elsewhere(selection, opened.folder, run.records)
        why = _why_none(values, missing, run)
        if not sensitive:
            values = {node: _with_marks(outputs, run.context.redactor) for node, outputs in values.items()}
    elsewhere = state_is_missing(missing, opened.folder) if missing else None
    if name is not None:
        if elsewhere:
            raise UserError(elsewhere.summary, hint=elsewhere.hint)
        value = _raw(values, name, why, sensitive=sensitive)
        console.document(value if isinstance(value, str) and not options.json else json_text(value))
    elif options.json:
        console.document(
            json.dumps(_document(opened.rendered.name, values, sensitive=sensitive), indent=2, ensure_ascii=False)
        )
    else:
        console.result(_lines(values, why, console, sensitive=sensitive))
    if elsewhere:
        console.warn(f"{elsewhere.summary}; {elsewhere.hint}")
    return ExitCode.FAILED if elsewhere else ExitCode.DONE


def _read(selection: Selection, contexts: Contexts) -> dict[str, Mapping[str, Output]]:
    """The outputs of the selection's units, by unit."""
    found: dict[str, Mapping[str, Output]] = {}
    context = contexts.whole

    def work(node: str) -> Outcome:
        try:
            found[node] = read_outputs(selection.units[node], context)
        except StepError as error:
            return Outcome(node, Status.FAILED, failure=error.failure)
        except (UserError, OSError, ValueError) as error:
            hint = error.hint if isinstance(error, UserError) else ""
            return Outcome(node, Status.FAILED, failure=Failure(str(error), hint=hint))
        return Outcome(node, Status.UNCHANGED)

    for unit in selection.units.values():
        for variable in unit.unit.variables:
            context.redactor.add(os.environ.get(variable))
    outcomes = run_graph(selection, work, contexts, lets_on=lambda _: True, graph=Graph.of(selection.units, ()))
    if context.supervisor.stopping:
        raise InterruptedRun("interrupted")
    for outcome in outcomes.values():
        if failure := outcome.failure:
            summary = f"the outputs of {outcome.name} cannot be read: {failure.summary}"
            raise UserError(summary, hint=failure.hint or failure.log)
    return {node: found[node] for node in outcomes}


def _why_none(values: Mapping[str, Mapping[str, Output]], missing: Collection[str], run: Session) -> Mapping[str, str]:
    """Why units without any outputs have none, where it is not that their modules give none. *missing* are those whose
    states are on another machine.
    """
    known, stack = run.records.units(), run.context.stack
    bare = {name: known.get(name) for name, outputs in values.items() if not outputs}
    gone = [name for name, record in bare.items() if not exists(record) and name not in missing]
    rehearsed = _in_sandbox(stack.folder) if gone and not run.sandbox else {}
    way = f"infra-orch apply {stack.folder.name}{' --sandbox' if run.sandbox else ''}"
    found = dict.fromkeys(missing, "its state is not here")
    for name in gone:
        what = "destroyed" if bare[name] else "not applied"
        if exists(rehearsed.get(name)):
            found[name] = f"{what}; the sandbox has it: --sandbox"
        else:
            found[name] = what if bare[name] else f"{what} ({way})"
    return found


def _in_sandbox(folder: StackFolder) -> Mapping[str, Mapping[str, Any]]:
    """The records of what is in the kept sandbox of a stack; none where none is kept."""
    try:
        return records_in_sandbox(folder.project)(folder).units()
    except UserError:
        return {}


def _with_marks(outputs: Mapping[str, Output], redactor: Redactor) -> dict[str, Output]:
    """*outputs*, those that hold a secret marked as sensitive, whatever the module says of them."""
    return {
        name: replace(output, sensitive=output.sensitive or redactor.value(output.value, name) != output.value)
        for name, output in outputs.items()
    }


def _raw(values: Mapping[str, Mapping[str, Output]], name: str, why: Mapping[str, str], *, sensitive: bool) -> object:
    """One value, of the only unit that there is."""
    if len(values) != 1:
        raise UsageError("one raw value is of one unit", hint="infra-orch output STACK UNIT NAME")
    unit, outputs = next(iter(values.items()))
    if name not in outputs:
        known = f"it is {why[unit]}" if unit in why else f"its outputs: {', '.join(sorted(outputs)) or 'none'}"
        raise UsageError(f'{unit} has no output "{name}"', hint=nearest(name, outputs) or known)
    if outputs[name].sensitive and not sensitive:
        raise UsageError(f"{unit}.{name} is sensitive", hint="--sensitive prints it all the same")
    return outputs[name].value


def _document(stack: str, values: Mapping[str, Mapping[str, Output]], *, sensitive: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "stack": stack,
        "units": {
            unit: {
                name: {
                    "value": plain(output.value) if sensitive or not output.sensitive else None,
                    "sensitive": output.sensitive,
                }
                for name, output in sorted(outputs.items())
            }
            for unit, outputs in values.items()
        },
    }


def _lines(
    values: Mapping[str, Mapping[str, Output]], why: Mapping[str, str], console: Console, *, sensitive: bool
) -> list[str]:
    lines = []
    for unit, outputs in values.items():
        lines.append(
            console.style(unit, "bold")
            + ("" if outputs else console.style(f"  {why.get(unit, '(no outputs)')}", "dim"))
        )
        width = max(map(len, outputs), default=0)
        for name, output in sorted(outputs.items()):
            shown = MASK if output.sensitive and not sensitive else json_text(output.value)
            lines.append(f"  {name:<{width}} = {safe(shown)}")
    return lines
