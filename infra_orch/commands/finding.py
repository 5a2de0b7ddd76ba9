"""Find a run by its id, or the beginning of it."""

from __future__ import annotations

import re
from pathlib import Path

from infra_orch.errors import UsageError, nearest
from infra_orch.project import Project

RUN_ID = re.compile(r"[0-9TZa-f-]{4,}")


def find_run(project: Project, run: str, *, file: str = "run.json") -> tuple[str, Path]:
    """Return the id of a run, given by it or the beginning of it, and what is known of it: the *file* in its folder, or
    its record; `last` is the newest.

    Raises UsageError where there is no such run, or several.
    """
    files = {path.parent.name: path for path in (project.scratch / "runs").glob(f"*/{file}")}
    for path in project.stacks.glob("**/record/**/runs/*.json"):
        files.setdefault(path.stem, path)
    if run == "last":
        if not files:
            raise UsageError("there is no run here yet", hint="infra-orch plan STACK makes one")
        newest = max(files)
        return newest, files[newest]
    if not RUN_ID.fullmatch(run):
        hint = nearest(run, ["last"]) or "infra-orch history STACK lists them"
        raise UsageError(f'"{run}" is not the id of a run', hint=hint)
    matches = sorted(name for name in files if name.startswith(run))
    if len(matches) == 1 or run in matches:
        found = run if run in matches else matches[0]
        return found, files[found]
    if matches:
        raise UsageError(f'"{run}" could be {", ".join(matches[:5])}', hint="give more of its id")
    raise UsageError(
        f'there is no run "{run}" here',
        hint="infra-orch history STACK lists them; `last` is the newest. Plans, and runs that applied nothing, are "
        "known where they were made: elsewhere, plan anew",
    )
