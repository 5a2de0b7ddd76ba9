"""What the evaluation of a stack depends on: told by name, so that it can be looked at again.

A premise is a name such as `import lib.names`, `module modules/network`, `stack network` or `templates`. Its value is a
digest of what lies in the project now. Where all values are what they were, so is what comes of the evaluation; no
value holds a path of a machine, so that this also holds of a copy that lies elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from infra_orch.errors import SpecError
from infra_orch.project import Project, StackFolder, stack_and_unit
from infra_orch.spec.check import CheckedStack
from infra_orch.spec.load import is_forgotten, next_path
from infra_orch.spec.modules import ModuleFolders
from infra_orch.spec.plain import Import, plain_imports
from infra_orch.spec.source import parse_source

_SUFFIXES = tuple(importlib.machinery.all_suffixes())
_DRAWS = re.compile(rb"random|lipsum")
"""What in a template has another value each time."""
_FIXED = ("shadows", "templates")


@dataclass(frozen=True)
class _Found:
    """What an import leads to: a *file* (none for a folder without `__init__.py`), and where what is below is found."""

    file: Path | None
    below: tuple[Path, ...] = ()


@dataclass
class _Listing:
    """The names in a folder, when it had the *stamp* (None: it is not there), and whether one *shadows* a module of
    Python's own, if known.
    """

    names: frozenset[str]
    stamp: tuple[int, ...] | None
    shadows: bool | None = None


class _OddError(Exception):
    """What an import leads to cannot be told from the names of files."""


class View:
    """The files of a project as they are now; each is looked at once, and what changes meanwhile is not seen.

    *stacks* tells by a stack's name what it is, if that is known. *aside* are files that are not on the disk yet. They
    are no part of a module.
    """

    def __init__(
        self,
        project: Project,
        folders: ModuleFolders,
        stacks: Callable[[str], str | None],
        aside: Mapping[Path, bytes] = MappingProxyType({}),
    ) -> None:
        self._project = project
        self._folders = folders
        self._stacks = stacks
        self._aside = aside
        self._aside_in: dict[Path, set[str]] = {}
        for path in aside:
            for place in (path, *path.parents[: -len(project.root.parents) - 1]):
                self._aside_in.setdefault(place.parent, set()).add(place.name)
        self._before: Mapping[Path, _Listing] = {}
        self._listings: dict[Path, _Listing] = {}
        self._digests: dict[Path, str] = {}
        self._shared: dict[str, str | None] = {}

    def again(self) -> View:
        """A later view: of all files anew, and of the folders of which the system says that they have changed."""
        view = View(self._project, self._folders, self._stacks, self._aside)
        view._before, view._shared = self._listings, dict(self._shared)
        return view

    def value(self, folder: StackFolder, premise: str) -> str | None:
        """What *premise* of the stack in *folder* is now; None where that cannot be told."""
        kind, _, rest = premise.partition(" ")
        try:
            if kind in ("module", "kind") and not rest.startswith("."):
                if premise not in self._shared:
                    self._shared[premise] = self._look(folder, kind, rest)
                return self._shared[premise]
            return self._look(folder, kind, rest)
        except (OSError, ValueError, _OddError):
            return None

    def _look(self, folder: StackFolder, kind: str, rest: str) -> str | None:
        if kind == "import":
            return self._imported(self.find(folder, rest))
        if kind == "kind":
            return parse_source(rest, folder).kind
        if kind == "module":
            return self._declared(self._project.root / rest)
        if kind == "stack":
            return self._stacks(rest)
        if kind == "shadows":
            return None if any(self._shadowed(place) for place in _places(folder)) else ""
        return self._templates(folder) if kind == "templates" else None

    def read(self, path: Path) -> bytes:
        """Return the content of a file. Raises OSError where it cannot be read."""
        return self._aside[path] if path in self._aside else path.read_bytes()

    def find(self, folder: StackFolder, dotted: str) -> _Found | None:
        """What `import dotted` leads to in the spec of *folder*; None: nothing of the user's.

        Raises _OddError where it may be something else than a Python file of the user's.
        """
        places: tuple[Path, ...] = _places(folder)
        if self._elsewhere(dotted.partition(".")[0]):
            raise _OddError
        found = None
        for word in dotted.split("."):
            found = self._find(word, places)
            if found is None:
                return None
            places = found.below
        return found

    def _find(self, word: str, places: Iterable[Path]) -> _Found | None:
        """As importlib.machinery.FileFinder does: a package, else a file; of folders that are none, all together."""
        portions = []
        for place in places:
            names = self._listed(place)
            files = [word + suffix for suffix in _SUFFIXES if word + suffix in names]
            if word in names and (place / word in self._aside_in or (place / word).is_dir()):
                inner = self._listed(place / word)
                starts = ["__init__" + suffix for suffix in _SUFFIXES if "__init__" + suffix in inner]
                if starts not in ([], ["__init__.py"]):
                    raise _OddError
                if starts:
                    return _Found(place / word / "__init__.py", (place / word,))
                portions.append(place / word)
            if files not in ([], [f"{word}.py"]):
                raise _OddError
            if files:
                return _Found(place / files[0])
        return _Found(None, tuple(portions)) if portions else None

    def _elsewhere(self, name: str) -> bool:
        """Whether a module of that name is there besides the user's: which of them is meant is not for us to say."""
        key = f"elsewhere {name}"
        if key not in self._shared:
            own = {str(self._project.root), str(self._project.stacks)}
            path = [
                place for place in next_path() if place not in own and not place.startswith(f"{self._project.root}/")
            ]
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            self._shared[key] = "yes" if spec is not None or self._loaded(name) else None
        return self._shared[key] is not None

    def _loaded(self, name: str) -> bool:
        """Whether there is a module of that name already that is none of the user's, and would be taken for his."""
        module = None if is_forgotten(name) else sys.modules.get(name)
        files = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        return module is not None and not any(file and Path(file).is_relative_to(self._project.root) for file in files)

    def _imported(self, found: _Found | None) -> str:
        if found is None:
            return "nothing"
        shown = [self._project.shown(path) for path in (found.file, *found.below) if path]
        return f"{' '.join(shown)} {self._digest(found.file) if found.file else 'folder'}"

    def _declared(self, folder: Path) -> str | None:
        try:
            module = self._folders.read(folder)
        except SpecError:
            return None
        return None if module is None else _hash(json.dumps(asdict(module), sort_keys=True, default=sorted).encode())

    def _templates(self, folder: StackFolder) -> str | None:
        if folder.templates.name not in self._listed(folder.path):
            return "none"
        if folder.templates.is_symlink():
            return None
        parts = []
        for path in sorted(folder.templates.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            if path.is_symlink() or _DRAWS.search(content):
                return None
            parts.append(f"{self._project.shown(path)}\0{path.is_dir()}\0{_hash(content)}")
        return _hash("\n".join(parts).encode())

    def _shadowed(self, place: Path) -> bool:
        """Whether something in *place* could be taken for a module of Python's own."""
        listing = self._listing(place)
        if listing.shadows is None:
            listing.shadows = self._shadows(place)
        return listing.shadows

    def _shadows(self, place: Path) -> bool:
        for name in self._listed(place):
            word, dot, suffix = name.partition(".")
            if word in sys.stdlib_module_names and (
                (dot and dot + suffix in _SUFFIXES) or (not dot and "__init__.py" in self._listed(place / name))
            ):
                return True
        return False

    def _listed(self, place: Path) -> frozenset[str]:
        return self._listing(place).names

    def _listing(self, place: Path) -> _Listing:
        if place not in self._listings:
            self._listings[place] = self._list(place)
        return self._listings[place]

    def _list(self, place: Path) -> _Listing:
        try:
            known = os.stat(place)  # noqa: PTH116 - asked for each stack
            stamp = (known.st_dev, known.st_ino, known.st_mtime_ns, known.st_ctime_ns)
            before = self._before.get(place)
            if before and before.stamp == stamp:
                return before
            names = os.listdir(place)  # noqa: PTH208 - names are all that is wanted
        except OSError:
            names, stamp = [], None
        return _Listing(frozenset(self._aside_in.get(place, ())).union(names), stamp)

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = _hash(self.read(path))
        return self._digests[path]


def read_premises(folder: StackFolder, source: bytes, view: View) -> tuple[str, ...] | None:
    """Return the premises of evaluating *source*, the stack file of *folder*: what it imports, and what that imports.

    None where the file, or one that it imports, may do more than compute, or what it imports cannot be told.
    """
    waiting: list[tuple[bytes, tuple[str, ...]]] = [(source, ())]
    names: dict[str, None] = {}
    try:
        while waiting:
            content, package = waiting.pop()
            imports = plain_imports(content)
            if imports is None:
                return None
            for dotted, needed in _dotted(imports, package):
                if f"import {dotted}" in names:
                    continue
                found = view.find(folder, dotted)
                if found is None and needed:
                    return None
                names[f"import {dotted}"] = None
                if found and found.file:
                    parts = tuple(dotted.split("."))
                    waiting.append((view.read(found.file), parts if found.below else parts[:-1]))
    except (OSError, _OddError):
        return None
    return (*_FIXED, *names)


def checked_premises(checked: CheckedStack) -> Iterator[str]:
    """Yield the premises of checking and rendering a stack: what its modules are, and what these declare; and what the
    stacks are that it refers to.
    """
    for text, source in {unit.unit.module: unit.source for unit in checked.units.values()}.items():
        yield f"kind {text}"
        if source.folder is not None:
            yield f"module {checked.folder.project.shown(source.folder)}"
    yield from sorted({f"stack {stack_and_unit(unit)[0]}" for units in checked.across.values() for unit in units})


def _dotted(imports: Iterable[Import], package: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """The modules that imports may lead to, those on the way included, and whether it has to be there."""
    for one in imports:
        if one.level > len(package):
            raise _OddError
        base = package[: len(package) - one.level + 1] if one.level else ()
        parts = (*base, *filter(None, one.name.split(".")))
        for end in range(1, len(parts) + 1):
            yield ".".join(parts[:end]), True
        for member in one.members:
            yield ".".join((*parts, member)), False


def _places(folder: StackFolder) -> tuple[Path, Path, Path]:
    """Where a spec's imports are looked for, as load_stack() has it."""
    return folder.path, folder.project.stacks, folder.project.root


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
