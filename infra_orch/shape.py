"""Whether a JSON document is what it should be, asked once where it is read, so that nothing after that has to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Shape: TypeAlias = Any
"""A type (`str`), a tuple of shapes one of which it has, `[shape]` for a list, `{str: shape}` for a mapping of names,
`{"key": shape}` for a mapping that has these keys, `Optional(shape)` for what may be missing or null. One may hold
itself.
"""


@dataclass(frozen=True)
class Optional:
    """The shape of something that may be missing, or null."""

    shape: Shape


def misfit(value: Any, shape: Shape, path: str = "") -> str:
    """Return where *value* is not of *shape*, and how, as `units.web.status is no str`; empty where it is."""
    if type(value) is shape:
        return ""
    if isinstance(shape, Optional):
        return "" if value is None else misfit(value, shape.shape, path)
    if isinstance(shape, tuple):
        return "" if not all(misfit(value, one, path) for one in shape) else f"{path or 'it'} is {_kind(value)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path or 'it'} is {_kind(value)}, and no list"
        return _first((item, shape[0], f"{path}[{number}]") for number, item in enumerate(value))
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return f"{path or 'it'} is {_kind(value)}, and no mapping"
        if str in shape:
            return _first((item, shape[str], _below(path, key)) for key, item in value.items())
        return next((text for key, part in shape.items() if (text := _entry(value, key, part, path))), "")
    wrong = not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool and shape is not object)
    return f"{path or 'it'} is {_kind(value)}, and no {shape.__name__}" if wrong else ""


def _entry(value: Mapping[str, Any], key: str, shape: Shape, path: str) -> str:
    if key not in value:
        return "" if isinstance(shape, Optional) else f"{_below(path, key)} is missing"
    return misfit(value[key], shape, _below(path, key))


def _first(parts: Iterable[tuple[Any, Shape, str]]) -> str:
    """The first misfit among *parts*: values, shapes and paths."""
    for value, shape, path in parts:
        if type(value) is not shape and (text := misfit(value, shape, path)):
            return text
    return ""


def _below(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _kind(value: Any) -> str:
    return "null" if value is None else f"of the type {type(value).__name__}"
