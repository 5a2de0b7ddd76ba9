"""Bring the rendered folder of a stack up to date, and say what in it is stale."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from infra_orch.errors import SpecError, UserError, Where
from infra_orch.files import write_if_different
from infra_orch.module.files import LOCK_FILE
from infra_orch.project import StackFolder
from infra_orch.render.index import KeptUnit, RenderedStack, digest, index_of, read_index, to_json
from infra_orch.render.neighbours import Claim, claim_of
from infra_orch.render.unit import Templates, render_backend, render_unit
from infra_orch.spec.check import CheckedStack

_OURS = "# Rendered by infra-orch"
INDEX = "stack.json"


@dataclass(frozen=True)
class Rendering:
    """A stack rendered in memory: its index, and the *texts* of all other files by their paths below `rendered/`."""

    stack: RenderedStack
    texts: Mapping[str, str]

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The text of every file, that of the index too; who does not ask for it does not wait for it."""
        return {**self.texts, INDEX: to_json(self.stack)}

    def claim(self, checked: CheckedStack) -> Claim:
        """What *checked*, of which this is made, claims for itself."""
        return claim_of(checked, {unit: self.texts[f"{unit}/backend.tf"] for unit in checked.units})


@dataclass(frozen=True)
class Written:
    """What write() did: paths below `rendered/`. *kept* are in the way of nothing, but are not ours to remove."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def render_stack(checked: CheckedStack) -> Rendering:
    """Render every unit of a checked stack, in memory, whatever it has in common with others.

    Raises SpecError for an error in a template of the user's.
    """
    templates = Templates(checked.folder)
    problems = list(templates.problems())
    if problems:
        raise SpecError(problems)
    units = {name: render_unit(unit, checked, templates) for name, unit in sorted(checked.units.items())}
    former = {
        name: render_backend(checked, unit, unit.unit.formerly, templates)
        for name, unit in checked.units.items()
        if unit.unit.formerly
    }
    stack = index_of(checked, units, former)
    files = {f"{unit}/{name}": text for unit, texts in units.items() for name, text in texts.items()}
    return Rendering(stack, files)


def with_kept(rendering: Rendering, kept: Mapping[str, KeptUnit]) -> Rendering:
    """Return *rendering* with units that left the spec: the files that they have stay, and the index names them."""
    folder = rendering.stack.folder
    stack = replace(rendering.stack, left_over=dict(sorted(kept.items())))
    files = {
        f"{name}/{file}": _read(folder.rendered / name / file)
        for name, unit in kept.items()
        for file in (*unit.unit.files, LOCK_FILE)
        if (folder.rendered / name / file).is_file()
    }
    return Rendering(stack, {**files, **rendering.texts})


def forget_kept(folder: StackFolder, names: set[str]) -> None:
    """Remove the kept files of units that are destroyed now. Raises UserError where they cannot be removed."""
    stack = _index_before(folder)
    if stack is None or not names & stack.left_over.keys():
        return
    files = {
        f"{name}/{file}": _read(folder.rendered / name / file)
        for name, unit in stack.units.items()
        for file in unit.files
    }
    left = {name: kept for name, kept in stack.left_over.items() if name not in names}
    write(with_kept(Rendering(stack, files), left))


def write(rendering: Rendering) -> Written:
    """Write what differs, each file atomically and the index last, and remove what is rendered no more.

    A file that is not ours (it carries no header of ours, and is not what the index before names) is never touched:
    where it is in the way, UserError is raised and nothing is written; elsewhere it is kept, and named in the result.
    Raises UserError, too, where the folder leads out of the project or cannot be written. Of two that write the same
    folder at once, the second waits.
    """
    folder = rendering.stack.folder
    _check_places(rendering)
    with _alone(folder):
        return _bring_up_to_date(rendering)


def _bring_up_to_date(rendering: Rendering) -> Written:
    folder = rendering.stack.folder
    differing = {
        path: text for path, text in rendering.files.items() if _bytes(folder.rendered / path) != text.encode()
    }
    if not differing and not any(True for _ in _left_behind(rendering)):
        return Written((), (), ())
    ours = _digests(folder)
    foreign = [path for path, text in differing.items() if _in_the_way(folder.rendered / path, text, ours)]
    if foreign:
        shown = folder.project.shown(folder.rendered / foreign[0])
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise UserError(
            f"{shown}{more} was not rendered by infra-orch, and is where a rendered file belongs",
            hint=f"move it away; what is to be in it comes from {folder.project.shown(folder.spec)}",
            where=Where(shown),
        )
    written = [path for path, text in differing.items() if _write(folder, path, text)]
    removed, kept = _remove_stale(rendering, ours)
    return Written(tuple(written), tuple(removed), tuple(kept))


def stale(rendering: Rendering) -> str:
    """Return a unified diff from what lies in the rendered folder to what the spec says; empty where they agree."""
    folder = rendering.stack.folder
    shown = folder.project.shown(folder.rendered)
    texts = dict(rendering.files)
    left = list(_left_behind(rendering))
    ours = _digests(folder) if left else {}
    texts |= {_below(path, folder): "" for path in left if _is_ours(path, rendering, ours)}
    parts: list[str] = []
    for path, text in sorted(texts.items()):
        found = _read(folder.rendered / path)
        if found != text:
            parts += difflib.unified_diff(_lines(found), _lines(text), f"a/{shown}/{path}", f"b/{shown}/{path}")
    return "".join(parts)


def _check_places(rendering: Rendering) -> None:
    """Every folder that is written to is a real one, at its place within the project."""
    folder = rendering.stack.folder
    rendered = folder.rendered.resolve()
    if not rendered.is_relative_to(folder.project.root):
        raise UserError(f"{folder.project.shown(folder.rendered)} is a link that leads out of the project")
    for name in {path.partition("/")[0] for path in rendering.files if "/" in path}:
        place = folder.rendered / name
        if place.resolve() != rendered / name:
            raise UserError(f"{folder.project.shown(place)} is a link, and a folder is wanted", hint="remove the link")


def _in_the_way(path: Path, text: str, ours: Mapping[str, str]) -> bool:
    if path.name == INDEX or not path.exists():
        return False
    if path.is_dir():
        return True
    found = _bytes(path)
    # An empty file has nothing to lose; a loss of power leaves one where a file was being written.
    return bool(found) and found != text.encode() and not _has_header(path) and not _unchanged(path, ours)


def _write(folder: StackFolder, path: str, text: str) -> bool:
    with _clear_errors(folder, folder.rendered / path):
        return write_if_different(folder.rendered / path, text, durable=False)


@contextlib.contextmanager
def _alone(folder: StackFolder) -> Iterator[None]:
    """Hold the rendered folder: another's file that is half written would look like one that is rendered no more."""
    with _clear_errors(folder, folder.rendered):
        folder.rendered.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder.rendered, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system that knows no locks; what is written is written all the same
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _clear_errors(folder: StackFolder, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        shown = folder.project.shown(path)
        raise UserError(f"{shown} cannot be written: {error.strerror}", where=Where(shown)) from error


def _remove_stale(rendering: Rendering, ours: Mapping[str, str]) -> tuple[list[str], list[str]]:
    folder = rendering.stack.folder
    removed, kept = [], []
    for path in _left_behind(rendering):
        if _is_ours(path, rendering, ours):
            with _clear_errors(folder, path):
                path.unlink()
            removed.append(path)
        else:
            kept.append(_below(path, folder))
    for place in sorted({path.parent for path in removed}):
        rest = sorted(place.iterdir())
        if not rest:
            place.rmdir()
        elif place.name not in _units(rendering):
            kept += [_below(path, folder) for path in rest if _below(path, folder) not in kept]
    return [_below(path, folder) for path in removed], kept


def _left_behind(rendering: Rendering) -> Iterator[Path]:
    """The files below rendered/ that are not of this rendering, the units' own lock files aside."""
    folder, units = rendering.stack.folder, _units(rendering)
    for path in sorted(folder.rendered.glob("*/*")):
        unit, name = path.parent.name, path.name
        own_lock = name == LOCK_FILE and unit in units
        if not own_lock and f"{unit}/{name}" not in rendering.files and (path.is_file() or path.is_symlink()):
            yield path


def _is_ours(path: Path, rendering: Rendering, ours: Mapping[str, str]) -> bool:
    if path.name == LOCK_FILE and path.parent.name not in _units(rendering):
        # Terraform's own, beside files of ours: it goes with them.
        beside = [other for other in path.parent.glob("*.tf") if not _has_header(other) and not _unchanged(other, ours)]
        return not beside
    return _has_header(path) or _unchanged(path, ours)


def _units(rendering: Rendering) -> set[str]:
    return {*rendering.stack.units, *rendering.stack.left_over}


def _index_before(folder: StackFolder) -> RenderedStack | None:
    """The index that lies in the folder; None where it cannot be read."""
    try:
        return read_index(folder)
    except UserError:
        return None


def _digests(folder: StackFolder) -> dict[str, str]:
    """What the index that lies in the folder says of its files, by absolute path."""
    stack = _index_before(folder)
    if stack is None:
        return {}
    units = [*stack.units.values(), *(kept.unit for kept in stack.left_over.values())]
    return {str(folder.rendered / unit.name / file): known for unit in units for file, known in unit.files.items()}


def _unchanged(path: Path, ours: Mapping[str, str]) -> bool:
    known = ours.get(str(path))
    return known is not None and digest(_bytes(path)) == known


def _has_header(path: Path) -> bool:
    return _bytes(path).startswith(_OURS.encode())


def _below(path: Path, folder: StackFolder) -> str:
    return path.relative_to(folder.rendered).as_posix()


def _lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines


def _read(path: Path) -> str:
    return _bytes(path).decode("utf-8", errors="replace")


def _bytes(path: Path) -> bytes:
    """The content of a file; nothing where there is none or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
