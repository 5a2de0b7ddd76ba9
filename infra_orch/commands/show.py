"""`infra-orch show RUN [UNIT]`: one run in full, as text or as a page, or what one unit's commands said in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra_orch.commands.finding import RUN_ID, find_run
from infra_orch.console import Console
from infra_orch.errors import UsageError, UserError
from infra_orch.files import write_asked_for
from infra_orch.project import NAME, Project
from infra_orch.record.store import read_record
from infra_orch.report.style import safe

_STATE = "state"
"""The log of looking at the state; of interest where that failed."""
_WITHOUT_LOGS = ("blocked", "skipped", "cancelled")


def show(project: Project, run: str, unit: str | None, console: Console, *, html: Path | None) -> int:
    """Print a run by its id or the beginning of it; `last` is the newest.

    With *unit*, the logs of that unit are printed; or what the run's document says of it, for --json. With *html*, the
    run is written to that file as a page.

    Raises UsageError where there is no such run or several, or no such unit in it, or what is asked for does not go
    together; UserError where the page cannot be written.
    """
    if html and unit is not None:
        raise UsageError(
            "--html makes a page of a whole run, and a unit is named, too", hint="leave out one of the two"
        )
    if html and console.json:
        raise UsageError("--html and --json are two forms of one run", hint="give one of the two")
    _, found = find_run(project, run)
    document = read_record(found)
    if html:
        _write_page(document, html)
        console.result(f"wrote {html}")
    elif unit is not None and not console.json:
        console.result(_logs(project, document, unit))
    elif unit is not None:
        console.document(json.dumps(_node(document, unit), indent=2, ensure_ascii=False))
    elif console.json:
        console.document(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        console.result(_lines(document, console))
    return 0


def _write_page(run: Mapping[str, Any], file: Path) -> None:
    from infra_orch.report.html.page import page  # noqa: PLC0415  jinja2 takes longer to import than all else here

    try:
        text = page(run)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"run {_run_id(run)} cannot be made a page: this is not a record: {error}") from error
    write_asked_for(file, text, mode=0o600)


def _lines(run: Mapping[str, Any], console: Console) -> Iterator[str]:
    style = console.style
    engine = run.get("engine") or {}
    yield style(f"{run['command']} {run['stack']}: {run['status']}", "bold")
    yield f"  run     {_run_id(run)}" + ("  (sandbox)" if run.get("sandbox") else "")
    if run.get("at"):
        yield f"  when    {run['at']}, {run['duration_s']:.0f} s"
    if run.get("by"):
        yield f"  who     {safe(str(run['by']), keep_newlines=False)}"
    changes = ", and changes that were not committed" if run.get("dirty") else ""
    yield f"  commit  {run.get('commit') or 'none yet'}{changes}"
    yield f"  engine  {engine.get('name')} {engine.get('version')}"
    yield ""
    for name, node in {**run["units"], **run["tasks"]}.items():
        yield f"{style(name, 'bold')}: {node['status']}  {style(str(node['duration_s']) + ' s', 'dim')}"
        for change in node.get("resources") or ():
            yield f"    {'/'.join(change['actions']):<14} {safe(change['address'], keep_newlines=False)}"
        if node.get("error"):
            yield f"    {safe(node['error']['summary'])}"
            if node["error"].get("log"):
                yield style(f"    log: {node['error']['log']}", "dim")


def _node(run: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a run's document says of a unit or a task. Raises UsageError where the run had none of that name."""
    nodes: dict[str, Mapping[str, Any]] = {**run["units"], **run["tasks"]}
    if name not in nodes:
        raise UsageError(f'run {_run_id(run)} has no unit or task "{name}"', hint=f"it has: {', '.join(nodes)}")
    return nodes[name]


def _run_id(run: Mapping[str, Any]) -> str:
    return str(run.get("run_id") or run.get("run"))


def _logs(project: Project, run: Mapping[str, Any], unit: str) -> Iterator[str]:
    node = _node(run, unit)
    # Both stand in a file that somebody may have tampered with.
    if not RUN_ID.fullmatch(_run_id(run)) or not NAME.fullmatch(unit):
        raise UserError(f'"{_run_id(run)}/{unit}" cannot be the name of a run\'s unit: this is not a record')
    folder = project.scratch / "runs" / _run_id(run) / unit
    logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    if not logs and node["status"] in _WITHOUT_LOGS:
        reason = f": {node['error']['summary']}" if node.get("error") else ""
        yield safe(f"{unit} was {node['status']}{reason}")
    elif not logs:
        raise UserError(f"the logs of {unit} are not on this machine", hint="they stay where the run was made")
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        if text.strip() and (log.stem != _STATE or len(logs) == 1 or _told_of(log, node)):
            yield f"── {log.stem} " + "─" * 40
            yield from map(_readable, text.splitlines())


def _told_of(log: Path, node: Mapping[str, Any]) -> bool:
    return str((node.get("error") or {}).get("log", "")).endswith(f"/{log.name}")


def _readable(line: str) -> str:
    """A line of Terraform's JSON as the sentence in it."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        return safe(line)
    detail = (entry.get("diagnostic") or {}).get("detail")
    return safe(str(entry.get("@message", line)) + (f"\n    {detail}" if detail else ""))
