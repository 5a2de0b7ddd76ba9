"""Arguments of the wrong kind are refused where they are given, in words that say what is wanted.

mypy finds the same before anything runs; not everybody asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST = 60


def one(what: str, value: object, kind: type[T], wanted: str) -> T:
    """Return *value* where it is a *kind*. Raises TypeError otherwise: `name= takes a string, not 3`."""
    if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    raise TypeError(f"{what} takes {wanted}, not {shown(value)}")


def text(what: str, value: object) -> str:
    """Return *value* where it is a string. Raises TypeError otherwise."""
    return one(what, value, str, "a string")


def optional_text(what: str, value: object) -> str | None:
    """Return *value* where it is a string or None. Raises TypeError otherwise."""
    return None if value is None else text(what, value)


def many(what: str, value: object, kind: type[T] | tuple[type[T], ...], wanted: str) -> tuple[T, ...]:
    """Return the items of a list. Raises TypeError where it is none, or one of them is not a *kind*."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise TypeError(f"{what} takes a list of {wanted}, not {shown(value)}")
    items = tuple(value)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{what} takes a list of {wanted}, and {shown(item)} is in it")
    return items


def mapping(what: str, value: object) -> dict[str, Any]:
    """Return a copy of a dict with names as its keys; an empty one for None. Raises TypeError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} takes a dict, not {shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{what} takes names as its keys, and {shown(key)} is one of them")
    return {str(key): item for key, item in value.items()}


def shown(value: object) -> str:
    """*value* as an error message quotes it: short."""
    written = repr(value)
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"
