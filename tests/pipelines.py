"""The pipelines of this repository, and those that its pages show, as values; and their scripts, to be run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOR_PROJECTS = ("preview.yml", "apply.yml", "drift.yml")
"""The workflows that are for projects which are run with infra-orch; the others are this repository's own."""
ACTION = ROOT / ".github" / "actions" / "infra-orch" / "action.yml"

_NOTES = """#!{python}
import json, sys
with open({notes!r}, "a", encoding="utf-8") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@dataclass(frozen=True)
class Step:
    """A step that runs a script: whose it is, what it is called, the script, and what stands in its `env`."""

    of: str
    name: str
    script: str
    env: Mapping[str, str]

    def run(self, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it in *folder* as GitHub would: with what is set for it, which has to be all that its `env` names."""
        home = folder.parent
        given = {
            "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
        }
        given |= {"RUNNER_TEMP": str(home / "temp"), "GITHUB_OUTPUT": str(home / "output")}
        given |= {"INFRA_ORCH_DIRECTORY": ".", "GITHUB_SERVER_URL": "https://github.com", "GIT_CONFIG_NOSYSTEM": "1"}
        assert self.env.keys() <= variables.keys(), f"{self.name}: {self.env.keys() - variables.keys()} are not set"
        (home / "temp").mkdir(exist_ok=True)
        (home / "output").touch()
        script = home / "script.sh"
        script.write_text(self.script, encoding="utf-8")
        argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        return subprocess.run(argv, cwd=folder, env={**given, **variables}, capture_output=True, text=True, check=False)


def outputs(folder: Path) -> dict[str, str]:
    """What the steps that ran in *folder* have set."""
    lines = (folder.parent / "output").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def note_calls(folder: Path, name: str) -> Path:
    """Put a program in the place of *name* that only notes with which words it was called. Returns the notes."""
    place = folder.parent / "bin" / name
    place.parent.mkdir(exist_ok=True)
    notes = folder.parent / f"{name}.calls"
    place.write_text(_NOTES.format(python=sys.executable, notes=str(notes)), encoding="utf-8")
    place.chmod(0o755)
    return notes


def calls(notes: Path) -> list[list[str]]:
    """With which words a program was called."""
    return [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()] if notes.exists() else []


def workflow(name: str) -> dict[Any, Any]:
    """A workflow, by the name of its file."""
    return loaded((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def loaded(text: str) -> dict[Any, Any]:
    """What a text in YAML says."""
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def steps() -> Iterator[Step]:
    """Every step with a script, of the workflows for projects and of the action."""
    for name in FOR_PROJECTS:
        yield from steps_of(name)
    yield from _scripts("action", loaded(ACTION.read_text(encoding="utf-8"))["runs"]["steps"])


def steps_of(name: str) -> Iterator[Step]:
    """Every step with a script, of the workflow in one file."""
    for job, about in workflow(name)["jobs"].items():
        yield from _scripts(f"{name} {job}", about["steps"])


def step(of: str, name: str) -> Step:
    """The one step of a job (`apply.yml apply`) that is called so."""
    (found,) = (one for one in steps() if (one.of, one.name) == (of, name))
    return found


def _scripts(of: str, steps: list[dict[str, Any]]) -> Iterator[Step]:
    for one in steps:
        if "run" in one:
            yield Step(of, one["name"], one["run"], one.get("env", {}))


def gitlab() -> dict[str, Any]:
    """The pipeline that docs/gitlab.md shows."""
    page = (ROOT / "docs" / "gitlab.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return loaded(text)


def gitlab_steps() -> Iterator[Step]:
    """Every job of that pipeline as one script."""
    for name, job in gitlab().items():
        if isinstance(job, dict) and "script" in job:
            yield Step("gitlab", name, "\n".join(job["script"]), {})
