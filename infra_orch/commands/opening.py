"""Open a stack: evaluate, check and render its spec, or take it as it was rendered and committed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from infra_orch.commands.rendered import committed_render, committed_renders
from infra_orch.commands.sandboxing import records_in_sandbox
from infra_orch.commands.specs import specs_of
from infra_orch.console import Console
from infra_orch.errors import Problem, SpecError, UnavailableError, UserError
from infra_orch.git.repository import find_repository
from infra_orch.guard.check import check_rendered, guarded
from infra_orch.project import Project, StackFolder, stack_and_unit
from infra_orch.record.leftover import units_to_keep
from infra_orch.record.store import Records, records_of
from infra_orch.render.index import KeptUnit, RenderedStack, read_index
from infra_orch.render.write import INDEX, Rendering, Written, with_kept, write
from infra_orch.run.prepare import UnitWork, read_files
from infra_orch.spec.sound import holds_opaque
from infra_orch.spec.stack import Stack, Task

_Read: TypeAlias = Callable[[StackFolder], RenderedStack]


@dataclass(frozen=True)
class Opened:
    """A stack that can be run: as rendered, with its tasks' functions (none where no Python was evaluated).

    *regions* are AWS_REGION and the like for tasks, from the stack's first AWS provider. *others* are the stacks that
    it refers to, by name, as they lie rendered; one that never was rendered is left out. *records*, by unit, are those
    of a stack that is deleted.
    """

    rendered: RenderedStack
    tasks: Mapping[str, Task]
    regions: Mapping[str, str]
    others: Mapping[str, RenderedStack] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def folder(self) -> StackFolder:
        """The stack's folder."""
        return self.rendered.folder

    @property
    def emulated_region(self) -> str:
        """The region that processes of a run in the sandbox are in."""
        return self.regions.get("AWS_REGION", "us-east-1")

    def elsewhere(self, name: str) -> UnitWork | None:
        """A unit of another stack, `network/vpc`, as it lies rendered; None where it was never rendered."""
        stack, unit = stack_and_unit(name)
        rendered = self.others.get(stack)
        if rendered is None or unit not in rendered.units:
            return None
        return UnitWork(rendered.units[unit], read_files(rendered.folder.rendered, rendered.units[unit]))


def open_stack(project: Project, name: str, console: Console, *, from_rendered: bool = False) -> Opened:
    """Open one stack as open_stacks() does."""
    return open_stacks(project, [name], console, from_rendered=from_rendered)[name]


def open_stacks(
    project: Project, names: Iterable[str], console: Console, *, from_rendered: bool = False
) -> dict[str, Opened]:
    """Open stacks by their names, and bring their rendered files up to date where the specs are evaluated.

    Raises SpecError with all that is wrong with any of them, before anything is written, and NotAllowedError where the
    setting `allow`, which always holds for *from_rendered*, does not allow something in the files or in the modules
    that they call.
    """
    if from_rendered:
        return _open_committed(project, names)
    return open_declared(_declared(project, list(names)), console)


def open_unwritten(project: Project, names: Iterable[str], *, from_rendered: bool = False) -> dict[str, Opened]:
    """Open stacks for a look at what is in them: nothing is written, and what they refer to is left out.

    Raises as open_stacks() does, but looks at nothing that has to be allowed where the specs are evaluated.
    """
    if from_rendered:
        return _open_committed(project, names)
    declared = _declared(project, list(names))
    return {name: Opened(rendering.stack, {}, {}) for name, (rendering, _) in declared.items()}


def _open_committed(project: Project, names: Iterable[str]) -> dict[str, Opened]:
    """Open stacks as they were rendered and committed."""
    safe = guarded(project)
    folders = {name: safe.stack(name) for name in names}
    committed = committed_renders(safe, list(folders.values()))
    for rendered in committed.values():
        check_rendered(rendered)
    # Of stacks that others refer to, each file is looked at once.
    read = functools.cache(lambda folder: committed.get(folder.name) or committed_render(folder))
    return {name: opened_as_rendered(committed[folder.name], read) for name, folder in folders.items()}


def open_declared(declared: Mapping[str, tuple[Rendering, Stack | None]], console: Console) -> dict[str, Opened]:
    """Open stacks, by their names, that were rendered in memory, given as they are declared where they have tasks, and
    bring their rendered files up to date. Raises as open_stacks() does.
    """
    for rendering, _ in declared.values():
        write_render(rendering, console)
        check_rendered(rendering.stack)
    read = functools.cache(read_index)
    return {name: _opened(rendering.stack, stack, read) for name, (rendering, stack) in declared.items()}


def _declared(project: Project, names: Sequence[str]) -> dict[str, tuple[Rendering, Stack | None]]:
    """The stacks as their specs say, with what left these and still exists."""
    found: dict[str, tuple[Rendering, Stack | None]] = {}
    problems: list[Problem] = []
    with specs_of(project, names) as specs:
        for name in names:
            try:
                rendering, stack = specs.declared(name)
                found[name] = keeping(rendering), stack
            except SpecError as error:
                problems += error.problems
    if problems:
        raise SpecError(problems)
    return found


def _opened(rendered: RenderedStack, stack: Stack | None, read: _Read) -> Opened:
    tasks = {task.name: task for task in stack.tasks} if stack else {}
    return Opened(rendered, tasks, _regions(stack) if stack else {}, others_of(rendered, read))


def opened_as_rendered(rendered: RenderedStack, read: _Read) -> Opened:
    """Open a stack as it lies rendered; the others that it refers to are *read* so, too. Raises as that does."""
    return Opened(rendered, {}, {}, others_of(rendered, read))


def others_of(rendered: RenderedStack, read: _Read) -> dict[str, RenderedStack]:
    """The stacks that one refers to, *read* as they lie rendered; one that never was rendered is left out."""
    project = rendered.folder.project
    folders = {name: StackFolder(project, project.stacks / name) for name in rendered.stacks_before}
    return {name: read(folder) for name, folder in folders.items() if folder.index.is_file()}


def write_render(rendering: Rendering, console: Console) -> Written:
    """Bring the rendered files up to date, and say what was left alone. Raises UserError as write() does."""
    written = write(rendering)
    folder = rendering.stack.folder
    for path in written.kept:
        console.warn(f"{folder.project.shown(folder.rendered / path)} is not ours: left alone, and not used")
    for name in rendering.stack.left_over:
        shown = folder.project.shown(folder.rendered / name)
        console.warn(f"{name} left the spec and still exists; {shown}/ stays: git does not have it, --prune needs it")
    return written


def keeping(rendering: Rendering) -> Rendering:
    """*rendering* with the units that left the spec and could be destroyed no more without their files."""
    folder = rendering.stack.folder
    with contextlib.suppress(OSError):
        if folder.index.read_bytes() == rendering.files[INDEX].encode():
            return rendering  # as for most, and nothing is left over
    try:
        before = read_index(folder)
    except UserError:
        return rendering
    if not (before.units.keys() | before.left_over.keys()) - rendering.stack.units.keys():
        return rendering
    repository = find_repository(folder.project.root)
    kept: dict[str, KeptUnit] = {}
    for records in _where_it_exists(folder):
        kept |= units_to_keep(records, before, rendering.stack, repository)
    return with_kept(rendering, kept) if kept else rendering


def _where_it_exists(folder: StackFolder) -> Iterator[Records]:
    """The records of what there is of a stack: for real, and in the sandbox where one is kept."""
    yield records_of(folder, sandbox=False, committed=True)
    with contextlib.suppress(UnavailableError):
        yield records_in_sandbox(folder.project)(folder)


def _regions(stack: Stack) -> dict[str, str]:
    for provider in stack.providers:
        region = provider.configuration.get("region")
        if provider.name == "aws" and isinstance(region, str) and not holds_opaque(region):
            return {"AWS_REGION": region}
    return {}
