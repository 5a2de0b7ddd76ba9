"""A bundle as a file: a zip whose members are all named, sized and summed in its manifest.

Nothing is extracted by the name that it has in the archive. Digests find what was damaged or changed in part; whoever
can rewrite a bundle whole can rewrite its manifest, so it is kept where only those can write who may apply it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from infra_orch.bundle.manifest import Manifest, Member, from_json, member_name
from infra_orch.errors import RefusedError, UsageError, UserError

MANIFEST = "manifest.json"
MANIFEST_LIMIT = 16 << 20
MEMBER_LIMIT = 1 << 30
TOTAL_LIMIT = 4 << 30
"""In bytes, unpacked: a plan of a thousand AWS resources is some ten megabytes of JSON."""

_Manifest = TypeVar("_Manifest")
_CHUNK = 1 << 20
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises for a file that is no zip, is cut short, or holds what it cannot unpack."""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found whole. *id* is the SHA-256 of its manifest, and so of all that is in it.

    *shown_as* is what the user knows it as.
    """

    path: Path
    id: str
    manifest: Manifest
    shown_as: str


def measure(path: Path) -> Member:
    """Return the size and digest of a file. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Member(file.tell(), digest)


def write_archive(path: Path, manifest: str, members: Mapping[str, Path | bytes]) -> None:
    """Write a bundle to *path*, mode 0600, whole or not at all. *members* are files, or their contents, by their names
    in the archive.

    Raises UserError where it cannot be written; a file that was there is then as it was.
    """
    try:
        with _whole(path) as file, zipfile.ZipFile(file, "w") as archive:
            _add(archive, MANIFEST, manifest.encode())
            for name, source in members.items():
                _add(archive, name, source)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def read_bundle(path: Path, shown_as: str = "") -> Bundle:
    """Read the bundle at *path*, which the user knows as *shown_as*, and check all of it.

    Raises UsageError where there is no such file or it cannot be read, RefusedError where it is not a whole bundle, of
    a newer schema, or anything in it is not what its manifest says.
    """
    told = shown_as or str(path)
    try:
        text, manifest = read_archive(path, told, lambda text: from_json(text, told), members_of)
    except OSError as error:
        hint = "" if path.exists() else "infra-orch plan STACK --out FILE writes one"
        raise UsageError(f'--plan "{told}" cannot be read: {error.strerror}', hint=hint) from error
    return Bundle(path, hashlib.sha256(text).hexdigest(), manifest, told)


def read_archive(
    path: Path,
    shown_as: str,
    parse: Callable[[bytes], _Manifest],
    members_in: Callable[[_Manifest], Mapping[str, Member]],
) -> tuple[bytes, _Manifest]:
    """Return the manifest of the archive at *path*, as it is and as *parse* reads it, once all of the archive was found
    to be as it says.

    *members_in* tells from the manifest which files there are. Raises UsageError where *path* is no file, RefusedError
    where it is no whole archive, OSError where it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f'"{shown_as}" is not a file')
    with _opened(path, shown_as) as archive:
        text = _manifest_text(archive, shown_as)
        manifest = parse(text)
        wanted = members_in(manifest)
        _check_names(archive, wanted, shown_as)
        for name, member in wanted.items():
            for _ in _content(archive, name, member, shown_as):
                pass
    return text, manifest


def extract(bundle: Bundle, unit: str, name: str, to: Path) -> None:
    """Put one file of a unit to *to*, mode 0600, whole or not at all.

    Raises RefusedError where the bundle is no longer what was read, OSError where *to* cannot be written.
    """
    extract_member(bundle.path, bundle.shown_as, member_name(unit, name), bundle.manifest.units[unit].members[name], to)


def extract_member(path: Path, shown_as: str, name: str, member: Member, to: Path) -> None:
    """Put the file *name* of the archive at *path* to *to*; see extract()."""
    with _whole(to) as file, _opened(path, shown_as) as archive:
        for chunk in _content(archive, name, member, shown_as):
            file.write(chunk)


def members_of(manifest: Manifest) -> dict[str, Member]:
    """Every file that a manifest names, by its name in the archive."""
    return {
        member_name(unit.name, name): member
        for unit in manifest.units.values()
        for name, member in unit.members.items()
    }


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file, mode 0600, that becomes *path* where nothing is raised, and is gone where something is."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def _opened(path: Path, shown_as: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGE as error:
        raise RefusedError(
            f"{shown_as} is not a plan bundle, or not all of it: {error}",
            hint="copy it anew, or make another, with plan STACK --out FILE or preview --bundle FILE",
        ) from error


def _manifest_text(archive: zipfile.ZipFile, path: str) -> bytes:
    try:
        info = archive.getinfo(MANIFEST)
    except KeyError as error:
        raise RefusedError(f"{path} is not a plan bundle: it holds no {MANIFEST}") from error
    if info.file_size > MANIFEST_LIMIT:
        raise RefusedError(f"{path}: its {MANIFEST} is larger than {MANIFEST_LIMIT >> 20} MiB")
    return archive.read(info)


def _check_names(archive: zipfile.ZipFile, wanted: Mapping[str, Member], path: str) -> None:
    """Before anything is unpacked: the files that the manifest names, no others, each once, none too large."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    unknown = sorted(set(names) - {MANIFEST, *wanted})
    missing = sorted(set(wanted) - set(names))
    for what, found in (("holds twice", twice), ("holds what it should not", unknown), ("lacks", missing)):
        if found:
            raise RefusedError(f"{path} is damaged or was tampered with: it {what}: {found[0]!r}")
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise RefusedError(f"{path} was tampered with: {info.filename!r} in it is not a file")
        if info.filename != MANIFEST and info.file_size != wanted[info.filename].size:
            raise RefusedError(f"{path} is damaged or was tampered with: {info.filename!r} has another size")
        if info.file_size > MEMBER_LIMIT:
            raise RefusedError(f"{path}: {info.filename!r} in it is larger than {MEMBER_LIMIT >> 20} MiB")
    if sum(info.file_size for info in infos) > TOTAL_LIMIT:
        raise RefusedError(f"{path} unpacks to more than {TOTAL_LIMIT >> 20} MiB")


def _content(archive: zipfile.ZipFile, name: str, member: Member, path: str) -> Iterator[bytes]:
    """The content of a member, in pieces, never past its size; it is right only once all of them were taken."""
    digest, left = hashlib.sha256(), member.size
    with archive.open(name) as file:
        while chunk := file.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            digest.update(chunk)
            if left < 0:
                break
            yield chunk
    if left or digest.hexdigest() != member.sha256:
        raise RefusedError(f"{path} is damaged or was tampered with: {name!r} in it is not what it was")


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    info = zipfile.ZipInfo(name, _EARLIEST)
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    # Terraform's own plan file is a zip already, and so is a bundle in a bundle.
    info.compress_type = zipfile.ZIP_STORED if name.endswith(("/tfplan", ".plan")) else zipfile.ZIP_DEFLATED
    with archive.open(info, "w") as to:
        if isinstance(content, bytes):
            to.write(content)
        else:
            with content.open("rb") as source:
                _copy(source, to)


def _copy(source: IO[bytes], to: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        to.write(chunk)
