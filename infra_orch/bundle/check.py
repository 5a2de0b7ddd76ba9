"""Whether a bundle may still be applied: nothing that it rests on has moved, and it was not applied before."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from infra_orch.bundle.archive import Bundle
from infra_orch.bundle.manifest import Manifest
from infra_orch.bundle.premises import file_digest, files_of, outside_of, variables_of
from infra_orch.bundle.states import current_states
from infra_orch.engine.engine import Engine
from infra_orch.errors import RefusedError
from infra_orch.files import private_folder, write_atomically
from infra_orch.project import StackFolder
from infra_orch.render.index import RenderedStack
from infra_orch.run.context import RunContext
from infra_orch.run.plan import Preview, Selection
from infra_orch.run.prepare import UnitWork

_MOST_REASONS = 5


@dataclass(frozen=True)
class Marks:
    """Where it is noted which bundles were applied: *folder* on this machine, *records* of runs in git."""

    folder: Path
    records: Path


def plan_command(bundle: Bundle) -> str:
    """The command that makes a bundle of the same plan anew."""
    manifest = bundle.manifest
    words = ["infra-orch", "plan", manifest.stack]
    words += ["--destroy"] if manifest.kind == "destroy" else []
    words += ["--prune"] if manifest.kind == "apply" and any(unit.destroy for unit in manifest.units.values()) else []
    words += [word for name in manifest.selectors.units for word in ("--unit", name)]
    words += [word for name in manifest.selectors.tags for word in ("--tag", name)]
    words += ["--with-upstream"] if manifest.selectors.with_upstream else []
    words += ["--with-downstream"] if manifest.selectors.with_downstream else []
    words += ["--sandbox"] if manifest.sandbox else []
    return shlex.join([*words, "--out", bundle.shown_as])


def refuse_for(bundle: Bundle, reasons: Iterable[str]) -> None:
    """Raise RefusedError where there is any reason against applying *bundle*, with the command that plans anew."""
    found = list(dict.fromkeys(reasons))
    if not found:
        return
    more = f"; and {len(found) - _MOST_REASONS} more" if len(found) > _MOST_REASONS else ""
    raise RefusedError(
        f"{bundle.shown_as} can no longer be applied: {'; '.join(found[:_MOST_REASONS])}{more}. Nothing was changed",
        hint=f"plan anew: {plan_command(bundle)}",
    )


def moved_sources(manifest: Manifest, folder: StackFolder, *, evaluated: bool) -> list[str]:
    """What of the spec and the modules is gone or changed, told before the spec is evaluated.

    *evaluated*: whether the spec will be; where it is not, it does not matter.
    """
    root, spec = folder.project.root, folder.project.shown(folder.spec)
    rendered = PurePosixPath(folder.project.shown(folder.rendered))
    found = []
    for name, sha256 in manifest.files.items():
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts
        if not inside or path.is_relative_to(rendered) or (name == spec and not evaluated):
            continue
        if not (root / path).is_file():
            found.append(f"{name} is gone")
        elif file_digest(root / path) != sha256:
            found.append(f"{name} has changed")
    return found


def moved_files(
    manifest: Manifest, stack: RenderedStack, units: Mapping[str, UnitWork], *, evaluated: bool
) -> list[str]:
    """Which of all the files that the plan rests on are new, gone or changed."""
    spec = stack.folder.project.shown(stack.folder.spec)
    now = files_of(stack, units)
    found = []
    for name in sorted(now.keys() | manifest.files.keys()):
        if name == spec and not evaluated:
            continue
        if now.get(name) != manifest.files.get(name):
            word = "is gone" if name not in now else "is new" if name not in manifest.files else "has changed"
            found.append(f"{name} {word}")
    return found


def moved_variables(manifest: Manifest, units: Iterable[UnitWork]) -> list[str]:
    """Which `env()` values are not the ones that the plan was made with.

    Terraform would apply the plan with its own values whatever they are now, and plan other units with the new ones.
    """
    now = variables_of(units, manifest.salt)
    return [
        f"the environment variable {name} {'has another value than it had' if name in now else 'is not set'}"
        for name, keyed in sorted(manifest.variables.items())
        if now.get(name) != keyed
    ]


def moved_engine(manifest: Manifest, engine: Engine) -> list[str]:
    """Whether another engine, or another version, is to apply what only the one that planned it can."""
    origin = manifest.origin
    same_kind = (origin.engine == "tofu") == (engine.name == "tofu")  # the embedded engine is Terraform
    if same_kind and origin.engine_version == str(engine.version):
        return []
    return [f"it was planned by {origin.engine} {origin.engine_version}, and here is {engine}"]


def moved_states(manifest: Manifest, selection: Selection, context: RunContext) -> list[str]:
    """Which units' states are not the ones that they were planned on, one that was empty then included.

    Raises UnavailableError where a state cannot be read.
    """
    found = []
    for name, (version, moves) in current_states(selection.units, context, selection.pace.workers).items():
        unit = manifest.units[name]
        if version != unit.state:
            found.append(f"the state of {name} has moved on (it was planned on {unit.state}, and now is {version})")
        elif moves != unit.state_moves:
            found.append(f"the state of {name} was moved since it was planned")
    return found


def moved_outside(manifest: Manifest, selection: Selection, outside: Preview) -> list[str]:
    """Which units outside the run have other outputs than those that the plan was made with. *outside* knows them."""
    now = outside_of(selection, outside, manifest.salt)
    return [
        f"the outputs of {name}, which it reads, have changed"
        for name, keyed in sorted(manifest.outside.items())
        if now.get(name) != keyed
    ]


def applied_before(bundle: Bundle, marks: Marks) -> list[str]:
    """Whether the bundle was applied before, here or, as far as git tells here, anywhere; begun counts as applied."""
    mark = marks.folder / bundle.id
    if mark.exists():
        return [f"it was applied before, by run {_run_of(mark)}"]
    if marks.records.is_dir():
        for path in sorted(marks.records.glob("*.json"), reverse=True):
            if bundle.id in path.read_text(encoding="utf-8", errors="replace"):
                return [f"it was applied before, by run {path.stem}"]
    return []


def mark_applied(bundle: Bundle, marks: Marks, run_id: str) -> None:
    """Note, before anything is changed, that *bundle* is applied by run *run_id*. Raises OSError where that fails."""
    private_folder(marks.folder)
    entry = {"run": run_id, "at": datetime.now(UTC).isoformat(timespec="seconds"), "stack": bundle.manifest.stack}
    write_atomically(marks.folder / bundle.id, json.dumps(entry) + "\n", mode=0o600)


def _run_of(mark: Path) -> str:
    try:
        return str(json.loads(mark.read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"
