"""Start a program and say what it took: time on the clock, time on the processors, memory."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command took, in seconds: on the clock, and on the processors (its own and its children's)."""

    wall: float
    cpu: float


def run(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], *, stdin: bytes = b"", good: Sequence[int] = (0,)
) -> Cost:
    """Run *argv* and return what it took. Raises RuntimeError with its output where its exit code is not *good*."""
    log = cwd / ".bench.log"
    with log.open("wb") as out:
        began = time.perf_counter()
        child = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=out, stderr=out)
        assert child.stdin is not None
        child.stdin.write(stdin)
        child.stdin.close()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in good:
        text = log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{' '.join(argv[:6])} ended with code {child.returncode}:\n{text}")
    log.unlink()
    return Cost(wall, used.ru_utime + used.ru_stime)


@dataclass(frozen=True)
class Pair:
    """The rounds of ours and of theirs, taken in turns."""

    ours: list[Cost]
    theirs: list[Cost]

    def ratio(self, kind: str, of: str = "median") -> float:
        """Ours by theirs, of the medians or the minima, of `wall` or `cpu`."""
        ours: list[float] = [getattr(cost, kind) for cost in self.ours]
        theirs: list[float] = [getattr(cost, kind) for cost in self.theirs]
        if of == "median":
            return statistics.median(ours) / statistics.median(theirs)
        return min(ours) / min(theirs)

    def median(self, side: str, kind: str) -> float:
        """The median of `ours` or `theirs`."""
        return float(statistics.median(getattr(cost, kind) for cost in getattr(self, side)))


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of a straight line through the logarithms: 1 where twice the units take twice the time."""
    xs, ys = [math.log(size) for size in sizes], [math.log(second) for second in seconds]
    return statistics.linear_regression(xs, ys).slope


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
