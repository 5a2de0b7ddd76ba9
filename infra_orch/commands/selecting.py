"""Narrow a stack to the units that were asked for, and add those that left the spec and are to go."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from infra_orch.commands.opening import Opened
from infra_orch.commands.wanted import Wanted
from infra_orch.errors import RefusedError, UsageError, nearest
from infra_orch.graph.graph import Graph
from infra_orch.project import StackFolder, stack_and_unit
from infra_orch.record.leftover import LeftOver
from infra_orch.record.store import Records, exists
from infra_orch.render.index import RenderedStack, RenderedUnit
from infra_orch.run.joint import whole_graph
from infra_orch.run.outcome import Failure
from infra_orch.run.pace import Pace
from infra_orch.run.plan import Selection
from infra_orch.run.prepare import UnitWork, read_files

_SHOWN = 10
"""So many names a message holds."""


def wanted_of_each(stacks: Mapping[str, Opened], wanted: Wanted) -> dict[str, Wanted]:
    """Return what is wanted of each of *stacks*, by their names; in them all together every name has to fit something.

    A name may hold that of the stack (`network/vpc`). What is up- or downstream of it comes along in all of them.
    Raises UsageError where a name or a tag fits nothing in any.
    """
    if wanted.everything:
        return dict.fromkeys(stacks, wanted)
    rendered = {stack: opened.rendered for stack, opened in stacks.items()}
    units = {f"{stack}/{name}": unit for stack, one in rendered.items() for name, unit in one.units.items()}
    found: set[str] = set()
    for pattern in wanted.units:
        names = [name for name in units if fnmatch.fnmatch(name if "/" in pattern else _own_name(name), pattern)]
        if not names:
            like = nearest(pattern, {*units, *map(_own_name, units)})
            hint = like or f"units: {', '.join(sorted(units)[:_SHOWN]) or 'none'}"
            raise UsageError(f'no unit of {_named(stacks)} is called "{pattern}"', hint=hint)
        found |= set(names)
    for tag in wanted.tags:
        names = [name for name, unit in units.items() if tag in unit.tags]
        if not names:
            tags = {tag for unit in units.values() for tag in unit.tags}
            hint = nearest(tag, tags) or f"tags: {', '.join(sorted(tags)) or 'none'}"
            raise UsageError(f'no unit of {_named(stacks)} has the tag "{tag}"', hint=hint)
        found |= set(names)
    graph = whole_graph(rendered, "plan")
    closure = set(found)
    for asked, down in ((wanted.with_upstream, False), (wanted.with_downstream, True)):
        closure |= graph.closure(found, down=down) if asked else set()
    by_stack: dict[str, set[str]] = {stack: set() for stack in rendered}
    for stack, name in map(stack_and_unit, closure & units.keys()):
        by_stack[stack].add(name)
    return {
        stack: Wanted(nodes=_with_tasks(rendered[stack], mine)) if mine else Wanted.of_units(())
        for stack, mine in by_stack.items()
    }


def _own_name(node: str) -> str:
    """What a node is called in its stack."""
    return stack_and_unit(node)[1]


def _named(stacks: Collection[str]) -> str:
    names = sorted(stacks)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more stacks" if len(names) > _SHOWN else "")


def chosen_names(opened: Opened, wanted: Wanted) -> frozenset[str]:
    """Return the names of the nodes that were asked for; all where nothing was.

    A task comes along where all that it comes after is in the run; one that comes after nothing, or that runs in a
    destroy, where all units that it comes before are. Raises UsageError where a name fits no unit.
    """
    rendered = opened.rendered
    if wanted.nodes:
        return wanted.nodes & rendered.graph.upstream.keys()
    if wanted.everything:
        return frozenset(rendered.graph.upstream)
    named = _named_units(rendered, wanted)
    found = set(named)
    graph = rendered.graph.without(rendered.of_destroys)
    if wanted.with_upstream:
        found |= graph.closure(named, down=False)
    if wanted.with_downstream:
        found |= graph.closure(named, down=True)
    return _with_tasks(rendered, found & rendered.units.keys())


def _named_units(rendered: RenderedStack, wanted: Wanted) -> frozenset[str]:
    """The units that fit a pattern or have a tag. Raises UsageError for one that nothing fits."""
    found: set[str] = set()
    for pattern in wanted.units:
        names = fnmatch.filter(rendered.units, pattern)
        if not names:
            hint = nearest(pattern, rendered.units) or f"units: {', '.join(rendered.units) or 'none'}"
            raise UsageError(f'no unit of {rendered.name} is called "{pattern}"', hint=hint)
        found |= set(names)
    for tag in wanted.tags:
        names = [name for name, unit in rendered.units.items() if tag in unit.tags]
        if not names:
            tags = {tag for unit in rendered.units.values() for tag in unit.tags}
            hint = nearest(tag, tags) or f"tags: {', '.join(sorted(tags)) or 'none'}"
            raise UsageError(f'no unit of {rendered.name} has the tag "{tag}"', hint=hint)
        found |= set(names)
    return frozenset(found)


def _with_tasks(rendered: RenderedStack, units: frozenset[str] | set[str]) -> frozenset[str]:
    """*units* and the tasks that come along with them."""
    found = set(units)
    destroys = rendered.of_destroys
    others = rendered.tasks.keys() - destroys
    for graph, tasks in ((rendered.graph.without(destroys), others), (rendered.graph.reversed(), destroys)):
        for name in graph.order():
            tied = graph.upstream[name]
            if not tied or name in destroys:
                tied |= graph.downstream[name] & rendered.units.keys()
            if name in tasks and tied and tied <= found:
                found.add(name)
    return frozenset(found)


def refuse_unknown(opened: Opened, unit: str) -> None:
    """Refuse a name that no unit has, with the nearest that one has. Raises UsageError."""
    units = opened.rendered.units
    if unit not in units:
        raise UsageError(
            f'no unit of {opened.rendered.name} is called "{unit}"',
            hint=nearest(unit, units) or f"units: {', '.join(units) or 'none'}",
        )


def select(opened: Opened, wanted: Wanted, kind: str, pace: Pace, *, left_over: Iterable[LeftOver] = ()) -> Selection:
    """Return what a run of *kind* works on. *left_over* are units that left the spec and are to be destroyed in it.

    *pace* is completed by the limits that the stack sets.
    """
    rendered = opened.rendered
    chosen = chosen_names(opened, wanted)
    # A plan runs its own tasks, and shows those that the apply will run.
    kinds = ("plan", "apply") if kind == "plan" else (kind,)
    tasks = {name for name, task in rendered.tasks.items() if task.on in kinds and name in chosen}
    names = {name for name in chosen if name in rendered.units} | tasks
    gone = {item.name: UnitWork(item.unit, item.files, destroy=True) for item in left_over}
    readers = [
        *(unit for name, unit in rendered.units.items() if name in names),
        *(work.unit for work in gone.values()),
    ]
    now = _renamed(rendered)
    read = names.union(*({now.get(upstream, upstream) for upstream in unit.needs} for unit in readers))
    works = {
        name: UnitWork(unit, read_files(rendered.folder.rendered, unit), destroy=kind == "destroy")
        for name, unit in rendered.units.items()
        if name in read
    }
    units = {name: work for name, work in works.items() if name in names}
    known = {**{formerly: works[name] for formerly, name in now.items() if name in works}, **works, **gone}
    known |= _elsewhere(opened, readers)
    outside = {
        upstream: known[upstream]
        for work in (*units.values(), *gone.values())
        for upstream in work.unit.needs
        if upstream in known and (upstream not in units or work.unit.name in gone)
    }
    graph = _with_left_over(rendered.order(kind).only(names), tuple(left_over), kind, now)
    return Selection(
        units={**units, **gone},
        outside=outside,
        tasks={name: opened.tasks[name] for name in tasks if name in opened.tasks},
        graph=graph,
        kind=kind,
        regions={"": opened.regions},
        pace=replace(
            pace,
            limits=rendered.concurrency,
            keys={name: work.unit.tags for name, work in {**units, **gone}.items()},
        ),
    )


def _elsewhere(opened: Opened, readers: Iterable[RenderedUnit]) -> dict[str, UnitWork]:
    """The units of other stacks that *readers* read, as they lie rendered, by their names."""
    names = {name for unit in readers for name in unit.needs if stack_and_unit(name)[0]}
    return {name: work for name in sorted(names) if (work := opened.elsewhere(name))}


def refuse_orphans(opened: Opened, names: Iterable[str], records: Records, left_over: Iterable[LeftOver] = ()) -> None:
    """Refuse a destroy that would take units away from under others that still exist, *left_over* ones included.

    Raises RefusedError that names them.
    """
    going = set(names)
    now = _renamed(opened.rendered)
    for item in left_over:
        if item.name not in going and not going.isdisjoint(now.get(name, name) for name in item.unit.needs):
            raise RefusedError(
                f"{item.name} left the spec, still exists, and depends on what would be destroyed",
                hint=f"infra-orch apply {opened.folder.name} --prune destroys it",
            )
    known = records.units()
    standing = sorted(
        after
        for name in going
        for after in opened.rendered.graph.downstream.get(name, ())
        if after in opened.rendered.units and after not in going and exists(known.get(after))
    )
    if standing:
        raise RefusedError(
            f"{standing[0]} still exists and depends on what would be destroyed",
            hint="--with-downstream destroys it too",
        )


def states_elsewhere(selection: Selection, folder: StackFolder, records: Records) -> list[str]:
    """The units that exist, by their records, and whose states would be files beside the stack, and are not there: this
    is a fresh clone, and the states are on another machine.
    """
    known = records.units()
    return [
        name
        for name, work in selection.units.items()
        if exists(known.get(name))
        and f"{folder.project.shown(folder.state)}/{name}.tfstate" in work.files.get("backend.tf", "")
        and not any((folder.state / f"{name}.tfstate").exists() for name in (name, work.unit.formerly) if name)
    ]


def state_is_missing(units: Sequence[str], folder: StackFolder) -> Failure:
    """Say of those *units* that states_elsewhere() names why nothing can be said of them, and what can be done."""
    shown = folder.project.shown
    exist = "exists" if len(units) == 1 else "exist"
    return Failure(
        f"{', '.join(units)} {exist}, says the record in git, and no state is in {shown(folder.state)}/",
        hint="states beside the stack are on the machine that applied it: bring them here, or use a backend that all "
        f"share; what is certainly gone: git rm {shown(folder.record)}/{units[0]}.json",
    )


def refuse_missing_variables(selection: Selection) -> None:
    """Refuse a run whose units read environment variables that are not set. Raises UsageError that names them all."""
    readers: dict[str, list[str]] = {}
    for name, work in selection.units.items():
        for variable in work.unit.variables:
            if variable not in os.environ:
                readers.setdefault(variable, []).append(name)
    if readers:
        told = "; ".join(f"{variable} (by {', '.join(names)})" for variable, names in sorted(readers.items()))
        raise UsageError(
            f"environment variables that env() reads are not set: {told}",
            hint="; ".join(f"export {variable}=…" for variable in sorted(readers)),
        )


def _renamed(rendered: RenderedStack) -> dict[str, str]:
    """The names that units have now, by the former ones, under which units that left the spec know them."""
    return {
        unit.formerly: name
        for name, unit in rendered.units.items()
        if unit.formerly and unit.formerly not in rendered.units
    }


def _with_left_over(graph: Graph, left_over: tuple[LeftOver, ...], kind: str, now: Mapping[str, str]) -> Graph:
    """Add units that left the spec: each goes after what used to depend on it has let go of it, or is gone.

    *now* are the present names of units by their former ones. The graph of a destroy is in the order of creation, since
    it is walked the other way round. Raises RefusedError where the spec has been turned round so that there is no such
    order.
    """
    gone = {item.name for item in left_over}
    nodes = {*graph.upstream, *gone}
    edges = set(graph.edges)
    for item in left_over:
        needs = {now.get(name, name) for name in item.unit.needs}
        dependents = {now.get(name, name) for name in item.dependents}
        if kind == "destroy":
            edges |= {(first, item.name) for first in needs & nodes}
            edges |= {(item.name, after) for after in dependents & nodes}
        else:
            # While the state of a unit that was renamed is looked for, nobody else may read it.
            edges |= {(first, item.name) for first in needs & set(now.values()) & graph.upstream.keys()}
            edges |= {(item.name, first) for first in needs & gone}
            edges |= {(after, item.name) for after in dependents & graph.upstream.keys()}
    whole = Graph.of(nodes, edges)
    if cycle := whole.cycle():
        raise RefusedError(
            f"with the units that left the spec there is no order to destroy in: {' -> '.join(cycle)}",
            hint="apply with --prune first: it destroys those that left",
        )
    return whole
