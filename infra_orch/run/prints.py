"""What a task prints goes to its log: standard output is for results, and holds one document with --json."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

_LONGEST = 1 << 20


class _Router(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr while tasks run: a thread's text goes where its task wants it."""

    def __init__(self, behind: TextIO, others: TextIO) -> None:
        super().__init__()
        self.behind = behind
        self._others = others
        self._lines: dict[int, _Lines] = {}

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def route(self, lines: _Lines | None) -> None:
        """Send what this thread writes to *lines* from now on, or where it went before."""
        if lines:
            self._lines[threading.get_ident()] = lines
        else:
            self._lines.pop(threading.get_ident(), None)

    def write(self, text: str) -> int:
        lines = self._lines.get(threading.get_ident())
        return lines.write(text) if lines else self._others.write(text)

    def flush(self) -> None:
        # When this object goes, io flushes it once more, and the stream behind it may be closed by then.
        if threading.get_ident() not in self._lines and not self._others.closed:
            self._others.flush()


class _Lines:
    """Gathers text into whole lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        for line in whole:
            self._take(line)
        if len(self._rest) > _LONGEST:
            self.end()
        return len(text)

    def end(self) -> None:
        if self._rest:
            self._take(self._rest)
            self._rest = ""


class _Routers:
    """The routers in place, and for how many tasks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks = 0
        self._out: _Router | None = None
        self._err: _Router | None = None
        self._saved: int | None = None

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it, sys.stdout and sys.stderr are routers."""
        with self._lock:
            if self._tasks == 0:
                # A thread that a task started is not known here: its text is seen, and stdout stays clean.
                self._out, self._err = _Router(sys.stdout, sys.stderr), _Router(sys.stderr, sys.stderr)
                sys.stdout, sys.stderr = self._out, self._err
                # Programs that a task starts without us inherit the descriptor itself.
                self._saved = _output_to_stderr()
            self._tasks += 1
        try:
            yield
        finally:
            with self._lock:
                self._tasks -= 1
                if self._tasks == 0 and self._out and self._err:
                    # Whoever put something else there since then takes that away himself.
                    if sys.stdout is self._out:
                        sys.stdout = self._out.behind
                    if sys.stderr is self._err:
                        sys.stderr = self._err.behind
                    _output_back(self._saved)

    def route(self, lines: _Lines | None) -> None:
        for router in (self._out, self._err):
            if router:
                router.route(lines)


def _output_to_stderr() -> int | None:
    """Have descriptor 1 lead to standard error. Returns a copy of what it was; None where it was closed."""
    saved: int | None = None
    with contextlib.suppress(OSError):
        saved = os.dup(1)
        os.dup2(2, 1)
    return saved


def _output_back(saved: int | None) -> None:
    if saved is not None:
        os.dup2(saved, 1)
        os.close(saved)


_ROUTERS = _Routers()


def routed() -> contextlib.AbstractContextManager[None]:
    """Within it, what is printed by a thread that is in prints_to() goes there, and other prints go to stderr."""
    return _ROUTERS.in_place()


@contextlib.contextmanager
def prints_to(take: Callable[[str], None]) -> Iterator[None]:
    """Within it and routed(), every line that this thread prints is given to *take*."""
    lines = _Lines(take)
    _ROUTERS.route(lines)
    try:
        yield
    finally:
        _ROUTERS.route(None)
        lines.end()
