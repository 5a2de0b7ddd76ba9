"""Upstream values for a unit: known ones as literals, unknown ones as truly unknown, sensitive ones as variables.

An unknown value is `jsondecode` of the id of a resource still to be created: unknown of any type, so that it fits every
variable, and Terraform prints `(known after apply)` where it would in one big root module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra_orch.project import stack_and_unit
from infra_orch.render.hcl import Raw, attribute_lines, expression_text, quote
from infra_orch.run.outcome import Basis
from infra_orch.spec.values import STACKS

UNKNOWN_RESOURCE = "terraform_data.infra_orch_unknown"
UPSTREAM_FILE = "infra_orch_upstream.tf"
_UNKNOWN_HCL = Raw(f"jsondecode({UNKNOWN_RESOURCE}.id)")
_SENSITIVE_PREFIX = "infra_orch_sensitive_"
_CHUNK = 30_000
"""Characters, of which each may be four bytes."""


class _Unknown:
    """The one value that stands for what nobody knows yet."""

    def __repr__(self) -> str:
        return "(known after apply)"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Output:
    """An output of a unit: its value (JSON, with UNKNOWN within), whether it is sensitive, and its type as Terraform's
    JSON has it (`["list", "string"]`) where known. *promised*: an upstream plan says so, and it is not there yet.
    """

    value: Any
    sensitive: bool
    type: Any
    promised: bool


@dataclass(frozen=True)
class Upstream:
    """What a unit is given of its upstreams: the text of a file of locals, and variables for the environment.

    *unknown*: which inputs nobody knows yet, as `network.vpc_id`.
    """

    text: str
    variables: Mapping[str, str]
    basis: Basis
    unknown: tuple[str, ...]

    @property
    def holds_unknown(self) -> bool:
        """Whether a plan made with it holds the helper resource, and so must never be applied."""
        return self.basis is Basis.UNKNOWN


def upstream_values(needs: Mapping[str, tuple[str, ...]], outputs: Mapping[str, Mapping[str, Output]]) -> Upstream:
    """Return what a unit that *needs* outputs (by upstream unit) is given; a missing output is unknown.

    *outputs* are the outputs known of each upstream unit by name. Those of units of other stacks (`network/vpc`) are
    `local.stacks["network"].vpc`.
    """
    units: dict[str, Raw] = {}
    stacks: dict[str, dict[str, Raw]] = {}
    secrets = _Secrets()
    unknown: list[str] = []
    promised = False
    for unit, names in needs.items():
        values: dict[str, Raw] = {}
        for name in names:
            output = outputs.get(unit, {}).get(name, Output(UNKNOWN, sensitive=False, type=None, promised=True))
            promised |= output.promised
            if contains_unknown(output.value):
                unknown.append(f"{unit}.{name}")
            values[name] = secrets.literal(output) if output.sensitive else _literal(output.value, output.type)
        stack, name = stack_and_unit(unit)
        if stack:
            stacks.setdefault(stack, {})[name] = _block(values, 6)
        else:
            units[name] = _block(values, 2)
    if stacks:
        units[STACKS] = _block({quote(stack): _block(found, 4) for stack, found in stacks.items()}, 2)
    basis = Basis.UNKNOWN if unknown else Basis.PLANNED if promised else Basis.EXACT
    text = _text(units, secrets.declarations, helper=bool(unknown))
    return Upstream(text, secrets.variables, basis, tuple(unknown))


def _block(values: Mapping[str, Raw], indent: int) -> Raw:
    """An object of *values*, one a line, whose end is indented by so many spaces."""
    if not values:
        return Raw("{}")
    return Raw("\n".join(["{", *attribute_lines(values, indent + 2), f"{' ' * indent}}}"]))


class _Secrets:
    """Sensitive values on their way to Terraform: in variables of its environment, never in a file."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.declarations: list[str] = []

    def literal(self, output: Output) -> Raw:
        """An expression for a sensitive value. What is unknown in it is unknown, and all of it is sensitive."""
        if output.value is UNKNOWN:
            return Raw(f"sensitive({_UNKNOWN_HCL})")
        whole = self._variable(json_text(output.value))
        if not contains_unknown(output.value):
            return _converted(whole, output.type)
        return Raw(f"sensitive({_known_parts(output.value, whole)})")

    def _variable(self, text: str) -> str:
        """Return an expression for the JSON value *text*. Linux lets a variable of the environment have 128 KiB."""
        if len(text) <= _CHUNK:
            return f"jsondecode({self._declare(text)})"
        chunks = [json.dumps(text[at : at + _CHUNK], ensure_ascii=False) for at in range(0, len(text), _CHUNK)]
        parts = ", ".join(f"jsondecode({self._declare(chunk)})" for chunk in chunks)
        return f'jsondecode(join("", [{parts}]))'

    def _declare(self, value: str) -> str:
        name = f"{_SENSITIVE_PREFIX}{len(self.variables) + 1}"
        self.variables[name] = value
        self.declarations.append(f'variable "{name}" {{\n  type      = string\n  sensitive = true\n}}\n')
        return f"var.{name}"


def plain(value: Any) -> Any:
    """*value* with its decimals as the numbers that Python and JSON have."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def json_text(value: Any) -> str:
    """Return *value* as JSON, its numbers with all their digits; what is unknown in it is null."""
    if isinstance(value, Mapping):
        items = (f"{json.dumps(str(key), ensure_ascii=False)}: {json_text(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(json_text, value))}]"
    if isinstance(value, Decimal):
        return str(value)
    return "null" if value is UNKNOWN else json.dumps(value, ensure_ascii=False)


def contains_unknown(value: Any) -> bool:
    """Whether *value* is, or holds, something that nobody knows yet."""
    if isinstance(value, Mapping):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value is UNKNOWN


def same_values(promise: Mapping[str, Output], actual: Mapping[str, Output], names: tuple[str, ...]) -> bool:
    """Whether every output in *names* turned out as it was promised."""
    return all(
        name in promise
        and name in actual
        and not contains_unknown(promise[name].value)
        and promise[name].value == actual[name].value
        and promise[name].sensitive == actual[name].sensitive
        for name in names
    )


def _text(units: Mapping[str, Raw], declarations: list[str], *, helper: bool) -> str:
    if not units:
        return ""
    parts = ["# Written by infra-orch for one run: values of upstream units.\n"]
    if helper:
        parts.append('resource "terraform_data" "infra_orch_unknown" {}\n')
    parts += declarations
    lines = "\n".join(attribute_lines(units, 2))
    parts.append(f"locals {{\n{lines}\n}}\n")
    return "\n".join(parts)


def _literal(value: Any, kind: Any) -> Raw:
    """*value* as HCL, converted to the type that the output has, since JSON knows neither sets nor maps."""
    if value is UNKNOWN:
        return _UNKNOWN_HCL
    name, of = _type(kind)
    if name in ("list", "set") and isinstance(value, list):
        return Raw(f"to{name}({_sequence([_literal(item, of) for item in value])})")
    if name == "map" and isinstance(value, Mapping):
        return Raw(f"tomap({_object({key: _literal(item, of) for key, item in value.items()})})")
    if isinstance(value, Mapping):
        parts = of if name == "object" and isinstance(of, Mapping) else {}
        return _object({key: _literal(item, parts.get(key)) for key, item in value.items()})
    if isinstance(value, list):
        kinds = of if name == "tuple" and isinstance(of, list) and len(of) == len(value) else [None] * len(value)
        return _sequence([_literal(item, part) for item, part in zip(value, kinds, strict=True)])
    return Raw(expression_text(value))


def _converted(expression: str, kind: Any) -> Raw:
    """*expression*, whose value came from JSON, converted to the type that the output has."""
    name, of = _type(kind)
    if name in ("list", "set", "map"):
        item = _converted("item", of)
        if item == "item":
            return Raw(f"to{name}({expression})")
        loop = f"{{for key, item in {expression} : key => {item}}}"
        loop = loop if name == "map" else f"[for item in {expression} : {item}]"
        return Raw(f"to{name}({expression} == null ? null : {loop})")
    steps: list[tuple[str, Any]] = []
    if name == "object" and isinstance(of, Mapping):
        steps = [(expression_text(key), part) for key, part in of.items()]
    elif name == "tuple" and isinstance(of, list):
        steps = [(str(number), part) for number, part in enumerate(of)]
    parts = {step: _converted(f"{expression}[{step}]", part) for step, part in steps}
    if all(part == f"{expression}[{step}]" for step, part in parts.items()):
        return Raw(expression)
    items = [f"{step} = {part}" for step, part in parts.items()]
    whole = f"{{{', '.join(items)}}}" if name == "object" else f"[{', '.join(parts.values())}]"
    return Raw(f"({expression} == null ? null : {whole})")


def _known_parts(value: Any, path: str) -> Raw:
    """A value with unknown parts as HCL, the known ones taken from the expression *path* of all that is known."""
    if value is UNKNOWN:
        return _UNKNOWN_HCL
    if isinstance(value, Mapping) and contains_unknown(value):
        return _object({key: _known_parts(item, f"{path}[{expression_text(key)}]") for key, item in value.items()})
    if isinstance(value, list) and contains_unknown(value):
        return _sequence([_known_parts(item, f"{path}[{number}]") for number, item in enumerate(value)])
    return Raw(path)


def _type(kind: Any) -> tuple[str, Any]:
    """A type as Terraform's JSON has it, taken apart: `["set", "string"]` is a set of strings."""
    if isinstance(kind, list) and len(kind) > 1:
        return str(kind[0]), kind[1]
    return "", None


def _sequence(items: list[Raw]) -> Raw:
    return Raw(f"[{', '.join(items)}]")


def _object(items: Mapping[str, Raw]) -> Raw:
    return Raw("{" + ", ".join(f"{expression_text(key)} = {item}" for key, item in items.items()) + "}")
