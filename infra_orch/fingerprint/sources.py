"""What a module is made of: its files and those of the local modules that it calls, and the remote ones by version."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from infra_orch.module.configuration import SUFFIXES
from infra_orch.module.facts import Declared, file_facts
from infra_orch.module.files import module_files
from infra_orch.module.masking import BadSyntaxError
from infra_orch.module.reads import read_outside, unknown_reads, wide_reads
from infra_orch.project import Project

_LOCAL = ("./", "../")
_LARGEST_TEMPLATE = 1 << 20
_MAY_CALL = re.compile(r"\bmodule[^.\w\[]")
"""What stands at the beginning of each call of a module, in both syntaxes; after `module.x.y` nobody has to look."""


@dataclass(frozen=True)
class ModuleSources:
    """What a module is made of.

    *files*: SHA-256 by path below the project (`../` where it lies outside), of all that lies in the folders of the
    module and of the local ones that it calls, and of what they read elsewhere. *remote*: by source, the version that
    remote modules are called with; *loose*: these calls: nobody has looked into what they call. *unseen*: what makes a
    plan depend on more than these files.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    remote: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()


class Sources:
    """Reads the modules of a project. Safe to use from many threads.

    *within* is the folder, the repository's, beyond which nothing is known. *fixed*: the files do not change, so that
    each module is read once; otherwise a file is read again once it is another one.
    """

    def __init__(self, project: Project, within: Path | None = None, *, fixed: bool = False) -> None:
        self._project = project
        self._within = within or project.root
        self._fixed = fixed
        self._known: dict[str, ModuleSources] = {}
        self._digests: dict[tuple[object, ...], str] = {}
        self._lock = threading.Lock()

    @cached_property
    def at_once(self) -> Sources:
        """The same modules as they are when each is asked for first."""
        return Sources(self._project, self._within, fixed=True)

    @cached_property
    def _cache(self) -> Path:
        """Where what is read is kept; to ask for it makes folders, so that is done once."""
        return self._project.cache / "modules"

    def of_module(self, module: str) -> ModuleSources:
        """What *module* (a folder below the project; anything else is no local module) is made of.

        Raises OSError where a file cannot be read.
        """
        with self._lock:
            known = self._known.get(module) if self._fixed else None
            if known is None:
                folder = self._project.root / module
                known = self._known[module] = self._read(folder) if folder.is_dir() else ModuleSources()
            return known

    def of_text(
        self, name: str, text: str, shown: str, *, module: bool = True, calls: Sequence[Declared] | None = None
    ) -> ModuleSources:
        """What is said of modules and files in *text*, a file called *name*, which messages call *shown*.

        *module*: it lies in the folder of a module whose other files are looked at, too. *calls*: those of modules that
        stand in it, where they are known without parsing it.
        """
        remote = dict[str, str]()
        unseen = [f"{shown}:{line} {what}" for line, what in unknown_reads(text, module=module)]
        try:
            if calls is None:
                calls = file_facts(name, text.encode(), self._cache).calls if _MAY_CALL.search(text) else ()
        except (BadSyntaxError, UnicodeError):
            return ModuleSources({}, {}, (*unseen, f"{shown} cannot be parsed"))
        loose = []
        for call in calls:
            source, version = call.arguments.get("source"), str(call.arguments.get("version", ""))
            if source is None:
                unseen.append(f"{shown}:{call.line} computes the source of a module")
            elif not source.startswith(_LOCAL):
                remote[source] = version
                loose.append(f"{shown}:{call.line} calls {source}, whose files are not in the repository")
        return ModuleSources({}, remote, tuple(unseen), tuple(loose))

    def _read(self, folder: Path) -> ModuleSources:
        root = self._project.root
        paths = list(module_files([folder], self._cache))
        read = (*paths, *read_outside(paths, root=root))
        texts = {path: _text(path) for path in paths if path.name.endswith(SUFFIXES)}
        said = [self.of_text(path.name, text, self._shown(path)) for path, text in texts.items()]
        unseen = [
            f"{self._shown(path)} reads {place}, which is not looked into"
            for path in texts
            for place in wide_reads(path, root=root, within=self._within)
        ]
        if any("templatefile" in text for text in texts.values()):
            unseen += [
                f"{self._shown(path)}:{line} {what}"
                for path in read
                if path not in texts and path.stat().st_size <= _LARGEST_TEMPLATE
                for line, what in unknown_reads(_text(path), module=False)
            ]
        digests = {self._shown(path): self._digest(path) for path in read}
        return merged(ModuleSources(digests, {}, tuple(unseen)), *said)

    def _shown(self, path: Path) -> str:
        shown = Path(os.path.relpath(path, self._project.root)).as_posix()
        return os.fsencode(shown).decode("utf-8", "backslashreplace")

    def _digest(self, path: Path) -> str:
        known = path.stat()
        key = (path, known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns)
        if key not in self._digests:
            with path.open("rb") as file:
                self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[key]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def merged(*several: ModuleSources) -> ModuleSources:
    """What several are made of, together."""
    return ModuleSources(
        files={path: digest for one in several for path, digest in one.files.items()},
        remote={source: version for one in several for source, version in one.remote.items()},
        unseen=tuple(dict.fromkeys(why for one in several for why in one.unseen)),
        loose=tuple(dict.fromkeys(why for one in several for why in one.loose)),
    )
