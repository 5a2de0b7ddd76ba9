"""`infra-orch approve RUN…`: say yes, in git, to what runs were to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra_orch.approval.approval import Approval, to_text
from infra_orch.approval.book import FOLDER, Book
from infra_orch.commands.finding import find_run
from infra_orch.console import Console
from infra_orch.errors import RefusedError, UsageError, UserError
from infra_orch.files import write_atomically
from infra_orch.git.commit import commit_paths
from infra_orch.git.repository import Repository, find_repository
from infra_orch.project import Project, StackFolder, is_stack_name
from infra_orch.record.read import read_outcomes
from infra_orch.record.store import plain, read_record, records_of
from infra_orch.report.terminal import plan_lines, plan_summary
from infra_orch.run.outcome import Outcome, Status

TRAILER = "Infra-Orch-Approves"


def approve(
    project: Project,
    runs: Sequence[str],
    console: Console,
    *,
    despite_policies: bool,
    note: str,
    bundle: str | None,
    group: str,
) -> int:
    """Show what *runs* (or those of the preview that *bundle* names) were to do, and commit that this is approved.

    *despite_policies*: also what policies denied. Returns the exit code. Raises UsageError where there is no such run
    or nothing in it to approve, RefusedError where policies denied some of it, UserError where it cannot be committed.
    """
    repository = find_repository(project.root)
    if repository is None or repository.head() is None:
        raise UsageError("approvals are kept in git, and here is no commit", hint="git init, and commit the project")
    by = repository.identity()
    if by is None:
        raise UsageError(
            "git does not know who you are, and an approval is somebody's",
            hint='git config user.name "…"; git config user.email "…"',
        )
    found = _meant(project, runs, bundle, group)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    written: dict[Path, bytes | None] = {}
    lines, stacks = [], []
    for document in found:
        units = _approvable(document, despite_policies=despite_policies)
        console.result(plan_lines(units, console.style, {}))
        console.result(plan_summary(units, console.style, "plan"))
        run = str(document["run_id"])
        approval = Approval(run, str(document["at"]), by, now, note, despite_policies, units)
        folder = _folder(project, document, run)
        if before := _before(approval, folder, repository):
            console.note(
                f"{folder.name}: you approved what run {run} was to do already, {before.digest[:12]}, {before.at}"
            )
            continue
        stacks.append(str(document["stack"]))
        written[folder.record / FOLDER / f"{approval.id}.json"] = to_text(approval).encode()
        lines.append(f"{TRAILER}: {run} {approval.digest}")
        console.note(f"{folder.name}: approved what run {run} was to do, {approval.digest[:12]}")
    if not written:
        console.note("nothing was committed; git push brings it to those who apply, where that was not done")
        return 0
    subject = f"approve {', '.join(stacks)}"
    # On one line, it cannot pass for a trailer.
    said = [" ".join(note.split()), ""] if note.strip() else []
    _commit(repository, written, plain("\n".join([subject, "", *said, *lines, ""])), console)
    return 0


def _meant(project: Project, runs: Sequence[str], bundle: str | None, group: str) -> list[Mapping[str, Any]]:
    """The documents of the runs that are meant."""
    if bool(bundle) == bool(runs):
        raise UsageError(
            "which run?", hint="name runs, or --bundle PLACE for what a preview kept; last is the newest run"
        )
    found = _of_bundle(project, bundle, group) if bundle else [read_record(find_run(project, run)[1]) for run in runs]
    if not found:
        raise UsageError(
            f"the preview in {bundle} was to do nothing", hint="infra-orch apply --bundle PLACE says so, too"
        )
    return found


def _before(approval: Approval, folder: StackFolder, repository: Repository) -> Approval | None:
    """The same approval as it is committed, where it counts and *approval* has nothing else to say."""
    signed = folder.project.settings.signed_approvals
    book = Book(repository, folder, records_of(folder, sandbox=False, committed=True), lambda _: None, signed=signed)
    for one in book.approvals:
        same = (one.id, one.digest, one.despite_policies) == (approval.id, approval.digest, approval.despite_policies)
        if same and approval.note in ("", one.note) and _denials(one) == _denials(approval):
            return one
    return None


def _denials(approval: Approval) -> dict[str, tuple[str, ...]]:
    return {name: outcome.denials for name, outcome in approval.units.items()}


def _of_bundle(project: Project, bundle: str, group: str) -> list[Mapping[str, Any]]:
    """The documents of the runs of a preview's bundle, those that were to do nothing left out."""
    from infra_orch.commands.offering import documents_of  # noqa: PLC0415  a bundle is opened by few

    planned = (str(Status.PLANNED), str(Status.REFUSED))
    documents = documents_of(project, bundle, group)
    return [one for one in documents if any(unit["status"] in planned for unit in one["units"].values())]


def _folder(project: Project, document: Mapping[str, Any], run: str) -> StackFolder:
    name = str(document.get("folder") or "")
    if not is_stack_name(name):
        raise UserError(f"run {run} does not say of which stack it is", hint="plan again, and approve that")
    return StackFolder(project, project.stacks / name)


def _approvable(document: Mapping[str, Any], *, despite_policies: bool) -> dict[str, Outcome]:
    """The units of a run that were planned, or refused by policies alone, and what they were to do."""
    run = document.get("run_id")
    if run is None:
        raise UsageError(f"run {document.get('run')} is over: there is nothing to approve in it", hint="plan anew")
    if document.get("sandbox"):
        raise UsageError(
            f"run {run} was in the sandbox, and says nothing of what exists",
            hint="plan without --sandbox, and approve that",
        )
    if document.get("dirty"):
        raise UsageError(
            f"run {run} was planned with changes that are not committed, so nobody else can see what it is of",
            hint="git status shows them; commit them, and plan again",
        )
    nodes = {name: one for name, one in read_outcomes(document).items() if not one.is_task}
    denied = {name: one for name, one in nodes.items() if one.status is Status.REFUSED and one.denials}
    if denied and not despite_policies:
        name, outcome = next(iter(denied.items()))
        raise RefusedError(
            f"policies deny it: {name}: {outcome.denials[0]}",
            hint=f"infra-orch approve {run} --despite-policies, if that is meant",
        )
    units = {name: one for name, one in nodes.items() if one.status is Status.PLANNED} | denied
    if not units:
        raise UsageError(f"run {run} was to do nothing", hint="infra-orch plan STACK shows what is to be done")
    return units


def _commit(repository: Repository, written: Mapping[Path, bytes | None], message: str, console: Console) -> None:
    for path, content in written.items():
        assert content is not None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
    paths = {repository.relative(path): content for path, content in written.items()}
    made = commit_paths(repository, paths, message)
    for said in made.notes:
        console.note(said)
    where = f"on {made.branch}" if made.branch else "on a detached HEAD"
    commit = (made.sha or repository.head() or "")[:10]
    push = "git push" if made.branch else "git push REMOTE HEAD:BRANCH"
    console.note(f"committed as {commit} {where}; {push} brings it to those who apply")
