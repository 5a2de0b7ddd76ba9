"""The text of a raw HCL expression: where its references stand, and how it is laid out over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_HOLE = "\x00"  # stands where a reference goes; no text that Terraform takes may hold it
_CODE = re.compile(
    r"(?P<comment>(?:\#|//)[^\n]*|/\*.*?\*/)|<<-?(?P<heredoc>[^\W\d][\w-]*)[ \t]*\r?(?=\n)|(?P<quote>\")"
    r"|(?P<open>[\[({])|(?P<close>[\])}])|(?P<hole>\x00)|.",
    re.DOTALL,
)
_TEMPLATE = r"|\$\$\{|%%\{|(?P<open>[$%]\{)|(?P<hole>\x00)|."
_QUOTED = re.compile(r'\\.|(?P<end>")' + _TEMPLATE, re.DOTALL)
_SIGNS = re.compile(r"[$%]+\Z")


def spliced(parts: Sequence[str], holes: Sequence[str]) -> str:
    """Return the expression that has *holes*, which are HCL, between its *parts*.

    In the text of a string or heredoc a reference is written as an interpolation: no other is meant there.
    """
    inside = [template for kind, _, template, _ in _tokens(_HOLE.join(parts)) if kind == "hole"]
    text = parts[0]
    for hole, template, part in zip(holes, inside, parts[1:], strict=True):
        if template:
            text = _SIGNS.sub(lambda sign: f'${{"{sign[0]}"}}', text)  # `$${` would be an escape, and no interpolation
        text += f"${{{hole}}}{part}" if template else f"{hole}{part}"
    return text.strip()


def laid_out(text: str, indent: int) -> str:
    """Return *text* as it may stand behind `name =` in a line that is indented by *indent*.

    HCL ends an expression where its line ends, but for one in brackets, and a comment takes in what comes behind it.
    Lines are indented as `terraform fmt` does, by the brackets that are open; those of a heredoc are its value.
    """
    if "\n" not in text and all(kind != "comment" for kind, *_ in _tokens(text)):
        return text
    opened = [1]
    lines = ["("]
    for line, brackets, is_value in _lines(text):
        closing = max(-brackets, 0)
        while closing and opened:
            closed = min(closing, opened[-1])
            closing -= closed
            opened[-1] -= closed
            if not opened[-1]:
                opened.pop()
        lines.append(line if is_value else f"{' ' * (indent + 2 * len(opened))}{line.strip()}".rstrip())
        if brackets > 0:
            opened.append(brackets)
    return "\n".join([*lines, f"{' ' * indent})"])


def _lines(text: str) -> Iterator[tuple[str, int, bool]]:
    """Each line, how many more brackets it opens than it closes, and whether it is a heredoc's."""
    line, brackets, is_value = "", 0, False
    for kind, piece, _, in_heredoc in _tokens(text):
        if piece == "\n":
            yield line, brackets, is_value
            line, brackets, is_value = "", 0, in_heredoc
            continue
        line += piece
        if not in_heredoc:
            brackets += {"open": 1, "close": -1}.get(kind, 0)
    yield line, brackets, is_value


def _tokens(text: str) -> Iterator[tuple[str, str, bool, bool]]:
    """Each token: its kind, its text, whether it is text of a template, and whether it stands in a heredoc."""
    within = [_CODE]
    position = 0
    while match := within[-1].match(text, position):
        position, kind = match.end(), match.lastgroup or ""
        in_heredoc = any(pattern not in (_CODE, _QUOTED) for pattern in within)
        yield kind, match[0], within[-1] is not _CODE, in_heredoc
        if kind == "open":
            within.append(_CODE)
        elif kind == "quote":
            within.append(_QUOTED)
        elif kind == "heredoc":
            marker = rf"(?P<end>(?<=\n)[ \t]*{match['heredoc']}(?=[ \t]*\r?(?:\n|\Z)))"
            within.append(re.compile(marker + _TEMPLATE, re.DOTALL))
        elif kind in ("end", "close") and len(within) > 1:
            within.pop()
