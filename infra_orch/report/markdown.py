"""Markdown of which nothing is anything else than it says, whatever others wrote: fences, folds, code, one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from infra_orch.report.style import safe

_LONGEST_VALUE = 500


def length(text: str) -> int:
    """Return how many characters a host counts in *text*: those outside of Unicode's first plane are two."""
    return len(text) + sum(char > "\uffff" for char in text)


def so_many(things: Collection[object], word: str) -> str:
    """Return how many there are: `2 units`."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def at_most(lines: Sequence[str], most: int) -> list[str]:
    """Return the first *most* lines, and how many more there are."""
    return [*lines[:most], *([f"… and {len(lines) - most} more"] if len(lines) > most else [])]


def folded(title: str, lines: Sequence[str], language: str = "diff") -> str:
    """Return lines in a fence that is folded. *title* is HTML."""
    return f"<details><summary>{title}</summary>\n\n{fence(lines, language)}\n\n</details>"


def fence(lines: Iterable[str], language: str = "") -> str:
    """Return lines in a fence that none of them can end."""
    text = "\n".join(lines)
    ticks = "`" * max(3, _longest_ticks(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def code(text: str) -> str:
    """Return *text* as a code span, in which nothing is anything else than itself."""
    ticks = "`" * (_longest_ticks(text) + 1)
    gap = " " if len(ticks) > 1 else ""
    return f"{ticks}{gap}{one_line(text)}{gap}{ticks}"


def _longest_ticks(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def escaped(text: str) -> str:
    """Return *text* as HTML, in which nobody is mentioned."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def one_line(text: object) -> str:
    """Return text of others on one line, with what cannot be seen shown, and not endless."""
    said = safe(str(text)[: _LONGEST_VALUE + 1], keep_newlines=False)
    more = len(str(text)) - _LONGEST_VALUE
    return f"{said[:_LONGEST_VALUE]}… ({more} more characters)" if more > 0 else said
