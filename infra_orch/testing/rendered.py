"""What a stack is rendered to, and its snapshot beside the test."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.files import write_if_different
from infra_orch.testing.values import MissingError

_MEND = "pytest --update-renders"


@dataclass
class Snapshots:
    """Where a test file's snapshots lie, whether they are written anew, and what was."""

    folder: Path
    shown: str
    update: bool
    written: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Rendered(Mapping[str, str]):
    """The Terraform files that a stack is rendered to: their texts by path, `store/main.tf`."""

    files: Mapping[str, str] = field(repr=False)
    _snapshots: Snapshots = field(repr=False)

    def __getitem__(self, path: str) -> str:
        __tracebackhide__ = True
        if path not in self.files:
            raise MissingError(f'rendered file "{path}"', path, self.files)
        return self.files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def unit(self, name: str) -> Mapping[str, str]:
        """The files of one unit: their texts by name, `main.tf`.

        name: of the unit.

        Raises KeyError for a unit that is not there.
        """
        found = {path.partition("/")[2]: text for path, text in self.files.items() if path.startswith(f"{name}/")}
        if not found:
            raise MissingError(f'unit "{name}"', name, {path.partition("/")[0] for path in self.files})
        return found

    def matches(self, *, unit: str | None = None, name: str | None = None) -> bool:
        """Fail, with a diff, where the files are not those of the snapshot beside the test; True where they are.

        The snapshot lies in `renders/<test file>/`. `pytest --update-renders` writes it, and nothing else does.

        unit: compares the files of this unit alone.
        name: of a folder below that, for a second snapshot of one file of tests.

        Raises AssertionError also where there is no snapshot yet.
        """
        __tracebackhide__ = True
        texts = self.files if unit is None else {f"{unit}/{file}": text for file, text in self.unit(unit).items()}
        snapshots = self._snapshots
        folder, shown = snapshots.folder, snapshots.shown
        if name is not None:
            folder, shown = folder / name, f"{shown}/{name}"
        if snapshots.update:
            _update(folder, shown, texts, unit, snapshots.written)
            return True
        there = _there(folder, unit)
        if not there:
            raise AssertionError(
                f"there is no snapshot in {shown}/ yet\n  → {_MEND}, look at what it wrote, and commit"
            )
        if diff := _diff(there, texts, shown):
            raise AssertionError(f"not as in {shown}/\n{diff}\n  → {_MEND}, if that is meant")
        return True


def _there(folder: Path, unit: str | None) -> dict[str, str]:
    """The texts of the files in a snapshot, by path."""
    places = sorted(folder.glob(f"{unit}/*.tf" if unit else "*/*.tf"))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace") for path in places}


def _update(folder: Path, shown: str, texts: Mapping[str, str], unit: str | None, written: list[str]) -> None:
    """Write the snapshot. Raises AssertionError where it cannot be written."""
    __tracebackhide__ = True
    try:
        for path in _there(folder, unit).keys() - texts.keys():
            (folder / path).unlink()
            written.append(f"removed {shown}/{path}")
        for path, text in texts.items():
            if write_if_different(folder / path, text):
                written.append(f"wrote {shown}/{path}")
    except OSError as error:
        why = f"{error.filename or folder}: {error.strerror}"
    else:
        return
    raise AssertionError(f"the snapshot in {shown}/ cannot be written: {why}")


def _diff(there: Mapping[str, str], texts: Mapping[str, str], shown: str) -> str:
    parts: list[str] = []
    for path in sorted({*there, *texts}):
        before, after = (known.get(path, "").splitlines() for known in (there, texts))
        parts += difflib.unified_diff(before, after, f"{shown}/{path}", f"rendered/{path}", lineterm="")
    return "\n".join(parts)
