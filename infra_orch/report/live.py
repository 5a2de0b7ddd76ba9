"""The live view of a run: what is done is written above it, and what is at work is drawn, a few times a second.

One thread draws, and it alone knows the state of the view: everybody else puts what is to be done into its queue. So
nobody waits for a drawing, a signal handler may speak, and many events cost one drawing.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from infra_orch.report.board import Board, ending
from infra_orch.report.screen import Screen
from infra_orch.run.outcome import Outcome
from infra_orch.run.progress import Progress

if TYPE_CHECKING:
    from infra_orch.report.view import Picture

FIRST_SECONDS = 0.3
"""What takes less is not drawn: it would only flash."""

TICK_SECONDS = 0.25


class LiveProgress(Progress):
    """Draws a phase while it lasts, and leaves a line for each node that has come to an outcome worth one."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._drawing: Drawing | None = None

    @contextlib.contextmanager
    def phase(self, name: str, nodes: Collection[str]) -> Iterator[None]:
        """Draw what becomes of *nodes* within it. Nothing is left of the view after it, whichever way it ends."""
        drawing = Drawing(self._screen.err, Board(name, len(nodes), time.monotonic()))
        self._drawing = self._screen.view = drawing
        drawing.start()
        try:
            yield
        finally:
            drawing.close()
            self._drawing = self._screen.view = None
            drawing.settle()

    def started(self, node: str, step: str, log: Path | None = None, total: int | None = None) -> None:
        """Show it among what is at work."""
        if drawing := self._drawing:
            drawing.put(partial(drawing.board.started, node, step, log, total, time.monotonic()))

    def finished(self, outcome: Outcome, step: str) -> None:
        """Take it from what is at work, and say what became of it."""
        if drawing := self._drawing:
            drawing.put(partial(drawing.board.finished, outcome))
        if text := ending(outcome, step, self._screen.err_style, shown=not self._screen.json):
            self._screen.note(text)

    def note(self, text: str) -> None:
        """Say it above the view."""
        self._screen.note(text)


class Drawing(threading.Thread):
    """The thread that draws *board* on *stream* until it is closed."""

    def __init__(self, stream: TextIO, board: Board) -> None:
        super().__init__(name="infra-orch progress", daemon=True)
        self.board = board
        self._stream = stream
        # What is put there is done by this thread, in order. A SimpleQueue may be put to from a signal handler.
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._picture: Picture | None = None
        self._pending: list[str] = []
        self._held = 0
        self._holders: list[int] = []
        self._closing = False
        self._broken = False

    def put(self, action: Callable[[], None]) -> None:
        """Have *action* done by the thread. Returns at once."""
        self._queue.put(action)

    def above(self, text: str) -> bool:
        """Take whole lines for the next drawing; see `View`."""
        if threading.get_ident() in self._holders:
            return False
        self.put(partial(self._pending.append, text))
        return True

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Within it the view is gone, and what was to be written above it is written; see `View`."""
        hidden = threading.Event()
        self.put(partial(self._hold, hidden))
        while not hidden.wait(1.0) and self.is_alive():
            pass
        self._holders.append(threading.get_ident())
        try:
            yield
        finally:
            self._holders.remove(threading.get_ident())
            self.put(self._release)

    def close(self) -> None:
        """Take the view away and end the thread. What was to be written above it is written."""
        self.put(self._end)
        self.join()

    def settle(self) -> None:
        """Do what was put after the end, by a signal handler that spoke at that moment."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()()
        self._show_pending()

    def run(self) -> None:
        """Do what is put, and draw in between."""
        due = time.monotonic() + FIRST_SECONDS
        try:
            while not self._closing:
                wait = due - time.monotonic()
                if wait <= 0:
                    self._draw()
                    due = time.monotonic() + TICK_SECONDS
                    continue
                with contextlib.suppress(queue.Empty):
                    self._queue.get(timeout=wait)()
        finally:
            self._hide()

    def _end(self) -> None:
        self._closing = True

    def _hold(self, hidden: threading.Event) -> None:
        self._held += 1
        self._hide()
        hidden.set()

    def _release(self) -> None:
        self._held -= 1

    def _draw(self) -> None:
        if not self._held:
            self._paint(lambda picture, text: picture.draw(self.board, time.monotonic(), text))

    def _hide(self) -> None:
        if self._picture:
            self._paint(lambda picture, text: picture.hide(text))
        self._show_pending()

    def _paint(self, act: Callable[[Picture, str], None]) -> None:
        """A view that cannot be drawn, be the terminal gone or a defect found, is no reason for a run to fail."""
        if not self._broken:
            try:
                self.board.follow()
                if self._picture is None:
                    # Rich takes a moment to import: Terraform is at work meanwhile, and what is short does without.
                    from infra_orch.report.view import Picture  # noqa: PLC0415 - see above

                    self._picture = Picture(self._stream)
                act(self._picture, self._text())
            except Exception:  # noqa: BLE001 - see above
                self._broken = True
            else:
                self._pending.clear()
        if self._broken:
            self._show_pending()

    def _text(self) -> str:
        return "".join(f"{text}\n" for text in self._pending)

    def _show_pending(self) -> None:
        """Write what no picture has written: none was drawn yet, or it cannot be drawn any more."""
        text = self._text()
        self._pending.clear()
        if text:
            with contextlib.suppress(OSError):
                self._stream.write(text)
                self._stream.flush()
