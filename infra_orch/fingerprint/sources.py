"""What a module is made of: its files and those of the local modules that it calls, and the remote ones by version."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.module.configuration import SUFFIXES
from infra_orch.module.facts import file_facts
from infra_orch.module.files import module_files
from infra_orch.module.masking import BadSyntaxError
from infra_orch.module.reads import read_outside, unknown_reads
from infra_orch.project import Project

_LOCAL = ("./", "../")
_EXACT_VERSION = re.compile(r"\s*=?\s*v?\d+\.\d+\.\d+[-+.\w]*\s*")
_EXACT_REF = re.compile(r"[?&]ref=(?:[0-9a-f]{40}|v?\d+\.\d+(?:\.\d+)?[-+.\w]*)(?:&|$)")


@dataclass(frozen=True)
class ModuleSources:
    """What a module is made of.

    *files*: SHA-256 by path below the project (`../` where it lies outside), of all that lies in the folders of the
    module and of the local ones that it calls, and of what they read elsewhere. *remote*: by source, the version that
    remote modules are called with; *loose*: which of these calls may mean other files tomorrow. *unseen*: what reads
    files that cannot be told from its text.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    remote: Mapping[str, str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()


class Sources:
    """Reads the modules of a project, each once. Safe to use from many threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, ModuleSources] = {}
        self._digests: dict[Path, str] = {}
        self._lock = threading.Lock()

    def of_module(self, module: str) -> ModuleSources:
        """What *module* (a folder below the project; anything else is no local module) is made of.

        Raises OSError where a file cannot be read.
        """
        with self._lock:
            if module not in self._known:
                folder = self._project.root / module
                self._known[module] = self._read(folder) if folder.is_dir() else ModuleSources()
            return self._known[module]

    def of_text(self, name: str, text: str, shown: str) -> ModuleSources:
        """What is said of modules and files in *text*, a file called *name*, which messages call *shown*."""
        remote, loose = dict[str, str](), list[str]()
        unseen = [f"{shown}:{line} reads {call}" for line, call in unknown_reads(text)]
        try:
            calls = file_facts(name, text.encode(), self._project.cache / "modules").calls
        except (BadSyntaxError, UnicodeDecodeError):
            return ModuleSources({}, {}, (*unseen, f"{shown} cannot be parsed"))
        for call in calls:
            source, version = call.arguments.get("source"), str(call.arguments.get("version", ""))
            if source is None:
                unseen.append(f"{shown}:{call.line} computes the source of a module")
            elif not source.startswith(_LOCAL):
                remote[source] = version
                if not is_exact(source, version):
                    loose.append(f"{shown}:{call.line} calls {source}, of no exact version")
        return ModuleSources({}, remote, tuple(unseen), tuple(loose))

    def _read(self, folder: Path) -> ModuleSources:
        paths = list(module_files([folder], self._project.cache / "modules"))
        read = (*paths, *read_outside(paths, root=self._project.root))
        said = [
            self.of_text(path.name, path.read_text(encoding="utf-8", errors="replace"), self._shown(path))
            for path in paths
            if path.name.endswith(SUFFIXES)
        ]
        return merged(ModuleSources({self._shown(path): self._digest(path) for path in read}), *said)

    def _shown(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._project.root)).as_posix()

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            with path.open("rb") as file:
                self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


def is_exact(source: str, version: str) -> bool:
    """Whether a remote module's source, with the version that it is called with, always means the same files.

    That is a version as it stands of a registry's module, a commit, or a tag that is called like a version.
    """
    return bool(_EXACT_VERSION.fullmatch(version) if version else _EXACT_REF.search(source))


def merged(*several: ModuleSources) -> ModuleSources:
    """What several are made of, together."""
    return ModuleSources(
        files={path: digest for one in several for path, digest in one.files.items()},
        remote={source: version for one in several for source, version in one.remote.items()},
        unseen=tuple(dict.fromkeys(why for one in several for why in one.unseen)),
        loose=tuple(dict.fromkeys(why for one in several for why in one.loose)),
    )
