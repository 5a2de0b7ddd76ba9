"""The part that plan, apply and destroy share: select, plan, show."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from infra_orch.approval.approval import Yes
from infra_orch.commands.dependents import refuse_dependents
from infra_orch.commands.ending import Ended
from infra_orch.commands.opening import Opened
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part
from infra_orch.commands.selecting import (
    refuse_missing_variables,
    refuse_orphans,
    select,
    state_is_missing,
    states_elsewhere,
)
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UserError
from infra_orch.project import StackFolder
from infra_orch.record.applied import applied_units
from infra_orch.record.leftover import LeftOver, bring_back, names_left_over
from infra_orch.record.store import Records
from infra_orch.report.terminal import plan_lines, plan_summary
from infra_orch.run.context import Contexts
from infra_orch.run.joint import contexts_of, joined, part_of, preview_of
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.outside import upstream_outside, way_in
from infra_orch.run.plan import Preview, Selection, forget, plan
from infra_orch.run.progress import Progress
from infra_orch.run.skip import Applied
from infra_orch.run.unit import Planned, show_text

_NAMED = 5
"""So many units a remark names."""


@dataclass(frozen=True)
class Chosen:
    """What a run is to do of one stack: *selection*, and the units that are left over in it. *records* are what was
    known of its units as the run began.
    """

    part: Part
    run: Session
    selection: Selection
    left_over: list[str]
    records: Records


@dataclass(frozen=True)
class Shown:
    """What a run showed. *selection*, *contexts* and *preview* are of all its stacks together; *several*: their nodes
    go by the stacks' names.
    """

    chosen: tuple[Chosen, ...]
    selection: Selection
    contexts: Contexts
    preview: Preview
    several: bool

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes by name."""
        return self.preview.outcomes

    @property
    def run(self) -> Session:
        """The run of the first stack: what all have in common is in it."""
        return self.chosen[0].run

    def of(self, one: Chosen) -> Preview:
        """What was shown of one stack, by the names that its nodes have in it."""
        return preview_of(self.preview, one.part.name) if self.several else self.preview

    def ended(
        self,
        nodes: Mapping[str, Planned] | None = None,
        bundles: Mapping[str, str] = MappingProxyType({}),
        approvals: Mapping[str, Sequence[Yes]] = MappingProxyType({}),
    ) -> list[Ended]:
        """How the run ended for each stack, given what became of all *nodes*; None: it went no further. *bundles*: the
        ids of those that were written or applied, by stack. *approvals*: those that it rests on, by stack.
        """
        return [
            Ended(
                one.run,
                one.part.options,
                one.selection,
                part_of(nodes or self.preview.nodes, one.part.name) if self.several else nodes or self.preview.nodes,
                one.left_over,
                bundles.get(one.part.name),
                approvals.get(one.part.name, ()),
            )
            for one in self.chosen
        ]


def preview(
    parts: Sequence[Part], runs: Sequence[Session], progress: Progress, console: Console, *, kind: str, several: bool
) -> Shown:
    """Plan what was asked for of stacks, show it, and return what was shown."""
    chosen = [_choose(part, run, console, kind=kind) for part, run in zip(parts, runs, strict=True)]
    refuse_dependents(_destroyed(chosen), runs[0])
    selection, contexts = together(parts, runs, [one.selection for one in chosen], progress, several=several)
    refuse_missing_variables(selection)
    if not selection.units:
        console.warn(f"{', '.join(part.opened.rendered.name for part in parts)} has no units to work on")
    try:
        planned = plan(selection, contexts, _applied(chosen, several=several))
        shown = Shown(tuple(chosen), selection, contexts, planned, several)
        show_preview(shown, console, kind=kind)
    except BaseException:
        for one in chosen:
            forget(one.selection, one.run.context)
        raise
    _tell_waiting(shown, console)
    for one in chosen:
        _tell_left_over(one, console)
    return shown


def together(
    parts: Sequence[Part],
    runs: Sequence[Session],
    selections: Sequence[Selection],
    progress: Progress,
    *,
    several: bool,
) -> tuple[Selection, Contexts]:
    """Return what a run works on in all of its stacks, and in which contexts, given its selection of each.

    Raises RefusedError as joined() does.
    """
    if not several:
        return selections[0], runs[0].contexts
    names = [part.name for part in parts]
    rendered = {part.name: part.opened.rendered for part in parts}
    others = {name: context for run in runs for name, context in run.others.items()}
    own = dict(zip(names, (run.context for run in runs), strict=True))
    selection = joined(dict(zip(names, selections, strict=True)), rendered, parts[0].let_go)
    return selection, contexts_of(own, others, progress)


def _destroyed(chosen: Sequence[Chosen]) -> dict[str, set[str]]:
    """The units that a run is to destroy, by stack."""
    return {one.part.name: {name for name, work in one.selection.units.items() if work.destroy} for one in chosen}


def _choose(part: Part, run: Session, console: Console, *, kind: str) -> Chosen:
    opened, options = part.opened, part.options
    records, project = run.records, opened.folder.project
    left_over = names_left_over(records, opened.rendered)
    whole = options.wanted.everything
    prune = options.prunes(project)
    going = [name for name in left_over if whole or name in options.wanted.gone]
    gone = bring_back(going, opened.folder, run.repository) if prune or kind == "destroy" else []
    selection = select(opened, options.wanted, kind, pace_of(run, options, records), left_over=gone)
    if kind == "destroy":
        refuse_orphans(opened, selection.units, records, gone or _known(left_over, opened, run))
    if not run.sandbox and (missing := states_elsewhere(selection, opened.folder, records)):
        _states_are_missing(missing, opened.folder, run, console)
    return Chosen(part, run, selection, [name for name in left_over if name not in selection.units], records)


def _applied(chosen: Sequence[Chosen], *, several: bool) -> dict[str, Applied]:
    """What is known of the last applies of units that are to be skipped where nothing has changed since."""
    return {
        one.part.node(name, several=several): applied
        for one in chosen
        if one.part.options.changed_only
        for name, applied in applied_units(one.records).items()
    }


def _tell_waiting(shown: Shown, console: Console) -> None:
    """Say of units that wait for others, which no part of the run applies, that an apply like this stops there."""
    units, outcomes = shown.selection.units, shown.outcomes
    waiting = {
        name: missing
        for name, outcome in outcomes.items()
        if name in units
        and not units[name].destroy
        and outcome.status.to_do
        and (missing := upstream_outside(name, outcome.unknown_inputs, outcomes))
    }
    if waiting:
        missing = sorted({name for names in waiting.values() for name in names})
        way = way_in(missing, outcomes, shown.run.context)
        which = f"{_listed(missing)}, which {'is' if len(missing) == 1 else 'are'} no part of this run"
        console.note(f"{_listed(list(waiting))}: cannot be applied before {which}: {way}")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _tell_left_over(one: Chosen, console: Console) -> None:
    options, project = one.part.options, one.part.opened.folder.project
    if one.left_over:
        still = "still exists; --prune destroys it" if len(one.left_over) == 1 else "still exist; --prune destroys them"
        prune = options.prunes(project)
        when = " in a run of the whole stack" if prune and not options.wanted.everything else ""
        names = ", ".join(one.left_over)
        console.note(f"{console.err_style('left over:', 'yellow')} {names} left the spec and {still}{when}")


def _known(left_over: list[str], opened: Opened, run: Session) -> list[LeftOver]:
    """Those units that left the spec of which the last render is to be found."""
    found: list[LeftOver] = []
    for name in left_over:
        with contextlib.suppress(UserError):
            found += bring_back([name], opened.folder, run.repository)
    return found


def show_preview(shown: Shown, console: Console, *, kind: str) -> None:
    """Print a preview: what changes in each unit, in the order in which it is done, and a summary."""
    outcomes = shown.outcomes
    if kind == "destroy":
        outcomes = {name: outcomes[name] for name in shown.selection.graph.reversed().order()}
    texts = {}
    if shown.chosen[0].part.options.full and not console.json:
        texts = {
            name: show_text(shown.selection.units[name], shown.contexts.of(name))
            for name, outcome in outcomes.items()
            if outcome.status is Status.PLANNED and name in shown.selection.units
        }
    console.result(plan_lines(outcomes, console.style, texts))
    console.result(plan_summary(outcomes, console.style, kind))


def _states_are_missing(units: list[str], folder: StackFolder, run: Session, console: Console) -> None:
    """Say that units exist whose states are not here. Raises RefusedError where the run is to change things."""
    missing = state_is_missing(units, folder)
    if not run.only_looks:
        raise RefusedError(missing.summary, hint=missing.hint)
    console.warn(f"{missing.summary}; {missing.hint}")
