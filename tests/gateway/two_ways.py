"""Two ways to do one thing: a folder of plain Terraform, worked on bare and through the provider gateway."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

from child_process import until

from infra_orch.engine import command
from infra_orch.engine.command import DEFAULT_PLAN, PlanOptions
from infra_orch.engine.engine import Engine
from infra_orch.gateway.client import Gateway
from infra_orch.run.diagnosis import read_messages
from infra_orch.run.serving import served, wants_more

ECHO = "example.com/acme/echo"
WHOLE = os.environ.get("DIFFERENTIAL") == "whole"
_DRAWN = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=RequestID: )\w+|\b[0-9a-f]{8}\b(?!-)|(?<=-)[0-9a-f]{17}\b|(?<=127.0.0.1:)\d+",
    re.IGNORECASE,
)
"""UUIDs, the numbers of requests, the keys of deposed objects, the ids of AWS, and the ports of emulators."""
_PLAN = "plan.tfplan"
_PASSING = frozenset({"timestamp", "@timestamp", "@message", "elapsed_seconds", "serial"})
"""What two runs of one command need not have in common. A message repeats what its other fields say, and for how long;
a state's serial counts how often it was written, which depends on what was done at the same moment.
"""
_UNSORTED = frozenset({"relevant_attributes", "sensitive_attributes"})
"""Lists of plans and states that Terraform has in another order each time."""


@dataclass(frozen=True)
class Did:
    """What a command came to, as far as two that did the same have it in common.

    *said* are the events of its output in an order of their own: Terraform does many things at once. *document* is what
    it printed (a plan, a state).
    """

    code: int
    said: tuple[str, ...] = ()
    document: Any = None

    @property
    def diagnostics(self) -> list[Mapping[str, Any]]:
        """Errors and warnings."""
        events = map(json.loads, self.said)
        return [event["diagnostic"] for event in events if event.get("type") == "diagnostic"]

    @property
    def errors(self) -> list[str]:
        """The first lines of its errors."""
        return [said["summary"] for said in self.diagnostics if said["severity"] == "error"]


@dataclass(eq=False)
class Context:
    """What run/serving.py has to know of a run."""

    engine: Engine
    gateway: Gateway | None
    run_folder: Path
    whole_schemas: set[Path] = field(default_factory=set)

    def log(self, node: str, step: str) -> Path:
        """The log of a step."""
        return self.run_folder / node / f"{step}.log"


@dataclass(eq=False)
class Way:
    """A way to run Terraform: an engine, an environment, and a gateway; without one, each command starts its own.

    *again* are the commands that were run a second time because a schema lacked something.
    """

    engine: Engine
    environment: Mapping[str, str]
    work: Path
    gateway: Gateway | None = None
    again: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._context = Context(self.engine, self.gateway, self.work / "log")

    def folder(self, name: str, begun: Path | None = None) -> Folder:
        """A new folder, or one where something was *begun* already."""
        path = self.work / name
        if begun:
            shutil.copytree(begun, path, symlinks=True)
        else:
            path.mkdir(parents=True)
        return Folder(self, path)

    def run(
        self, folder: Path, argv: Sequence[str], step: str, *, changes_world: bool = False, interrupted_at: str = ""
    ) -> tuple[int, str]:
        """Run a command as run/terraform.py does; interrupt it once it says *interrupted_at*.

        Returns its exit code and output.
        """
        log = self._context.log(folder.name, step)
        log.parent.mkdir(parents=True, exist_ok=True)
        context: Any = self._context
        with served(
            context, folder.name, step, argv, folder, self.environment, changes_world=changes_world
        ) as providers:
            environment = {**self.environment, **providers.environment}
            with log.open("wb") as output:
                process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=output)
                providers.started(process.pid)
                if interrupted_at:
                    until(lambda: interrupted_at in log.read_text(), interrupted_at)
                    process.send_signal(signal.SIGINT)
                code = process.wait()
            said, errors = log.read_text(), read_messages(log).error_text
        if code and wants_more(context, argv, folder, providers, errors):
            self.again.append(f"{step}: {errors}")
            return self.run(folder, argv, step, changes_world=changes_world)
        return code, said


@dataclass(eq=False)
class Folder:
    """A folder of Terraform, and what is done in it."""

    way: Way
    path: Path

    def write(self, configuration: str, **modules: str) -> Folder:
        """Have this configuration, and modules of these names, from now on."""
        for name, text in {"main": configuration, **modules}.items():
            path = self.path / ("main.tf" if name == "main" else f"{name}/main.tf")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        argv = command.init(self.way.engine)
        done = subprocess.run(
            argv, cwd=self.path, env=self.way.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def plan(self, options: PlanOptions = DEFAULT_PLAN) -> Did:
        """Plan, and show what is planned."""
        (self.path / f"{_PLAN}.json").unlink(missing_ok=True)
        code, said = self.way.run(self.path, command.plan(self.way.engine, _PLAN, options), "plan")
        return Did(code, _events(said), self.show() if code in (0, 2) else None)

    def show(self) -> Any:
        """The plan; as in a run, apply finds it beside the plan file. What is said instead, where it cannot be shown."""
        code, said = self.way.run(self.path, command.show(self.way.engine, _PLAN), "show")
        if code:
            return said
        (self.path / f"{_PLAN}.json").write_text(said)
        return alike(json.loads(said))

    def apply(self, interrupted_at: str = "") -> Did:
        """Apply what was planned; interrupt that once Terraform says *interrupted_at*."""
        argv = command.apply(self.way.engine, _PLAN)
        code, said = self.way.run(self.path, argv, "apply", changes_world=True, interrupted_at=interrupted_at)
        return Did(code, _events(said), alike(self.state()))

    def validate(self) -> Did:
        """Check the configuration."""
        code, said = self.way.run(self.path, command.validate(self.way.engine), "validate")
        return Did(code, (), json.loads(said))

    def destroy(self) -> list[Did]:
        """Plan to destroy everything, and do."""
        return [self.plan(PlanOptions(destroy=True)), self.apply()]

    def state(self) -> Any:
        """The state as it is kept."""
        argv = command.state_pull(self.way.engine)
        done = subprocess.run(argv, cwd=self.path, env=self.way.environment, capture_output=True, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def hand_over(self, other: Way) -> Folder:
        """The same folder, worked on in another way from now on."""
        return Folder(other, self.path)


def _events(output: str) -> tuple[str, ...]:
    """What a command said as JSON, in an order that does not depend on what was ready first."""
    found = []
    for line in output.splitlines():
        event = json.loads(line) if line.startswith("{") else {"text": line}
        # A command that is slow says so now and then.
        if event.get("type") not in ("version", "apply_progress", "refresh_progress"):
            found.append(json.dumps(alike(event), sort_keys=True))
    return tuple(sorted(found))


def alike(value: Any) -> Any:
    """*value* without what is another one each time: times, and ids that were drawn at random."""
    if isinstance(value, dict):
        found = {name: alike(item) for name, item in value.items() if name not in _PASSING}
        for name in _UNSORTED & found.keys():
            found[name].sort(key=str)
        return found
    if isinstance(value, list):
        return [alike(item) for item in value]
    return _DRAWN.sub("<id>", value) if isinstance(value, str) else value


def differences(bare: Sequence[Did], through: Sequence[Did]) -> str:
    """Where two series of commands differ; nothing where they did the same."""
    texts = [
        [
            line
            for number, did in enumerate(series)
            for line in (
                f"{number}: exit code {did.code}",
                *did.said,
                *json.dumps(did.document, indent=1, sort_keys=True).split("\n"),
            )
        ]
        for series in (bare, through)
    ]
    return "\n".join(unified_diff(*texts, "bare", "through", lineterm="", n=2))


def both(*tasks: Callable[[], Any]) -> list[Any]:
    """Do things at the same time."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]
