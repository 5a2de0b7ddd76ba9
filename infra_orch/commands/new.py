"""`infra-orch new project|stack|module NAME`: files to begin with. Nothing that exists is ever overwritten."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath

from infra_orch.commands.making import Made
from infra_orch.commands.scaffolds import EXAMPLE_MODULE, Scaffold, scaffold, scaffold_in
from infra_orch.console import Console
from infra_orch.errors import ExitCode, SpecError, UsageError, UserError
from infra_orch.files import with_home
from infra_orch.git.repository import Repository, find_repository
from infra_orch.module.read import read_module
from infra_orch.project import NAME, Project, find_project

_LONGEST = 100
_FOLDER_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_LONGEST - 1}}}")
_NAME_HINT = "letters, digits, - and _, beginning with a letter, at most 64 characters"
# Folders that a stack's own folder has; a stack in one would be taken for a part of the other.
PARTS_OF_STACKS = ("rendered", "record", "state", "templates")
PARTS_OF_PROJECTS = ("stacks", "modules")


def project(name: str, console: Console, *, templates: Path | None = None, template: str | None = None) -> int:
    """Make a project in the folder *name*, with an example that can be planned at once, in a git repository.

    With *templates*, a folder, it is made of what lies in `project/` there, or in `project-TEMPLATE/`. Raises
    UsageError where the folder holds anything already or lies in a project, or where there is no such template;
    UserError where it cannot be made, or a template is wrong.
    """
    folder = _project_folder(name)
    if template and templates is None:
        raise UsageError(f'"{template}" is a template of which folder?', hint=f"--templates DIR --template {template}")
    made_of = scaffold_in("project", templates.absolute(), template) if templates else Scaffold("project", None, folder)
    repository = find_repository(folder)
    made = Made()
    with made.or_nothing():
        made.folder(folder)
        for file in made_of.files({"name": folder.name, "resource": EXAMPLE_MODULE}):
            made.file(folder / file.path, file.content, executable=file.executable)
    _tell(made, Path.cwd(), console)
    _begin_repository(folder, repository, console)
    step = "" if folder == Path.cwd() else f"cd {_relative(folder, Path.cwd())} && "
    stacks = sorted(path.parent.name for path in (folder / "stacks").glob("*/stack.py"))
    console.note(f"next: {step}infra-orch {f'plan {stacks[0]}' if stacks else 'new stack NAME'}")
    return ExitCode.DONE


def stack(within: Project, name: str, console: Console, *, template: str | None = None) -> int:
    """Make a stack in the project *within*: without units, or of the project's own template of one.

    Raises UsageError for a name that a stack cannot have, or that is taken, and where there is no such template;
    UserError where it cannot be written, or a template is wrong.
    """
    parts = _parts(name.removeprefix("stacks/"), "stack")
    if part := next((part for part in parts if part.lower() in PARTS_OF_STACKS), None):
        raise UsageError(f'a stack cannot lie in a folder called "{part}": stacks have such folders themselves')
    if part := next((part for part in parts if part in PARTS_OF_PROJECTS), None):
        # The folder around it would be taken for a project.
        raise UsageError(f'a stack cannot lie in a folder called "{part}": projects have such folders', hint=_NAME_HINT)
    folder = within.stacks.joinpath(*parts)
    for other in within.stack_folders():
        if other.path != folder and (folder.is_relative_to(other.path) or other.path.is_relative_to(folder)):
            raise UsageError(
                f'"{name}" and the stack "{other.name}" would lie in each other', hint="choose another name"
            )
    modules = _modules(within)
    values = {
        "name": "-".join(parts)[:64],
        "path": "/".join(parts),
        "module": next(iter(modules), "NAME"),
        "modules": ", ".join(modules[:20]),
    }
    made = Made()
    with made.or_nothing():
        made.new_folder(folder, within)
        for file in scaffold("stack", within, template).files(values):
            made.file(folder / file.path, file.content, executable=file.executable)
    _tell(made, within.root, console)
    console.note(f"next: declare its units in {within.shown(folder)}/stack.py, then infra-orch plan {'/'.join(parts)}")
    return ExitCode.DONE


def module(within: Project, name: str, console: Console, *, template: str | None = None) -> int:
    """Make a module in the project *within*: of Terraform's built-in provider, or of the project's own template of one.

    Raises UsageError for a name that a module cannot have, or that is taken, and where there is no such template;
    UserError where it cannot be written, or a template is wrong.
    """
    parts = _parts(name.removeprefix("modules/"), "module")
    folder = within.modules.joinpath(*parts)
    made = Made()
    with made.or_nothing():
        made.new_folder(folder, within)
        values = {"name": "/".join(parts), "resource": parts[-1]}
        for file in scaffold("module", within, template).files(values):
            made.file(folder / file.path, file.content, executable=file.executable)
    _tell(made, within.root, console)
    stacks = [known.name for known in within.stack_folders()]
    one = stacks[0] if len(stacks) == 1 else "STACK"
    console.note("next: write into it what it is to make")
    console.note(f"a stack uses it by a unit, in stacks/{one}/stack.py: {_call(within, folder, parts, console)}")
    console.note(f"then: infra-orch plan {one}")
    return ExitCode.DONE


def _call(within: Project, folder: Path, parts: tuple[str, ...], console: Console) -> str:
    """The call of a module in a stack file, with every input that it has to be given."""
    try:
        variables = read_module(folder, shown_as=within.shown(folder), cache=None).variables
    except SpecError as error:
        console.error(error)
        variables = {}
    required = [variable.name for variable in variables.values() if variable.required]
    given = ", ".join(f'"{name}": {json.dumps(parts[-1]) if name == "name" else "..."}' for name in required)
    inputs = f", inputs={{{given}}}" if required else ""
    return f'stack.unit("{parts[-1]}", module="{"/".join(parts)}"{inputs})'


def _project_folder(name: str) -> Path:
    """The folder that *name* means, made sure that a project can be made there."""
    folder = Path(os.path.normpath(Path.cwd() / with_home(name))) if name else Path()
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


def _begin_repository(folder: Path, repository: Repository | None, console: Console) -> None:
    """Make *folder* a git repository where it lies in none; without git the project works, too."""
    if repository is not None:
        console.note(f"it is part of the git repository {repository.root}")
        return
    if shutil.which("git") is None:
        console.warn("git is not installed: records of applies will be written, and not committed")
        return
    made = Repository(folder)
    chosen, _, _ = made.ask("config", "--get", "init.defaultBranch")
    try:
        # Where nobody has chosen a name, git's own would be another one than all pages and pipelines go by.
        made.git(*(["-c", "init.defaultBranch=main"] if chosen else []), "init", "--quiet")
    except UserError as error:
        console.warn(f"{error.summary}: mend that, and git init there; the project itself is made")
        return
    console.note("made it a git repository; the first commit is yours: git add --all && git commit")


def _tell(made: Made, start: Path, console: Console) -> None:
    console.result(f"made {_relative(path, start)}" for path in made.files)


def _relative(path: Path, start: Path) -> str:
    """The path as one would type it in *start*: from there, from the folder above, or whole."""
    for folder, up in ((start, ""), (start.parent, "../")):
        if path.is_relative_to(folder):
            return up + path.relative_to(folder).as_posix()
    return str(path)
