"""A preview as a comment on a pull request: Markdown as GitHub and GitLab have it, no longer than they take.

Whatever others may have written, an address, a value, an error, stands in fences, where it can be no heading, no
mention and no link; each fence is longer than any run of backticks in it. Names of stacks and units are harmless by
themselves. Every part has shorter versions: what is least important is shortened first, and that is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra_orch.record.read import read_outcomes
from infra_orch.record.store import counted
from infra_orch.report.mark import mark_of
from infra_orch.report.markdown import at_most, code, escaped, fence, folded, length, one_line, so_many
from infra_orch.report.terminal import worth_showing
from infra_orch.run.differences import UNKNOWN_TEXT
from infra_orch.run.outcome import AttributeChange, Basis, Counts, Failure, Outcome, ResourceChange, Status

LIMIT = 65_536
"""Characters that a comment on GitHub may have; on GitLab it may have a million."""
_BREAKS = re.compile(r"[<>\s\\]")
_MOST_LINES = 100
_FEW_LINES = 10
_UNITS = 3
"""The rank of what is folded; what has a lower one stands open."""
_WORST_FIRST = ("delete", "replace", "create", "update", "import", "move")
_AMISS = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.DEFERRED, Status.CANCELLED)
_WAITING = (Status.DEFERRED, Status.BLOCKED, Status.CANCELLED)
_SIGNS = {("create",): "+", ("update",): "!", ("delete",): "-", ("delete", "create"): "-", ("create", "delete"): "-"}
_BASES = {
    Basis.EXACT: "",
    Basis.PLANNED: " · rests on values that upstream plans promise",
    Basis.UNKNOWN: " · not known yet: {}",
}

Nodes: TypeAlias = Mapping[str, Outcome]
"""Units and tasks, by the names of their stacks and their own."""


@dataclass(frozen=True)
class About:
    """What a comment is about: the commit *head*, compared with *base*, as the reader knows them; that of an apply is
    compared with nothing. *kind* is `preview` or `apply`.

    *group* tells the comments of one pull request apart. *report* is the address of the full report, if there is one.
    *deleted*: the units and stacks that the change deletes and leaves as they are.
    """

    base: str
    head: str
    group: str = "default"
    report: str = ""
    kind: str = "preview"
    deleted: Sequence[str] = ()


@dataclass(frozen=True)
class _Part:
    """A part of the comment in its *versions*, the shortest first, each with what a reader of it does not see; and how
    important it is: the lower the *rank*, the more.
    """

    rank: int
    versions: Sequence[tuple[str, str]]


def comment(stacks: Mapping[str, Mapping[str, Any]], about: About, limit: int = LIMIT) -> str:
    """Return a preview as Markdown of at most *limit* characters, the verdict in its first line.

    *stacks* are the documents of the runs (schema run-document-1), by the names of the stacks' folders.
    """
    nodes = nodes_of(stacks)
    said = applied_verdict(nodes) if about.kind == "apply" else verdict(nodes, about.deleted)
    head, foot = f"### {said}", _foot(stacks, about)
    parts = [*_parts(nodes), *_deleted(about.deleted), *_left_over(stacks, about.deleted)]
    texts, unseen = _fitted(parts, limit - length(head) - length(foot) - length(_apology(Counter(_UNSEEN))) - 10)
    return "\n\n".join(filter(None, [head, *texts, _apology(unseen), foot])) + "\n"


def nodes_of(stacks: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
    """Return the units and tasks of runs, given their documents by the names of the stacks' folders."""
    return {f"{stack}/{name}": node for stack, run in stacks.items() for name, node in read_outcomes(run).items()}


def verdict(nodes: Nodes, deleted: Sequence[str] = ()) -> str:
    """Return in one line what a run would do: `infra-orch: 1 to destroy, 2 to create · 3 units in 2 stacks`.

    *deleted*: the units and stacks that the change deletes and leaves as they are.
    """
    statuses = Counter(node.status for node in nodes.values())
    said = [f"{statuses[status]} {status}" for status in _AMISS if statuses[status]]
    changed = [name for name, node in nodes.items() if _changes(node)]
    counts = _counts(nodes[name] for name in changed)
    said += [counts] if counts else ["only outputs change"] if changed else []
    tasks = [name for name, node in nodes.items() if node.is_task and node.status is Status.PLANNED]
    said += [f"{so_many(tasks, 'task')} to run"] if tasks else []
    said += [f"{len(deleted)} deleted, not destroyed"] if deleted else []
    stacks = {name.rpartition("/")[0] for name in changed}
    where = f" · {so_many(changed, 'unit')} in {so_many(stacks, 'stack')}" if changed else ""
    return f"infra-orch: {', '.join(said) or 'no changes'}{where}"


def applied_verdict(nodes: Nodes) -> str:
    """Return in one line what a run did: `infra-orch: applied 2 created · 1 unit in 1 stack`."""
    statuses = Counter(node.status for node in nodes.values())
    amiss = [f"{statuses[status]} {status}" for status in _AMISS if statuses[status]]
    changed = [name for name, node in nodes.items() if _changes(node)]
    counts = _counts(nodes[name] for name in changed)
    done = [counts] if counts else ["outputs"] if changed else []
    where = f" · {so_many(changed, 'unit')} in {so_many({name.rpartition('/')[0] for name in changed}, 'stack')}"
    if amiss:
        return f"infra-orch: apply failed: {', '.join([*amiss, *done])}{where if changed else ''}"
    return f"infra-orch: applied {', '.join(done)}{where}" if changed else "infra-orch: nothing to apply"


def _parts(nodes: Nodes) -> Iterator[_Part]:
    yield from _destroyed(nodes)
    for name, node in nodes.items():
        if node.status in (Status.FAILED, Status.REFUSED):
            yield _failure(name, node)
    yield from _not_planned(nodes)
    changed = {name: node for name, node in nodes.items() if _changes(node)}
    for name in sorted(changed, key=lambda name: _weight(changed[name])):
        yield _unit(name, changed[name])
    yield from _warnings(nodes)
    yield from _rest(nodes)


def _destroyed(nodes: Nodes) -> Iterator[_Part]:
    """What is destroyed or replaced, in the open, and by which attribute it has to be replaced."""
    lines, plain = [], []
    for name, node in nodes.items():
        for change in node.resources if _changes(node) else ():
            if change.destroys:
                line = f"- {name}: {one_line(change.address)} is {'replaced' if change.replaces else 'destroyed'}"
                plain.append(line)
                forcing = (attribute for attribute in change.attributes if attribute.forces_replacement)
                lines += [line, *(_attribute("-", attribute) for attribute in forcing)]
    if plain:
        title = f"#### Destroyed or replaced: {so_many(plain, 'resource')}\n\n"
        few, most = at_most(plain, _FEW_LINES), at_most(plain, _MOST_LINES)
        # One that has as many lines leaves nothing out.
        shorter = [(few, "destroyed"), (most, "destroyed"), (plain, "attributes")]
        versions = [*((some, unseen) for some, unseen in shorter if len(some) < len(lines)), (lines, "")]
        yield _Part(0, [(title + fence(some, "diff"), unseen) for some, unseen in versions])


def _failure(name: str, node: Outcome) -> _Part:
    title = f"#### `{name}` {node.status}"
    failure = node.failure or Failure("nobody knows why")
    summary = [one_line(failure.summary), *([f"→ {one_line(failure.hint)}"] if failure.hint else [])]
    detail = [one_line(line) for line in failure.detail.strip().splitlines()][:_MOST_LINES]
    brief, whole = (f"{title}\n\n{fence(each)}" for each in (summary, [*summary, *([""] if detail else []), *detail]))
    return _Part(1, [("", "failures"), (title, "errors"), (brief, "errors" if detail else ""), (whole, "")])


def _not_planned(nodes: Nodes) -> Iterator[_Part]:
    waiting = {name: node for name, node in nodes.items() if node.status in _WAITING}
    if waiting:
        title = f"#### Not planned: {so_many(waiting, 'unit')}"
        lines = [f"{name} is {node.status}: {_why(node)}" for name, node in waiting.items()]
        some, whole = (f"{title}\n\n{fence(each)}" for each in (at_most(lines, _FEW_LINES), lines))
        yield _Part(2, [(title, "reasons"), (some, "reasons" if some != whole else ""), (whole, "")])


def _why(node: Outcome) -> str:
    if node.unknown_inputs:
        return f"waits for {', '.join(map(one_line, node.unknown_inputs))}"
    return one_line(node.failure.summary) if node.failure else "nobody knows why"


def _unit(name: str, node: Outcome) -> _Part:
    said = escaped(does(node))
    title = f"<code>{name}</code>: {said}"
    outputs = [f"  outputs that change: {one_line(', '.join(node.outputs_changed))}"] if node.outputs_changed else []
    brief = resource_lines(node) + outputs
    whole = resource_lines(node, attributes=True) + outputs
    shorter = [(folded(title, brief), "attributes")] if len(brief) < len(whole) else []
    versions = [("", "units"), (f"- `{name}`: {said}", "resources"), *shorter, (folded(title, whole), "")]
    return _Part(_UNITS + _weight(node), versions)


def does(node: Outcome) -> str:
    """Return in a few words what happens to a unit, and what its plan rests on where that is not certain."""
    basis = _BASES[node.basis].format(", ".join(map(one_line, node.unknown_inputs)))
    gone = " · the unit is destroyed" if node.destroys_unit else ""
    return f"{_counts([node]) or ('only outputs change' if node.outputs_changed else node.status)}{gone}{basis}"


def resource_lines(node: Outcome, *, attributes: bool = False) -> list[str]:
    """Return a line for each resource that changes in a unit, signed as in a diff, and for its *attributes*."""
    found = [_resource(change) for change in node.resources]
    return [text for line, below in found for text in (line, *(below if attributes else ()))]


def _resource(change: ResourceChange) -> tuple[str, list[str]]:
    """A line for a resource, and those of its attributes."""
    sign = _SIGNS.get(change.actions, "#")
    notes = ["replaced"] if change.replaces else []
    notes += [f"moved from {one_line(change.moved_from)}"] if change.moved_from else []
    notes += [f"imported, id {one_line(change.imported_id)}"] if change.imported_id is not None else []
    notes += [f"deposed {one_line(change.deposed)}"] if change.deposed else []
    line = f"{sign} {one_line(change.address)}" + (f"  ({', '.join(notes)})" if notes else "")
    attributes, unknown = worth_showing(change)
    later = [f"{sign}     {', '.join(map(one_line, unknown))} = {UNKNOWN_TEXT}"] if unknown else []
    return line, [*(_attribute(sign, one, new=sign == "+") for one in attributes), *later]


def _attribute(sign: str, attribute: AttributeChange, *, new: bool = False) -> str:
    before = "" if new else f"{one_line(attribute.before)} → "
    forces = "  # forces replacement" if attribute.forces_replacement else ""
    return f"{sign}     {one_line(attribute.path)} = {before}{one_line(attribute.after)}{forces}"


def _warnings(nodes: Nodes) -> Iterator[_Part]:
    lines = [f"{name}: {one_line(warning)}" for name, node in nodes.items() for warning in node.warnings]
    if lines:
        title = so_many(lines, "warning")
        yield _Part(_UNITS + 3, [(f"- {title}", "warnings"), (folded(title, lines, ""), "")])


def _rest(nodes: Nodes) -> Iterator[_Part]:
    """What stays as it is, in one folded line."""
    for status in (Status.UNCHANGED, Status.SKIPPED):
        names = [name for name, node in nodes.items() if node.status is status and not node.is_task]
        if names:
            title = f"{so_many(names, 'unit')} {status}"
            yield _Part(_UNITS + 4, [(f"- {title}", "names"), (folded(title, [", ".join(names)], ""), "")])


def _deleted(names: Sequence[str]) -> Iterator[_Part]:
    """What the change takes out of its spec and leaves as it is."""
    if names:
        title = f"{len(names)} deleted by this change, and left as {'it is' if len(names) == 1 else 'they are'}"
        whole = f"**{title}**: {', '.join(map(code, names))}. With `--prune`, what still exists is destroyed."
        yield _Part(_UNITS - 1, [(f"- {title}", "names"), (whole, "")])


def _left_over(stacks: Mapping[str, Mapping[str, Any]], told: Sequence[str]) -> Iterator[_Part]:
    """What left its spec before the change and would stay; not what was *told* already."""
    names = [f"{stack}/{unit}" for stack, run in stacks.items() for unit in run.get("left_over", ())]
    names = [name for name in names if name not in told]
    if names:
        title = f"{so_many(names, 'unit')} left the spec and still {'exists' if len(names) == 1 else 'exist'}"
        whole = folded(f"{title}; <code>--prune</code> destroys what does", [", ".join(names)], "")
        yield _Part(_UNITS + 3, [(f"- {title}", "names"), (whole, "")])


_UNSEEN = {
    "destroyed": "destroyed resources",
    "failures": "failures",
    "errors": "details of errors",
    "reasons": "reasons",
    "units": "units",
    "resources": "resources of units",
    "attributes": "attributes",
    "warnings": "warnings",
    "names": "names of units",
}


def _fitted(parts: Sequence[_Part], room: int) -> tuple[list[str], Counter[str]]:
    """Choose a version of each part so that all are within *room*, and count what is not seen.

    Each has the shortest at first. What stands open gets all that it can, then what is folded, each a little longer in
    turn, as long as there is room.
    """
    chosen = [0] * len(parts)
    room -= sum(length(part.versions[0][0]) + 2 for part in parts if part.versions[0][0])
    steps = [
        (min(part.rank, _UNITS), level if part.rank >= _UNITS else 0, part.rank, number, level)
        for number, part in enumerate(parts)
        for level in range(1, len(part.versions))
    ]
    for *_, number, level in sorted(steps):
        before, after = parts[number].versions[chosen[number]][0], parts[number].versions[level][0]
        more = length(after) + 2 - (length(before) + 2 if before else 0)
        if more <= room:
            chosen[number], room = level, room - more
    versions = [part.versions[level] for part, level in zip(parts, chosen, strict=True)]
    return [text for text, _ in versions if text], Counter(unseen for _, unseen in versions if unseen)


def _apology(unseen: Mapping[str, int]) -> str:
    if not unseen:
        return ""
    words = {**_UNSEEN, "units": f"{unseen.get('units')} units"}
    return f"*Shortened to fit. Not shown here: {', '.join(words[kind] for kind in _UNSEEN if kind in unseen)}.*"


def _foot(stacks: Mapping[str, Mapping[str, Any]], about: About) -> str:
    runs = [str(run.get("run_id") or run.get("run")) for run in stacks.values()]
    of = [f"run {code(runs[0])}{f' and {len(runs) - 1} more' if len(runs) > 1 else ''}"] if runs else []
    dirty = " with changes that are not committed" if any(run.get("dirty") for run in stacks.values()) else ""
    compared = f" compared with {code(about.base)}" if about.base else ""
    said = [*of, f"commit {code(about.head[:12])}{dirty}{compared}"]
    said += [f"[full report](<{_BREAKS.sub('', about.report)}>)"] if about.report else []
    return "\n\n".join([" · ".join(said), mark_of(about.kind, about.group)])


def _changes(node: Outcome) -> bool:
    """Whether a unit is planned, and would change something; or is applied."""
    return node.status in (Status.PLANNED, Status.APPLIED) and not node.is_task


def _weight(node: Outcome) -> int:
    """How much a reader has to look at it: what destroys first, what only creates last."""
    counts = node.counts
    return 0 if counts.delete or counts.replace else 1 if counts.update or counts.imported else 2


def _counts(nodes: Iterable[Outcome]) -> str:
    found = list(nodes)
    done = any(node.status is Status.APPLIED for node in found)
    words = counted(sum((node.counts for node in found), Counts()), done=done)
    return ", ".join(words[action] for action in _WORST_FIRST if action in words)
