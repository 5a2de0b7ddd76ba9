"""The `provider_installation` block of a Terraform CLI configuration: read from the user's text, and written.

The block is described at developer.hashicorp.com/terraform/cli/config/config-file#provider-installation. The CLI
configuration is HCL 1, so it is not read with python-hcl2; its items are found here by their brackets, and what is not
understood is kept as it was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<heredoc><<-?(?P<tag>\w+)\n.*?^\s*(?P=tag)$)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<word>[\w.+-]+)
      | (?P<mark>[{}\[\]=,:])""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
CLOSING = {"{": "}", "[": "]"}
LOCAL = "filesystem_mirror"
DROPPED = ("provider_installation", "plugin_cache_dir")


class UnreadableConfigError(ValueError):
    """The text is not a CLI configuration that is understood here; Terraform may well understand it."""


@dataclass(frozen=True)
class Method:
    """One way to get providers: *kind* is the block's name, *body* its arguments but for `include` and `exclude`.

    Patterns are `host/namespace/type` with `*` for a part; an empty *include* means every provider.
    """

    kind: str
    body: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it asks nothing outside this machine."""
        return self.kind == LOCAL

    @property
    def path(self) -> str:
        """The folder of a filesystem mirror."""
        return self.argument("path")

    def argument(self, name: str) -> str:
        """The value of an argument in the body; empty where there is none of that name."""
        return next((_unquoted(item.value) for item in _items(self.body) if item.name == name), "")

    def serves(self, address: str, default_host: str) -> bool:
        """Whether Terraform would ask this method for a provider (`host/namespace/type`)."""
        if any(_matches(pattern, address, default_host) for pattern in self.exclude):
            return False
        return not self.include or any(_matches(pattern, address, default_host) for pattern in self.include)

    def without(self, addresses: Iterable[str]) -> Method:
        """The same, but never asked for *addresses*."""
        return replace(self, exclude=(*self.exclude, *(a for a in sorted(addresses) if a not in self.exclude)))

    def text(self) -> str:
        """The method as a block of the CLI configuration."""
        if self.kind == "dev_overrides":  # not a method, but a map: addresses of providers to folders
            return f"  dev_overrides {{\n{self.body}\n  }}\n"
        lines = [self.body] if self.body else []
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            if patterns:
                lines.append(f"    {name} = {json.dumps(list(patterns), ensure_ascii=False)}")
        return "\n".join([f"  {self.kind} {{", *lines, "  }", ""])


def filesystem_mirror(path: str, include: Iterable[str]) -> Method:
    """The method that takes the providers *include* from a folder."""
    return Method(LOCAL, f"    path = {json.dumps(path, ensure_ascii=False)}", tuple(sorted(include)))


def installation_text(methods: Iterable[Method]) -> str:
    """The whole `provider_installation` block, asking *methods* in their order."""
    return f"provider_installation {{\n{''.join(method.text() for method in methods)}}}\n"


def split_config(text: str) -> tuple[str, tuple[Method, ...] | None]:
    """Take a CLI configuration apart: the text less DROPPED, and its installation methods (None: it has none).

    Raises UnreadableConfigError for text that is not understood, JSON included.
    """
    kept, end, methods = [], 0, None
    for item in _items(text):
        if item.name not in DROPPED:
            continue
        kept.append(text[end : item.start])
        end = item.end
        if item.name == "provider_installation":
            if methods is not None or not item.is_block:
                raise UnreadableConfigError("one provider_installation block is understood, without an equals sign")
            methods = tuple(_method(inner) for inner in _items(item.value))
    return "".join([*kept, text[end:]]).strip() + "\n", methods


@dataclass(frozen=True)
class _Item:
    """`name = value` or `name "label" { value }`, at text[start:end]."""

    name: str
    value: str
    is_block: bool
    start: int
    end: int


def _method(item: _Item) -> Method:
    if not item.is_block:
        raise UnreadableConfigError(f'"{item.name}" in provider_installation is not a block')
    if item.name == "dev_overrides":
        return Method(item.name, item.value.strip("\n"))
    patterns: dict[str, tuple[str, ...]] = {}
    lines = []
    for inner in _items(item.value):
        if inner.name in ("include", "exclude"):
            strings = (token for token in _tokens(inner.value) if token.lastgroup == "string")
            patterns[inner.name] = tuple(_unquoted(token.group()) for token in strings)
        else:
            lines.append("    " + item.value[inner.start : inner.end].strip())
    return Method(item.name, "\n".join(lines), patterns.get("include", ()), patterns.get("exclude", ()))


def _items(text: str) -> Iterator[_Item]:
    """The items of a body, in order. Raises UnreadableConfigError."""
    tokens = [token for token in _tokens(text) if token.lastgroup != "space"]
    index = 0
    while index < len(tokens):
        first = index
        while index < len(tokens) and tokens[index].lastgroup in ("word", "string"):
            index += 1
        mark = tokens[index].group() if index < len(tokens) else ""
        if index == first or mark not in ("=", "{", ":"):
            raise UnreadableConfigError(f'"{tokens[first].group()}" begins neither a block nor an argument')
        opening = index if mark == "{" else index + 1
        last = _closing(tokens, opening)
        inside = (
            text[tokens[opening].end() : tokens[last].start()]
            if mark == "{"
            else text[tokens[opening].start() : tokens[last].end()]
        )
        yield _Item(_unquoted(tokens[first].group()), inside, mark == "{", tokens[first].start(), tokens[last].end())
        index = last + 1
        if index < len(tokens) and tokens[index].group() == ",":
            index += 1


def _closing(tokens: list[re.Match[str]], opening: int) -> int:
    """The index of the last token of the value that begins at *opening*."""
    waiting: list[str] = []
    for index in range(opening, len(tokens)):
        mark = tokens[index].group() if tokens[index].lastgroup == "mark" else ""
        if mark in CLOSING:
            waiting.append(CLOSING[mark])
        elif waiting and mark == waiting[-1]:
            waiting.pop()
        elif mark in ("}", "]", "=") and not waiting:
            break
        if not waiting:
            return index
    raise UnreadableConfigError("a bracket is not closed, or a value is missing")


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        token = TOKEN.match(text, position)
        if token is None:
            raise UnreadableConfigError(f"{text[position : position + 20]!r} is not understood")
        yield token
        position = token.end()


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]


def _matches(pattern: str, address: str, default_host: str) -> bool:
    parts = pattern.split("/")
    if len(parts) == 2:
        parts.insert(0, default_host)
    return len(parts) == 3 and all(part in ("*", own) for part, own in zip(parts, address.split("/"), strict=True))
