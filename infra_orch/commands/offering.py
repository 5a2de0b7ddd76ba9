"""Saved plans that are to be applied: `apply --plan FILE` that of one stack, `apply --bundle PLACE` those of a preview.

What `--plan` names is applied as it is, or not at all. Where what a preview rests on has moved on since, it is planned
anew, and what the new plans do beyond the preview is told, so that somebody says yes to it first.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra_orch.bundle.archive import Bundle, extract, read_bundle
from infra_orch.bundle.check import (
    Marks,
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
from infra_orch.bundle.place import Place
from infra_orch.bundle.preview import DOCUMENT, read_preview
from infra_orch.bundle.restore import Saved, locks_of, restore, with_locks
from infra_orch.bundle.seal import opened as unsealed
from infra_orch.commands.bundling import bundle_name, content_of, room_for_bundles
from infra_orch.commands.dependents import refuse_dependents
from infra_orch.commands.gone import open_gone
from infra_orch.commands.opening import Opened, open_stacks
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part, open_parts
from infra_orch.commands.previewing import Chosen, Shown, show_preview, together
from infra_orch.commands.selecting import refuse_orphans, select
from infra_orch.commands.session import Session
from infra_orch.commands.stacks import Asked
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UnavailableError, UsageError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.project import Project, StackFolder, beside, stack_and_unit
from infra_orch.record.leftover import bring_back, names_left_over
from infra_orch.report.style import safe
from infra_orch.run.changes import read_plan
from infra_orch.run.compare import beyond_preview, outputs_beyond
from infra_orch.run.outcome import Failure, Outcome, Status
from infra_orch.run.plan import OutsideOutputs, Preview, Selection, forget
from infra_orch.run.progress import Progress
from infra_orch.run.unit import PLAN_JSON, means_of, saved_plan
from infra_orch.run.values import Output

_MOST_RECORDS = 100
"""So many commits of records and approvals may lie on top of a merge."""


@dataclass(frozen=True)
class Offer:
    """Saved plans that are to be applied: bundles by the names of the stacks' folders.

    *strict*: nothing is applied but these plans as they are. *let_go*: see Part.
    """

    bundles: Mapping[str, Bundle]
    strict: bool
    let_go: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What applying them is: `apply` or `destroy`."""
        return next((bundle.manifest.kind for bundle in self.bundles.values()), "apply")

    @property
    def stacks(self) -> Asked:
        """The stacks that they are of."""
        names = tuple(self.bundles)
        return Asked.one(names[0]) if self.strict else Asked(names, several=True, words="--bundle")

    def parts(self, project: Project, options: RunOptions, console: Console) -> list[Part]:
        """Open the stacks, with what was wanted of each when it was planned."""
        if self.strict:
            settled = replace(options, wanted=_wanted(self.bundles[self.stacks.only]))
            return open_parts(project, self.stacks, settled, console)
        there = [name for name in self.bundles if StackFolder(project, project.stacks / name).is_there()]
        opened = open_stacks(project, there, console, from_rendered=options.from_rendered)
        gone = {
            name: open_gone(project, name, console, sandbox=options.sandbox, from_rendered=options.from_rendered)
            for name in {*self.bundles} - {*there}
        }
        found = {**opened, **{name: one for name, one in gone.items() if one}}
        return [Part(one, _settled(self.bundles[name], options), self.let_go) for name, one in found.items()]

    def marks(self, run: Session) -> Marks:
        """Where it is noted that one of them was applied."""
        return Marks(run.context.stack.folder.project.scratch / "bundles", run.records.runs)


@contextlib.contextmanager
def offered(project: Project, stacks: Asked, options: RunOptions, console: Console) -> Iterator[Offer | None]:
    """Yield the saved plans that *options* name, if any; refused where they cannot be meant.

    Raises UsageError where they do not go with the other options or the stacks, RefusedError where they are not whole
    or cannot be applied any longer. No Python of the spec's is run for that.
    """
    if options.plan is None and options.bundle is None:
        yield None
        return
    with room_for_bundles(project) as room:
        yield _plan(project, stacks.only, options, console, room) if options.plan else _preview(project, options, room)


def _plan(project: Project, stack: str, options: RunOptions, console: Console, room: Path) -> Offer:
    file = options.plan
    assert file is not None
    if options.wanted != Wanted() or options.prune:
        raise UsageError(
            "--plan says which units are applied: it goes with no --unit, --tag or --prune",
            hint=f"infra-orch apply {stack} --plan {file}, or select at infra-orch plan {stack} --out FILE",
        )
    bundle = read_bundle(unsealed(file, str(file), room / "plan"), str(file))
    manifest, folder = bundle.manifest, project.stack(stack)
    if manifest.stack != folder.name:
        raise UsageError(
            f'{file} is a plan of the stack "{manifest.stack}", not of "{folder.name}"',
            hint=f"infra-orch apply {manifest.stack} --plan {file}",
        )
    command = f"infra-orch apply {stack} --plan {file}"
    _refuse_elsewhere(f"{file} was planned", command, options, sandbox=manifest.sandbox)
    refuse_for(bundle, moved_sources(manifest, folder, evaluated=not options.from_rendered))
    if bundle.path == file and file.stat().st_mode & 0o077:
        console.warn(f"{file} holds secrets, and others may read it: chmod 600 {file}")
    return Offer({folder.name: bundle}, strict=True)


def documents_of(project: Project, bundle: str, group: str) -> list[Mapping[str, Any]]:
    """Return the documents of the runs of a preview (schema run-document-1), given the place of its bundle.

    Raises as offered() does.
    """
    with room_for_bundles(project) as room:
        found, shown_as = _found(project, Place.of(bundle), group, room)
        read_preview(unsealed(found, shown_as, room / "preview"), shown_as, room)
        try:
            document = json.loads((room / DOCUMENT).read_text(encoding="utf-8"))
            return [dict(one) for one in document["stacks"].values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError(f"{shown_as} is damaged: it does not say what was shown ({error})") from error


def _preview(project: Project, options: RunOptions, room: Path) -> Offer:
    text = options.bundle
    assert text is not None
    if options.wanted != Wanted() or options.prune or options.change:
        raise UsageError(
            "--bundle says what is applied: it goes with no --unit, --tag, --prune or --affected",
            hint=f"infra-orch apply --bundle {text}",
        )
    found, shown_as = _found(project, Place.of(text), options.group, room)
    previewed = read_preview(unsealed(found, shown_as, room / "preview"), shown_as, room)
    command = f"infra-orch apply --bundle {text}"
    _refuse_elsewhere(f"{shown_as} was previewed", command, options, sandbox=previewed.about.sandbox)
    let_go = {node: frozenset(after) for node, after in previewed.about.let_go.items()}
    return Offer(previewed.plans, strict=False, let_go=let_go)


def _found(project: Project, place: Place, group: str, room: Path) -> tuple[Path, str]:
    """The bundle of a preview of what is checked out, or was before the merge that is. Raises UsageError for none."""
    if place.is_file:
        return Path(place.text), place.text
    repository = find_repository(project.root)
    head = repository.head() if repository else None
    contents = _contents(project, repository, head) if repository and head else []
    if found := place.find([bundle_name(content, group) for content in contents], room / "found"):
        return found
    if only := place.only(f"-{group}.bundle"):
        return only, str(only)
    raise RefusedError(
        f"{place.text} has no preview of {head[:12] if head else 'no commit'}, or of what was merged by it",
        hint="infra-orch preview --base REF --bundle PLACE makes one; without --bundle an apply plans anew",
    )


def _contents(project: Project, repository: Repository, head: str) -> list[str]:
    """What was previewed, if it was: the content of *head*, and of what was merged by it, or by the commit that those
    with records or approvals alone lie on.

    Never that of what it was merged into: the preview of an earlier change has nothing to do any more, and all that
    came since would pass for applied.
    """
    content = content_of(project, repository, head)
    parents = repository.parents(head)
    for _ in range(_MOST_RECORDS):
        if len(parents) != 1 or content_of(project, repository, parents[0]) != content:
            break
        parents = repository.parents(parents[0])
    return [content, *(content_of(project, repository, commit) for commit in parents[1:])]


def _refuse_elsewhere(what: str, command: str, options: RunOptions, *, sandbox: bool) -> None:
    if sandbox != options.sandbox:
        was = "in the sandbox, and applies there only" if sandbox else "for the real thing, not for the sandbox"
        raise RefusedError(f"{what} {was}", hint=f"{command}{' --sandbox' if sandbox else ''}")


def _wanted(bundle: Bundle) -> Wanted:
    """What was asked for when it was planned."""
    asked = bundle.manifest.selectors
    return Wanted(asked.units, asked.tags, asked.with_upstream, asked.with_downstream)


def _settled(bundle: Bundle, options: RunOptions) -> RunOptions:
    """*options* for exactly the units that a preview had."""
    units = bundle.manifest.units.values()
    gone = [unit.name for unit in units if unit.destroy]
    wanted = Wanted.of_units([unit.name for unit in units if not unit.destroy], gone)
    return replace(options, wanted=wanted, prune=options.prune or bool(gone))


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
