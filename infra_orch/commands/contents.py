"""What the stacks of a project are made of, told by a process of its own: `python -P -m infra_orch.commands.contents`.

Whatever a spec does to the interpreter, imports, or reads from where it stands: another state of the same specs is not
to see it. The question and the answer lie in a private folder.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.errors import UserError
from infra_orch.fingerprint.affected import Content
from infra_orch.fingerprint.fingerprint import Fingerprint, Given, fingerprint_of
from infra_orch.fingerprint.sources import Sources
from infra_orch.module.files import LOCK_FILE
from infra_orch.process import capture
from infra_orch.project import Project, StackFolder
from infra_orch.render.index import from_json, to_json
from infra_orch.render.neighbours import Neighbours
from infra_orch.render.write import render_stack
from infra_orch.settings import Settings
from infra_orch.spec.check import check_stack
from infra_orch.spec.load import load_stack

_HOURS = 3600.0


@dataclass(frozen=True)
class Question:
    """Which *stacks* of a project to look at (None: all; one that is not there is passed over), from the folder *cwd*;
    *within* is its repository.
    """

    project: Project
    within: Path
    cwd: Path
    stacks: tuple[str, ...] | None


@dataclass(frozen=True)
class Answer:
    """What stacks are made of, by name; or why one cannot be evaluated. *said* is what the specs printed."""

    stacks: Mapping[str, Content | str]
    said: str = ""

    @property
    def known(self) -> dict[str, Content | None]:
        """What stacks are made of; None where one cannot be evaluated."""
        return {name: found if isinstance(found, Content) else None for name, found in self.stacks.items()}

    @property
    def broken(self) -> dict[str, str]:
        """Why stacks cannot be evaluated."""
        return {name: found for name, found in self.stacks.items() if isinstance(found, str)}


def contents(question: Question) -> Answer:
    """Evaluate stacks in a process of their own. Raises UserError where that fails as a whole."""
    with tempfile.TemporaryDirectory(prefix="infra-orch-") as folder:
        path = Path(folder) / "question.json"
        path.write_text(json.dumps(_asked(question)), encoding="utf-8")
        argv = [sys.executable, "-P", "-m", __name__, str(path)]
        code, _, err = capture(argv, cwd=question.cwd, timeout=_HOURS)
        said = err.decode(errors="replace")
        if code:
            raise UserError(f"the specs of {question.project.root} cannot be evaluated: {said.strip()[-500:]}")
        told = json.loads((Path(folder) / "answer.json").read_bytes())
    found = {name: _told(value, StackFolder(question.project, question.project.stacks / name)) for name, value in told}
    return Answer(found, said)


def _asked(question: Question) -> dict[str, Any]:
    project = question.project
    paths = {"root": project.root, "caches": project.cache, "within": question.within, "cwd": question.cwd}
    return {**{name: str(path) for name, path in paths.items()}, "stacks": question.stacks}


def _told(value: Mapping[str, Any], folder: StackFolder) -> Content | str:
    if "broken" in value:
        return str(value["broken"])
    units = {
        name: Fingerprint(unit["parts"], tuple(unit["unseen"]), tuple(unit["loose"]))
        for name, unit in value["units"].items()
    }
    return Content(from_json(value["stack"], folder), units)


def _telling(found: Content | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"broken": found}
    units = {
        name: {"parts": dict(unit.parts), "unseen": unit.unseen, "loose": unit.loose}
        for name, unit in found.units.items()
    }
    return {"stack": to_json(found.stack), "units": units}


def _look(question: Question) -> dict[str, Content | str]:
    project = question.project
    there = [folder.name for folder in project.stack_folders()]
    names = there if question.stacks is None else [name for name in there if name in question.stacks]
    sources, neighbours = Sources(project, question.within, fixed=True), Neighbours(project)
    found: dict[str, Content | str] = {}
    for name in names:
        try:
            found[name] = _content(project, name, sources, neighbours)
        except (UserError, OSError) as error:
            found[name] = str(error).splitlines()[0]
    return found


def _content(project: Project, name: str, sources: Sources, neighbours: Neighbours) -> Content:
    folder = project.stack(name)
    rendering = render_stack(check_stack(load_stack(folder), folder, neighbours.specs), neighbours)
    units = {}
    for unit in rendering.stack.units.values():
        files = {file: rendering.files[f"{unit.name}/{file}"] for file in unit.files}
        lock = folder.rendered / unit.name / LOCK_FILE
        if lock.is_file():
            files[LOCK_FILE] = lock.read_text(encoding="utf-8")
        units[unit.name] = fingerprint_of(unit, files, sources, Given(engine=""))
    return Content(rendering.stack, units)


def main(arguments: Sequence[str]) -> None:
    """Answer the question in a file, beside it."""
    path = Path(arguments[0])
    asked = json.loads(path.read_bytes())
    os.chdir(asked["cwd"])
    stacks = None if asked["stacks"] is None else tuple(asked["stacks"])
    # What the settings decide is about runs, and none of it about what a stack is made of.
    project = Project(Path(asked["root"]), Settings(), Path(asked["caches"]))
    found = _look(Question(project, Path(asked["within"]), Path(asked["cwd"]), stacks))
    answer = [(name, _telling(content)) for name, content in found.items()]
    path.with_name("answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
