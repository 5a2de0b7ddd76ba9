"""What the specs of several stacks come to: from the cache, from processes that evaluate them side by side, or here."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.commands.evaluating import Evaluator
from infra_orch.commands.evaluator import LOG
from infra_orch.errors import Problem, SpecError, UserError, Where
from infra_orch.git.export import Aside
from infra_orch.process import Program, Supervisor
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import RenderedStack
from infra_orch.render.kept import Entry
from infra_orch.render.neighbours import Neighbours
from infra_orch.render.write import Rendering
from infra_orch.spec.stack import Stack

_WORTH = 24
"""From so many stacks on that are not kept, further processes save more than their start takes."""
_PATIENCE = 2.0
_BAD = (ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class _Done:
    """What a process has found of a stack: where it is kept (*key*), where it lies (*file*), or what is wrong with it;
    none of these: it has to be looked at again. *said* is what it printed.
    """

    key: str | None = None
    file: str | None = None
    problems: tuple[Problem, ...] = ()
    said: str = ""


@dataclass
class Specs:
    """The stacks *names* of a project, looked at when the first is asked for.

    *apart*: nothing is evaluated in this process, and what the specs print is kept back. *cwd* is where they are
    evaluated then, *most* how many at once. *aside* are files that are written before that.
    """

    project: Project
    names: Sequence[str]
    aside: Aside = field(default_factory=Aside)
    apart: bool = False
    cwd: Path = field(default_factory=Path.cwd)
    most: int = field(default_factory=lambda: os.cpu_count() or 1)
    said: list[str] = field(default_factory=list, init=False)
    neighbours: Neighbours = field(init=False)
    _evaluator: Evaluator = field(init=False)
    _folders: dict[str, StackFolder] = field(default_factory=dict, init=False)
    _keys: dict[str, str] | None = field(default=None, init=False)
    _done: dict[str, _Done] = field(default_factory=dict, init=False)
    _begun: bool = field(default=False, init=False)
    _place: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.neighbours = Neighbours(self.project)
        self._evaluator = Evaluator(self.project, self.aside)

    def folder(self, name: str) -> StackFolder:
        """The folder of a stack. Raises UsageError as Project.stack() does."""
        if name not in self._folders:
            known = StackFolder(self.project, self.project.stacks / name)
            self._folders[name] = known if known.spec in self.aside.contents else self.project.stack(name)
        return self._folders[name]

    def keys(self) -> Mapping[str, str]:
        """The names of entries by stack, of those that were kept by others."""
        if self._keys is None:
            self._keys = {}
            for name in self.names:
                with suppress(UserError):  # said when it is its turn
                    if key := self._evaluator.key(self.folder(name)):
                        self._keys[name] = key
        return self._keys

    def missing(self) -> list[str]:
        """The stacks of which nothing is known yet."""
        keys = self.keys()
        return [name for name in dict.fromkeys(self.names) if name not in keys and name in self._folders]

    def entry(self, name: str) -> Entry:
        """Return what a stack is. Raises SpecError with everything that is wrong with it."""
        folder = self.folder(name)
        self.evaluate()
        key, done = self.keys().get(name), self._done.get(name, _Done())
        if done.said:
            self._say(done.said)
        entry = self._evaluator.kept.read(key) if key else None
        if entry is None and done.file:
            entry = Entry(Path(done.file).read_bytes())
        if entry is None and done.problems:
            raise SpecError(done.problems)
        entry = entry or self._evaluator.evaluate(folder).entry
        self.neighbours.refuse_shared(entry.claim, folder.path)
        return entry

    def stack(self, name: str) -> RenderedStack:
        """Return the index of a stack. Raises as entry() does."""
        folder, entry = self.folder(name), self.entry(name)
        try:
            return entry.stack(folder)
        except _BAD:
            return self._evaluator.evaluate(folder).entry.stack(folder)

    def rendering(self, name: str) -> Rendering:
        """Return a stack with the texts of its files. Raises as entry() does."""
        folder, entry = self.folder(name), self.entry(name)
        try:
            return entry.rendering(folder)
        except _BAD:
            return self._evaluator.evaluate(folder).entry.rendering(folder)

    def declared(self, name: str) -> tuple[Rendering, Stack | None]:
        """Return a stack with the texts of its files, and, where it has tasks, as its spec declares it.

        What is kept holds no functions. Raises as entry() does.
        """
        folder = self.folder(name)
        self.evaluate()
        key = self.keys().get(name)
        entry = self._evaluator.kept.read(key) if key else None
        with suppress(*_BAD):
            if entry and not entry.stack(folder).tasks:
                self.neighbours.refuse_shared(entry.claim, folder.path)
                return entry.rendering(folder), None
        found = self._evaluator.evaluate(folder)
        self.neighbours.refuse_shared(found.entry.claim, folder.path)
        return found.entry.rendering(folder), found.stack

    def evaluate(self) -> None:
        """Let processes evaluate what is not known, where that is faster, or has to be. Once is enough."""
        if self._begun:
            return
        self._begun, missing = True, self.missing()
        if not self.apart and (len(missing) < _WORTH or self.most < 2):
            self._done = self._evaluated_early(missing)
        elif missing:
            self.aside.write()
            self._place = tempfile.TemporaryDirectory(prefix="infra-orch-")
            crew = _Crew(self.project, Path(self._place.name).resolve(), self.cwd)
            self._done |= crew.evaluate(missing, min(self.most, -(-len(missing) // (_WORTH // 2))))
        self._keys = {**self.keys(), **{name: done.key for name, done in self._done.items() if done.key}}

    def _evaluated_early(self, names: Sequence[str]) -> dict[str, _Done]:
        """Those of *names* that only compute, where there are others: what comes after these is not kept."""
        found: dict[str, _Done] = {}
        plain = [name for name in names if self._evaluator.only_computes(self._folders[name])]
        for name in plain if len(plain) < len(names) else ():
            try:
                found[name] = _Done(self._evaluator.evaluate(self._folders[name]).key)
            except SpecError as error:
                found[name] = _Done(problems=tuple(error.problems))
        return found

    def close(self) -> None:
        """Write what is kept, and remove what processes have left."""
        self._evaluator.close()
        if self._place:
            self._place.cleanup()

    def _say(self, text: str) -> None:
        if self.apart:
            self.said.append(text)
        else:
            sys.stderr.write(text)


class _Crew:
    """Processes that evaluate stacks side by side."""

    def __init__(self, project: Project, place: Path, cwd: Path) -> None:
        self._project = project
        self._place = place
        self._cwd = cwd
        self._supervisor = Supervisor(_PATIENCE)

    def evaluate(self, names: Sequence[str], workers: int) -> dict[str, _Done]:
        """Return what was found of each. Raises KeyboardInterrupt after all have ended."""
        shares = [list(names[number::workers]) for number in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self._share, share, number) for number, share in enumerate(shares)]
            try:
                return {name: done for future in futures for name, done in future.result().items()}
            except BaseException:
                self._supervisor.stop()
                raise

    def _share(self, names: Sequence[str], number: int) -> dict[str, _Done]:
        """Let one process after the other do what is left: a spec can end the process that evaluates it."""
        found: dict[str, _Done] = {}
        left = list(names)
        for attempt in range(len(names)):
            if not left:
                break
            folder = self._place / f"{number}-{attempt}"
            folder.mkdir(mode=0o700)
            code = self._run(folder, left)
            begun = None
            for line in _lines(folder / LOG):
                begun = line.get("begun")
                if "done" in line:
                    found[line["done"]] = _done(line)
            if begun and not self._supervisor.stopping:
                found[begun] = self._ended(begun, code, folder)
            elif code:
                break
            left = [name for name in left if name not in found]
        return found

    def _run(self, folder: Path, names: Sequence[str]) -> int:
        project = self._project
        asked: dict[str, Any] = {"root": project.root, "caches": project.cache, "cwd": self._cwd}
        question = folder / "question.json"
        text = json.dumps({**{name: str(path) for name, path in asked.items()}, "stacks": list(names)})
        question.write_text(text, encoding="utf-8")
        argv = [sys.executable, "-P", "-m", "infra_orch.commands.evaluator", str(question)]
        label = "the evaluation of the specs"
        return self._supervisor.run(Program(argv, label, self._cwd, os.environ, folder / "out", folder / "err"))

    def _ended(self, name: str, code: int, folder: Path) -> _Done:
        shown = self._project.shown(StackFolder(self._project, self._project.stacks / name).spec)
        how = f"with code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
        said = (folder / "err").read_text(encoding="utf-8", errors="replace")
        message = f"the process that evaluated {shown} was ended, {how}"
        return _Done(problems=(Problem(message, Where(shown)),), said=said)


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """What a process has noted; the last line may have been cut off."""
    if log.is_file():
        for line in log.read_bytes().split(b"\n"):
            if line.endswith(b"}"):
                yield json.loads(line)


def _done(line: Mapping[str, Any]) -> _Done:
    problems = tuple(
        Problem(one["message"], Where(**one["where"]) if one["where"] else None, one["hint"])
        for one in line.get("problems", ())
    )
    return _Done(line.get("key"), line.get("file"), problems, line["said"])


@contextmanager
def specs_of(project: Project, names: Sequence[str]) -> Iterator[Specs]:
    """The stacks *names* of a project, for as long as a command lasts."""
    specs = Specs(project, names)
    try:
        yield specs
    finally:
        specs.close()
