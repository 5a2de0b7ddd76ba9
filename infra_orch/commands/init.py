"""`infra-orch init [FOLDER]`: make a project of a repository that is there, beside all that it holds.

Nothing that exists is written over; lines are added to .gitignore and .gitattributes. With *from_folders* each of those
root modules becomes a unit of a stack of its own: its state is not touched, and how it is taken over is said.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra_orch.commands.making import Made
from infra_orch.commands.root_modules import backend_of, root_module, spec_of, stack_name
from infra_orch.commands.scaffolds import SHIPPED, shipped
from infra_orch.console import Console
from infra_orch.errors import ExitCode, UsageError, UserError
from infra_orch.git.repository import find_repository
from infra_orch.project import NoProjectError, Project, find_project
from infra_orch.report.style import safe
from infra_orch.settings import FILE, Settings

_LINES = (".gitignore", ".gitattributes")
_SKIPPED = frozenset({".git", ".terraform", ".terragrunt-cache", ".infra-orch", "node_modules", ".venv", "stacks"})
_MOST_SHOWN = 15
_TERRAGRUNT = frozenset({"terragrunt.hcl", "root.hcl"})


@dataclass(frozen=True)
class _Found:
    """What there is of Terraform in a repository: folders, relative to its root."""

    modules: list[str]
    roots: list[str]
    terragrunt: list[str]


def init(folder: Path, from_folders: Sequence[Path], console: Console) -> int:
    """Make a project of *folder*, and a stack of each of the root modules *from_folders*.

    Raises UsageError where *folder* is none, lies in no git repository or within another project, or where one of
    *from_folders* is no root module in it, or its stack is there; UserError where something cannot be written. Nothing
    is made then.
    """
    root = _root(folder)
    project, texts = _project(root), {}
    names: dict[str, Path] = {}
    for given in from_folders:
        source = root_module(root, given)
        name = stack_name(root, source, names)
        names[name] = source
        texts[root / "stacks" / name / "stack.py"] = spec_of(root, source, name)
    made, lines = Made(), _missing_lines(root)
    with made.or_nothing():
        if not (root / FILE).exists() and not _is_project(root):
            made.file(root / FILE, shipped(SHIPPED["project"][FILE], {"name": root.name}).encode())
        for name in ("stacks", "modules"):
            made.folder(root / name)
        for spec, text in texts.items():
            made.file(spec, text.encode())
        for path, text in lines.items():
            made.add_to(path, text.encode())
    _tell(project, made, lines, console)
    if names:
        for name, source in names.items():
            _tell_takeover(source, name, console)
    else:
        _tell_found(_look(root), project, console)
    return ExitCode.DONE


def _root(folder: Path) -> Path:
    """The folder that is to be a project, made sure that it can be one."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="infra-orch new project NAME makes a new one")
    root = folder.resolve()
    if find_repository(root) is None:
        raise UsageError(
            f"{folder} lies in no git repository", hint="git init there first; infra-orch new project NAME makes both"
        )
    try:
        around = find_project(root).root
    except NoProjectError:
        return root
    if around != root:
        raise UsageError(f"{folder} lies in the project {around}", hint=f"infra-orch init {shlex.quote(str(around))}")
    return root


def _is_project(root: Path) -> bool:
    try:
        return find_project(root).root == root
    except NoProjectError:
        return False


def _project(root: Path) -> Project:
    return find_project(root) if _is_project(root) else Project(root, Settings())


def _missing_lines(root: Path) -> dict[Path, str]:
    """What is to be added to git's files, by file; comments come with the lines below them."""
    found = {}
    for name in _LINES:
        path = root / name
        try:
            there = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UserError(f"{path} cannot be read: {why}", hint="look at it, or move it away") from error
        if path.is_symlink():
            raise UsageError(f"{path} is a link, which is not written through", hint="add the lines yourself")
        wanted = shipped(SHIPPED["project"][name], {"name": root.name}).splitlines()
        known = {line.strip() for line in there.splitlines()}
        missing = [line for line in wanted if line.strip() and not line.startswith("#") and line.strip() not in known]
        if missing:
            gap = "" if not there else "\n" if there.endswith("\n") else "\n\n"
            found[path] = gap + "\n".join(["# infra-orch", *missing]) + "\n"
    return found


# What there is, and what comes next.


def _look(root: Path) -> _Found:
    found = _Found([], [], [])
    for path, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        name = Path(path).relative_to(root).as_posix()
        if not _TERRAGRUNT.isdisjoint(files):
            found.terragrunt.append(name)
        if any(file.endswith(".tf") for file in files):
            is_root = ".terraform.lock.hcl" in files or "terraform.tfstate" in files or backend_of(Path(path)).type
            (found.roots if is_root else found.modules).append(name)
    return found


def _tell(project: Project, made: Made, lines: dict[Path, str], console: Console) -> None:
    told = [f"made {project.shown(path)}" for path in made.files]
    told += [
        f"added to {project.shown(path)}: {', '.join(text.strip().splitlines()[1:])}"
        for path, text in lines.items()
        if path in made.before
    ]
    if told:
        console.result(told)
    else:
        console.note(f"{project.root} is a project already: nothing was changed")


def _tell_found(found: _Found, project: Project, console: Console) -> None:
    inside = [name for name in found.modules if name.startswith("modules/")]
    if inside:
        console.note(f"modules, which a unit calls by name: {_shown([n.removeprefix('modules/') for n in inside])}")
    outside = [name for name in found.modules if name not in inside]
    if outside:
        console.note(f"other folders with Terraform files, which a unit calls by a path: {_shown(outside)}")
    roots = [name for name in found.roots if name != "."]
    if roots:
        console.note(f"root modules with states of their own: {_shown(roots)}")
        console.note(f"  a stack of one: infra-orch init {_here(project)}--from {shlex.quote(roots[0])}")
    if "." in (*found.roots, *found.modules):
        console.note(
            "Terraform files in the project's own folder: move them into one (git mv), such as live/, to use them"
        )
    if found.terragrunt:
        console.note(
            f"Terragrunt's files: {_shown(found.terragrunt)}; each is a unit here, its dependencies are references"
        )
    if not roots:
        console.note("next: infra-orch new stack NAME")


def _here(project: Project) -> str:
    return "" if project.root == Path.cwd() else f"{shlex.quote(str(project.root))} "


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(safe(name, keep_newlines=False) for name in names[:_MOST_SHOWN]) + more


def _tell_takeover(source: Path, name: str, console: Console) -> None:
    console.note(list(_takeover(source, name)))


def _takeover(source: Path, name: str) -> Iterator[str]:
    """How the state of a root module becomes that of its unit."""
    folder = shlex.quote(source.as_posix())
    yield f"{source.as_posix()} is the unit {name} of the stack {name}; its state is where it was. To take it over:"
    yield f"  1. fill in the inputs in stacks/{name}/stack.py (from its .tfvars), then: infra-orch validate {name}"
    yield f"  2. terraform -chdir={folder} state pull > old.tfstate      # it may hold secrets: delete it afterwards"
    yield f'  3. infra-orch tf {name} {name} -- state push "$PWD/old.tfstate"'
    yield f"  4. terraform -chdir={folder} state list | grep -vE '(^|\\.)data\\.' | while read -r it; do"
    yield f'       infra-orch tf {name} {name} -- state mv "$it" "module.{name}.$it" </dev/null; done'
    yield f"  5. infra-orch plan {name}: it has no changes? Then infra-orch apply {name} records that it is here, and"
    yield f"     Terraform is run in {source.as_posix()} itself no more"
