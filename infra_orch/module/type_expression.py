"""Terraform's type constraints as values. Source: Terraform's documentation of type constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from infra_orch.module.masking import literal


@dataclass(frozen=True)
class Anything:
    """`any`: every value will do."""

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True)
class Primitive:
    """`string`, `number` or `bool`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Collection:
    """`list(…)`, `set(…)` or `map(…)`."""

    kind: Literal["list", "set", "map"]
    element: Constraint

    def __str__(self) -> str:
        return f"{self.kind}({self.element})"


@dataclass(frozen=True)
class Tuple:
    """`tuple([…])`."""

    elements: tuple[Constraint, ...]

    def __str__(self) -> str:
        return f"tuple([{', '.join(map(str, self.elements))}])"


@dataclass(frozen=True)
class Object:
    """`object({…})`: the attributes by name, and the names of those that are `optional(…)`."""

    attributes: Mapping[str, Constraint]
    optional: frozenset[str]

    def __str__(self) -> str:
        attributes = (
            f"{name} = optional({constraint})" if name in self.optional else f"{name} = {constraint}"
            for name, constraint in self.attributes.items()
        )
        return f"object({{{', '.join(attributes)}}})"


Constraint: TypeAlias = Anything | Primitive | Collection | Tuple | Object

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\W\d][\w-]*|.)', re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class NotATypeError(ValueError):
    """The text is no type that is known here; holds the word at which it ceases to be one."""


def parse_type(text: str) -> Constraint:
    """Return the type that *text* says: `list(object({a = string}))`, a bare `list`, `set` or `map` included.

    Raises NotATypeError where it is none.
    """
    tokens = _Tokens(_TOKEN.findall(text.strip()))
    try:
        constraint = _parse(tokens)
    except RecursionError as error:
        raise NotATypeError("nested too deeply") from error
    tokens.expect("")
    return constraint


class _Tokens:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def expect(self, *tokens: str) -> None:
        for token in tokens:
            if self.take() != token:
                raise NotATypeError(token)

    def skip_expression(self) -> None:
        """Pass over an expression, up to the comma or bracket that ends it."""
        closing: list[str] = []
        while closing or self.peek() not in (",", ")", "]", "}"):
            token = self.take()
            if token == "":
                raise NotATypeError(token)
            if token in _CLOSING:
                closing.append(_CLOSING[token])
            elif closing and token == closing[-1]:
                closing.pop()


def _parse(tokens: _Tokens) -> Constraint:
    word = tokens.take()
    if word in ("string", "number", "bool"):
        return Primitive(word)
    if word == "any":
        return Anything()
    if word in ("list", "set", "map"):
        kind: Literal["list", "set", "map"] = word  # type: ignore[assignment]  # one of the three, just compared
        if tokens.peek() != "(":
            return Collection(kind, Anything())
        tokens.expect("(")
        element = _parse(tokens)
        tokens.expect(")")
        return Collection(kind, element)
    if word == "tuple":
        return _parse_tuple(tokens)
    if word == "object":
        return _parse_object(tokens)
    raise NotATypeError(word)


def _parse_tuple(tokens: _Tokens) -> Tuple:
    tokens.expect("(", "[")
    elements: list[Constraint] = []
    while tokens.peek() != "]":
        elements.append(_parse(tokens))
        if tokens.peek() != "]":
            tokens.expect(",")
    tokens.expect("]", ")")
    return Tuple(tuple(elements))


def _parse_object(tokens: _Tokens) -> Object:
    tokens.expect("(", "{")
    attributes: dict[str, Constraint] = {}
    optional: set[str] = set()
    while tokens.peek() != "}":
        name = tokens.take()
        if name.startswith('"'):
            name = literal(name) or ""
        if tokens.take() not in ("=", ":"):
            raise NotATypeError(name)
        if tokens.peek() == "optional":
            optional.add(name)
            tokens.expect("optional", "(")
            attributes[name] = _parse(tokens)
            if tokens.peek() == ",":
                tokens.take()
                tokens.skip_expression()
            tokens.expect(")")
        else:
            attributes[name] = _parse(tokens)
        if tokens.peek() == ",":
            tokens.take()
    tokens.expect("}", ")")
    return Object(attributes, frozenset(optional))
