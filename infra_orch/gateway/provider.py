"""A provider process: started as Terraform starts it, connected to, and ended.

The handshake is that of github.com/hashicorp/go-plugin: a cookie in the environment, and one line on standard output,
`1|PROTOCOL|unix|SOCKET|grpc|CERTIFICATE`. The certificate, where there is one, is what TLS is to be checked against.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path

from infra_orch.gateway import launch
from infra_orch.gateway.http2 import Connection
from infra_orch.gateway.package import Package, UnfitError

HANDSHAKE: Mapping[str, str] = {
    "TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
    "PLUGIN_PROTOCOL_VERSIONS": "5,6",
}
START_SECONDS = 60.0
"""As long as Terraform waits."""
_LAST_WORDS = 64 << 10
_END_SECONDS = 2.0
_LINE = 64 << 10


class Provider:
    """A running provider process. *protocol* is 5 or 6. *words* is the end of what it wrote to its standard error.

    *broken* says that somebody lost a connection to it: its end may not be known yet.
    """

    def __init__(self, package: Package, process: asyncio.subprocess.Process, lifeline: int) -> None:
        self.package = package
        self.protocol = 0
        self.broken = False
        self.ended = asyncio.Event()
        self._process = process
        self._lifeline = lifeline
        self._path = ""
        self._tls: ssl.SSLContext | None = None
        self._words = bytearray()
        self._listening = asyncio.ensure_future(self._listen())
        self._tasks = [asyncio.ensure_future(self._wait())]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self.ended.is_set()

    @property
    def reachable(self) -> bool:
        """Whether it runs, answers, and has its socket where it said."""
        return self.alive and not self.broken and Path(self._path).is_socket()

    @property
    def words(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._words.decode(errors="replace")

    @property
    def exit(self) -> str:
        """How it ended."""
        code = self._process.returncode
        if code is None:
            return "it cannot be reached"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    async def heard(self) -> None:
        """Wait until it has ended and all that it said is known."""
        await self.ended.wait()
        await asyncio.shield(self._listening)

    async def connect(self) -> Connection:
        """Open a connection to it. Raises ConnectionError where it cannot be reached."""
        loop = asyncio.get_running_loop()
        try:
            name = "localhost" if self._tls else None
            _, connection = await loop.create_unix_connection(
                Connection, self._path, ssl=self._tls, server_hostname=name
            )
        except (OSError, ssl.SSLError) as error:
            raise ConnectionError(f"{self.package.address} cannot be reached: {error}") from error
        return connection

    async def end(self) -> None:
        """End it, and wait for that. Idempotent."""
        if self.alive:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ended.wait(), _END_SECONDS)
                    break
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108 - takes no time
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    async def shake_hands(self, seconds: float = START_SECONDS) -> None:
        """Read the handshake. Raises UnfitError where none comes within *seconds*, or none that is understood."""
        assert self._process.stdout
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError:
            raise UnfitError(f"it did not begin to answer within {seconds:g} s") from None
        except ValueError:
            line = b"a line without end"
        self._read_handshake(line)
        self._tasks.append(asyncio.ensure_future(_drain(self._process.stdout)))

    def _read_handshake(self, line: bytes) -> None:
        if not line:
            raise UnfitError("it ended before it had answered")
        parts = line.decode(errors="replace").strip().split("|")
        if len(parts) < 5 or parts[0] != "1" or parts[2] != "unix" or parts[4] != "grpc":
            raise UnfitError("it does not begin as providers do")
        if parts[1] not in ("5", "6"):
            raise UnfitError(f"it speaks protocol {parts[1][:20]}")
        if not Path(parts[3]).is_socket():
            raise UnfitError("there is no socket where it says")
        self.protocol, self._path = int(parts[1]), parts[3]
        if len(parts) > 5 and parts[5]:
            self._tls = _trusting(parts[5])

    async def _listen(self) -> None:
        assert self._process.stderr
        while block := await self._process.stderr.read(_LINE):
            self._words += block
            del self._words[:-_LAST_WORDS]

    async def _wait(self) -> None:
        await self._process.wait()
        self.ended.set()


async def start(package: Package, environment: Mapping[str, str], cwd: Path, sockets: Path) -> Provider:
    """Start a provider in *cwd*; its socket lies in *sockets*, if it can be told so.

    Raises UnfitError where it cannot be started or does not shake hands.
    """
    lifeline, held = os.pipe()
    argv = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(package.program)]
    values = {**environment, **HANDSHAKE, "PLUGIN_UNIX_SOCKET_DIR": str(sockets)}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=lifeline,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=cwd,
            env=values,
            start_new_session=True,
            limit=_LINE,
        )
    except BaseException as error:
        os.close(held)
        if isinstance(error, OSError):
            raise UnfitError(f"it cannot be started: {error.strerror}") from error
        raise
    finally:
        os.close(lifeline)
    provider = Provider(package, process, held)
    try:
        await provider.shake_hands()
    except BaseException:
        await provider.end()
        raise
    return provider


def _trusting(certificate: str) -> ssl.SSLContext:
    """A TLS context that trusts one certificate (base64 without padding), and nothing else."""
    try:
        der = base64.b64decode(certificate + "=" * (-len(certificate) % 4), validate=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=der)
    except (ValueError, ssl.SSLError) as error:
        raise UnfitError("the certificate in its handshake cannot be read") from error
    # It came from the provider itself: what keys are strong enough is settled as Terraform settles it, which takes RSA
    # of 1024 bits; OpenSSL refuses those above this level, whatever is trusted.
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    context.set_alpn_protocols(["h2"])
    return context


async def _drain(stream: asyncio.StreamReader) -> None:
    """Nobody reads what a provider prints after the handshake; a full pipe would stop it."""
    with contextlib.suppress(ValueError):
        while await stream.read(_LINE):
            pass
