"""Ours against Terragrunt and Terramate over the same modules, where their programs are on PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import projects
from benchmarks.against_bare import Bench
from benchmarks.measure import Cost, run, table
from benchmarks.projects import MODULE, Shape
from infra_orch.engine.engine import Engine

_NEW_WORDS = (0, 73)
"""Since this version Terragrunt says `run --all`. Source: its CLI redesign's migration guide."""


@dataclass(frozen=True)
class Peer:
    """Another tool: the program that it is, the files of a project in its terms, and what makes it ready and plans."""

    program: str
    files: Callable[[Shape], Mapping[str, str]]
    ready: Callable[[str, Engine, int], Sequence[str]]
    plan: Callable[[str, Engine, int], Sequence[str]]


def _terragrunt_files(shape: Shape) -> dict[str, str]:
    files = {"modules/thing/main.tf": MODULE}
    for name in (name for layer in shape.names() for name in layer):
        files[f"units/{name}/terragrunt.hcl"] = (
            f'terraform {{\n  source = "${{get_repo_root()}}/modules/thing"\n}}\n\ninputs = {{\n  name = "{name}"\n}}\n'
        )
    return files


def _terragrunt(version: str, command: str, engine: Engine, workers: int) -> list[str]:
    found = re.search(r"v?(\d+)\.(\d+)", version)
    new = found is None or (int(found[1]), int(found[2])) >= _NEW_WORDS
    words = ["run", "--all", "--non-interactive", "--parallelism", str(workers), "--tf-path", engine.program[-1]]
    if not new:
        words = ["run-all", command, "--terragrunt-non-interactive", "--terragrunt-parallelism", str(workers)]
        return ["terragrunt", *words, "--terragrunt-tfpath", engine.program[-1]]
    return ["terragrunt", *words, "--", command]


def _terramate_files(shape: Shape) -> dict[str, str]:
    files = {"modules/thing/main.tf": MODULE}
    for name in (name for layer in shape.names() for name in layer):
        files[f"units/{name}/stack.tm.hcl"] = f'stack {{\n  name = "{name}"\n}}\n'
        files[f"units/{name}/main.tf"] = (
            f'module "thing" {{\n  source = "../../modules/thing"\n  name   = "{name}"\n}}\n'
        )
    return files


def _terramate(command: str, engine: Engine, workers: int) -> list[str]:
    return ["terramate", "run", "--parallel", str(workers), "--", *engine.program, command, "-input=false"]


PEERS = {
    "Terragrunt": Peer(
        "terragrunt",
        _terragrunt_files,
        lambda version, engine, workers: _terragrunt(version, "init", engine, workers),
        lambda version, engine, workers: _terragrunt(version, "plan", engine, workers),
    ),
    "Terramate": Peer(
        "terramate",
        _terramate_files,
        lambda _, engine, workers: _terramate("init", engine, workers),
        lambda _, engine, workers: _terramate("plan", engine, workers),
    ),
}


def compare(folder: Path, engine: Engine, env: Mapping[str, str], workers: int, rounds: int, shape: Shape) -> str:
    """Plan the units of *shape*, all initialised before, with each tool that is here; a table, and who is not here."""
    here = {name: path for name, peer in PEERS.items() if (path := shutil.which(peer.program, path=env.get("PATH")))}
    missing = [
        f"{name} was not measured: there is no `{PEERS[name].program}` on PATH." for name in PEERS if name not in here
    ]
    ours = Bench(shape, projects.make(folder / "ours", shape), folder / "ours", engine, env, workers)
    ours.us("plan", "bench")
    tools: dict[str, Callable[[], Cost]] = {"infra-orch": lambda: ours.us("plan", "bench")}
    versions = {name: _version(path, env) for name, path in here.items()}
    for name, version in versions.items():
        root = projects.write(folder / name.lower(), PEERS[name].files(shape))
        run(PEERS[name].ready(version, engine, workers), root / "units", env)
        argv = PEERS[name].plan(version, engine, workers)
        tools[f"{name} ({version})"] = lambda argv=argv, root=root: run(argv, root / "units", env)  # type: ignore[misc]
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for number in range(rounds):
        for name in reversed(tools) if number % 2 else tools:
            costs[name].append(tools[name]())
    best = min(cost.wall for cost in costs["infra-orch"])
    rows = [
        [
            name,
            f"{min(c.wall for c in found):.1f} s",
            f"{min(c.wall for c in found) / best:.2f}",
            f"{found[0].cpu:.1f} s",
        ]
        for name, found in costs.items()
    ]
    title = f"plan of {shape.units} units, the best of {rounds}"
    return "\n\n".join([table([title, "seconds", "times ours", "processor time"], rows), *missing])


def _version(program: str, env: Mapping[str, str]) -> str:
    done = subprocess.run([program, "--version"], env=env, capture_output=True, text=True, check=False)
    found = re.search(r"v?\d+\.\d+\.\d+\S*", done.stdout + done.stderr)
    return found[0] if found else "unknown version"
