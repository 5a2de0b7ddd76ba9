"""The only module that writes to the terminal: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import shlex
import sys
import termios
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TextIO

from infra_orch.errors import Problem, UserError
from infra_orch.report.screen import View
from infra_orch.report.style import Style, safe, safe_in_colour
from infra_orch.report.tape import TapedStream

_POLL_SECONDS = 0.2


@dataclass
class Console:
    """Where output goes. *json* is whether stdout holds one document and nothing else.

    *words* are those of the command line, without the program. *view* is what draws on stderr now, if anything does.
    """

    json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout or io.StringIO())  # closed: there is nobody to read it
    err: TextIO = field(default_factory=lambda: sys.stderr or io.StringIO())
    words: Sequence[str] = ()
    view: View | None = field(default=None, repr=False)
    _asking: bool = field(default=False, init=False, repr=False)

    @property
    def style(self) -> Style:
        """The style for results on stdout."""
        return Style(_coloured(self.out))

    @property
    def err_style(self) -> Style:
        """The style for messages on stderr."""
        return Style(_coloured(self.err))

    @property
    def interactive(self) -> bool:
        """Whether somebody sits there who can be asked."""
        return sys.stdin is not None and sys.stdin.isatty() and self.err.isatty()

    @property
    def animated(self) -> bool:
        """Whether stderr is a terminal on which something can be drawn and drawn again, and somebody looks at it."""
        unwanted = self.json or any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
        able = self.err.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
        return able and not unwanted and (self.err.encoding or "").lower().replace("-", "") == "utf8"

    @property
    def recorded(self) -> bool:
        """Whether what is shown is also recorded, so that others may see it."""
        return isinstance(self.out, TapedStream)

    def again(self, *more: str) -> str:
        """The same command with *more* words: whatever else was said narrows down what it does."""
        return shlex.join(["infra-orch", *self.words, *more])

    def still(self) -> AbstractContextManager[None]:
        """Within it, the view draws nothing, so that anything can be written."""
        return self.view.still() if self.view else contextlib.nullcontext()

    def result(self, lines: str | Iterable[str]) -> None:
        """Print what was asked for. With --json that is the document only, so text is kept back.

        Raises UserError where it cannot be written; a reader that went away ends nothing of ours.
        """
        if not self.json:
            self._print(safe_in_colour(_text(lines)))

    def document(self, text: str) -> None:
        """Print the document that --json asked for, or a value as it is: on a terminal what can be seen of it.

        Raises UserError where it cannot be written.
        """
        self._print(safe(text) if self.out.isatty() else text)

    def _print(self, text: str) -> None:
        with self.still():
            error = _write(self.out, text)
        if error and error.errno not in _READER_GONE:
            raise UserError(f"standard output cannot be written: {error.strerror}") from error

    def note(self, lines: str | Iterable[str]) -> None:
        """Print progress or a message. Never raises: a run goes on where nobody can be told of it."""
        text = safe_in_colour(_text(lines))
        if self.view is None or not self.view.above(text):
            # What a signal handler says while a question stands begins a line of its own.
            _write(self.err, "\n" * self._asking + text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.note(f"{self.err_style('warning:', 'yellow')} {text}")

    def error(self, error: UserError) -> None:
        """Print what is wrong, where, and what to do."""
        for problem in error.problems:
            self.note(problem_lines(problem, self.err_style))

    def ask(self, question: str, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Ask for consent. Only `yes` is one, and only what is typed after the question is an answer.

        Where *stopped* comes to say yes, there is none. Raises KeyboardInterrupt as input() does.
        """
        with self.still():
            with contextlib.suppress(termios.error, OSError):
                termios.tcflush(sys.stdin, termios.TCIFLUSH)
            self.err.write(f"{safe_in_colour(question)}\n  Only 'yes' will be accepted: ")
            self.err.flush()
            self._asking = True
            try:
                answer = _answer(stopped)
            finally:
                self._asking = False
            if not answer:
                self.err.write("\n")
            elif isinstance(self.err, TapedStream):
                self.err.typed(answer)
            return answer.strip() == "yes"


def _answer(stopped: Callable[[], bool]) -> str:
    """Read a line; empty where *stopped* came to say yes: a signal that asks a run to stop does not end a read."""
    while not stopped():
        if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
            return sys.stdin.readline()
    return ""


def problem_lines(problem: Problem, style: Style) -> Iterable[str]:
    """Yield a problem: `error: what` with where in front, and its mend below."""
    told = problem.where is None or problem.message.startswith(f"{problem.where} ")
    where = "" if told else f"{style(str(problem.where), 'bold')}: "
    yield f"{style('error:', 'red', 'bold')} {where}{safe(problem.message)}"
    if problem.hint:
        yield f"  {style('→', 'cyan')} {safe(problem.hint)}"


_READER_GONE = (errno.EPIPE, errno.EIO)
"""The reader of a pipe has ended, or the terminal is gone."""


def _text(lines: str | Iterable[str]) -> str:
    return lines if isinstance(lines, str) else "\n".join(lines)


def _write(stream: TextIO, text: str) -> OSError | None:
    """Write whole lines at once, so that threads do not mix them. Returns what is wrong with the stream, if anything.

    What is written to it from then on is lost; the run goes on, and its logs and records have it.
    """
    try:
        try:
            stream.write(f"{text}\n")
        except UnicodeEncodeError as error:
            # A terminal or a pipe that has not all characters; in a document of JSON this means the same.
            stream.write(f"{text}\n".encode(error.encoding, "backslashreplace").decode(error.encoding))
        stream.flush()
    except OSError as error:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
        return error
    except RuntimeError:
        # A signal handler speaks while the main thread is in the middle of a write.
        with contextlib.suppress(OSError):
            os.write(stream.fileno(), f"{text}\n".encode(errors="replace"))
    return None


def _coloured(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
