"""The one door to other programs: start them in sessions of their own, let them write to files, stop them politely.

A child's output goes to a file, never into a pipe of ours: where this process is killed, a child that writes into a
pipe dies of SIGPIPE in the middle of its work, and one that writes to a file ends it in peace.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from infra_orch.errors import InterruptedRun, UnavailableError

_FILES_BY_DEFAULT = 1024
"""So many open files a process may usually have; what infra-orch needs besides those of its stacks is far less."""
PATIENCE_SECONDS = 120.0
"""How long a child may take to end after SIGINT before it is killed: an apply has calls to end, a lock to release."""


@dataclass
class Running:
    """A child that was started: what it is called in messages, and since when it runs (seconds, monotonic clock)."""

    label: str
    process: subprocess.Popen[bytes]
    shares_interrupt: bool = False
    since: float = field(default_factory=time.monotonic)
    interrupted: bool = False

    def interrupt(self) -> None:
        """Send SIGINT once: to a second one Terraform answers by dropping the work in hand, and the state with it."""
        if not self.interrupted:
            self.interrupted = True
            self.signal(signal.SIGINT, whole_session=self.shares_interrupt)

    def signal(self, number: int, *, whole_session: bool = False) -> None:
        """Send a signal to the child, or to everything in its session; one that has ended is left in peace."""
        if self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if whole_session:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)


@dataclass(frozen=True)
class Program:
    """A program that is to be run, and how. Its standard input is empty.

    *label* is what messages call it. *stdout* and *stderr* are files that are appended to, mode 0600; without *stderr*
    both go to *stdout*. *inherit* are file descriptors that stay open in it. *shares_interrupt* sends SIGINT to all
    that it started too: Terraform stops its providers itself, but a shell script waits for the program that it runs.
    *started* is told its process id, as soon as it has one.
    """

    argv: Sequence[str]
    label: str
    cwd: Path
    env: Mapping[str, str]
    stdout: Path
    stderr: Path | None = None
    inherit: Sequence[int] = ()
    shares_interrupt: bool = False
    started: Callable[[int], None] = lambda _: None

    def start(self) -> Running:
        """Start it in a session of its own.

        Raises UnavailableError where it cannot be started, OSError where an output file cannot be written.
        """
        with contextlib.ExitStack() as files:
            out = files.enter_context(_append(self.stdout))
            err = files.enter_context(_append(self.stderr)) if self.stderr else out
            try:
                process = subprocess.Popen(
                    list(self.argv),
                    cwd=self.cwd,
                    env=dict(self.env),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    pass_fds=tuple(self.inherit),
                )
            except OSError as error:
                raise _cannot_start(self.argv, error) from error
        self.started(process.pid)
        return Running(self.label, process, self.shares_interrupt)


class Supervisor:
    """Starts programs, knows which run, and stops them all when asked.

    Safe to use from many threads, and `stop` from a signal handler. `patience` is in seconds; see PATIENCE_SECONDS.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self.patience = patience
        # Re-entrant: a signal handler calls stop() in the main thread, which may hold it at that moment.
        self._lock = threading.RLock()
        self._running: dict[int, Running] = {}
        self._stopping = threading.Event()
        self._killer: threading.Timer | None = None

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for: nothing new is started from then on."""
        return self._stopping.is_set()

    def running(self) -> list[Running]:
        """What runs now, longest first."""
        with self._lock:
            return sorted(self._running.values(), key=lambda running: running.since)

    def wait_for_stop(self, seconds: float) -> bool:
        """Sleep for *seconds* or until a stop is asked for; returns whether it was."""
        return self._stopping.wait(seconds)

    def run(self, program: Program, *, timeout: float | None = None) -> int:
        """Run *program* to its end and return its exit code (negative: the signal that ended it).

        *timeout* is in seconds: it gets SIGINT then, and its session SIGKILL after the patience.
        Raises InterruptedRun where a stop was asked for before the start, UnavailableError where it cannot be started,
        OSError where an output file cannot be written.
        """
        running = self._start(program)
        timer = self._limit(running, timeout) if timeout else None
        try:
            return running.process.wait()
        finally:
            if timer:
                timer.cancel()
            self._forget_ended()

    def stop(self) -> None:
        """Ask every child to end (SIGINT), start nothing new, and kill what is left after the patience. Idempotent."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            for child in self._running.values():
                child.interrupt()
            if self._running:
                self._killer = _later(self.patience, self._kill)

    def _start(self, program: Program) -> Running:
        with self._lock:
            if self._stopping.is_set():
                raise InterruptedRun(f"{program.label}: not started, the run is stopping")
            running = program.start()
            self._running[running.process.pid] = running
            if self._stopping.is_set():  # asked for by a signal handler since the check above: this child was not seen
                running.interrupt()
                self._killer = self._killer or _later(self.patience, self._kill)
        return running

    def _forget_ended(self) -> None:
        with self._lock:
            # One that still runs (an exception came out of the wait) stays known, so that stop() reaches it.
            self._running = {pid: child for pid, child in self._running.items() if child.process.returncode is None}
            if self._killer and not self._running:
                self._killer.cancel()

    def _limit(self, running: Running, timeout: float) -> threading.Timer:
        def end() -> None:
            with self._lock:
                running.interrupt()
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(self.patience)
                return
            running.signal(signal.SIGKILL, whole_session=True)

        return _later(timeout, end)

    def _kill(self) -> None:
        for running in self.running():
            running.signal(signal.SIGKILL, whole_session=True)


def birth(pid: int) -> str | None:
    """When a process was started, as the system counts; tells it from a later one of the same number.

    None where there is no such process, and where the system has no /proc.
    """
    return _stat(pid).get("starttime")


def allow_open_files(more: int) -> None:
    """Let this process have so many *more* files open than what it is given by default, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_BY_DEFAULT + more
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # then it ends where it ends
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def lives(pid: int, born: str | None = None) -> bool:
    """Whether a process lives: the one that was *born* then, where that is known. One that is a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    known = _stat(pid)
    now = known.get("starttime")
    return (born is None or now is None or now == born) and known.get("state") != "Z"


def session_of(leader: int) -> list[int]:
    """The processes, other than *leader*, that live in the session that it led; none where there is no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        known = _stat(pid)
        if known.get("session") == str(leader) and known["state"] != "Z" and pid != leader:
            found.append(pid)
    return sorted(found)


def _stat(pid: int) -> dict[str, str]:
    """What the system says of a process: fields 3, 6 and 22 of `stat`, see proc(5); nothing where it says nothing."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return {"state": fields[0], "session": fields[3], "starttime": fields[19]}
    except (OSError, IndexError):
        return {}


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 60.0,
    inherit: Sequence[int] = (),
) -> tuple[int, bytes, bytes]:
    """Run a short command that changes nothing in the cloud (git, `terraform version`): exit code, stdout, stderr.

    *inherit* are file descriptors that stay open in it: a lock that is held by one lasts until it has ended. Raises
    UnavailableError where the program cannot be started or takes longer than *timeout* seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=None if env is None else dict(env),
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            start_new_session=True,  # Ctrl-C on the terminal is ours: it must not end git in the middle of a commit
            pass_fds=tuple(inherit),
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f'"{argv[0]}" gave no answer within {timeout:g} s: {" ".join(argv[:4])}') from error
    return done.returncode, done.stdout, done.stderr


class Conversation:
    """A short program that answers each question with a line, and waits for the next; see `converse`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, text: str) -> str:
        """Send *text*, a whole number of lines, and return the next line of output; "" where the program has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        return self._process.stdout.readline().decode(errors="replace").rstrip("\n")

    def end(self) -> bytes:
        """Tell the program that there is no more to come, and return its error messages when it has ended."""
        with contextlib.suppress(BrokenPipeError):
            return self._process.communicate()[1]
        return b""


@contextlib.contextmanager
def converse(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float = 60.0
) -> Iterator[Conversation]:
    """Run a short command that is asked one thing after another, as long as the block, or *timeout* seconds, last.

    Where this process is killed, its input is at an end. Raises UnavailableError where it cannot be started.
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            list(argv), cwd=cwd, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise _cannot_start(argv, error) from error
    limit = _later(timeout, process.kill)
    with process:
        try:
            yield Conversation(process)
        finally:
            limit.cancel()


def attach(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run *argv* on the user's own terminal, as a shell would, and return its exit code (negative: a signal).

    Ctrl-C reaches it directly, and this process waits for what it makes of it. Raises UnavailableError where the
    program is missing.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.Popen(list(argv), cwd=cwd, env=dict(env), preexec_fn=_default_interrupt).wait()  # noqa: PLW1509 - no threads run yet, and an ignored SIGINT is inherited
    except (FileNotFoundError, PermissionError) as error:
        raise _cannot_start(argv, error) from error
    finally:
        signal.signal(signal.SIGINT, before)


def in_a_process(work: Callable[[], int], started: Callable[[int], None]) -> int:
    """Do *work* in a copy of this process, in a session of its own, and return the exit code that it came to (negative:
    the signal that ended it). *started* is told its process id.

    What it imports, keeps in memory and starts is gone with it. No other thread may run here. Raises OSError where
    there is no room for a further process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 70  # EX_SOFTWARE: it ended in an exception, which has been told
        try:
            os.setsid()  # Ctrl-C on the terminal is told to it by its parent, once
            code = work()
            sys.stdout.flush()
        finally:
            os._exit(code)
    started(pid)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _cannot_start(argv: Sequence[str], error: OSError) -> UnavailableError:
    """The error's own file name is the folder where that is what is missing, and the program otherwise."""
    where = f" ({error.filename})" if error.filename and str(error.filename) != argv[0] else ""
    return UnavailableError(f'cannot start "{argv[0]}": {error.strerror}{where}')


def _later(seconds: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    return timer


def _append(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "ab")
