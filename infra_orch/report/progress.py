"""What is shown while a run is under way: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from infra_orch.report.board import Board, ending, still_working
from infra_orch.report.live import LiveProgress
from infra_orch.report.screen import Screen
from infra_orch.report.style import safe
from infra_orch.run.outcome import Outcome
from infra_orch.run.progress import Progress

HEARTBEAT_SECONDS = 30.0
"""So often plain lines say what is still at work: the shortest time without output after which a CI gives a job up is
some minutes."""


class PlainProgress(Progress):
    """A line for each node that has come to an outcome worth one, and at times one for what is still at work."""

    def __init__(self, screen: Screen, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._screen = screen
        self._heartbeat = heartbeat
        self._board: Board | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def phase(self, name: str, nodes: Collection[str]) -> Iterator[None]:
        """Tell of *nodes* within it."""
        over = threading.Event()
        board = Board(name, len(nodes), time.monotonic())
        beat = threading.Thread(target=self._beat, args=(board, over), name="infra-orch progress", daemon=True)
        self._board = board
        beat.start()
        try:
            yield
        finally:
            self._board = None
            over.set()
            beat.join()

    def started(self, node: str, step: str, log: Path | None = None, total: int | None = None) -> None:
        """Say what takes long and changes something: applies and tasks."""
        board = self._board
        if board:
            with self._lock:
                board.started(node, step, log, total, time.monotonic())
        if step in ("apply", "destroy", "task"):
            self._screen.note(f"{safe(node, keep_newlines=False)}: {step} …")

    def finished(self, outcome: Outcome, step: str) -> None:
        """Say what became of a node."""
        board = self._board
        if board:
            with self._lock:
                board.finished(outcome)
        if text := ending(outcome, step, self._screen.err_style, shown=not self._screen.json):
            self._screen.note(text)

    def note(self, text: str) -> None:
        """Say it."""
        self._screen.note(text)

    def _beat(self, board: Board, over: threading.Event) -> None:
        while not over.wait(self._heartbeat):
            with self._lock:
                board.follow()
                text = still_working(board, time.monotonic())
            if text:
                self._screen.note(text)


@contextlib.contextmanager
def progress_for(screen: Screen) -> Iterator[Progress]:
    """Yield what shows the progress of a run."""
    yield LiveProgress(screen) if screen.animated else PlainProgress(screen)
