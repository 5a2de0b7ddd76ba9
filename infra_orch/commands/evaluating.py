"""Evaluate, check and render a stack, and keep what comes of it where that depends on nothing but its files."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from infra_orch.errors import UserError
from infra_orch.fingerprint.fingerprint import said_in
from infra_orch.fingerprint.sources import Sources
from infra_orch.git.export import Aside
from infra_orch.module.facts import Declared
from infra_orch.project import Project, StackFolder
from infra_orch.render.kept import Entry, Kept, pack
from infra_orch.render.store import Store
from infra_orch.render.write import Rendering, render_stack
from infra_orch.spec.check import CheckedStack, CheckedUnit, check_stack
from infra_orch.spec.elsewhere import Elsewhere
from infra_orch.spec.load import load_aside, load_stack
from infra_orch.spec.premises import View, checked_premises, read_premises
from infra_orch.spec.stack import Stack

_ADDRESS_IN_MEMORY = b" at 0x"


@dataclass(frozen=True)
class Evaluated:
    """What a spec came to: the *entry*, the *stack* with the functions of its tasks, and the name under which the entry
    is kept, if it is.
    """

    entry: Entry
    stack: Stack
    key: str | None = None


class Evaluator:
    """Evaluates stacks of a project in this process, and knows which are kept; it is for one command.

    *aside* are files of the project that are written before anything is evaluated.
    """

    def __init__(self, project: Project, aside: Aside | None = None) -> None:
        self._project = project
        self._elsewhere = Elsewhere(project)
        self._aside = aside or Aside()
        self._view = View(project, self._elsewhere.folders, self._key_of_other, self._aside.contents)
        self._known: dict[Path, tuple[bytes, tuple[str, ...] | None]] = {}
        self._sources = Sources(project, fixed=True)
        self._sound = True
        """Whether nothing has run here that may have changed what the next spec sees: Python's modules, or ours."""
        self._keys: dict[str, str] = {}
        self._under_way: set[str] = set()
        self._tried: set[str] = set()
        self.kept = Kept(Store(project.cache))

    def key(self, folder: StackFolder) -> str | None:
        """The name of the entry that holds what the stack in *folder* is; None where there is none."""
        return self.kept.key(folder, self._view)

    def evaluate(self, folder: StackFolder) -> Evaluated:
        """Evaluate, check and render the stack in *folder*. Raises SpecError with everything that is wrong with it."""
        return self._evaluate(folder, load_stack)

    def _evaluate(self, folder: StackFolder, load: Callable[[StackFolder], Stack]) -> Evaluated:
        self._aside.write()
        source, known = self._read(folder)
        before = {name: self._view.value(folder, name) for name in known or ()}
        self._sound = self._sound and known is not None
        try:
            with _heard() as heard:
                stack = load(folder)
                checked = check_stack(stack, folder, self._elsewhere)
                rendering = render_stack(checked)
        finally:
            self._sound = self._sound and all(map(self.only_computes, self._elsewhere.evaluated))
        entry = pack(rendering.claim(checked), rendering, self._said(checked, rendering))
        if known is None or heard or not self._sound or self._leaks(entry):
            return Evaluated(entry, stack)
        # A file that was saved meanwhile: of which of its contents this came, nobody knows.
        now = self._view.again()
        if folder.spec.read_bytes() != source or any(
            now.value(folder, name) != value for name, value in before.items()
        ):
            return Evaluated(entry, stack)
        for other in rendering.stack.stacks_before:
            self._keep_other(other)
        premises = {**before, **{name: self._view.value(folder, name) for name in checked_premises(checked)}}
        if any(premises[f"kind {unit.unit.module}"] != unit.source.kind for unit in checked.units.values()):
            return Evaluated(entry, stack)
        return Evaluated(entry, stack, self.kept.keep(folder, source, premises, entry))

    def _keep_other(self, name: str) -> None:
        """Evaluate a stack that another one refers to, if that is not kept: without it that one cannot be kept."""
        folder = StackFolder(self._project, self._project.stacks / name)
        if name not in self._tried and self._key_of_other(name) is None and self.only_computes(folder):
            self._tried.add(name)
            with contextlib.suppress(UserError, OSError):
                self._evaluate(folder, load_aside)

    def _key_of_other(self, name: str) -> str | None:
        """The name of the entry of a stack that another one refers to; None where they refer to each other, too."""
        if name not in self._keys and name not in self._under_way:
            self._under_way.add(name)
            if key := self.key(StackFolder(self._project, self._project.stacks / name)):
                self._keys[name] = key
            self._under_way.discard(name)
        return self._keys.get(name)

    def only_computes(self, folder: StackFolder) -> bool:
        """Whether evaluating the stack in *folder* leaves everything here as it is."""
        return self._read(folder)[1] is not None

    def close(self) -> None:
        """Write what is kept."""
        self.kept.store.close()

    def _read(self, folder: StackFolder) -> tuple[bytes, tuple[str, ...] | None]:
        """The stack file, and the premises of evaluating it, if these can be told."""
        if folder.path not in self._known:
            try:
                source = self._view.read(folder.spec)
                self._known[folder.path] = source, read_premises(folder, source, self._view)
            except OSError:  # evaluating it says what is wrong
                self._known[folder.path] = b"", None
        return self._known[folder.path]

    def _leaks(self, entry: Entry) -> bool:
        """Whether there is something in it of this machine, or of this process, alone."""
        root = json.dumps(str(self._project.root))[1:-1].encode()
        return root in entry.data or _ADDRESS_IN_MEMORY in entry.data

    def _said(self, checked: CheckedStack, rendering: Rendering) -> dict[str, Any]:
        """What the fingerprints of the units take from the stack itself; see Content."""
        shipped = self._view.value(checked.folder, "templates") == "none"
        own = {}
        for unit in rendering.stack.units.values():
            texts = {name: rendering.texts[f"{unit.name}/{name}"] for name in unit.files}
            calls = _calls(checked.units[unit.name], texts["main.tf"]) if shipped else None
            said = said_in(unit, texts, self._sources, calls)
            if said.remote or said.unseen or said.loose:
                own[unit.name] = {"remote": dict(said.remote), "unseen": said.unseen, "loose": said.loose}
        stack = rendering.stack
        modules = sorted({unit.module for unit in stack.units.values()})
        return {"modules": modules, "own": own, "stacks_before": list(stack.stacks_before)}


def _calls(checked: CheckedUnit, main: str) -> Mapping[str, Sequence[Declared]] | None:
    """The modules that a root module calls that was rendered from the shipped templates; None: that has to be read."""
    source = checked.source
    if source.folder is not None:
        return {}
    if not source.text.isascii() or any(sign in source.text for sign in '"\\$%'):
        return None
    line = main[: main.index('\nmodule "') + 1].count("\n") + 1
    version = {"version": checked.unit.version} if checked.unit.version else {}
    return {"main.tf": [Declared(checked.unit.name, line, {"source": source.text, **version})]}


class _Listener:
    """Hands on what is written to a stream, and knows whether something was."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.heard = False

    def write(self, text: str) -> int:
        self.heard = True
        return self._stream.write(text)

    def __bool__(self) -> bool:
        return self.heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _heard() -> Iterator[_Listener]:
    """Within it, whether something is said on stderr is known; what a spec prints goes there, too."""
    listener = _Listener(sys.stderr)
    with contextlib.redirect_stderr(cast("TextIO", listener)):
        yield listener
