"""Read the declarations of a Terraform module from its files."""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra_orch.errors import Problem, SpecError, Where, nearest
from infra_orch.module.declaration import Module, Output, Variable
from infra_orch.module.facts import Declared, FileFacts, file_facts
from infra_orch.module.masking import BadSyntaxError

_SUFFIXES = (".tf", ".tf.json")


@dataclass
class _Folder:
    """A module's folder as its files have it, `*_override.tf` merged."""

    path: Path
    shown_as: str
    files: tuple[str, ...] = ()
    facts: list[FileFacts] = field(default_factory=list)
    variables: dict[str, tuple[Declared, Where]] = field(default_factory=dict)
    outputs: dict[str, tuple[Declared, Where]] = field(default_factory=dict)
    calls: dict[str, tuple[Declared, Where]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    providers: set[str] = field(default_factory=set)


def read_module(folder: Path, *, shown_as: str, cache: Path | None) -> Module:
    """Return what the module in *folder* declares; *shown_as* is its path as the user knows it (`modules/network`).

    Nested modules in local folders are read too, for the providers that they use. What was read is kept by content in
    the folder *cache* (None: nowhere); it is made where it is missing, and one that cannot be written is done without.
    Raises FileNotFoundError where *folder* is not there; SpecError, with all that was found, where it holds no
    Terraform files, where one cannot be read or parsed, where a variable or output is declared twice, or where a
    nested module's folder is missing.
    """
    if not _is_folder(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    # Terraform follows a link to a module's folder before it looks for those nested in it.
    top = _read_folder(folder.resolve(), shown_as, cache)
    if not top.files and not top.problems:
        hint = "a module is a folder with .tf files; give the path of one"
        raise SpecError([Problem(f'"{shown_as}" holds no Terraform files (*.tf, *.tf.json)', Where(shown_as), hint)])
    complete, problems = _follow_calls(top, cache)
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: problem.where or Where("")))
    return Module(
        variables={name: _variable(*found) for name, found in top.variables.items()},
        outputs={name: _output(*found) for name, found in top.outputs.items()},
        required_providers={name: source for facts in top.facts for name, source in facts.required_providers.items()},
        providers=frozenset(top.providers),
        configuration_aliases=frozenset(alias for facts in top.facts for alias in facts.configuration_aliases),
        required_version=tuple(version for facts in top.facts for version in facts.required_version),
        files=top.files,
        complete=complete,
    )


def _variable(declared: Declared, where: Where) -> Variable:
    arguments = declared.arguments
    return Variable(
        name=declared.name,
        constraint=arguments.get("type"),
        required="default" not in arguments,
        nullable=arguments.get("nullable", True),
        sensitive=arguments.get("sensitive", False),
        ephemeral=arguments.get("ephemeral", False),
        description=arguments.get("description", ""),
        where=where,
    )


def _output(declared: Declared, where: Where) -> Output:
    arguments = declared.arguments
    return Output(
        name=declared.name,
        sensitive=arguments.get("sensitive", False),
        ephemeral=arguments.get("ephemeral", False),
        description=arguments.get("description", ""),
        where=where,
    )


def _read_folder(path: Path, shown_as: str, cache: Path | None) -> _Folder:
    """Read the files of one folder, those that override others last, as Terraform merges them."""
    try:
        names = sorted(
            entry.name
            for entry in path.iterdir()
            if entry.name.endswith(_SUFFIXES) and not entry.name.startswith(".") and not entry.is_dir()
        )
    except OSError as error:
        message = f"{shown_as} cannot be read: {error.strerror}"
        return _Folder(path, shown_as, problems=[Problem(message, Where(shown_as))])
    folder = _Folder(path, shown_as, tuple(names))
    for name in sorted(names, key=_overrides):
        shown = posixpath.join(shown_as, name)
        try:
            facts = _read_file(path / name, shown, cache)
        except SpecError as error:
            folder.problems += error.problems
            continue
        folder.facts.append(facts)
        folder.providers |= set(facts.providers)
        override = _overrides(name)
        _merge(folder, "variable", folder.variables, facts.variables, shown, override=override)
        _merge(folder, "output", folder.outputs, facts.outputs, shown, override=override)
        _merge(folder, "module", folder.calls, facts.calls, shown, override=override)
    return folder


def _overrides(name: str) -> bool:
    """Whether Terraform merges the file into what others declare. Source: its documentation of override files."""
    stem = name.removesuffix(".json").removesuffix(".tf")
    return stem == "override" or stem.endswith("_override")


def _read_file(path: Path, shown: str, cache: Path | None) -> FileFacts:
    try:
        if path.exists() and not path.is_file():
            raise SpecError([Problem(f"{shown} is not a file", Where(shown))])
        content = path.read_bytes()
    except OSError as error:
        raise SpecError([Problem(f"{shown} cannot be read: {error.strerror}", Where(shown))]) from error
    try:
        return file_facts(path.name, content, cache)
    except UnicodeDecodeError as error:
        where = Where(shown, content.count(b"\n", 0, error.start) + 1)
        message = f"{shown} is not UTF-8: byte 0x{content[error.start]:02x} cannot stand here"
        raise SpecError([Problem(message, where, "save the file with the encoding UTF-8")]) from error
    except BadSyntaxError as error:
        hint = f"`terraform fmt {shown}` shows what Terraform says of it"
        raise SpecError([Problem(error.message, Where(shown, error.line), hint)]) from error


def _merge(
    folder: _Folder,
    kind: str,
    known: dict[str, tuple[Declared, Where]],
    declared: tuple[Declared, ...],
    shown: str,
    *,
    override: bool,
) -> None:
    for item in declared:
        where = Where(shown, item.line)
        if item.name not in known:
            known[item.name] = item, where
            continue
        first, first_where = known[item.name]
        if override:
            known[item.name] = replace(first, arguments={**first.arguments, **item.arguments}), first_where
        else:
            message = f'{kind} "{item.name}" is declared twice; the first is at {first_where}'
            folder.problems.append(Problem(message, where, "remove one of the two, or rename it"))


def _follow_calls(top: _Folder, cache: Path | None) -> tuple[bool, list[Problem]]:
    """Add to *top*'s providers those that its nested modules use.

    Returns whether all of them are local folders, and every problem that was found, those of *top* included.
    """
    folders = {top.path: top}
    edges: list[tuple[_Folder, _Folder, dict[str, str]]] = []
    waiting, complete = [top], True
    while waiting:
        caller = waiting.pop()
        for call, where in caller.calls.values():
            source = call.arguments.get("source")
            if not isinstance(source, str) or not source.startswith(("./", "../")):
                complete = False
                continue
            if not _is_folder(caller.path / source):
                message = f'module "{call.name}" names "{source}", which is not a folder'
                caller.problems.append(Problem(message, where, _like(caller.path / source)))
                continue
            path = (caller.path / source).resolve()
            if path not in folders:
                folders[path] = _read_folder(path, posixpath.normpath(posixpath.join(caller.shown_as, source)), cache)
                waiting.append(folders[path])
            edges.append((caller, folders[path], call.arguments.get("providers", {})))
    _spread_providers(edges)
    return complete, [problem for folder in folders.values() for problem in folder.problems]


def _spread_providers(edges: list[tuple[_Folder, _Folder, dict[str, str]]]) -> None:
    """Hand the providers of each called folder to its callers, under the callers' names, until nothing is new.

    Folders may call each other in a circle (Terraform will refuse that in its own words), so this is no recursion.
    """
    growing = True
    while growing:
        growing = False
        for caller, called, names in reversed(edges):
            found = {names.get(name, name) for name in called.providers}
            growing = growing or not found <= caller.providers
            caller.providers |= found


def _is_folder(path: Path) -> bool:
    """Whether *path* is a folder; a name that no folder can have, or one behind a closed door, is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _like(path: Path) -> str:
    """A hint that names the folder beside the missing *path* that is most like it."""
    try:
        return nearest(path.name, [entry.name for entry in path.parent.iterdir() if entry.is_dir()])
    except OSError:
        return ""
