"""A run's side of the gateway: start it, have it serve a Terraform command, and learn what became of that."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch.gateway.package import providers_of
from infra_orch.process import Program, birth

REATTACH = "TF_REATTACH_PROVIDERS"
_ANSWER_SECONDS = 180.0
"""A package is hashed and a provider started meanwhile, on machines that may be busy."""
_LONGEST_PATH = 60
"""Bytes of a folder for sockets: the address of one has 104 (macOS) or 108 (Linux), and much of that is ours."""


class GatewayError(Exception):
    """The gateway does not answer, or cannot be started."""


@dataclass(frozen=True)
class Ways:
    """How a gateway is to work.

    shared: providers whose processes serve several folders. skipped: providers that it leaves to Terraform.
    idle, memory: how many processes, and MiB of memory of all together, may stay alive unused.
    """

    cache: Path
    shared: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    idle: int = 8
    memory: int = 2048


@dataclass
class Used:
    """What a run's commands took from the gateway, and the providers that they had to start themselves, with why."""

    started: int = 0
    shared: int = 0
    fallbacks: dict[str, str] = field(default_factory=dict)


@dataclass
class Attached:
    """A command's providers: *environment* is what it needs besides its own. *lost*: what providers that ended said."""

    environment: Mapping[str, str]
    lost: list[Mapping[str, str]] = field(default_factory=list)
    _line: _Line | None = None

    def started(self, pid: int) -> None:
        """Say which process it is."""
        if self._line:
            with contextlib.suppress(GatewayError):
                self._line.send({"pid": pid, "born": birth(pid)})


class Gateway:
    """The gateway of one run: started when it is needed first, and gone with the run. Safe to use from many threads.

    *told* is told, once for each provider, why commands start it themselves.
    """

    def __init__(
        self, ways: Ways, log: Path, told: Callable[[str, str], None] = lambda _provider, _reason: None
    ) -> None:
        self.used = Used()
        self._told = told
        self._ways = ways
        self._log = log
        self._lock = threading.Lock()
        self._address = ""
        self._hold: _Line | None = None
        self._broken = ""

    @contextlib.contextmanager
    def attached(self, cwd: Path, environment: Mapping[str, str], **about: Any) -> Iterator[Attached]:
        """Serve the providers of a command in *cwd* for as long as the context lasts.

        *about* is the rest of what door.py's Asked has. Where the gateway cannot be had the command gets nothing, and
        starts its providers itself.
        """
        line = None
        if providers_of(cwd):
            try:
                line, answer = self._attach(cwd, environment, about)
            except GatewayError as error:
                self._note("every provider", str(error))
        if line is None:
            yield Attached({})
            return
        with contextlib.closing(line):
            for fallback in answer["fallbacks"]:
                self._note(fallback["provider"], fallback["reason"])
            reattach = answer["reattach"]
            attached = Attached({REATTACH: json.dumps(reattach)} if reattach else {}, _line=line)
            yield attached
            with contextlib.suppress(GatewayError):
                done = line.ask({"do": "detach"})
                attached.lost.extend(done["lost"])
                with self._lock:
                    self.used.started += done["tally"]["started"]
                    self.used.shared += done["tally"]["shared"]

    def close(self) -> None:
        """Let it go: it ends once no command is under way."""
        with self._lock:
            if self._hold:
                self._hold.close()
                self._hold = None

    def _attach(
        self, cwd: Path, environment: Mapping[str, str], about: Mapping[str, Any]
    ) -> tuple[_Line, dict[str, Any]]:
        line = _Line(self._started())
        try:
            asked = {"cwd": str(cwd), "environment": dict(environment), **about}
            lists = {"shared": self._ways.shared, "skipped": self._ways.skipped}
            return line, line.ask({"do": "attach", **asked, **lists})
        except BaseException:
            line.close()
            raise

    def _started(self) -> str:
        """The gateway's address; it is started where it does not run. Raises GatewayError where it cannot be."""
        with self._lock:
            if self._broken:
                raise GatewayError(self._broken)
            if not self._address:
                try:
                    self._address = start(self._ways, self._log)
                    self._hold = _Line(self._address)
                    self._hold.ask({"do": "hold"})
                except (OSError, GatewayError) as error:
                    self._broken = f"the gateway cannot be started: {error}"
                    raise GatewayError(self._broken) from error
            return self._address

    def _note(self, provider: str, reason: str) -> None:
        with self._lock:
            new = self.used.fallbacks.setdefault(provider, reason) is reason
        if new:
            self._told(provider, reason)


def start(ways: Ways, log: Path, *, idle_seconds: float = 0.0, folder: Path | None = None) -> str:
    """Start a gateway's process and return the path of its socket. It ends *idle_seconds* after it was used last.

    Raises OSError where it cannot be started.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="infra-orch-", dir=_short_folder()))
    path = folder / "gateway"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        # It listens before there is anybody to answer: whoever connects meanwhile is answered as soon as there is.
        listening.listen(128)
        argv = [
            *(sys.executable, "-P", "-m", "infra_orch.gateway.serve"),
            *("--socket", str(listening.fileno()), "--folder", str(folder), "--cache", str(ways.cache)),
            *("--idle-providers", str(ways.idle), "--memory", str(ways.memory), "--idle-seconds", str(idle_seconds)),
        ]
        environment = {name: value for name, value in os.environ.items() if name in _OWN}
        Program(argv, "gateway", folder, environment, stdout=log, inherit=[listening.fileno()]).start()
    return str(path)


_OWN = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"}
)
"""The gateway's own environment: what its providers get comes with each command."""


def ask(address: str, what: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the gateway at *address* one thing. Raises GatewayError where it does not answer."""
    with contextlib.closing(_Line(address)) as line:
        return line.ask(what)


class _Line:
    """A connection to the gateway. Raises GatewayError where there is nobody, or no answer."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_ANSWER_SECONDS)
            self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise GatewayError(f"the gateway is not there: {error}") from error
        self._answers = self._socket.makefile("rb")

    def send(self, value: Mapping[str, Any]) -> None:
        """Say something that is not answered."""
        try:
            self._socket.sendall(json.dumps(value).encode() + b"\n")
        except OSError as error:
            raise GatewayError(f"the gateway is gone: {error}") from error

    def ask(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Say something, and wait for the answer."""
        self.send(value)
        try:
            answer = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            raise GatewayError("the gateway gave no answer") from error
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End the connection."""
        self._answers.close()
        self._socket.close()


def _short_folder() -> str | None:
    """Where temporary files go, unless the address of a socket in there would be too long."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= _LONGEST_PATH else "/tmp"  # noqa: S108 - mkdtemp makes it private
