"""The gateway's own process: `python -P -m infra_orch.gateway.serve`, started by client.py.

It listens on a unix socket that its starter has bound already. Each connection is one of these, told by its first line,
a JSON object with the key `do`; every answer is a line of JSON, too:

    hold      a run wants the gateway to stay, for as long as the connection lasts
    attach    a Terraform command wants its providers: answered with `reattach`, the value of TF_REATTACH_PROVIDERS, and
              `fallbacks`, the providers that it has to start itself. A line `{"pid", "born"}` may say who uses them.
              `{"do": "detach"}` closes them and is answered with what was used. Where the connection ends without that,
              whoever asked is dead: they stay open for as long as the process of that number lives.
    status    answered with what goes on
    stay      it does not end by itself, however long nobody uses it; answered as hold is
    stop      the gateway takes no more runs, and ends with the last command that is under way
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra_orch._version import __version__
from infra_orch.gateway.answers import Schemas
from infra_orch.gateway.door import Asked, Door, is_mine, listed
from infra_orch.gateway.package import Package, Packages, UnfitError, providers_of
from infra_orch.gateway.pool import Limits, Pool
from infra_orch.gateway.schemas import SchemaCache
from infra_orch.process import lives

_LONGEST_LINE = 16 << 20
_LOOK_SECONDS = 0.2
_FIRST_SECONDS = 60.0


class Gateway:
    """What goes on in the process. *folder* is private, and holds every socket."""

    def __init__(self, folder: Path, cache: Path, limits: Limits, idle: float) -> None:
        self._changed = asyncio.Event()
        self._folder = folder
        self._idle = idle
        self._pool = Pool(folder, limits)
        self._packages = Packages()
        self._schemas = Schemas(SchemaCache(cache))
        self._doors: set[Door] = set()
        self._holds = 0
        self._numbers = itertools.count()
        self._since = time.monotonic()
        self._deadline = time.monotonic() + max(idle, _FIRST_SECONDS)
        self._stopping = False
        self._ended = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            with contextlib.suppress(ConnectionError):
                asked = await _read(reader) if is_mine(writer.transport) else {}
                actions = {
                    "hold": self._hold,
                    "attach": self._attach,
                    "status": self._status,
                    "stay": self._stay,
                    "stop": self._stop,
                }
                if asked and (action := actions.get(str(asked.pop("do", "")))):
                    await action(asked, reader, writer)
        finally:
            writer.close()
            self._touch()

    async def watch(self) -> None:
        """Return once nobody needs the gateway any more."""
        while not self._ended:
            left = 0.0 if self._stopping else self._deadline - time.monotonic()
            if not self._holds and not self._doors and left <= 0:
                return
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                # While somebody uses it, only a change can end it.
                timeout = left if 0 < left < math.inf and not self._holds and not self._doors else None
                await asyncio.wait_for(self._changed.wait(), timeout)

    async def close(self) -> None:
        """End every provider."""
        for door in self._doors:
            door.close()
        await self._pool.close()

    async def _hold(self, _: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:
            return
        self._holds += 1
        try:
            await _write(writer, {"pid": os.getpid(), "version": __version__})
            await reader.read()
        finally:
            self._holds -= 1

    async def _attach(
        self, asked: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        folder = self._folder / f"{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        told = Asked.read(asked)
        door = Door(told, self._pool, self._schemas, folder)
        self._doors.add(door)
        try:
            reattach, fallbacks = await self._open(door, told)
            await _write(writer, {"reattach": reattach, "fallbacks": fallbacks})
            user: Mapping[str, Any] = {}
            while more := await _read(reader):
                if more.get("do") == "detach":
                    door.close()
                    await _write(writer, {"tally": vars(door.tally), "lost": await door.last_words()})
                    break
                user = more
            else:
                await self._outlive(user)
        finally:
            door.close()
            await door.empty()  # of what a Terraform that is gone had asked to be applied
            self._doors.discard(door)

    async def _open(self, door: Door, asked: Asked) -> tuple[dict[str, Any], list[dict[str, str]]]:
        found = [address for address in providers_of(asked.cwd) if not listed(address, asked.skipped)]
        results = await asyncio.gather(*(self._provider(door, asked, address) for address in found))
        reattach = {address: known for address, known, _ in results if known}
        return reattach, [{"provider": address, "reason": why} for address, _, why in results if why]

    async def _provider(self, door: Door, asked: Asked, address: str) -> tuple[str, dict[str, Any], str]:
        try:
            package: Package = await asyncio.to_thread(self._packages.of, asked.cwd, address)
            return address, await door.serve(package), ""
        except (UnfitError, OSError) as error:
            return address, {}, str(error)

    async def _outlive(self, user: Mapping[str, Any]) -> None:
        """Wait for the end of a command whose own starter is dead."""
        pid, born = user.get("pid"), user.get("born")
        if isinstance(pid, int):
            # The end of a process that somebody else started is no event here.
            while lives(pid, born if isinstance(born, str) else None):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)

    async def _status(self, _: Mapping[str, Any], __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        providers = [
            {
                "provider": process.place.package.address,
                "version": process.place.package.version,
                "pid": process.provider.pid,
                "configured": process.answer is not None,
                "users": len(process.users),
                "memory": process.memory,
            }
            for process in self._pool.processes
        ]
        about = {"pid": os.getpid(), "version": __version__, "seconds": time.monotonic() - self._since}
        serves = [door.about for door in self._doors]
        await _write(writer, {**about, "serves": serves, "runs": self._holds, "providers": providers})

    async def _stay(self, _: Mapping[str, Any], __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._idle = math.inf
        await _write(writer, {"pid": os.getpid(), "version": __version__})

    async def _stop(self, _: Mapping[str, Any], __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stopping = True
        await _write(writer, {"commands": len(self._doors)})

    def _touch(self) -> None:
        self._deadline = time.monotonic() + self._idle
        self._pool.trim()
        self._changed.set()

    def end(self) -> None:
        """End now, whatever goes on."""
        self._ended = True
        self._changed.set()


async def _read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next line; empty at the end, and for what is no JSON object."""
    try:
        line = await reader.readline()
        found = json.loads(line) if line.endswith(b"\n") else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def _write(writer: asyncio.StreamWriter, value: Mapping[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")
    await writer.drain()


async def _serve(options: argparse.Namespace) -> None:
    limits = Limits(options.idle_providers, options.memory << 20)
    gateway = Gateway(options.folder, options.cache, limits, options.idle_seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.end)
    listening = socket.socket(fileno=options.socket)
    server = await asyncio.start_unix_server(gateway.answer, sock=listening, limit=_LONGEST_LINE)
    try:
        await gateway.watch()
    finally:
        server.close()
        await gateway.close()


def main(arguments: list[str]) -> None:
    """Serve until nobody needs it; *arguments* as client.py gives them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--idle-providers", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True)
    parser.add_argument("--idle-seconds", type=float, required=True)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asyncio.run(_serve(options))
    finally:
        _clear(options.folder)


def _clear(folder: Path) -> None:
    """Remove the sockets, and the folder with them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


if __name__ == "__main__":
    main(sys.argv[1:])
