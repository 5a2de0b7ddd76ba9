"""The project: its root, its folders, and where each stack's files lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from infra_orch.errors import UsageError, Where, nearest
from infra_orch.files import private_folder
from infra_orch.settings import FILE, Settings, has_settings, load_settings

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What a stack, unit or task may be called: what is an identifier in HCL and safe in every path and argv."""
_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""What a folder on the way to a stack may be called: it stands in git refs, comments of HCL, argv and URLs."""
_UNTIDY = re.compile(r"//|/\./|/\.?\Z|\\")
_OURS = frozenset({"rendered", "record", "state", "templates"})
"""Folders in a stack's own, in which no stack is looked for."""


class NoProjectError(UsageError):
    """There is no project where one was looked for."""


def stack_and_unit(name: str) -> tuple[str, str]:
    """A unit's name as a reference has it: `vpc` is ("", "vpc"), of the stack itself; `network/vpc` is of another."""
    stack, _, unit = name.rpartition("/")
    return stack, unit


def beside(node: str, name: str) -> str:
    """Return the node that *name* means where it stands at *node*: one of the same stack, or of the one that it names.

    Where nodes go without their stack's name (`web`), so do those beside them.
    """
    stack = stack_and_unit(node)[0]
    return name if "/" in name or not stack else f"{stack}/{name}"


def as_seen_from(stack: str, node: str) -> str:
    """Return how a node (`network/vpc`) is called within *stack*: by its own name there, by both elsewhere."""
    where, name = stack_and_unit(node)
    return name if where == stack else node


def is_stack_name(name: str) -> bool:
    """Whether a stack's folder below `stacks/` may be called so."""
    return all(_FOLDER.fullmatch(part) for part in name.split("/"))


def is_spec(path: str) -> bool:
    """Whether a file at *path*, relative to the project, declares a stack, whatever else lies beside it."""
    parts = path.split("/")
    at_stacks = parts[0] == "stacks" and parts[-1] == "stack.py" and len(parts) > 2
    return at_stacks and is_stack_name("/".join(parts[1:-1])) and _OURS.isdisjoint(parts)


@dataclass(frozen=True)
class Project:
    """A folder that holds `stacks/` and usually `modules/`; paths are absolute.

    *caches* is where what can be made again is kept, where that is not in the project itself.
    """

    root: Path
    settings: Settings
    caches: Path | None = None

    @cached_property
    def stacks(self) -> Path:
        """Where the stack specs lie."""
        return self.root / "stacks"

    @cached_property
    def modules(self) -> Path:
        """Where a module given by its name is looked for."""
        return self.root / "modules"

    @cached_property
    def scratch(self) -> Path:
        """`.infra-orch/`: work folders, logs and caches; private, ignored by git, made when first asked for."""
        return private_folder(self.root / ".infra-orch", ignored_by_git=True)

    @cached_property
    def cache(self) -> Path:
        """What can be made again: safe to delete."""
        return self.caches or private_folder(self.scratch / "cache")

    def shown(self, path: str | Path) -> str:
        """*path* as the user knows it: relative to the project where it lies in it, with forward slashes."""
        text = str(path)
        inside = f"{self.root}/"
        # A Path has tidied its text up already.
        if text.startswith(inside) and (isinstance(path, Path) or not _UNTIDY.search(text)):
            return text[len(inside) :]
        try:
            return Path(path).relative_to(self.root).as_posix()
        except ValueError:
            return str(path)

    def shown_where(self, where: Where) -> Where:
        """*where* with its file as the user knows it."""
        return Where(self.shown(where.file), where.line)

    def stack_folders(self) -> Iterator[StackFolder]:
        """Every folder under `stacks/` that holds a stack.py or a rendered stack, by name."""
        for path, folders, files in os.walk(self.stacks):
            folder = StackFolder(self, Path(path))
            is_stack = path != str(self.stacks) and ("stack.py" in files or folder.index.is_file())
            if is_stack:
                yield folder
            ours = _OURS if is_stack else frozenset()
            folders[:] = sorted(name for name in folders if _FOLDER.fullmatch(name) and name not in ours)

    def stack(self, name: str) -> StackFolder:
        """Find a stack by its name or its path (`prod`, `team/prod`, `stacks/prod`, `stacks/prod/stack.py`).

        Raises UsageError where there is none, with the nearest name, and for a link that leads out of the project.
        """
        text = name.removesuffix("/stack.py").removesuffix("/")
        inside = PurePosixPath(text.removeprefix("./"))
        if not inside.parts or not all(_FOLDER.fullmatch(part) for part in inside.parts):
            hint = "a stack is a folder under stacks/; letters, digits, -, _ and . make its name"
            raise UsageError(f'"{name}" is not the name of a stack', hint=hint)
        for candidate in (self.stacks / inside, self.root / inside):
            folder = StackFolder(self, candidate)
            if self.stacks in candidate.parents and folder.is_there():
                return folder
        known = [folder.name for folder in self.stack_folders()]
        hint = nearest(text.removeprefix("stacks/"), known) or (
            f"stacks here: {', '.join(known[:10])}" if known else "infra-orch new stack NAME makes one"
        )
        missing = StackFolder(self, self.stacks / text.removeprefix("stacks/")).spec
        raise UsageError(f'there is no stack "{name}": {self.shown(missing)} is missing', hint=hint)


@dataclass(frozen=True)
class StackFolder:
    """The folder of one stack, and the files in it."""

    project: Project
    path: Path

    @cached_property
    def name(self) -> str:
        """The folder's path below `stacks/`, which is what the command line takes."""
        return self.path.relative_to(self.project.stacks).as_posix()

    def is_there(self) -> bool:
        """Whether there is a stack in the folder. Raises UsageError where it cannot be read or lies elsewhere."""
        try:
            found = self.spec.exists() or self.index.is_file()
        except OSError as error:
            raise UsageError(f"{self.project.shown(self.path)} cannot be read: {error.strerror}") from error
        if found and not self.path.resolve().is_relative_to(self.project.root):
            raise UsageError(f"{self.project.shown(self.path)} is a link that leads out of the project")
        return found

    @cached_property
    def spec(self) -> Path:
        """The stack file."""
        return self.path / "stack.py"

    @cached_property
    def rendered(self) -> Path:
        """What Terraform is given, committed."""
        return self.path / "rendered"

    @property
    def index(self) -> Path:
        """The graph, the wiring and where each unit was declared."""
        return self.rendered / "stack.json"

    @cached_property
    def templates(self) -> Path:
        """Templates that stand in for the shipped ones of the same name."""
        return self.path / "templates"

    @property
    def record(self) -> Path:
        """What runs left in git."""
        return self.path / "record"

    @property
    def state(self) -> Path:
        """Local state: private, ignored by git, and not a cache."""
        return self.path / "state"

    def work(self, realm: str) -> Path:
        """Where the units' work folders lie, as deep as the rendered ones so that relative module paths hold.

        *realm* is `work`, or `sandbox` for runs against the emulator.
        """
        return self.project.scratch / realm / self.path.relative_to(self.project.stacks)


def find_project(start: Path, environment: Mapping[str, str] = os.environ) -> Project:
    """Find the project that *start* lies in: the nearest folder upwards with settings or with `stacks/`.

    Raises NoProjectError where there is none, and as load_settings() does.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "stacks").is_dir() or has_settings(folder):
            return Project(folder, load_settings(folder, environment))
    raise NoProjectError(
        f"no project here: neither {start} nor a folder above it holds stacks/ or {FILE}",
        hint="infra-orch new project NAME makes one, infra-orch init one of a git repository",
    )
