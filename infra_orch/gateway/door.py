"""Where one Terraform command finds its providers: a socket for each, open for as long as the command lasts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.files import append_private, private_folder
from infra_orch.gateway.answers import SCHEMA, Schemas
from infra_orch.gateway.calls import Answer, Request
from infra_orch.gateway.http2 import Connection
from infra_orch.gateway.keep import names_of
from infra_orch.gateway.package import Package
from infra_orch.gateway.pool import Place, Pool, Process, Tally
from infra_orch.gateway.provider import Provider
from infra_orch.gateway.session import Session, Terms
from infra_orch.gateway.wire import Creation, framed

COMMON = ".providers"
"""The empty folder, beside the units' work folders, that shared processes run in."""
JOURNAL_SCHEMA = 1
_LAST_WORDS_SECONDS = 1.0
_UNTOLD = re.compile(
    r"TF_VAR_.*|TF_CLI_CONFIG_FILE|INFRA_ORCH_.*|PWD|OLDPWD|SHLVL|_|TERM|TERM_.*|COLORTERM|COLUMNS|LINES|LS_COLORS"
    r"|WINDOWID|TMUX.*|STY|SSH_TTY|SSH_CLIENT|SSH_CONNECTION|PYTEST_CURRENT_TEST"
)
"""Variables of Terraform, of a shell, of a terminal or of pytest: they tell commands apart, and mean nothing to a
provider."""


@dataclass(frozen=True)
class Asked:
    """What a Terraform command is: its folder, environment, and what of it the gateway has to know.

    kind: what it does with providers that it configures (plan, apply); empty where it configures none.
    plan: the plan file that is shown or applied. journal: where what is created is noted, None where nothing can be.
    only_schemas: it asks for nothing else, so no process is needed where these are known. whole: they are not pruned.
    shared: providers whose processes serve several folders. skipped: providers that are left to Terraform.
    common: the folder below which shared processes run; None: that of *cwd*.
    """

    cwd: Path
    environment: Mapping[str, str] = field(repr=False)
    node: str = ""
    step: str = ""
    kind: str = ""
    plan: str | None = None
    journal: Path | None = None
    only_schemas: bool = False
    whole: bool = False
    shared: Sequence[str] = ()
    skipped: Sequence[str] = ()
    common: Path | None = None

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Asked:
        """From its JSON form."""
        paths = {name: Path(data[name]) if data.get(name) else None for name in ("journal", "common")}
        return cls(**{**data, **paths, "cwd": Path(data["cwd"])})


class Door:
    """The sockets of one command. *tally* counts what it took; *lost* are providers that ended under it."""

    def __init__(self, asked: Asked, pool: Pool, schemas: Schemas, folder: Path) -> None:
        self.tally = Tally()
        self.lost: list[Provider] = []
        self._asked = asked
        self._pool = pool
        self._schemas = schemas
        self._folder = folder
        self._servers: list[asyncio.AbstractServer] = []
        self._used: list[Process] = []
        self._expected: list[Place] = []
        self._sessions: set[Session] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._names: frozenset[bytes] | None = None
        self._plan: dict[str, list[Mapping[str, Any]]] | None = None
        told = {name: value for name, value in asked.environment.items() if not _UNTOLD.fullmatch(name)}
        self._environment = told
        self._digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    @property
    def about(self) -> dict[str, str | None]:
        """Which command it serves."""
        journal = self._asked.journal
        return {"node": self._asked.node, "step": self._asked.step, "journal": str(journal) if journal else None}

    async def empty(self) -> None:
        """Wait until Terraform is no longer connected, and nothing goes on that it asked for."""
        await self._empty.wait()

    async def serve(self, package: Package) -> dict[str, Any]:
        """Open a socket for a provider; what TF_REATTACH_PROVIDERS says of it.

        Raises UnfitError where the provider cannot be started.
        """
        protocol = self._schemas.protocol(package) if self._asked.only_schemas else None
        terms = self._terms(package)
        if protocol is None:
            place = terms.shared or terms.place
            if self._asked.kind:
                self._pool.expect(place, self._asked.kind)
                self._expected.append(place)
            process = await self._pool.unconfigured(place, self)
            self._used.append(process)
            protocol = process.provider.protocol
        path = self._folder / f"{len(self._servers)}"
        server = await asyncio.get_running_loop().create_unix_server(lambda: self._connection(terms), str(path))
        self._servers.append(server)
        return {
            "Protocol": "grpc",
            "ProtocolVersion": protocol,
            "Pid": os.getpid(),
            "Test": True,
            "Addr": {"Network": "unix", "String": str(path)},
        }

    def close(self) -> None:
        """Let nobody in any more; calls under way go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for process in self._used:
            self._pool.leave(process, self)
        self._used.clear()
        for place in self._expected:
            self._pool.forget(place)
        self._expected.clear()
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    async def last_words(self) -> list[dict[str, str]]:
        """What providers that ended under this command said at last, and how they ended."""
        told = []
        for provider in self.lost:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(provider.heard(), _LAST_WORDS_SECONDS)
            told.append({"provider": provider.package.address, "end": provider.exit, "words": provider.words})
        return told

    def _terms(self, package: Package) -> Terms:
        asked = self._asked
        own = Place(package, asked.cwd, self._digest, self._environment)
        shared = None
        if listed(package.address, asked.shared):
            shared = Place(
                package, private_folder((asked.common or asked.cwd.parent) / COMMON), self._digest, self._environment
            )
        return Terms(
            package,
            own,
            shared,
            lambda request: self._schema(package, shared or own, request),
            self._created,
            self._lose,
            asked.kind,
        )

    def _connection(self, terms: Terms) -> Connection:
        session = Session(terms, self._pool, self._ended, self.tally)
        self._sessions.add(session)
        self._empty.clear()
        return Connection(opened=session.opened, lost=session.lost, made=is_mine)

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._empty.set()

    def _lose(self, provider: Provider) -> None:
        provider.broken = True
        if provider not in self.lost:
            self.lost.append(provider)

    async def _schema(self, package: Package, place: Place, request: Request) -> Answer:
        async def ask() -> Answer:
            return await self._pool.pure(place, request.method, request.headers, framed(b""), self.tally)

        kept = await self._schemas.answer(package, request, ask)
        if isinstance(kept, Answer):
            return kept
        if request.name not in SCHEMA or self._asked.whole or kept.status:
            return self._schemas.whole(kept)
        try:
            schema = self._schemas.schema(package, kept)
            names = self._names = (
                self._names if self._names is not None else names_of(self._asked.cwd, self._asked.plan)
            )
            return Answer.of(framed(schema.pruned(names)))
        except (OSError, ValueError):
            return self._schemas.whole(kept)

    async def _created(self, wanted: Creation, made: str) -> None:
        """Note what was created, on disk when this returns: the Terraform that asked for it may be gone."""
        if self._asked.journal is None:
            return
        facts = {"node": self._asked.node, "step": self._asked.step, "type": wanted.type, "id": made}
        entry = {"schema": JOURNAL_SCHEMA, "event": "created", "at": time.time(), **facts}
        entry["addresses"] = self._addresses(wanted)
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        try:
            await asyncio.to_thread(append_private, self._asked.journal, line, durable=True)
        except OSError as error:
            # Terraform has to get its answer all the same: what it gets goes into its state.
            what = {"message": f"{wanted.type} {made} was created, which cannot be noted", "exception": error}
            asyncio.get_running_loop().call_exception_handler(what)

    def _addresses(self, wanted: Creation) -> list[str]:
        """The addresses in the plan that a creation may be: those of its type that want the same, as far as is known.

        The call itself has no address.
        """
        if self._plan is None:
            self._plan = _creations(self._asked.cwd / f"{self._asked.plan}.json")
        same = [c for c in self._plan.get(wanted.type, []) if _fits(c["change"].get("after"), wanted.planned)]
        return [str(change["address"]) for change in same]


def _creations(path: Path) -> dict[str, list[Mapping[str, Any]]]:
    """The resources that a plan creates, by type; none where it cannot be read."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    try:
        for change in json.loads(path.read_bytes()).get("resource_changes", []):
            if "create" in change["change"]["actions"]:
                found.setdefault(change["type"], []).append(change)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found


def _fits(planned: Any, asked: Any) -> bool:
    """Whether what a plan says is in what was asked for; numbers, which JSON may round, are not compared."""
    if isinstance(planned, dict):
        return isinstance(asked, dict) and all(_fits(value, asked.get(name)) for name, value in planned.items())
    if isinstance(planned, (str, bool)):
        return bool(planned == asked)
    return True


def listed(address: str, patterns: Sequence[str]) -> bool:
    """Whether a provider is among those that a list names, with or without its registry's host."""
    return address in patterns or address.partition("/")[2] in patterns


def is_mine(transport: asyncio.BaseTransport) -> bool:
    """Whether a process of this user is at the other end, where the system says so."""
    known = transport.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = struct.unpack("3i", known.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.getuid())
