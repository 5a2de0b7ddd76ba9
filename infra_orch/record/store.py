"""Write the records of a run beside the stack file, read them back, and commit them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra_orch.errors import UserError, Where
from infra_orch.files import write_atomically
from infra_orch.git.commit import Commit, commit_paths
from infra_orch.git.repository import Repository
from infra_orch.project import NAME, StackFolder
from infra_orch.record.record import RUN_SHAPE, SCHEMA, UNIT_SHAPE, to_text
from infra_orch.render.index import RenderedUnit
from infra_orch.run.outcome import Counts, Outcome, Status
from infra_orch.shape import misfit

TRAILER = "Infra-Orch-Run"
_LINES = 200
"""So many units a commit message names."""


@dataclass(frozen=True)
class Records:
    """Where the records of a stack lie: beside the stack file, or apart for the sandbox's, which are no real ones.

    *before* are records of units, by name, that lie there no more: the stack is deleted.
    """

    folder: Path
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """The records of runs."""
        return self.folder / "runs"

    def unit(self, name: str) -> Path:
        """The record of a unit."""
        return self.folder / f"{name}.json"

    def run(self, run_id: str) -> Path:
        """The record of a run."""
        return self.runs / f"{run_id}.json"

    def units(self) -> Mapping[str, Mapping[str, Any]]:
        """Every unit's record by name, as it was when they were asked for first.

        Raises UserError for one that cannot be read.
        """
        return self._units

    @cached_property
    def _units(self) -> Mapping[str, Mapping[str, Any]]:
        if not self.folder.is_dir():
            return self.before
        paths = [path for path in sorted(self.folder.glob("*.json")) if NAME.fullmatch(path.stem)]
        return {**self.before, **{path.stem: read_record(path) for path in paths}}


def records_of(stack: StackFolder, *, sandbox: bool, committed: bool) -> Records:
    """Return where records go: *committed* is whether they are to lie in the working tree."""
    if not sandbox:
        return Records(stack.record)
    if committed:
        return Records(stack.record / "sandbox")
    return Records(stack.project.scratch / "sandbox-record" / stack.path.relative_to(stack.project.stacks))


def read_record(path: Path) -> Mapping[str, Any]:
    """Read a record. Raises UserError where it is none, or one of a newer schema."""
    shown = _from_here(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _no_record(error, shown) from error
    return parse_record(text, shown)


def parse_record(text: str, shown: str) -> Mapping[str, Any]:
    """Read the *text* of a record, which messages call *shown*. Raises as read_record() does."""
    try:
        document = json.loads(text)
        schema = document["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise _no_record(error, shown) from error
    if not isinstance(schema, int) or schema > SCHEMA:
        newer = f"this was written by a newer infra-orch (schema {schema!r})"
        raise UserError(newer, where=Where(shown), hint="upgrade infra-orch")
    if wrong := misfit(document, RUN_SHAPE if "units" in document else UNIT_SHAPE):
        raise _no_record(wrong, shown)
    return dict(document)


def _no_record(why: object, shown: str) -> UserError:
    return UserError(f"this is not a record: {why}", where=Where(shown), hint=f"git checkout -- {shown} brings it back")


def left_over(records: Records, units: set[str]) -> list[str]:
    """Units that have a record, are not destroyed, and are not among *units*."""
    return sorted(name for name, record in records.units().items() if name not in units and exists(record))


def last_record(unit: RenderedUnit, known: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Any] | None, bool]:
    """Return the record of a unit among *known* ones, and whether it is that of its former name, under which it still
    exists.
    """
    renamed = unit.name not in known and unit.formerly is not None and exists(known.get(unit.formerly))
    return known.get(unit.formerly or "") if renamed else known.get(unit.name), renamed


def exists(record: Mapping[str, Any] | None) -> bool:
    """Whether a unit exists, by its record, if it has one."""
    return record is not None and record.get("status") != "destroyed"


def write_records(
    records: Records,
    units: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, Any],
    gone: set[str],
    renamed: set[str],
) -> dict[Path, bytes | None]:
    """Write the records of a run and return what was written, as {path: content or None where it was removed}.

    *gone* are units that left the spec and are destroyed, *renamed* former names of units: their records go, and the
    history keeps them.
    """
    changed: dict[Path, bytes | None] = {}
    records.runs.mkdir(parents=True, exist_ok=True)
    for name, document in units.items():
        path = records.unit(name)
        if name in gone and document["status"] == "destroyed":
            path.unlink(missing_ok=True)
            changed[path] = None
        else:
            changed[path] = _write(path, document)
    for path in map(records.unit, sorted(renamed)):
        if path.is_file():
            path.unlink()
            changed[path] = None
    path = records.run(run["run"])
    changed[path] = _write(path, run)
    return changed


def commit_run(
    repository: Repository, records: Sequence[Records], paths: Mapping[Path, bytes | None], message: str
) -> Commit:
    """Commit *paths* and nothing else; with them go *records* that an earlier run wrote and could not commit.

    Raises UserError, which gives the command that does it by hand, where git cannot.
    """
    dirty = repository.dirty([repository.relative(one.folder) for one in records])
    left = {repository.root / path for path in dirty if path.endswith(".json")} - paths.keys()
    earlier: dict[Path, bytes | None] = {}
    for one in records:
        mine = {path for path in left if path.parent in (one.folder, one.runs)}
        found = {path: path.read_bytes() for path in mine if path.is_file()}
        earlier |= found
        if any(path.parent == one.runs for path in found):
            # A record that is missing was taken away by that run; without one, somebody else did that.
            earlier |= {path: None for path in mine if path.parent == one.folder and not path.exists()}
    settled = dict(sorted({**earlier, **paths}.items()))
    return commit_paths(repository, {repository.relative(path): text for path, text in settled.items()}, message)


def commit_message(outcomes: Mapping[str, Outcome], subject: str, run_ids: Sequence[str]) -> str:
    """Return a run's commit message: *subject* and what changed in all, a line per unit, and as trailers the run's ids,
    of which there is one for each stack.
    """
    lines = [f"{name}: {words(outcome)}" for name, outcome in outcomes.items() if says_something(outcome)]
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"and {len(lines) - _LINES} more"]
    title = f"{subject}: {total_words(outcomes)}"
    trailers = [f"{TRAILER}: {one}" for one in run_ids]
    return plain("\n".join([title, "", *lines, *([""] if lines else []), *trailers, ""]))


def plain(message: str) -> str:
    """Return a commit message without what a terminal could take for more than text."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in message)


def says_something(outcome: Outcome) -> bool:
    """Whether an outcome is worth a line of its own."""
    return outcome.status not in (Status.UNCHANGED, Status.SKIPPED)


def total_words(outcomes: Mapping[str, Outcome]) -> str:
    """What a whole run did, in a few words: `3 created, 1 updated (1 failed)`."""
    total = sum((o.counts for o in outcomes.values() if o.status in (Status.APPLIED, Status.FAILED)), Counts())
    parts = _count_words(total, done=True)
    tasks = sum(outcome.is_task and outcome.status is Status.APPLIED for outcome in outcomes.values())
    if not parts and any(outcome.status is Status.APPLIED and not outcome.is_task for outcome in outcomes.values()):
        parts = "outputs changed"
    if not parts and tasks:
        parts = f"{tasks} task{'s' if tasks > 1 else ''} done"
    amiss = (Status.FAILED, Status.REFUSED, Status.BLOCKED, Status.DEFERRED, Status.CANCELLED)
    numbers = [(sum(outcome.status is status for outcome in outcomes.values()), status) for status in amiss]
    rest = ", ".join(f"{number} {status}" for number, status in numbers if number)
    return f"{parts or 'nothing changed'}{f' ({rest})' if rest else ''}"


def words(outcome: Outcome) -> str:
    """An outcome in a few words, on one line: `3 created, 1 replaced`."""
    done = outcome.status in (Status.APPLIED, Status.FAILED)
    parts = _count_words(outcome.counts, done=done)
    if outcome.status in (Status.APPLIED, Status.PLANNED):
        if outcome.is_task:
            return "done" if done else "to run"
        return parts or ("outputs changed" if outcome.outputs_changed else str(outcome.status))
    reason = f": {' '.join(outcome.failure.summary.split())}" if outcome.failure else ""
    return f"{outcome.status}{reason}" + (f" ({parts})" if parts and done else "")


def _count_words(counts: Counts, *, done: bool) -> str:
    return ", ".join(counted(counts, done=done).values())


def counted(counts: Counts, *, done: bool) -> dict[str, str]:
    """Return what happens to resources in words, by action and without what does not happen: `{"create": "2 created"}`,
    or `2 to create` where it is not *done*.
    """
    names = (
        ("create", "created", "create"),
        ("update", "updated", "update"),
        ("replace", "replaced", "replace"),
        ("delete", "destroyed", "destroy"),
        ("import", "imported", "import"),
        ("move", "moved", "move"),
    )
    numbers = counts.as_json()
    return {key: f"{numbers[key]} {past if done else f'to {verb}'}" for key, past, verb in names if numbers[key]}


def _from_here(path: Path) -> str:
    """*path* as a command typed here takes it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _write(path: Path, document: Mapping[str, Any]) -> bytes:
    data = to_text(document).encode()
    write_atomically(path, data)
    return data
