"""One stack under test: planned, applied, planned again and destroyed in the sandbox."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from infra_orch.commands.opening import Opened, open_declared
from infra_orch.commands.sandboxing import sandbox_of
from infra_orch.console import Console
from infra_orch.errors import UserError
from infra_orch.run.task_context import client_of
from infra_orch.run.values import plain
from infra_orch.sandbox import leftovers, server
from infra_orch.sandbox.redirect import DEAD_PROXY, apply_redirect, sandbox_environment
from infra_orch.testing.applied import Applied
from infra_orch.testing.declared import Declared
from infra_orch.testing.failed import RunFailedError
from infra_orch.testing.planned import Planned
from infra_orch.testing.resources import Resources
from infra_orch.testing.runs import ApplyRun, PlanRun, Stage, apply_run, destroy_run, outputs_seen, plan_run, task_run
from infra_orch.testing.values import MissingError, Named

if TYPE_CHECKING:
    from infra_orch.testing.workshop import Workshop

T = TypeVar("T")
_SHOWN = 20


@dataclass(eq=False)
class Trial:
    """A stack under test. *destroys*: it is destroyed after its tests."""

    workshop: Workshop
    declared: Declared
    destroys: bool = True
    _plan: PlanRun | None = field(default=None, init=False)

    @cached_property
    def before(self) -> list[Trial]:
        """The stacks that it refers to, each after those that it refers to itself."""
        return [Trial(self.workshop, other, self.destroys) for other in self.declared.before()]

    @cached_property
    def opened(self) -> Opened:
        """The stack, ready to be run."""
        return self._open(self.declared)

    @cached_property
    def uses_aws(self) -> bool:
        """Whether it, or a stack that it refers to, needs an emulated AWS."""
        return self.declared.uses_aws or any(trial.declared.uses_aws for trial in self.before)

    @cached_property
    def url(self) -> str:
        """The URL of the emulator; that of a closed port where none is needed."""
        return self.workshop.emulator(self.declared.folder.project) if self.uses_aws else DEAD_PROXY

    @property
    def stage(self) -> Stage:
        """What its runs go on."""
        return Stage(self.opened, self.url, self.workshop.gateway(self.declared.folder.project))

    def plan(self) -> Planned:
        """Plan it, once. Raises RunFailedError where that fails, UserError as the commands do."""
        return self._planned().planned

    @contextlib.contextmanager
    def applied(self) -> Iterator[Applied]:
        """Apply it, after the stacks that it refers to, and destroy them in the end.

        Raises RunFailedError where that fails, or something is left.
        """
        there = leftovers.baseline(self.url) if self.uses_aws else frozenset()
        clients: dict[tuple[str, str | None], Any] = {}
        try:
            for trial in self.before:
                trial.url = self.url  # of one that uses no AWS, too: their states lie with the emulator
                apply_run(trial.stage, plan_run(trial.stage))
            if self.before:
                self._plan = None  # what it knows of them has changed
            yield self._seen(apply_run(self.stage, self._planned()), clients)
            if self.destroys:
                self._destroy(there)
        finally:
            for client in clients.values():
                client.close()
            self._forget(there)

    def close(self) -> None:
        """Remove its folder, where it was declared in a test file and so is in nobody's project."""
        if self.declared.own:
            shutil.rmtree(self.declared.folder.path, ignore_errors=True)

    def _planned(self) -> PlanRun:
        if self._plan is None:
            self._plan = plan_run(self.stage)
        return self._plan

    def _open(self, declared: Declared) -> Opened:
        quiet = Console(out=io.StringIO(), err=io.StringIO())
        stacks = [*(trial.declared for trial in self.before), declared]
        return open_declared({one.folder.name: (one.rendering, one.stack) for one in stacks}, quiet)[
            declared.folder.name
        ]

    def _destroy(self, there: frozenset[str]) -> None:
        for trial in (self, *reversed(self.before)):
            destroy_run(trial.stage)
        left = leftovers.leftovers(self.url, there) if self.uses_aws else []
        if left:
            shown = [*left[:_SHOWN], *([f"and {len(left) - _SHOWN} more"] if len(left) > _SHOWN else [])]
            what = f"after the destroy of {self.declared.stack.name} there still is"
            raise RunFailedError("\n  ".join([what, *shown]))

    def _forget(self, there: frozenset[str]) -> None:
        """Let nothing of it be in the way of what comes next."""
        self._plan = None
        for trial in (self, *self.before):
            shutil.rmtree(sandbox_of(trial.declared.folder, self.url).state, ignore_errors=True)
        if self.uses_aws and leftovers.leftovers(self.url, there):
            server.empty(self.url)

    def _seen(self, done: ApplyRun, clients: dict[tuple[str, str | None], Any]) -> Applied:
        seen = {name: Named(outputs_seen(found), f"output of {name} called") for name, found in done.outputs.items()}
        revealed = {
            name: Named({key: plain(output.value) for key, output in found.items()}, f"output of {name} called")
            for name, found in done.outputs.items()
        }

        def client(service: str, region: str | None) -> Any:
            if not self.uses_aws:
                name = self.declared.stack.name
                raise RunFailedError(f"{name} uses no AWS provider, so there is no emulated AWS to talk to")
            if (service, region) not in clients:
                clients[service, region] = client_of(self._environment, service, region)
            return clients[service, region]

        def run(task: str) -> Any:
            __tracebackhide__ = True
            if task not in self.opened.tasks:
                raise MissingError(f'task "{task}"', task, self.opened.tasks)
            return self._as_message(lambda: task_run(self.stage, task, done.outputs))

        return Applied(
            self.declared.stack.name,
            Named(seen, "unit"),
            Named(done.tasks, "task"),
            Resources(done.resources, tuple(self.declared.checked.units)),
            Named(revealed, "unit"),
            client,
            self._again,
            run,
        )

    def _again(self, inputs: Mapping[str, Mapping[str, Any]]) -> Planned:
        """Plan it once more, with other inputs of units."""
        __tracebackhide__ = True
        return self._as_message(lambda: self._planned_with(inputs))

    def _planned_with(self, inputs: Mapping[str, Mapping[str, Any]]) -> Planned:
        if not inputs:
            return plan_run(self.stage).planned
        other = self.declared.with_inputs(inputs)
        try:
            return plan_run(replace(self.stage, opened=self._open(other))).planned
        finally:
            self._open(self.declared)

    def _as_message(self, work: Callable[[], T]) -> T:
        """Do *work*; of what fails in it, a test is shown the message alone. Raises RunFailedError."""
        __tracebackhide__ = True
        try:
            return work()
        except UserError as error:
            words = [f"{one.message} {one.hint}".rstrip() for one in error.problems]
            failed = RunFailedError(self.workshop.told("\n".join(words)))
        raise failed from None

    @property
    def _environment(self) -> Mapping[str, str]:
        return apply_redirect(os.environ, sandbox_environment(self.url, self.opened.emulated_region))
