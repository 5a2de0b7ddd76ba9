"""One provider instance of one Terraform command, which is one connection: what becomes of every call on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from infra_orch.gateway import calls
from infra_orch.gateway.calls import GONE, INTERNAL, UNAVAILABLE, UNIMPLEMENTED, Answer, Collecting, Joined, Request
from infra_orch.gateway.credentials import credentials_digest
from infra_orch.gateway.http2 import Connection, Headers, Sink, Stream
from infra_orch.gateway.nearby import Surroundings
from infra_orch.gateway.package import Package, UnfitError
from infra_orch.gateway.pool import Configure, Place, Pool, Process, Tally, leg
from infra_orch.gateway.provider import Provider
from infra_orch.gateway.schemas import KEPT
from infra_orch.gateway.wire import Creation, configuration, created_id, creation, framed, message

_VALIDATE_PROVIDER = frozenset({"PrepareProviderConfig", "ValidateProviderConfig"})
_CONFIGURE = frozenset({"Configure", "ConfigureProvider"})
_STOP = frozenset({"Stop", "StopProvider"})
_APPLY = "ApplyResourceChange"
_SINGLE = frozenset(
    {
        *KEPT,
        *_VALIDATE_PROVIDER,
        *_CONFIGURE,
        *_STOP,
        _APPLY,
        "ValidateResourceTypeConfig",
        "ValidateResourceConfig",
        "ValidateDataSourceConfig",
        "ValidateDataResourceConfig",
        "ValidateEphemeralResourceConfig",
        "UpgradeResourceState",
        "UpgradeResourceIdentity",
        "ReadResource",
        "PlanResourceChange",
        "ImportResourceState",
        "MoveResourceState",
        "ReadDataSource",
        "OpenEphemeralResource",
        "RenewEphemeralResource",
        "CloseEphemeralResource",
        "CallFunction",
    }
)
"""Calls of one request and one answer, which are read as a whole. Every other call passes through as it comes."""

_EXPIRED = (
    b"ExpiredToken",
    b"RequestExpired",
    b"TokenRefreshRequired",
    b"token included in the request is expired",
    b"SSO session has expired",
    b"SSO session associated with this profile has expired",
    b"token has expired",
    b"invalid_grant",
)
"""What clouds say of credentials that are no longer good."""


_INTERNAL_ERROR = 2
"""The code of HTTP/2."""
_SERVING = b"\x08\x01"
"""HealthCheckResponse with the status SERVING (github.com/grpc/grpc-proto, health/v1/health.proto)."""


@dataclass(frozen=True)
class Terms:
    """What is true of every instance of one provider in one Terraform command.

    *place* is where a process for this command alone runs, *shared* where one runs that others use too; None: this
    provider's processes are not shared across folders. *schema* answers the calls of KEPT. *created* is told of what
    ApplyResourceChange created (type, id, what was planned), and returns when that is on disk.
    *lost* is told of providers that ended while they were used. *kind* is what the command does that will configure it.
    """

    package: Package
    place: Place
    shared: Place | None
    schema: Callable[[Request], Awaitable[Answer]]
    created: Callable[[Creation, str], Awaitable[None]]
    lost: Callable[[Provider], None]
    kind: str


@dataclass(eq=False)
class Session:
    """The calls of one connection. *terms* say for whom; processes come from *pool*."""

    terms: Terms
    pool: Pool
    closed: Callable[[Session], None]
    tally: Tally
    _near: bool = False
    _gone: bool = False
    _base: Process | None = None
    _configured: Process | None = None
    _configure: Configure | None = None
    _legs: dict[Process, asyncio.Future[Connection]] = field(default_factory=dict)
    _used: set[Process] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _surroundings: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        self._surroundings = Surroundings(self.terms.place.cwd)

    def opened(self, stream: Stream, headers: Headers) -> Sink:
        """Take a call; what it sends goes to the sink that is returned."""
        path = next((value for name, value in headers if name == b":path"), b"").decode(errors="replace")
        service, _, name = path.lstrip("/").partition("/")
        if own := _of_the_plugin_library(service, name):
            own.send(stream)
            return Joined()
        if not service.startswith("tfplugin") or name not in _SINGLE:
            joined = Joined()
            joined.source = stream
            self._do(self._join(stream, headers, joined))
            return joined
        request = Request(stream, path, headers, asyncio.get_running_loop().create_future())
        request.task = self._do(self._serve(request))
        return Collecting(request)

    def lost(self) -> None:
        """Terraform closed the connection. What it had asked to be applied goes on to its end."""
        self._gone = True
        if not self._tasks:
            self._leave()

    def _leave(self) -> None:
        for connection in self._legs.values():
            if connection.done() and not connection.cancelled() and not connection.exception():
                connection.result().close()
        self._legs.clear()
        for process in self._used:
            self.pool.leave(process, self)
        self._used.clear()
        self.closed(self)

    async def _serve(self, request: Request) -> None:
        body = await request.whole
        try:
            answer = await self._answer(request, body)
        except calls.ResetError as error:
            request.stream.reset(error.code)
            return
        except (UnfitError, OSError) as error:
            answer = self._failure(error)
        except BaseException:
            request.stream.reset(_INTERNAL_ERROR)  # nobody is to wait for an answer that does not come
            raise
        answer.send(request.stream)

    def _failure(self, error: Exception) -> Answer:
        """What is answered where a call came to no answer of the provider."""
        if isinstance(error, calls.LostError):
            if error.who:
                self.terms.lost(error.who)
            return Answer.failure(UNAVAILABLE, GONE)
        if isinstance(error, UnfitError):
            return Answer.failure(UNAVAILABLE, f"the provider {self.terms.package.address} cannot be used: {error}")
        return Answer.failure(INTERNAL, f"infra-orch's provider gateway: {error}")

    async def _answer(self, request: Request, body: bytes) -> Answer:
        name = request.name
        if name in KEPT and message(body) == b"":
            return await self.terms.schema(request)
        if name in _VALIDATE_PROVIDER:
            return await self.pool.pure(self._place(body), request.method, request.headers, body, self.tally)
        if name in _CONFIGURE:
            return await self._settle(request, body)
        if name in _STOP:
            return await self._stop(request, body)
        process = await self._process(body)
        if name == _APPLY:
            return await self._apply(process, request, body)
        return await self._ask(process, request, body)

    async def _ask(self, process: Process, request: Request, body: bytes) -> Answer:
        answer = await calls.call(process.provider, await self._leg(process), request.headers, body)
        if process is self._configured and _expired(answer):
            self.pool.retire(process)
        return answer

    async def _apply(self, process: Process, request: Request, body: bytes) -> Answer:
        """Nothing stops this but the one who asked: what was created must become known."""
        request.endures = True
        wanted = creation(message(body) or b"")
        answer = await self._ask(process, request, body)
        if wanted and answer.ok and (made := created_id(message(answer.body) or b"")):
            await self.terms.created(wanted, made)
        return answer

    async def _settle(self, request: Request, body: bytes) -> Answer:
        """Find the process that has this configuration, or have one configured so."""
        if self._configure:
            raise OSError("a provider instance was configured twice")
        place = self._place(body)
        digest = credentials_digest(place.environment, configuration(message(body) or b""), place.cwd)
        self._configure = Configure(request.method, body, digest, request.headers, self.terms.kind)
        process = await self._process(body)
        assert process.answer
        if _expired(process.answer):
            self.pool.retire(process)
        return process.answer

    async def _stop(self, request: Request, body: bytes) -> Answer:
        """Stop everything that goes on in the process, unless another instance relies on it."""
        process = self._configured
        if process is None or not process.provider.alive:
            return Answer.of(framed(b""))

        async def later() -> None:
            with contextlib.suppress(calls.LostError, calls.ResetError):
                self.pool.retire(process)
                await self._ask(process, request, body)

        if not self.pool.may_stop(process, self, lambda: self._do(later())):
            return Answer.of(framed(b""))
        self.pool.retire(process)
        return await self._ask(process, request, body)

    def _place(self, body: bytes) -> Place:
        """Where a call is to go: once one was about something in the unit's own folder, all that follow go there."""
        if self.terms.shared and not self._near and self._surroundings.mentioned(body):
            self._near = True
        return self.terms.place if self._near or not self.terms.shared else self.terms.shared

    async def _process(self, body: bytes) -> Process:
        """The process that a call goes to."""
        place = self._place(body)
        if self._configure:
            if self._configured is None or self._configured.place != place:
                self._configured = await self.pool.configured(place, self._configure, self)
                self._used.add(self._configured)
            return self._configured
        if self._base is None or self._base.place != place or not self._base.provider.alive:
            self._base = await self.pool.unconfigured(place, self)
            self._used.add(self._base)
        return self._base

    async def _leg(self, process: Process) -> Connection:
        """The connection of its own to a process."""
        known = self._legs.get(process)
        if known is None or (known.done() and (known.exception() or not known.result().open)):
            known = self._legs[process] = asyncio.ensure_future(leg(process))
        return await asyncio.shield(known)

    async def _join(self, stream: Stream, headers: Headers, request: Joined) -> None:
        """Let a call through that the gateway does not read."""
        try:
            process = await self._process(b"")
            connection = await self._leg(process)
            answer = Joined(stream, lost=lambda: self.terms.lost(process.provider))
            onward = answer.source = connection.call(headers, answer)
        except (UnfitError, OSError) as error:
            self._failure(error).send(stream)
            return
        request.to(onward)

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": "a call failed", "exception": error})
        if self._gone and not self._tasks:
            self._leave()


def _expired(answer: Answer) -> bool:
    """Whether a cloud refused the credentials because of their age."""
    return any(words in answer.body for words in _EXPIRED)


def _of_the_plugin_library(service: str, name: str) -> Answer | None:
    """The answer to what go-plugin asks for itself; None where the call is not its own.

    A provider that others may use is not shut down, and has one standard output for all.
    """
    if service == "grpc.health.v1.Health" and name == "Check":
        return Answer.of(framed(_SERVING))
    if service == "plugin.GRPCController":
        return Answer.of(framed(b""))
    if service.startswith(("plugin.", "grpc.health.")):
        return Answer.failure(UNIMPLEMENTED, f"unknown service {service}")
    return None
