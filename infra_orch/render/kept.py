"""Rendered stacks, kept by all that they were made from, so that nothing is evaluated twice.

An entry is found in two steps. What is named by the text of a stack file lists the premises on which its evaluation
depended: several lists, where the same text imported other files at other times. What is named by such a list and what
the premises are now holds what came of it. So no entry is ever out of date, and one that is not found costs no more
than an evaluation. All names depend on this program's own code and on what runs it: what another version has written is
never looked at.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import infra_orch
from infra_orch.errors import Where
from infra_orch.project import StackFolder
from infra_orch.render.index import RenderedStack, from_document, to_document
from infra_orch.render.neighbours import Claim, foresee
from infra_orch.render.store import Store
from infra_orch.render.write import Rendering
from infra_orch.spec.premises import View

SCHEMA = 2
"""To be raised with every change of what an entry holds."""
_MADE_BY = ("graph", "module", "spec", "render", "fingerprint", "commands")
_LISTS = 8


class DamagedError(ValueError):
    """An entry does not hold what was written to it."""


class Entry:
    """A stack as it was rendered, as bytes; each part is read when it is asked for.

    *said* is what its fingerprints take from the rendered files, as JSON has it.
    """

    def __init__(self, data: bytes, made: Rendering | None = None) -> None:
        """Take the bytes of an entry, and what it was *made* of if it is new. Raises DamagedError for other bytes."""
        self.data = data
        self._made = made
        checksum, _, rest = data.partition(b"\n")
        self._lines = rest.split(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != checksum or len(self._lines) != 3:
            raise DamagedError

    @cached_property
    def claim(self) -> Claim:
        """What no other stack may have."""
        value = self._head["claim"]
        return Claim(value["name"], Where(**value["where"]), Where(**value["backend"]), value["states"])

    @property
    def said(self) -> Mapping[str, Any]:
        """What was said to pack()."""
        return self._head["said"]  # type: ignore[no-any-return]

    def stack(self, folder: StackFolder) -> RenderedStack:
        """The stack's index. Raises ValueError, KeyError, TypeError or AttributeError where it is none."""
        if self._made:
            return self._made.stack
        return from_document(json.loads(self._lines[1]), folder)

    def rendering(self, folder: StackFolder) -> Rendering:
        """The stack with the texts of its files. Raises as stack() does."""
        if self._made:
            return self._made
        return Rendering(self.stack(folder), json.loads(self._lines[2]))

    @cached_property
    def _head(self) -> dict[str, Any]:
        return json.loads(self._lines[0])  # type: ignore[no-any-return]


def pack(claim: Claim, rendering: Rendering, said: Mapping[str, Any]) -> Entry:
    """Return a rendered stack as an entry."""
    parts = {"claim": _claim_json(claim), "said": said}, to_document(rendering.stack), dict(rendering.texts)
    rest = b"\n".join(json.dumps(part, separators=(",", ":")).encode() for part in parts)
    return Entry(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest, rendering)


def _claim_json(claim: Claim) -> dict[str, Any]:
    where = {"where": asdict(claim.where), "backend": asdict(claim.backend)}
    return {"name": claim.name, "states": dict(claim.states), **where}


@dataclass(frozen=True)
class Kept:
    """The entries of a project, in a *store*. Safe to be used by several processes at once."""

    store: Store

    def key(self, stack: StackFolder, view: View) -> str | None:
        """Return the name of the entry that holds what *stack* is, as *view* has the project; None: there is none."""
        with contextlib.suppress(OSError):
            first = _first(stack, view.read(stack.spec))
            for premises in self._lists(first) if first else ():
                key = _second(first, {name: view.value(stack, name) for name in premises})
                if key and self.store.has(key):
                    return key
        return None

    def read(self, key: str) -> Entry | None:
        """Return an entry, or None where it is not there (any more), or damaged."""
        data = self.store.read(key)
        with contextlib.suppress(DamagedError):
            return None if data is None else Entry(data)
        return None

    def keep(self, stack: StackFolder, source: bytes, premises: Mapping[str, str | None], entry: Entry) -> str | None:
        """Keep *entry*, which came of the stack file *source* and its *premises*. Returns its name.

        None where some premise is not known. With it is kept what the stack claims as it lies rendered.
        """
        first = _first(stack, source)
        key = _second(first, premises)
        if not first or not key:
            return None
        self.store.keep(key, entry.data)
        known = self._lists(first)
        lists = [list(premises), *(one for one in known if one != list(premises))][:_LISTS]
        if lists != known:
            self.store.keep(first, json.dumps({"schema": SCHEMA, "lists": lists}, separators=(",", ":")).encode())
        foresee(entry.stack(stack), entry.claim, self.store)
        return key

    def _lists(self, first: str | None) -> list[list[str]]:
        try:
            value = json.loads(self.store.read(first) or "null") if first else None
        except (ValueError, RecursionError):
            return []
        lists = value.get("lists") if isinstance(value, dict) and value.get("schema") == SCHEMA else None
        fine = isinstance(lists, list) and all(isinstance(one, list) and all(map(_is_text, one)) for one in lists)
        return list(lists or ()) if fine else []


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _first(stack: StackFolder, source: bytes) -> str | None:
    made_by = _made_by()
    return made_by and _digest((made_by, stack.name, hashlib.sha256(source).hexdigest()))


def _second(first: str | None, premises: Mapping[str, str | None]) -> str | None:
    """The name of the entry for the values of *premises*; None where one of them is not known."""
    if first is None or None in premises.values():
        return None
    return _digest((first, *(part for pair in premises.items() for part in pair)))


def _digest(parts: Sequence[str | None]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@functools.cache
def _made_by() -> str | None:
    """What makes entries: this package's code, Python, and what else text depends on. None where it cannot be read."""
    package = Path(infra_orch.__file__).parent
    digest = hashlib.sha256(f"{SCHEMA}\0{sys.version}\0{sys.flags.optimize}".encode())
    try:
        for name in ("jinja2", "markupsafe", "python-hcl2"):
            digest.update(importlib.metadata.version(name).encode() + b"\0")
        folders = [package, *(package / name for name in _MADE_BY), package / "render" / "templates"]
        for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".py", ".j2")):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    except (OSError, importlib.metadata.PackageNotFoundError):
        return None
    return digest.hexdigest()
