"""Make HCL text tame before it is parsed, and say in plain words where brackets, strings or comments do not close.

python-hcl2 does not know some of what Terraform accepts: names beyond ASCII, an interpolation over several lines,
`$${` without an end, comments in the middle of an expression, `!!x`, `${~ x ~}`. All of these stand in strings and
comments or can be written in another way, and strings need no grammar: so each becomes a numbered placeholder that is
put back after the parse. Source: HCL Native Syntax Specification (hashicorp/hcl, hclsyntax/spec.md).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

_NAME = r"[^\W\d][\w-]*"
_HEREDOC = rf"<<-?{_NAME}[ \t]*\r?\n"
# What stands before and after the end of a heredoc: all that Go's bytes.TrimSpace takes away (hcl, scan_tokens.rl).
_BLANK = r"[ \t\v\f\r\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*"
_COMMENT = r"(?:\#|//)[^\n]*|/\*.*?\*/"
_TOKEN = re.compile(
    rf"(?P<name>{_NAME})|(?P<newline>\n)|(?P<space>[ \t\r]+)|(?P<heredoc>{_HEREDOC})|(?P<string>\")|(?P<open>[\[({{])"
    rf"|(?P<close>[\])}}])|(?P<comment>{_COMMENT})|(?P<unclosed>/\*)"
    r"|(?P<negation>!(?:\s*!)+(?!=)|-(?:[ \t]*-)+)|(?P<other>.)",
    re.DOTALL,
)
_IN_STRING = re.compile(r'\\.|\$\$\{|%%\{|(?P<inner>[$%]\{)|(?P<end>")|(?P<newline>\n)', re.DOTALL)
_IN_TEMPLATE = re.compile(rf'{_COMMENT}|(?P<string>")|(?P<heredoc>{_HEREDOC})|(?P<open>\{{)|(?P<close>\}})', re.DOTALL)
_PLACEHOLDER = re.compile(r'"s(\d+)"')
_PARTNER = {"(": ")", "[": "]", "{": "}"}


class BadSyntaxError(Exception):
    """The text is no HCL, or no JSON: what is wrong in plain words, and the line, counted from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass
class Masked:
    """HCL text with placeholders, what they stand for, and where everything was.

    *strings* are the source texts of the quoted strings and heredocs; *names* those of names beyond ASCII, which read
    *name_prefix* and a number in *text*; *statements* the first word and the line of each statement at the top level.
    """

    source: str
    text: str = ""
    strings: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    name_prefix: str = "u_"
    statements: list[tuple[str, int]] = field(default_factory=list)
    offsets: list[tuple[int, int]] = field(default_factory=list)

    def source_offset(self, offset: int) -> int:
        """Where in the source the character at *offset* of the masked text came from."""
        position = bisect.bisect_right(self.offsets, (offset, len(self.source))) - 1
        if position < 0:
            return 0
        masked, original = self.offsets[position]
        return min(original + offset - masked, len(self.source))

    def string(self, placeholder: str) -> str | None:
        """The value of a string by its placeholder, quotes included; None where it is no literal."""
        return literal(self.strings[int(placeholder[2:-1])])

    def unmask_names(self, text: str) -> str:
        """*text* with the names beyond ASCII put back."""
        return re.sub(rf"\b{self.name_prefix}(\d+)_", lambda match: self.names[int(match[1])], text)

    def unmask(self, text: str) -> str:
        """*text* with names and strings put back; a heredoc comes back as a quoted string."""
        return _PLACEHOLDER.sub(lambda match: _quoted(self.strings[int(match[1])]), self.unmask_names(text))


def line_of(text: str, offset: int) -> int:
    """The line, counted from 1, of the character at *offset*."""
    return text.count("\n", 0, offset) + 1


def mask(text: str) -> Masked:
    """Return *text* as python-hcl2 can read it. Raises BadSyntaxError where something is never closed."""
    text = text.removeprefix("\ufeff")
    masked = Masked(text)
    while masked.name_prefix in text:
        masked.name_prefix = f"u{masked.name_prefix}"
    pieces: list[str] = []
    length = 0
    for offset, piece in _pieces(masked):
        masked.offsets.append((length, offset))
        pieces.append(piece)
        length += len(piece)
    masked.text = "".join(pieces)
    return masked


def _pieces(masked: Masked) -> Iterator[tuple[int, str]]:
    """Each token as (offset in the source, what it becomes); notes strings, names and statements on the way."""
    source, opened = masked.source, list[int]()
    position, line, counted, fresh = 0, 1, 0, True
    while match := _TOKEN.match(source, position):
        start, kind, token = position, match.lastgroup, match[0]
        position = match.end()
        if kind == "name":
            if fresh and not opened:
                line, counted = line + source.count("\n", counted, start), start
                masked.statements.append((token, line))
            fresh, piece = False, _name(masked, token)
        elif kind in ("string", "heredoc"):
            position = _end_of_string(source, start) if kind == "string" else _end_of_heredoc(source, match)
            masked.strings.append(source[start:position])
            piece = f'"s{len(masked.strings) - 1}"'
        elif kind == "open":
            opened.append(start)
            piece = token
        elif kind == "close":
            _close(source, opened, start)
            fresh, piece = not opened, token
        elif kind == "newline":
            fresh = True
            piece = " " if opened and source[opened[-1]] in "([" else token
        elif kind == "unclosed":
            _refuse(source, start, 'this comment is never closed: "*/" is missing')
        else:
            piece = {"comment": " ", "negation": token[0]}.get(kind or "", token)
        yield start, piece
    if opened:
        _refuse(source, opened[-1], f'this "{source[opened[-1]]}" is never closed')


def _name(masked: Masked, name: str) -> str:
    if name.isascii() and not name.startswith("__"):
        return name  # python-hcl2 has names of its own among those that begin with "__"
    masked.names.append(name)
    return f"{masked.name_prefix}{len(masked.names) - 1}_"


def _close(source: str, opened: list[int], offset: int) -> None:
    if not opened:
        _refuse(source, offset, f'this "{source[offset]}" closes nothing')
    opener = opened.pop()
    if _PARTNER[source[opener]] != source[offset]:
        line = line_of(source, opener)
        _refuse(source, offset, f'"{source[offset]}" where the "{source[opener]}" of line {line} should be closed')


def _end_of_string(source: str, start: int) -> int:
    """The offset behind the quoted string at *start*, with all that its interpolations hold."""
    return _end_of_template(source, start, start + 1, _IN_STRING)


def _end_of_heredoc(source: str, opening: re.Match[str]) -> int:
    """The offset behind the marker that ends the heredoc (before its newline)."""
    return _end_of_template(source, opening.start(), opening.end(), _in_heredoc(opening[0]))


def _in_heredoc(opening: str) -> re.Pattern[str]:
    """What matters within a heredoc. A line that holds its marker ends it, but not in the code of an interpolation."""
    marker = re.escape(opening.removeprefix("<<").removeprefix("-").strip())
    end = rf"(?P<end>^{_BLANK}{marker}(?={_BLANK}$))"
    return re.compile(rf"\$\$\{{|%%\{{|(?P<inner>[$%]\{{)|{end}", re.MULTILINE)


def _end_of_template(source: str, start: int, position: int, kind: re.Pattern[str]) -> int:
    """The offset behind the string or heredoc of a *kind* that begins at *start* and whose text does at *position*."""
    # Each level is a string, a heredoc, or the code of an interpolation with how many braces are open in it.
    levels: list[re.Pattern[str] | int] = [kind]
    while levels:
        inside = levels[-1]
        match = (_IN_TEMPLATE if isinstance(inside, int) else inside).search(source, position)
        if match is None or match.lastgroup == "newline":
            _refuse(source, start, _unclosed(source, start))
        position = match.end()
        if match.lastgroup == "inner":
            levels.append(0)
        elif match.lastgroup == "string":
            levels.append(_IN_STRING)
        elif match.lastgroup == "heredoc":
            levels.append(_in_heredoc(match[0]))
        elif match.lastgroup == "open" and isinstance(inside, int):
            levels[-1] = inside + 1
        elif match.lastgroup == "close" and isinstance(inside, int) and inside:
            levels[-1] = inside - 1
        elif match.lastgroup in ("end", "close"):
            levels.pop()
    return position


def _unclosed(source: str, start: int) -> str:
    opening = re.compile(_HEREDOC).match(source, start)
    if opening is None:
        return "this string is never closed"
    marker = opening[0].removeprefix("<<").removeprefix("-").strip()
    return f'this text is never closed: a line that holds only "{marker}" is missing'


def _refuse(source: str, offset: int, message: str) -> NoReturn:
    raise BadSyntaxError(message, line_of(source, offset))


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([$%])\4\{", re.DOTALL)
_INTERPOLATION = re.compile(r"(?<![$])\$\{|(?<!%)%\{")
_SURROGATES = range(0xD800, 0xE000)
_SINGLE = {"n": "\n", "r": "\r", "t": "\t"}


def literal(token: str) -> str | None:
    """The value of a quoted string or heredoc by its source text; None where it is computed, and so no literal."""
    if token.startswith("<<"):
        first, _, rest = token.partition("\n")
        lines = rest.split("\n")[:-1]
        text = "".join(f"{line}\n" for line in (_outdent(lines) if first.startswith("<<-") else lines))
        return None if _INTERPOLATION.search(text) else text.replace("$${", "${").replace("%%{", "%{")
    text = token[1:-1]
    return None if _INTERPOLATION.search(text) else _ESCAPE.sub(_unescape, text)


def _outdent(lines: list[str]) -> list[str]:
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    return [line[min(indents, default=0) :] for line in lines]


def _unescape(match: re.Match[str]) -> str:
    short, long, single, doubled = match.groups()
    if doubled:
        return f"{doubled}{{"
    if single:
        return _SINGLE.get(single, single)
    code = int(short or long, 16)
    return chr(code) if code <= 0x10FFFF and code not in _SURROGATES else "\ufffd"


def _quoted(token: str) -> str:
    if not token.startswith("<<"):
        return token
    text = literal(token)
    if text is None:
        return '"…"'
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("${", "$${"), ("%{", "%%{")):
        text = text.replace(plain, escaped)
    return f'"{text}"'
