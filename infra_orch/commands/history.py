"""`infra-orch history STACK`: who did what to a stack, when, and in which commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_orch.console import Console
from infra_orch.git.repository import find_repository
from infra_orch.project import Project
from infra_orch.record.read import read_outcomes
from infra_orch.record.store import TRAILER, read_record, records_of, total_words
from infra_orch.report.style import safe

SCHEMA = 1


def history(project: Project, stack: str, console: Console, *, limit: int, sandbox: bool) -> int:
    """Print the runs of a stack, newest first, at most *limit*."""
    folder = project.stack(stack)
    records = records_of(folder, sandbox=sandbox, committed=True)
    files = {path.stem: path for path in records.runs.glob("*.json")}
    if sandbox:
        files |= {path.stem: path for path in records_of(folder, sandbox=True, committed=False).runs.glob("*.json")}
    names = sorted(files, reverse=True)[:limit]
    commits = _commits(project, records.runs, {name: files[name] for name in names})
    runs = [({**read_record(files[name]), "run": name}, commits.get(name)) for name in names]
    if console.json:
        document = {
            "schema": SCHEMA,
            "stack": folder.name,
            "runs": [{**_entry(run), "recorded_in": commit} for run, commit in runs],
        }
        console.document(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    if not runs:
        where = " in the sandbox" if sandbox else ""
        command = f"infra-orch apply {folder.name}{' --sandbox' if sandbox else ''}"
        console.note(f"{folder.name} has no recorded run{where}; {command} makes the first")
    for run, commit in runs:
        style = console.style
        colour = {"applied": "green", "failed": "red"}.get(str(run["status"]), "yellow")
        by = safe(str(run["by"]), keep_newlines=False)
        recorded = style((commit or "not committed")[:13], "dim")
        console.result(
            f"{run['at']}  {run['command']:<7} {style(str(run['status']), colour)}  {_totals(run)}  by {by}  "
            f"{recorded}  {run['run']}"
        )
    return 0


def _commits(project: Project, folder: Path, runs: Mapping[str, Path]) -> dict[str, str]:
    """The commit that each of *runs* is recorded in: its own, or that of a later run, which took its record along."""
    repository = find_repository(project.root)
    if repository is None:
        return {}
    entries = repository.log([repository.relative(folder)], len(runs)) if runs else []
    found = {run: entry.sha for entry in entries for run in entry.trailers.get(TRAILER, ())}
    for name, path in runs.items():
        if name not in found and path.parent == folder:
            for entry in repository.log([repository.relative(path)], 1):
                found[name] = entry.sha
    return found


def _entry(run: Any) -> dict[str, Any]:
    keys = ("run", "command", "status", "at", "by", "commit", "dirty", "duration_s", "sandbox")
    return {key: run.get(key) for key in keys} | {"changes": _counts(run)}


def _counts(run: Any) -> dict[str, int]:
    totals = {"create": 0, "update": 0, "delete": 0, "replace": 0, "import": 0, "move": 0}
    for unit in run.get("units", {}).values():
        if unit["status"] in ("applied", "failed"):
            for key in totals:
                totals[key] += unit["changes"].get(key, 0)
    return totals


def _totals(run: Any) -> str:
    """What a run did, in the words of its commit."""
    try:
        return total_words(read_outcomes(run))
    except (ValueError, TypeError):
        return "done as a newer infra-orch tells it"
