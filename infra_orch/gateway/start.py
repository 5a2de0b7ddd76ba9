"""Start the gateway's process: for one run, or for all runs of this user, at a place where each finds it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import stat
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from infra_orch._version import __version__
from infra_orch.gateway.line import GatewayError, ask
from infra_orch.process import Program

IDLE_SECONDS = 600.0
"""After so long without a command a gateway that outlives runs ends."""
_STATUS_SECONDS = 5.0
_SOCKET = "gateway"
_PREFIX = "infra-orch-gateway-"
_OLD_SECONDS = 60.0
_LONGEST_PATH = 60
"""Bytes of a folder for sockets: the address of one has 104 (macOS) or 108 (Linux), and much of that is ours."""


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


def folder_for_a_run() -> Path:
    """A private folder for the gateway of one run. What gateways that were killed left behind is removed."""
    place = _short_folder()
    for left in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            known = left.lstat()
            mine = stat.S_ISDIR(known.st_mode) and known.st_uid == os.getuid()
            if mine and time.time() - known.st_mtime > _OLD_SECONDS and not _answers(left / _SOCKET):
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))


def _answers(path: Path) -> bool:
    """Whether anybody listens on a socket."""
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _short_folder() -> Path:
    """Where temporary files go, unless the address of a socket in there would be too long."""
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) <= _LONGEST_PATH else "/tmp")  # noqa: S108 - what is made there is private
