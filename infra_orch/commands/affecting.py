"""What a change affects, told from the specs and modules as they were at a commit, and as they are."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra_orch.commands.selecting import Wanted
from infra_orch.console import Console
from infra_orch.errors import UsageError, UserError
from infra_orch.fingerprint.affected import Affected, Content, affected
from infra_orch.fingerprint.fingerprint import Given, fingerprint_of
from infra_orch.fingerprint.sources import Sources
from infra_orch.git.export import export
from infra_orch.git.repository import Repository, find_repository
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import Project
from infra_orch.render.write import render_stack
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack

_MADE = re.compile(r"stacks/(?:.+/)?(?:rendered/(?:stack\.json|[^/]+/[^/]+\.tf)|record/.*)")
"""What is made of specs and runs, and so tells nothing of what has changed."""


@dataclass(frozen=True)
class Change:
    """From the commit *base* to the one called *head*, or to the working tree.

    *downstream*: what comes after an affected unit is so, too. *why*: the reasons are told.
    """

    base: str
    head: str | None = None
    downstream: bool = True
    why: bool = False


def change_asked_for(
    base: str | None, head: str | None = None, *, wanted: bool, downstream: bool, why: bool
) -> Change | None:
    """Return the change that the flags name. Raises UsageError where they do not go together."""
    if not wanted:
        if base or head or why or not downstream:
            flag = "--base" if base else "--head" if head else "--why" if why else "--no-downstream"
            raise UsageError(f"{flag} says what --affected compares, which is missing", hint="add --affected")
        return None
    if not base:
        raise UsageError("--affected compares with a commit, which is missing", hint="--base main")
    return Change(base, head, downstream, why)


def affected_units(project: Project, stacks: Sequence[str] | None, change: Change, console: Console) -> Affected:
    """Return what a change affects in *stacks*; None: in all that there are, or were.

    The specs of both sides are evaluated, the base's, and the head's where one is named, from a copy of the commit: the
    checkout is not touched. Raises UsageError where a commit is not there, SpecError where a spec of the head is wrong.
    """
    repository = find_repository(project.root)
    if repository is None:
        raise UsageError("--affected compares with a commit, and this is no git repository", hint="git init")
    with _at(project, repository, change.base) as before, _head(project, repository, change.head) as head:
        names = [folder.name for folder in head.stack_folders()] if stacks is None else list(stacks)
        sources = Sources(head)
        now = {name: _content(head, name, sources) for name in names}
        known = {folder.name for folder in before.stack_folders()}
        looked_at = known if stacks is None else known.intersection(names)
        sources = Sources(before)
        base = {name: _content_before(before, name, sources, change.base, console) for name in sorted(looked_at)}
    found = affected(now, base, downstream=change.downstream)
    if change.why:
        _explain(found, console)
    return found


def affected_stacks(project: Project, stacks: Sequence[str], change: Change, console: Console) -> list[str]:
    """Return those of *stacks* (none: of all) in which a change affects something, and say so where there are none.

    Raises as affected_units() does.
    """
    found = affected_units(project, stacks or None, change, console)
    if not found.reasons:
        console.note(f"nothing is affected by what changed since {change.base}")
    return list(found.reasons)


def narrow(project: Project, stack: str, wanted: Wanted, change: Change, console: Console) -> Wanted:
    """Return what of a stack a change affects, to be worked on.

    Raises UsageError where something else was asked for, too, and as affected_units() does.
    """
    if not wanted.everything:
        raise UsageError("--affected chooses the units, and so do --unit and --tag", hint="give one of the two")
    stack = project.stack(stack).name
    found = affected_units(project, [stack], change, console)
    gone = [unit for _, unit in found.deleted]
    if gone:
        hint = "a run of the whole stack with --prune destroys what still exists"
        console.note(f"deleted since {change.base}: {', '.join(gone)}; {hint}")
    units = found.units(stack)
    if not units:
        console.note(f"nothing in {stack} is affected by what changed since {change.base}")
    return Wanted(units=units) if units else Wanted(nodes=frozenset({""}))


def _explain(found: Affected, console: Console) -> None:
    for stack, units in found.reasons.items():
        for unit, reasons in units.items():
            console.note(f"{stack}/{unit}: {'; '.join(reasons)}")
    for stack, unit in found.deleted:
        console.note(f"{stack}/{unit}: it is deleted")


@contextlib.contextmanager
def _at(project: Project, repository: Repository, ref: str) -> Iterator[Project]:
    """The project as it was at a commit, in a folder of its own that is removed afterwards."""
    commit = repository.resolve(ref)
    if commit is None:
        raise UsageError(f'there is no commit "{ref}" here', hint=_how_to_get(repository, ref))
    with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
        root = Path(folder).resolve() / "project"
        root.mkdir()
        below = repository.relative(project.root) if project.root != repository.root else ""
        if not below or repository.ask("cat-file", "-e", f"{commit}:{below}")[0] == 0:
            export(repository, commit, below, root, lambda path: not _MADE.fullmatch(path))
        (root / "stacks").mkdir(exist_ok=True)
        yield replace(project, root=root, caches=project.cache)


@contextlib.contextmanager
def _head(project: Project, repository: Repository, ref: str | None) -> Iterator[Project]:
    if ref is None:
        yield project
        return
    with _at(project, repository, ref) as head:
        yield head


def _how_to_get(repository: Repository, ref: str) -> str:
    shallow = repository.git("rev-parse", "--is-shallow-repository").strip() == b"true"
    name = ref.removeprefix("origin/")
    if shallow:
        fetch = f"git fetch --depth=1 origin {name}:refs/remotes/origin/{name}"
        return f"this is a shallow clone: {fetch}, and --base origin/{name}; or git fetch --unshallow"
    return f"git fetch origin {name}, and --base origin/{name}"


def _content(project: Project, name: str, sources: Sources) -> Content:
    folder = project.stack(name)
    rendering = render_stack(check_stack(load_stack(folder), folder))
    units = {}
    for unit in rendering.stack.units.values():
        files = {file: rendering.files[f"{unit.name}/{file}"] for file in unit.files}
        lock = folder.rendered / unit.name / LOCK_FILE
        if lock.is_file():
            files[LOCK_FILE] = lock.read_text(encoding="utf-8")
        units[unit.name] = fingerprint_of(unit, files, sources, Given(engine=""))
    return Content(units, rendering.stack.graph)


def _content_before(project: Project, name: str, sources: Sources, ref: str, console: Console) -> Content | None:
    """None, and that is said, where it cannot be evaluated: then nobody knows what was different."""
    try:
        return _content(project, name, sources)
    except (UserError, OSError) as error:
        first = str(error).splitlines()[0]
        console.warn(f"{name} cannot be evaluated as it was at {ref}, so all of it is selected: {first}")
        return None
