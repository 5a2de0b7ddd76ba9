"""The values that a spec may hold: plain ones, references to outputs, raw expressions, run-time variables, blocks.

A reference knows no value: while a spec is evaluated there is none. Inside a string it leaves a token; see token.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NoReturn, Self, TypeAlias

from infra_orch.spec.token import TamperedReferenceError, shortened, split, token

STACKS = "stacks"
"""The local value that holds, by stack and unit, what a unit reads of other stacks; those of its own have their names.
"""


class _Opaque:
    """What has no value while a spec is evaluated. It can be put into inputs and strings, and nothing else."""

    __slots__ = ()

    def _payload(self) -> list[object]:
        raise AssertionError("every kind of value says how it is written into a string")

    def _parts(self) -> Sequence[Input]:
        """What may hold references of its own."""
        return ()

    def __str__(self) -> str:
        return token(self._payload())

    def __format__(self, spec: str) -> str:
        if spec:
            self._refuse(f'be formatted with ":{spec}"')
        return str(self)

    def _refuse(self, action: str) -> NoReturn:
        raise TypeError(
            f"{self!r} has no value while the spec is evaluated, so it cannot {action}; "
            'use expression("…") to compute with it in Terraform'
        )

    def __bool__(self) -> bool:
        self._refuse("be tested for truth or compared")

    def __len__(self) -> int:
        self._refuse("be counted")

    def __iter__(self) -> Iterator[NoReturn]:
        self._refuse("be looped over")

    def __contains__(self, item: object) -> bool:
        self._refuse("be searched")

    def __add__(self, other: object) -> NoReturn:
        self._refuse("be added to; put it into an f-string instead")

    __radd__ = __add__

    def __mul__(self, other: object) -> NoReturn:
        self._refuse("be computed with")

    __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __mod__ = __lt__ = __le__ = __gt__ = __ge__ = __mul__

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            self._refuse("be compared")
        return self._payload() == other._payload()

    def __hash__(self) -> int:
        return hash(tuple(self._payload()))

    def __deepcopy__(self, memo: object) -> Self:
        return self  # it never changes, so a deep copy of inputs may hold the same one


class Reference(_Opaque):
    """A value of an upstream unit: an output, or a part of one by attribute, index or key.

    It can be an input, be in a list or a dict, and be in an f-string. While the spec is evaluated it has no value, so
    testing, comparing, counting or adding to one raises TypeError; `expression()` computes with it.

    Example:
        first = network.outputs.subnet_ids[0]
        name = f"{network.outputs.name}-web"
    """

    __slots__ = ("_steps", "_unit")
    _unit: str
    _steps: tuple[str | int, ...]

    def __init__(self, unit: str, steps: tuple[str | int, ...]) -> None:
        object.__setattr__(self, "_unit", unit)
        object.__setattr__(self, "_steps", steps)

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse("be changed")

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, key: str | int) -> Reference:
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise TypeError(f"{self!r} can be indexed by a number or a key, not by {key!r}")
        if isinstance(key, int) and key < 0:
            raise IndexError(
                f"{self!r}[{key}]: Terraform counts from the front only; expression() can compute the last"
            )
        return Reference(self._unit, (*self._steps, str(key) if isinstance(key, str) else int(key)))

    def _payload(self) -> list[object]:
        return ["output", self._unit, *self._steps]

    def _parts(self) -> Sequence[Input]:
        return self._steps

    def __repr__(self) -> str:
        output, *steps = self._steps
        return f"{self._unit}.outputs.{output}" + "".join(f"[{step!r}]" for step in steps)


class Outputs(_Opaque):
    """All outputs of a unit. `outputs.vpc_id` and `outputs["vpc_id"]` are one of them; as an input it is their map.

    Example:
        vpc = network.outputs.vpc_id
        everything = {"network": network.outputs}
    """

    __slots__ = ("_unit",)
    _unit: str

    def __init__(self, unit: str) -> None:
        object.__setattr__(self, "_unit", unit)

    def __setattr__(self, name: str, value: object) -> None:
        self._refuse("be changed")

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("__"):
            raise AttributeError(name)
        return Reference(self._unit, (name,))

    def __getitem__(self, name: str) -> Reference:
        if not isinstance(name, str):
            raise TypeError(f"{self!r} are found by name, not by {name!r}")
        return Reference(self._unit, (name,))

    def _payload(self) -> list[object]:
        return ["output", self._unit]

    def __repr__(self) -> str:
        return f"{self._unit}.outputs"


class Expression(_Opaque):
    """A raw HCL expression; references in its text become HCL. Made by `expression()`."""

    __slots__ = ("text",)
    text: str

    def __init__(self, text: str) -> None:
        self.text = text

    def _payload(self) -> list[object]:
        return ["expression", self.text]

    def _parts(self) -> Sequence[Input]:
        return (self.text,)

    def __repr__(self) -> str:
        return f"expression({shortened(self.text)!r})"


class EnvironmentValue(_Opaque):
    """The value of an environment variable, read when Terraform runs. Always sensitive, never rendered.

    Made by `env()`.
    """

    __slots__ = ("name",)
    name: str

    def __init__(self, name: str) -> None:
        self.name = name

    def _payload(self) -> list[object]:
        return ["env", self.name]

    def __repr__(self) -> str:
        return f"env({self.name!r})"


class Block(dict[str, "Input"]):
    """A nested block of a provider's or backend's configuration: Terraform wants `x { … }` there, not `x = { … }`.

    Made by `block()`.
    """

    def __repr__(self) -> str:
        return f"block({dict(self)!r})"


Opaque: TypeAlias = Reference | Outputs | Expression | EnvironmentValue
Input: TypeAlias = "str | int | float | bool | Opaque | Sequence[Input] | Mapping[str, Input] | None"
"""What an input of a unit may be: what JSON has, and references, expressions and run-time variables within it."""


def expression(text: str) -> Expression:
    """Return a raw HCL expression, which is passed on as it is.

    text: HCL. References may stand in it, also in the quotes of its strings: there they become `${…}`.

    Raises ValueError for an empty text.

    Example:
        count = expression(f"length({network.outputs.subnet_ids})")
    """
    if not _is_text(text) or not text.strip():
        raise ValueError(f"expression({text!r}): the text of an HCL expression is wanted")
    return Expression(text)


def env(name: str) -> EnvironmentValue:
    """Return the value that an environment variable will have when Terraform runs.

    It is always sensitive, handed to Terraform as a variable, and never written to rendered files or records. A unit
    whose variable is not set fails, and names it.

    name: the variable's.

    Raises ValueError where *name* is not a name that a variable can have.

    Example:
        stack.unit("web", module="web_servers", inputs={"user_data": env("WEB_USER_DATA")})
    """
    if not _is_text(name) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"env({name!r}): not the name of an environment variable")
    return EnvironmentValue(name)


def block(arguments: Mapping[str, Input] | None = None, /, **more: Input) -> Block:
    """Return a nested configuration block, for a provider or a backend.

    arguments: what is in it, where a name is not one that Python takes.
    more: what is in it.

    Example:
        kubernetes = Provider(
            "kubernetes",
            source="hashicorp/kubernetes",
            exec=block(api_version="client.authentication.k8s.io/v1beta1", command="aws", args=["eks", "get-token"]),
        )
    """
    return Block({**(arguments or {}), **more})


def pieces(text: str) -> list[str | Opaque]:
    """Split a string into its plain parts and the references, expressions and variables that were put into it.

    Raises TamperedReferenceError where a string operation has cut or changed one, NulCharacterError for a NUL that
    belongs to none.
    """
    return [part if isinstance(part, str) else _from_payload(part) for part in split(text)]


def walk(value: Input) -> Iterator[Opaque]:
    """Yield every reference, expression and variable in *value*, those inside strings, keys and expressions too.

    Raises TamperedReferenceError and NulCharacterError as pieces() does.
    """
    parts: Iterable[Input] = ()
    if isinstance(value, str):
        parts = [piece for piece in pieces(value) if not isinstance(piece, str)]
    elif isinstance(value, _Opaque):
        yield value
        parts = value._parts()  # noqa: SLF001 - the class is of this module
    elif isinstance(value, Mapping):
        parts = chain.from_iterable(value.items())
    elif isinstance(value, Sequence):
        parts = value
    for part in parts:
        yield from walk(part)


def is_opaque(value: object) -> bool:
    """Whether nothing is known of *value*'s type while the spec is evaluated."""
    return isinstance(value, _Opaque)


def target(value: Reference | Outputs) -> tuple[str, tuple[str | int, ...]]:
    """Return the unit's name and the steps of a reference; no steps for all outputs of a unit."""
    steps = value._steps if isinstance(value, Reference) else ()  # noqa: SLF001 - every attribute name is an output's
    return value._unit, steps  # noqa: SLF001


def _is_text(value: object) -> bool:
    """Asked of an object, since mypy takes what the types promise for true."""
    return isinstance(value, str)


def _from_payload(payload: list[object]) -> Opaque:
    match payload:
        case "output", str(unit):
            return Outputs(unit)
        case "output", str(unit), *steps:
            return Reference(unit, tuple(step for step in steps if isinstance(step, (str, int))))
        case "expression", str(raw):
            return Expression(raw)
        case "env", str(name):
            return EnvironmentValue(name)
    raise TamperedReferenceError(repr(payload))
