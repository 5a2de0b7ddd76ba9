"""What a provider answers whatever it is asked from: kept on disk, by the package that said it.

    FOLDER/HASH/METHOD      magic, SHA-256 of the rest, protocol version, status, body

Only answers that no configuration goes into are kept. A file that is not what it should be counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra_orch.files import private_folder, write_atomically
from infra_orch.gateway.package import Package

KEPT = frozenset({"GetSchema", "GetProviderSchema", "GetMetadata", "GetFunctions", "GetResourceIdentitySchemas"})
"""Calls whose answers depend on nothing but the provider's program: their requests are empty messages."""

LIMIT = 256 << 20
"""Bytes. An AWS provider's schema takes five million."""
_MAGIC = b"infra-orch schema 1\n"


@dataclass(frozen=True)
class Kept:
    """An answer: *status* is gRPC's (0 is success), *text* what an error says."""

    protocol: int
    status: int
    text: str = ""
    body: bytes = b""


class SchemaCache:
    """Answers on disk, shared by all runs of one user. *folder* may be deleted at any time."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit

    def read(self, package: Package, method: str) -> Kept | None:
        """What *package* answers to *method*, if that is known."""
        path = self._path(package, method)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + hashlib.sha256().digest_size
        rest = data[head:]
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(rest).digest() != data[len(_MAGIC) : head] or len(rest) < 4:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the least recently used go first
        length = int.from_bytes(rest[2:4], "big")
        return Kept(rest[0], rest[1], rest[4 : 4 + length].decode(errors="replace"), rest[4 + length :])

    def write(self, package: Package, method: str, kept: Kept) -> None:
        """Keep an answer. What cannot be written is not kept."""
        text = kept.text.encode()[:1000]
        rest = bytes([kept.protocol, kept.status]) + len(text).to_bytes(2, "big") + text + kept.body
        path = self._path(package, method)
        with contextlib.suppress(OSError):
            private_folder(self._folder)
            private_folder(path.parent)
            write_atomically(path, _MAGIC + hashlib.sha256(rest).digest() + rest, mode=0o600, durable=False)
            self._tidy(path.parent)

    def _path(self, package: Package, method: str) -> Path:
        # Two providers may be the same package under two names; what they answer is the same.
        return self._folder / hashlib.sha256(package.h1.encode()).hexdigest()[:32] / method

    def _tidy(self, spare: Path) -> None:
        """Take away the packages that were not asked for longest, until the rest fits."""
        packages = []
        for folder in self._folder.iterdir():
            with contextlib.suppress(OSError):
                known = [path.stat() for path in folder.iterdir()]
                packages.append((max((k.st_mtime for k in known), default=0.0), sum(k.st_size for k in known), folder))
        total = sum(size for _, size, _ in packages)
        for _, size, folder in sorted(packages, key=lambda package: package[0]):
            if total <= self._limit:
                return
            if folder != spare:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
