"""Files that appear whole or not at all, and folders that only their owner may enter."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from infra_orch.errors import UsageError, UserError


def with_home(path: str | Path) -> Path:
    """Return *path* with `~` or `~user` at its beginning replaced. Raises UsageError where nobody has that home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        hint = "write the folder out, without ~"
        raise UsageError(f'"{path}": nobody knows which folder "{Path(path).parts[0]}" is', hint=hint) from error


def write_atomically(path: Path, text: str | bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write *text* to *path* so that a reader, or a crash at any moment, sees the old content or the new, never a part.

    *mode* is the file's permission bits before the umask; a file that exists keeps none of its own. Not *durable* is
    for what can be made again: a loss of power soon after may leave it empty, and many files are written at once.
    Raises OSError where the folder cannot be written or the disk is full; the old file is then untouched.
    """
    data = text.encode() if isinstance(text, str) else text
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".partial")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(mode & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # that of a full disk does not say what it was that did not fit
        raise


def write_asked_for(path: Path, text: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file that the user named, whole or not at all. Raises UserError where it cannot be written."""
    try:
        write_atomically(path, text, mode=mode)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def write_if_different(path: Path, text: str | bytes, *, mode: int = 0o644, durable: bool = True) -> bool:
    """Write *text* as write_atomically() does unless *path* already holds it. Returns whether it was written.

    Folders that are missing are made. Raises OSError as write_atomically() does.
    """
    data = text.encode() if isinstance(text, str) else text
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data, mode=mode, durable=durable)
    return True


def append_private(path: Path, data: str | bytes, *, durable: bool = False) -> None:
    """Append to a file, made with mode 0600 where it is missing. Raises OSError where it cannot be written."""
    rest = memoryview(data.encode(errors="surrogateescape") if isinstance(data, str) else data)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def private_folder(path: Path, *, ignored_by_git: bool = False) -> Path:
    """Make *path* with mode 0700 and return it; *ignored_by_git* adds a .gitignore that ignores all that is in it.

    Parents that are missing are made, too, as the umask has it. Raises OSError where it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    if ignored_by_git:
        ignore = path / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, "*\n")
    return path


def _umask() -> int:
    """The process's umask. Reading it needs setting it, which is not thread-safe, so it is read once, at import."""
    return _UMASK


_UMASK = os.umask(0o022)
os.umask(_UMASK)
