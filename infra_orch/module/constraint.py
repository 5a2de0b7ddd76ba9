"""Whether Terraform can convert a value to the type that a variable has.

Source: the conversions of Terraform's type system (zclconf/go-cty, cty/convert); each rule is compared with real
Terraform by the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from infra_orch.errors import nearest
from infra_orch.module.type_expression import (
    Anything,
    Collection,
    Constraint,
    NotATypeError,
    Object,
    Primitive,
    Tuple,
    parse_type,
)


def parse_constraint(text: str | None) -> Constraint:
    """Return the type that the text of a type constraint says; None, and what is no type known here, is `any`.

    The quoted forms of Terraform 0.11 (`"string"`, `"list"`, `"map"`) are known.
    """
    if text is None:
        return Anything()
    quoted = re.fullmatch(r'\s*"(\w+)"\s*', text)
    try:
        return parse_type(quoted[1] if quoted else text)
    except NotATypeError:
        return Anything()


IsOpaque: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True)
class _Comparison:
    is_opaque: IsOpaque
    quote: bool


def mismatch(
    constraint: Constraint, value: Any, is_opaque: IsOpaque, *, nullable: bool = True, quote: bool = True
) -> str | None:
    """Return the first of `mismatches`, or None where there is none."""
    return next(mismatches(constraint, value, is_opaque, nullable=nullable, quote=quote), None)


def mismatches(
    constraint: Constraint, value: Any, is_opaque: IsOpaque, *, nullable: bool = True, quote: bool = True
) -> Iterator[str]:
    """Say each reason for which Terraform would refuse *value*: `["zones"][1]: a map where number is wanted`.

    *value* is what JSON has (Decimal, tuples and other mappings too). What *is_opaque* says is opaque has a type that
    is not known yet, and is accepted anywhere, as are Python types that are not known here. Only what Terraform surely
    refuses is said. *nullable* is False where a null by itself is refused: a variable with `nullable = false` and no
    default. Without *quote* no value is repeated, only keys: for variables that are sensitive.
    """
    if value is None and not nullable:
        yield f"null where {_words(constraint)} is wanted (nullable = false)"
    else:
        yield from _compare(constraint, value, "", _Comparison(is_opaque, quote))


def _compare(constraint: Constraint, value: Any, path: str, how: _Comparison) -> Iterator[str]:
    if how.is_opaque(value) or value is None or isinstance(constraint, Anything):
        return
    kind = _kind(value)
    if kind is None:
        return
    if isinstance(constraint, Primitive):
        if kind in ("list", "map") or not _converts(value, kind, constraint.name):
            yield _at(path, f"{_shown(value, kind, how)} where {constraint.name} is wanted")
    elif kind != ("map" if isinstance(constraint, Object) or _is_map(constraint) else "list"):
        yield _at(path, f"{_shown(value, kind, how)} where {_words(constraint)} is wanted")
    elif isinstance(constraint, Object):
        yield from _compare_object(constraint, {str(key): item for key, item in value.items()}, path, how)
    elif isinstance(constraint, Tuple):
        if len(value) != len(constraint.elements):
            wanted = f"where {_words(constraint)} is wanted, which has {len(constraint.elements)}"
            yield _at(path, f"a list of {len(value)} elements {wanted}")
            return
        for index, (element, item) in enumerate(zip(constraint.elements, value, strict=True)):
            yield from _compare(element, item, f"{path}[{index}]", how)
    else:
        yield from _compare_collection(constraint, value, path, how)


def _compare_object(constraint: Object, value: Mapping[str, Any], path: str, how: _Comparison) -> Iterator[str]:
    missing = [name for name in constraint.attributes if name not in value and name not in constraint.optional]
    surplus = [key for key in value if key not in constraint.attributes]
    for name in missing:
        like = next((key for key in surplus if nearest(key, [name])), None)
        near = f'; there is "{like}", did you mean "{name}"?' if like else ""
        yield _at(path, f'the attribute "{name}" is missing{near}')
    for name, attribute in constraint.attributes.items():
        if name in value:
            yield from _compare(attribute, value[name], f"{path}[{json.dumps(name, ensure_ascii=False)}]", how)


def _compare_collection(constraint: Collection, value: Any, path: str, how: _Comparison) -> Iterator[str]:
    items = (
        [(json.dumps(str(key), ensure_ascii=False), item) for key, item in value.items()]
        if isinstance(value, Mapping)
        else [(str(index), item) for index, item in enumerate(value)]
    )
    if isinstance(constraint.element, Anything):
        opaque = any(how.is_opaque(item) for _, item in items)
        kinds = {_kind(item) for _, item in items if not how.is_opaque(item) and item is not None} - {None}
        if len(kinds) > 1 and (kinds & {"list", "map"} or (kinds == {"bool", "number"} and not opaque)):
            listed = " and ".join(sorted(_A[kind] for kind in kinds if kind))
            yield _at(path, f"{listed} in one {constraint.kind}, where {constraint} wants elements of one type")
    for step, item in items:
        yield from _compare(constraint.element, item, f"{path}[{step}]", how)


def _is_map(constraint: Constraint) -> bool:
    return isinstance(constraint, Collection) and constraint.kind == "map"


_A = {"string": "a string", "number": "a number", "bool": "a bool", "list": "a list", "map": "a map"}


def _kind(value: Any) -> str | None:
    """What HCL makes of a Python value; None where that is not known here."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float, Decimal)):
        return "number"
    if isinstance(value, Mapping):
        return "map"
    return "list" if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)) else None


# What go-cty reads as a number: Go's big.Float in base 10, checked against Terraform by the tests.
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEpP][+-]?[0-9]+)?|[iI]nf)")


def _converts(value: Any, kind: str, wanted: str) -> bool:
    if wanted in ("string", kind):
        return True
    if kind != "string":
        return False
    return value in ("true", "false", "1", "0") if wanted == "bool" else bool(_NUMBER.fullmatch(value))


def _shown(value: Any, kind: str, how: _Comparison) -> str:
    if not how.quote or kind in ("list", "map"):
        return _A[kind]
    if kind == "bool":
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if kind == "string" else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _words(constraint: Constraint) -> str:
    text = str(constraint)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _at(path: str, message: str) -> str:
    return f"{path}: {message}" if path else message
