"""Plan bundles at the command line: `plan --out FILE` writes one, `apply --plan FILE` does what one says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.bundle.archive import Bundle, read_bundle
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
from infra_orch.bundle.make import About, check_out, make_bundle, unfit
from infra_orch.bundle.manifest import Origin, Selectors
from infra_orch.bundle.premises import sources_of
from infra_orch.bundle.restore import locks_of, restore, with_locks
from infra_orch.commands.dependents import refuse_dependents
from infra_orch.commands.opening import Opened
from infra_orch.commands.options import RunOptions
from infra_orch.commands.pacing import pace_of
from infra_orch.commands.parts import Part
from infra_orch.commands.previewing import Chosen, Shown, show_preview
from infra_orch.commands.selecting import refuse_orphans, select
from infra_orch.commands.session import Session
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UnavailableError, UsageError
from infra_orch.git.repository import Repository
from infra_orch.project import Project
from infra_orch.record.leftover import bring_back, names_left_over
from infra_orch.report.style import safe
from infra_orch.run.outcome import Failure
from infra_orch.run.plan import OutsideOutputs, Preview, Selection, forget
from infra_orch.run.values import Output


@dataclass(frozen=True)
class Writer:
    """Writes the bundle that `plan --out` asked for: *path*, as the user gave it, and what the plan was begun with."""

    path: Path
    target: Path
    sources: Mapping[str, str]

    def write(
        self, selection: Selection, shown: Preview, run: Session, options: RunOptions, console: Console
    ) -> str | None:
        """Write the bundle and return its id; None, and a word to the user, where the plan did not go well."""
        bad = unfit(shown.outcomes)
        if bad or run.context.supervisor.stopping:
            console.note(f"{self.path} was not written: {bad[0] if bad else 'the run was stopped'}")
            return None
        wanted, facts = options.wanted, run.facts()
        origin = Origin(
            facts.run_id,
            facts.at,
            facts.by,
            facts.commit,
            facts.dirty,
            facts.engine,
            facts.engine_version,
            facts.version,
        )
        selectors = Selectors(wanted.units, wanted.tags, wanted.with_upstream, wanted.with_downstream)
        about = About(origin, selectors, self.sources)
        bundle = make_bundle(self.target, selection, shown, run.context, about)
        words = ["infra-orch", "apply", run.context.stack.folder.name, "--plan", str(self.path)]
        command = shlex.join([*words, *(["--sandbox"] if run.sandbox else [])])
        console.note(f"written to {self.path}, which holds secrets; {command} applies it")
        if run.repository and _could_be_committed(run.repository, self.target):
            console.warn(f"{self.path} lies in the git repository and is not ignored: keep it out of commits")
        return bundle


def writer_for(options: RunOptions) -> Writer | None:
    """Return what writes the bundle that *options* ask for, if they ask for one.

    Raises UsageError where no file can be written there.
    """
    return Writer(options.out, check_out(options.out), {}) if options.out is not None else None


def begun(writer: Writer | None, opened: Opened) -> Writer | None:
    """Return *writer* with the sources as they are now, when the plan is begun."""
    if writer is None:
        return None
    sources = sources_of(opened.rendered, {unit.module for unit in opened.rendered.units.values()})
    return Writer(writer.path, writer.target, sources)


@dataclass(frozen=True)
class Offer:
    """A bundle that is to be applied."""

    bundle: Bundle

    @property
    def kind(self) -> str:
        """What applying it is: `apply` or `destroy`."""
        return self.bundle.manifest.kind

    @property
    def wanted(self) -> Wanted:
        """What was asked for when it was planned."""
        asked = self.bundle.manifest.selectors
        return Wanted(asked.units, asked.tags, asked.with_upstream, asked.with_downstream)

    def settled(self, options: RunOptions) -> RunOptions:
        """*options* with what was asked for when it was planned."""
        return replace(options, wanted=self.wanted)

    def marks(self, run: Session) -> Marks:
        """Where it is noted that it was applied."""
        return Marks(run.context.stack.folder.project.scratch / "bundles", run.records.runs)


def offer_of(project: Project, stack: str, options: RunOptions, console: Console) -> Offer | None:
    """Read the bundle that *options* name, if any, and refuse it where it cannot be meant or its sources have moved on.

    Raises UsageError where it does not go with the other options or the stack, RefusedError where it is not whole or
    cannot be applied any longer. No Python of the spec's is run for that.
    """
    if options.plan is None:
        return None
    if options.wanted != Wanted() or options.prune:
        raise UsageError(
            "--plan says which units are applied: it goes with no --unit, --tag or --prune",
            hint=f"infra-orch apply {stack} --plan {options.plan}, or select at infra-orch plan {stack} --out FILE",
        )
    bundle = read_bundle(options.plan)
    manifest, folder = bundle.manifest, project.stack(stack)
    if manifest.stack != folder.name:
        raise UsageError(
            f'{options.plan} is a plan of the stack "{manifest.stack}", not of "{folder.name}"',
            hint=f"infra-orch apply {manifest.stack} --plan {options.plan}",
        )
    if manifest.sandbox != options.sandbox:
        was = (
            "in the sandbox, and applies there only" if manifest.sandbox else "for the real thing, not for the sandbox"
        )
        hint = f"infra-orch apply {stack} --plan {options.plan}{' --sandbox' if manifest.sandbox else ''}"
        raise RefusedError(f"{options.plan} was planned {was}", hint=hint)
    refuse_for(bundle, moved_sources(manifest, folder, evaluated=not options.from_rendered))
    if options.plan.stat().st_mode & 0o077:
        console.warn(f"{options.plan} holds secrets, and others may read it: chmod 600 {options.plan}")
    return Offer(bundle)


def preview_offer(offer: Offer, part: Part, run: Session, console: Console) -> Shown:
    """Check that all that a bundle rests on still holds, put its plans into place, and show them.

    Raises RefusedError where anything has moved on, or it was applied before.
    """
    bundle, context = offer.bundle, run.context
    opened, options = part.opened, part.options
    manifest = bundle.manifest
    records = run.records
    refuse_for(bundle, applied_before(bundle, offer.marks(run)))
    selection = _selection(offer, opened, run, options)
    refuse_for(bundle, [f"{name} is no longer part of it" for name in manifest.units if name not in selection.units])
    refuse_for(bundle, [f"{name} has come to it" for name in selection.units if name not in manifest.units])
    locks = locks_of(bundle, selection, context)
    reasons = moved_engine(manifest, run.engine) + locks.reasons
    reasons += moved_files(manifest, opened.rendered, selection.units, evaluated=not options.from_rendered)
    reasons += moved_variables(manifest, selection.units.values())
    refuse_for(bundle, reasons)
    if offer.kind == "destroy":
        refuse_orphans(opened, selection.units, records)
    going = {part.name: {name for name, work in selection.units.items() if work.destroy}}
    refuse_dependents(going, run)
    refuse_for(bundle, moved_states(manifest, selection, context))
    outside = _outside(offer, selection, run)
    refuse_for(bundle, moved_outside(manifest, selection, Preview({}, outside)))
    selection = with_locks(selection, locks)
    restored = restore(bundle, selection, run.contexts, outside, locks)
    left_over = [name for name in names_left_over(records, opened.rendered) if name not in selection.units]
    chosen = Chosen(part, run, selection, left_over, records)
    shown = Shown((chosen,), selection, run.contexts, restored, several=False)
    console.note(_provenance(offer, run))
    try:
        show_preview(shown, console, kind=offer.kind)
    except BaseException:
        forget(selection, context)
        raise
    return shown


def take(offer: Offer, selection: Selection, run: Session, *, asked: bool) -> None:
    """Mark a bundle as applied, as the last thing before it is. *asked*: time has passed since its states were checked.

    Raises RefusedError where a state has moved on meanwhile.
    """
    try:
        if asked:
            refuse_for(offer.bundle, moved_states(offer.bundle.manifest, selection, run.context))
        run.context.journal.write("bundle", durable=True, bundle=offer.bundle.id)
        mark_applied(offer.bundle, offer.marks(run), run.context.run_id)
    except BaseException:
        forget(selection, run.context)
        raise


def _selection(offer: Offer, opened: Opened, run: Session, options: RunOptions) -> Selection:
    manifest = offer.bundle.manifest
    gone = [name for name, unit in manifest.units.items() if unit.destroy and name not in opened.rendered.units]
    left_over = bring_back(gone, opened.folder, run.repository) if gone else []
    return select(opened, offer.wanted, manifest.kind, pace_of(run, options, run.records), left_over=left_over)


def _outside(offer: Offer, selection: Selection, run: Session) -> dict[str, Mapping[str, Output]]:
    """The outputs, as they are now, of the units outside the run that the plan was made with."""
    reader = OutsideOutputs(selection, run.contexts)
    found: dict[str, Mapping[str, Output]] = {}
    for name in offer.bundle.manifest.outside:
        if name not in selection.outside:
            continue
        outputs = reader.outputs(name)
        if isinstance(outputs, Failure):
            raise UnavailableError(outputs.summary, hint=outputs.hint or outputs.log)
        found[name] = outputs
    return found


def _provenance(offer: Offer, run: Session) -> str:
    origin = offer.bundle.manifest.origin
    at = f" at {origin.commit[:10]}" if origin.commit else ""
    text = safe(f"planned by {origin.by}, {origin.at}, run {origin.run}{at}", keep_newlines=False)
    here = run.repository.head() if run.repository else None
    if here != origin.commit:
        text += f"; here is {here[:10] if here else 'no commit'}, where all that it rests on is the same"
    return text


def _could_be_committed(repository: Repository, path: Path) -> bool:
    return path.is_relative_to(repository.root) and bool(repository.dirty([repository.relative(path)]))
