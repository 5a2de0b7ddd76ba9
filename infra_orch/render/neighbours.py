"""Whether a stack's states are its own, as far as the other rendered stacks of the project tell."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra_orch.errors import Problem, SpecError, UserError, Where
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedStack, digest, from_json
from infra_orch.render.store import Store
from infra_orch.shape import misfit
from infra_orch.spec.check import CheckedStack
from infra_orch.spec.elsewhere import Elsewhere


@dataclass(frozen=True)
class Claim:
    """What of a stack no other may have: its *name*, and the states of its units, each as a digest of what its
    backend.tf says. *where* it is declared, and its *backend*.
    """

    name: str
    where: Where
    backend: Where
    states: Mapping[str, str]


def claim_of(checked: CheckedStack, backends: Mapping[str, str]) -> Claim:
    """Return what *checked* claims; *backends* are the texts of backend.tf by unit."""
    shown, stack = checked.folder.project.shown_where, checked.stack
    states = {unit: _state(text) for unit, text in backends.items()}
    return Claim(stack.name, shown(stack.where), shown(stack.backend.where), states)


@dataclass(frozen=True)
class _Rendered:
    """What a stack claims as it lies rendered: its name, and the states of its units."""

    name: str
    states: Mapping[str, str]


_KEPT = {"name": str, "states": {str: str}}


class Neighbours:
    """The stacks of a project as they lie rendered, read when they are asked for first; one that cannot be read is
    passed over. *specs* are the same as they are declared.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.specs = Elsewhere(project)

    def refuse_shared(self, claim: Claim, own: Path) -> None:
        """Raise SpecError where the stack in the folder *own* claims what another one of the project has."""
        problems = list(self._problems(claim, own))
        if problems:
            raise SpecError(problems)

    def holder(self, backend: str) -> tuple[Path, str] | None:
        """The stack's folder, and its unit, whose state is the one that the text *backend* of a backend.tf names."""
        found = self._by_state.get(_state(backend), [])
        return found[0] if found else None

    def _problems(self, claim: Claim, own: Path) -> Iterator[Problem]:
        namesakes = [path for path in self._by_name.get(claim.name, ()) if path != own]
        for path in namesakes:
            hint = "a stack's name tells its states from others'; every stack of a project has one of its own"
            message = f'the name "{claim.name}" is that of the stack in {self._project.shown(path)}, too'
            yield Problem(message, claim.where, hint)
        for unit, state in claim.states.items():
            for path, other in self._by_state.get(state, ()):
                if path != own and path not in namesakes:
                    message = f'unit "{unit}" would share its state with "{other}" in {self._project.shown(path)}'
                    yield Problem(message, claim.backend, "put {stack} into the backend's key, prefix or path")

    @cached_property
    def _stacks(self) -> dict[Path, _Rendered]:
        """The stacks by their folders."""
        found: dict[Path, _Rendered] = {}
        with contextlib.closing(Store(self._project.cache)) as store:
            for folder in self._project.stack_folders():
                with contextlib.suppress(UserError, OSError):
                    found[folder.path] = _read(folder, store)
        return found

    @cached_property
    def _by_name(self) -> Mapping[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path, stack in self._stacks.items():
            found.setdefault(stack.name, []).append(path)
        return found

    @cached_property
    def _by_state(self) -> Mapping[str, list[tuple[Path, str]]]:
        """Stack folders and units by what their backend.tf says."""
        found: dict[str, list[tuple[Path, str]]] = {}
        for path, stack in self._stacks.items():
            for unit, state in stack.states.items():
                found.setdefault(state, []).append((path, unit))
        return found


def foresee(stack: RenderedStack, claim: Claim, store: Store) -> None:
    """Keep what *stack* claims as it lies rendered, where its backends there are those that it has now, as they are in
    *claim*: nobody has to read them then.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = stack.folder.index.read_bytes()
        index = json.loads(text)
        there = {name: unit["files"]["backend.tf"] for name, unit in index["units"].items()}
        here = {name: unit.files.get("backend.tf") for name, unit in stack.units.items()}
        if index["stack"] == stack.name and there.items() <= here.items():
            _keep(store, text, _Rendered(stack.name, {name: claim.states[name] for name in there}))


def _read(folder: StackFolder, store: Store) -> _Rendered:
    """What a rendered stack claims, kept by its index, which has the digest of each backend.tf.

    Raises UserError for what is no index, OSError where it cannot be read.
    """
    text = folder.index.read_bytes()
    with contextlib.suppress(ValueError, RecursionError):
        kept = json.loads(store.read(_key(text)) or "null")
        if not misfit(kept, _KEPT):
            return _Rendered(kept["name"], kept["states"])
    stack = from_json(text.decode(errors="replace"), folder)
    states, as_rendered = {}, True
    for unit in stack.units.values():
        try:
            backend = (folder.rendered / unit.name / "backend.tf").read_bytes()
        except OSError:
            as_rendered = False
            continue
        as_rendered &= digest(backend) == unit.files.get("backend.tf")
        states[unit.name] = _state(backend.decode(errors="replace"))
    found = _Rendered(stack.name, states)
    if as_rendered:
        _keep(store, text, found)
    return found


def _keep(store: Store, index: bytes, rendered: _Rendered) -> None:
    store.keep(_key(index), json.dumps({"name": rendered.name, "states": dict(rendered.states)}).encode())


def _key(index: bytes) -> str:
    return "claim-1 " + hashlib.sha256(index).hexdigest()


def _state(text: str) -> str:
    """A digest of what a backend.tf says, without its comments."""
    said = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return hashlib.sha256(said.encode()).hexdigest()
