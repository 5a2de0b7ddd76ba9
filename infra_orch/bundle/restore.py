"""Bring what a bundle holds to where an apply looks for it, as if it had been planned here just now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra_orch.bundle.archive import Bundle, extract
from infra_orch.errors import UserError
from infra_orch.files import private_folder, write_if_different
from infra_orch.module.files import LOCK_FILE
from infra_orch.module.lock_file import provider_versions
from infra_orch.project import beside, stack_and_unit
from infra_orch.run.context import Contexts, RunContext
from infra_orch.run.fingerprints import fingerprint_unit
from infra_orch.run.judging import judged
from infra_orch.run.outcome import Outcome, Status, count
from infra_orch.run.plan import Preview, Selection, run_graph, skipped_task
from infra_orch.run.prepare import UnitWork, prepare
from infra_orch.run.terraform import StepError
from infra_orch.run.unit import (
    PLAN_FILE,
    PLAN_JSON,
    Outputs,
    Planned,
    learn_upstream,
    means_of,
    not_planned,
    planned_outputs,
    saved_plan,
)
from infra_orch.run.values import Output, Upstream, upstream_values


@dataclass(frozen=True)
class Locks:
    """The dependency lock files of a bundle's units, by unit, and why some do not fit what is here."""

    texts: Mapping[str, str]
    reasons: list[str]


@dataclass(frozen=True)
class Saved:
    """A stack's *bundle*, and the lock files of its units, see locks_of()."""

    bundle: Bundle
    locks: Locks


def restore(saved: Mapping[str, Saved], selection: Selection, contexts: Contexts, outside: Outputs) -> Preview:
    """Prepare the units' work folders with the plans of bundles in them, and return the preview that these hold.

    *saved*: by stack; that of a run of one stack is "". *outside*: outputs of units outside the run, by unit. What
    changes is read from the plans themselves, so nothing else can be shown than what they do. A unit that cannot be
    prepared is failed in the preview.
    """
    nodes: dict[str, Planned] = {}

    def work(name: str) -> Outcome:
        if name in selection.units:
            unit = selection.units[name]
            upstream = upstream_values(unit.unit.needs, _known(name, selection, nodes, outside))
            restored = _restore(saved[stack_and_unit(name)[0]], unit, contexts.of(name), upstream)
            nodes[name] = restored.called(name)
        elif name in selection.tasks:
            nodes[name] = Planned(Outcome(name, Status.PLANNED, is_task=True), {})
        else:
            nodes[name] = Planned(skipped_task(name), {})
        return nodes[name].outcome

    outcomes = run_graph(selection, work, contexts, phase="plan", lets_on=lambda _: True)
    return Preview({name: nodes.get(name, Planned(outcome, {})) for name, outcome in outcomes.items()}, outside)


def locks_of(bundle: Bundle, selection: Selection, context: RunContext) -> Locks:
    """Read the lock files that the plans were made with, and compare them with those beside the rendered files.

    Hashes of more platforms may have come to one of the two; other versions of providers are a reason against it.
    """
    cache = context.stack.folder.project.cache / "modules"
    texts, reasons = {}, []
    for name, work in selection.units.items():
        if LOCK_FILE not in bundle.manifest.units[name].members:
            continue
        path = private_folder(context.work / name) / f"tfplan{LOCK_FILE}"
        extract(bundle, name, LOCK_FILE, path)
        texts[name] = path.read_text(encoding="utf-8")
        path.unlink()
        here = work.files.get(LOCK_FILE)
        if here is not None and provider_versions(here, cache) != provider_versions(texts[name], cache):
            reasons.append(f"the dependency lock file of {name} names other providers")
    return Locks(texts, reasons)


def with_locks(selection: Selection, locks: Locks) -> Selection:
    """Return *selection* with the lock files of a bundle for the units that have none."""
    units = {
        name: replace(work, files={LOCK_FILE: locks.texts[name], **work.files}) if name in locks.texts else work
        for name, work in selection.units.items()
    }
    return replace(selection, units=units)


def _known(
    name: str, selection: Selection, nodes: Mapping[str, Planned], outside: Outputs
) -> dict[str, Mapping[str, Output]]:
    """Outputs of a unit's upstream units, as plan() has them for it."""
    work = selection.units[name]
    in_run = nodes if not work.destroy or selection.kind == "destroy" else {}
    upstreams = {need: beside(name, need) for need in work.unit.needs}
    known = {need: in_run[node].outputs for need, node in upstreams.items() if node in in_run}
    return {need: outside[node] for need, node in upstreams.items() if node in outside} | known


def _restore(saved: Saved, work: UnitWork, context: RunContext, upstream: Upstream) -> Planned:
    try:
        return _put(saved.bundle, work, context, upstream, saved.locks)
    except (StepError, UserError, OSError, ValueError) as error:
        return not_planned(work, upstream, error)


def _put(bundle: Bundle, work: UnitWork, context: RunContext, upstream: Upstream, locks: Locks) -> Planned:
    name = work.unit.name
    unit = bundle.manifest.units[name]
    learn_upstream(context, upstream)
    ready = prepare(work, context, upstream, former=unit.state_moves)
    for member in unit.members:
        if member != LOCK_FILE:
            extract(bundle, name, member, ready.folder / member)
    if name in locks.texts:
        # Hashes that this machine's has besides are right, and Terraform would refuse the plan for them.
        write_if_different(ready.folder / LOCK_FILE, locks.texts[name], mode=0o600)
    # Of what the plan was made with, since all of that is still the same.
    fingerprint = fingerprint_unit(work, context, upstream.text, ready.variables, ready.folder)
    outcome = Outcome(
        name,
        unit.status,
        basis=upstream.basis,
        unknown_inputs=upstream.unknown,
        failure=unit.failure,
        warnings=unit.warnings,
        destroys_unit=work.destroy,
    )
    outputs: Mapping[str, Output] = {}
    if PLAN_JSON in unit.members:
        document = saved_plan(context, name, PLAN_FILE)
        document.learn_secrets(context.redactor, ready.variables)
        resources = document.resources(context.redactor)
        outputs = planned_outputs(document, work, context)
        outcome = replace(
            outcome,
            counts=count(resources),
            resources=resources,
            outputs_changed=document.outputs_changed(),
            addresses=document.addresses(),
            means=means_of(document, context),
        )
        outcome = judged(outcome, document, work, context)
    return Planned(outcome, outputs, upstream, ready.variables, unit.state_moves, fingerprint)
