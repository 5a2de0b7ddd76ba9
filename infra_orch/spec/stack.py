"""Stacks, units and tasks as a spec declares them. Making one touches no network, no state and no Terraform."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, overload

from infra_orch.errors import Where
from infra_orch.project import NAME, is_stack_name
from infra_orch.spec.arguments import many, mapping, one, optional_text, shown, text
from infra_orch.spec.caller import where_called
from infra_orch.spec.credentials import Credentials
from infra_orch.spec.provider import Backend, LocalBackend, Provider
from infra_orch.spec.values import Input, Outputs

Phase: TypeAlias = Literal["plan", "apply", "destroy"]


class TaskContext(Protocol):
    """What a task is given.

    `outputs` holds, by unit and output name, the values of the units upstream of the task. `deadline` is the time (as
    of `time.monotonic()`) at which the task's time is up, or None. `sandbox` is whether the run works on the emulated
    AWS, for what would be wrong in a real account, such as made-up data.
    """

    stack: str
    run_id: str
    sandbox: bool
    log: logging.Logger
    outputs: Mapping[str, Mapping[str, Any]]
    deadline: float | None

    def run(self, argv: Sequence[str], *, cwd: str | Path | None = None, timeout: float | None = None) -> str:
        """Run a program, without a shell, and return what it printed.

        Raises TaskProgramError where it fails or is not there, and TimeoutError after *timeout* seconds.
        """

    def client(self, service: str, *, region: str | None = None) -> Any:
        """Return a boto3 client that talks to the account, or the sandbox, that this run talks to."""

    def notify(self, title: str, text: str = "", *, to: str) -> bool:
        """Send a message to the address (of a chat, an e-mail, a webhook) that the variable *to* has.

        Returns whether it was sent; where not, the task's log says why. Secrets are masked in it. In the sandbox
        nobody is told. Raises ValueError where *to* is no variable's name.
        """


TaskFunction: TypeAlias = Callable[[TaskContext], object]


@dataclass(frozen=True, eq=False)
class Unit:
    """One instance of a Terraform module in a stack. Made by `Stack.unit`."""

    name: str
    module: str
    version: str | None
    inputs: Mapping[str, Input]
    providers: Mapping[str, str]
    after: tuple[str, ...]
    protect: bool
    tags: tuple[str, ...]
    formerly: str | None
    extra_outputs: tuple[str, ...]
    sensitive_outputs: tuple[str, ...]
    credentials: Credentials | None
    where: Where

    @property
    def outputs(self) -> Outputs:
        """References to the module's outputs: `network.outputs.vpc_id`."""
        return Outputs(self.name)

    def __repr__(self) -> str:
        return f"the unit {self.name}"


@dataclass(frozen=True, eq=False)
class Task:
    """A Python function as a node of the graph. Made by `Stack.task`; calling it calls the function."""

    name: str
    function: TaskFunction
    after: tuple[str, ...]
    before: tuple[str, ...]
    on: Phase
    retries: int
    retry_delay: float
    timeout: float | None
    where: Where

    def __call__(self, context: TaskContext) -> object:
        """Call the function, as a test of the task would."""
        return self.function(context)

    def __repr__(self) -> str:
        return f"the task {self.name}"


@dataclass(frozen=True)
class UnitReference:
    """A unit of another stack. Made by `StackReference.unit`."""

    stack: str
    unit: str

    @property
    def name(self) -> str:
        """The unit as other stacks name it: `network/vpc`."""
        return f"{self.stack}/{self.unit}"

    @property
    def outputs(self) -> Outputs:
        """References to its module's outputs: `vpc.outputs.id`."""
        return Outputs(self.name)

    def __repr__(self) -> str:
        return f"the unit {self.name}"


@dataclass(frozen=True)
class StackReference:
    """Another stack of the project. Made by `Stack.reference`."""

    name: str

    def unit(self, name: str) -> UnitReference:
        """Return a unit of that stack, for its outputs, or to come `after` it. Raises ValueError for no unit's name."""
        if not NAME.fullmatch(text("the unit's name", name)):
            raise ValueError(f"{name!r} is not the name of a unit: letters, digits, _ and - make one")
        return UnitReference(self.name, name)

    def __repr__(self) -> str:
        return f"the stack {self.name}"


Node: TypeAlias = Unit | Task | UnitReference | str


@dataclass(eq=False)
class Stack:
    """A deployable whole, usually an environment.

    *name* identifies the stack and its states, wherever its folder lies. *backend* keeps each unit's state,
    *providers* are the configurations that units may use, *tags* are tags of every unit (for selection on the
    command line; tags of resources are the provider's own `default_tags`). *credentials* are those that Terraform
    works with, where these are not the environment's. *concurrency*: by tag, how many of the units that have it may be
    worked on at once (`{"account:prod": 4}`), for the sake of an API's rate limits.

    Everything here raises TypeError for an argument of the wrong kind; what is wrong with a name or a value is found
    when the stack is checked, with everything else.
    """

    name: str
    backend: Backend = field(default_factory=LocalBackend)
    providers: Sequence[Provider] = ()
    tags: Sequence[str] = ()
    credentials: Credentials | None = None
    concurrency: Mapping[str, int] = field(default_factory=dict)
    where: Where = field(init=False)
    units: list[Unit] = field(init=False, default_factory=list)
    tasks: list[Task] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        text("the stack's name", self.name)
        one("backend=", self.backend, Backend, 'a backend, like S3Backend(...) or Backend("gcs", ...)')
        self.providers = many("providers=", self.providers, Provider, "Provider(...)")
        self.tags = many("tags=", self.tags, str, "strings")
        _credentials(self.credentials)
        self.concurrency = mapping("concurrency=", self.concurrency)
        for tag, most in self.concurrency.items():
            one(f"concurrency of {tag!r}", most, int, "a whole number")
        self.where = where_called()

    @staticmethod
    def reference(name: str) -> StackReference:
        """Return another stack of the project, to refer to what is in it: `Stack.reference("network").unit("vpc")`.

        *name* is the path of its folder below `stacks/`, as on the command line. Raises ValueError for no such path.
        """
        if not is_stack_name(text("the stack's name", name)):
            raise ValueError(f"{name!r} is not the name of a stack: the path of its folder below stacks/ is")
        return StackReference(name)

    def unit(  # noqa: PLR0913 - what can be said of a unit; all but the name are given by name
        self,
        name: str,
        *,
        module: str,
        version: str | None = None,
        inputs: Mapping[str, Input] | None = None,
        providers: Mapping[str, Provider | str] | None = None,
        after: Sequence[Node] = (),
        protect: bool = False,
        tags: Sequence[str] = (),
        formerly: str | None = None,
        outputs: Sequence[str] = (),
        sensitive_outputs: Sequence[str] = (),
        credentials: Credentials | None = None,
    ) -> Unit:
        """Declare an instance of a module, and return it so that others can refer to its outputs.

        *module*: a name under `modules/`, a path that begins with `./` or `../` (from the stack's folder), a git or
        archive source as Terraform writes it (`git::https://…?ref=v1`), or a registry address with *version*, a
        constraint. *inputs*: values of the module's variables. *providers*: which configuration the module gets by
        each of its provider names (`{"aws": eu, "aws.replica": us}`); the one without an alias otherwise.
        *after*: units and tasks, and units of other stacks, to come after without taking a value from them.
        *protect*: no run destroys or replaces anything in it. *tags*: for `--tag`. *formerly*: the unit's name before
        it was renamed; its state moves along. *outputs* and *sensitive_outputs*: outputs of a remote module, whose
        files cannot be read here, to be kept. *credentials*: those that Terraform works with, in the place of the
        stack's.
        """
        unit = Unit(
            name=text("the unit's name", name),
            module=text("module=", module),
            version=optional_text("version=", version),
            inputs=mapping("inputs=", inputs),
            providers={key: _address(value) for key, value in mapping("providers=", providers).items()},
            after=_names("after=", after),
            protect=one("protect=", protect, bool, "True or False"),
            tags=tuple(dict.fromkeys((*self.tags, *many("tags=", tags, str, "strings")))),
            formerly=optional_text("formerly=", formerly),
            extra_outputs=many("outputs=", outputs, str, "names of outputs"),
            sensitive_outputs=many("sensitive_outputs=", sensitive_outputs, str, "names of outputs"),
            credentials=_credentials(credentials),
            where=where_called(),
        )
        self.units.append(unit)
        return unit

    @overload
    def task(self, function: TaskFunction, /) -> Task: ...

    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        after: Sequence[Node] = (),
        before: Sequence[Node] = (),
        on: Phase = "apply",
        retries: int = 0,
        retry_delay: float = 1.0,
        timeout: float | None = None,
    ) -> Callable[[TaskFunction], Task]: ...

    def task(
        self,
        function: TaskFunction | None = None,
        /,
        *,
        name: str | None = None,
        after: Sequence[Node] = (),
        before: Sequence[Node] = (),
        on: Phase = "apply",
        retries: int = 0,
        retry_delay: float = 1.0,
        timeout: float | None = None,
    ) -> Task | Callable[[TaskFunction], Task]:
        """Declare a function as a node of the graph: `@stack.task(after=[web])`.

        It runs after the units and tasks in *after*, before those in *before*, in every run of the kind *on*. It is
        tried again up to *retries* times, *retry_delay* seconds later and twice as long each time; each try may take
        *timeout* seconds. What it returns (as JSON has it) is recorded; what it raises fails it, not the run.
        """
        where = where_called()
        optional_text("name=", name)
        first, then = _names("after=", after), _names("before=", before)
        one("retries=", retries, int, "a whole number")
        delay = _seconds("retry_delay=", retry_delay)
        limit = None if timeout is None else _seconds("timeout=", timeout)

        def declare(function: TaskFunction) -> Task:
            if not callable(function):
                raise TypeError(f"@{self.name}.task stands above a function, not {shown(function)}")
            named = str(name or getattr(function, "__name__", type(function).__name__))
            task = Task(named, function, first, then, on, retries, delay, limit, where)
            self.tasks.append(task)
            return task

        return declare(function) if function is not None else declare


def _names(what: str, nodes: object) -> tuple[str, ...]:
    found: tuple[Node, ...] = many(what, nodes, (str, Unit, Task, UnitReference), "units, tasks or their names")
    return tuple(node if isinstance(node, str) else node.name for node in found)


def _address(provider: object) -> str:
    return provider.address if isinstance(provider, Provider) else text("a provider in providers=", provider)


def _credentials(value: object) -> Credentials | None:
    return None if value is None else one("credentials=", value, Credentials, "Credentials.role(…) or the like")


def _seconds(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} takes a number of seconds, not {shown(value)}")
    return float(value)
