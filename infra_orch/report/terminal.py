"""Outcomes as lines for a person: what changes per unit, attribute by attribute, and a summary like Terraform's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from infra_orch.record.store import words
from infra_orch.report.style import Style, safe
from infra_orch.run.differences import UNKNOWN_TEXT
from infra_orch.run.outcome import AttributeChange, Basis, Counts, Outcome, ResourceChange, Status

_SIGNS: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("create",): ("+", "green"),
    ("update",): ("~", "yellow"),
    ("delete",): ("-", "red"),
    ("read",): ("<=", "cyan"),
    ("no-op",): (" ", "dim"),
    ("forget",): (".", "red"),
}
_COLOURS = {
    Status.PLANNED: "bold",
    Status.APPLIED: "green",
    Status.UNCHANGED: "dim",
    Status.FAILED: "red",
    Status.REFUSED: "red",
    Status.BLOCKED: "yellow",
    Status.DEFERRED: "yellow",
    Status.CANCELLED: "yellow",
    Status.SKIPPED: "dim",
}
_NOT_SEEN = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.DEFERRED, Status.CANCELLED)
_NOT_PLANNED = (Status.FAILED, Status.BLOCKED, Status.CANCELLED)
SKIPPED_WHY = "nothing that their plans depend on has changed since their last apply; drift was not looked for"
_MOST_ATTRIBUTES = 40
EMPTY = ("null", "[]", "{}", '""')
"""Values that say nothing of a new resource."""


def plan_lines(outcomes: Mapping[str, Outcome], style: Style, texts: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield a plan: units with changes whole, all skipped ones in one line, and all unchanged ones in another.

    *texts* are Terraform's own, by unit.
    """
    bare = False
    skipped = [name for name, outcome in outcomes.items() if is_skipped_unit(outcome)]
    unchanged = [name for name, outcome in outcomes.items() if outcome.status is Status.UNCHANGED]
    folded = {*skipped, *unchanged}
    for name, outcome in outcomes.items():
        if name in folded:
            continue
        if texts and name in texts:
            body = [f"  {safe(line)}" for line in texts[name].splitlines()]
        else:
            body = list(change_lines(outcome, style))
        body += failure_lines(outcome, style)
        if bare and body:
            yield ""
        yield from (_headline(outcome, style), *body)
        if body:
            yield ""
        bare = not body
    if skipped:
        yield style(f"skipped: {', '.join(skipped)}  ({SKIPPED_WHY})", "dim")
    if unchanged:
        yield style(f"unchanged: {', '.join(unchanged)}", "dim")
    if folded or bare:
        yield ""


def is_skipped_unit(outcome: Outcome) -> bool:
    """Whether a unit was not planned, since nothing that its plan depends on has changed."""
    return outcome.status is Status.SKIPPED and not outcome.is_task


def outcome_line(outcome: Outcome, style: Style, *, reason: bool = True) -> str:
    """Return what became of a node in one line; why it went amiss only with *reason*."""
    named = _named(outcome if reason else replace(outcome, failure=None), style)
    return f"{named}  {style(f'{outcome.duration:.1f} s', 'dim')}"


def _named(outcome: Outcome, style: Style, remark: str = "") -> str:
    said = style(safe(words(outcome), keep_newlines=False), _COLOURS[outcome.status])
    return f"{style(outcome.name, 'bold')}{remark}: {said}"


def failure_lines(outcome: Outcome, style: Style) -> Iterator[str]:
    """Yield why a node failed: one sentence, what Terraform said, what to do, and where its log is."""
    failure = outcome.failure
    if failure is None or outcome.status in (Status.BLOCKED, Status.CANCELLED, Status.SKIPPED):
        return
    detail = failure.detail.strip()
    if detail and outcome.status is not Status.DEFERRED:
        yield from (style("  │ ", "red") + safe(line) for line in detail.splitlines())
    if failure.hint:
        yield f"  {style('→', 'cyan')} {safe(failure.hint, keep_newlines=False)}"
    if failure.log and outcome.status is not Status.DEFERRED:
        yield style(f"  log: {failure.log}", "dim")


def plan_summary(outcomes: Mapping[str, Outcome], style: Style, kind: str) -> str:
    """Return the last line of a plan, like Terraform's, with what could not be planned."""
    total = sum((outcome.counts for outcome in outcomes.values()), Counts())
    parts = [
        f"{total.create + total.replace} to add",
        f"{total.update} to change",
        f"{total.delete + total.replace} to destroy",
    ]
    parts += [f"{number} {word}" for number, word in ((total.imported, "to import"), (total.move, "to move")) if number]
    line = style("Plan:", "bold") + " " + ", ".join(parts) + "."
    incomplete = _amiss(outcomes) if any(outcome.status in _NOT_PLANNED for outcome in outcomes.values()) else ""
    if not any(outcome.has_changes and not outcome.is_task for outcome in outcomes.values()):
        nothing = "Nothing to destroy." if kind == "destroy" else "No changes. Your infrastructure matches the stack."
        if incomplete:
            nothing = ""
        elif any(outcome.status in _NOT_SEEN for outcome in outcomes.values()):
            nothing = "No changes in what could be planned."
        elif any(map(is_skipped_unit, outcomes.values())):
            nothing = "No changes in what was planned."
        line = style(nothing, "bold") if nothing else ""
    tasks = [name for name, outcome in outcomes.items() if outcome.is_task and outcome.status is Status.PLANNED]
    if tasks:
        line += f" {'Tasks' if len(tasks) > 1 else 'Task'} to run: {', '.join(tasks)}."
    if incomplete:
        return f"{line} {style(f'The plan is not complete: {incomplete}.', 'bold', 'red')}".lstrip()
    return line + _others(outcomes)


def apply_summary(outcomes: Mapping[str, Outcome], style: Style, kind: str, seconds: float) -> str:
    """Return the last line of an apply or destroy."""
    total = sum(
        (outcome.counts for outcome in outcomes.values() if outcome.status in (Status.APPLIED, Status.FAILED)), Counts()
    )
    bad = any(outcome.status in _NOT_SEEN for outcome in outcomes.values())
    word = {"apply": "Apply", "destroy": "Destroy"}[kind]
    head = style(f"{word} not complete.", "bold", "red") if bad else style(f"{word} complete.", "bold", "green")
    parts = f"{total.create + total.replace} added, {total.update} changed, {total.delete + total.replace} destroyed"
    return f"{head} {parts}, in {seconds:.0f} s.{_others(outcomes)}"


def _others(outcomes: Mapping[str, Outcome]) -> str:
    return f" ({amiss})" if (amiss := _amiss(outcomes)) else ""


def _amiss(outcomes: Mapping[str, Outcome]) -> str:
    """What was not seen or done, by why: `failed: network; blocked: web`."""
    parts = []
    for status in _NOT_SEEN:
        names = [name for name, outcome in outcomes.items() if outcome.status is status]
        if names:
            parts.append(f"{status}: {', '.join(names)}")
    return "; ".join(parts)


def _headline(outcome: Outcome, style: Style) -> str:
    if outcome.is_task:
        return _named(outcome, style, style(" (task)", "dim"))
    text = _named(outcome, style, style(" (destroy)", "red") if outcome.destroys_unit else "")
    if outcome.status is Status.PLANNED and outcome.basis is Basis.PLANNED:
        text += style("  (rests on values that upstream plans promise)", "dim")
    if outcome.status is Status.PLANNED and outcome.basis is Basis.UNKNOWN:
        text += style(f"  (not known yet: {', '.join(outcome.unknown_inputs)})", "dim")
    return text


def change_lines(outcome: Outcome, style: Style) -> Iterator[str]:
    """Yield each resource that changes, with its attributes, and what was warned of."""
    for change in outcome.resources:
        yield _change_line(change, style)
        yield from _attribute_lines(change, style)
    if outcome.outputs_changed and outcome.status is Status.PLANNED:
        yield style(f"    outputs: {', '.join(outcome.outputs_changed)}", "dim")
    for warning in outcome.warnings:
        yield f"  {style('warning:', 'yellow')} {safe(warning, keep_newlines=False)}"


def _attribute_lines(change: ResourceChange, style: Style) -> Iterator[str]:
    attributes, unknown = worth_showing(change)
    width = min(max((len(attribute.path) for attribute in attributes), default=0), 40)
    for attribute in attributes[:_MOST_ATTRIBUTES]:
        yield _attribute_line(attribute, change, width, style)
    if len(attributes) > _MOST_ATTRIBUTES:
        yield style(f"        … {len(attributes) - _MOST_ATTRIBUTES} more; --full shows them", "dim")
    if unknown:
        names = ", ".join(safe(name, keep_newlines=False) for name in unknown)
        yield style(f"        {names} = {UNKNOWN_TEXT}", "dim")


def worth_showing(change: ResourceChange) -> tuple[tuple[AttributeChange, ...], tuple[str, ...]]:
    """Return the attributes of a resource to show one by one, and the paths of those that are known after apply only.

    What is left empty says nothing of a new resource, and what it will be given by itself fits on one line.
    """
    if change.actions != ("create",):
        return change.attributes, ()
    unknown = tuple(attribute.path for attribute in change.attributes if attribute.after == UNKNOWN_TEXT)
    return tuple(a for a in change.attributes if a.after != UNKNOWN_TEXT and a.after not in EMPTY), unknown


def sign_of(change: ResourceChange) -> tuple[str, str]:
    """Return Terraform's sign for what happens to a resource, and its colour."""
    if change.replaces:
        return ("-/+" if change.actions[0] == "delete" else "+/-"), "red"
    return _SIGNS.get(change.actions, ("?", "magenta"))


def _change_line(change: ResourceChange, style: Style) -> str:
    sign, colour = sign_of(change)
    text = f"  {style(f'{sign:>3}', colour)} {safe(change.address, keep_newlines=False)}"
    if change.replaces:
        text += style("  replaced", "red")
    if change.moved_from:
        text += style(f"  moved from {safe(change.moved_from, keep_newlines=False)}", "cyan")
    if change.imported_id is not None:
        text += style(f"  imported, id {safe(change.imported_id, keep_newlines=False)}", "cyan")
    if change.deposed:
        text += f"  what a replacement has left behind, deposed {safe(change.deposed, keep_newlines=False)}"
    return text


def _attribute_line(attribute: AttributeChange, change: ResourceChange, width: int, style: Style) -> str:
    path = safe(attribute.path, keep_newlines=False)
    after = safe(attribute.after, keep_newlines=False)
    value = after if change.actions == ("create",) else f"{safe(attribute.before, keep_newlines=False)} → {after}"
    forces = style("  # forces replacement", "red") if attribute.forces_replacement else ""
    return f"        {path:<{width}} = {value}{forces}"
