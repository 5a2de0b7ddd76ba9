"""`python -m benchmarks`: measure, print tables, and with --write put them into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import against_bare, cloud, peers, review, scale, start
from benchmarks.measure import table
from benchmarks.projects import DEEP, MANY, UNKNOWN, WIDE, Shape, git_environment
from infra_orch.engine.engine import Engine, find_engine
from infra_orch.engine.environment import terraform_environment
from infra_orch.engine.mirror import find_mirrors

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def main(arguments: list[str]) -> int:
    """Run the benchmarks that were asked for. They assert nothing: a number is not a test."""
    options = _options(arguments)
    engine = find_engine(os.environ.get("INFRA_ORCH_ENGINE"))
    workers = options.parallelism or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="infra-orch-bench-") as name:
        folder = Path(name)
        env = _environment(folder)
        made = {
            "bare": lambda: _bare(folder / "bare", engine, env, workers, options.rounds, (WIDE, DEEP, UNKNOWN)),
            "many": lambda: _bare(folder / "many", engine, env, workers, options.rounds, (MANY,)),
            "cloud": lambda: _cloud(folder, engine, env, options.rounds),
            "start": lambda: _start(folder, env),
            "own": lambda: _own(folder, env, engine),
            "growth": lambda: _growth(folder, env),
            "peers": lambda: peers.compare(folder / "peers", engine, env, workers, options.rounds, WIDE),
            "scale": lambda: _scale(folder, env),
            "review": lambda: _review(folder, env, engine, options.rounds),
        }
        parts = [_about(arguments, engine, workers), *(make() for name, make in made.items() if name in options.only)]
    text = "\n\n".join(parts)
    sys.stdout.write(text + "\n")
    if options.write:
        _write(text)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parts = ("bare", "cloud", "start", "own", "growth", "scale", "review")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds against bare Terraform (default: 3)")
    parser.add_argument("--parallelism", type=int, metavar="N", help="units at work at once (default: one per core)")
    parser.add_argument(
        "--only", action="append", choices=(*parts, "many", "peers"), help="only this part (repeatable)"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    options = parser.parse_args(arguments)
    options.only = options.only or parts
    return options


def _environment(folder: Path) -> Mapping[str, str]:
    """What both sides run in: no settings of the user's, no question to a server whether there is a newer Terraform."""
    home = folder / "home"
    home.mkdir()
    config = home / "terraformrc"
    config.touch()
    unwanted = ("TF_", "INFRA_ORCH_", "AWS_", "PYTHON")
    base = {name: value for name, value in git_environment().items() if not name.startswith(unwanted)}
    own = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "TF_CLI_CONFIG_FILE": str(config),
        # The package that is measured is this one, wherever the program is started; compiled, as after an installation.
        "PYTHONPATH": str(PAGE.parents[1]),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    return terraform_environment(base, extra=own).values


def _about(arguments: list[str], engine: Engine, workers: int) -> str:
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    load = f", load average {os.getloadavg()[0]:.1f} when it began" if hasattr(os, "getloadavg") else ""
    return (
        f"Made by `{command}` with {engine}, Python {platform.python_version()} on {platform.system()}, "
        f"{os.cpu_count()} cores, {workers} units at once{load}."
    )


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _bare(
    folder: Path, engine: Engine, env: Mapping[str, str], workers: int, rounds: int, shapes: Sequence[Shape]
) -> str:
    results = []
    for number, shape in enumerate(shapes):
        bench = against_bare.prepare(folder / str(number), shape, engine, env, workers)
        results.append((shape, against_bare.compare(bench, rounds, _tell)))
    return against_bare.lines(results)


def _cloud(folder: Path, engine: Engine, env: Mapping[str, str], rounds: int) -> str:
    mirrors = find_mirrors(os.environ, os.environ.get("INFRA_ORCH_PROVIDER_MIRROR"))
    if not mirrors:
        return "The AWS provider was not measured: it comes from a folder of providers, and there is none."
    _tell("the AWS provider")
    return cloud.compare(folder, engine, env, str(mirrors[0]), rounds, (12, 100), _tell)


def _start(folder: Path, env: Mapping[str, str]) -> str:
    _tell("start")
    pair = start.help_text(folder, env, 15)
    mine, theirs = pair.median("ours", "wall"), pair.median("theirs", "wall")
    least = min(cost.wall for cost in pair.ours), min(cost.wall for cost in pair.theirs)
    row = ["`infra-orch --help`", *(f"{seconds:.3f} s" for seconds in (theirs, mine, *reversed(least)))]
    return table(["", "`python -c pass`, median", "ours, median", "`python -c pass`, least", "ours, least"], [row])


def _own(folder: Path, env: Mapping[str, str], engine: Engine) -> str:
    _tell("our own process")
    chosen = "embedded" if engine.name == "embedded" else engine.program[-1]
    found = start.own(folder, env, chosen, (10, 100, 300))
    rows = [
        ["most memory of our process", *(f"{size['peak']:.0f} MiB" for size in found.values())],
        ["processor time of our process", *(f"{size['own']:.2f} s" for size in found.values())],
        ["processor time of all that it started", *(f"{size['children']:.2f} s" for size in found.values())],
    ]
    return table(["a plan of", *(f"{size} units" for size in found)], rows)


def _growth(folder: Path, env: Mapping[str, str]) -> str:
    _tell("growth")
    found, slope = start.growth(folder, env, (100, 300, 1000), 3)
    row = ["evaluate, check, render and graph", *(f"{seconds:.2f} s" for seconds in found.values()), f"{slope:.2f}"]
    return table(["", *(f"{size} units" for size in found), "exponent"], [row])


def _scale(folder: Path, env: Mapping[str, str]) -> str:
    sizes = (100, 1000, 10_000)
    rows = []
    for row in scale.measure(folder, env, sizes, _tell):
        for kind in ("cold", "warm"):
            seconds = (f"{cost.wall:.2f} s" for cost in getattr(row, kind).values())
            most = f"{row.peak} MiB" if kind == "cold" else ""
            rows.append([f"{row.title}, {kind}", *seconds, f"{row.exponent(kind):.2f}", most])
    head = ["", *(f"{size} units" for size in sizes), "exponent of the processor time", "largest process"]
    _tell("scale: plan --changed-only")
    cost = scale.unchanged(folder, env, 1000)
    plan = [["`plan --changed-only`, 1000 units, nothing changed", f"{cost.wall:.2f} s", f"{cost.cpu:.2f} s"]]
    return "\n\n".join([table(head, rows), table(["", "on the clock", "on the processors"], plan)])


def _review(folder: Path, env: Mapping[str, str], engine: Engine, rounds: int) -> str:
    found = review.preview(folder, env, shlex.join(engine.program), rounds, _tell)
    own = [["`preview`, 10 units of 1,000 affected", f"{found.wall:.2f} s", f"{found.own:.2f} s"]]
    _tell("review: 10,000 changes")
    written = review.writing(folder / "writing", env, 10_000)
    rows = [[f"the {kind}", f"{seconds:.2f} s", f"{peak} MiB"] for kind, (seconds, peak) in written.items()]
    return "\n\n".join(
        [table(["", "on the clock", "without Terraform"], own), table(["of 10,000 changes", "made in", "memory"], rows)]
    )


def _write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
    _tell(f"written into docs/{PAGE.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
