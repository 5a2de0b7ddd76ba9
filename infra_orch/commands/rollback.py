"""`infra-orch rollback STACK --to RUN`: a commit that makes a stack's files those of a run again, and its plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.commands.affecting import at_commit
from infra_orch.commands.contents import Side
from infra_orch.commands.options import RunOptions
from infra_orch.commands.plan import plan
from infra_orch.commands.stacks import Asked
from infra_orch.console import Console
from infra_orch.errors import ExitCode, RefusedError, UsageError, UserError
from infra_orch.files import write_atomically
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import Fingerprint, compare
from infra_orch.git.branch import start_branch
from infra_orch.git.commit import commit_paths
from infra_orch.git.index import Entry
from infra_orch.git.repository import Repository, find_repository
from infra_orch.git.tree import commit_on, read_commit
from infra_orch.module.files import NOT_PART, module_folders
from infra_orch.module.reads import read_outside
from infra_orch.project import Project, StackFolder
from infra_orch.record.store import parse_record, read_record, records_of
from infra_orch.render.index import RenderedStack, from_json

_SHOWN = 5
_PROGRAM = "100755"


@dataclass(frozen=True)
class Aim:
    """The run that is gone back to: its *record*, the commit *at* which it ran, and the one it is *recorded* in."""

    run: str
    record: Mapping[str, Any]
    at: str
    recorded: str


def rollback(
    project: Project, stack: str, to: str, options: RunOptions, console: Console, *, branch: str | None
) -> int:
    """Commit the stack's files, its modules and its rendered files as they were in the run *to*, on a new *branch* or
    on top of what is checked out, and show the plan of it. Returns the exit code of the plan.

    Raises UsageError where there is no such run, RefusedError where its files are not in git, or files that would be
    restored differ from what is committed.
    """
    folder, repository = project.stack(stack), find_repository(project.root)
    if repository is None:
        raise UsageError("a run's files are brought back from git, and this is no git repository")
    aim = _aim(folder, to, repository)
    before = _index_at(folder, aim, repository)
    scope = _scope(folder, aim, before, repository)
    wanted = _restored(scope, aim, repository)
    if not wanted:
        console.note(f"{folder.name} is as it was in run {aim.run}: there is nothing to roll back")
        return ExitCode.DONE
    _refuse_dirty([path for path in wanted if not scope.rendered(path)], repository)
    _look_at_it(folder, aim, wanted, repository, console)
    _tell_others(folder, scope, wanted, console)
    made = _commit(folder, aim, wanted, repository, branch)
    on = repository.branch() or "a detached HEAD"
    console.note(f"{len(wanted)} files are as they were in run {aim.run}: {made[:10]} on {on}")
    code = plan(project, Asked.one(folder.name), options, console)
    console.note(f"infra-orch apply {folder.name} applies it; git revert {made[:10]} takes it back")
    return code


def _aim(folder: StackFolder, to: str, repository: Repository) -> Aim:
    """Find the run. Raises UsageError where there is none, or none that can be gone back to."""
    runs = {path.stem: path for path in records_of(folder, sandbox=False, committed=True).runs.glob("*.json")}
    found = [to] if to in runs else sorted(name for name in runs if name.startswith(to))
    if len(found) != 1:
        what = f'"{to}" could be {", ".join(found[:_SHOWN])}' if found else f'{folder.name} has no recorded run "{to}"'
        hint = f"infra-orch history {folder.name} lists them"
        raise UsageError(what, hint=f"{hint}; the last one is what is there now" if to == "last" else hint)
    run = found[0]
    record = read_record(runs[run])
    entries = repository.log([repository.relative(runs[run])], 1)
    if not entries or not record["commit"]:
        why = "its record is not committed" if record["commit"] else "it was made where nothing was committed"
        raise RefusedError(f"run {run} cannot be gone back to: {why}")
    if record["command"] == "destroy":
        raise UsageError(
            f"run {run} destroyed {folder.name}", hint=f"infra-orch history {folder.name}: give the one before it"
        )
    if repository.resolve(record["commit"]) is None:
        raise RefusedError(
            f"run {run} was made at {record['commit'][:10]}, which is not here",
            hint="in a shallow clone: git fetch --unshallow; else it was on a branch that is gone, or never pushed",
        )
    return Aim(run, record, record["commit"], entries[0].sha)


def _index_at(folder: StackFolder, aim: Aim, repository: Repository) -> RenderedStack:
    text = repository.show(aim.recorded, repository.relative(folder.index))
    if text is None:
        raise RefusedError(f"{aim.recorded[:10]}, which records run {aim.run}, has no rendered files of {folder.name}")
    return from_json(text.decode(errors="replace"), folder)


@dataclass(frozen=True)
class _Scope:
    """What is restored: the files below the folder of the *stack* that are its own, those below the folders of
    *modules*, and the *files* that these read elsewhere; paths in the repository.
    """

    stack: str
    modules: frozenset[str]
    files: frozenset[str]

    def restores(self, path: str, nested: Collection[str]) -> bool:
        """Whether a file is among them. *nested* are stacks whose folders lie in that of the stack."""
        if path in self.files:
            return True
        if any(path.startswith(f"{module}/") for module in self.modules):
            return NOT_PART.isdisjoint(path.split("/"))
        first = path.removeprefix(f"{self.stack}/").partition("/")[0]
        mine = path.startswith(f"{self.stack}/") and first not in ("record", "state", "rendered")
        return mine and not any(path.startswith(f"{other}/") for other in nested)

    def rendered(self, path: str) -> bool:
        """Whether a file is one of the stack's rendered ones."""
        return path.startswith(f"{self.stack}/rendered/")


def _scope(folder: StackFolder, aim: Aim, before: RenderedStack, repository: Repository) -> _Scope:
    """Return what the stack was made of in that run."""
    project = folder.project
    with at_commit(project, repository, aim.at, frozenset({folder.name})) as then:
        called = [then.project.root / unit.module for unit in before.units.values()]
        modules = module_folders([path for path in called if path.is_dir()], project.cache / "modules")
        outside = read_outside((path for one in modules for path in one.iterdir()), root=then.project.root)
        top = then.within.resolve()
        # What lies outside of the repository is in no commit.
        places = [
            {one.relative_to(top).as_posix() for one in some if one.is_relative_to(top)} for some in (modules, outside)
        ]
    return _Scope(repository.relative(folder.path), frozenset(places[0]), frozenset(places[1]))


def _restored(scope: _Scope, aim: Aim, repository: Repository) -> dict[str, Entry | None]:
    """Return what differs from HEAD of what is restored, as it was in the run; None: it was not there."""
    now, then, recorded = (_tree(repository, commit) for commit in ("HEAD", aim.at, aim.recorded))
    specs = {path.removesuffix("/stack.py") for path in (*now, *then) if path.endswith("/stack.py")}
    nested = {stack for stack in specs if stack.startswith(f"{scope.stack}/")}
    target = {path: entry for path, entry in then.items() if scope.restores(path, nested)}
    target |= {path: entry for path, entry in recorded.items() if scope.rendered(path)}
    here = {path: entry for path, entry in now.items() if scope.restores(path, nested) or scope.rendered(path)}
    differing = {path for path in {*target, *here} if target.get(path) != here.get(path)}
    odd = [path for path in sorted(differing) for entry in (target.get(path), here.get(path)) if entry and _odd(entry)]
    if odd:
        raise RefusedError(f"{odd[0]} is a link or a submodule", hint="restore it by hand, commit that, and try again")
    return {path: target.get(path) for path in sorted(differing)}


def _odd(entry: Entry) -> bool:
    return not entry.mode.startswith("100")


def _tree(repository: Repository, commit: str) -> dict[str, Entry]:
    return {path: Entry(mode, name) for path, mode, name in repository.list_entries(commit, "")}


def _refuse_dirty(paths: Iterable[str], repository: Repository) -> None:
    if dirty := repository.dirty(paths):
        more = f" and {len(dirty) - _SHOWN} more" if len(dirty) > _SHOWN else ""
        raise RefusedError(
            f"these would be overwritten, and differ from what is committed: {', '.join(dirty[:_SHOWN])}{more}",
            hint="commit them, or put them aside: git stash --include-untracked",
        )


def _look_at_it(
    folder: StackFolder, aim: Aim, wanted: Mapping[str, Entry | None], repository: Repository, console: Console
) -> None:
    """Compare what the restored files come to with what the run had. Raises RefusedError where these were not
    committed.

    What a spec imports from elsewhere, and templates that stacks share, are not restored: it is said where that
    matters.
    """
    head = repository.head()
    assert head
    absent = Entry("000000", "0" * len(head))
    entries = {path: entry or absent for path, entry in wanted.items()}
    draft = commit_on(repository, head, entries, read_commit(repository, head))
    odd = _told(folder, aim, repository, draft)
    if odd and aim.record["dirty"] and (never := _told(folder, aim, repository, aim.at)):
        raise RefusedError(
            f"run {aim.run} was made with changes that were never committed; what git has differs in: {never}",
            hint=f"git show {aim.recorded[:10]} has the rendered files; or give another run",
        )
    if odd:
        console.warn(
            f"what is restored does not come to what run {aim.run} had: {odd}; it depends on files that are not the "
            "stack's own: Python that stacks share, templates, or another version of infra-orch"
        )


def _told(folder: StackFolder, aim: Aim, repository: Repository, commit: str) -> str:
    """What the stack at a commit differs in from what the run had, in words; empty where in nothing."""
    with at_commit(folder.project, repository, commit, frozenset({folder.name})) as side:
        odd = sorted(set(_differing(folder, aim, repository, side)))
    return ", ".join(odd[:_SHOWN]) + (f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else "")


def _differing(folder: StackFolder, aim: Aim, repository: Repository, side: Side) -> Iterator[str]:
    """Yield what the units that the run applied are made of now and were not then, or the other way round."""
    content = side.content(folder.name)
    if not isinstance(content, Content):
        yield f"the spec, which cannot be evaluated: {content}"
        return
    yield from (f"task {name}" for name in aim.record["tasks"] if name not in content.stack.tasks)
    place = repository.relative(folder.record)
    for name in aim.record["units"]:
        text = repository.show(aim.recorded, f"{place}/{name}.json")
        record = parse_record(text.decode(errors="replace"), name) if text else {}
        known = Fingerprint.from_json(record.get("fingerprint"))
        if known is None or record["run"] != aim.run:
            continue
        now = content.units.get(name)
        if now is None:
            yield f"unit {name}"
            continue
        for part, word in compare(now, known).items():
            if part.startswith(("file ", "rendered ")) and word != "same":
                yield part.removeprefix("file ").replace("rendered ", f"rendered {name}/", 1)


def _tell_others(folder: StackFolder, scope: _Scope, wanted: Iterable[str], console: Console) -> None:
    """Say which other stacks call modules that are changed by it."""
    project, paths = folder.project, list(wanted)
    repository = find_repository(project.root)
    assert repository
    changed = {module for module in scope.modules if any(path.startswith(f"{module}/") for path in paths)}
    users: dict[str, list[str]] = {}
    for other in project.stack_folders() if changed else ():
        if other.name == folder.name or not other.index.is_file():
            continue
        for name, unit in _units(other):
            if unit in {_in_project(project, repository, module) for module in changed}:
                users.setdefault(unit, []).append(f"{other.name}/{name}")
    for module, units in sorted(users.items()):
        more = f" and {len(units) - _SHOWN} more" if len(units) > _SHOWN else ""
        console.warn(f"{module} is restored, and also called by {', '.join(units[:_SHOWN])}{more}")


def _units(folder: StackFolder) -> Iterator[tuple[str, str]]:
    try:
        stack = from_json(folder.index.read_text(encoding="utf-8"), folder)
    except (UserError, OSError):
        return
    yield from ((name, unit.module) for name, unit in stack.units.items())


def _in_project(project: Project, repository: Repository, path: str) -> str:
    return project.shown(repository.root / path)


def _commit(
    folder: StackFolder, aim: Aim, wanted: Mapping[str, Entry | None], repository: Repository, branch: str | None
) -> str:
    """Write the files, and commit them and nothing else. Returns the commit."""
    blobs = repository.read_blobs(entry.id for entry in wanted.values() if entry)
    contents = {path: blobs[entry.id] if entry else None for path, entry in wanted.items()}
    if branch:
        start_branch(repository, branch)
    for path, content in contents.items():
        file = repository.root / path
        if content is None:
            file.unlink(missing_ok=True)
            _remove_empty(file.parent, repository.root)
            continue
        entry = wanted[path]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content, mode=0o777 if entry and entry.mode == _PROGRAM else 0o666)
    message = (
        f"roll back {folder.name} to run {aim.run}\n\nIts files, modules and rendered files are those of "
        f"{aim.record['command']} {aim.run} of {aim.record['at']}, made at {aim.at[:10]}.\n"
    )
    made = commit_paths(repository, contents, message)
    return made.sha or repository.head() or ""


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
