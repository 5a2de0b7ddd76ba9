"""Whether a provider's address, or a module's source, fits a pattern of the setting `allow`.

`*` stands for a part of one step of a path, `**` for anything, and `*` alone for everything. So `hashicorp/*` is no
provider of another host, and `git::https://example.com/*` no other server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BUILT_IN = "terraform.io/builtin/terraform"
_DEFAULT_HOSTS = frozenset({"registry.terraform.io", "registry.opentofu.org"})
_EVERYTHING = frozenset({"*", "**"})
_ADDRESS = re.compile(r"(?:[^\W_][\w.-]*(?::\d+)?/)?(?:[\w-]+/)?[\w-]+")
_STEP_BACK = re.compile(r"(?:^|[/\\:])(?:\.|%2e)(?:\.|%2e)(?:[/\\?#]|$)", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether *text* can be the source address of a provider: a host, a namespace and a type, or the last of these."""
    return _ADDRESS.fullmatch(text) is not None


def provider_fits(address: str, patterns: Iterable[str]) -> bool:
    """Whether the source address of a provider fits one of *patterns*. Terraform's built-in provider always does.

    An address without a host is one of the engine's own registry; case does not count.
    """
    wanted = _address(address)
    if "/".join(wanted) == BUILT_IN:
        return True
    for pattern in patterns:
        parts = _address(pattern)
        if pattern in _EVERYTHING or all(_glob(part, step) for part, step in zip(parts, wanted, strict=True)):
            return True
    return False


def source_fits(source: str, patterns: Iterable[str]) -> bool:
    """Whether the source of a module, as it is written, fits one of *patterns*.

    A pattern may leave out the folder within the package (`//…`) and the query (`?ref=…`). A source that steps back
    (`..`) fits no wildcard: what a server makes of it is somewhere else.
    """
    patterns = tuple(patterns)
    if source in patterns or not _EVERYTHING.isdisjoint(patterns):
        return True
    if _STEP_BACK.search(source):
        return False
    package = re.split(r"(?<!:)//", source.partition("?")[0], maxsplit=1)[0]
    return any(_glob(pattern, text) for pattern in patterns for text in {source, package})


def _address(source: str) -> tuple[str, str, str]:
    """Host, namespace and type of a provider; the host is empty for the engine's own registry."""
    parts = source.strip().lower().split("/")
    if len(parts) == 1:
        parts = ["hashicorp", *parts]  # the short form of Terraform 0.12
    if len(parts) == 2:
        parts = ["", *parts]
    host, namespace, kind = parts[0], parts[1], "/".join(parts[2:])
    return ("" if host in _DEFAULT_HOSTS else host), namespace, kind


def _glob(pattern: str, text: str) -> bool:
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"*": r"[^/?#@\\\s]*", "**": r".*"}
    return re.fullmatch("".join(wild.get(part) or re.escape(part) for part in parts), text) is not None
