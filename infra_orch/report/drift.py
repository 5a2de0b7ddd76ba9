"""What has drifted, as lines for a person and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra_orch.record.store import words
from infra_orch.report.comment import resource_lines
from infra_orch.report.document import unit_json
from infra_orch.report.markdown import code, fence, length, one_line, so_many
from infra_orch.report.style import Style, safe
from infra_orch.report.terminal import change_lines, failure_lines
from infra_orch.run.outcome import Outcome, Status

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:drift:1"


@dataclass(frozen=True)
class Looked:
    """What became of the look at a unit: *outcome*, in which *before* is the state and *after* what there is; and the
    *record* of its last apply.
    """

    outcome: Outcome
    record: Mapping[str, Any]

    @property
    def drifted(self) -> bool:
        """Whether something is not as its state has it."""
        return self.outcome.status is Status.PLANNED


def drift_lines(looked: Mapping[str, Looked], style: Style) -> Iterator[str]:
    """Yield what has drifted, unit by unit and attribute by attribute, since which run, and a summary."""
    for name, one in looked.items():
        if one.drifted:
            number = len(one.outcome.resources)
            since = f"since run {one.record['run']} ({one.record['at']})"
            said = style(f"{number} resource{'s' * (number > 1)} drifted", "yellow")
            yield f"{style(name, 'bold')}: {said} {style(safe(since, keep_newlines=False), 'dim')}"
            yield from change_lines(one.outcome, style)
            yield ""
        elif one.outcome.status is not Status.UNCHANGED:
            yield f"{style(name, 'bold')}: {style(safe(words(one.outcome), keep_newlines=False), 'red')}"
            yield from failure_lines(one.outcome, style)
            yield ""
    fine = [name for name, one in looked.items() if one.outcome.status is Status.UNCHANGED]
    if fine:
        yield style(f"as their states have them: {', '.join(fine)}", "dim")
    yield _summary(looked, style)


def drift_markdown(looked: Mapping[str, Looked], limit: int) -> str:
    """Return it as Markdown of at most *limit* characters: what has drifted, each in a fence, and what is left out."""
    head = f"### {_summary(looked, Style())}"
    parts = list(_parts(looked))
    room = limit - length(head) - len(_LEFT_OUT) - 20
    shown = []
    for part in parts:
        room -= length(part) + 2
        if room < 0:
            break
        shown.append(part)
    more = len(parts) - len(shown)
    return "\n\n".join([head, *shown, *([_LEFT_OUT.format(so_many(parts[-more:], "unit"))] if more else [])])


_LEFT_OUT = "*Shortened to fit. Not shown here: {}.*"


def _parts(looked: Mapping[str, Looked]) -> Iterator[str]:
    for name, one in looked.items():
        if one.drifted:
            since = f"since run {code(str(one.record['run']))} ({one_line(one.record['at'])})"
            title = f"#### {code(name)}: {so_many(one.outcome.resources, 'resource')} drifted {since}"
            yield f"{title}\n\n{fence(resource_lines(one.outcome, attributes=True), 'diff')}"
        elif one.outcome.status is not Status.UNCHANGED:
            failure = one.outcome.failure
            yield f"#### {code(name)}: {one.outcome.status}\n\n{fence([one_line(failure.summary if failure else '')])}"


def drift_document(looked: Mapping[str, Looked], seconds: float) -> dict[str, Any]:
    """Return it as a document, schema drift-1."""
    statuses = {one.outcome.status for one in looked.values()}
    failed = statuses - {Status.PLANNED, Status.UNCHANGED}
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "status": "failed" if failed else "drifted" if Status.PLANNED in statuses else "none",
        "duration_s": round(seconds, 2),
        "units": {name: _unit(one) for name, one in looked.items()},
    }


def _unit(one: Looked) -> dict[str, Any]:
    found = unit_json(one.outcome)
    return {
        "status": {Status.PLANNED: "drifted", Status.UNCHANGED: "none"}.get(one.outcome.status, one.outcome.status),
        "since": {"run": one.record["run"], "at": one.record["at"]},
        **{key: found[key] for key in ("resources", "warnings", "error", "duration_s")},
    }


def _summary(looked: Mapping[str, Looked], style: Style) -> str:
    drifted = [one for one in looked.values() if one.drifted]
    failed = sum(one.outcome.status not in (Status.PLANNED, Status.UNCHANGED) for one in looked.values())
    number = sum(len(one.outcome.resources) for one in drifted)
    rest = f" {failed} could not be looked at." if failed else ""
    if not drifted:
        return style("No drift in what was looked at." if failed else "No drift.", "bold") + rest
    units = f"{len(drifted)} unit{'s' * (len(drifted) > 1)}"
    return f"{style('Drift:', 'bold')} {number} resource{'s' * (number > 1)} in {units}.{rest}"
