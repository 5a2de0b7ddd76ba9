"""Units that left the spec but still exist: found by their records, and brought back from their last render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra_orch.errors import UserError
from infra_orch.git.repository import Repository
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import StackFolder
from infra_orch.record.store import Records, left_over
from infra_orch.render.index import KeptUnit, RenderedStack, RenderedUnit, digest, from_json, read_index


@dataclass(frozen=True)
class LeftOver:
    """A unit that left the spec: its last render (index entry and files), and the units that depended on it then."""

    name: str
    unit: RenderedUnit
    files: Mapping[str, str]
    dependents: tuple[str, ...]


def names_left_over(records: Records, stack: RenderedStack) -> list[str]:
    """The names of units that have a record, are not destroyed, and are not in the spec under any name."""
    renamed = {unit.formerly for unit in stack.units.values() if unit.formerly}
    return [name for name in left_over(records, set(stack.units)) if name not in renamed]


def units_to_keep(
    records: Records, before: RenderedStack, now: RenderedStack, repository: Repository | None
) -> dict[str, KeptUnit]:
    """Return the units of the render *before* that are not in *now*, still exist, and whose render git does not have.

    Their files are all that tells what Terraform was given, so that they can be destroyed.
    """
    kept: dict[str, KeptUnit] = {}
    gone = (before.units.keys() | before.left_over.keys()) - now.units.keys()
    if not gone:
        return kept
    for name in names_left_over(records, now):
        if name in before.left_over:
            entry = before.left_over[name]
        elif name in before.units:
            entry = KeptUnit(before.units[name], _dependents(name, before))
        else:
            continue
        if not _is_committed(entry.unit, before.folder, repository):
            kept[name] = entry
    return kept


def bring_back(names: list[str], folder: StackFolder, repository: Repository | None) -> list[LeftOver]:
    """Find the last render of each of *names*, beside the stack file where it is kept, or in git's history.

    Raises UserError where there is none: then nothing can tell what Terraform was given.
    """
    kept = read_index(folder).left_over if names and folder.index.is_file() else {}
    return [_from_disk(kept[name], folder) if name in kept else _bring_back(name, folder, repository) for name in names]


def _bring_back(name: str, folder: StackFolder, repository: Repository | None) -> LeftOver:
    lost = UserError(
        f'"{name}" left the spec and still exists, but its last render is nowhere to be found',
        hint=f"put the unit back into the spec, and destroy it: infra-orch destroy {folder.name} --unit {name}",
    )
    if repository is None:
        raise lost
    rendered = repository.relative(folder.rendered)
    commit = repository.last_commit_with(f"{rendered}/{name}/main.tf")
    index = repository.show(commit, f"{rendered}/stack.json") if commit else None
    if commit is None or index is None:
        raise lost
    then = from_json(index.decode("utf-8", errors="replace"), folder)
    if name in then.left_over:
        unit, dependents = then.left_over[name].unit, then.left_over[name].dependents
    elif name in then.units:
        unit, dependents = then.units[name], _dependents(name, then)
    else:
        raise lost
    files: dict[str, str] = {}
    for file in (*unit.files, LOCK_FILE):
        content = repository.show(commit, f"{rendered}/{name}/{file}")
        if content is not None:
            files[file] = content.decode("utf-8")
        elif file != LOCK_FILE:
            raise lost
    return LeftOver(name, unit, files, dependents)


def _from_disk(kept: KeptUnit, folder: StackFolder) -> LeftOver:
    name = kept.unit.name
    files: dict[str, str] = {}
    for file in (*kept.unit.files, LOCK_FILE):
        path = folder.rendered / name / file
        if path.is_file():
            files[file] = path.read_text(encoding="utf-8")
        elif file != LOCK_FILE:
            raise UserError(
                f"{folder.project.shown(path)} is missing, and {name} cannot be destroyed without it",
                hint=f"git checkout -- {folder.project.shown(path)} brings it back",
            )
    return LeftOver(name, kept.unit, files, kept.dependents)


def _is_committed(unit: RenderedUnit, folder: StackFolder, repository: Repository | None) -> bool:
    """Whether the newest commit that has the unit's render has this one."""
    if repository is None:
        return False
    place = f"{repository.relative(folder.rendered)}/{unit.name}"
    commit = repository.last_commit_with(f"{place}/main.tf")
    if commit is None:
        return False
    found = {file: repository.show(commit, f"{place}/{file}") for file in unit.files}
    return all(content is not None and digest(content) == unit.files[file] for file, content in found.items())


def _dependents(name: str, stack: RenderedStack) -> tuple[str, ...]:
    return tuple(after for after in sorted(stack.graph.downstream[name]) if after in stack.units)
