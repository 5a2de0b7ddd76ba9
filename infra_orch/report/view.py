"""How a run looks on a terminal while it is under way. Imports rich, so it is imported where something is drawn only.

  network   apply    3/5    14 s  + aws_subnet.a (+1)
  alerts    init             2 s  installing hashicorp/aws v5.100.0
  … 12 more
Applying ━━━━━━━━────────────  5 of 19 · 1 failed · 42 s
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment, Segments
from rich.text import Text

from infra_orch.report.board import Board, Working, clock
from infra_orch.report.style import safe

MOST_LINES = 16
_MARGIN = "  "
_GAP = "  "
_BAR = 20
_LEAST_NAME = 12
_LEAST_DETAIL = 12
_VERBS = {"plan": "Planning", "apply": "Applying", "destroy": "Destroying", "read": "Reading"}
_COLOURS = {"destroy": "red", "apply": "yellow", "task": "magenta", "plan": "cyan"}


def layout(board: Board, now: float, width: int, height: int) -> list[Text]:
    """Return the view of *board* at *now* as lines of less than *width* cells, at most half of *height* of them.

    The nodes that are at work for longest come first, and how many more there are is said. The last line is the total.
    """
    most = max(1, min(MOST_LINES, height // 2))
    working = board.working
    shown = working if len(working) < most else working[: max(0, most - 2)]
    lines = list(_rows(shown, board, now, width))
    if len(shown) < len(working) and most > 1:
        lines.append(Text(f"{_MARGIN}… {len(working) - len(shown)} {'more' if shown else 'at work'}", "dim"))
    lines.append(_total(board, now, width))
    for line in lines:
        line.truncate(max(1, width - 1), overflow="ellipsis")
    return lines


def _rows(shown: list[Working], board: Board, now: float, width: int) -> Iterator[Text]:
    """Yield a line for each; in a narrow terminal first what it is at goes, then the step, then how far it is."""
    names = [_plain(working.node) for working in shown]
    # Counted from the second in which the phase began, so that all the clocks tick at once.
    times = [clock(int(now - board.since) - int(working.since - board.since)) for working in shown]
    columns = [
        Column([working.step for working in shown], [_COLOURS.get(working.step, "dim") for working in shown], least=7),
        Column([working.share for working in shown], ["" for _ in shown], right=True),
        Column(times, ["dim" for _ in shown], right=True, least=4),
    ]
    name_width = min(max(map(cell_len, names), default=0), max(_LEAST_NAME, width // 3))
    room = width - 1 - len(_MARGIN)
    while len(columns) > 1 and name_width + sum(column.room for column in columns) > room:
        columns.pop(0)
    name_width = max(1, min(name_width, room - sum(column.room for column in columns)))
    left = room - name_width - sum(column.room for column in columns) - len(_GAP)
    for index, working in enumerate(shown):
        line = Text(_MARGIN)
        line.append(_fitted(names[index], name_width))
        for column in columns:
            column.add_to(line, index)
        if left >= _LEAST_DETAIL and (detail := _plain(working.detail)):
            line.append(_GAP + detail, "dim")
        yield line


class Column:
    """Cells below one another, with their styles; not there at all where every one is empty."""

    def __init__(self, cells: list[str], styles: list[str], *, right: bool = False, least: int = 0) -> None:
        self._cells = cells
        self._styles = styles
        self._right = right
        self._width = max([least, *map(len, cells)]) if any(cells) else 0

    @property
    def room(self) -> int:
        """How wide it is, with the gap before it."""
        return self._width + len(_GAP) if self._width else 0

    def add_to(self, line: Text, index: int) -> None:
        """Add the cell of a line to it."""
        if self._width:
            cell = self._cells[index]
            line.append(_GAP)
            line.append(cell.rjust(self._width) if self._right else cell.ljust(self._width), self._styles[index])


def _total(board: Board, now: float, width: int) -> Text:
    line = Text.assemble((_VERBS.get(board.name, board.name), "bold"))
    facts = [f"{board.done} of {board.total}", *board.troubles(), clock(now - board.since)]
    if width > len(line) + _BAR + sum(map(len, facts)) + 3 * len(facts):
        full = _BAR * board.done // max(1, board.total)
        line.append(" ").append("━" * full, "red" if any(board.troubles()) else "green").append(
            "─" * (_BAR - full), "dim"
        )
        line.append(" ")
    line.append(" ").append(facts[0])
    for fact in facts[1:-1]:
        line.append(" · ", "dim").append(fact, "red")
    return line.append(" · ", "dim").append(facts[-1], "dim")


def _plain(text: str) -> str:
    return safe(text, keep_newlines=False).replace("\t", " ")


def _fitted(text: str, width: int) -> Text:
    fitted = Text(text)
    fitted.truncate(width, overflow="ellipsis", pad=True)
    return fitted


class Picture:
    """Draws a board on a terminal, where the view before was drawn. Used from one thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        width, height = _size(stream)
        # The size is given each time: rich takes that of COLUMNS and LINES, which does not change with the terminal.
        self._console = Console(
            file=stream,
            force_terminal=True,
            force_interactive=True,
            no_color=False,
            color_system="standard",
            highlight=False,
            markup=False,
            emoji=False,
            width=width,
            height=height,
        )
        self._live: _Live | None = None
        self._drawn: object = None

    def draw(self, board: Board, now: float, above: str = "") -> None:
        """Draw *board*, with the whole lines *above* written over it. Sends nothing where nothing has changed."""
        width, height = size = _size(self._stream)
        lines = layout(board, now, width, height)
        looks = (size, [(line.plain, line.spans) for line in lines])
        if looks == self._drawn and not above:
            return
        if self._live is None:
            self._live = _Live(self._console)
            self._live.start()
        self._console.size = ConsoleDimensions(width, height)
        self._live.show(lines, above)
        self._drawn = looks

    def hide(self, above: str = "") -> None:
        """Take the view away, write the whole lines *above* where it was, and show the cursor again."""
        if self._live is None:
            self._stream.write(above)
            self._stream.flush()
            return
        live, self._live, self._drawn = self._live, None, None
        self._console.size = ConsoleDimensions(*_size(self._stream))
        live.take_away(above)


class _Live(Live):
    """A view that leaves nothing behind, in a terminal that may become narrower while it is there."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._above = ""
        self._lines: list[Text] = []
        self._widths: list[int] = []

    def show(self, lines: list[Text], above: str) -> None:
        """Draw *lines* instead of what was drawn before, below the text *above*. One write does it."""
        self._above, self._lines = above, lines
        self.update(Text("\n", no_wrap=True, end="").join(lines), refresh=True)

    def take_away(self, above: str) -> None:
        """End it: erase what was drawn, and write the text *above* there."""
        self._above, self._lines = above, []
        self.update(Text(""))
        self.stop()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Put the text above between what erases the view and the view."""
        erase, *view = super().process_renderables(renderables)
        # Most terminals break a line that has become too long for them in two, which rich does not count.
        rows = sum(max(1, math.ceil(width / self.console.width)) for width in self._widths)
        if rows > len(self._widths):
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
            erase = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up * (rows - 1))
        self._widths = [line.cell_len for line in self._lines]
        above, self._above = self._above, ""
        # As a control segment it is sent as it is; other text is cropped to the width of the terminal.
        return [erase, Segments([Segment(above, None, [(ControlType.CARRIAGE_RETURN,)])]), *view]


def _size(stream: TextIO) -> tuple[int, int]:
    """The columns and lines of a terminal; a pseudo-terminal may say that it has none."""
    try:
        width, height = os.get_terminal_size(stream.fileno())
    except OSError:
        width, height = 0, 0
    return width or 80, height or 24
