"""`infra-orch doctor`: what of this machine, this project and its backends would keep a run from going well."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infra_orch.commands import checks
from infra_orch.commands.checks_online import check_online
from infra_orch.console import Console
from infra_orch.engine.engine import Engine
from infra_orch.errors import ExitCode, UserError
from infra_orch.project import NoProjectError, Project, find_project
from infra_orch.report.doctor import (
    Finding,
    doctor_document,
    doctor_lines,
    doctor_summary,
    error,
    ok,
    warning,
)


def doctor(console: Console, *, engine: str | None = None, online: bool = False) -> int:
    """Print what was found. Returns 69 where something would keep a run from going well, and 0 where nothing would.

    *online*: backends are asked; without it no network is used.
    """
    findings = list(_findings(engine, online=online))
    if console.json:
        console.document(json.dumps(doctor_document(findings, online=online), indent=2, ensure_ascii=False))
    else:
        console.result(doctor_lines(findings, console.style))
        console.note(doctor_summary(findings))
    failed = any(finding.status == "error" for finding in findings)
    return ExitCode.UNAVAILABLE if failed else ExitCode.DONE


def _findings(wanted: str | None, *, online: bool) -> Iterator[Finding]:
    told, project = _project(wanted)
    yield from checks.check_versions()
    found, engine = checks.check_engine(project.settings.engine if project else wanted)
    yield found
    yield from checks.check_git(project.root if project else Path.cwd())
    yield told
    if project:
        yield from checks.check_rendered(project)
        yield from checks.check_folders(project, os.environ)
        yield from _providers(project, engine)
    yield from checks.check_environment(os.environ)
    yield from checks.check_credentials(os.environ, needed=project is not None and checks.uses_aws(project))
    yield from checks.check_extras(project, os.environ)
    yield from checks.check_terminal(os.environ, Console().out.encoding)
    if project and online:
        yield from check_online(project, engine)


def _providers(project: Project, engine: Engine | None) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
            yield from checks.check_providers(project, os.environ, engine, Path(folder) / "cli")
    except OSError as wrong:
        yield error(
            "temp folder", f"nothing can be written there: {wrong.strerror}", "make room on its disk, or set TMPDIR"
        )


def _project(engine: str | None) -> tuple[Finding, Project | None]:
    """The project of the current folder, with the flag over its settings; or why it cannot be had."""
    try:
        project = find_project(Path.cwd())
    except NoProjectError as none:
        return warning("project", none.summary, none.hint), None
    except UserError as wrong:
        where = f"{wrong.where}: " if wrong.where else ""
        return error("settings", f"{where}{wrong.summary}", wrong.hint or "docs/settings.md lists them"), None
    if engine:
        project = replace(project, settings=replace(project.settings, engine=engine))
    number = sum(1 for _ in project.stack_folders())
    what = f"{project.root}: {number} stack{'' if number == 1 else 's'}, its settings are read"
    return ok("project", what), project
