"""A root module that is there as a unit of a stack of its own: what the stack is called, and its file."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_orch.commands.new import PARTS_OF_PROJECTS, PARTS_OF_STACKS
from infra_orch.engine.backend import Backend, read_backend
from infra_orch.errors import SpecError, UsageError, UserError
from infra_orch.module.read import read_module
from infra_orch.project import NAME


def root_module(root: Path, given: Path) -> Path:
    """A root module, relative to the project."""
    try:
        source = (Path.cwd() / given).resolve().relative_to(root)
    except ValueError as error:
        raise UsageError(f'--from "{given}" lies outside of the project {root}') from error
    if not source.as_posix().isprintable():
        raise UsageError(
            f'--from "{given}": no stack file can name a folder with characters that nobody can see, or not of UTF-8',
            hint="give it another name (git mv)",
        )
    if not (root / source).is_dir():
        raise UsageError(f'--from "{given}" is no folder', hint="name the folder of a root module")
    if not any((root / source).glob("*.tf")):
        raise UsageError(f'--from "{given}" holds no Terraform files (*.tf)', hint="name the folder of a root module")
    if source == Path():
        raise UsageError(
            "--from names the project itself: a unit's module is a folder in it",
            hint="move its Terraform files into a folder (git mv), such as live/, and name that",
        )
    return source


def stack_name(root: Path, source: Path, taken: Mapping[str, Path]) -> str:
    """What its stack is called: by its folder, and those around that where such a stack is there, or cannot be.

    *taken*: the root modules that have a stack by now, by its name. Raises UsageError where this one has.
    """
    for length in range(1, len(source.parts) + 1):
        name = re.sub(r"[^A-Za-z0-9_-]", "-", "-".join(source.parts[-length:]))
        name = name if NAME.fullmatch(name) else f"s-{name}"[:64]
        folder = root / "stacks" / name
        if name.lower() in (*PARTS_OF_STACKS, *PARTS_OF_PROJECTS):
            name = f"s-{name}"
            folder = root / "stacks" / name
            if length < len(source.parts):
                continue
        if name not in taken and not folder.exists():
            return name
        if length == len(source.parts) or taken.get(name) == source or _calls(folder / "stack.py", source):
            break
    raise UsageError(
        f"stacks/{name} exists already",
        hint=f'infra-orch list says what there is; module="{_module(source)}" calls it',
    )


def _calls(spec: Path, source: Path) -> bool:
    """Whether a stack file that is there calls the root module."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return f'"{_module(source)}"' in spec.read_text(encoding="utf-8")
    return False


def _module(source: Path) -> str:
    return f"../../{source.as_posix()}"


def spec_of(root: Path, source: Path, name: str) -> str:
    """A stack file whose unit is the root module *source*."""
    try:
        variables = read_module(root / source, shown_as=source.as_posix(), cache=None).variables.values()
    except SpecError as error:
        first = error.problems[0]
        raise UserError(first.message, hint=first.hint, where=first.where) from error
    # An input that nobody filled in is an error with its line.
    inputs = "".join(f'        "{one.name}": ...,{_comment(one)}\n' for one in variables if one.required)
    given = f"    inputs={{\n{inputs}    }},\n" if inputs else ""
    backend, imported, told = _backend(root / source)
    argument = f", backend={backend}" if backend else ""
    module = _module(source)
    # The name of a folder is text of others: in a docstring it must not be able to end it.
    shown = re.sub(r'["\\]', "_", source.as_posix())
    return (
        f'"""What {shown}/ makes, as one unit."""\n\n'
        f"from infra_orch import {imported}Stack\n\n"
        f"# {told}\n"
        "# The state that it has comes along before the first apply, or that makes everything a second time.\n"
        f'stack = Stack("{name}"{argument})\n\n'
        f'stack.unit(\n    "{name}",\n    module={json.dumps(module, ensure_ascii=False)},\n{given})\n'
    )


def _comment(variable: Any) -> str:
    return f"  # {variable.constraint}" if variable.constraint and variable.constraint.isprintable() else ""


def _backend(folder: Path) -> tuple[str, str, str]:
    """The backend of the new stack, what it imports for it, and where the states will be."""
    found = backend_of(folder)
    bucket, region = (found.arguments.get(name) for name in ("bucket", "region"))
    if found.type == "s3" and isinstance(bucket, str) and isinstance(region, str):
        text = f"S3Backend(bucket={json.dumps(bucket)}, region={json.dumps(region)})"
        return text, "S3Backend, ", "The bucket that its state was in, under another key: {stack}/{unit}.tfstate."
    if found.type:
        return (
            "",
            "",
            f"Its state was in a backend {json.dumps(found.type)}: say here where it is to be, with backend=.",
        )
    return "", "", "Its state will be a file beside this one; for a team: backend=S3Backend(...)."


def backend_of(folder: Path) -> Backend:
    """The backend that a root module has; one of no type where it has none that can be read."""
    for path in sorted(folder.glob("*.tf")):
        try:
            found = read_backend(path.read_text(encoding="utf-8"), None)
        except (OSError, UnicodeDecodeError):
            continue
        if found.type:
            return found
    return Backend("", {})
