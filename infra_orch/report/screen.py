"""What reports are written on, and what may be drawn there while others write."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, TextIO

from infra_orch.report.style import Style


class View(Protocol):
    """What is drawn on a terminal again and again, and would be mangled by what others write there."""

    def above(self, text: str) -> bool:
        """Take whole lines to be written above what is drawn soon. May be called from a signal handler.

        Returns False within `still` of the same thread: nothing is in the way of whoever writes there.
        """

    def still(self) -> AbstractContextManager[None]:
        """Within it nothing is drawn, and what others want to have written waits."""


class Screen(Protocol):
    """Where a report goes; the console is one. *json* is whether what comes of a run is a document, and not shown to a
    person. *err* is its stream, *view* what draws on that now, if anything does.
    """

    json: bool
    err: TextIO
    view: View | None

    @property
    def err_style(self) -> Style:
        """The style of messages."""

    @property
    def animated(self) -> bool:
        """Whether *err* is a terminal on which something can be drawn and drawn again."""

    def note(self, lines: str) -> None:
        """Print a message, above the view where there is one. Never raises."""
