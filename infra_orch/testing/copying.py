"""Copy a project, so that what its tests do cannot be found in it."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from infra_orch.errors import UserError

_LEFT_OUT = frozenset({".git", ".hg", ".svn", ".infra-orch", ".terraform", "__pycache__", "node_modules"})
_PATTERNS = ("*.tfstate", "*.tfstate.*")
_OF_A_STACK = frozenset({"state", "record"})


def copy_project(root: Path, target: Path, leave_out: Sequence[str]) -> None:
    """Copy the project at *root* to *target*, less states, records, what can be made again, and what fits one of the
    patterns *leave_out*, by its name or its path in the project.

    Raises UserError where a file cannot be read, or there is no room.
    """
    try:
        shutil.copytree(root, target, symlinks=True, ignore=_skipping(root, target, (*_PATTERNS, *leave_out)))
        # Of a project that may not be written the copy may be: what is rendered goes there.
        for folder in (target, *(path for path in target.rglob("*") if path.is_dir() and not path.is_symlink())):
            folder.chmod(folder.stat().st_mode | 0o700)
    except (shutil.Error, OSError) as error:
        path, why = str(error.filename or root), str(error.strerror or error)
        if isinstance(error, shutil.Error):
            path, _, why = error.args[0][0]
        shown = path.removeprefix(f"{root}/")
        raise UserError(
            f"the project cannot be copied to {target.parent}, which its tests need: {shown}: {why}",
            hint="infra_orch_leave_out in pytest's settings names what they can do without; TMPDIR says another place",
        ) from error


def _skipping(root: Path, target: Path, patterns: Sequence[str]) -> Callable[[str, list[str]], set[str]]:
    def skipped(folder: str, names: list[str]) -> set[str]:
        here = Path(folder)
        inside = here.relative_to(root)
        found = {*names} & _LEFT_OUT
        if "stack.py" in names and inside.parts[:1] == ("stacks",):
            found |= {*names} & _OF_A_STACK
        for name in {*names} - found:
            path, shown = here / name, (inside / name).as_posix()
            # A virtual environment, a cache as https://bford.info/cachedir/ has it, and the folder of the copy itself.
            apart = (path / "pyvenv.cfg").is_file() or (path / "CACHEDIR.TAG").is_file() or path in target.parents
            special = not (path.is_file() or path.is_dir() or path.is_symlink())
            if apart or special or any(fnmatch.fnmatch(text, one) for text in (name, shown) for one in patterns):
                found.add(name)
        return found

    return skipped
