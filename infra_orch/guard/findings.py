"""What in a module's files the setting `allow` does not allow, with file and line. Nothing is run for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from infra_orch.errors import Where
from infra_orch.guard.patterns import is_address, provider_fits, source_fits
from infra_orch.module.blocks import Block, Value
from infra_orch.module.configuration import blocks_in, nested, provisioners
from infra_orch.module.facts import provider_names
from infra_orch.module.masking import BadSyntaxError
from infra_orch.settings import Allow

_OUTWARD = frozenset({"external", "http"})
_PROGRAMS = {("resource", "helm_release"): "postrender", ("action", "local_command"): "local_command"}
"""Besides provisioners: what starts a program by its argument (hashicorp/helm), or by its type (hashicorp/local)."""
_COMMANDS = (
    "exec",
    "shared_config_file",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
)
"""Arguments of providers and backends that name a program which prints credentials, or a file that can name one:
`credential_process` of AWS."""
_ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]|\r(?!\n)")


@dataclass(frozen=True)
class Finding:
    """One thing that is not allowed. *key*: the key of `allow` that would allow it, with *value* in its list; empty
    for what nothing allows.
    """

    what: str
    where: Where
    key: str = ""
    value: str = ""


@dataclass(frozen=True)
class Source:
    """A file to be looked at: its name, how the user knows it, and its content."""

    name: str
    shown: str
    content: bytes


LocalCheck: TypeAlias = Callable[[str], str | None]
"""Told a module's local source: None where it lies where modules may lie, else what `allow` would have to name."""


def findings(sources: Iterable[Source], allow: Allow, outside: LocalCheck) -> Iterator[Finding]:
    """Yield what the files of one module hold that *allow*, all of whose keys are set, does not allow."""
    declared: set[str] = set()
    used: dict[str, Where] = {}
    for source in sources:
        try:
            found = _blocks(source)
        except BadSyntaxError as error:
            what = f"this file cannot be read, so nobody knows what it would run: {error.message}"
            yield Finding(what, Where(source.shown, error.line))
            continue
        for block in found:
            place = _Place(source, block, allow, outside)
            yield from place.findings()
            declared |= place.declared
            for name in provider_names(block):
                used.setdefault(name, place.where(name))
    for name, where in used.items():
        # Terraform takes a provider that no required_providers block names from HashiCorp.
        if name not in declared | {"", "terraform"}:
            yield from provider_findings([f"hashicorp/{name}"], where, allow)


def provider_findings(addresses: Iterable[str], where: Where, allow: Allow) -> Iterator[Finding]:
    """Yield those source *addresses* of providers that are not allowed, or that are none."""
    for address in addresses:
        full = address if "/" in address else f"hashicorp/{address}"
        if not is_address(address):
            yield Finding(f"{address!r} is not the address of a provider", where)
        elif not provider_fits(address, allow.providers or ()):
            yield Finding(f'the provider "{full}"', where, "providers", full)


def _blocks(source: Source) -> tuple[Block, ...]:
    is_json = source.name.endswith(".json")
    blocks = blocks_in(source.content, is_json=is_json)
    # Characters that nobody sees, and that not every reader takes for the same thing.
    text = "" if is_json else source.content.decode()
    if odd := _ODD.search(text):
        message = f"a control character (U+{ord(odd[0][0]):04X}) stands in it"
        raise BadSyntaxError(message, text.count("\n", 0, odd.start()) + 1)
    return blocks


class _Place:
    """A top-level block in a file."""

    def __init__(self, source: Source, block: Block, allow: Allow, outside: LocalCheck) -> None:
        self._source = source
        self._block = block
        self._allow = allow
        self._outside = outside
        self.declared: set[str] = set()

    def where(self, text: str) -> Where:
        """The line, from the block's first on, in which *text* stands; else the block's."""
        lines = self._source.content.decode().split("\n")
        first = max(self._block.line, 1)
        numbers = (number for number, line in enumerate(lines[first - 1 :], first) if text and text in line)
        return Where(self._source.shown, next(numbers, self._block.line))

    def findings(self) -> Iterator[Finding]:
        """Yield what this block holds that is not allowed."""
        kind, labels, body = self._block.type, self._block.labels, self._block.body
        if kind == "terraform":
            yield from self._settings()
        elif kind == "provider":
            yield from self._commands(body, f'provider "{labels[0] if labels else ""}"')
        elif kind == "module":
            yield from self._call()
        elif kind == "check":
            for found in nested(body, "data", 2):
                yield from self._reads("data", found.labels[0], found.body)
        elif labels:
            yield from self._reads(kind, labels[0], body)
        if kind in ("resource", "removed"):
            for name in provisioners(self._block):
                yield from self._program(f'the provisioner "{name}"', name)

    def _settings(self) -> Iterator[Finding]:
        body = self._block.body
        for required in nested(body, "required_providers"):
            for name, requirement in required.body.items():
                if name != "//":
                    self.declared.add(name)
                    for one in requirement if isinstance(requirement, list) else [requirement]:
                        yield from self._provider(name, one)
        for backend in nested(body, "backend", 1):
            yield from self._backend(backend.labels[0], backend.body)
        for cloud in nested(body, "cloud"):
            yield from self._backend("cloud", cloud.body)
        for encryption in nested(body, "encryption"):
            for found in (*nested(encryption.body, "key_provider", 2), *nested(encryption.body, "method", 2)):
                if found.labels[0] == "external" and not self._allow.credential_commands:
                    yield Finding(f'encryption by the program of "{found.labels[1]}"', self.where("external"), *_KEYS)

    def _provider(self, name: str, requirement: Value) -> Iterator[Finding]:
        address: Value = requirement.get("source", name) if isinstance(requirement, dict) else name
        if not isinstance(address, str):
            yield Finding(f'the source of the provider "{name}" is computed', self.where(name), "providers", "*")
        else:
            yield from provider_findings([address], self.where(address), self._allow)

    def _backend(self, kind: str, body: Mapping[str, Value]) -> Iterator[Finding]:
        if kind not in (self._allow.backends or ()):
            yield Finding(f'the backend "{kind}"', self.where(kind), "backends", kind)
        yield from self._commands(body, f'backend "{kind}"')

    def _call(self) -> Iterator[Finding]:
        name = self._block.labels[0] if self._block.labels else ""
        source = self._block.body.get("source", "./")
        if not isinstance(source, str):
            yield Finding(f'the source of the module "{name}" is computed', self.where("source"), "module_sources", "*")
            return
        local = source.startswith(("./", "../"))
        value = self._outside(source) if local else source
        if value is not None and not source_fits(value, self._allow.module_sources or ()):
            where = " outside of the project" if local else ""
            yield Finding(f'the module source "{source}"{where}', self.where(source), "module_sources", value)

    def _reads(self, kind: str, name: str, body: Mapping[str, Value]) -> Iterator[Finding]:
        if kind in ("data", "ephemeral", "list") and name in _OUTWARD and not self._allow.external_data:
            does = "runs a program" if name == "external" else "asks any server"
            yield Finding(f'{kind} "{name}", which {does},', self.where(f'"{name}"'), "external_data", "true")
        if name == "terraform_remote_state":
            for backend in _items(body.get("backend")):
                if isinstance(backend, str):
                    yield from self._backend(backend, body)
                else:
                    yield Finding("the backend of a remote state is computed", self.where("backend"), "backends", "*")
        program = _PROGRAMS.get((kind, name))
        if program and (kind == "action" or _holds(body, program)):
            yield from self._program(f'"{program}" of {kind} "{name}"', program)

    def _program(self, what: str, name: str) -> Iterator[Finding]:
        if name not in (self._allow.provisioners or ()):
            yield Finding(what, self.where(name), "provisioners", name)

    def _commands(self, body: Mapping[str, Value], of: str) -> Iterator[Finding]:
        for argument in _COMMANDS:
            if not self._allow.credential_commands and _holds(body, argument):
                yield Finding(f'"{argument}" of {of}, which can start a program,', self.where(argument), *_KEYS)


_KEYS = ("credential_commands", "true")


def _holds(value: Value | Mapping[str, Value], name: str) -> bool:
    """Whether something called *name* stands anywhere in a body."""
    if isinstance(value, list):
        return any(_holds(item, name) for item in value)
    return isinstance(value, Mapping) and (name in value or any(_holds(item, name) for item in value.values()))


def _items(value: Value) -> list[Value]:
    return value if isinstance(value, list) else [value]
