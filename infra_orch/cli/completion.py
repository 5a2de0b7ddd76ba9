"""What the shell is told of the names of stacks, units, tags and runs. They are read, nothing is evaluated or fails.

They are read from a repository, which may be anybody's: what a shell would not take as it stands is not offered.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from infra_orch.errors import UserError

_MOST_RUNS = 100
_PLAIN = re.compile(r"\w[\w.:/+@=,-]*")
"""Names that are only names: bash puts what it is offered on the line, and zsh evaluates it."""
_UNREADABLE = (UserError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What is raised where there is no project, or a file is missing or does not hold what it should."""


def stacks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the project's stacks that begin with *incomplete*."""
    return _begun(_stacks(ctx), incomplete)


def units(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names, begun with *incomplete*, of the units that the stack on the command line was rendered with."""
    return _begun(_units(ctx), incomplete)


def tags(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the tags, begun with *incomplete*, of the units of the stack on the line, or of all, as rendered."""
    stacks = [stack] if (stack := _typed_stack(ctx)) else _stacks(ctx)
    with contextlib.suppress(*_UNREADABLE):
        found = {tag for name in stacks for unit in _index(ctx, name).values() for tag in unit.get("tags", ())}
        return _begun(sorted(found), incomplete)
    return []


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return `last` and the ids of runs, begun with *incomplete*, the newest first."""
    from infra_orch.project import find_project

    with contextlib.suppress(*_UNREADABLE):
        project = find_project(_directory(ctx))
        here = (path.parent.name for path in (project.root / ".infra-orch/runs").glob("*/run.json"))
        recorded = (path.stem for folder in project.stack_folders() for path in folder.record.glob("**/runs/*.json"))
        found = sorted({*here, *recorded}, reverse=True)
        return _begun([*(["last"] if found else []), *found], incomplete)[:_MOST_RUNS]
    return []


def applied(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids, begun with *incomplete*, of the recorded runs that a rollback of the stack on the line takes."""
    from infra_orch.project import find_project

    with contextlib.suppress(*_UNREADABLE):
        project = find_project(_directory(ctx))
        stack = str(ctx.params.get("stack") or "") or _typed_stack(ctx)
        found = sorted(project.stack(stack).record.glob("runs/*.json"), reverse=True)
        likely = set(_begun((path.stem for path in found), incomplete))
        there = (path.stem for path in found if path.stem in likely and _went_forward(path))
        return list(islice(there, _MOST_RUNS))
    return []


def outputs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names, begun with *incomplete*, of the outputs that the unit on the line was rendered with."""
    unit = _index(ctx, str(ctx.params.get("stack") or "")).get(str(ctx.params.get("unit") or ""), {})
    found = unit.get("outputs", ())
    return _begun(sorted(map(str, found if isinstance(found, (list, dict)) else ())), incomplete)


def logged(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names, begun with *incomplete*, of the units and tasks that the run on the line has logs of."""
    from infra_orch.project import find_project

    with contextlib.suppress(*_UNREADABLE):
        folders = find_project(_directory(ctx)).root / ".infra-orch/runs"
        run = str(ctx.params.get("run") or "")
        names = sorted(path.parent.name for path in folders.glob("*/run.json"))
        chosen = names[-1:] if run == "last" else [name for name in names if run and name.startswith(run)]
        document = json.loads((folders / chosen[-1] / "run.json").read_text("utf-8")) if chosen else {}
        return _begun(sorted(name for kind in ("units", "tasks") for name in document.get(kind, ())), incomplete)
    return []


def templates(kind: str) -> Callable[[typer.Context, str], list[str]]:
    """Return what completes the name of a further template of a *kind*: `web` of the folder `templates/module-web`."""

    def offered(ctx: typer.Context, incomplete: str) -> list[str]:
        from infra_orch.project import find_project

        with contextlib.suppress(*_UNREADABLE):
            project = find_project(_directory(ctx))
            found = (project.root / project.settings.templates).glob(f"{kind}-*/")
            return _begun(sorted(path.name.removeprefix(f"{kind}-") for path in found), incomplete)
        return []

    return offered


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of *words*."""

    def offered(incomplete: str) -> list[str]:
        return _begun(words, incomplete)

    return offered


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def _stacks(ctx: typer.Context) -> Iterator[str]:
    # An import that is slow at every start is only made where it is needed.
    from infra_orch.project import find_project

    with contextlib.suppress(*_UNREADABLE):
        for folder in find_project(_directory(ctx)).stack_folders():
            yield folder.name


def _went_forward(record: Path) -> bool:
    """Whether a run left something to go back to: it was no destroy, and began from a commit."""
    try:
        document = json.loads(record.read_text(encoding="utf-8"))
        return document["command"] != "destroy" and bool(document["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _units(ctx: typer.Context) -> list[str]:
    given = ctx.params.get("stack")
    return sorted(_index(ctx, given if isinstance(given, str) else _typed_stack(ctx)))


def _index(ctx: typer.Context, stack: str) -> Mapping[str, Mapping[str, Any]]:
    """The units of a stack as they lie rendered; none where that cannot be read."""
    from infra_orch.project import find_project

    try:
        index = find_project(_directory(ctx)).stack(stack).index
        units = json.loads(index.read_text(encoding="utf-8"))["units"]
        return {str(name): unit for name, unit in units.items() if isinstance(unit, dict)}
    except _UNREADABLE:
        return {}


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
