"""A run's side of the gateway: start it, have it serve a Terraform command, and learn what became of that."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra_orch._version import __version__
from infra_orch.gateway.package import providers_of
from infra_orch.process import Program, birth

REATTACH = "TF_REATTACH_PROVIDERS"
_ANSWER_SECONDS = 180.0
"""A package is hashed and a provider started meanwhile, on machines that may be busy."""
_STATUS_SECONDS = 5.0
_END_SECONDS = 5.0
IDLE_SECONDS = 600.0
"""After so long without a command a gateway that outlives runs ends."""
_SOCKET = "gateway"
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
    """The gateway of one run: started when it is needed first. Safe to use from many threads.

    It is gone with the run, unless it is *warm*: then one serves all runs of this user, and ends when it is idle for
    long. One that was started by hand serves every run. *told* is told, once for each provider, why commands start it
    themselves; *found* is told the gateway's address.
    """

    def __init__(
        self,
        ways: Ways,
        log: Path,
        *,
        warm: bool = False,
        told: Callable[[str, str], None] = lambda _provider, _reason: None,
        found: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.used = Used()
        self._told = told
        self._found = found
        self._ways = ways
        self._log = log
        self._warm = warm
        self._lock = threading.Lock()
        self._address = ""
        self._hold: _Line | None = None
        self._process: threading.Thread | None = None
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
        """Let it go: it ends once no command is under way, and its providers with it."""
        with self._lock:
            if self._hold:
                self._hold.close()
                self._hold = None
        if self._process:
            self._process.join(_END_SECONDS)

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
                    self._address, self._hold = self._open()
                except (OSError, GatewayError) as error:
                    self._broken = f"the gateway cannot be started: {error}"
                    raise GatewayError(self._broken) from error
                self._found(self._address)
            return self._address

    def _open(self) -> tuple[str, _Line]:
        place = WarmPlace.of(self._ways)
        if address := place.address():
            with contextlib.suppress(GatewayError):
                return address, _hold(address)
        if self._warm:
            address, _ = place.start(self._ways, IDLE_SECONDS)
        else:
            address, self._process = start(self._ways, self._log, _private_folder())
        return address, _hold(address)

    def _note(self, provider: str, reason: str) -> None:
        with self._lock:
            new = self.used.fallbacks.setdefault(provider, reason) is reason
        if new:
            self._told(provider, reason)


@dataclass(frozen=True)
class WarmPlace:
    """Where this user's gateway that outlives runs is found: a link in a private folder to the folder of its socket."""

    link: Path

    @classmethod
    def of(cls, ways: Ways) -> WarmPlace:
        """The place for gateways of this version that keep schemas in one cache."""
        key = hashlib.sha256(f"{__version__}\n{__file__}\n{ways.cache}".encode()).hexdigest()[:8]
        return cls(_short_folder() / f"infra-orch-{os.getuid()}" / key)

    def address(self) -> str | None:
        """The address of the gateway that may run; None where there is none. Raises GatewayError as start() does."""
        if not self.link.is_symlink():
            return None
        self._check()
        return str(self.link.resolve() / _SOCKET)

    def start(self, ways: Ways, idle_seconds: float) -> tuple[str, bool]:
        """The address of the gateway that runs, and whether it was started just now.

        Raises GatewayError where somebody else has taken the place, OSError where it cannot be started.
        """
        self.link.parent.mkdir(mode=0o700, exist_ok=True)
        self._check()
        with (self.link.parent / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if address := self.address():
                with contextlib.suppress(GatewayError):
                    ask(address, {"do": "status"}, seconds=_STATUS_SECONDS)
                    return address, False
            folder = Path(tempfile.mkdtemp(dir=self.link.parent))
            address, _ = start(ways, self.link.parent / "log", folder, idle_seconds=idle_seconds)
            new = folder.with_suffix(".link")
            new.symlink_to(folder)
            new.replace(self.link)
            return address, True

    def _check(self) -> None:
        """Others can write where temporary files go: whatever is in there has to be this user's, and private."""
        known = self.link.parent.lstat()
        if not stat.S_ISDIR(known.st_mode) or known.st_uid != os.getuid() or known.st_mode & 0o077:
            raise GatewayError(f"{self.link.parent} is not a private folder of yours; remove it")


def start(ways: Ways, log: Path, folder: Path, *, idle_seconds: float = 0.0) -> tuple[str, threading.Thread]:
    """Start a gateway's process in *folder*, which is private: the path of its socket, and a thread that ends with it.

    It ends *idle_seconds* after it was used last. Raises OSError where it cannot be started.
    """
    path = folder / _SOCKET
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
        running = Program(argv, "gateway", folder, environment, stdout=log, inherit=[listening.fileno()]).start()
    reaper = threading.Thread(target=running.process.wait, name="gateway", daemon=True)
    reaper.start()
    return str(path), reaper


_OWN = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"}
)
"""The gateway's own environment: what its providers get comes with each command."""


def _hold(address: str) -> _Line:
    """Have a gateway stay. Raises GatewayError where it is about to end."""
    line = _Line(address)
    try:
        line.ask({"do": "hold"})
    except GatewayError:
        line.close()
        raise
    return line


def ask(address: str, what: Mapping[str, Any], *, seconds: float = _ANSWER_SECONDS) -> dict[str, Any]:
    """Ask the gateway at *address* one thing. Raises GatewayError where it does not answer within *seconds*."""
    with contextlib.closing(_Line(address, seconds)) as line:
        return line.ask(what)


class _Line:
    """A connection to the gateway. Raises GatewayError where there is nobody, or no answer."""

    def __init__(self, address: str, seconds: float = _ANSWER_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(seconds)
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
        if not isinstance(answer, dict):
            raise GatewayError("the gateway gave an answer that is none")
        return answer

    def close(self) -> None:
        """End the connection."""
        self._answers.close()
        self._socket.close()


def _private_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="infra-orch-", dir=_short_folder()))


def _short_folder() -> Path:
    """Where temporary files go, unless the address of a socket in there would be too long."""
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) <= _LONGEST_PATH else "/tmp")  # noqa: S108 - what is made there is private
