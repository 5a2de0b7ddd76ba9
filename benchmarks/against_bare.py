"""Ours against a bare `xargs -P` that runs the same Terraform commands over the same folders."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Cost, Pair, run, table
from benchmarks.projects import Shape
from infra_orch.engine.engine import Engine
from infra_orch.run.values import UNKNOWN, UPSTREAM_FILE, Output, upstream_values

_PLAN = '"$@" plan -input=false -no-color -json -detailed-exitcode -lock-timeout=0s -out=tfplan >plan.log 2>&1'
_SHOW = '"$@" show -no-color -json tfplan >tfplan.json 2>show.log'
_APPLY = '"$@" apply -input=false -no-color -json -lock-timeout=0s tfplan >apply.log 2>&1'
PLAN = f'cd "$0" && {{ {_PLAN}; test $? -ne 1; }} && {_SHOW}'
APPLY = f'cd "$0" && {_APPLY}'
PLAN_AND_APPLY = f"{PLAN} && {_APPLY}"


@dataclass(frozen=True)
class Bench:
    """Two copies of one project, both initialised: one for us, one for the bare commands."""

    shape: Shape
    ours: Path
    theirs: Path
    engine: Engine
    env: Mapping[str, str]
    workers: int

    def us(self, *words: str) -> Cost:
        """Run infra-orch in our copy."""
        flags = ["--parallelism", str(self.workers), "--engine", self._engine()]
        return run([sys.executable, "-m", "infra_orch", *words, *flags], self.ours, self.env, good=(0,))

    def bare(self, script: str, first: str = "") -> Cost:
        """Run *script* in each folder of the other copy, layer by layer, as many at once as we do.

        *first* is for the first layer, where that is something else.
        """
        total = Cost(0.0, 0.0)
        work = self.theirs / ".infra-orch" / "work" / "bench"
        for layer, names in enumerate(self.shape.names()):
            folders = b"".join(os.fsencode(work / name) + b"\0" for name in names)
            chosen = script if layer or not first else first
            argv = ["xargs", "-0", "-P", str(self.workers), "-I", "{}", "sh", "-c", chosen, "{}"]
            cost = run([*argv, *self.engine.program], self.theirs, self.env, stdin=folders)
            total = Cost(total.wall + cost.wall, total.cpu + cost.cpu)
        return total

    def forget(self) -> None:
        """As if nothing had ever been applied."""
        for root in (self.ours, self.theirs):
            for state in (root / "stacks" / "bench" / "state").glob("*.tfstate*"):
                state.unlink()

    def give(self, value: object, *, promised: bool) -> None:
        """Write into each folder of the bare copy the upstream values that we would."""
        layers = self.shape.names()
        for layer, names in enumerate(layers[1:], start=1):
            for chain, name in enumerate(names):
                before = layers[layer - 1][chain]
                known = before if self.shape.reads == "name" else value
                outputs = {before: {self.shape.reads: Output(known, sensitive=False, type="string", promised=promised)}}
                text = upstream_values({before: (self.shape.reads,)}, outputs).text
                (self.theirs / ".infra-orch" / "work" / "bench" / name / UPSTREAM_FILE).write_text(text)

    def _engine(self) -> str:
        return "embedded" if self.engine.name == "embedded" else self.engine.program[-1]


def prepare(folder: Path, shape: Shape, engine: Engine, env: Mapping[str, str], workers: int) -> Bench:
    """Make both copies, and have every unit initialised."""
    bench = Bench(shape, projects.make(folder / "ours", shape), folder / "theirs", engine, env, workers)
    bench.us("plan", "bench")
    shutil.copytree(bench.ours, bench.theirs, symlinks=True)
    return bench


def compare(bench: Bench, rounds: int, tell: Callable[[str], None]) -> dict[str, Pair]:
    """Measure plan with show, and apply of what was planned, ours and theirs in turns."""
    plan, apply = Pair([], []), Pair([], [])
    for number in range(rounds):
        tell(f"{bench.shape.title.split(':')[0]}, round {number + 1} of {rounds}")
        sides = (_our_round, _their_round)
        for side in reversed(sides) if number % 2 else sides:
            bench.forget()
            side(bench, plan, apply)
    return {"plan and show": plan, "plan, show and apply": apply}


def _our_round(bench: Bench, plan: Pair, apply: Pair) -> None:
    plan.ours.append(bench.us("plan", "bench"))
    apply.ours.append(bench.us("apply", "bench", "--auto-approve"))


def _their_round(bench: Bench, plan: Pair, apply: Pair) -> None:
    bench.give(UNKNOWN, promised=True)
    first = bench.bare(PLAN)
    plan.theirs.append(first)
    # Our apply plans, too, and plans again what waited for values that nobody knew.
    second = bench.bare(PLAN)
    if bench.shape.reads == "id":
        bench.give("00000000-0000-0000-0000-000000000000", promised=False)
        third = bench.bare(PLAN_AND_APPLY, first=APPLY)
    else:
        third = bench.bare(APPLY)
    apply.theirs.append(Cost(second.wall + third.wall, second.cpu + third.cpu))


def lines(results: Sequence[tuple[Shape, dict[str, Pair]]]) -> str:
    """The results as a table."""
    rows = []
    for shape, pairs in results:
        title = shape.title.format(units=shape.units, width=shape.width, layers=shape.layers)
        for what, pair in pairs.items():
            rows.append(
                [
                    f"{title}: {what}",
                    f"{pair.median('theirs', 'wall'):.1f} s",
                    f"{pair.median('ours', 'wall'):.1f} s",
                    f"{pair.ratio('wall'):.2f}",
                    f"{pair.ratio('wall', 'min'):.2f}",
                    f"{pair.ratio('cpu'):.2f}",
                ]
            )
    head = ["", "bare, median", "ours, median", "ratio of medians", "ratio of minima", "ratio of processor time"]
    return table(head, rows)
