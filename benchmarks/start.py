"""What a start of the program takes, what our own process needs for a plan, and how the time before Terraform grows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Pair, exponent, run
from benchmarks.projects import DEEP, WIDE

_OWN = """
import json, resource, sys
from infra_orch.cli.app import run
code = run(sys.argv[1:])
try:
    # Not what getrusage has: that begins with the memory of the process that started this one.
    peak = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
sides = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
own, children = (used.ru_utime + used.ru_stime for used in sides)
json.dump({"peak": peak / 1024, "own": own, "children": children}, open("own.json", "w"))
sys.exit(code)
"""

_RENDER = """
import sys, time
from pathlib import Path
from infra_orch.commands.opening import render_spec
from infra_orch.project import find_project
from infra_orch.report.graph import as_json
project = find_project(Path.cwd())
render_spec(project, "bench")
times = []
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    _, rendering = render_spec(project, "bench")
    as_json(rendering.stack)
    times.append(time.perf_counter() - began)
print(min(times))
"""


def help_text(folder: Path, env: Mapping[str, str], rounds: int) -> Pair:
    """`infra-orch --help` against a Python that does nothing, in turns."""
    pair = Pair([], [])
    run([sys.executable, "-m", "infra_orch", "--help"], folder, env)  # compiles what an installation has compiled
    for _ in range(rounds):
        pair.theirs.append(run([sys.executable, "-c", "pass"], folder, env))
        pair.ours.append(run([sys.executable, "-m", "infra_orch", "--help"], folder, env))
    return pair


def own(folder: Path, env: Mapping[str, str], engine: str, sizes: Sequence[int]) -> dict[int, dict[str, float]]:
    """What our own process took during a plan of that many units, Terraform's less.

    `peak` is its most memory in MiB; `own` its processor time in seconds, `children` that of all that it started.
    """
    found = {}
    for size in sizes:
        root = projects.make(folder / f"own-{size}", replace(WIDE, width=size))
        argv = [sys.executable, "-c", _OWN, "plan", "bench", "--engine", engine]
        run(argv, root, env)  # reads the module once, and initialises
        run(argv, root, env)
        found[size] = json.loads((root / "own.json").read_text())
    return found


def growth(folder: Path, env: Mapping[str, str], sizes: Sequence[int], rounds: int) -> tuple[dict[int, float], float]:
    """Seconds to evaluate, check, render and graph a stack, by its number of units, and the exponent of the growth."""
    found = {}
    for size in sizes:
        root = projects.make(folder / f"growth-{size}", replace(DEEP, layers=20, width=size // 20))
        argv = [sys.executable, "-c", _RENDER, str(rounds)]
        done = subprocess.run(argv, cwd=root, env=dict(env), check=True, capture_output=True, text=True)
        found[size] = float(done.stdout)
    return found, exponent(list(found), list(found.values()))
