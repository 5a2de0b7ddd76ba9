"""What one file of a module declares, in a form that a cache can keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra_orch.module.blocks import Block, Expression, Value
from infra_orch.module.cache import keep, recall
from infra_orch.module.configuration import blocks_in

_BUILTIN = "terraform"
_FLAGS = ("nullable", "sensitive", "ephemeral")


@dataclass(frozen=True)
class Declared:
    """A variable, an output or a module call: its name, its line, and those of its arguments that matter here.

    A variable's arguments are `type` (text), `default` (True: there is one), `description`, `nullable`, `sensitive`
    and `ephemeral`; an output's are the last of these; a call's are `source` (text, None where it is computed),
    `version` and `providers` (the called module's local name → the caller's).
    """

    name: str
    line: int
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class FileFacts:
    """What one file declares. *providers* are the local names in use, also by the calls of nested modules."""

    variables: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    calls: tuple[Declared, ...]
    required_providers: Mapping[str, str]
    configuration_aliases: tuple[str, ...]
    providers: tuple[str, ...]
    required_version: tuple[str, ...]


def file_facts(name: str, content: bytes, cache: Path | None) -> FileFacts:
    """Return what the file called *name* declares, from the cache where its content was read before.

    Raises BadSyntaxError where it cannot be parsed, UnicodeDecodeError where it is not UTF-8.
    """
    kind = "json" if name.endswith(".json") else "native"
    kept = recall(cache, kind, content)
    if kept is not None:
        try:
            return _from_json(kept)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # A damaged entry is written anew.
    content.decode()
    facts = _facts(blocks_in(content, is_json=kind == "json"))
    keep(cache, kind, content, dataclasses.asdict(facts))
    return facts


def _from_json(value: Any) -> FileFacts:
    def declared(items: Any) -> tuple[Declared, ...]:
        return tuple(Declared(_text(item["name"]), int(item["line"]), dict(item["arguments"])) for item in items)

    return FileFacts(
        variables=declared(value["variables"]),
        outputs=declared(value["outputs"]),
        calls=declared(value["calls"]),
        required_providers={_text(key): _text(item) for key, item in value["required_providers"].items()},
        configuration_aliases=tuple(_text(item) for item in value["configuration_aliases"]),
        providers=tuple(_text(item) for item in value["providers"]),
        required_version=tuple(_text(item) for item in value["required_version"]),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"not a text: {value!r}")


def _facts(blocks: Sequence[Block]) -> FileFacts:
    settings = [block.body for block in blocks if block.type == "terraform"]
    requirements = [
        (name, requirement)
        for body in settings
        for required in _nested(body, "required_providers")
        for name, requirement in required.items()
        if name != "//"
    ]
    named = [block for block in blocks if block.labels]
    return FileFacts(
        variables=tuple(_declared(block, _variable(block.body)) for block in named if block.type == "variable"),
        outputs=tuple(_declared(block, _described(block.body)) for block in named if block.type == "output"),
        calls=tuple(_declared(block, _call(block.body)) for block in named if block.type == "module"),
        required_providers={name: _source(requirement) for name, requirement in requirements},
        configuration_aliases=tuple(
            _reference(alias)
            for _, requirement in requirements
            if isinstance(requirement, dict)
            for alias in _items(requirement.get("configuration_aliases"))
        ),
        providers=_distinct(
            [name for name, _ in requirements], (name for block in blocks for name in provider_names(block))
        ),
        required_version=tuple(
            version for body in settings if isinstance(version := body.get("required_version"), str)
        ),
    )


def _declared(block: Block, arguments: Mapping[str, Any]) -> Declared:
    return Declared(block.labels[0], block.line, arguments)


def _variable(body: Mapping[str, Value]) -> dict[str, Any]:
    arguments = _described(body)
    if "type" in body:
        constraint = body["type"]
        arguments["type"] = constraint.text if isinstance(constraint, Expression) else str(constraint)
    if "default" in body:
        arguments["default"] = True
    return arguments


def _described(body: Mapping[str, Value]) -> dict[str, Any]:
    arguments: dict[str, Any] = {name: _flag(body[name]) for name in _FLAGS if name in body}
    if isinstance(body.get("description"), str):
        arguments["description"] = body["description"]
    return arguments


def _flag(value: Value) -> bool:
    """A boolean argument as Terraform converts it. What is not a literal counts as true: see Variable."""
    return value not in (False, "false", "0")


def _call(body: Mapping[str, Value]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if "source" in body:
        arguments["source"] = body["source"] if isinstance(body["source"], str) else None
    if isinstance(body.get("version"), str):
        arguments["version"] = str(body["version"])
    if isinstance(body.get("providers"), dict):
        # `aws.replica` in the called module is one more configuration; what `aws` is there, only the plain name says.
        arguments["providers"] = {name: theirs for name, theirs in _passed(body) if "." not in name}
    return arguments


def _passed(body: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """What a call's `providers` argument hands over: (name in the called module, the caller's local name)."""
    passed = body.get("providers")
    if isinstance(passed, dict):
        for name, value in passed.items():
            yield name, _local_name(_reference(value))


def provider_names(block: Block) -> Iterator[str]:
    """The local names of the providers that a block uses."""
    if block.type == "provider":
        yield from block.labels[:1]
    elif block.type == "module":
        yield from (name for _, name in _passed(block.body))
    elif block.type == "import" and "provider" in block.body:
        yield _local_name(_reference(block.body["provider"]))
    elif block.type in ("resource", "data", "ephemeral", "action") and block.labels:
        yield _provider_of(block.labels[0], block.body)
    elif block.type == "check":
        for kinds in _nested(block.body, "data"):
            for kind, named in kinds.items():
                for bodies in _nested({kind: named}, kind):
                    for name in bodies:
                        yield from (_provider_of(kind, body) for body in _nested(bodies, name))


def _provider_of(kind: str, body: Mapping[str, Value]) -> str:
    """The local name of a resource's provider: its `provider` argument, or the first word of its type."""
    return _local_name(_reference(body["provider"])) if "provider" in body else kind.split("_", 1)[0]


def _nested(body: Mapping[str, Value], name: str) -> list[dict[str, Value]]:
    """The blocks called *name* in a body: one, or a list of them."""
    value = body.get(name)
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _source(requirement: Value) -> str:
    source = requirement.get("source") if isinstance(requirement, dict) else None
    return source if isinstance(source, str) else ""


def _reference(value: Value) -> str:
    """The text of a reference such as `aws.eu`, which JSON syntax and old modules write as a string."""
    text = value.text if isinstance(value, Expression) else value if isinstance(value, str) else ""
    return "".join(text.split())


def _local_name(reference: str) -> str:
    return reference.split(".", 1)[0].split("[", 1)[0]


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _distinct(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in names for name in group if name not in ("", _BUILTIN)))
