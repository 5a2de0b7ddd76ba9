"""The approvals that a stack's record holds in git, and which of them say yes to what a unit is about to do.

Only what is committed counts, in the name of the author of the commit that brought it. An approval is for one run:
once a run has made use of it, it is spent.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from infra_orch.approval.approval import Approval, from_text
from infra_orch.approval.effects import Plan, beyond
from infra_orch.errors import UserError
from infra_orch.git.repository import LogEntry, Repository
from infra_orch.module.files import module_folders
from infra_orch.module.reads import read_outside
from infra_orch.project import StackFolder
from infra_orch.record.store import Records, parse_record
from infra_orch.render.index import from_json
from infra_orch.run.outcome import Status

FOLDER = "approvals"


@dataclass(frozen=True)
class Said:
    """What is approved of a unit: *by* whom all that it does is, as approvals by "Name <mail>", who of them changed it
    themselves, and what goes *beyond* the approval that comes nearest, a line each.
    """

    by: Mapping[str, Approval]
    own: frozenset[str]
    beyond: tuple[str, ...]

    def counting(self, required: int) -> dict[str, Approval]:
        """Those that count where so many are required: then only what others say of a change does."""
        return {who: approval for who, approval in self.by.items() if not required or who not in self.own}


@dataclass(frozen=True)
class Book:
    """The approvals of a stack. *warn* is told what is no approval, though it lies there. *signed*: only those in
    commits whose signatures git verifies count.
    """

    repository: Repository
    folder: StackFolder
    records: Records
    warn: Callable[[str], None]
    signed: bool = False
    _used: dict[tuple[str, str], bool] = field(default_factory=dict, init=False)

    @cached_property
    def approvals(self) -> tuple[Approval, ...]:
        """Those that are committed, and from whom they say."""
        place = self.repository.relative(self.folder.record / FOLDER)
        listed = [(path, blob) for path, blob in self.repository.list_tree("HEAD", place) if path.endswith(".json")]
        if listed and self.repository.is_shallow():
            self.warn(
                "this is a shallow clone, which does not tell who committed an approval, so none counts: "
                "git fetch --unshallow, or fetch-depth: 0 in a job"
            )
            return ()
        texts = self.repository.read_blobs(blob for _, blob in listed)
        found = (self._read(path, texts[blob].decode(errors="replace")) for path, blob in listed)
        return tuple(approval for approval in found if approval)

    def said(self, unit: str, now: Plan, *, denied: bool = False) -> Said:
        """Return what is approved of what a unit is planned to do *now*. *denied*: only what holds against policies."""
        authors = self._authors(unit)
        by: dict[str, Approval] = {}
        nearest: list[str] | None = None
        for approval in self.approvals:
            if unit not in approval.units or (denied and not self._holds(approval, unit, now)):
                continue
            more = beyond(approval.plan(unit), now)
            if more:
                nearest = more if nearest is None or len(more) < len(nearest) else nearest
            elif not self._is_spent(approval, unit):  # whoever spells the name in two ways is one person
                by[_mail(approval.by)] = approval
        by = {approval.by: approval for approval in by.values()}
        own = frozenset(who for who in by if _mail(who) in authors)
        return Said(by, own, tuple(nearest or ()))

    def _holds(self, approval: Approval, unit: str, now: Plan) -> bool:
        """Whether it is for all that policies say against the plan."""
        known = set(approval.units[unit].denials)
        return approval.despite_policies and bool(now.outcome.denials) and set(now.outcome.denials) <= known

    def _read(self, path: str, text: str) -> Approval | None:
        try:
            approval = from_text(text, path)
        except UserError as error:
            self.warn(f"{path} does not count: {error.summary}")
            return None
        entry = next(iter(self.repository.log([path], 1)), None)
        if entry is None or entry.author != approval.by:
            who = entry.author if entry else "nobody"
            self.warn(f"{path} does not count: it says that it is from {approval.by}, and {who} committed it")
            return None
        if self.signed and (why := self._not_signed(entry)):
            self.warn(f"{path} does not count: {why}")
            return None
        return approval

    def _not_signed(self, entry: LogEntry) -> str:
        """Why the commit that brought an approval is not signed by its author; empty where it is."""
        signer = self.repository.signer(entry.sha)
        if signer is None:
            return f"git does not verify the signature of {entry.sha[:12]}, which brought it"
        author = _mail(entry.author)
        if any(fnmatch.fnmatchcase(author, _mail(one)) for one in signer.split(",")):
            return ""
        return f"{entry.sha[:12]}, which brought it, says that it is from {entry.author}, and {signer} signed it"

    def _is_spent(self, approval: Approval, unit: str) -> bool:
        """Whether a run has applied a unit by it, also one whose record was deleted since. What failed may be done
        again.
        """
        if (approval.id, unit) not in self._used:
            texts = [text for text in self._texts(approval.id) if f'"{approval.id}"' in text]
            records = [parse_record(text, "a record of a run") for text in texts]
            applied = {name for record in records for name, one in record["units"].items() if _is_applied(one)}
            self._used.update({(approval.id, name): name in applied for name in approval.units})
        return self._used[approval.id, unit]

    def _texts(self, used: str) -> Iterator[str]:
        """The records of runs as they lie there, and those that had *used* in them and are deleted."""
        runs = self.records.runs
        for path in runs.glob("*.json"):
            yield path.read_text(encoding="utf-8", errors="replace")
        if runs.is_relative_to(self.repository.root):  # the sandbox's are in no repository
            place = self.repository.relative(runs)
            for commit, name in self.repository.commits_with(f'"{used}"', place):
                yield (self.repository.show(commit, name) or b"").decode(errors="replace")

    def _authors(self, unit: str) -> frozenset[str]:
        """The mail addresses of those who changed what a unit is since it was applied last."""
        record = self.records.units().get(unit) or {}
        since = str(record.get("commit") or "")
        known = bool(since and self.repository.resolve(since))
        rendered = [self.folder.rendered / unit]
        written = [self.folder.spec, *self._module_files({str(record.get("module") or ""), self._module(unit)})]
        found = self._changed(rendered + (written if known else []), since if known else None)
        # Of what was never applied anybody may have written the module long ago, as long as git tells who rendered it.
        return found or self._changed(written, since if known else None)

    def _changed(self, paths: Iterable[Path], since: str | None) -> frozenset[str]:
        inside = (path for path in paths if path.resolve().is_relative_to(self.repository.root))
        return frozenset(map(_mail, self.repository.authors(map(self.repository.relative, inside), since)))

    def _module(self, unit: str) -> str:
        """The module that a unit is of by now."""
        try:
            stack = from_json(self.folder.index.read_text(encoding="utf-8"), self.folder)
        except (OSError, UserError):
            return ""
        return stack.units[unit].module if unit in stack.units else ""

    def _module_files(self, modules: Iterable[str]) -> list[Path]:
        """The folders of local modules, those of the modules that they call, and what these read elsewhere."""
        project = self.folder.project
        named = [project.root / module for module in modules if PurePosixPath(module).parts[:1] == ("modules",)]
        there = module_folders([path for path in named if path.is_dir()], project.cache / "modules")
        outside = read_outside((path for folder in there for path in folder.iterdir()), root=project.root)
        return [*named, *there, *outside]


def _is_applied(unit: Mapping[str, Any]) -> bool:
    return bool(unit["status"] == str(Status.APPLIED))


def _mail(person: str) -> str:
    """What tells people apart: the address of "Name <mail>"."""
    return person.rpartition("<")[2].rstrip(">").strip().casefold()
