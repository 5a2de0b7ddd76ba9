"""Start and stop the emulated AWS: moto's server, in a process of its own, on a free port of 127.0.0.1.

For one run it ends with the process that started it, however that ends. Kept, it lives in a folder until it is stopped:
STATE_NAME says where it is, LOCK_NAME is locked for as long as it lives. It holds everything in memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra_orch.errors import UnavailableError
from infra_orch.files import private_folder
from infra_orch.process import Program, Supervisor
from infra_orch.sandbox.ask import ask
from infra_orch.sandbox.paths import ABOUT_PATH, LOCK_NAME, LOG_NAME, RESET_PATH, START_LOCK_NAME, STATE_NAME
from infra_orch.sandbox.redirect import apply_redirect, sandbox_environment

START_SECONDS = 60.0
"""An idle machine needs 1.5 s; one with other work on every core may need many times that."""
_END_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_START_HINT = "infra-orch sandbox start"
_STOP_HINT = "infra-orch sandbox stop ends it"
_LOG_TAIL_LINES = 15


@dataclass(frozen=True)
class Emulator:
    """A running emulator: `url` as `http://127.0.0.1:PORT`, `started` in ISO 8601 and UTC, `kept` or for one run."""

    url: str
    pid: int
    started: str
    kept: bool


@contextlib.contextmanager
def start_for_run(folder: Path) -> Iterator[Emulator]:
    """An emulator, empty, for as long as the context lasts; *folder* (made where missing, mode 0700) holds its log.

    The log goes where the emulator ended well. Ctrl-C does not reach it: a run that stops may still need it.
    Raises UnavailableError where moto is not installed or the emulator does not start.
    """
    private_folder(folder)
    handle, name = tempfile.mkstemp(dir=folder, prefix="emulator-", suffix=".log")
    os.close(handle)
    child = _Child(Path(name), keep_in=None)
    try:
        yield child.start()
    finally:
        child.end()
    Path(name).unlink(missing_ok=True)


def start(folder: Path) -> Emulator:
    """The emulator that is kept in *folder*: the one that runs, or a new one. Two starts at once give one emulator.

    Raises UnavailableError where moto is not installed, or the emulator does not start or does not answer.
    """
    private_folder(folder)
    with _locked(folder / START_LOCK_NAME):
        if (running := status(folder)) is not None:
            return running
        log = folder / LOG_NAME
        log.unlink(missing_ok=True)
        child = _Child(log, keep_in=folder)
        try:
            return child.start()
        except BaseException:
            child.end()
            raise


def status(folder: Path) -> Emulator | None:
    """The emulator that is kept in *folder*, or None. What a killed one left behind is removed.

    Raises UnavailableError where it lives but does not answer.
    """
    about = _read_state(folder)
    if about is None:
        return None
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not _forget_dead(folder):
        try:
            answer = _about(about.url)
        except UnavailableError as error:
            # A killed process holds its lock until the last of its threads is gone, a moment after its socket.
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"the emulator (process {about.pid}) lives but does not answer", hint=_STOP_HINT
                ) from error
            time.sleep(0.05)
            continue
        if answer != about.pid:
            raise UnavailableError(f"{about.url} is answered by something else than the emulator", hint=_STOP_HINT)
        return about
    return None


def stop(folder: Path) -> bool:
    """End the emulator that is kept in *folder*, with all that it holds. Returns whether there was one.

    Raises UnavailableError where it cannot be ended.
    """
    if not folder.is_dir():
        return False
    with _locked(folder / START_LOCK_NAME):
        about = _read_state(folder)
        if about is None or _forget_dead(folder):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(about.pid, number)  # the lock is held, so the process id is the emulator's
            deadline = time.monotonic() + _END_SECONDS
            while time.monotonic() < deadline:
                if _forget_dead(folder):
                    return True
                time.sleep(0.02)
    raise UnavailableError(f"the emulator (process {about.pid}) does not end", hint=f"kill -9 {about.pid}")


def reset(folder: Path) -> None:
    """Empty the emulator that is kept in *folder*. Raises UnavailableError where none runs."""
    running = status(folder)
    if running is None:
        raise UnavailableError("no emulator is kept", hint=_START_HINT)
    empty(running.url)


def empty(url: str) -> None:
    """Empty the emulator at *url*. Raises UnavailableError where it cannot be."""
    code, _ = ask(url, RESET_PATH, method="POST", timeout=30.0)
    if code != 200:
        raise UnavailableError(f"the emulator at {url} was not emptied: status {code}", hint=_STOP_HINT)


class _Child:
    """One process of the emulator, from start to end. *keep_in* is None where it is to end with this process."""

    def __init__(self, log: Path, *, keep_in: Path | None) -> None:
        self._log = log
        self._keep_in = keep_in
        self._supervisor = Supervisor(patience=_END_SECONDS)
        self._thread: threading.Thread | None = None
        self._lifeline: int | None = None

    def start(self) -> Emulator:
        """Start it and wait until it answers. Raises UnavailableError with the end of its log where it does not."""
        if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
            raise UnavailableError("the sandbox needs moto's server", hint="pip install 'infra-orch[sandbox]'")
        ready, told = os.pipe()
        inherited = [told]
        arguments = ["--ready", str(told)]
        if self._keep_in is None:
            lifeline, self._lifeline = os.pipe()
            inherited.append(lifeline)
            arguments += ["--lifeline", str(lifeline), "--parent", str(os.getpid())]
        else:
            arguments += ["--keep-in", str(self._keep_in.resolve())]
        self._thread = threading.Thread(target=self._run, args=(arguments, inherited), daemon=True)
        self._thread.start()
        with os.fdopen(ready, "rb") as answer:
            about = _first_line(answer.fileno())
        if not about:
            self.end()
            raise UnavailableError(f"the emulator did not start\n{_tail(self._log)}", hint=f"its log is {self._log}")
        emulator = _emulator(json.loads(about), kept=self._keep_in is not None)
        _about(emulator.url)
        return emulator

    def end(self) -> None:
        """End it if it runs, and wait for that. Idempotent."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._thread is None:
            return
        if self._keep_in is None:
            self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            self._supervisor.stop()
            self._thread.join(2 * _END_SECONDS)

    def _run(self, arguments: list[str], inherited: list[int]) -> None:
        # -P: a file in the working folder must not stand in for a module.
        argv = [sys.executable, "-P", "-m", "infra_orch.sandbox.serve", *arguments]
        try:
            with contextlib.suppress(UnavailableError):  # who waits for the address sees that none comes
                program = Program(
                    argv, "emulator", self._log.parent, _environment(), stdout=self._log, inherit=inherited
                )
                self._supervisor.run(program)
        finally:
            for descriptor in inherited:
                os.close(descriptor)


def _environment() -> dict[str, str]:
    """The emulator's own environment: cut off from the network, because moto does call what it is told to.

    It posts to the HTTP subscribers of a topic, to API destinations, and through API gateways.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MOTO_", "TEST_", "DOCKER_"))}
    env = apply_redirect(env, sandbox_environment("http://127.0.0.1:1"))
    return env | {
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "MOTO_ACM_VALIDATION_WAIT": "1",  # a certificate is issued after a second, not after a minute
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",  # AWS's own policies, which roles attach
    }


def _first_line(descriptor: int) -> bytes:
    """The line that the emulator writes to *descriptor*, or nothing where it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(descriptor, 4096) if readable else b""
        if not part:
            return b""
        line += part
    return line


def _about(url: str) -> int:
    """Ask the emulator at *url* for its process id. Raises UnavailableError where it does not answer."""
    _, body = ask(url, ABOUT_PATH, timeout=_ANSWER_SECONDS)
    try:
        return int(json.loads(body)["pid"])
    except (ValueError, KeyError, TypeError):
        return 0


def _emulator(about: dict[str, object], *, kept: bool) -> Emulator:
    return Emulator(url=str(about["url"]), pid=int(str(about["pid"])), started=str(about["started"]), kept=kept)


def _read_state(folder: Path) -> Emulator | None:
    try:
        return _emulator(json.loads((folder / STATE_NAME).read_bytes()), kept=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget_dead(folder: Path) -> bool:
    """Whether no emulator lives in *folder*; if so its state file goes too."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / STATE_NAME).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True
    (folder / STATE_NAME).unlink(missing_ok=True)
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    return ""
