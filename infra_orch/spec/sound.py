"""Whether a value that a spec holds can be written as HCL at all, whatever it is meant for."""

from __future__ import annotations

import math
import re
from collections import UserString
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from os import PathLike
from typing import Any

from infra_orch.module.masking import BadSyntaxError, mask
from infra_orch.spec.arguments import shown
from infra_orch.spec.stack import Task, Unit
from infra_orch.spec.token import NulCharacterError, TamperedReferenceError
from infra_orch.spec.values import Expression, Reference, is_opaque, pieces, target

_DEEPEST = 50
_NUMBER_BITS = 512  # Source: go-cty keeps numbers with so many bits, and rounds what has more.
_NUMBER_DIGITS = 150
_WITH_TEXT = frozenset({"datetime", "ipaddress", "uuid"})  # told by their names, since to import them takes time
_SURROGATE = re.compile("[\ud800-\udfff]")


def unsound(value: object) -> Iterator[str]:
    """Say each reason for which *value* cannot be written as HCL: `["zones"][1]: {'a'} is a set; …`."""
    yield from _unsound(value, "", 0)


def unplain(text: str) -> str | None:
    """Say why *text* cannot be plain text of a rendered file (a module's address, a version), or None where it can."""
    if not text.strip():
        return "it is empty"
    why = _unsound_text(text)
    if why is None and any(not isinstance(piece, str) for piece in pieces(text)):
        return "it can hold no reference, expression or env(): Terraform reads it before there are values"
    return why


def holds_opaque(value: object) -> bool:
    """Whether *value* is, or is a string with, something of which nothing is known before Terraform runs."""
    if isinstance(value, str):
        return any(not isinstance(piece, str) for piece in pieces(value))
    return is_opaque(value)


def literals(value: object) -> Iterator[object]:
    """Yield the strings and numbers in *value* that are not empty and hold nothing that comes at run time."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from literals(item)
    elif isinstance(value, str):
        if value and not holds_opaque(value):
            yield value
    elif isinstance(value, Sequence):
        for item in value:
            yield from literals(item)
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        yield value


def is_identifier(name: str) -> bool:
    """Whether HCL takes *name* for the name of an argument, a variable or an output."""
    return name[:1] != "-" and name.replace("-", "_").isidentifier()


def _unsound(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield f"nested more than {_DEEPEST} levels deep, or holding itself"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            why = _unsound_text(key) if isinstance(key, str) else "a key of a map is a string"
            if why:
                yield _at(path, f"the key {shown(key)}: {why}")
            yield from _unsound(item, f"{path}[{shown(key)}]", depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, UserString)):
        for number, item in enumerate(value):
            yield from _unsound(item, f"{path}[{number}]", depth + 1)
    elif why := _unsound_part(value):
        yield _at(path, why)


def _unsound_part(value: Any) -> str | None:
    """Why a value that has no parts cannot be written, or None where it can."""
    if isinstance(value, str):
        return _unsound_text(value)
    if isinstance(value, (int, float, Decimal)):
        return _unsound_number(value)
    if isinstance(value, Reference):
        texts: Iterable[object] = target(value)[1]
    elif isinstance(value, Expression):
        return _unsound_expression(value)
    elif value is None or is_opaque(value):
        return None
    else:
        return _foreign(value)
    return next((why for text in texts if isinstance(text, str) and (why := _unsound_text(text))), None)


def _unsound_text(text: str) -> str | None:
    if _SURROGATE.search(text):
        return "a string with a lone surrogate is not Unicode text"
    try:
        for piece in pieces(text):
            if isinstance(piece, Expression) and (why := _unsound_expression(piece)):
                return why
    except TamperedReferenceError:
        return (
            "a string operation (upper, replace, a slice, json.dumps …) changed a reference that was in the string; "
            'it can only be computed with in Terraform: expression(f"upper({net.outputs.name})")'
        )
    except NulCharacterError:
        return "a string with a NUL character (a reference that was cut leaves one) is no value that Terraform has"
    return None


def _unsound_expression(value: Expression) -> str | None:
    """Why the text of an expression is none: it would take in what is written behind it."""
    why = _unsound_text(value.text)
    if why is None:
        try:
            mask("".join(piece if isinstance(piece, str) else "_" for piece in pieces(value.text)).strip())
        except BadSyntaxError as error:
            return f"{value!r}: {error.message}"
    return why


def _unsound_number(value: float | Decimal) -> str | None:
    if isinstance(value, int):
        too_long = not isinstance(value, bool) and value.bit_length() > _NUMBER_BITS
    elif isinstance(value, Decimal):
        if not value.is_finite():
            return f"{value} is not a number that Terraform has"
        too_long = len(value.as_tuple().digits) > _NUMBER_DIGITS
    else:
        return None if math.isfinite(value) else f"{value} is not a number that Terraform has"
    return "a number this long would be rounded by Terraform; give it as a string" if too_long else None


def _foreign(value: object) -> str:
    if value is ...:
        return "... stands where something is still to be filled in: write its value there"
    mend: Mapping[type | tuple[type, ...], str] = {
        Unit: "refer to one of its outputs: UNIT.outputs.NAME",
        Task: "a task has no outputs",
        (PathLike, UserString): "str(…) makes text of it",
        AbstractSet: "sorted(…) makes a list of it, the same one each time",
        Iterator: "list(…) makes a list of it",
        (bytes, bytearray): "decode it to text",
        Enum: "its .value may have one",
    }
    hint = next((f"; {text}" for kind, text in mend.items() if isinstance(value, kind)), "")
    if type(value).__module__ in _WITH_TEXT:
        hint = "; str(…) makes text of it"
    elif not hint and is_dataclass(value) and not isinstance(value, type):
        hint = "; dataclasses.asdict(…) makes a dict of it"
    return f"{shown(value)} is of type {type(value).__name__}, which Terraform has no value for{hint}"


def _at(path: str, why: str) -> str:
    return f"{path}: {why}" if path else why
