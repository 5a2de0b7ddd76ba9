"""A pull request: what a preview costs beside Terraform, and what it takes to write down very many changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scale
from benchmarks.measure import run

_STACKS = 50
"""Of twenty units each."""
# Starts the real one, and notes from when to when: what two at once take is counted once.
_TIMED = """\
#!/bin/sh
began=$(date +%s.%N)
{terraform} "$@"
code=$?
echo "$began $(date +%s.%N)" >> {log}
exit $code
"""
_WRITING = """
import json, resource, sys, time
from pathlib import Path
runs = json.loads(Path("runs.json").read_text())
from infra_orch.report.comment import About, comment
from infra_orch.report.document import as_one
from infra_orch.report.html.page import page
began = time.perf_counter()
if sys.argv[1] == "comment":
    comment(runs, About("main", "0" * 40))
else:
    page(as_one(runs, "preview", "planned", 1.0))
took = time.perf_counter() - began
Path("took").write_text(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))
"""


@dataclass(frozen=True)
class Preview:
    """What a preview took, in seconds on the clock, and how much of it no Terraform was at work."""

    wall: float
    own: float


def preview(folder: Path, env: Mapping[str, str], terraform: str, rounds: int, tell: Callable[[str], None]) -> Preview:
    """Preview a change of ten units in a thousand, *rounds* times; the one whose own part is least is returned."""
    root = scale.project(folder / "review", env, _STACKS)
    spec = root / "stacks/team01/s0025/stack.py"
    spec.write_text(spec.read_text().replace('"name": "x"', '"name": "y" if n in (0, 5) else "x"'))
    run([sys.executable, "-m", "infra_orch", "render", "team01/s0025"], root, env)
    scale.commit(root)
    log, timed = folder / "terraform.log", folder / "terraform"
    timed.write_text(_TIMED.format(terraform=terraform, log=log))
    timed.chmod(0o755)
    found = []
    for number in range(rounds + 1):
        tell(f"review: preview of ten units in a thousand, round {number}")
        log.write_text("")
        words = ["preview", "--base", "HEAD~1", "--engine", str(timed), "--out", str(folder / "comment.md")]
        cost = run([sys.executable, "-m", "infra_orch", *words], root, env)
        found.append(Preview(cost.wall, cost.wall - _covered(log)))
    # The first also evaluates every stack, and downloads nothing.
    return min(found[1:], key=lambda one: one.own)


def writing(folder: Path, env: Mapping[str, str], changes: int) -> dict[str, tuple[float, int]]:
    """Seconds and MiB that the comment and the page take for a preview of so many changes, by what is written."""
    folder.mkdir()
    (folder / "runs.json").write_text(json.dumps({"prod": _run(changes)}))
    found = {}
    for kind in ("comment", "page"):
        best = None
        for _ in range(3):
            run([sys.executable, "-c", _WRITING, kind], folder, env)
            took, peak = json.loads((folder / "took").read_text())
            best = (took, peak) if best is None or took < best[0] else best
        assert best
        found[kind] = best
    return found


def _covered(log: Path) -> float:
    """The seconds in which at least one command of those in *log* was at work."""
    total, until = 0.0, 0.0
    for began, ended in sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines()):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def _run(changes: int) -> dict[str, object]:
    """The document of a run in which so many resources change, ten in a unit."""
    units = {f"u{number:04}": _unit(number) for number in range(changes // 10)}
    facts = {"run_id": "20261128T000000000Z-000000", "stack": "prod", "folder": "prod", "command": "plan"}
    rest = {"status": "planned", "duration_s": 1.0, "sandbox": False, "commit": "0" * 40, "dirty": False, "tasks": {}}
    more = {"at": "2026-11-28T00:00:00+00:00", "by": "Ada <ada@example.com>", "left_over": [], "gateway": None}
    engine = {"engine": {"name": "terraform", "version": "1.11.4"}, "edges": []}
    return {**facts, **rest, **more, **engine, "units": units}


def _unit(number: int) -> dict[str, object]:
    attributes = [
        {"path": f"tags.t{count}", "before": f'"before {count}"', "after": f'"after {count}"'} for count in range(6)
    ]
    resources = [
        {"address": f"module.u.aws_thing.it[{n}]", "type": "aws_thing", "actions": ["update"], "attributes": attributes}
        for n in range(10)
    ]
    changes = {"create": 0, "update": 10, "delete": 0, "replace": 0, "import": 0, "move": 0, "read": 0}
    said = {"outputs_changed": [], "unknown_inputs": [], "warnings": [], "unfinished": [], "denials": [], "error": None}
    return {
        "status": "planned",
        "changes": changes,
        "resources": resources,
        "basis": "exact",
        "destroys": False,
        "duration_s": 0.1 * (number % 7),
        **said,
    }
