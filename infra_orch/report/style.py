"""Colours of the terminal, and text of others made safe for it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}


@dataclass(frozen=True)
class Style:
    """Writes text in colours, or plainly where *colour* is off."""

    colour: bool = False

    def __call__(self, text: str, *names: str) -> str:
        """Return *text* in the given colours and weights."""
        if not self.colour or not names or not text:
            return text
        return f"\033[{';'.join(_CODES[name] for name in names)}m{text}\033[0m"


_OWN = re.compile(rf"(\033\[(?:0|(?:{'|'.join(_CODES.values())})(?:;(?:{'|'.join(_CODES.values())}))*)m)")
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of what controls, marks or parts text and is not seen itself."""
_SAFE = re.compile("[ -~\\n\\t]*")
"""What most text is made of, and needs no look at each character."""


def safe_in_colour(text: str) -> str:
    """Return *text* with the colours that a Style wrote, and all else in it as safe() has it."""
    return "".join(part if number % 2 else safe(part) for number, part in enumerate(_OWN.split(text)))


def safe(text: str, *, keep_newlines: bool = True) -> str:
    """Return text of others so that it can only be read: control and bidi characters are shown, not sent."""
    if keep_newlines and _SAFE.fullmatch(text):
        return text
    return "".join(
        char
        if char == "\t"
        or (char == "\n" and keep_newlines)
        or unicodedata.category(char) not in _UNSEEN
        or char in "\u200d\u200c"
        else f"\\u{ord(char):04x}"
        for char in text
    )
