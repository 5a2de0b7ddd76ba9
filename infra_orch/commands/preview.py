"""`infra-orch preview --base REF`: what a change would do, as a comment for its pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from infra_orch.commands.ending import exit_code, finish_plan
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import open_parts
from infra_orch.commands.previewing import preview as plan_and_show
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.stacks import Asked
from infra_orch.commands.told import Told
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, UserError
from infra_orch.files import write_atomically
from infra_orch.git.repository import find_repository
from infra_orch.project import Project
from infra_orch.report.annotations import annotations_of, terraform_report
from infra_orch.report.comment import LIMIT, About, comment, nodes_of, verdict
from infra_orch.report.document import as_one, documents, text
from infra_orch.report.html.page import page
from infra_orch.report.junit import junit
from infra_orch.report.progress import progress_for
from infra_orch.report.sarif import sarif

if TYPE_CHECKING:
    from infra_orch.commands.posting import Poster

Format: TypeAlias = Literal["markdown", "json", "html", "junit", "sarif"]
FORMATS: tuple[Format, ...] = ("markdown", "json", "html", "junit", "sarif")
Runs: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The documents of runs, by the names of the stacks' folders."""
_GROUP = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LEAST = 4000
_LONGEST_URL = 1000


@dataclass(frozen=True)
class Wish:
    """How a preview is to be told: see the help text of each flag of the same name."""

    format: Format = "markdown"
    out: Path | None = None
    group: str = "default"
    report: str = ""
    limit: int | None = None
    terraform_report: Path | None = None


def wish(form: str, out: Path | None, group: str, report: str, limit: int | None, *, base: str | None) -> Wish:
    """Return what the flags say. Raises UsageError for what none of them can be, and where there is no *base*."""
    if not base:
        raise UsageError("a preview compares with a commit, which is missing", hint="--base origin/main")
    known = next((one for one in FORMATS if one == form), None)
    if known is None:
        raise UsageError(f'--format "{form}" is none', hint=f"one of {', '.join(FORMATS)}")
    check_group(group)
    if report and (len(report) > _LONGEST_URL or not report.startswith(("https://", "http://"))):
        raise UsageError(f'--report-url "{report}" is no address', hint="https://…")
    if limit is not None and limit < _LEAST:
        raise UsageError(
            f"--limit {limit} is too short for any comment", hint=f"{_LEAST} at least; GitHub takes {LIMIT}"
        )
    return Wish(known, out, group, report, limit)


def check_group(group: str) -> None:
    """Raise UsageError for what no group of stacks can be called."""
    if not _GROUP.fullmatch(group) or "--" in group:
        # Within a comment of HTML, "--" would be its end to some readers.
        raise UsageError(f'--group "{group}" is no name', hint="letters, digits, _, . and single -, 64 at most")


def preview(
    project: Project, stacks: Asked, options: RunOptions, told: Wish, console: Console, poster: Poster | None = None
) -> int:
    """Plan what a change affects in *stacks*, and print or write it as *told*; how it goes is said on stderr.

    With a *poster* it is posted, too.

    Returns the exit code of a plan. Raises UserError where the file cannot be written.
    """
    quiet = replace(console, json=False, out=console.err)
    found, code = _planned(project, stacks, options, quiet)
    assert options.change
    if poster:
        _post(project, found, code, About(options.change.base, "", told.group), told.limit, poster)
    made = _text(project, found, code, options.change.base, told)
    if told.out is None:
        console.document(made.rstrip("\n"))
    else:
        _write(told.out, made, console)
    if told.terraform_report:
        _write(told.terraform_report, terraform_report(found) + "\n", console)
    return code


def _write(path: Path, text: str, console: Console) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    console.note(f"wrote {path}")


def _post(project: Project, found: Runs, code: int, about: About, limit: int | None, poster: Poster) -> None:
    nodes = nodes_of(found)
    planned = [node for node in nodes.values() if node.status.to_do and not node.is_task]

    def in_characters(limit_of_host: int, commit: str, url: str) -> str:
        return comment(found, replace(about, head=commit, report=url), min(limit_of_host, limit or limit_of_host))

    told = Told(
        verdict=verdict(nodes),
        code=code,
        text=in_characters,
        annotations=annotations_of(found, _prefix(project)),
        destroys=any(change.destroys for node in planned for change in node.resources),
        changes=bool(planned),
    )
    poster.end(told)


def _prefix(project: Project) -> str:
    """The path of the project in its repository: empty, or with a slash at its end."""
    repository = find_repository(project.root)
    place = repository.relative(project.root) if repository else "."
    return "" if place == "." else f"{place}/"


def _text(project: Project, found: Runs, code: int, base: str, told: Wish) -> str:
    """What was planned, in the format that is wanted."""
    repository = find_repository(project.root)
    status = "failed" if code not in (ExitCode.DONE, ExitCode.CHANGES) else "planned" if found else "unchanged"
    duration = sum(run["duration_s"] for run in found.values())
    if told.format == "json":
        return text(documents(found, "plan", status, duration)) + "\n"
    if told.format == "html":
        return page(as_one(found, "preview", status, duration))
    if told.format == "junit":
        return junit(found)
    if told.format == "sarif":
        return sarif(found, _prefix(project))
    head = (repository.head() if repository else None) or ""
    return comment(found, About(base, head, told.group, told.report), told.limit or LIMIT)


def _planned(project: Project, stacks: Asked, options: RunOptions, console: Console) -> tuple[Runs, int]:
    """The documents of the runs, by the stacks' folders, and the exit code."""
    parts = open_parts(project, stacks, options, console)
    if not parts:
        return {}, ExitCode.DONE
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, "plan", console, progress, several=stacks.several) as runs,
    ):
        shown = plan_and_show(parts, runs, progress, console, kind="plan", several=stacks.several)
        found = finish_plan(shown.ended(), console, several=stacks.several)
        return found, exit_code(shown.outcomes, runs[0], detailed=options.detailed_exitcode)
