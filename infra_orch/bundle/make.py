"""Make a bundle of a plan that was just made, while its plan files still lie in the work folders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.bundle.archive import measure, write_archive
from infra_orch.bundle.manifest import (
    NEEDED,
    BundledUnit,
    Manifest,
    Origin,
    Selectors,
    member_name,
    to_json,
)
from infra_orch.bundle.premises import files_of, outside_of, variables_of
from infra_orch.bundle.states import current_state, planned_on
from infra_orch.errors import UsageError, UserError
from infra_orch.module.files import LOCK_FILE
from infra_orch.render.index import digest
from infra_orch.run.context import RunContext
from infra_orch.run.outcome import Outcome, Status
from infra_orch.run.plan import Preview, Selection
from infra_orch.run.prepare import UnitWork
from infra_orch.run.unit import PLAN_FILE, Planned

_UNFIT = (Status.FAILED, Status.BLOCKED, Status.CANCELLED, Status.REFUSED)


@dataclass(frozen=True)
class About:
    """What is told of a plan from outside: where it comes from, what was asked for, and sources_of() its stack as they
    were when it was begun.
    """

    origin: Origin
    selectors: Selectors
    sources: Mapping[str, str]


def check_out(path: Path, option: str = "--out") -> Path:
    """Return where the bundle *path*, which *option* names, is to be written, with links followed, before any work is
    done for it.

    Raises UsageError where no file can be written there.
    """
    target = path.resolve()
    if path.exists() and not path.is_file():
        raise UsageError(f'{option} "{path}" is {"a folder" if path.is_dir() else "not a file"}', hint="name a file")
    if not target.parent.is_dir():
        raise UsageError(f'{option} "{path}": there is no folder {target.parent}', hint=f"mkdir -p {target.parent}")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f'{option} "{path}": nothing can be written to {target.parent}')
    return target


def unfit(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Which nodes keep a plan from being bundled: a bundle is of a plan that went well, or deferred a unit."""
    return [f"{name} was {outcome.status}" for name, outcome in outcomes.items() if outcome.status in _UNFIT]


def make_bundle(path: Path, selection: Selection, shown: Preview, context: RunContext, about: About) -> str:
    """Write the bundle of a plan to *path* and return its id.

    Raises UserError where it cannot be written, where a unit's plan cannot be bundled, and where a file that the plan
    rests on was changed while it was made.
    """
    salt = secrets.token_hex(16)
    files = files_of(context.stack, selection.units)
    edited = sorted(name for name, sha256 in about.sources.items() if files.get(name, sha256) != sha256)
    if edited:
        raise UserError(f"{edited[0]} was changed while the stack was planned: no bundle is written", hint="plan again")
    units: dict[str, BundledUnit] = {}
    sources: dict[str, Path] = {}
    for name, work in selection.units.items():
        members = _members(shown.nodes[name], context.work / name)
        sources |= {member_name(name, member): path for member, path in members.items()}
        units[name] = _unit(work, shown.nodes[name], context, members)
    manifest = Manifest(
        stack=context.stack.folder.name,
        kind="destroy" if selection.kind == "destroy" else "apply",
        sandbox=context.sandbox is not None,
        origin=about.origin,
        selectors=about.selectors,
        salt=salt,
        files=files,
        variables=variables_of(selection.units.values(), salt),
        outside=outside_of(selection, shown, salt),
        units=units,
    )
    text = to_json(manifest)
    write_archive(path, text, sources)
    return digest(text)


def _members(planned: Planned, folder: Path) -> dict[str, Path]:
    lock = [LOCK_FILE] if (folder / LOCK_FILE).is_file() else []
    return {name: folder / name for name in sorted({*NEEDED[planned.outcome.status], *lock})}


def _unit(work: UnitWork, planned: Planned, context: RunContext, members: Mapping[str, Path]) -> BundledUnit:
    outcome = planned.outcome
    if PLAN_FILE in members or outcome.status is Status.UNCHANGED:
        state = planned_on(context.work / work.unit.name / PLAN_FILE)
    else:
        state, _ = current_state(work, context)
    return BundledUnit(
        name=outcome.name,
        status=outcome.status,
        destroy=work.destroy,
        state=state,
        state_moves=planned.state_moves,
        warnings=outcome.warnings,
        # The log of another run, perhaps on another machine, helps nobody.
        failure=replace(outcome.failure, log="") if outcome.failure else None,
        members={name: measure(path) for name, path in members.items()},
    )
