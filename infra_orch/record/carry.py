"""Commits of records put on top of a branch that has moved on: nothing of a record is lost, and nothing is forced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra_orch.errors import UserError
from infra_orch.git.index import Change, Entry
from infra_orch.git.remote import commits_between
from infra_orch.git.repository import Repository
from infra_orch.git.tree import Made, changes_between, commit_on, entries_at, read_commit
from infra_orch.record.store import TRAILER, parse_record

_RECORD = re.compile(r"(?P<stack>stacks/.+)/(?P<kind>record|rendered)/(?P<rest>.+)")
_RUN = re.compile(r"(?:sandbox/)?runs/[^/]+\.json")
_UNIT = re.compile(r"(?:sandbox/)?[^/]+\.json")
_NEVER = datetime.min.replace(tzinfo=UTC)
_ABSENT_MODE = "000000"


def is_ours(path: str, project: str) -> bool:
    """Whether a file at *path* of the repository is one that runs write: a record, or a rendered file of a stack.

    *project* is the project's folder in it, "" or with "/" at its end.
    """
    return path.startswith(project) and _RECORD.fullmatch(path[len(project) :]) is not None


def is_rendered(path: str, project: str) -> bool:
    """Whether a file at *path* of the repository is a rendered file of a stack, as is_ours() has it."""
    return path.startswith(project) and _rendered(path, project) is not None


def holds_records_alone(repository: Repository, commit: str, project: str) -> bool:
    """Whether a commit is one that a run made: it names the run, and touches nothing but what runs write.

    Raises UserError where git cannot tell.
    """
    made = read_commit(repository, commit)
    if len(made.parents) != 1 or f"\n{TRAILER}: " not in made.message:
        return False
    return all(is_ours(path, project) for path in changes_between(repository, made.parents[0], commit))


def carry(repository: Repository, commits: Sequence[str], onto: str, project: str) -> str:
    """Put commits of records, oldest first, on top of *onto*, and return the id of the last; no ref is moved.

    Where both sides have written a unit's record, that of the later apply stays; records of runs all stay. Where both
    have written rendered files of a stack, those of *onto* stay: a run brings them up to date. Raises UserError where
    git fails.
    """
    tip = onto
    for commit in commits:
        made = read_commit(repository, commit)
        changes = changes_between(repository, made.parents[0], commit)
        there = entries_at(repository, tip, changes)
        case = _Case(repository, made, tip, project)
        tip = commit_on(repository, tip, _settled(changes, there, case), made)
    return tip


@dataclass(frozen=True)
class _Case:
    """One commit of records that is put on top of *tip*."""

    repository: Repository
    made: Made
    tip: str
    project: str


def _settled(changes: Mapping[str, Change], there: Mapping[str, Entry], case: _Case) -> dict[str, Entry]:
    """What is to be changed at the tip, given what the commit changed, and what the tip has there."""
    wanted: dict[str, Entry] = {}
    contested: dict[str, tuple[Entry, Entry | None]] = {}
    for path, change in changes.items():
        theirs, before = there.get(path), _present(change.before)
        if theirs == before:
            wanted[path] = change.after
        elif theirs != _present(change.after):
            contested[path] = (change.after, theirs)
    rendered = {place for path in contested if (place := _rendered(path, case.project))}
    wanted = {path: entry for path, entry in wanted.items() if _rendered(path, case.project) not in rendered}
    for path, (ours, theirs) in contested.items():
        if not _rendered(path, case.project) and _ours_stays(path, ours, theirs, case):
            wanted[path] = ours
    return wanted


def _ours_stays(path: str, ours: Entry, theirs: Entry | None, case: _Case) -> bool:
    found = _RECORD.fullmatch(path[len(case.project) :])
    rest = found["rest"] if found else ""
    if _RUN.fullmatch(rest):
        return _present(ours) is not None
    if not _UNIT.fullmatch(rest):
        return False
    mine, other = _read(ours, path, case), _read(theirs, path, case)
    if mine and other:
        return _is_later(mine, other)
    # One of the two took it away: a unit that was destroyed, or renamed.
    my_time = _time(mine) if mine else datetime.fromisoformat(case.made.written)
    return my_time >= (_time(other) if other else _deleted(path, case))


def _is_later(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether *mine* is of a later apply than *other*: told by the serial of the state, else by the clock."""
    one, two = (record.get("state") or {} for record in (mine, other))
    if one.get("lineage") and one.get("lineage") == two.get("lineage") and one.get("serial") != two.get("serial"):
        return int(one["serial"]) > int(two["serial"])
    return (_time(mine), str(mine["run"])) > (_time(other), str(other["run"]))


def _time(record: Mapping[str, Any]) -> datetime:
    try:
        found = datetime.fromisoformat(str(record["at"]))
    except ValueError:
        return _NEVER
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _deleted(path: str, case: _Case) -> datetime:
    """When the tip's side took *path* away."""
    base = case.made.parents[0]
    out = case.repository.git("log", "-1", "--format=%cI", f"{base}..{case.tip}", "--", path).decode().strip()
    return datetime.fromisoformat(out) if out else _NEVER


def _read(entry: Entry | None, path: str, case: _Case) -> Mapping[str, Any] | None:
    """The record that *entry* is; None where there is none, or nothing that is one."""
    if entry is None or entry.mode == _ABSENT_MODE:
        return None
    text = case.repository.read_blobs([entry.id])[entry.id].decode(errors="replace")
    try:
        return parse_record(text, path)
    except UserError:
        return None


def _present(entry: Entry) -> Entry | None:
    return None if entry.mode == _ABSENT_MODE else entry


def _rendered(path: str, project: str) -> str | None:
    """The folder of rendered files that *path* lies in, if it lies in one."""
    found = _RECORD.fullmatch(path[len(project) :])
    return found["stack"] if found and found["kind"] == "rendered" else None


def foreign(repository: Repository, base: str, tip: str, project: str) -> list[str]:
    """Return the commits that *tip* has and *base* has not which are not of records alone, oldest first.

    Raises UserError where git cannot tell.
    """
    commits: Iterable[str] = commits_between(repository, base, tip)
    return [commit for commit in commits if not holds_records_alone(repository, commit, project)]
