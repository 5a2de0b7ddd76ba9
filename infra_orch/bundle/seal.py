"""Bundles that leave the machine: encrypted, and proven to be from somebody who has the key.

The key is in the environment, in the form of Fernet (https://github.com/fernet/spec): 32 random bytes in URL-safe
Base64, one half of which encrypts (AES-128-CBC) while the other signs (HMAC-SHA256). Several, parted by commas, are for
the time in which a key is changed: the first seals, and all open. The package `cryptography` does it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra_orch.errors import RefusedError, UnavailableError, UsageError, UserError
from infra_orch.files import write_atomically

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEY = "INFRA_ORCH_BUNDLE_KEY"
LIMIT = 512 << 20
"""Bytes of what is sealed: all of it is in memory at once, a few times."""
_MAKE_ONE = "openssl rand -base64 32 | tr '+/' '-_' makes one"
_ZIP = b"PK"


@dataclass(frozen=True)
class Seal:
    """What seals bundles, and opens them."""

    fernet: MultiFernet

    def close(self, path: Path, to: Path) -> None:
        """Write the bundle at *path* to *to*, sealed, mode 0600. Raises UserError where that cannot be done."""
        try:
            if path.stat().st_size > LIMIT:
                raise UserError(f"{path} has more than {LIMIT >> 20} MiB, which is too much to be sealed")
            write_atomically(to, self.fernet.encrypt(path.read_bytes()), mode=0o600)
        except OSError as error:
            raise UserError(f"{to} cannot be written: {error.strerror}") from error

    def open(self, path: Path, shown_as: str, to: Path) -> None:
        """Write what is sealed at *path* to *to*, mode 0600. Raises RefusedError where no key that is here opens it."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            content = self.fernet.decrypt(path.read_bytes())
        except InvalidToken as error:
            raise RefusedError(
                f"{shown_as} was not sealed with this {KEY}, or was changed since",
                hint="set the key that it was sealed with, or make another bundle",
            ) from error
        write_atomically(to, content, mode=0o600)


def seal_here(environment: Mapping[str, str] = os.environ) -> Seal | None:
    """Return what seals bundles here; None where no key says so.

    Raises UsageError for what is no key, UnavailableError where `cryptography` is not there.
    """
    keys = [key.strip() for key in environment.get(KEY, "").split(",") if key.strip()]
    if not keys:
        return None
    try:
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415  it takes a while to import
    except ImportError as error:
        raise UnavailableError(
            f"{KEY} says that bundles are sealed, and the package cryptography is not there",
            hint="pip install 'infra-orch[seal]'",
        ) from error
    try:
        return Seal(MultiFernet([Fernet(key) for key in keys]))
    except ValueError as error:
        raise UsageError(f"{KEY} holds what is no key: it has to be 32 bytes in Base64", hint=_MAKE_ONE) from error


def opened(path: Path, shown_as: str, into: Path) -> Path:
    """Return the path of the bundle at *path* as it can be read: itself, or unsealed as *into*.

    Raises RefusedError where it is sealed and there is no key for it, and where it is not sealed though there is a
    key: whoever could write the file could have written anything then. Raises UsageError where it cannot be read.
    """
    seal = seal_here()
    try:
        with path.open("rb") as file:
            plain = file.read(2) == _ZIP
        if seal is None:
            if not plain and path.stat().st_size and _looks_sealed(path):
                raise RefusedError(f"{shown_as} is sealed", hint=f"set {KEY} to the key that it was sealed with")
            return path
        if plain:
            raise RefusedError(
                f"{shown_as} is not sealed, and {KEY} says that bundles are",
                hint=f"make it with {KEY} set, or unset it here if that bundle is meant",
            )
        seal.open(path, shown_as, into)
    except OSError as error:
        hint = "" if path.exists() else "plan STACK --out FILE and preview --base REF --bundle FILE write them"
        raise UsageError(f'"{shown_as}" cannot be read: {error.strerror}', hint=hint) from error
    return into


def _looks_sealed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"gAAAA"  # the version, and the high bytes of a time until the year 2106
