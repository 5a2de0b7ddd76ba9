"""Stacks, evaluated by a process of its own: `python -P -m infra_orch.commands.evaluator question.json`.

Whatever a spec does to the interpreter, imports, or reads from where it stands: others are not to see it. The question
and what comes of it lie in a private folder: `log`, a line for each stack that is begun and each that is done, and the
entries of those that are not kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from infra_orch.commands.evaluating import Evaluator
from infra_orch.errors import SpecError, UserError
from infra_orch.project import Project, StackFolder
from infra_orch.settings import Settings

LOG = "log"


def main(arguments: Sequence[str]) -> None:
    """Answer the question in a file, beside it."""
    path = Path(arguments[0])
    asked = json.loads(path.read_bytes())
    os.chdir(asked["cwd"])
    os.dup2(2, 1)  # what programs print that a spec starts is no answer to anything
    # What the settings decide is about runs, and none of it about what a stack is made of.
    project = Project(Path(asked["root"]), Settings(), Path(asked["caches"]))
    evaluator = Evaluator(project)
    keeps = evaluator.kept.store.save()
    with path.with_name(LOG).open("w", encoding="utf-8") as log:
        # Those first that leave everything as it is: what comes after others is not kept.
        names = sorted(asked["stacks"], key=lambda name: not evaluator.only_computes(_folder(project, name)))
        for number, name in enumerate(names):
            _note(log, {"begun": name})
            began = os.fstat(2).st_size
            found = _answer(evaluator, project, name, path.with_name(f"{number}.stack"), keeps=keeps)
            _note(log, {"done": name, "said": _said_since(began, path.with_name("err")), **found})
    evaluator.close()


def _folder(project: Project, name: str) -> StackFolder:
    return StackFolder(project, project.stacks / name)


def _answer(evaluator: Evaluator, project: Project, name: str, place: Path, *, keeps: bool) -> dict[str, Any]:
    try:
        folder = project.stack(name)
        if key := evaluator.key(folder) if keeps else None:
            return {"key": key}  # another one refers to it, or another process was faster
        found = evaluator.evaluate(folder)
    except SpecError as error:
        return {"problems": [asdict(problem) for problem in error.problems]}
    except (UserError, OSError, ValueError) as error:
        return {"failed": str(error)}  # who asked does it again, and fails in its own process
    if found.key and keeps:
        return {"key": found.key}
    place.write_bytes(found.entry.data)
    return {"file": str(place)}


def _said_since(began: int, err: Path) -> str:
    """What has been written to stderr since it had so many bytes: also by programs that a spec has started."""
    sys.stderr.flush()
    sys.stdout.flush()
    if os.fstat(2).st_size == began:
        return ""
    return err.read_bytes()[began:].decode(errors="replace")


def _note(log: TextIO, what: Mapping[str, Any]) -> None:
    log.write(json.dumps(what) + "\n")
    log.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
