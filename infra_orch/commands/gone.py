"""Stacks whose folders are deleted: opened with nothing in them but what still exists of what they were."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from infra_orch.commands.opening import Opened, others_of
from infra_orch.commands.rendered import committed_render
from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.git.tree import deleted_files
from infra_orch.graph.graph import Graph
from infra_orch.guard.check import guarded
from infra_orch.project import Project, StackFolder, is_stack_name
from infra_orch.record.leftover import bring_back
from infra_orch.record.store import Records, exists, parse_record
from infra_orch.render.index import KeptUnit, RenderedStack, from_json, joint_graph, read_index
from infra_orch.render.neighbours import Neighbours


def open_gone(
    project: Project, name: str, console: Console, *, sandbox: bool, from_rendered: bool = False
) -> Opened | None:
    """Open a deleted stack as git has it last: what still exists of it, by its records, has left the spec.

    None where nothing does. What another stack works on by now, as when a folder was renamed, is left alone, and that
    is said. *from_rendered*: the setting `allow` holds for what is brought back, and the stacks that it refers to have
    to be what is committed. Raises UserError where git does not have what Terraform was given.
    """
    project = guarded(project) if from_rendered else project
    folder, repository = StackFolder(project, project.stacks / name), find_repository(project.root)
    before = _last_render(folder, repository) if repository else None
    if repository is None or before is None:
        return None
    units = {**before.units, **{unit: kept.unit for unit, kept in before.left_over.items()}}
    records = {} if sandbox else _last_records(folder, repository)
    known = Records(folder.record, records).units()
    # What exists in an emulator, only that knows.
    existing = [unit for unit in units if sandbox or exists(known.get(unit))]
    kept = _not_taken_over(folder, existing, repository, console)
    if not kept:
        return None
    left_over = {unit: KeptUnit(units[unit], tuple(sorted(before.graph.downstream.get(unit, ())))) for unit in kept}
    empty = replace(before, units={}, tasks={}, graph=Graph.of((), ()), left_over=left_over)
    return Opened(empty, {}, {}, others_of(before, committed_render if from_rendered else read_index), records)


def gone_stacks(project: Project, there: Collection[str] | None = None) -> list[str]:
    """The stacks without a spec that have, or once had, a record of a unit in git: what still exists of them, their
    last records say. *there* are those with a spec; None: those that have one in HEAD. Raises UserError where git
    cannot tell.
    """
    repository = find_repository(project.root)
    if repository is None:
        return []
    place = repository.relative(project.stacks)
    listed = [path for path, _ in repository.list_tree("HEAD", place)]
    record = re.compile(re.escape(f"{place}/") + r"(?P<stack>.+)/record/[^/]+\.json")
    recorded = {
        found["stack"] for path in (*listed, *deleted_files(repository, place)) if (found := record.fullmatch(path))
    }
    if there is None:
        there = {path[len(place) + 1 : -len("/stack.py")] for path in listed if path.endswith("/stack.py")}
    return sorted(name for name in recorded.difference(there) if is_stack_name(name))


def let_go_of(project: Project, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return what came after the units of stacks that are gone, by these (`network/vpc`), as all lay rendered in git
    when these did last.
    """
    found: dict[str, frozenset[str]] = {}
    repository = find_repository(project.root) if names else None
    for name in names if repository else ():
        assert repository
        place = repository.relative(project.stacks)
        commit = repository.last_commit_with(repository.relative(StackFolder(project, project.stacks / name).index))
        if commit is None:
            continue
        listed = repository.list_tree(commit, place)
        indexes = {path: blob for path, blob in listed if path.endswith("/rendered/stack.json")}
        contents = repository.read_blobs(indexes.values())
        stacks = {path[len(place) + 1 : -len("/rendered/stack.json")]: blob for path, blob in indexes.items()}
        there = {
            stack: from_json(contents[blob].decode(errors="replace"), StackFolder(project, project.stacks / stack))
            for stack, blob in stacks.items()
            if stack == name or f'"{name}/'.encode() in contents[blob]
        }
        below = joint_graph(there, "plan").downstream
        found |= {f"{name}/{unit}": below.get(f"{name}/{unit}", frozenset()) for unit in there[name].units}
    return found


def _last_render(folder: StackFolder, repository: Repository) -> RenderedStack | None:
    path = repository.relative(folder.index)
    commit = repository.last_commit_with(path)
    text = repository.show(commit, path) if commit else None
    return from_json(text.decode(errors="replace"), folder) if text is not None else None


def _last_records(folder: StackFolder, repository: Repository) -> dict[str, Mapping[str, Any]]:
    """The records of the units as they were deleted."""
    place = repository.relative(folder.record)
    commit = repository.last_commit_with(place)
    listed = repository.list_tree(commit, place) if commit else []
    blobs = {path: blob for path, blob in listed if path.rpartition("/")[0] == place and path.endswith(".json")}
    contents = repository.read_blobs(blobs.values())
    texts = {path: contents[blob].decode(errors="replace") for path, blob in blobs.items()}
    return {path[len(place) + 1 : -len(".json")]: parse_record(text, path) for path, text in texts.items()}


def _not_taken_over(folder: StackFolder, units: list[str], repository: Repository, console: Console) -> list[str]:
    """Those of *units* whose states no other stack has, as it lies rendered."""
    neighbours, found = Neighbours(folder.project), []
    for name in units:
        try:
            (unit,) = bring_back([name], folder, repository)
        except UserError:
            found.append(name)  # said when it is its turn
            continue
        if holder := neighbours.holder(unit.files["backend.tf"]):
            path, other = holder
            shown = folder.project.shown(path)
            console.warn(f"{folder.name}/{name} is not destroyed: its state is that of {other} in {shown} now")
        else:
            found.append(name)
    return found
