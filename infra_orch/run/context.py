"""What every unit of a run shares: the engine, its environment, where logs and work folders lie, who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra_orch.engine.engine import Engine
from infra_orch.engine.providers import ProviderCache
from infra_orch.fingerprint.sources import Sources
from infra_orch.gateway.client import Gateway
from infra_orch.policies.judge import Policies
from infra_orch.process import Supervisor
from infra_orch.project import stack_and_unit
from infra_orch.redact import Redactor
from infra_orch.render.index import RenderedStack, RenderedUnit
from infra_orch.run.credentials import Wallet
from infra_orch.run.journal import Journal
from infra_orch.run.outcome import Outcome
from infra_orch.run.progress import Progress


@dataclass(frozen=True)
class Sandbox:
    """The emulator that a run is turned to: its URL, the file that turns a unit to it
    (given a state's path), where states go, what an initialised folder holds
    that it cannot keep from the world, and what it says of an error that is the emulator's own limit.
    """

    url: str
    override: Callable[[RenderedUnit, str], str]
    state: Path
    guard: Callable[[Path], list[str]]
    reason: Callable[[str], str | None]


@dataclass(frozen=True)
class RunContext:
    """What every unit of a run shares. Values only; what can change is behind the supervisor, journal and redactor.

    *environment* is the scrubbed environment that Terraform runs in. *work* is the folder of the units' work folders,
    *logs* the folder of the run's logs. *wallet* has the credentials of the units, *sources* what their modules are
    made of. *inherit* are descriptors that children keep open (the stack's lock). *gateway* serves the providers; None:
    each command starts its own. *whole_schemas* are work folders in which commands need to know all that a provider
    has. *policies* are asked about each plan; *overridden*, given a unit and what they deny of it, says who approved
    that all the same, or nothing.
    """

    run_id: str
    stack: RenderedStack
    engine: Engine
    environment: Mapping[str, str]
    init_environment: Mapping[str, str]
    providers: ProviderCache
    supervisor: Supervisor
    journal: Journal
    redactor: Redactor
    wallet: Wallet
    sources: Sources
    work: Path
    run_folder: Path
    progress: Progress = field(default_factory=Progress)
    sandbox: Sandbox | None = None
    lock_timeout: str = "0s"
    lock_platforms: tuple[str, ...] = ()
    keep_lock_files: bool = True
    inherit: tuple[int, ...] = ()
    gateway: Gateway | None = None
    whole_schemas: set[Path] = field(default_factory=set)
    policies: Policies = field(default_factory=Policies)
    overridden: Callable[[str, Outcome], str] = lambda _unit, _outcome: ""

    def log(self, node: str, step: str) -> Path:
        """The log file of a step of a node."""
        return self.run_folder / node / f"{step}.log"

    def shown(self, path: Path) -> str:
        """*path* as the user knows it."""
        return self.stack.folder.project.shown(path)


@dataclass(frozen=True)
class Contexts:
    """The contexts of a run over one stack or several.

    *whole* is told what goes on, and says when to stop. *by_stack*: those in which units are worked on, by the name of
    their stack, and those of other stacks of which units are read. In a run of one stack its nodes go without its name
    (`web`), and its own context is under "".
    """

    whole: RunContext
    by_stack: Mapping[str, RunContext]

    def of(self, node: str) -> RunContext:
        """The context of a node."""
        return self.by_stack[stack_and_unit(node)[0]]

    @property
    def journals(self) -> list[Journal]:
        """Every journal of the run, once."""
        return list({id(context.journal): context.journal for context in self.by_stack.values()}.values())
