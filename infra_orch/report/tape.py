"""What was written to a terminal, and when: what a picture of a run is made of."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

MOST_CHARACTERS = 16_000_000
"""What is written beyond that is not kept: something runs for days, and nobody will watch it."""


@dataclass
class Tape:
    """Pieces of text as a terminal gets them, each with the seconds since the beginning. Any thread may add to it.

    *width* and *height* are the terminal's; None where it was written to none.
    """

    width: int | None = None
    height: int | None = None
    pieces: list[tuple[float, str]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _room: int = MOST_CHARACTERS

    def add(self, text: str) -> None:
        """Keep *text* as written now."""
        if self._room > 0:
            self._room -= len(text)
            self.pieces.append((time.monotonic() - self._began, text))


class TapedStream(io.TextIOBase):
    """Writes to the stream *behind* it, and onto a tape. In all else it is the one behind it."""

    def __init__(self, behind: TextIO, tape: Tape) -> None:
        super().__init__()
        self._behind = behind
        self._tape = tape

    def write(self, text: str) -> int:
        """Write *text*, and keep it. Raises OSError as the stream does; what could not be written is not kept."""
        written = self._behind.write(text)
        self._tape.add(text)
        return written

    def typed(self, text: str) -> None:
        """Keep what a terminal showed of what was typed into it."""
        if self.isatty():
            self._tape.add(text)

    def flush(self) -> None:
        """Flush the stream behind."""
        # When this object goes, io flushes it once more, and the stream behind it may be closed by then.
        if not self._behind.closed:
            self._behind.flush()

    def close(self) -> None:
        """Leave the stream behind open: it is somebody else's."""

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._behind.isatty()

    def fileno(self) -> int:
        """The descriptor of the stream behind."""
        return self._behind.fileno()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._behind.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What the stream does with what its encoding has not."""
        return self._behind.errors


@contextlib.contextmanager
def taped(out: TextIO | None, err: TextIO | None) -> Iterator[Tape]:
    """Within it, sys.stdout and sys.stderr, given as *out* and *err*, are also written onto the tape that it gives."""
    tape = Tape(*_size(err))
    with contextlib.ExitStack() as until_the_end:
        if out:
            until_the_end.enter_context(contextlib.redirect_stdout(TapedStream(out, tape)))
        if err:
            until_the_end.enter_context(contextlib.redirect_stderr(TapedStream(err, tape)))
        yield tape


def _size(stream: TextIO | None) -> tuple[int | None, int | None]:
    try:
        width, height = os.get_terminal_size(stream.fileno()) if stream else (0, 0)
    except (OSError, ValueError):
        return None, None
    return width or None, height or None
