"""`infra-orch drift STACK…`: what is not as the last apply left it, whatever the spec says by now."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra_orch.commands.apply import apply
from infra_orch.commands.ending import exit_code, run_status
from infra_orch.commands.notifying import failures_told, notify
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part, open_parts
from infra_orch.commands.plan import plan as plan_back
from infra_orch.commands.previewing import together
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.selecting import refuse_missing_variables, select, state_is_missing, states_elsewhere
from infra_orch.commands.session import Session
from infra_orch.commands.stacks import Asked
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import ExitCode
from infra_orch.files import write_asked_for
from infra_orch.graph.graph import Graph
from infra_orch.project import Project, stack_and_unit
from infra_orch.record.store import exists
from infra_orch.report.document import as_one, document
from infra_orch.report.drift import Looked, drift_document, drift_lines
from infra_orch.report.progress import progress_for
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.plan import Selection, forget, plan

if TYPE_CHECKING:
    from infra_orch.commands.drift_issue import DriftIssue


def drift(
    project: Project,
    stacks: Asked,
    options: RunOptions,
    console: Console,
    issue: DriftIssue | None = None,
    *,
    fix: bool = False,
    report: Path | None = None,
) -> int:
    """Compare what exists of stacks with their states, side by side, and say what differs. Nothing is changed.

    Where there is an *issue* of it, that is brought up to date. *report*: a file for it as a page. *fix*: what has
    drifted is planned then, as the spec says by now, and applied where somebody says yes. Returns 2 where something has
    drifted, as a plan with changes does; of an apply, its exit code. Raises UserError where the page cannot be written.
    """
    began = time.monotonic()
    parts = open_parts(project, stacks, options, console)
    names = [part.name for part in parts]
    with failures_told(project, names, "drift", console, sandbox=options.sandbox):
        seen = _look(project, stacks, parts, console, issue, fixes=fix)
    notify(project, seen.documents, console)
    if report:
        _write(report, seen, time.monotonic() - began, console)
    code, document = seen.code, drift_document(seen.looked, time.monotonic() - began)
    if fix and (drifted := [name for name, one in seen.looked.items() if one.drifted]):
        way_back = _fix(project, stacks, options, console, drifted)
        # What could not be looked at may have drifted, too.
        code = way_back.code if code == ExitCode.CHANGES else code
        document |= {"fix": way_back.document}
    if console.json:
        console.document(json.dumps(document, indent=2, ensure_ascii=False, default=str))
    return code


@dataclass(frozen=True)
class _WayBack:
    """What came of a fix: the exit code of drift, and the document of the run; None where it made none."""

    code: int
    document: Any


def _fix(project: Project, stacks: Asked, options: RunOptions, console: Console, drifted: list[str]) -> _WayBack:
    """Plan the units that have drifted, and apply that where somebody says yes, or has said so."""
    console.note(f"the way back, for {len(drifted)} unit{'s' * (len(drifted) > 1)}:")
    page = io.StringIO()
    told = replace(console, out=page) if console.json else console
    some = replace(options, wanted=Wanted(units=tuple(drifted)))
    if options.auto_approve or (console.interactive and not console.json):
        code = apply(project, stacks, some, told)
    else:
        code = plan_back(project, stacks, some, told)
        code = ExitCode.CHANGES if code == ExitCode.DONE else code
        console.note(f"nothing was changed; {console.again('--auto-approve')} does it")
    return _WayBack(code, json.loads(page.getvalue()) if page.getvalue() else None)


@dataclass(frozen=True)
class _Seen:
    """What was looked at, by name, the exit code, and that of each stack as the document of a run."""

    looked: Mapping[str, Looked]
    code: int
    documents: Mapping[str, Mapping[str, Any]]


def _look(
    project: Project,
    stacks: Asked,
    parts: list[Part],
    console: Console,
    issue: DriftIssue | None,
    *,
    fixes: bool,
) -> _Seen:
    """Look, and say what differs."""
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, "drift", console, progress, several=stacks.several) as runs,
    ):
        found = [_selection(part, run) for part, run in zip(parts, runs, strict=True)]
        chosen = [selection for selection, _ in found]
        missing = {
            part.node(unit, several=stacks.several): outcome
            for part, (_, elsewhere) in zip(parts, found, strict=True)
            for unit, outcome in elsewhere.items()
        }
        selection, contexts = together(parts, runs, chosen, progress, several=stacks.several)
        refuse_missing_variables(selection)
        try:
            outcomes = dict(sorted({**plan(selection, contexts).outcomes, **missing}.items()))
        finally:
            for one, run in zip(chosen, runs, strict=True):
                forget(one, run.context)
                run.context.journal.write("done", durable=True, status="looked")
        code = exit_code(outcomes, runs[0], detailed=True)
        looked = {name: Looked(outcome, _record(name, runs)) for name, outcome in outcomes.items()}
        if not console.json:
            console.result(drift_lines(looked, console.style))
            never = [
                part.node(name, several=stacks.several)
                for part, run in zip(parts, runs, strict=True)
                for name in _never_applied(part, run)
            ]
            if never:
                console.note(f"never applied, so not looked at: {', '.join(never)}")
            if code == ExitCode.CHANGES and not fixes:
                words = f"{stacks.words}{' --sandbox' if runs[0].sandbox else ''}"
                console.note(f"infra-orch plan {words} shows what an apply would make of it; --fix does, too")
        if issue and not runs[0].context.supervisor.stopping:
            issue.post(looked, runs[0].context.redactor)
        return _Seen(looked, code, {run.context.stack.folder.name: _document(run, outcomes) for run in runs})


def _write(path: Path, seen: _Seen, seconds: float, console: Console) -> None:
    from infra_orch.report.html.page import page  # noqa: PLC0415  jinja2 takes longer to import than all else here

    status = {ExitCode.DONE: "unchanged", ExitCode.CHANGES: "drifted"}.get(ExitCode(seen.code), "failed")
    write_asked_for(path, page(as_one(seen.documents, "drift", status, seconds)), mode=0o600)
    console.note(f"wrote {path}")


def _selection(part: Part, run: Session) -> tuple[Selection, Mapping[str, Outcome]]:
    """The units that exist, each on its own: what they read of others is in the states; and what becomes of those whose
    states are not here, which cannot be looked at.
    """
    folder = part.opened.folder
    whole = select(part.opened, part.options.wanted, "plan", pace_of(run, part.options, run.records))
    elsewhere = [] if run.sandbox else states_elsewhere(whole, folder, run.records)
    missing = {name: Outcome(name, Status.FAILED, failure=state_is_missing([name], folder)) for name in elsewhere}
    units = {
        name: replace(work, drift=True)
        for name, work in whole.units.items()
        if _exists(name, run) and name not in missing
    }
    alone = replace(
        whole, units=units, outside={**whole.outside, **whole.units}, tasks={}, graph=Graph.of(units, ()), kind="plan"
    )
    return alone, missing


def _document(run: Session, outcomes: Mapping[str, Outcome]) -> Mapping[str, Any]:
    """What was found in one stack, as the document of a run."""
    stack = run.context.stack.folder.name
    named = {stack_and_unit(name): outcome for name, outcome in outcomes.items()}
    own = {unit: outcome for (of, unit), outcome in named.items() if of in ("", stack)}
    status = run_status(own, "drift", stopped=run.context.supervisor.stopping)
    told = document(own, run.facts(), Graph.of(own, ()), status=status, left_over=[], gateway=None)
    return dict(run.context.redactor.value(told))


def _never_applied(part: Part, run: Session) -> list[str]:
    return [name for name in part.chosen if not _exists(name, run)]


def _exists(unit: str, run: Session) -> bool:
    return exists(run.records.units().get(unit))


def _record(name: str, runs: list[Session]) -> Mapping[str, Any]:
    """The record of a unit's last apply, given its name in the run."""
    stack, _, unit = name.rpartition("/")
    run = next(run for run in runs if stack in ("", run.context.stack.folder.name))
    return run.records.units()[unit]
