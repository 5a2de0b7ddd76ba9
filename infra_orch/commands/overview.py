"""`infra-orch` without a command, in a project: where one stands, and what one is likely to want next.

It reads what lies rendered and recorded. No spec is evaluated and no Terraform is started, so it is there at once.
"""

from __future__ import annotations

from contextlib import suppress

from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.git.repository import find_repository
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import exists, left_over, records_of
from infra_orch.render.index import RenderedStack, read_index
from infra_orch.report.overview import StackStanding, Standing, overview_lines
from infra_orch.run.lock import holder_of, owing


def overview(project: Project, console: Console) -> int:
    """Print where one stands, and the most likely next commands. What cannot be read is said, and hides no more."""
    stacks = []
    for folder in project.stack_folders():
        try:
            stacks.append(_standing(folder))
        except UserError as error:
            where = f"{error.where}: " if error.where else ""
            console.warn(f"{folder.name}: {where}{error.summary}")
            stacks.append(StackStanding(folder.name, has_spec=folder.spec.is_file(), unreadable=True))
    console.result(overview_lines(Standing(project.root, stacks, _uncommitted(project, console)), console.style))
    console.note("infra-orch --help lists all commands")
    return 0


def _standing(folder: StackFolder) -> StackStanding:
    """How a stack stands. Raises UserError for a record or an index that cannot be read."""
    rendered = read_index(folder) if folder.index.is_file() else None
    records = records_of(folder, sandbox=False, committed=True)
    known = records.units()
    units = _units(rendered)
    died, at_work = _runs(folder)
    return StackStanding(
        folder.name,
        units=len(rendered.units) if rendered else None,
        applied=sum(exists(known.get(name)) for name in rendered.units) if rendered else 0,
        failed=tuple(name for name, record in known.items() if record["status"] == "failed"),
        left_over=tuple(left_over(records, units if folder.spec.is_file() else set())) if rendered else (),
        last=max((str(record["at"]) for record in known.values()), default=""),
        died=died,
        at_work=at_work,
        has_spec=folder.spec.is_file(),
    )


def _units(rendered: RenderedStack | None) -> set[str]:
    """The names of the units of a stack, those that they had before among them."""
    units = rendered.units.values() if rendered else ()
    return {name for unit in units for name in (unit.name, unit.formerly) if name}


def _runs(folder: StackFolder) -> tuple[bool, str]:
    """Whether a run of a stack died here, and which one is at work; the sandbox's are left out."""
    scratch = folder.project.root / ".infra-orch"  # not made for a look
    lock = scratch / "locks" / f"work-{folder.name.replace('/', '~')}.lock"
    with suppress(OSError):
        holder = holder_of(lock)
        if holder and not holder.is_gone:
            return False, str(holder)
        return owing(lock), ""
    return False, ""


def _uncommitted(project: Project, console: Console) -> tuple[str, ...]:
    """The files of stacks, specs and what is rendered and recorded, that are not as git has them."""
    try:
        repository = find_repository(project.root)
        return repository.dirty([repository.relative(project.stacks)]) if repository else ()
    except UserError as error:
        console.warn(error.summary)
        return ()
