"""Saved plans put into place where all that they rest on still holds; and where not, what new ones do beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infra_orch.bundle.archive import Bundle, extract
from infra_orch.bundle.check import (
    applied_before,
    mark_applied,
    moved_engine,
    moved_files,
    moved_outside,
    moved_sources,
    moved_states,
    moved_variables,
    refuse_for,
)
from infra_orch.bundle.restore import Saved, locks_of, restore, with_locks
from infra_orch.commands.dependents import refuse_dependents
from infra_orch.commands.offering import Offer
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part
from infra_orch.commands.previewing import Chosen, Shown, show_preview, together
from infra_orch.commands.selecting import refuse_orphans, select
from infra_orch.commands.session import Session
from infra_orch.console import Console
from infra_orch.errors import UnavailableError
from infra_orch.project import beside, stack_and_unit
from infra_orch.record.leftover import bring_back, names_left_over
from infra_orch.report.style import safe
from infra_orch.run.changes import read_plan
from infra_orch.run.compare import beyond_preview, outputs_beyond
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.plan import OutsideOutputs, Preview, Selection, forget
from infra_orch.run.progress import Progress
from infra_orch.run.unit import PLAN_JSON, means_of, saved_plan
from infra_orch.run.values import Output


@dataclass(frozen=True)
class _Fit:
    """A stack's plans of which all that they rest on still holds. *outside*: outputs of units outside the run."""

    chosen: Chosen
    saved: Saved
    outside: Mapping[str, Mapping[str, Output]]


def preview_offer(
    offer: Offer, parts: Sequence[Part], runs: Sequence[Session], progress: Progress, console: Console
) -> Shown | None:
    """Check that all that the saved plans rest on still holds, put them into place, and show them.

    None, and why is said, where plans have to be made anew. Raises RefusedError where only these may be applied.
    """
    fits: list[_Fit] = []
    for part, run in zip(parts, runs, strict=True):
        bundle = offer.bundles[part.name]
        fit = _examined(offer, bundle, part, run)
        if isinstance(fit, list):
            if offer.strict:
                refuse_for(bundle, fit)
            more = f" (and {len(fit) - 1} more)" if len(fit) > 1 else ""
            console.note(f"planned anew, and compared with the preview: {part.name}: {fit[0]}{more}")
            return None
        fits.append(fit)
    going = {
        fit.chosen.part.name: {name for name, work in fit.chosen.selection.units.items() if work.destroy}
        for fit in fits
    }
    refuse_dependents(going, runs[0])
    selections = [with_locks(fit.chosen.selection, fit.saved.locks) for fit in fits]
    selection, contexts = together(parts, runs, selections, progress, several=not offer.strict)
    chosen = tuple(replace(fit.chosen, selection=one) for fit, one in zip(fits, selections, strict=True))
    try:
        saved = {"" if offer.strict else fit.chosen.part.name: fit.saved for fit in fits}
        shown = Shown(
            chosen,
            selection,
            contexts,
            restore(saved, selection, contexts, _outside_of_all(fits, strict=offer.strict)),
            several=not offer.strict,
        )
        console.note(_provenance(fits[0].saved.bundle, runs[0]))
        show_preview(shown, console, kind=offer.kind)
    except BaseException:
        for one in chosen:
            forget(one.selection, one.run.context)
        raise
    return shown


def _outside_of_all(fits: Sequence[_Fit], *, strict: bool) -> dict[str, Mapping[str, Output]]:
    if strict:
        return dict(fits[0].outside)
    return {beside(f"{fit.chosen.part.name}/", name): outputs for fit in fits for name, outputs in fit.outside.items()}


def _examined(offer: Offer, bundle: Bundle, part: Part, run: Session) -> _Fit | list[str]:
    """A stack's plans as they can be applied; or the reasons why not, of the first kind of which there is any."""
    manifest, context, opened, options = bundle.manifest, run.context, part.opened, part.options
    evaluated = not options.from_rendered
    if not offer.strict and (moved := moved_sources(manifest, opened.folder, evaluated=evaluated)):
        return moved
    if before := applied_before(bundle, offer.marks(run)):
        return before
    selection = _selection(bundle, opened, run, options)
    reasons = [f"{name} is no longer part of it" for name in manifest.units if name not in selection.units]
    reasons += [f"{name} has come to it" for name in selection.units if name not in manifest.units]
    if reasons:
        return reasons
    locks = locks_of(bundle, selection, context)
    reasons = moved_engine(manifest, run.engine) + locks.reasons
    reasons += moved_files(manifest, opened.rendered, selection.units, evaluated=evaluated)
    reasons += moved_variables(manifest, selection.units.values())
    if reasons:
        return reasons
    records = run.records
    if offer.kind == "destroy":
        refuse_orphans(opened, selection.units, records)
    if reasons := moved_states(manifest, selection, context):
        return reasons
    outside = _outside(bundle, selection, run)
    if reasons := moved_outside(manifest, selection, Preview({}, outside)):
        return reasons
    left_over = [name for name in names_left_over(records, opened.rendered) if name not in selection.units]
    return _Fit(Chosen(part, run, selection, left_over, records), Saved(bundle, locks), outside)


def beyond_offer(offer: Offer, shown: Shown) -> dict[str, list[str]]:
    """Return what plans that were made anew would do that the preview did not show, a line each, by node."""
    found = {}
    for node, outcome in shown.outcomes.items():
        if outcome.is_task or outcome.status is not Status.PLANNED:
            continue
        stack, unit = stack_and_unit(node)
        context = shown.contexts.of(node)
        lines = _beyond(offer.bundles.get(stack), unit, outcome, shown)
        if lines:
            found[node] = [context.redactor.text(line) for line in lines]
    return found


def _beyond(bundle: Bundle | None, unit: str, outcome: Outcome, shown: Shown) -> list[str]:
    known = bundle.manifest.units.get(unit) if bundle else None
    if bundle is None or known is None or PLAN_JSON not in known.members:
        return [
            f"{change.address}: {' and '.join(change.actions)}, of which the preview could show nothing"
            for change in outcome.resources
        ] + [f"output {name} changes, of which the preview could show nothing" for name in outcome.outputs_changed]
    context = shown.contexts.of(outcome.name)
    before = context.work / unit / "previewed.json"
    try:
        extract(bundle, unit, PLAN_JSON, before)
        previewed, planned = read_plan(before), saved_plan(context, unit)
        found = beyond_preview(previewed, planned) + outputs_beyond(previewed, planned)
        if planned.raw_changes and means_of(previewed, context) != means_of(planned, context):
            found.append("provisioners, or arguments of providers such as the region or the role, are others")
        return found
    finally:
        before.unlink(missing_ok=True)


def take(offer: Offer, shown: Shown, *, asked: bool) -> None:
    """Mark saved plans as applied, as the last thing before they are. *asked*: time has passed since their states were
    checked.

    Raises RefusedError where a state has moved on meanwhile.
    """
    try:
        for one in shown.chosen:
            bundle, context = offer.bundles[one.part.name], one.run.context
            if asked:
                refuse_for(bundle, moved_states(bundle.manifest, one.selection, context))
        for one in shown.chosen:
            bundle, context = offer.bundles[one.part.name], one.run.context
            context.journal.write("bundle", durable=True, bundle=bundle.id)
            mark_applied(bundle, offer.marks(one.run), context.run_id)
    except BaseException:
        for one in shown.chosen:
            forget(one.selection, one.run.context)
        raise


def _selection(bundle: Bundle, opened: Opened, run: Session, options: RunOptions) -> Selection:
    manifest = bundle.manifest
    gone = [name for name, unit in manifest.units.items() if unit.destroy and name not in opened.rendered.units]
    left_over = bring_back(gone, opened.folder, run.repository) if gone else []
    return select(opened, options.wanted, manifest.kind, pace_of(run, options, run.records), left_over=left_over)


def _outside(bundle: Bundle, selection: Selection, run: Session) -> dict[str, Mapping[str, Output]]:
    """The outputs, as they are now, of the units outside the run that the plan was made with."""
    reader = OutsideOutputs(selection, run.contexts)
    found: dict[str, Mapping[str, Output]] = {}
    for name in bundle.manifest.outside:
        if name not in selection.outside:
            continue
        outputs = reader.outputs(name)
        if isinstance(outputs, Failure):
            raise UnavailableError(outputs.summary, hint=outputs.hint or outputs.log)
        found[name] = outputs
    return found


def _provenance(bundle: Bundle, run: Session) -> str:
    origin = bundle.manifest.origin
    at = f" at {origin.commit[:10]}" if origin.commit else ""
    text = safe(f"planned by {origin.by}, {origin.at}, run {origin.run}{at}", keep_newlines=False)
    here = run.repository.head() if run.repository else None
    if here != origin.commit:
        text += f"; here is {here[:10] if here else 'no commit'}, where all that it rests on is the same"
    return text
