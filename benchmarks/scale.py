"""Many stacks: how long commands take that look at all of them, cold and warm, and how that grows with their number."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Cost, exponent, run

UNITS = 20
"""In each stack, in four chains of five."""
_MODULES = 10
_SPEC = """\
from infra_orch import Stack

stack = Stack("{name}")
last = None
for n in range({units}):
    after = {{"after": last.outputs.id}} if last and n % 5 else {{}}
    last = stack.unit(f"u{{n:02}}", module=f"m{{n % {modules}}}", inputs={{"name": "x", **after}})
"""
COMMANDS: Mapping[str, Sequence[str]] = {
    "`validate --all`": ("validate", "--all"),
    "`render --all --check`": ("render", "--all", "--check"),
    "`graph --all --format json`": ("graph", "--all", "--format", "json"),
    "`graph --affected`, one stack changed": ("graph", "--affected", "--base", "HEAD~1", "--format", "json"),
    "`graph --affected`, a module of all stacks changed": (
        "graph",
        "--affected",
        "--base",
        "HEAD~2",
        "--format",
        "json",
    ),
}
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
# Of the one child, and all that it has waited for: the largest.
open("peak", "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
sys.exit(code)
"""


@dataclass(frozen=True)
class Row:
    """What a command took, by the number of units, without a cache and with one; and its largest process, in MiB."""

    title: str
    cold: Mapping[int, Cost]
    warm: Mapping[int, Cost]
    peak: int

    def exponent(self, kind: str) -> float:
        """How the processor time of the `cold` or `warm` ones grows with the number of units."""
        found: Mapping[int, Cost] = getattr(self, kind)
        return exponent(list(found), [cost.cpu for cost in found.values()])


def measure(folder: Path, env: Mapping[str, str], sizes: Sequence[int], tell: Callable[[str], None]) -> list[Row]:
    """Measure every command on projects of that many units."""
    cold: dict[str, dict[int, Cost]] = {title: {} for title in COMMANDS}
    warm: dict[str, dict[int, Cost]] = {title: {} for title in COMMANDS}
    peak = dict.fromkeys(COMMANDS, 0)
    for size in sizes:
        tell(f"scale: {size} units")
        root = project(folder / f"scale-{size}", env, size // UNITS)
        for title, words in COMMANDS.items():
            argv = [sys.executable, "-c", _PEAK, sys.executable, "-m", "infra_orch", *words]
            shutil.rmtree(root / ".infra-orch" / "cache", ignore_errors=True)
            cold[title][size] = run(argv, root, env)
            peak[title] = max(peak[title], int((root / "peak").read_text()))
            costs = [run(argv, root, env) for _ in range(3)]
            warm[title][size] = min(costs, key=lambda cost: cost.wall)
    return [Row(title, cold[title], warm[title], peak[title]) for title in COMMANDS]


def unchanged(folder: Path, env: Mapping[str, str], units: int) -> Cost:
    """What `plan --changed-only` takes where all of the units were applied and nothing has changed since."""
    root = projects.make(folder / "unchanged", projects.Shape("", 1, units, ""))
    infra_orch = [sys.executable, "-m", "infra_orch"]
    run([*infra_orch, "apply", "bench", "--auto-approve"], root, env)
    return min(
        (run([*infra_orch, "plan", "bench", "--changed-only"], root, env) for _ in range(3)), key=lambda c: c.wall
    )


def project(root: Path, env: Mapping[str, str], stacks: int) -> Path:
    """A committed project, rendered, in which a module was changed by one commit, and a stack by the next."""
    files = {f"modules/m{number}/main.tf": projects.MODULE for number in range(_MODULES)}
    for number in range(stacks):
        name = f"s{number:04}"
        spec = _SPEC.format(name=name, units=UNITS, modules=_MODULES)
        files[f"stacks/team{number // 20:02}/{name}/stack.py"] = spec
    projects.write(root, files)
    run([sys.executable, "-m", "infra_orch", "render", "--all"], root, env)
    commit(root)
    module, spec_file = root / "modules/m3/main.tf", root / "stacks/team00/s0003/stack.py"
    module.write_text(module.read_text().replace("after ${var.after}", "then ${var.after}"))
    commit(root)
    spec_file.write_text(spec_file.read_text().replace('"name": "x"', '"name": "y" if n == 7 else "x"'))
    run([sys.executable, "-m", "infra_orch", "render", "team00/s0003"], root, env)
    commit(root)
    return root


def commit(root: Path) -> None:
    """Commit everything."""
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "change"]):
        subprocess.run(["git", *words], cwd=root, check=True, env=projects.git_environment())
