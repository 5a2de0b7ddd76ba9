"""The top-level blocks of a `.tf` or `.tf.json` file, with their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra_orch.module.masking import BadSyntaxError, Masked, line_of, mask

_LABELS = {
    "variable": 1,
    "output": 1,
    "provider": 1,
    "module": 1,
    "check": 1,
    "resource": 2,
    "data": 2,
    "ephemeral": 2,
    "action": 2,
}
_SNIPPET = 40
_TOO_DEEP = "this file cannot be read: it is nested too deeply"


@dataclass(frozen=True)
class Expression:
    """What is computed and not written down: the text of the expression, on one line."""

    text: str


Value: TypeAlias = str | int | float | bool | Expression | list["Value"] | dict[str, "Value"] | None


@dataclass(frozen=True)
class Block:
    """A block: `variable "a" {…}` has the type `variable` and the label `a`. Blocks within are dicts in lists."""

    type: str
    labels: tuple[str, ...]
    body: Mapping[str, Value]
    line: int


def native_blocks(text: str) -> list[Block]:
    """The blocks of HCL's native syntax. Raises BadSyntaxError, with the line, where *text* cannot be parsed."""
    masked = mask(text)
    lines: dict[str, list[int]] = {}
    for word, line in masked.statements:
        lines.setdefault(masked.unmask_names(word), []).append(line)
    blocks = []
    for kind, entries in _parse(masked).items():
        if not isinstance(entries, list):
            continue
        places = iter(lines.get(masked.unmask_names(kind), ()))
        for entry in entries:
            labels, body = _labelled(masked, entry)
            if isinstance(body, dict):
                blocks.append(Block(masked.unmask_names(kind), labels, body, next(places, 0)))
    return blocks


def _labelled(masked: Masked, entry: Any) -> tuple[tuple[str, ...], Value]:
    """The labels of a block, each of which is one level of dicts, and its body."""
    labels: list[str] = []
    while isinstance(entry, dict) and len(entry) == 1 and "__is_block__" not in entry:
        ((label, entry),) = entry.items()
        labels.append(_key(masked, label))
    return tuple(labels), _value(masked, entry)


def _parse(masked: Masked) -> dict[str, Any]:
    # The import takes a quarter of a second, so it waits until there is something to parse.
    import hcl2  # noqa: PLC0415
    from lark.exceptions import LarkError  # noqa: PLC0415

    try:
        return hcl2.loads(masked.text, serialization_options=hcl2.SerializationOptions(with_comments=False))
    except RecursionError as error:
        raise BadSyntaxError(_TOO_DEEP, 0) from error
    except (LarkError, ValueError) as error:
        token = getattr(error, "token", error)
        offset = getattr(token, "start_pos", getattr(token, "pos_in_stream", None))
        raise _misplaced(masked, len(masked.text) if offset is None else offset) from error


def _misplaced(masked: Masked, offset: int) -> BadSyntaxError:
    start = masked.source_offset(offset)
    start += len(masked.source[start:]) - len(masked.source[start:].lstrip(" \t\r"))
    rest = masked.source[start:].split("\n", 1)[0].strip()
    line = line_of(masked.source, start)
    if not rest:
        return BadSyntaxError("not valid HCL: something is missing at the end of this line", line)
    return BadSyntaxError(f"not valid HCL: {_shortened(rest)} cannot stand here", line)


def _shortened(text: str) -> str:
    return f'"{text if len(text) <= _SNIPPET else text[:_SNIPPET] + "…"}"'


def _value(masked: Masked, value: Any) -> Value:
    """A value as python-hcl2 has it, where strings are in quotes and expressions in `${…}`, as a value of ours."""
    if isinstance(value, dict):
        return {_key(masked, key): _value(masked, item) for key, item in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_value(masked, item) for item in value]
    if isinstance(value, str):
        if value.startswith('"'):
            text = masked.string(value)
            return Expression(masked.unmask(value)) if text is None else text
        return Expression(masked.unmask(value.removeprefix("${").removesuffix("}")))
    return value  # type: ignore[no-any-return]


def _key(masked: Masked, key: str) -> str:
    if key.startswith('"'):
        return masked.string(key) or ""
    return masked.unmask(key.removeprefix("${").removesuffix("}") if key.startswith("${") else key)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with every pair that it holds, equal names included."""


_JSON_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"(?P<colon>\s*:)?|(?P<open>[\[{])|(?P<close>[\]}])')


def json_blocks(text: str) -> list[Block]:
    """The blocks of HCL's JSON syntax. Raises BadSyntaxError, with the line, where *text* is no JSON object."""
    text = text.removeprefix("\ufeff")
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise BadSyntaxError(f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno) from error
    except RecursionError as error:
        raise BadSyntaxError(_TOO_DEEP, 0) from error
    if not isinstance(document, list) or not all(isinstance(top, _Pairs) for top in _bodies(document)):
        raise BadSyntaxError("a .tf.json file holds one JSON object", 1)
    places: dict[tuple[str, ...], list[int]] = {}
    for path, line in _json_lines(text):
        places.setdefault(path, []).append(line)
    return [
        Block(kind, labels, body, places[kind, *labels].pop(0) if places.get((kind, *labels)) else 0)
        for top in _bodies(document)
        for kind, value in top
        for labels, body in _json_labelled(value, _LABELS.get(kind, 0), ())
    ]


def _bodies(value: Any) -> list[Any]:
    """An object, or each object of an array, as HCL's JSON syntax takes either for a block."""
    return [value] if isinstance(value, _Pairs) else value if isinstance(value, list) else []


def _json_labelled(
    value: Any, depth: int, labels: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Value]]]:
    for body in _bodies(value):
        if not isinstance(body, _Pairs):
            continue
        if depth == 0:
            yield labels, _plain(body)
            continue
        for label, inner in body:
            if label != "//":
                yield from _json_labelled(inner, depth - 1, (*labels, label))


def _plain(value: Any) -> Any:
    """A JSON value; of a block that is there more than once under one key, Terraform takes each, and so does this."""
    if isinstance(value, _Pairs):
        found: dict[str, Any] = {}
        for key, item in value:
            plain = _plain(item)
            if key in found:
                first = found[key]
                plain = [
                    *(first if isinstance(first, list) else [first]),
                    *(plain if isinstance(plain, list) else [plain]),
                ]
            found[key] = plain
        return found
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _json_lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The path of every key of a valid JSON text, arrays left out, and its line."""
    path: list[str] = []
    key, line, counted = "", 1, 0
    for match in _JSON_TOKEN.finditer(text):
        if match["colon"]:
            key = json.loads(f'"{match["text"]}"')
            line, counted = line + text.count("\n", counted, match.start()), match.start()
            yield (*(step for step in path if step), key), line
        elif match["open"]:
            path.append(key)
            key = ""
        elif match["close"]:
            path.pop()
            key = ""
