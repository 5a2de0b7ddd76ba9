"""Make files and folders for somebody: all of them or none, and over nothing that is there.

Lines are added to files that are there, and taken out again where not all can be made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.errors import UsageError, UserError
from infra_orch.files import write_atomically
from infra_orch.project import Project


@dataclass
class Made:
    """What was made so far: files, and folders, outermost first, and what files held *before* something was added.

    It is taken back where the rest cannot be made.
    """

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    before: dict[Path, bytes] = field(default_factory=dict)

    def folder(self, path: Path) -> None:
        """Make a folder, and those above it, unless it is there. Raises FileExistsError for what is no folder."""
        for folder in (*reversed(path.parents), path):
            try:
                folder.mkdir()
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                self.folders.append(folder)

    def new_folder(self, path: Path, within: Project) -> None:
        """Make a folder. Raises UsageError where there is something of its name."""
        if path.exists() or path.is_symlink():
            raise UsageError(f"{within.shown(path)} exists already", hint="choose another name; nothing was changed")
        self.folder(path)

    def file(self, path: Path, content: bytes, *, executable: bool = False) -> None:
        """Make a file. Raises FileExistsError where there is one."""
        self.folder(path.parent)
        with path.open("xb") as file:
            self.files.append(path)
            try:
                file.write(content)
                file.flush()
            except OSError as error:
                error.filename = str(path)  # that of a full disk does not say what it was that did not fit
                raise
        if executable:
            path.chmod(path.stat().st_mode | 0o111)

    def add_to(self, path: Path, text: bytes) -> None:
        """Add *text* to the end of a file, which is made where it is missing."""
        if not path.exists():
            self.file(path, text)
            return
        there = path.read_bytes()
        self.before.setdefault(path, there)
        _write_over(path, there + text)

    @contextlib.contextmanager
    def or_nothing(self) -> Iterator[None]:
        """Within it, everything is made or nothing is. Raises UserError where something cannot be made."""
        try:
            yield
        except BaseException as error:
            for path, content in self.before.items():
                with contextlib.suppress(OSError):
                    _write_over(path, content)
            for path in reversed(self.files):
                path.unlink(missing_ok=True)
            for folder in reversed(self.folders):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if isinstance(error, OSError):
                raise _cannot_make(error) from error
            raise


def _write_over(path: Path, content: bytes) -> None:
    write_atomically(path, content, mode=path.stat().st_mode & 0o777)


def _cannot_make(error: OSError) -> UserError:
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return UsageError(
            f"{error.filename} is in the way: nothing was made", hint="move it away, or choose another name"
        )
    return UserError(
        f"{error.filename or 'a file'} cannot be made: {error.strerror}",
        hint="choose a place that you may write to, and that has room: -C FOLDER",
    )
