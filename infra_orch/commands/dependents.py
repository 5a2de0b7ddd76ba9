"""Units of other stacks that depend on what a run is to destroy."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from infra_orch.commands.session import Session
from infra_orch.errors import RefusedError
from infra_orch.record.store import exists
from infra_orch.render.index import read_index


def refuse_dependents(going: Mapping[str, Collection[str]], run: Session) -> None:
    """Refuse to destroy units, given by stack, that units of other stacks depend on which exist and stay.

    Told by the stacks as they lie rendered, and by their records. Raises RefusedError that names them.
    """
    names = {f"{stack}/{unit}" for stack, units in going.items() for unit in units}
    if not names:
        return
    for folder in run.context.stack.folder.project.stack_folders():
        # Most stacks refer to none of these, and their text tells that sooner than the reading of it.
        if not folder.index.is_file() or not _names_one(folder.index.read_bytes(), going):
            continue
        stays = [
            (node, first)
            for node, firsts in read_index(folder).across.items()
            for first in firsts
            if first in names and node not in going.get(folder.name, ())
        ]
        known = run.records_in(folder).units() if stays else {}
        for node, first in stays:
            if exists(known.get(node)):
                raise RefusedError(
                    f"{folder.name}/{node} still exists and depends on {first}, which would be destroyed",
                    hint=f"infra-orch destroy {folder.name} --unit {node} first, or both stacks in one run",
                )


def _names_one(text: bytes, stacks: Collection[str]) -> bool:
    return any(f'"{stack}/'.encode() in text for stack in stacks)
