"""A provider package as init installed it: where its program is, and whether it is what the lock file says."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from infra_orch.engine.lock_file import NAME, locked_providers

BUILTIN = "terraform.io/builtin/"
_BLOCK = 1 << 20


class UnfitError(Exception):
    """The gateway leaves a provider to Terraform, and why."""


@dataclass(frozen=True)
class Package:
    """An unpacked provider package: *address* like `registry.terraform.io/hashicorp/aws`, *h1* its hash."""

    address: str
    version: str
    folder: Path
    program: Path
    h1: str


class Packages:
    """The packages that were checked; a file is hashed once for as long as it stays what it was. Safe for threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], str] = {}
        self._locks: dict[tuple[object, ...], threading.Lock] = {}
        self._guard = threading.Lock()

    def of(self, cwd: Path, address: str) -> Package:
        """The package that an initialised folder has for a provider. Takes seconds where it was not hashed yet.

        Raises UnfitError where there is none, or where it is not what the folder's dependency lock file says: it is for
        Terraform to say so then.
        """
        try:
            locked = locked_providers((cwd / NAME).read_text(encoding="utf-8")).get(address)
        except (OSError, UnicodeDecodeError) as error:
            raise UnfitError("there is no dependency lock file") from error
        if locked is None:
            raise UnfitError("it is not in the dependency lock file")
        folders = list((cwd / ".terraform" / "providers" / address / locked.version).glob("*"))
        if len(folders) != 1:
            raise UnfitError(f"version {locked.version} is not installed")
        folder = folders[0].resolve()
        program = _program(folder, address)
        found = self._hash(folder)
        if found not in locked.hashes:
            raise UnfitError("the package is not the one that the dependency lock file names")
        return Package(address, locked.version, folder, program, found)

    def _hash(self, folder: Path) -> str:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        key = tuple(_identity(path) for path in files)
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._known:
                self._known[key] = _h1(folder, files)
            return self._known[key]


def providers_of(cwd: Path) -> list[str]:
    """The addresses of the providers in a folder's dependency lock file, those that are part of Terraform left out."""
    try:
        text = (cwd / NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [address for address in locked_providers(text) if not address.startswith(BUILTIN)]


def _program(folder: Path, address: str) -> Path:
    """The provider's program, chosen as Terraform does: the file whose name is `terraform-provider-TYPE`, or begins so
    and goes on after `_`, the first by name.
    """
    name = f"terraform-provider-{address.rpartition('/')[2]}"
    pattern = re.compile(rf"{re.escape(name)}(?:_.*)?(?:\.exe)?")
    for path in sorted(folder.iterdir()):
        if pattern.fullmatch(path.name) and path.is_file() and os.access(path, os.X_OK):
            return path
    raise UnfitError(f"there is no program {name} in its package")


def _identity(path: Path) -> tuple[object, ...]:
    """What changes whenever a file's content does, as far as the file system tells."""
    known = path.stat()
    return str(path), known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns


def _h1(folder: Path, files: list[Path]) -> str:
    """The hash `h1:` of a folder, as golang.org/x/mod/sumdb/dirhash defines it."""
    lines = []
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        lines.append(f"{digest.hexdigest()}  {path.relative_to(folder).as_posix()}\n")
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()
