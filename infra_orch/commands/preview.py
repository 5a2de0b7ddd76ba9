"""`infra-orch preview --base REF`: what a change would do, as a comment for its pull request."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from infra_orch.bundle.preview import DOCUMENT, REPORT
from infra_orch.commands.bundling import PreviewWriter, preview_writer, room_for_bundles
from infra_orch.commands.ending import exit_code, finish_plan
from infra_orch.commands.options import RunOptions
from infra_orch.commands.parts import open_affected
from infra_orch.commands.previewing import preview as plan_and_show
from infra_orch.commands.recovering import sessions_after_the_dead
from infra_orch.commands.stacks import Asked
from infra_orch.commands.told import Told
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, nearest
from infra_orch.files import write_asked_for
from infra_orch.git.repository import find_repository
from infra_orch.project import Project, stack_and_unit
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
    report_url: str = ""
    limit: int | None = None
    report: Path | None = None
    bundle: str | None = None
    terraform_report: Path | None = None


def wish(form: str, *, base: str | None, **rest: Any) -> Wish:
    """Return what the flags say. Raises UsageError for what none of them can be, and where there is no *base*."""
    if not base:
        raise UsageError("a preview compares with a commit, which is missing", hint="--base origin/main")
    known = next((one for one in FORMATS if one == form), None)
    if known is None:
        raise UsageError(
            f'there is no --format "{form}"', hint=nearest(form, FORMATS) or f"one of {', '.join(FORMATS)}"
        )
    told = Wish(known, **rest)
    check_group(told.group)
    url, limit = told.report_url, told.limit
    if url and (len(url) > _LONGEST_URL or not url.startswith(("https://", "http://"))):
        raise UsageError(f'--report-url "{url}" is no address', hint="https://…")
    if limit is not None and limit < _LEAST:
        raise UsageError(
            f"--limit {limit} is too short for any comment", hint=f"{_LEAST} at least; GitHub takes {LIMIT}"
        )
    return told


def check_group(group: str) -> None:
    """Raise UsageError for what no group of stacks can be called."""
    if not _GROUP.fullmatch(group) or "--" in group:
        # Within a comment of HTML, "--" would be its end to some readers.
        raise UsageError(f'--group "{group}" is no name', hint="letters, digits, _, . and single -, 64 at most")


def preview(
    project: Project, stacks: Asked, options: RunOptions, told: Wish, console: Console, poster: Poster | None = None
) -> int:
    """Plan what a change affects in *stacks*, and print or write it as *told*; how it goes is said on stderr.

    With a *poster* it is posted, too. Returns the exit code of a plan. Raises UserError where a file cannot be written,
    UnavailableError where the bundle cannot be kept where it is to be.
    """
    quiet = replace(console, json=False, out=console.err)
    assert options.change
    writer = preview_writer(told.bundle, options.change.base, told.group)
    with room_for_bundles(project) if writer else contextlib.nullcontext() as room:
        seen = _planned(project, stacks, options, writer, room, quiet)
        about = About(options.change.base, "", told.group, told.report_url, deleted=seen.deleted)
        if poster:
            _post(project, seen, about, told.limit, poster)
        made = _text(project, seen, about, told)
        if told.out is None:
            console.document(made.rstrip("\n"))
        else:
            _write(told.out, made, console)
        if told.report:
            _write(told.report, seen.page, console)
        if told.terraform_report:
            _write(told.terraform_report, terraform_report(seen.runs) + "\n", console)
        if writer and seen.plans is not None:
            shown = {DOCUMENT: seen.document, REPORT: seen.page}
            repository = find_repository(project.root)
            writer.write(seen.plans, shown, project, repository, console, sandbox=options.sandbox, let_go=seen.let_go)
    return seen.code


def _write(path: Path, made: str, console: Console) -> None:
    write_asked_for(path, made)
    console.note(f"wrote {path}")


@dataclass(frozen=True)
class _Seen:
    """What was planned: the documents of the runs, the exit code, the bundles of the stacks' plans (None: there are to
    be none), and what came after units that are deleted. *across*: what comes after what in another stack. *deleted*:
    the units and stacks that the change deletes and that are not to be destroyed.
    """

    runs: Runs
    code: int
    plans: Mapping[str, Path] | None = field(default_factory=dict)
    let_go: Mapping[str, frozenset[str]] = field(default_factory=dict)
    across: tuple[tuple[str, str], ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """One word for all of it."""
        well = self.code in (ExitCode.DONE, ExitCode.CHANGES)
        return ("planned" if self.runs else "unchanged") if well else "failed"

    @property
    def duration(self) -> float:
        """Seconds, of all runs together."""
        return float(sum(run["duration_s"] for run in self.runs.values()))

    @cached_property
    def document(self) -> str:
        """All of it as JSON, schema runs-document-1."""
        return text(documents(self.runs, "plan", self.status, self.duration)) + "\n"

    @cached_property
    def page(self) -> str:
        """All of it as a page, made once however often it is written."""
        return page(as_one(self.runs, "preview", self.status, self.duration, self.across))


def _post(project: Project, seen: _Seen, about: About, limit: int | None, poster: Poster) -> None:
    nodes = nodes_of(seen.runs)
    planned = [node for node in nodes.values() if node.status.to_do and not node.is_task]

    def in_characters(limit_of_host: int, commit: str, url: str) -> str:
        of_commit = replace(about, head=commit, report=url)
        return comment(seen.runs, of_commit, min(limit_of_host, limit or limit_of_host))

    told = Told(
        verdict=verdict(nodes, about.deleted),
        code=seen.code,
        text=in_characters,
        annotations=annotations_of(seen.runs, _prefix(project)),
        destroys=any(change.destroys for node in planned for change in node.resources),
        changes=bool(planned),
    )
    poster.end(told)


def _prefix(project: Project) -> str:
    """What the paths of the project's files begin with in its repository."""
    repository = find_repository(project.root)
    return repository.prefix(project.root) if repository else ""


def _text(project: Project, seen: _Seen, about: About, told: Wish) -> str:
    """What was planned, in the format that is wanted."""
    repository = find_repository(project.root)
    if told.format == "json":
        return seen.document
    if told.format == "html":
        return seen.page
    if told.format == "junit":
        return junit(seen.runs)
    if told.format == "sarif":
        return sarif(seen.runs, _prefix(project))
    head = (repository.head() if repository else None) or ""
    return comment(seen.runs, replace(about, head=head), told.limit or LIMIT)


def _planned(
    project: Project,
    stacks: Asked,
    options: RunOptions,
    writer: PreviewWriter | None,
    room: Path | None,
    console: Console,
) -> _Seen:
    assert options.change
    parts, deleted = open_affected(project, stacks, options, options.change, console)
    if not parts:
        return _Seen({}, ExitCode.DONE, deleted=deleted)
    writer = writer.begun(parts) if writer else None
    with (
        progress_for(console) as progress,
        sessions_after_the_dead(project, parts, "plan", console, progress, several=stacks.several) as runs,
    ):
        shown = plan_and_show(parts, runs, progress, console, kind="plan", several=stacks.several)
        plans = None
        try:
            plans = writer.make(shown, room, console) if writer and room else None
        finally:
            found = finish_plan(shown.ended(), console, several=stacks.several)
        code = exit_code(shown.outcomes, runs[0], detailed=options.detailed_exitcode)
        edges = shown.selection.graph.edges
        across = tuple((a, b) for a, b in edges if stack_and_unit(a)[0] != stack_and_unit(b)[0])
        return _Seen(found, code, plans, parts[0].let_go, across, deleted)
