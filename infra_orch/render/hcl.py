"""Python values as HCL text that `terraform fmt` leaves alone.

Source of the rules: HCL's native syntax specification (templates, escapes) and what `terraform fmt` 1.11 does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from infra_orch.project import stack_and_unit
from infra_orch.render.raw import laid_out, spliced
from infra_orch.spec.values import (
    STACKS,
    Block,
    EnvironmentValue,
    Expression,
    Input,
    Opaque,
    Outputs,
    Reference,
    is_opaque,
    pieces,
    target,
)

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# Words that an object key would not be taken for: `{ for = 1 }` begins a for expression.
_NOT_KEYS = frozenset({"for", "null", "true", "false"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Written as \uXXXX: what cannot be seen or moves what can (controls, formats, separators, private use, no characters).
# The list is written out, and not asked of Python, whose versions know different characters: same spec, same bytes.
_UNSEEN = re.compile(
    '["\\\\\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5'
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U00013430-\U0001345f\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff]"
)
# In keys, what takes exactly one column whatever stands beside it: fmt aligns by what a reader sees as one character.
_NOT_ONE_COLUMN = re.compile(
    "[^ -~\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u1e00-\u1fff\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3]"
)
_ONE_LINE = 100
VARIABLE_PREFIX = "env_"
"""What the variables that carry `env()` values are called: `env("TOKEN")` is `var.env_TOKEN`."""


class Raw(str):
    """Text that is HCL already."""

    __slots__ = ()


def expression_text(value: Input | Raw, indent: int = 0) -> str:
    """Return *value* as an HCL expression whose further lines are indented by *indent* spaces."""
    if isinstance(value, Raw):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    if isinstance(value, str):
        return _text(value, indent)
    if is_opaque(value):
        return _opaque(value, indent)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return _map(value, indent)
    assert isinstance(value, Sequence), value
    return _list(value, indent)


def attribute_lines(arguments: Mapping[str, Input | Raw], indent: int, *, keys_are_names: bool = True) -> list[str]:
    """Return `name = value` lines, their equal signs aligned as `terraform fmt` aligns them.

    It aligns neighbours that fit on one line; an attribute of several lines stands for itself. Keys that are no
    identifiers are quoted where they may be (in maps, not in bodies).
    """
    rendered = [
        (key if keys_are_names else _key(key), expression_text(value, indent)) for key, value in arguments.items()
    ]
    lines: list[str] = []
    group: list[tuple[str, str]] = []
    for key, text in (*rendered, ("", "\n")):
        if "\n" not in text:
            group.append((key, text))
            continue
        width = max((_width(name) for name, _ in group), default=0)
        lines += [f"{' ' * indent}{name}{' ' * (width - _width(name))} = {value}" for name, value in group]
        group = []
        if key:
            lines.append(f"{' ' * indent}{key} = {text}")
    return lines


def body_lines(arguments: Mapping[str, Input | Raw], indent: int) -> list[str]:
    """Return the lines of a block's body: attributes first, then nested blocks, each after an empty line."""
    plain = {key: value for key, value in arguments.items() if not _blocks(value)}
    lines = attribute_lines(plain, indent)
    for key, value in arguments.items():
        for nested in _blocks(value):
            if lines:
                lines.append("")
            inner = body_lines(nested, indent + 2)
            pad = " " * indent
            lines += [f"{pad}{key} {{", *inner, f"{pad}}}"] if inner else [f"{pad}{key} {{}}"]
    return lines


def reference_text(value: Opaque, unit_prefix: str = "local") -> str:
    """Return a reference as a traversal: `local.network.subnet_ids[0]`, `local.stacks["network"].vpc.id`."""
    assert isinstance(value, (Reference, Outputs))
    name, steps = target(value)
    stack, unit = stack_and_unit(name)
    text = f"{unit_prefix}.{STACKS}[{quote(stack)}].{unit}" if stack else f"{unit_prefix}.{unit}"
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _IDENTIFIER.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{_string(step)}]"
    return text


def quote(text: str) -> str:
    """Return plain *text* as a quoted HCL string, in Unicode's form C as Terraform itself brings every string."""
    return f'"{_plain(text)}"'


def _plain(text: str, *, one_column: bool = False) -> str:
    """Plain text as it stands between quotes; with *one_column* every character takes one column."""
    escaped = _UNSEEN.sub(_escape, unicodedata.normalize("NFC", text))
    if one_column:
        escaped = _NOT_ONE_COLUMN.sub(_escape, escaped)
    return _guard(escaped)


def _guard(text: str) -> str:
    """Double the sign of every `${` and `%{`, so that no template begins."""
    return re.sub(r"([$%])\{", r"\1\1{", text)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or _code(match[0])


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _string(text: str, indent: int = 0, *, one_column: bool = False) -> str:
    parts = [
        _plain(part, one_column=one_column) if isinstance(part, str) else f"${{{_opaque(part, indent)}}}"
        for part in pieces(text)
    ]
    for number in range(len(parts) - 1):
        # A `$` or `%` in front of an interpolation would be read as its escape: `$${`.
        if parts[number].endswith(("$", "%")) and parts[number + 1].startswith("${"):
            parts[number] = parts[number][:-1] + _code(parts[number][-1])
    return f'"{"".join(parts)}"'


def _text(value: str, indent: int) -> str:
    """A string; a reference that stands alone in one is no template, as `terraform fmt` has it."""
    parts = pieces(value)
    return _opaque(parts[0], indent) if len(parts) == 1 and not isinstance(parts[0], str) else _string(value, indent)


def _opaque(value: Opaque, indent: int = 0) -> str:
    if isinstance(value, Expression):
        parts, holes = [""], []
        for piece in pieces(value.text):
            if isinstance(piece, str):
                parts[-1] += piece
            else:
                holes.append(_opaque(piece))
                parts.append("")
        return laid_out(spliced(parts, holes), indent)
    if isinstance(value, EnvironmentValue):
        return f"var.{VARIABLE_PREFIX}{value.name}"
    return reference_text(value)


def _number(value: float | Decimal) -> str:
    if isinstance(value, int):
        return int.__repr__(value)  # a subclass, like an enumeration, may call itself something else
    text = str(value) if isinstance(value, Decimal) else float.__repr__(value)
    return text.removesuffix(".0")


def _key(key: str) -> str:
    if isinstance(key, Raw):
        return str(key)
    name = _IDENTIFIER.fullmatch(key)
    if name and key not in _NOT_KEYS:
        return name[0]
    return _string(key, one_column=True)


def _map(value: Mapping[str, Input], indent: int) -> str:
    if not value:
        return "{}"
    lines = attribute_lines(value, indent + 2, keys_are_names=False)
    return "\n".join(["{", *lines, " " * indent + "}"])


def _list(value: Sequence[Input], indent: int) -> str:
    items = [expression_text(item, indent + 2) for item in value]
    flat = f"[{', '.join(items)}]"
    if "\n" not in flat and len(flat) <= _ONE_LINE:
        return flat
    pad = " " * (indent + 2)
    return "\n".join(["[", *(f"{pad}{item}," for item in items), " " * indent + "]"])


def _blocks(value: object) -> Iterable[Block]:
    if isinstance(value, Block):
        return (value,)
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, Block) for item in value):
        return tuple(value)
    return ()


def _width(text: str) -> int:
    """Columns as `terraform fmt` counts them. Keys hold one-column characters only; see _key."""
    return len(text) if text.isascii() else sum(1 for char in text if not unicodedata.combining(char))
