"""`infra-orch list [STACK…]`: the stacks and units that there are, and how each stands to its last apply.

That is told from specs, modules and records. No Terraform is started and no state is read.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra_orch.commands.contents import Side
from infra_orch.commands.gone import gone_stacks, open_gone
from infra_orch.commands.sandboxing import records_in_sandbox
from infra_orch.commands.stacks import chosen_stacks, for_each_stack
from infra_orch.console import Console
from infra_orch.errors import ExitCode, SpecError, UserError, nearest
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import ENGINE, LOCK, SECRETS, UPSTREAM, Fingerprint, compare
from infra_orch.git.repository import find_repository
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import Records, exists, last_record, left_over, records_of
from infra_orch.render.index import RenderedUnit, digest
from infra_orch.report.listing import ListedStack, ListedUnit, State, listing_document, listing_lines, listing_summary

_OF_A_RUN = frozenset({ENGINE, UPSTREAM, SECRETS})
"""What a run gives a plan, which nobody can tell without one."""
_NO_LOCK = digest("")


def list_stacks(
    project: Project, stacks: Sequence[str], console: Console, *, tags: Sequence[str] = (), sandbox: bool = False
) -> int:
    """Print stacks with their units, all where none is named: what of each has changed since its last apply.

    With *tags* only units that have one of them. Returns 65 where a spec is wrong, which is said; what the records have
    of its units is listed all the same. Raises UsageError as chosen_stacks() does, UserError for a record that cannot
    be read, and UnavailableError where a sandbox is asked for and none is kept.
    """
    all_found = _listed(project, stacks, console, sandbox=sandbox)
    found = [stack.tagged(tags) for stack in all_found]
    known = {tag for stack in all_found for unit in stack.units for tag in unit.tags}
    if tags:
        found = [stack for stack in found if stack.units or stack.problems]
    if console.json:
        console.document(json.dumps(listing_document(found, sandbox=sandbox), indent=2, ensure_ascii=False))
    elif found:
        console.result(listing_lines(found, console.style))
        console.note(listing_summary(found))
    elif tags:
        console.note(f"no unit is tagged {' or '.join(tags)}")
        console.note(_near(tags, known))
    else:
        console.note("there are no stacks; infra-orch new stack NAME makes one")
    return ExitCode.SPEC if any(stack.problems for stack in found) else ExitCode.DONE


def _near(tags: Sequence[str], known: set[str]) -> str:
    return next(filter(None, (nearest(tag, known) for tag in tags)), f"tags: {', '.join(sorted(known)) or 'none'}")


def _listed(project: Project, stacks: Sequence[str], console: Console, *, sandbox: bool) -> list[ListedStack]:
    records_in = records_in_sandbox(project) if sandbox else partial(records_of, sandbox=False, committed=True)
    if stacks:
        names = chosen_stacks(project, stacks, console, everything=False)
        return _with_specs(project, names, records_in, console)
    folders = list(project.stack_folders())
    there = _with_specs(project, [folder.name for folder in folders if folder.spec.is_file()], records_in, console)
    without = [folder for folder in folders if not folder.spec.is_file()]
    # What of a stack that is in git alone exists in an emulator, only that knows.
    gone = () if sandbox else _gone(project, {folder.name for folder in folders}, console)
    return [*there, *_without_spec(without, records_in), *gone]


def _with_specs(
    project: Project, names: Sequence[str], records_in: Callable[[StackFolder], Records], console: Console
) -> list[ListedStack]:
    repository = find_repository(project.root)
    within = repository.root if repository else project.root
    side = Side(project, within, Path.cwd(), frozenset(names), apart=False)
    found: list[ListedStack] = []

    def look(name: str) -> int:
        records = records_in(project.stack(name))
        try:
            found.append(_stack(name, side.evaluated(name), records))
        except SpecError as error:
            known = tuple(_by_record(records, "unknown"))
            found.append(ListedStack(name, known, problems=tuple(problem.message for problem in error.problems)))
            raise
        return ExitCode.DONE

    with contextlib.closing(side.specs):
        for_each_stack(names, console, look)
    return found


def _stack(name: str, content: Content, records: Records) -> ListedStack:
    known = records.units()
    units = [_unit(unit, content.units[unit.name], known) for unit in content.stack.units.values()]
    gone = left_over(records, {*content.stack.units, *content.former})
    return ListedStack(name, (*units, *(ListedUnit(unit, "left over", known[unit]) for unit in gone)))


def _unit(unit: RenderedUnit, now: Fingerprint, known: Mapping[str, Mapping[str, Any]]) -> ListedUnit:
    """How a unit stands to its last apply, or to that under its former name."""
    record, renamed = last_record(unit, known)
    before = Fingerprint.from_json(record.get("fingerprint")) if record else None
    listed = partial(ListedUnit, unit.name, last=record, module=unit.module, tags=unit.tags)
    if record is None:
        return listed(state="unapplied")
    if record["status"] != "applied":
        return listed(state="failed" if exists(record) else "destroyed")
    if before is None:
        return listed(state="unknown")
    # What else has changed comes of that, most of the time.
    changed = (*((f"renamed from {unit.formerly}",) if renamed else ()), *_changed(now, before))
    # What a remote module holds is as good as known by the version that it is called with.
    state: State = "stale" if changed else "unknown" if now.unseen else "current"
    return listed(state=state, changed=changed, unseen=now.doubts)


def _changed(now: Fingerprint, before: Fingerprint) -> Iterator[str]:
    """What of a fingerprint is not as it was *before*, as far as that can be told without a run."""
    for name, change in compare(now, before).items():
        # Where none lies beside the rendered files, that of the last run is used again.
        untold = name in _OF_A_RUN or (name == LOCK and now.parts[LOCK] == _NO_LOCK)
        if change != "same" and not untold:
            yield f"{name} {change}"


def _by_record(records: Records, state: State) -> Iterator[ListedUnit]:
    """The units that exist by their records alone."""
    return (ListedUnit(name, state, record) for name, record in records.units().items() if exists(record))


def _without_spec(
    folders: Sequence[StackFolder], records_in: Callable[[StackFolder], Records]
) -> Iterator[ListedStack]:
    """Stacks whose rendered files are here without a spec, and of which something exists by its records."""
    for folder in folders:
        if units := tuple(_by_record(records_in(folder), "left over")):
            yield ListedStack(folder.name, units, deleted=True)


def _gone(project: Project, there: set[str], console: Console) -> Iterator[ListedStack]:
    """Stacks that are in git alone, and of which something exists by its records."""
    for name in gone_stacks(project, there):
        try:
            # It says what a destroy would leave to another stack, which is not asked here.
            opened = open_gone(project, name, Console(err=io.StringIO()), sandbox=False)
        except UserError as error:
            console.warn(f"{name}: {error.summary}")
            continue
        if opened:
            units = tuple(ListedUnit(unit, "left over", opened.records.get(unit)) for unit in opened.rendered.left_over)
            yield ListedStack(name, units, deleted=True)
