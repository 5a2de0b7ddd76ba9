"""`infra-orch explain STACK UNIT`: what the plan of a unit depends on, and what of it changed since its last apply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from infra_orch.commands.opening import open_stack
from infra_orch.commands.options import RunOptions
from infra_orch.commands.selecting import refuse_unknown, select
from infra_orch.commands.session import session
from infra_orch.commands.wanted import Wanted
from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.fingerprint.fingerprint import Fingerprint, compare
from infra_orch.project import Project
from infra_orch.record.store import exists, last_record
from infra_orch.report.style import Style, safe
from infra_orch.run.fingerprints import fingerprint_as_it_is
from infra_orch.run.pace import Pace
from infra_orch.run.plan import known_upstream
from infra_orch.run.progress import Progress
from infra_orch.run.terraform import StepError

SCHEMA = 1
SCHEMA_ID = "urn:infra-orch:schema:fingerprint:1"
_COLOURS = {"same": "dim", "changed": "yellow", "new": "green", "gone": "red", "unknown": "yellow"}
_REMARKS = {"unknown": "not to be told here: secrets are digested with a key of the machine that applied it"}


def explain(project: Project, stack: str, unit: str, options: RunOptions, console: Console) -> int:
    """Print what the plan of a unit depends on, part by part, and what became of each since the last apply's record.

    Raises UsageError where there is no such unit, UserError where the state of an upstream cannot be read.
    """
    opened = open_stack(project, stack, console, from_rendered=options.from_rendered)
    refuse_unknown(opened, unit)
    wanted = Wanted(units=(unit,))
    options = replace(options, wanted=wanted)
    with session(project, opened, "explain", console, Progress(), options, locked=False) as run:
        selection = select(opened, wanted, "explain", Pace(workers=1))
        work, context = selection.units[unit], run.context
        upstream = known_upstream(selection, work, run.contexts)
        try:
            now = fingerprint_as_it_is(work, context, upstream)
        except StepError as error:
            raise UserError(error.failure.summary, hint=error.failure.hint) from error
        record, renamed = last_record(work.unit, run.records.units())
    document = _document(opened.rendered.name, unit, now, record or {})
    if console.json:
        console.document(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        title = f"{unit}  ({work.unit.where})" + (f", renamed from {work.unit.formerly}" if renamed else "")
        console.result(_lines(document, title, _without_comparison(record, sandbox=options.sandbox), console.style))
    return 0


def _document(stack: str, unit: str, now: Fingerprint, record: Mapping[str, Any]) -> dict[str, Any]:
    before = Fingerprint.from_json(record.get("fingerprint"))
    changes = compare(now, before) if before else dict.fromkeys(now.parts, None)
    return {
        "$schema": SCHEMA_ID,
        "schema": SCHEMA,
        "stack": stack,
        "unit": unit,
        "digest": now.digest,
        "parts": {name: {"digest": now.parts.get(name), "since_apply": changes[name]} for name in sorted(changes)},
        "unseen": list(now.doubts),
        "applied": {"run": record["run"], "at": record["at"], "digest": before.digest} if before else None,
    }


def _without_comparison(record: Mapping[str, Any] | None, *, sandbox: bool) -> str:
    """Why there is nothing to compare a fingerprint with, where that is so."""
    if record is None:
        why = f"never applied{' in the sandbox' if sandbox else ''}, by the records"
    elif not exists(record):
        why = f"destroyed {record['at']}, run {record['run']}"
    else:
        why = f"its last apply, {record['at']}, run {record['run']}, recorded none"
    return f"{why}, so there is nothing to compare it with"


def _lines(document: Mapping[str, Any], title: str, otherwise: str, style: Style) -> Iterator[str]:
    yield style(title, "bold")
    applied = document["applied"]
    if applied:
        same = applied["digest"] == document["digest"]
        word = style("the same as", "green") if same else style("not the same as", "yellow")
        yield f"fingerprint {document['digest'][:12]}, {word} at its last apply, {applied['at']}, run {applied['run']}"
    else:
        yield f"fingerprint {document['digest'][:12]}; {safe(otherwise, keep_newlines=False)}"
    width = max(len(name) for name in document["parts"])
    for name, part in document["parts"].items():
        change = part["since_apply"]
        text = f"  {safe(name, keep_newlines=False):<{width}}  {change or ''}".rstrip()
        text += f" ({_REMARKS[change]})" if change in _REMARKS else ""
        yield style(text, _COLOURS[change]) if change else text
    for reason in document["unseen"]:
        yield f"{style('not seen:', 'yellow')} {safe(reason, keep_newlines=False)}; --changed-only never skips it"
