"""What earlier runs in a checkout have left to do, done before it is moved: their ends, records, commits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from infra_orch.commands.following import Branch
from infra_orch.commands.gone import open_gone
from infra_orch.commands.options import RunOptions
from infra_orch.commands.recovering import as_it_was_run, owed, see_to, spec_tasks, told
from infra_orch.commands.session import session
from infra_orch.console import Console
from infra_orch.git.tree import entries_at
from infra_orch.project import Project, StackFolder
from infra_orch.record.carry import is_ours
from infra_orch.record.store import TRAILER, commit_run, records_of
from infra_orch.report.progress import progress_for
from infra_orch.run.lock import owing


def settle(project: Project, branch: Branch, options: RunOptions, console: Console) -> None:
    """See to the end of runs that died in this checkout, as it was then, and commit records that nobody committed.

    Raises RefusedError where something has to be decided first.
    """
    quiet = replace(console, json=False, out=console.err) if console.json else console
    realm = "sandbox" if options.sandbox else "work"
    for path in sorted((project.scratch / "locks").glob(f"{realm}-*.lock")):
        if owing(path):
            _settle_stack(path.stem.removeprefix(f"{realm}-").replace("~", "/"), project, options, quiet)
    _commit_leftovers(project, branch, quiet)


def _settle_stack(name: str, project: Project, options: RunOptions, console: Console) -> None:
    folder = StackFolder(project, project.stacks / name)
    if folder.index.exists():
        opened, from_rendered = as_it_was_run(folder, sandbox=options.sandbox)
        options = replace(options, from_rendered=from_rendered)
    elif gone := open_gone(project, name, console, sandbox=options.sandbox):
        opened = gone
    else:
        return
    with (
        progress_for(console) as progress,
        session(project, opened, "recover", console, progress, options) as run,
        told(),
    ):
        for run_id in owed(run):
            see_to(run_id, run, opened, console, lambda case: spec_tasks(project, case, console))
        run.context.journal.write("done", durable=True, status="recovered")


def _commit_leftovers(project: Project, branch: Branch, console: Console) -> None:
    """Commit the records that runs wrote here and could not commit, with what is rendered beside them."""
    repository = branch.repository
    dirty = [path for path in repository.dirty([repository.relative(project.stacks)]) if is_ours(path, branch.project)]
    runs = [path for path in dirty if "/record/" in path and Path(path).parent.name == "runs"]
    known = entries_at(repository, "HEAD", runs)  # one that was edited is no work of a run
    runs = [path for path in runs if path not in known]
    if not runs:
        return
    stacks = {path[: path.rindex("/record/")] for path in runs}
    folders = [StackFolder(project, repository.root / stack) for stack in sorted(stacks)]
    mine = [path for path in dirty if any(path.startswith(f"{stack}/") for stack in stacks)]
    files = {repository.root / path: repository.root / path for path in mine}
    paths = {path: file.read_bytes() if file.is_file() else None for path, file in files.items()}
    ids = [Path(path).stem for path in runs]
    message = f"records of {len(ids)} earlier run{'s' * (len(ids) > 1)}\n\n" + "".join(
        f"{TRAILER}: {one}\n" for one in ids
    )
    records = [records_of(folder, sandbox=False, committed=True) for folder in folders]
    commit_run(repository, records, paths, message)
    console.note(f"records that were left uncommitted are committed now: {', '.join(ids)}")
