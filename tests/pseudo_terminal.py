"""A terminal to draw on: a pseudo-terminal, and what would be seen on it."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import threading
import time
from collections.abc import Callable
from typing import TextIO

_SEQUENCE = re.compile(r"\x1b\[(\?25|[\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")
_WHOLE = re.compile(r"(?:[^\x1b]|\x1b\[[?\d;]*[A-Za-z])*")
"""What can be shown already: a sequence may arrive in parts."""


class Seen:
    """What a terminal shows of what was sent to it; as much of one as the view needs.

    It breaks lines that have become too long when it becomes narrower, as most terminals do.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = [""]
        self.row = self.column = 0
        self.cursor = True

    def feed(self, text: str) -> None:
        for code, letter, back, down, plain in _SEQUENCE.findall(text):
            if plain:
                for char in plain:
                    self._put(char)
            elif back:
                self.column = 0
            elif down:
                self._down()
            elif letter == "A":
                self.row = max(0, self.row - int(code or 1))
            elif letter == "K":
                assert code == "2"
                self.rows[self.row] = ""
            elif letter in "hl":
                assert code == "?25"
                self.cursor = letter == "h"
            else:
                assert letter == "m", f"a sequence that this terminal does not know: {code}{letter}"

    def narrow(self, width: int) -> None:
        broken: list[str] = []
        for number, row in enumerate(self.rows):
            broken += [row[at : at + width] for at in range(0, max(1, len(row)), width)]
            if number == self.row:
                cursor = len(broken) - 1
        self.width, self.rows = width, broken
        self.row, self.column = cursor, len(broken[cursor])

    @property
    def lines(self) -> list[str]:
        return [row.rstrip() for row in self.rows]

    def _put(self, char: str) -> None:
        if self.column == self.width:
            self._down()
            self.column = 0
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + char + row[self.column + 1 :]
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")


class Terminal:
    """A pseudo-terminal. *stream* writes to it; a thread reads what arrives."""

    def __init__(self, width: int, height: int) -> None:
        self.ours, self.theirs = pty.openpty()
        self.seen = Seen(width)
        self.sent = ""
        self._height = height
        self._resize(width)
        self.stream: TextIO = os.fdopen(os.dup(self.theirs), "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def narrow(self, width: int) -> None:
        """Make it narrower."""
        with self._lock:
            self._resize(width)
            self.seen.narrow(width)

    @property
    def lines(self) -> list[str]:
        """What is to be seen, without the empty lines at the end."""
        with self._lock:
            lines = self.seen.lines
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor(self) -> bool:
        """Whether the cursor is to be seen."""
        with self._lock:
            return self.seen.cursor

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.ours, text.encode())

    def wait_for(self, wanted: Callable[[list[str]], bool], seconds: float = 20.0) -> list[str]:
        """Wait until what is to be seen is as *wanted*, and return it."""
        until = time.monotonic() + seconds
        while not wanted(self.lines):
            assert time.monotonic() < until, "\n".join([*self.lines, repr(self.sent)])
            time.sleep(0.02)
        return self.lines

    def hang_up(self) -> None:
        """Take the terminal away."""
        self._gone.set()
        self._reader.join()
        os.close(self.theirs)
        os.close(self.ours)
        self.theirs = self.ours = -1

    def close(self) -> None:
        """End it, once all that was sent has been read."""
        with contextlib.suppress(OSError):
            self.stream.close()
        if self.ours >= 0:
            os.close(self.theirs)
            self._reader.join()
            os.close(self.ours)

    def _resize(self, width: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", self._height, width, 0, 0))

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        with contextlib.suppress(OSError):
            while not self._gone.is_set():
                if not select.select([self.ours], [], [], 0.05)[0]:
                    continue
                data = os.read(self.ours, 65536)
                if not data:
                    return
                text = rest + decoder.decode(data)
                whole = _WHOLE.match(text)
                assert whole
                rest = text[whole.end() :]
                with self._lock:
                    self.sent += whole[0]
                    self.seen.feed(whole[0])
