"""Terminals to draw on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from pseudo_terminal import Terminal


@pytest.fixture
def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, int], Terminal]]:
    """Make terminals of a width and a height, on which a view may be drawn."""
    for name in ("NO_COLOR", "CI", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    with contextlib.ExitStack() as stack:

        def make(width: int, height: int) -> Terminal:
            terminal = Terminal(width, height)
            stack.callback(terminal.close)
            return terminal

        yield make


@pytest.fixture
def terminal(terminal_of: Callable[[int, int], Terminal]) -> Terminal:
    """A terminal of the usual size."""
    return terminal_of(80, 24)
