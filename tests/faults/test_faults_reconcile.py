"""Two reconcilers and a person who pushes, at the same time, while somebody kills: every apply is recorded exactly once,
nothing is applied that was not on the branch, no work is lost, nothing is forced.

FAULTS_TWO_ROUNDS says how many pushes and kills there are (`make test-faults`: 50); FAULTS_SEED repeats what was drawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from child_process import at_work, session_of
from local_http import StateServer, over_http, serving_states

if TYPE_CHECKING:
    from conftest import Desk

ROUNDS = int(os.environ.get("FAULTS_TWO_ROUNDS", "2"))
UNITS = {"net": ("a", "b"), "app": ("c",)}
MODULE = """
    variable "value" {{
      type = string
    }}

    variable "unit" {{
      type = string
    }}

    variable "up" {{
      type    = string
      default = ""
    }}

    resource "terraform_data" "it" {{
      triggers_replace = var.value
      input            = var.value

      provisioner "local-exec" {{
        command = "sleep 0.1; echo ${{var.unit}} ${{var.value}} >> {world}/${{var.unit}}"
      }}
    }}

    output "id" {{
      value = terraform_data.it.id
    }}
    """
SPEC = """
    from infra_orch import Backend, Stack
    import values

    stack = Stack("net", backend={backend})
    a = stack.unit("a", module="it", inputs={{"unit": "a", "value": values.a}})
    stack.unit("b", module="it", inputs={{"unit": "b", "value": values.b, "up": a.outputs.id}})
    """
APP = """
    from infra_orch import Backend, Stack
    import values

    stack = Stack("app", backend={backend})
    up = Stack.reference("net").unit("a").outputs.id
    stack.unit("c", module="it", inputs={{"unit": "c", "value": values.c, "up": up}})
    """


@dataclass
class Reconciler:
    """A reconciler in a clone of its own, started again whenever it was killed."""

    clone: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    read: int = 0

    def start(self) -> None:
        self.starts += 1
        with (self.clone.parent / f"{self.clone.name}.err").open("ab") as err:
            argv = [sys.executable, "-m", "infra_orch", "reconcile", "--watch", "0.2", "--lease-seconds", "3"]
            self.process = subprocess.Popen(argv, cwd=self.clone, stdout=err, stderr=err, stdin=subprocess.DEVNULL)

    def children(self) -> list[int]:
        assert self.process
        return children_of(self.process.pid)

    def kill(self, how: str) -> None:
        """Kill the round, the loop, or both; with `all`, all that they have started, too."""
        assert self.process
        rounds = self.children()
        started = [pid for one in rounds for pid in children_of(one)] if how == "all" else []
        victims = {"round": rounds, "loop": [self.process.pid]}.get(how, [self.process.pid, *rounds])
        victims += [pid for leader in started for pid in (leader, *session_of(leader))]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if how != "round":
            self.process.wait()
            self.start()

    def stop(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)

    def news(self) -> str:
        """What it said since this was asked last."""
        said = self.said()
        found, self.read = said[self.read :], len(said)
        return found

    def said(self) -> str:
        return (self.clone.parent / f"{self.clone.name}.err").read_text()


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


@dataclass
class Storm:
    """A branch that two reconcilers follow and a person pushes to."""

    root: Path
    states: StateServer
    pushed: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=lambda: dict.fromkeys("abc", "0"))
    seen: dict[str, set[str]] = field(default_factory=lambda: {unit: {"0"} for unit in "abc"})

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    @property
    def person(self) -> Path:
        return self.root / "person"

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(["git", *arguments], cwd=cwd or self.remote, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def push(self, number: int, chance: random.Random) -> None:
        """A person changes one or two values, and pushes until it is through; what is on another branch is nobody's."""
        for unit in chance.sample("abc", chance.randint(1, 2)):
            self.values[unit] = str(number)
            self.seen[unit].add(str(number))
        text = "".join(f'{unit} = "{value}"\n' for unit, value in self.values.items())
        (self.person / "stacks/values.py").write_text(text)
        (self.person / f"work-{number}.txt").write_text("work\n")
        self.git("add", "--all", cwd=self.person)
        self.git("commit", "--quiet", "--message", f"work {number}", cwd=self.person)
        while True:
            self.git("pull", "--quiet", "--rebase", cwd=self.person)
            done = subprocess.run(["git", "push", "--quiet"], cwd=self.person, capture_output=True, check=False)
            if done.returncode == 0:
                break
        self.pushed.append(self.git("rev-parse", "HEAD", cwd=self.person))
        self.git(
            "push",
            "--quiet",
            "--force",
            "origin",
            f"{self.not_on_the_branch(number)}:refs/heads/other",
            cwd=self.person,
        )

    def not_on_the_branch(self, number: int) -> str:
        (self.person / "stacks/values.py").write_text("".join(f'{unit} = "never"\n' for unit in "abc"))
        self.git("commit", "--quiet", "--all", "--message", f"never {number}", cwd=self.person)
        never = self.git("rev-parse", "HEAD", cwd=self.person)
        self.git("reset", "--quiet", "--hard", "HEAD~1", cwd=self.person)
        return never

    def record(self, path: str) -> Any:
        return json.loads(self.git("show", f"main:{path}"))

    def listed(self, pattern: str) -> list[str]:
        return [
            path
            for path in self.git("ls-tree", "-r", "--name-only", "main").splitlines()
            if re.fullmatch(pattern, path)
        ]

    def is_settled(self) -> bool:
        """Whether what is recorded on the branch is what the person wants, and nobody is at work."""
        for stack, units in UNITS.items():
            for unit in units:
                state = json.loads(self.states.states.get(f"/{stack}/{unit}", b"{}"))
                found = [one["instances"][0]["attributes"]["input"]["value"] for one in state.get("resources", [])]
                if found != [self.values[unit]]:
                    return False
        return not self.git("for-each-ref", "refs/infra-orch") and not self.states.locks


@pytest.fixture
def storm(desk: Desk, tmp_path: Path) -> Iterator[Storm]:
    with serving_states() as (url, states):
        world = tmp_path / "world"
        world.mkdir()
        backend = over_http(url)
        desk.write(
            {
                "modules/it/main.tf": MODULE.format(world=world),
                "stacks/net/stack.py": SPEC.format(backend=backend),
                "stacks/app/stack.py": APP.format(backend=backend),
                "stacks/values.py": "a = '0'\nb = '0'\nc = '0'\n",
            }
        )
        desk.commit("first")
        storm = Storm(tmp_path, states)
        storm.git("clone", "--quiet", "--bare", str(desk.root), str(storm.remote), cwd=tmp_path)
        storm.git("config", "core.logAllRefUpdates", "always")
        storm.git("clone", "--quiet", str(storm.remote), str(storm.person), cwd=tmp_path)
        yield storm


@pytest.fixture
def both(storm: Storm) -> Iterator[list[Reconciler]]:
    """Two reconcilers, each in its clone."""
    made = []
    for name in ("one", "two"):
        storm.git("clone", "--quiet", str(storm.remote), str(storm.root / name), cwd=storm.root)
        made.append(Reconciler(storm.root / name))
    yield made
    for one in made:
        print(one.clone.name, one.said()[-6000:])  # noqa: T201 - shown where it fails
        if one.process and one.process.poll() is None:
            for pid in (*one.children(), one.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            one.process.wait()
        for pid in at_work(one.clone):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", ["the orchestrator", "everything"])
def test_two_reconcilers_and_a_person_lose_nothing_whoever_is_killed(
    storm: Storm, both: list[Reconciler], kill: str
) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    for one in both:
        one.start()
    for number in range(1, ROUNDS + 1):
        storm.push(number, chance)
        time.sleep(chance.uniform(0, 4))
        chance.choice(both).kill("all" if kill == "everything" else chance.choice(["round", "loop", "both"]))
        mend(storm, both)
    settle(storm, both)
    # SIGTERM ends one that was started a moment ago: it had not come to ask for it.
    assert {one.stop() for one in both} <= {0, 130, -signal.SIGTERM}
    for one in both:
        pay(one)
    print(f"{kill}: {ROUNDS} pushes and kills, {check(storm, both, counts=kill == 'the orchestrator')}")  # noqa: T201


def pay(one: Reconciler) -> None:
    """Whoever was killed owes the records of what died with it: its next round pays them."""
    for _ in range(5):
        done = run_in(one.clone, "reconcile", "--lease-seconds", "3")
        if done.returncode != 75:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stderr


def settle(storm: Storm, both: list[Reconciler]) -> None:
    """Wait until all is applied."""
    end = time.monotonic() + 240
    while not storm.is_settled():
        assert time.monotonic() < end, "it is never settled"
        time.sleep(0.2)
        mend(storm, both)


def mend(storm: Storm, both: list[Reconciler]) -> None:
    """Do what a person is asked for: see to runs that left something to decide, and give back locks of Terraforms that
    are gone, which this server does not say whose they are. A Terraform that lives holds one for less than a second.
    """
    for one in both:
        news = one.news()
        for stack in UNITS:
            if f"infra-orch recover {stack} shows it" in news:
                run_in(one.clone, "recover", stack, "--auto-approve")
    before = dict(storm.states.locks)
    if before:
        time.sleep(2)
        for path in [path for path, body in before.items() if storm.states.locks.get(path) == body]:
            _, stack, unit = path.split("/")
            run_in(both[0].clone, "unlock", stack, unit, "--force", "--auto-approve")


def run_in(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra_orch", *arguments], cwd=clone, capture_output=True, text=True, check=False
    )


def check(storm: Storm, both: list[Reconciler], *, counts: bool) -> str:
    # No work is lost: the person's commits are all there, in their order, with their files.
    history = storm.git("rev-list", "--reverse", "--topo-order", "main").splitlines()
    assert [commit for commit in history if commit in set(storm.pushed)] == storm.pushed
    assert len(storm.listed(r"work-\d+\.txt")) == len(storm.pushed)
    # Nothing is forced.
    for line in (storm.remote / "logs/refs/heads/main").read_text().splitlines():
        old, new = line.split()[:2]
        if set(old) != {"0"}:
            storm.git("merge-base", "--is-ancestor", old, new)
    # What every run did is recorded on the branch, once, and was on the branch.
    runs = {path: storm.record(path) for path in storm.listed(r"stacks/\w+/record/runs/[^/]+\.json")}
    subjects = storm.git("log", "--format=%(trailers:key=Infra-Orch-Run,valueonly)", "main").split()
    assert max(Counter(subjects).values()) == 1, "a run is recorded twice"
    assert sorted(subjects) == sorted(Path(path).stem for path in runs)
    assert {run["commit"] for run in runs.values()} <= set(history), "something was run that was not on the branch"
    for one in both:
        made = {str(path.relative_to(one.clone)) for path in one.clone.glob("stacks/*/record/runs/*.json")}
        assert made <= runs.keys()
        assert storm.git("status", "--porcelain", cwd=one.clone) == ""
    applied: Counter[str] = Counter()
    for run in runs.values():
        for unit, found in run["units"].items():
            applied[unit] += found["changes"]["create"] + found["changes"]["replace"]
    world = {unit: (storm.root / "world" / unit).read_text().splitlines() for unit in "abc"}
    for unit, lines in world.items():
        told = [line.split()[1] for line in lines]
        assert set(told) <= storm.seen[unit], "something was applied that was not on the branch"
        assert told[-1] == storm.values[unit]
        if counts:
            assert len(told) == len(set(told)), "something was applied twice"
            assert applied[unit] == len(told), f"{unit}: what was applied is not recorded exactly once"
    storm.git("fsck", "--strict")
    assert storm.git("for-each-ref", "refs/infra-orch") == "", "a lease is left"
    number = sum(map(len, world.values()))
    return f"{sum(one.starts for one in both)} starts, {number} applies, {len(runs)} runs recorded"
