"""Ours against bare Terraform with the real AWS provider, over units of one bucket and one VPC, on an emulated AWS."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import forwarding, projects
from benchmarks.against_bare import APPLY, PLAN
from benchmarks.measure import Cost, run, table
from infra_orch.engine.engine import Engine

INIT_AND_PLAN = f'cd "$0" && "$@" init -input=false -no-color >init.log 2>&1 && {PLAN}'
_REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1")
_REGIONS += ("eu-west-2", "eu-central-1", "ap-south-1", "ap-southeast-1", "sa-east-1")
_SAMPLE_SECONDS = 0.2
_CROWD = 8
_KIB = 1024
_MODULE = """\
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "number" {
  type = number
}

resource "aws_s3_bucket" "it" {
  bucket = "bench-${var.number}"
}

resource "aws_vpc" "it" {
  cidr_block = "10.${var.number}.0.0/16"
}

output "vpc_id" {
  value = aws_vpc.it.id
}
"""


@dataclass(frozen=True)
class Estate:
    """Two copies of a project, initialised: ours, and that of the bare commands. *moto* is the emulator's pid."""

    units: int
    ours: Path
    theirs: Path
    engine: Engine
    env: Mapping[str, str]
    moto: int

    def us(self, *words: str, workers: int, **more: str) -> Cost:
        """Run infra-orch in our copy."""
        argv = [sys.executable, "-m", "infra_orch", *words, "--parallelism", str(workers)]
        return run(argv, self.ours, {**self.env, **more})

    def bare(self, script: str, *, workers: int, names: Sequence[str] = ()) -> Cost:
        """Run *script* in each unit's folder of the other copy, *workers* at once."""
        work = self.theirs / ".infra-orch" / "work" / "bench"
        folders = b"".join(os.fsencode(work / name) + b"\0" for name in names or self.names())
        argv = ["xargs", "-0", "-P", str(workers), "-I", "{}", "sh", "-c", script, "{}"]
        return run([*argv, *self.engine.program], self.theirs, self.env, stdin=folders)

    def names(self) -> list[str]:
        """The names of the units."""
        return [f"u{number:03}" for number in range(self.units)]

    def forget(self) -> None:
        """As if nothing had ever been applied: in the states, and in the emulator."""
        for root in (self.ours, self.theirs):
            for state in (root / "stacks" / "bench" / "state").glob("*.tfstate*"):
                state.unlink()
        request = urllib.request.Request(f"{self.env['AWS_ENDPOINT_URL']}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request):
            pass


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[tuple[str, int]]:
    """An emulated AWS: its URL and process id."""
    argv = [sys.executable, "-P", "-m", "infra_orch.sandbox.serve", "--ready", "1"]
    server = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout
        yield str(json.loads(server.stdout.readline())["url"]), server.pid
    finally:
        server.kill()
        server.wait()


def environment(env: Mapping[str, str], url: str, mirror: str) -> dict[str, str]:
    """What both sides run in: credentials that mean nothing, and every call to AWS to the emulator."""
    Path(env["TF_CLI_CONFIG_FILE"]).write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    return {
        **env,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "TMPDIR": "/tmp",
    }


def make(folder: Path, units: int, configurations: int, engine: Engine, env: Mapping[str, str], moto: int) -> Estate:
    """Make both copies, and have every unit initialised."""
    root = projects.write(
        folder / "ours", {"modules/thing/main.tf": _MODULE, "stacks/bench/stack.py": _spec(units, configurations)}
    )
    estate = Estate(units, root, folder / "theirs", engine, env, moto)
    estate.us("plan", "bench", workers=os.cpu_count() or 1)
    shutil.copytree(root, estate.theirs, symlinks=True)
    return estate


def _spec(units: int, configurations: int) -> str:
    return (
        "from infra_orch import Provider, Stack\n\n"
        f"REGIONS = {_REGIONS[:configurations]!r}\n"
        "PROVIDERS = [\n"
        "    Provider(\n"
        '        "aws", alias=f"r{number}" if number else None, region=region,\n'
        '        source="hashicorp/aws", version="5.100.0",\n'
        "        skip_credentials_validation=True, skip_requesting_account_id=True, s3_use_path_style=True,\n"
        "    )\n"
        "    for number, region in enumerate(REGIONS)\n"
        "]\n"
        'stack = Stack("bench", providers=PROVIDERS)\n'
        f"for number in range({units}):\n"
        '    uses = {"aws": PROVIDERS[number % len(PROVIDERS)]}\n'
        '    stack.unit(f"u{number:03}", module="thing", inputs={"number": number}, providers=uses)\n'
    )


def best_parallelism(estate: Estate, choices: Sequence[int]) -> int:
    """How many bare commands at once are fastest on this machine."""
    estate.forget()
    return min(choices, key=lambda workers: estate.bare(PLAN, workers=workers).wall)


@contextlib.contextmanager
def watched(roots: Sequence[int], emulator: int) -> Iterator[list[float]]:
    """Sample, while the context lasts, the memory of everything below this process and *roots*; in MiB.

    What the *emulator* takes is neither side's.
    """
    found: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            found.append(sum(_pss(pid) for pid in _tree({os.getpid(), *roots}, emulator)) / _KIB)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _tree(roots: set[int], without: int) -> set[int]:
    """Everything that descends from *roots*, but for this process, and *without* with all that descends from it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    parents.pop(without, None)
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {os.getpid()}


def _pss(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    return 0.0


def processor_seconds(pid: int) -> float:
    """What a process has taken of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gateway(estate: Estate, word: str) -> int:
    """`infra-orch gateway start` or `stop`; the pid of one that was started."""
    argv = [sys.executable, "-m", "infra_orch", "gateway", word]
    done = subprocess.run(argv, cwd=estate.ours, env=dict(estate.env), capture_output=True, text=True, check=True)
    return int(done.stdout.rpartition("pid ")[2].rstrip(")\n")) if word == "start" else 0


def compare(
    folder: Path,
    engine: Engine,
    env: Mapping[str, str],
    mirror: str,
    rounds: int,
    sizes: Sequence[int],
    tell: Callable[[str], None],
) -> str:
    """Measure everything, and return the table. The smallest of *sizes* is measured *rounds* times, others once."""
    with emulator(folder) as (url, moto):
        env = environment(env, url, mirror)
        small = make(folder / "small", min(sizes), 1, engine, env, moto)
        best = best_parallelism(small, (2, 3, 4))
        work = small.ours / ".infra-orch" / "work" / "bench" / "u000"
        calls = forwarding.measure(work, folder, env)
        rows = _plans(small, best, rounds, f"{small.units} units")
        rows += _applies(small, best, rounds)
        rows += _crowded(small)
        rows += _single(folder / "single", engine, env, moto, rounds)
        for size, configurations in [(size, 1) for size in sizes if size != small.units] + [
            (max(sizes), len(_REGIONS))
        ]:
            tell(f"{size} units, {configurations} configurations")
            estate = make(folder / f"estate-{size}-{configurations}", size, configurations, engine, env, moto)
            many = f", {configurations} configurations" if configurations > 1 else ""
            rows += _plans(estate, best, 1, f"{size} units{many}")
    head = [
        "",
        f"bare, {best} at once",
        "ours",
        "times faster",
        "bare, memory",
        "ours, memory",
        "the emulator's processor time, bare and ours",
    ]
    return f"{table(head, rows)}\n\n{calls}"


def _row(what: str, theirs: Sequence[_Measured], ours: Sequence[_Measured]) -> list[str]:
    bare, mine = _median(theirs), _median(ours)
    return [
        what,
        f"{bare.wall:.1f} s",
        f"{mine.wall:.2f} s",
        f"{bare.wall / mine.wall:.1f}",
        f"{bare.mib:.0f} MiB",
        f"{mine.mib:.0f} MiB",
        f"{bare.emulator:.1f} s, {mine.emulator:.1f} s",
    ]


@dataclass(frozen=True)
class _Measured:
    wall: float
    mib: float
    emulator: float


def _median(values: Sequence[_Measured]) -> _Measured:
    return sorted(values, key=lambda one: one.wall)[len(values) // 2]


@contextlib.contextmanager
def _measuring(estate: Estate, into: list[_Measured], roots: Sequence[int] = ()) -> Iterator[None]:
    before, began = processor_seconds(estate.moto), time.perf_counter()
    with watched(roots, estate.moto) as memory:
        yield
        wall = time.perf_counter() - began
    into.append(_Measured(wall, max(memory, default=0.0), processor_seconds(estate.moto) - before))


def _plans(estate: Estate, best: int, rounds: int, what: str) -> list[list[str]]:
    theirs: list[_Measured] = []
    run_mode: list[_Measured] = []
    warm: list[_Measured] = []
    workers = 2 * (os.cpu_count() or 1)
    for _ in range(rounds):
        estate.forget()
        with _measuring(estate, theirs):
            estate.bare(PLAN, workers=best)
        with _measuring(estate, run_mode):
            estate.us("plan", "bench", workers=workers)
    pid = gateway(estate, "start")
    estate.us("plan", "bench", workers=workers)
    for _ in range(rounds):
        with _measuring(estate, warm, [pid]):
            estate.us("plan", "bench", workers=workers)
    gateway(estate, "stop")
    return [
        _row(f"{what}: plan and show, a gateway for the run", theirs, run_mode),
        _row(f"{what}: plan and show, a gateway that was warm", theirs, warm),
    ]


def _crowded(estate: Estate) -> list[list[str]]:
    """Both sides with as many units at once as larger machines have: what that takes of memory."""
    theirs: list[_Measured] = []
    ours: list[_Measured] = []
    estate.forget()
    with _measuring(estate, theirs):
        estate.bare(PLAN, workers=_CROWD)
    with _measuring(estate, ours):
        estate.us("plan", "bench", workers=_CROWD)
    return [_row(f"{estate.units} units: plan and show, {_CROWD} at once on both sides", theirs, ours)]


def _applies(estate: Estate, best: int, rounds: int) -> list[list[str]]:
    theirs: list[_Measured] = []
    ours: list[_Measured] = []
    workers = 2 * (os.cpu_count() or 1)
    for _ in range(rounds):
        estate.forget()
        estate.bare(PLAN, workers=best)
        with _measuring(estate, theirs):
            estate.bare(APPLY, workers=best)
        estate.forget()
        estate.us("plan", "bench", "--out", "bench.plan", workers=workers)
        pid = gateway(estate, "start")
        with _measuring(estate, ours, [pid]):
            estate.us("apply", "bench", "--plan", "bench.plan", "--auto-approve", "--no-commit", workers=workers)
        gateway(estate, "stop")
        (estate.ours / "bench.plan").unlink()
    return [_row(f"{estate.units} units: apply of what was planned", theirs, ours)]


def _single(folder: Path, engine: Engine, env: Mapping[str, str], moto: int, rounds: int) -> list[list[str]]:
    theirs: list[_Measured] = []
    cold: list[_Measured] = []
    warm: list[_Measured] = []
    for number in range(rounds):
        one = make(folder / f"{number}", 1, 1, engine, env, moto)
        for work in (one.theirs / ".infra-orch" / "work" / "bench").iterdir():
            shutil.rmtree(work / ".terraform", ignore_errors=True)
        with _measuring(one, theirs):
            one.bare(INIT_AND_PLAN, workers=1)
        shutil.rmtree(one.ours / ".infra-orch")
        shutil.rmtree(Path(env["XDG_CACHE_HOME"]) / "infra-orch", ignore_errors=True)
        with _measuring(one, cold):
            one.us("plan", "bench", workers=1)
        pid = gateway(one, "start")
        one.us("plan", "bench", workers=1)
        with _measuring(one, warm, [pid]):
            one.us("plan", "bench", workers=1)
        gateway(one, "stop")
    return [
        _row("one unit: init, plan and show, nothing cached", theirs, cold),
        _row("one unit: the same again, a gateway that was warm", theirs, warm),
    ]
