"""What a terminal shows of what is written to it: rows of cells, for a picture of it.

It knows what this package and rich write, and what git and Terraform do in colours (ECMA-48: cursor up and down,
columns, erasing, colours). A sequence that it does not know is passed over.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import NamedTuple

_SEQUENCES = re.compile(
    r"\x1b\[(?P<codes>[?\d;:]*)(?P<letter>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title or a link
    r"|\x1b."
    r"|(?P<control>[\x00-\x1a\x1c-\x1f])"
    r"|(?P<text>[^\x00-\x1f]+)",
    re.DOTALL,
)
_TAB = 8
_FARTHEST = 1000
"""No sequence moves the cursor by more: a value of somebody's that is printed may say anything."""
_NARROW = re.compile("[ -~\u00a0-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u25ff]*")


@dataclass(frozen=True)
class Look:
    """How a cell looks: *colour* is the number of one of the eight, or None for that of plain text."""

    colour: int | None = None
    bold: bool = False
    dim: bool = False


class Cell(NamedTuple):
    """A character and how it looks; empty in the second cell of a wide one."""

    char: str
    look: Look


PLAIN = Look()
_SPACE = Cell(" ", PLAIN)
Row = tuple[Cell, ...]


class Rows:
    """All rows that were written on a terminal of *width*, also those that have left it at its upper edge.

    *changed* are the numbers of the rows that have changed since it was emptied.
    """

    def __init__(self, width: int) -> None:
        self.changed: set[int] = {0}
        self._width = width
        self._rows: list[list[Cell]] = [[]]
        self._row = self._column = 0
        self._look = PLAIN

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Row:
        """A row without the blanks at its end."""
        row = self._rows[number]
        end = len(row)
        while end and row[end - 1].char == " ":
            end -= 1
        return tuple(row[:end])

    def feed(self, text: str) -> None:
        """Do with *text* what a terminal does."""
        for found in _SEQUENCES.finditer(text):
            if plain := found["text"]:
                self._write(plain)
            elif control := found["control"]:
                self._control(control)
            elif letter := found["letter"]:
                self._sequence(letter, found["codes"])

    def _write(self, text: str) -> None:
        narrow = _NARROW.fullmatch(text) is not None
        for char in text:
            cells = 1 if narrow else _cells(char)
            if not cells:
                continue
            if self._column + cells > self._width:
                self._move_to(self._row + 1, 0)
            self._put(char)
            if cells > 1:
                self._put("")

    def _put(self, char: str) -> None:
        row = self._rows[self._row]
        row.extend([_SPACE] * (self._column + 1 - len(row)))
        row[self._column] = Cell(char, self._look)
        self._column += 1
        self.changed.add(self._row)

    def _control(self, control: str) -> None:
        if control == "\n":
            # The terminal's driver adds the carriage return, which a program does not write.
            self._move_to(self._row + 1, 0)
        elif control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\t":
            self._column = min(self._width - 1, (self._column // _TAB + 1) * _TAB)

    def _move_to(self, row: int, column: int) -> None:
        self._row, self._column = max(0, row), max(0, min(column, self._width - 1))
        while self._row >= len(self._rows):
            self._rows.append([])
            self.changed.add(len(self._rows) - 1)

    def _sequence(self, letter: str, codes: str) -> None:
        if codes.startswith("?"):
            return
        numbers = [min(_FARTHEST, int(code[:6])) if code.isdigit() else 0 for code in re.split("[;:]", codes)]
        count = max(1, numbers[0])
        if letter == "m":
            self._look = _look(self._look, numbers)
        elif letter in "AF":
            self._move_to(self._row - count, 0 if letter == "F" else self._column)
        elif letter in "BE":
            self._move_to(self._row + count, 0 if letter == "E" else self._column)
        elif letter in "CD":
            self._move_to(self._row, self._column + (count if letter == "C" else -count))
        elif letter == "G":
            self._move_to(self._row, count - 1)
        elif letter == "K":
            self._erase(self._row, numbers[0])
        elif letter == "J" and numbers[0] == 0:
            self._erase(self._row, 0)
            for row in range(self._row + 1, len(self._rows)):
                self._erase(row, 2)

    def _erase(self, number: int, part: int) -> None:
        """Erase what comes after the cursor (0), what is before it (1), or the row (2)."""
        row = self._rows[number]
        if part == 0:
            del row[self._column :]
        elif part == 1:
            row[: self._column + 1] = [_SPACE] * min(len(row), self._column + 1)
        else:
            row.clear()
        self.changed.add(number)


def _cells(char: str) -> int:
    """How many cells a character takes. What joins the one before it takes none, and is left out."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


_COLOURS = range(8)


def _look(look: Look, numbers: list[int]) -> Look:
    """*look* after a sequence of *numbers* that says how what follows is to look."""
    if numbers[:1] in ([38], [48]):
        return look  # one of 256 or more colours, which nothing here needs
    for number in numbers:
        if number == 0:
            look = PLAIN
        elif number in (1, 2):
            look = replace(look, bold=look.bold or number == 1, dim=look.dim or number == 2)
        elif number == 22:
            look = replace(look, bold=False, dim=False)
        elif number - 30 in _COLOURS or number - 90 in _COLOURS:
            look = replace(look, colour=number % 10)
        elif number == 39:
            look = replace(look, colour=None)
    return look
