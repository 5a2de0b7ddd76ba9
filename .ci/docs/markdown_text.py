"""Pieces of Markdown: what goes into tables and fences without becoming something else."""

from __future__ import annotations

import re


def code(text: str) -> str:
    """*text* as inline code, also in a table."""
    mark = "``" if "`" in text else "`"
    return f"{mark}{text}{mark}".replace("|", "\\|")


def cell(text: str) -> str:
    """Prose for one cell of a table: on one line, and nothing in it ends the cell or begins HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _plain(part) for part in parts).replace("|", "\\|")


def _plain(text: str) -> str:
    """*text* with nothing in it that is HTML or a pattern's asterisk; a word in asterisks is meant so."""
    return re.sub(r"\*(?!\w+\*)(?<!\w\*)", r"\\*", text.replace("<", "&lt;"))


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def fence(text: str, kind: str = "") -> list[str]:
    """The lines of a fenced block, with a fence that is in none of *text*'s lines."""
    mark = "```"
    while mark in text:
        mark += "`"
    return [f"{mark}{kind}", *text.rstrip("\n").split("\n"), mark]
