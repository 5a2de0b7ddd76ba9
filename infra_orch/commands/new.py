"""`infra-orch new project|stack|module NAME`: files to begin with. Nothing that exists is ever overwritten."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined

from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, UserError
from infra_orch.git.repository import Repository, find_repository
from infra_orch.project import NAME, Project, find_project

EXAMPLE_STACK = "dev"
EXAMPLE_MODULE = "service"

_MODULE_FILES = {f"{name}.tf": f"module/{name}.tf.j2" for name in ("main", "variables", "outputs")}
_PROJECT_FILES = {
    "README.md": "project/README.md.j2",
    "infra-orch.toml": "project/infra-orch.toml.j2",
    ".gitignore": "project/gitignore.j2",
    ".gitattributes": "project/gitattributes.j2",
    f"stacks/{EXAMPLE_STACK}/stack.py": "project/stack.py.j2",
    f"tests/test_{EXAMPLE_STACK}.py": "project/test_dev.py.j2",
    **{f"modules/{EXAMPLE_MODULE}/{file}": template for file, template in _MODULE_FILES.items()},
}
_LONGEST = 100
_FOLDER_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_LONGEST - 1}}}")
_NAME_HINT = "letters, digits, - and _, beginning with a letter, at most 64 characters"
# Folders that a stack's own folder has; a stack in one would be taken for a part of the other.
_PARTS_OF_STACKS = ("rendered", "record", "state", "templates")
_PARTS_OF_PROJECTS = ("stacks", "modules")


def project(name: str, console: Console) -> int:
    """Make a project in the folder *name*, with an example that can be planned at once, in a git repository.

    Raises UsageError where the folder holds anything already or lies in a project, UserError where it cannot be made.
    """
    folder = _project_folder(name)
    repository = find_repository(folder)
    made = _Made()
    with made.or_nothing():
        made.folder(folder)
        values = {"name": folder.name, "resource": EXAMPLE_MODULE}
        for file, template in _PROJECT_FILES.items():
            made.file(folder / file, _text(template, values))
    _tell(made, Path.cwd(), console)
    _begin_repository(folder, repository, console)
    step = "" if folder == Path.cwd() else f"cd {_relative(folder, Path.cwd())} && "
    console.note(f"next: {step}infra-orch plan {EXAMPLE_STACK}")
    return ExitCode.DONE


def stack(within: Project, name: str, console: Console) -> int:
    """Make a stack without units in the project *within*.

    Raises UsageError for a name that a stack cannot have, or that is taken; UserError where it cannot be written.
    """
    parts = _parts(name.removeprefix("stacks/"), "stack")
    if part := next((part for part in parts if part.lower() in _PARTS_OF_STACKS), None):
        raise UsageError(f'a stack cannot lie in a folder called "{part}": stacks have such folders themselves')
    if part := next((part for part in parts if part in _PARTS_OF_PROJECTS), None):
        # The folder around it would be taken for a project.
        raise UsageError(f'a stack cannot lie in a folder called "{part}": projects have such folders', hint=_NAME_HINT)
    folder = within.stacks.joinpath(*parts)
    for other in within.stack_folders():
        if other.path != folder and (folder.is_relative_to(other.path) or other.path.is_relative_to(folder)):
            raise UsageError(
                f'"{name}" and the stack "{other.name}" would lie in each other', hint="choose another name"
            )
    modules = _modules(within)
    values = {"name": "-".join(parts)[:64], "module": next(iter(modules), "NAME"), "modules": ", ".join(modules[:20])}
    made = _Made()
    with made.or_nothing():
        made.new_folder(folder, within)
        made.file(folder / "stack.py", _text("stack/stack.py.j2", values))
    _tell(made, within.root, console)
    console.note(f"next: declare its units in {within.shown(folder)}/stack.py, then infra-orch plan {'/'.join(parts)}")
    return ExitCode.DONE


def module(within: Project, name: str, console: Console) -> int:
    """Make a module of Terraform's built-in provider in the project *within*.

    Raises UsageError for a name that a module cannot have, or that is taken; UserError where it cannot be written.
    """
    parts = _parts(name.removeprefix("modules/"), "module")
    folder = within.modules.joinpath(*parts)
    made = _Made()
    with made.or_nothing():
        made.new_folder(folder, within)
        for file, template in _MODULE_FILES.items():
            made.file(folder / file, _text(template, {"name": "/".join(parts), "resource": parts[-1]}))
    _tell(made, within.root, console)
    call = f'stack.unit("{parts[-1]}", module="{"/".join(parts)}", inputs={{"name": "{parts[-1]}"}})'
    stacks = [known.name for known in within.stack_folders()]
    console.note(f"next: write into it what it is to make, and use it in a stack: {call}")
    console.note(f"then: infra-orch plan {stacks[0] if len(stacks) == 1 else 'STACK'}")
    return ExitCode.DONE


@dataclass
class _Made:
    """What was made so far: files, and folders, outermost first. Taken back where the rest cannot be made."""

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    def folder(self, path: Path) -> None:
        """Make a folder, and those above it, unless it is there."""
        for folder in (*reversed(path.parents), path):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self.folders.append(folder)

    def new_folder(self, path: Path, within: Project) -> None:
        """Make a folder. Raises UsageError where there is something of its name."""
        if path.exists() or path.is_symlink():
            raise UsageError(f"{within.shown(path)} exists already", hint="choose another name; nothing was changed")
        self.folder(path)

    def file(self, path: Path, text: str) -> None:
        """Make a file. Raises FileExistsError where there is one."""
        self.folder(path.parent)
        with path.open("x", encoding="utf-8") as file:
            self.files.append(path)
            file.write(text)

    @contextlib.contextmanager
    def or_nothing(self) -> Iterator[None]:
        """Within it, everything is made or nothing is. Raises UserError where something cannot be made."""
        try:
            yield
        except BaseException as error:
            for path in reversed(self.files):
                path.unlink(missing_ok=True)
            for folder in reversed(self.folders):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if isinstance(error, OSError):
                raise _cannot_make(error) from error
            raise


def _cannot_make(error: OSError) -> UserError:
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return UsageError(
            f"{error.filename} is in the way: nothing was made", hint="move it away, or choose another name"
        )
    return UserError(
        f"{error.filename or 'a file'} cannot be made: {error.strerror}",
        hint="choose a place that you may write to, and that has room: -C FOLDER",
    )


def _project_folder(name: str) -> Path:
    """The folder that *name* means, made sure that a project can be made there."""
    folder = Path(os.path.normpath(Path.cwd() / Path(name).expanduser())) if name else Path()
    if not folder.name:
        raise UsageError(f'"{name}" is not a folder for a project', hint="infra-orch new project infrastructure")
    if not _FOLDER_NAME.fullmatch(folder.name) and (len(folder.name) > _LONGEST or not folder.is_dir()):
        raise UsageError(
            f'"{folder.name}" is not a good name for a folder of a project',
            hint="letters, digits, -, _ and . only: no spaces, and no - or . at the beginning",
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{name} exists already, and is a file", hint="choose another name")
    held = sorted(path.name for path in _entries(folder) if path.name != ".git")
    if held:
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise UsageError(
            f"{name} exists already, and holds {shown}",
            hint="choose another name; a folder that holds nothing but .git will do, too",
        )
    around = _enclosing(folder)
    if around:
        raise UsageError(
            f"{name} would lie in the project {around}", hint="infra-orch new stack NAME makes a stack in that one"
        )
    return folder


def _enclosing(folder: Path) -> Path | None:
    """The project that *folder* lies in."""
    try:
        return find_project(folder).root
    except UsageError:
        return None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}", hint="choose another folder") from error


def _parts(name: str, kind: str) -> tuple[str, ...]:
    """The parts of a name, each of which will be a folder: `team/prod`. Raises UsageError for a name that is none."""
    parts = PurePosixPath(name).parts
    if not parts or name != "/".join(parts) or not all(NAME.fullmatch(part) for part in parts):
        raise UsageError(f'"{name}" cannot be a {kind}\'s name', hint=_NAME_HINT)
    return parts


def _modules(within: Project) -> list[str]:
    """The names of the folders under modules/ that hold Terraform files."""
    found = {path.parent.relative_to(within.modules).as_posix() for path in within.modules.glob("*/*.tf")}
    return sorted(found)


def _text(template: str, values: Mapping[str, str]) -> str:
    loader = PackageLoader("infra_orch.commands", "scaffold")
    environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701 - no HTML
    return environment.get_template(template).render(values)


def _begin_repository(folder: Path, repository: Repository | None, console: Console) -> None:
    """Make *folder* a git repository where it lies in none; without git the project works, too."""
    if repository is not None:
        console.note(f"it is part of the git repository {repository.root}")
        return
    if shutil.which("git") is None:
        console.warn("git is not installed: records of applies will be written, and not committed")
        return
    Repository(folder).git("init", "--quiet")
    console.note("made it a git repository; the first commit is yours: git add --all && git commit")


def _tell(made: _Made, start: Path, console: Console) -> None:
    console.result(f"made {_relative(path, start)}" for path in made.files)


def _relative(path: Path, start: Path) -> str:
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else str(path)
