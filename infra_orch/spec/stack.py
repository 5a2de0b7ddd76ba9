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

    stack: the name of the stack's folder.
    run_id: the id of the run, as `infra-orch history` lists it.
    log: a logger; `infra-orch show RUN TASK` shows what it is told, with secrets hidden.
    outputs: the values of the outputs of the units upstream of the task, by unit and name.
    sandbox: whether the run works on the emulated AWS: for what would be wrong in a real account, such as made-up data.
    deadline: the time, as of `time.monotonic()`, at which the task's time is up; None where it has no `timeout`.

    Example:
        @stack.task(after=[network])
        def count_subnets(context: TaskContext) -> int:
            return len(context.outputs["network"]["subnet_ids"])
    """

    stack: str
    run_id: str
    sandbox: bool
    log: logging.Logger
    outputs: Mapping[str, Mapping[str, Any]]
    deadline: float | None

    def run(self, argv: Sequence[str], *, cwd: str | Path | None = None, timeout: float | None = None) -> str:
        """Run a program, without a shell, with the run's environment and credentials, and return what it printed.

        argv: the program and its arguments.
        cwd: the folder to run it in; None: the stack's.
        timeout: seconds that it may take; None: until the task's time is up.

        Raises TaskProgramError where it fails or is not there, and TimeoutError where its time is up.

        Example:
            @stack.task(after=[web])
            def deploy(context: TaskContext) -> str:
                return context.run(["./deploy", context.outputs["web"]["name"]], timeout=60)
        """

    def client(self, service: str, *, region: str | None = None) -> Any:
        """Return a boto3 client that talks to the account, or the sandbox, that this run talks to.

        service: as boto3 calls it: `ec2`, `s3`.
        region: as AWS calls it; None: that of the environment.

        Example:
            @stack.task(after=[store])
            def put(context: TaskContext) -> None:
                bucket = context.outputs["store"]["bucket"]
                context.client("s3").put_object(Bucket=bucket, Key="ready", Body=b"")
        """

    def notify(self, title: str, text: str = "", *, to: str) -> bool:
        """Send a message, and return whether it was sent; where not, the task's log says why.

        title: its first line.
        text: the rest. Secrets are masked in both.
        to: the name of the variable that has the address of a chat, a mailbox or a webhook.

        In the sandbox nobody is told. Raises ValueError where *to* is no variable's name.

        Example:
            @stack.task(after=[web])
            def tell(context: TaskContext) -> None:
                context.notify("web is up", to="SLACK_URL")
        """


TaskFunction: TypeAlias = Callable[[TaskContext], object]


@dataclass(frozen=True, eq=False)
class Unit:
    """One instance of a Terraform module in a stack. Made by `Stack.unit`.

    name: what the unit is called: on the command line, in paths, in its state's key.
    """

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
        """References to the module's outputs: `network.outputs.vpc_id`.

        Example:
            stack.unit("web", module="web_servers", inputs={"vpc_id": network.outputs.vpc_id})
        """
        return Outputs(self.name)

    def __repr__(self) -> str:
        return f"the unit {self.name}"


@dataclass(frozen=True, eq=False)
class Task:
    """A Python function as a node of the graph. Made by `Stack.task`; calling it calls the function.

    name: what the task is called.
    """

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
    """A unit of another stack. Made by `StackReference.unit`.

    stack: the path of that stack's folder below `stacks/`.
    unit: the name of the unit in it.
    """

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
    """Another stack of the project. Made by `Stack.reference`.

    name: the path of its folder below `stacks/`.
    """

    name: str

    def unit(self, name: str) -> UnitReference:
        """Return a unit of that stack, for its outputs, or to come `after` it.

        name: the unit's name there. Whether there is such a unit is found when the stack is checked.

        Raises ValueError for what cannot be a unit's name.
        """
        if not NAME.fullmatch(text("the unit's name", name)):
            raise ValueError(f"{name!r} is not the name of a unit: letters, digits, _ and - make one")
        return UnitReference(self.name, name)

    def __repr__(self) -> str:
        return f"the stack {self.name}"


Node: TypeAlias = Unit | Task | UnitReference | str


@dataclass(eq=False)
class Stack:
    """A deployable whole, usually an environment.

    name: identifies the stack and, in a shared backend, its states, wherever its folder lies.
    backend: where each unit's state is kept.
    providers: the provider configurations that units may use.
    tags: tags of every unit, for `--tag` on the command line. Tags of *resources* are the provider's `default_tags`.
    credentials: those that Terraform works with, where these are not the environment's.
    concurrency: by tag, how many of the units that have it may be worked on at once (`{"account:prod": 4}`), for the
        sake of an API's rate limits.

    Everything here raises TypeError for an argument of the wrong kind; what is wrong with a name or a value is found
    when the stack is checked, with everything else.

    Example:
        stack = Stack(
            "prod",
            backend=S3Backend(bucket="acme-terraform-state", region="eu-west-1"),
            providers=[Provider("aws", source="hashicorp/aws", version="~> 5.0", region="eu-west-1")],
        )
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
        """Return another stack of the project, to refer to what is in it.

        name: the path of its folder below `stacks/`, as on the command line. Whether there is such a stack is found
            when the stack is checked.

        Raises ValueError for what cannot be such a path.

        Example:
            vpc = Stack.reference("network").unit("vpc")
            stack.unit("web", module="web_servers", inputs={"vpc_id": vpc.outputs.id})
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

        name: what the unit is called: on the command line, in paths, in its state's key.
        module: a name under `modules/`, a path that begins with `./` or `../` (from the stack's folder), a git or
            archive source as Terraform writes it (`git::https://…?ref=v1`), or a registry address with *version*.
        version: a constraint, for a module of a registry.
        inputs: values of the module's variables, by name.
        providers: which configuration the module gets by each of its provider names
            (`{"aws": eu, "aws.replica": us}`); without it, the one that has no alias.
        after: units and tasks, and units of other stacks, to come after without taking a value from them.
        protect: no run destroys or replaces anything in it.
        tags: more tags, for `--tag` and *concurrency*.
        formerly: the unit's name before it was renamed; its state moves along at the next apply.
        outputs: outputs of a remote module, whose files cannot be read here, to be kept.
        sensitive_outputs: outputs to be treated as sensitive, whatever the module says.
        credentials: those that Terraform works with, in the place of the stack's.

        Raises TypeError for an argument of the wrong kind.

        Example:
            network = stack.unit(
                "network",
                module="network",
                inputs={"name": "prod", "cidr_block": "10.20.0.0/16"},
                protect=True,
            )
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
        """Declare a function as a node of the graph. What it returns, as JSON has it, is recorded.

        What it raises fails the task, not the run: what comes after it is blocked, and everything else goes on.

        name: what the task is called, where it is not the function's name.
        after: units and tasks that it comes after. It is given the outputs of the units among them, and of theirs.
        before: units and tasks that it comes before.
        on: in which kind of run: `"apply"`, `"destroy"` or `"plan"`.
        retries: how often it is tried again.
        retry_delay: seconds before the first of these, twice as many each time, 60 at most.
        timeout: seconds that each try may take.

        Raises TypeError for an argument of the wrong kind.

        Example:
            @stack.task(after=[web], retries=2, timeout=60)
            def smoke_test(context: TaskContext) -> int:
                wanted: int = context.outputs["web"]["server_count"]
                assert wanted > 0, "nobody serves"
                return wanted
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
