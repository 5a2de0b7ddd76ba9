"""What became of a unit or a task in a run. Outcomes are values: one failure never loses what else happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What became of a node."""

    PLANNED = "planned"
    UNCHANGED = "unchanged"
    APPLIED = "applied"
    FAILED = "failed"
    BLOCKED = "blocked"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    REFUSED = "refused"

    @property
    def lets_on(self) -> bool:
        """Whether what is downstream can go on: it waits for nothing that will not come."""
        return self in (Status.PLANNED, Status.UNCHANGED, Status.APPLIED, Status.SKIPPED)

    @property
    def to_do(self) -> bool:
        """Whether a preview leaves something to an apply: what it shows, or what it could not show yet."""
        return self in (Status.PLANNED, Status.DEFERRED)


class Basis(StrEnum):
    """What a plan rests on: upstream values that exist, that an upstream plan promises, or that nobody knows yet."""

    EXACT = "exact"
    PLANNED = "planned"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counts:
    """How many resources a plan touches, or an apply touched, by what happens to them."""

    create: int = 0
    update: int = 0
    delete: int = 0
    replace: int = 0
    imported: int = 0
    move: int = 0
    read: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """The numbers, in the order of the fields."""
        return (self.create, self.update, self.delete, self.replace, self.imported, self.move, self.read)

    def as_json(self) -> dict[str, int]:
        """The numbers by the names that `--json` gives them."""
        names = ("create", "update", "delete", "replace", "import", "move", "read")
        return dict(zip(names, self.values(), strict=True))


@dataclass(frozen=True)
class AttributeChange:
    """One attribute that changes, ready to be shown: sensitive and secret values are masked already."""

    path: str
    before: str
    after: str
    forces_replacement: bool = False


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource instance. *actions* is Terraform's own list, `("delete", "create")`.

    *deposed*: Terraform's key of what a replacement has left behind, where it is that; what is in use has none.
    """

    address: str
    type: str
    actions: tuple[str, ...]
    attributes: tuple[AttributeChange, ...] = ()
    moved_from: str | None = None
    imported_id: str | None = None
    deposed: str | None = None

    @property
    def replaces(self) -> bool:
        """Whether the resource is deleted and created anew, in whichever order."""
        return set(self.actions) == {"delete", "create"}

    @property
    def destroys(self) -> bool:
        """Whether something that exists is deleted, for good or to be replaced."""
        return "delete" in self.actions


@dataclass(frozen=True)
class Failure:
    """Why a node failed: *summary* is one clear sentence, *detail* what Terraform said, redacted, *hint* what to do.

    *log* is the path of the full log as shown to the user; *kind* is one word for programs (`locked`, `credentials`).
    """

    summary: str
    detail: str = ""
    hint: str = ""
    log: str = ""
    kind: str = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a unit or task.

    *unknown_inputs*: what it waits for, as `network.vpc_id`. *warnings*: what Terraform or we warned of. *duration* is
    in seconds. *result* is what a task returned, as JSON has it. *addresses* are the managed resources that there are,
    or will be once a plan is applied. *unfinished* are those that an apply began and did not finish: they may exist.
    *denials*: what policies said against it. *means*: a digest of the provisioners and the arguments of providers that
    a plan was made with, see PlanDocument.means(); "": nobody knows.
    """

    name: str
    status: Status
    counts: Counts = Counts()
    resources: tuple[ResourceChange, ...] = ()
    outputs_changed: tuple[str, ...] = ()
    basis: Basis = Basis.EXACT
    unknown_inputs: tuple[str, ...] = ()
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    duration: float = 0.0
    destroys_unit: bool = False
    is_task: bool = False
    result: Any = None
    addresses: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()
    means: str = ""

    @property
    def has_changes(self) -> bool:
        """Whether applying it would change resources or outputs."""
        return self.status is Status.PLANNED


def count(resources: tuple[ResourceChange, ...]) -> Counts:
    """Count what happens to *resources*. A moved or imported resource counts as such and as what else happens to it."""
    return Counts(
        create=sum(r.actions == ("create",) for r in resources),
        update=sum(r.actions == ("update",) for r in resources),
        delete=sum(r.actions == ("delete",) for r in resources),
        replace=sum(r.replaces for r in resources),
        imported=sum(r.imported_id is not None for r in resources),
        move=sum(r.moved_from is not None for r in resources),
        read=sum(r.actions == ("read",) for r in resources),
    )
