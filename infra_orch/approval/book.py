"""The approvals that a stack's record holds in git, and which of them say yes to what a unit is about to do.

Only what is committed counts, in the name of the author of the commit that brought it. An approval is for one run:
once a run has made use of it, it is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from infra_orch.approval.approval import Approval, from_text
from infra_orch.approval.effects import Plan, beyond
from infra_orch.errors import UserError
from infra_orch.git.repository import Repository
from infra_orch.project import StackFolder
from infra_orch.record.store import Records, read_record
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
    """The approvals of a stack, in the *sandbox* or for real. *warn* is told what is no approval, though it lies there.
    *signed*: only those in commits whose signatures git verifies count.
    """

    repository: Repository
    folder: StackFolder
    records: Records
    warn: Callable[[str], None]
    sandbox: bool = False
    signed: bool = False

    @cached_property
    def approvals(self) -> tuple[Approval, ...]:
        """Those that are committed, and from whom they say."""
        place = self.repository.relative(self.folder.record / FOLDER)
        listed = [(path, blob) for path, blob in self.repository.list_tree("HEAD", place) if path.endswith(".json")]
        texts = self.repository.read_blobs(blob for _, blob in listed)
        found = (self._read(path, texts[blob].decode(errors="replace")) for path, blob in listed)
        return tuple(approval for approval in found if approval and approval.sandbox == self.sandbox)

    def said(self, unit: str, now: Plan, *, denied: bool = False) -> Said:
        """Return what is approved of what a unit is planned to do *now*. *denied*: only what holds against policies."""
        authors = self._authors(unit)
        by: dict[str, Approval] = {}
        nearest: list[str] | None = None
        for approval in self.approvals:
            if unit not in approval.units or (denied and not self._holds(approval, unit, now)):
                continue
            if (approval.id, unit) in self._spent:
                continue
            more = beyond(approval.plan(unit), now)
            if more:
                nearest = more if nearest is None or len(more) < len(nearest) else nearest
            else:
                by[approval.by] = approval
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
        if self.signed and not self.repository.is_signed(entry.sha):
            self.warn(f"{path} does not count: git does not verify the signature of {entry.sha[:12]}, which brought it")
            return None
        return approval

    @cached_property
    def _spent(self) -> frozenset[tuple[str, str]]:
        """The approvals, by id and unit, by which a run applied a unit. What failed may be done again."""
        first = min((approval.run for approval in self.approvals), default="")
        later = [path for path in self.records.runs.glob("*.json") if first and path.stem > first]
        records = [record for path in later if "approvals" in (record := read_record(path))]
        return frozenset(
            (str(yes["id"]), name)
            for record in records
            for yes in record["approvals"]
            for name, unit in record["units"].items()
            if unit["status"] == str(Status.APPLIED)
        )

    def _authors(self, unit: str) -> frozenset[str]:
        """The mail addresses of those who changed what a unit is since it was applied last."""
        record = self.records.units().get(unit) or {}
        since = str(record.get("commit") or "")
        known = bool(since and self.repository.resolve(since))
        paths = [self.folder.rendered / unit]
        if known:  # before that, anybody may have written the module that it is of
            module = PurePosixPath(str(record.get("module") or "."))
            paths += [
                self.folder.spec,
                *([self.folder.project.root / module] if module.parts[:1] == ("modules",) else []),
            ]
        found = self.repository.authors([self.repository.relative(path) for path in paths], since if known else None)
        return frozenset(map(_mail, found))


def _mail(person: str) -> str:
    """What tells people apart: the address of "Name <mail>"."""
    return person.rpartition("<")[2].rstrip(">").strip().casefold()
