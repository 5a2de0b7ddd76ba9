"""The provider processes of a gateway: who uses which, who may share one, and which are ended to make room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from infra_orch.gateway import calls
from infra_orch.gateway.calls import Answer
from infra_orch.gateway.http2 import Connection, Headers
from infra_orch.gateway.package import Package, UnfitError
from infra_orch.gateway.provider import Provider, start
from infra_orch.gateway.wire import WireError, has_error, message

_REMEMBERED = 2000
"""Answers of pure calls that are kept in memory."""


@dataclass(frozen=True)
class Place:
    """Where a provider process may run: its package, its folder, and its environment, told apart by *digest*."""

    package: Package
    cwd: Path
    digest: str
    environment: Mapping[str, str] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Configure:
    """A Configure call: only calls that are the same to the byte, with the same credentials, share a process.

    *kind* is what the command does that asks (plan, apply); it says something else in each.
    """

    method: str
    body: bytes = field(repr=False)
    credentials: str
    headers: Headers = field(compare=False, repr=False)
    kind: str = field(compare=False)


Key = tuple[Place, Configure | None]
"""What somebody may ask for: a process in a place, with a configuration or without."""


@dataclass
class Tally:
    """How many processes were started for somebody, and how often one that ran already was enough."""

    started: int = 0
    shared: int = 0


class User(Protocol):
    """Whoever a process serves."""

    tally: Tally


@dataclass(eq=False)
class Process:
    """A provider process and who uses it. *answer* is what its Configure was answered; None: it has no configuration.

    *key* is what others who need the same would ask for, None where it was started before somebody asked. *users* are
    the connections that it serves; *stopped* those of them that asked to stop, which *stop* does. *retired*: it serves
    these, and nobody else.
    """

    provider: Provider
    place: Place
    key: Key | None = field(repr=False)
    answer: Answer | None = None
    users: set[User] = field(default_factory=set)
    stopped: set[User] = field(default_factory=set)
    stop: Callable[[], object] | None = None
    retired: bool = False
    used: float = field(default_factory=time.monotonic)

    @property
    def memory(self) -> int:
        """Resident bytes of its own, its program aside, which all that run it share; 0 where the system is silent."""
        try:
            resident, shared = Path(f"/proc/{self.provider.pid}/statm").read_text(encoding="ascii").split()[1:3]
            pages = int(resident) - int(shared)
        except (OSError, ValueError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What may stay alive unused: so many processes, and so many bytes of memory of all processes together."""

    idle: int = 8
    memory: int = 2 << 30


class Pool:
    """Starts provider processes, hands them out, and ends them. *sockets* is a private folder for their sockets."""

    def __init__(self, sockets: Path, limits: Limits) -> None:
        self._sockets = sockets
        self._limits = limits
        self._known: dict[Key, asyncio.Future[Process]] = {}
        self._spares: dict[Place, asyncio.Future[Process]] = {}
        self._expecting: Counter[Place] = Counter()
        self._awaited: Counter[Key | None] = Counter()
        self._processes: set[Process] = set()
        self._answers: dict[object, asyncio.Future[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def processes(self) -> list[Process]:
        """Those that run."""
        return [process for process in self._processes if process.provider.alive]

    async def unconfigured(self, place: Place, user: User) -> Process:
        """A process that is never configured. Raises UnfitError where it cannot be started."""
        return await self._process((place, None), user)

    async def configured(self, place: Place, configure: Configure, user: User) -> Process:
        """A process with this configuration.

        Raises UnfitError where it cannot be started, LostError where it ends while it is configured.
        """
        return await self._process((place, configure), user)

    def expect(self, place: Place, kind: str) -> None:
        """A command of this *kind* will have a process configured: the first one's is started before it asks.

        forget() is to be called when the command is over.
        """
        self._expecting[place] += 1
        known = any(where == place and configure and configure.kind == kind for where, configure in self._known)
        if not known and place not in self._spares:
            spare = self._spares[place] = asyncio.ensure_future(self._begin(place, None))
            # Whoever needs it starts another one, and is told where that fails, too.
            spare.add_done_callback(lambda done: done.cancelled() or done.exception())

    def forget(self, place: Place) -> None:
        """A command that expect() was told of is over. What was started for the last one and not needed is ended."""
        self._expecting[place] -= 1
        if self._expecting[place]:
            return
        del self._expecting[place]
        if spare := self._spares.pop(place, None):
            spare.cancel()
            # Once it is over: where the handshake has just come, wait_for() of Python 3.11 loses the cancellation.
            spare.add_done_callback(self._not_needed)

    async def pure(self, place: Place, method: str, headers: Headers, body: bytes, tally: Tally) -> Answer:
        """The answer to a call that depends on nothing but the program, the environment and the request.

        It is asked of a process without configuration, once. Raises UnfitError where none can be started, LostError
        where it ends meanwhile, ResetError where it gives the call up.
        """
        key = (place, method, body)
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = asyncio.ensure_future(self._ask(place, headers, body, tally))
            known.add_done_callback(lambda done: _forget_failed(self._answers, key, done))
            if len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
        answer = await asyncio.shield(known)
        if not answer.ok:
            self._answers.pop(key, None)
        return answer

    def leave(self, process: Process, user: User) -> None:
        """*user* is done with a process."""
        process.users.discard(user)
        process.stopped.discard(user)
        process.used = time.monotonic()
        if process.retired and not process.users:
            self._end(process)
        if process.stop and process.users and process.users <= process.stopped:
            stop, process.stop = process.stop, None
            stop()
        self.trim()

    def retire(self, process: Process) -> None:
        """Give a process to nobody any more."""
        process.retired = True
        for key, known in list(self._known.items()):
            if _result(known) is process:
                del self._known[key]
        if not process.users:
            self._end(process)

    def may_stop(self, process: Process, user: User, stop: Callable[[], object]) -> bool:
        """Note that *user* wants what it asked for to stop; whether everyone who uses the process does.

        Where somebody does not, *stop* is called once those who do not have left.
        """
        process.stopped.add(user)
        together = process.users <= process.stopped
        process.stop = None if together else stop
        return together

    def trim(self) -> None:
        """End processes that nobody uses, the least recently used first, until what is left is within the limits."""
        waiting = set(filter(None, map(_result, self._spares.values())))
        free = (p for p in self.processes if not p.users and not p.retired and not self._awaited[p.key])
        idle = sorted((p for p in free if p not in waiting), key=lambda process: process.used)
        memory = sum(process.memory for process in self.processes) if idle else 0
        while idle and (len(idle) > self._limits.idle or memory > self._limits.memory):
            process = idle.pop(0)
            memory -= process.memory
            self.retire(process)

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(process.provider.end() for process in self.processes), return_exceptions=True)

    async def _ask(self, place: Place, headers: Headers, body: bytes, tally: Tally) -> Answer:
        user = _Caller(tally)
        process = await self.unconfigured(place, user)
        try:
            with contextlib.closing(await leg(process)) as connection:
                return await calls.call(process.provider, connection, headers, body)
        finally:
            self.leave(process, user)

    async def _process(self, key: Key, user: User) -> Process:
        while True:
            known = self._known.get(key)
            mine = known is None
            if known is None:
                known = self._known[key] = asyncio.ensure_future(self._start(key))
                known.add_done_callback(lambda done: _forget_failed(self._known, key, done))
            self._awaited[key] += 1
            try:
                process = await asyncio.shield(known)
            finally:
                self._awaited[key] -= 1
                self._awaited += Counter()  # which leaves out what is nobody's any more
                if not self._awaited[key] and not known.done():
                    # A provider that hangs while it is configured is not to keep those waiting who try again.
                    _forget(self._known, key, known)
                    known.cancel()
            if process.provider.reachable and (not process.retired or (mine and not process.users)):
                break
            _forget(self._known, key, known)
            if mine:
                raise calls.LostError(process.provider)
            self.retire(process)
        process.users.add(user)
        if mine:
            user.tally.started += 1
        else:
            user.tally.shared += 1
        return process

    async def _start(self, key: Key) -> Process:
        place, configure = key
        if configure is None:
            return await self._begin(place, key)
        process = await self._spare(place) or await self._begin(place, key)
        process.key = key
        try:
            await self._configure(process, configure)
        except BaseException:
            self._end(process)
            raise
        return process

    async def _begin(self, place: Place, key: Key | None) -> Process:
        provider = await start(place.package, place.environment, place.cwd, self._sockets)
        process = Process(provider, place, key)
        self._processes.add(process)
        self._keep(self._watch(process))
        return process

    def _not_needed(self, done: asyncio.Future[Process]) -> None:
        if process := _result(done):
            self.retire(process)

    async def _spare(self, place: Place) -> Process | None:
        """The process that was started because one would be needed."""
        if waiting := self._spares.pop(place, None):
            with contextlib.suppress(UnfitError):
                process = await waiting
                if process.provider.reachable and not process.retired:
                    return process
        return None

    async def _configure(self, process: Process, configure: Configure) -> None:
        with contextlib.closing(await leg(process)) as connection:
            process.answer = await calls.call(process.provider, connection, configure.headers, configure.body)
        if _is_refused(configure, process.answer):
            process.retired = True  # it is for the one who asked to see that, and for nobody to work with

    async def _watch(self, process: Process) -> None:
        await process.provider.ended.wait()
        self._processes.discard(process)
        self.retire(process)

    def _end(self, process: Process) -> None:
        self._processes.discard(process)
        self._keep(process.provider.end())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _result(future: asyncio.Future[Process]) -> Process | None:
    """The process that was started; None where it is not there yet, or could not be."""
    return None if not future.done() or future.cancelled() or future.exception() else future.result()


def _forget_failed(known: dict[Any, Any], key: object, done: asyncio.Future[Any]) -> None:
    """Whoever asks next is to try anew."""
    if done.cancelled() or done.exception():
        _forget(known, key, done)


def _forget(known: dict[Any, Any], key: object, future: asyncio.Future[Any]) -> None:
    """Somebody else may have taken the place of *future* meanwhile."""
    if known.get(key) is future:
        del known[key]


def _is_refused(configure: Configure, answer: Answer) -> bool:
    """Whether a provider could not be configured, or what it says of that cannot be read."""
    said = message(answer.body)
    try:
        return not answer.ok or said is None or has_error(configure.method.rpartition("/")[2], said)
    except WireError:
        return True


@dataclass(eq=False)
class _Caller:
    """Uses a process for one call."""

    tally: Tally


async def leg(process: Process) -> Connection:
    """A connection to a process for one of its users. Raises LostError where it is gone."""
    try:
        return await process.provider.connect()
    except ConnectionError as error:
        raise calls.LostError(process.provider) from error
