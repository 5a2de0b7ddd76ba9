"""What the shell is told of the names of stacks and units. Names are read, nothing is evaluated, nothing fails."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import typer

from infra_orch.errors import UserError


def stacks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the project's stacks that begin with *incomplete*."""
    return [name for name in _stacks(ctx) if name.startswith(incomplete)]


def units(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names, begun with *incomplete*, of the units that the stack on the command line was rendered with."""
    return [name for name in _units(ctx) if name.startswith(incomplete)]


def _stacks(ctx: typer.Context) -> Iterator[str]:
    # An import that is slow at every start is only made where it is needed.
    from infra_orch.project import find_project

    with contextlib.suppress(UserError, OSError):
        for folder in find_project(_directory(ctx)).stack_folders():
            yield folder.name


def _units(ctx: typer.Context) -> list[str]:
    from infra_orch.project import find_project

    try:
        index = find_project(_directory(ctx)).stack(str(ctx.params.get("stack") or _typed_stack(ctx))).index
        return sorted(map(str, json.loads(index.read_text(encoding="utf-8"))["units"]))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return []


def _typed_stack(ctx: typer.Context) -> str:
    """The first word of the command line that is a stack's name: behind an unfinished `--unit` nothing is parsed."""
    # The shell scripts that typer installs hand the line over in these.
    words = " ".join(os.environ.get(name, "") for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")).split()
    known = set(_stacks(ctx))
    return next((word for word in words if word in known), "")


def _directory(ctx: typer.Context) -> Path:
    """Where the command would run: the options before it are parsed by now, and nothing else has been done."""
    given = ctx.find_root().params.get("directory")
    return Path.cwd() / given if given else Path.cwd()
